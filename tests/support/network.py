"""Networks that fail, on loopback: a relay that is also an HTTP proxy, a name server, addresses that never answer.

with Relay(to=server.port) as relay:            # or Relay(): an HTTP proxy, also for CONNECT
    relay.next = ["reset", "die"]               # what becomes of the next connections; later ones are honest
with Resolver("127.53.0.7", ["servfail"]) as resolver: ...
held = stuck(socket.AF_INET6, "::1", port)
"""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

DIES_AFTER = 900_000  # bytes that came back through the relay


def stuck(family: int, host: str, port: int) -> list[socket.socket]:
    """An address that answers nothing: its queue is full, so the kernel drops what comes (a host behind a firewall).

    The sockets are to be closed in the end.
    """
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(0)
    held = [listener]
    for _ in range(4):
        sock = socket.socket(family)
        sock.setblocking(False)
        sock.connect_ex((host, port))
        held.append(sock)
    return held


class _Loopback:
    """What serves from a thread until its sockets are closed; a context manager."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._open: list[socket.socket] = []  # closed with it
        self._stopping = threading.Event()

    def _serve(self) -> None:
        """Runs in the thread; a socket that was closed ends it."""
        raise NotImplementedError

    def _run(self) -> None:
        with suppress(OSError):
            self._serve()

    def __enter__(self) -> Self:
        threading.Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


class Relay(_Loopback):
    """Passes connections on: to one port of this computer, or as an HTTP proxy to any, whatever the host is called.

    `next` has what becomes of the next connections: reset (RST after the first bytes), mute (nothing is ever answered),
    refuse (403), login (407), die (the connection ends after `DIES_AFTER` bytes), pass.
    """

    def __init__(self, to: int | None = None) -> None:
        super().__init__(socket.create_server(("127.0.0.1", 0)))
        self._to = to
        self.next: list[str] = []
        self.always = "pass"
        self.seen: list[str] = []  # request lines that came as to a proxy

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def _serve(self) -> None:
        while True:
            client, _place = self._listener.accept()
            self._open.append(client)
            how = self.next.pop(0) if self.next else self.always
            threading.Thread(target=self._one, args=(client, how), daemon=True).start()

    def _one(self, client: socket.socket, how: str) -> None:
        with suppress(OSError), client:
            first = client.recv(65536)
            if how == "mute":
                self._stopping.wait()
            elif how == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            elif how in ("refuse", "login"):
                status = "403 Forbidden" if how == "refuse" else "407 Proxy Authentication Required"
                more = '\r\nProxy-Authenticate: Basic realm="x"' if how == "login" else ""
                client.sendall(f"HTTP/1.1 {status}{more}\r\nContent-Length: 0\r\n\r\n".encode())
            else:
                self._pass(client, first, DIES_AFTER if how == "die" else None)

    def _pass(self, client: socket.socket, first: bytes, limit: int | None) -> None:
        port = self._to
        if port is None:
            line = first.partition(b"\r\n")[0].decode("latin-1")
            self.seen.append(line)
            found = re.search(r":(\d+)", line.replace("http://", ""))
            port = int(found[1]) if found else 80
        with socket.create_connection(("127.0.0.1", port)) as upstream:
            self._open.append(upstream)
            if self._to is None and first.startswith(b"CONNECT"):
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                upstream.sendall(first)
            threading.Thread(target=_pump, args=(client, upstream, None), daemon=True).start()
            _pump(upstream, client, limit)


def _pump(source: socket.socket, target: socket.socket, limit: int | None) -> None:
    passed = 0
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
            passed += len(data)
            if limit is not None and passed >= limit:
                return
        target.shutdown(socket.SHUT_WR)


class Resolver(_Loopback):
    """A name server on port 53 of a loopback address: every name is 127.0.0.1, and has no IPv6 address.

    Args:
        host: An address of 127/8 of its own.
        next_: What the first questions get: servfail, nxdomain, or mute (no answer at all).
        always: What later ones get: answer, or one of these.

    Raises:
        PermissionError: Only root may listen on port 53.
    """

    def __init__(self, host: str, next_: list[str], always: str = "answer") -> None:
        super().__init__(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._next, self._always = list(next_), always
        self.asked = 0
        self._listener.bind((host, 53))

    def _serve(self) -> None:
        while True:
            question, client = self._listener.recvfrom(4096)
            if not client:
                return
            self.asked += 1
            how = self._next.pop(0) if self._next else self._always
            if how != "mute":
                self._listener.sendto(_answer(question, how), client)


def _answer(question: bytes, how: str) -> bytes:
    """The answer to one question (RFC 1035, section 4.1)."""
    end = 12
    while question[end]:
        end += 1 + question[end]
    asked = question[12 : end + 5]
    is_a = asked[-4:-2] == b"\x00\x01" and how == "answer"
    code = {"answer": 0, "servfail": 2, "nxdomain": 3}[how]
    head = question[:2] + bytes([0x81, 0x80 | code]) + b"\x00\x01" + bytes([0, int(is_a)]) + bytes(4)
    record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04" + socket.inet_aton("127.0.0.1")
    return head + asked + (record if is_a else b"")
