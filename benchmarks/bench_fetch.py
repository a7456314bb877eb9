"""`zoo fetch` against curl with a digest afterwards, whole processes, paired in one run.

    python benchmarks/bench_fetch.py            # 10 MiB and 200 MiB
    python benchmarks/bench_fetch.py --large    # and 1 GiB

A server process of its own sends from the page cache by sendfile, on loopback. Every row of one size is run in turn,
several times; a row's figure is its median, its ratio is the median of the ratios to the first row of the same turn.
Goals (design.md, section 10): 1 GiB <= 0.65 x curl + openssl; memory under 60 MiB at any size.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

MIB = 1 << 20
FIRST = "curl + openssl dgst"


def serve(path: str) -> None:
    """Answers every GET with the file; prints its port first. Runs as a child of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _peer = listener.accept()
        threading.Thread(target=_answer, args=(connection, path), daemon=True).start()


def _answer(connection: socket.socket, path: str) -> None:
    with connection, Path(path).open("rb") as file:
        connection.recv(65536)
        size = os.fstat(file.fileno()).st_size
        connection.sendall(f'HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nETag: "1"\r\n\r\n'.encode())
        connection.sendfile(file)


def measure(argv: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Wall seconds and peak memory in MiB of one command."""
    started = time.perf_counter()
    child = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _pid, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - started
    assert child.stderr is not None
    with child.stderr:
        talk = child.stderr.read().decode()
    child.returncode = status
    if status:
        raise SystemExit(f"{argv} failed: {talk}")
    return seconds, usage.ru_maxrss / 1024


def commands(url: str, out: Path, digest: str) -> dict[str, list[str]]:
    """The rows; the first one is what the others are compared with."""
    target = str(out)
    check = f"test \"$(openssl dgst -sha256 -r '{target}' | cut -c1-64)\" = {digest}"
    check_slow = f"echo '{digest}  {target}' | sha256sum -c --quiet"
    zoo = [sys.executable, "-m", "zoo_cli", "fetch", url, "-o", target, "--sha256", digest]
    no_sync = [sys.executable, "-c", _WITHOUT_SYNC, url, target, digest]
    return {
        FIRST: ["sh", "-c", f"curl -sSf -o '{target}' {url} && {check}"],
        "curl + openssl + sync": ["sh", "-c", f"curl -sSf -o '{target}' {url} && {check} && sync '{target}'"],
        "curl + sha256sum": ["sh", "-c", f"curl -sSf -o '{target}' {url} && {check_slow}"],
        "urllib + hashlib in line": [sys.executable, "-c", _URLLIB, url, target, digest],
        "zoo fetch": zoo,
        "zoo engine, no fsync": no_sync,
    }


_WITHOUT_SYNC = """
import sys
from pathlib import Path
from zoo_cli.transfer.fetch import Settings, Wanted, fetch
fetch(Wanted("x", (sys.argv[1],), sha256=sys.argv[3]), Path(sys.argv[2]), Settings(sync=False))
"""


_URLLIB = """
import sys, hashlib, urllib.request
digest = hashlib.sha256()
with urllib.request.urlopen(sys.argv[1]) as body, open(sys.argv[2], "wb") as file:
    while block := body.read(1 << 20):
        file.write(block)
        digest.update(block)
assert digest.hexdigest() == sys.argv[3]
"""


def run_size(size: int, turns: int, folder: Path, home: Path) -> None:
    """One table: every row `turns` times, in turn."""
    source = folder / "source.bin"
    block = os.urandom(MIB)
    with source.open("wb") as file:
        for _ in range(size // MIB):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())  # or its way to the disk is measured too
    digest = hashlib.file_digest(source.open("rb"), "sha256").hexdigest() if sys.version_info >= (3, 11) else ""
    env = {**os.environ, "HOME": str(home), "NO_PROXY": "*"}
    server = subprocess.Popen([sys.executable, __file__, "--serve", str(source)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/file.bin"
        rows: dict[str, list[tuple[float, float]]] = {}
        items = list(commands(url, folder / "got.bin", digest).items())
        for turn in range(turns):
            for name, argv in items[turn % len(items) :] + items[: turn % len(items)]:
                (folder / "got.bin").unlink(missing_ok=True)
                rows.setdefault(name, []).append(measure(argv, env))
        show(size, rows)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def show(size: int, rows: dict[str, list[tuple[float, float]]]) -> None:
    """Prints one table."""
    base = [seconds for seconds, _memory in rows[FIRST]]
    print(f"\n{size // MIB} MiB over loopback http   seconds  ratio  peak MiB   (load {os.getloadavg()[0]:.1f})")
    for name, figures in rows.items():
        ratio = statistics.median(seconds / other for (seconds, _), other in zip(figures, base, strict=True))
        seconds, memory = statistics.median(each[0] for each in figures), max(each[1] for each in figures)
        print(f"  {name:28} {seconds:8.3f} {ratio:6.2f} {memory:9.0f}")


def main() -> None:
    """Runs the sizes asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--large", action="store_true", help="1 GiB too")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--serve", metavar="FILE", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.serve)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    folder = Path(tempfile.mkdtemp(prefix="zoo-bench-"))
    try:
        for size in [10 * MIB, 200 * MIB] + [1024 * MIB] * asked.large:
            run_size(size, asked.turns, folder, folder / "home")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
