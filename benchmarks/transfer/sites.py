"""What serves: nginx from Debian for plain http and https; a paced server for limited connections.

All of it ends with the `with`. nginx, aria2, openssl and iproute2 come from the distribution where they are missing (as
root).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TOOLS = {
    "nginx": "nginx-light",
    "aria2c": "aria2",
    "curl": "curl",
    "wget": "wget",
    "openssl": "openssl",
    "ip": "iproute2",
}
SO_MAX_PACING_RATE = 47


def require_tools() -> None:
    """Installs what is missing; says so when it cannot."""
    paths = os.environ["PATH"] + ":/usr/sbin:/sbin"
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool, path=paths) is None]
    if missing:
        _install(missing)
    os.environ["PATH"] = paths


def _install(packages: list[str]) -> None:
    install = ["apt-get", "install", "-y", "-q", *packages]
    by_hand = f"needed, and not here: {' '.join(packages)}. As root:  {' '.join(install)}"
    if shutil.which("apt-get") is None or os.geteuid():
        raise SystemExit(by_hand)
    for command in (install, ["apt-get", "update", "-q"], install):  # a fresh machine has no lists yet
        if not subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode and command is install:
            return
    raise SystemExit(by_hand)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def make_file(path: Path, size: int) -> str:
    """Random bytes, on the disk and in the page cache; their SHA-256."""
    digest, block = hashlib.sha256(), os.urandom(1 << 20)
    with path.open("wb") as file:
        for number in range(0, size, len(block)):
            piece = (number.to_bytes(8, "big") + block[8:])[: size - number]
            file.write(piece)
            digest.update(piece)
        file.flush()
        os.fsync(file.fileno())  # or its way to the disk is measured, too
    return digest.hexdigest()


def certificate(folder: Path) -> Path:
    """An authority of our own and a certificate of it for 127.0.0.1: ca.pem, site.pem, site.key."""
    run = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    subprocess.run([*run, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=zoo bench authority"],
                   cwd=folder, check=True, capture_output=True)  # fmt: skip
    signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "subjectAltName=IP:127.0.0.1", "-addext",
              "basicConstraints=CA:FALSE"]  # fmt: skip
    subprocess.run([*run, *signed, "-keyout", "site.key", "-out", "site.pem", "-subj", "/CN=127.0.0.1"],
                   cwd=folder, check=True, capture_output=True)  # fmt: skip
    return folder / "ca.pem"


@contextmanager
def nginx(root: Path, work: Path, listen: str, *, tls: Path | None = None) -> Iterator[None]:
    """Nginx on an address, until the end of the `with`."""
    secure = f"ssl_certificate {tls}/site.pem; ssl_certificate_key {tls}/site.key;" if tls else ""
    temp = "".join(f"{name}_temp_path {work}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = work / f"nginx-{listen.replace(':', '-')}.conf"
    config.write_text(
        f"worker_processes 1; daemon off; pid {work}/nginx.pid; error_log stderr crit; user root;\n"
        f"events {{ worker_connections 512; }}\n"
        f"http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000; {temp}\n"
        f"server {{ listen {listen}{' ssl' if tls else ''}; {secure} root {root}; }} }}\n"
    )
    process = subprocess.Popen(["nginx", "-c", str(config), "-e", "stderr"])
    try:
        host, _, port = listen.rpartition(":")
        _wait_for(host, int(port))
        yield
    finally:
        process.terminate()
        process.wait()


def _wait_for(host: str, port: int) -> None:
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection((host, port), 1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


@contextmanager
def paced(path: Path, bytes_per_second: int) -> Iterator[str]:
    """A server that gives each connection so much and no more (the kernel paces it); the address of the file."""
    argv = [sys.executable, "-m", "benchmarks.transfer.sites", str(path), str(bytes_per_second)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/{path.name}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def serve_paced(path: str, rate: int) -> None:
    """Runs as a child: GETs with ranges, keep-alive, paced by SO_MAX_PACING_RATE; prints its port first."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _peer = listener.accept()
        connection.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, rate)
        threading.Thread(target=_serve, args=(connection, path), daemon=True).start()


def _serve(connection: socket.socket, path: str) -> None:
    with connection, Path(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        received = b""
        try:
            while True:
                while b"\r\n\r\n" not in received:
                    piece = connection.recv(65536)
                    if not piece:
                        return
                    received += piece
                head, _, received = received.partition(b"\r\n\r\n")
                _answer(connection, file.fileno(), size, head.decode("latin-1").lower())
        except OSError:
            return  # the client has had enough


def _answer(connection: socket.socket, fd: int, size: int, head: str) -> None:
    first, after, status = 0, size, "200 OK"
    if "\r\nrange: bytes=" in head:
        low, _, high = head.partition("\r\nrange: bytes=")[2].partition("\r\n")[0].partition("-")
        first, after, status = int(low), int(high) + 1 if high else size, "206 Partial Content"
    more = f"Content-Range: bytes {first}-{after - 1}/{size}\r\n" if status[:3] == "206" else ""
    fields = f'Content-Length: {after - first}\r\nETag: "b"\r\nAccept-Ranges: bytes\r\n{more}'
    connection.sendall(f"HTTP/1.1 {status}\r\n{fields}\r\n".encode())
    if head.startswith("head "):
        return
    while first < after:
        first += os.sendfile(connection.fileno(), fd, first, min(after - first, 1 << 20))


if __name__ == "__main__":
    serve_paced(sys.argv[1], int(sys.argv[2]))
