"""Two addresses of one file, the first of them alive and slow: how long, and who sent how much.

    python -m benchmarks.transfer.slow_mirror            # 100 MiB; 200 kB/s, and 20 MB/s

Both servers are of this process and pace all their connections together. Clients are whole processes with an empty home
each time; the digest is checked.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.transfer.sites import require_tools
from tests.support.server import Server, Uplink

BODY = random.Random(5).randbytes(100 << 20)
DIGEST = hashlib.sha256(BODY).hexdigest()
# A process begins with the peak memory of its parent, and this one holds the file.
SMALL_PARENT = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:]).returncode
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
RATES = (200_000, 20_000_000)  # bytes a second


def clients(first: str, second: str, out: Path) -> dict[str, list[str]]:
    """How each is called."""
    zoo = [
        sys.executable,
        "-m",
        "zoo_cli",
        "fetch",
        first,
        "--mirror",
        second,
        "-o",
        str(out),
        "--sha256",
        DIGEST,
        "-q",
    ]
    aria = ["aria2c", "-q", "--no-conf", "--file-allocation=none", f"--checksum=sha-256={DIGEST}"]
    return {
        "zoo": zoo,
        "aria2c -x16": [*aria, "-x16", "-d", str(out.parent), "-o", out.name, first, second],
    }


def measure(name: str) -> str:
    """One client: seconds, MiB from each address, peak memory."""
    body = {"/a.bin": BODY}
    with tempfile.TemporaryDirectory() as folder, Server(body) as slow, Server(body) as fast:
        lines = [Uplink(rate, 16384) for rate in RATES]
        for server, line in zip((slow, fast), lines, strict=True):
            server.always("/a.bin", line)
        out = Path(folder) / "out.bin"
        argv = clients(slow.url("/a.bin"), fast.url("/a.bin"), out)[name]
        began = time.monotonic()
        environ = {**os.environ, "HOME": folder, "NO_PROXY": "*"}
        ended = subprocess.run(
            [sys.executable, "-c", SMALL_PARENT, *argv], env=environ, check=False, stdout=subprocess.PIPE
        )
        seconds = time.monotonic() - began
        status, kilobytes = (int(word) for word in ended.stdout.split()[-2:])
        if status or hashlib.sha256(out.read_bytes()).hexdigest() != DIGEST:
            return f"{name}: failed with {status}"
        sent = [line.sent / (1 << 20) for line in lines]
        memory = kilobytes / 1024
    return f"{name}: {seconds:.1f} s; MiB from each {sent[0]:.1f} and {sent[1]:.1f}; {memory:.0f} MiB of memory"


if __name__ == "__main__":
    require_tools()
    for client in clients("", "", Path("x")):
        print(measure(client), flush=True)
