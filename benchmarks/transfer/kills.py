"""kill -9 at random moments of one download that several processes compete for: the right file, nothing left behind.

    python -m benchmarks.transfer.kills                         # 1 GiB, 4 processes, 200 kills
    python -m benchmarks.transfer.kills --size 64 --kills 20    # MiB

Each time a random one of the processes is killed and started anew; when the kills are used up the rest may finish.
Then: every destination has the right bytes, the store has the file and nothing else, no part or state file is left, and
less than 2 % of the file were fetched again.

What is counted: the bytes of bodies that left the server's kernel, over all connections (`tcpi_bytes_sent` less
`tcpi_bytes_retrans` and the heads). That is every byte that travelled: those that zoo wrote, those that it had read and
not written, those that lay unread in its sockets when it was killed, those that reached a socket which was closed
already. What the server's program had given to its kernel, and the kernel still held when the connection ended, has not
travelled; it is shown beside, and is a matter of the server's send buffers. Acknowledgements would count too little:
of the last segments a killed process sends none.

The server paces each connection itself, 8 KiB at a time, as a link does. The kernel's pacing sends 64 KiB at once over
a way as short as loopback (`tcp_tso_rtt_log`), and every connection that a kill takes down loses what is on its way.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.transfer.sites import make_file

MIB = 1 << 20
_PIECE_BYTES = 8 * 1024


@dataclass
class Counting:
    """A server for one file that counts what it sends; ranges, several connections, each paced."""

    path: Path
    bytes_per_second: int
    given: int = 0  # to the kernel, of bodies
    left: int = 0  # of them, what left it; known when a connection has ended
    connections: int = 0
    requests: int = 0
    _open: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/{self.path.name}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _peer = self.listener.accept()
            except OSError:
                return  # closed
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
            with self._lock:
                self._open += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        heads = 0
        with connection, self.path.open("rb") as file:
            try:
                while head := self._head(connection):
                    heads += self._answer(connection, file.fileno(), head)
            except OSError:
                pass  # the client was killed, or has what it wants
            left = bytes_that_left(connection) - heads
        with self._lock:
            self.left += left
            self.connections += 1
            self._open -= 1

    @staticmethod
    def _head(connection: socket.socket) -> str:
        received = b""
        while b"\r\n\r\n" not in received:
            piece = connection.recv(65536)
            if not piece:
                return ""
            received += piece
        return received.decode("latin-1").lower()

    def _answer(self, connection: socket.socket, fd: int, asked: str) -> int:
        """Sends one answer; gives the bytes of its head."""
        size = os.fstat(fd).st_size
        first, after, status, more = 0, size, "200 OK", ""
        if "\r\nrange: bytes=" in asked:
            low, _, high = asked.partition("\r\nrange: bytes=")[2].partition("\r\n")[0].partition("-")
            first, after, status = int(low), int(high) + 1 if high else size, "206 Partial Content"
            more = f"Content-Range: bytes {first}-{after - 1}/{size}\r\n"
        if first >= size:
            head = f"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */{size}\r\nContent-Length: 0\r\n\r\n"
            connection.sendall(head.encode())
            return len(head)
        fields = f'Content-Length: {after - first}\r\nETag: "b"\r\nAccept-Ranges: bytes\r\n{more}'
        head = f"HTTP/1.1 {status}\r\n{fields}\r\n"
        connection.sendall(head.encode())
        with self._lock:
            self.requests += 1
        due = time.monotonic()
        while first < after:
            count = os.sendfile(connection.fileno(), fd, first, min(after - first, _PIECE_BYTES))
            first += count
            due = max(due, time.monotonic() - _PIECE_BYTES / self.bytes_per_second) + count / self.bytes_per_second
            time.sleep(max(0.0, due - time.monotonic()))
            with self._lock:
                self.given += count
        return len(head)

    def close(self) -> None:
        """Stops listening, and waits for the ends of the connections: their clients have ended."""
        self.listener.close()
        end = time.monotonic() + 10
        while self._open and time.monotonic() < end:
            time.sleep(0.05)


def bytes_that_left(connection: socket.socket) -> int:
    """How much a TCP connection sent, each byte once (struct tcp_info of linux/tcp.h, since Linux 4.19)."""
    about = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 216)
    sent, again = struct.unpack_from("=QQ", about, 200)
    return int(sent - again)


@dataclass(frozen=True)
class Result:
    """What came of it."""

    kills: int
    seconds: float
    left_bytes: int  # of bodies, the server
    given_bytes: int  # of bodies, to the server's own kernel
    connections: int
    requests: int
    wrong: tuple[str, ...]  # what is not as it must be; empty is right


def run(folder: Path, size: int, kills: int, processes: int, rate: int, seed: int) -> Result:
    """The whole ordeal in one directory."""
    chance = random.Random(seed)
    source = folder / "source.bin"
    digest = make_file(source, size)
    server = Counting(source, rate)
    environ = {**os.environ, "ZOO_CACHE": str(folder / "cache"), "NO_PROXY": "*"}
    places = [folder / f"p{number}" / "x.bin" for number in range(processes)]

    def start(place: Path) -> subprocess.Popen[bytes]:
        words = ["fetch", server.url, "-o", str(place), "--sha256", digest, "-q"]
        return subprocess.Popen([sys.executable, "-m", "zoo_cli", *words], env=environ, stdout=subprocess.DEVNULL)

    began = time.monotonic()
    running = [start(place) for place in places]
    done = 0
    # Spread over the time that the download takes with as many connections as one host gets (transfer/pool.py).
    pause = max(0.02, size / (rate * 24) / max(1, kills))
    while done < kills and any(each.poll() is None for each in running):
        time.sleep(chance.uniform(0, 2 * pause))
        victim = chance.randrange(processes)
        if running[victim].poll() is None:
            running[victim].send_signal(signal.SIGKILL)
            running[victim].wait()
            done += 1
            running[victim] = start(places[victim])
    codes = [each.wait(timeout=600) for each in running]
    seconds = time.monotonic() - began
    server.close()
    counts = server.left, server.given, server.connections, server.requests
    return Result(done, seconds, *counts, tuple(_wrong(folder, places, codes, digest, source)))


def _wrong(folder: Path, places: list[Path], codes: list[int], digest: str, source: Path) -> list[str]:
    found = [f"exit codes {codes}"] if any(codes) else []
    for place in places:
        same = subprocess.run(["cmp", "-s", str(place), str(source)], check=False).returncode == 0
        names = sorted(each.name for each in place.parent.iterdir())
        found += [] if same else [f"{place} has other bytes"]
        found += [] if names == ["x.bin"] else [f"{place.parent} has {names}"]
    kept = sorted(each.name for each in (folder / "cache" / "sha256" / digest[:2]).iterdir())
    return found + ([] if kept == [digest] else [f"the store has {kept}"])


def main() -> None:
    """Runs it and says what came of it; exit 1 when something is wrong or 2 % or more were fetched again."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=1024, metavar="MIB")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--rate", type=int, default=4_000_000, help="bytes a second of one connection")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="zoo-kills-"))
    try:
        size = asked.size * MIB
        result = run(folder, size, asked.kills, asked.processes, asked.rate, asked.seed)
    finally:
        shutil.rmtree(folder)
    again = result.left_bytes / size - 1
    held = (result.given_bytes - result.left_bytes) / size
    print(f"{asked.size} MiB, {asked.processes} processes, {result.kills} kills in {result.seconds:.1f} s, "
          f"{result.connections} connections, {result.requests} requests: {100 * again:.2f} % fetched again "
          f"(and {100 * held:.2f} % never left the server's send buffers)")  # fmt: skip
    print("\n".join(result.wrong) or "every file is right, nothing is left behind")
    raise SystemExit(bool(result.wrong) or again >= 0.02)


if __name__ == "__main__":
    main()
