"""S3-compatible servers on loopback, each a process of its own, which ends with the `with`.

moto's is Python, and answers as the documentation of S3 says. s3rver is another program by other people, on Node, and
keeps objects as files; it is installed from npm once.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.dockerfile import apt_install
from tests.support.torch_env import made_once

S3RVER = "3.7.1"

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
            environ = _variables(int(found[1]), "test", "test-secret")
            yield environ
        finally:
            child.terminate()
            child.wait(timeout=10)


def _variables(port: int, key: str, secret: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret, "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip


def _s3rver_program() -> Path:
    """The program, installed once; without npm or its registry the test is skipped."""

    def make(place: Path) -> None:
        place.mkdir(parents=True)
        (place / "package.json").write_text("{}")
        argv = ["npm", "install", "--no-audit", "--no-fund", "--silent", f"s3rver@{S3RVER}"]
        subprocess.run(argv, cwd=place, check=True, timeout=300, capture_output=True, text=True)

    try:
        apt_install("npm", "npm")
        return made_once("s3rver", make, S3RVER) / "node_modules" / ".bin" / "s3rver"
    except subprocess.CalledProcessError as exc:
        pytest.skip(f"s3rver cannot be installed: {str(exc.stderr)[-300:]}")


@contextmanager
def s3rver_server(folder: Path) -> Iterator[dict[str, str]]:
    """The variables that lead boto3 to an s3rver; objects are files in the folder."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    argv = [str(_s3rver_program()), "-a", "127.0.0.1", "-p", str(port), "-d", str(folder), "--silent"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as child:
        try:
            _wait_for(port, child)
            yield _variables(port, "S3RVER", "S3RVER")  # the names it is built with
        finally:
            child.terminate()
            child.wait(timeout=10)


def _wait_for(port: int, child: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 30
    while child.poll() is None and time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError(f"s3rver did not start (exit {child.poll()})")
