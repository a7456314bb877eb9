"""An S3-compatible server on loopback: moto's, as a process of its own, which ends with the `with`."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_START = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
app = DomainDispatcherApplication(create_backend_app)
server = make_server("127.0.0.1", 0, app, threaded=True)
print("port", server.server_port, flush=True)
server.serve_forever()
"""


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """The variables that lead boto3 there; the bucket `lab` is made."""
    argv = [sys.executable, "-c", _START]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        try:
            assert child.stdout
            found = re.match(r"port (\d+)", child.stdout.readline())
            assert found, "moto's server did not start"
            environ = {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{found[1]}", "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test-secret", "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true",
            }  # fmt: skip
            yield environ
        finally:
            child.terminate()
            child.wait(timeout=10)
