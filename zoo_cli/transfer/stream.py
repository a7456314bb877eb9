"""A connected socket read as HTTP/1.1: one head in bounded time, then a body framed by length, chunks or the end.

Edge: sockets and the clock. RFC 9112 where it matters to a client: interim answers are read over, a body has one
length, a chunked body ends with its last chunk. Everything that comes has a limit: a head 64 KiB and 100 fields, a
line of chunks 4 KiB.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import time
from typing import NamedTuple

MAX_HEAD_BYTES = 64 * 1024
_MAX_FIELDS = 100
_MAX_LINE_BYTES = 4096
_MAX_INTERIM = 8  # 1xx answers before the real one
_BEGINNING = b"HTTP/1."
_STATUS = re.compile(r"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: (.*))?\Z")
_RECEIVE_BYTES = 64 * 1024
_GATHER_BYTES = 1 << 20
_GATHER_SECONDS = 0.01


class Malformed(ValueError):
    """What came is no HTTP; the text says what is wrong with it."""


class Ended(ConnectionError):
    """The connection ended inside a head or a chunk."""


class Head(NamedTuple):
    """Status line and fields of an answer."""

    status: int
    reason: str
    fields: dict[str, str]  # names in lower case; of several equal ones the last
    lengths: tuple[str, ...]  # every Content-Length
    closes: bool  # the connection ends with this answer


def parse_head(data: bytes) -> Head:
    """The head of an answer, without the blank line at its end.

    Raises:
        Malformed: It is none.
    """
    first, *lines = data.decode("latin-1").replace("\r\n", "\n").rstrip("\n").split("\n")
    found = _STATUS.match(first)
    if not found:
        raise Malformed("it does not begin with a status of HTTP/1")
    if len(lines) > _MAX_FIELDS:
        raise Malformed(f"it has more than {_MAX_FIELDS} fields")
    fields: dict[str, str] = {}
    lengths: list[str] = []
    name = ""
    for line in lines:
        if name and line[:1] in " \t" and line:  # folded by an old server (RFC 9112, section 5.2)
            fields[name] += " " + line.strip()
            continue
        key, colon, value = line.partition(":")
        name = key.strip().lower()
        if not colon or not name:
            raise Malformed("a line of its head is no field")
        fields[name] = value = value.strip()
        if name == "content-length":
            lengths.append(value)
    options = [each.strip() for each in fields.get("connection", "").lower().split(",")]
    closes = "close" in options or (found[1] == "0" and "keep-alive" not in options)
    return Head(int(found[2]), found[3] or "", fields, tuple(lengths), closes)


class Stream:
    """A socket, and what was read from it too early."""

    def __init__(self, sock: socket.socket, *, is_final: bool = False) -> None:
        """Takes a connected socket.

        Args:
            sock: Connected.
            is_final: Whether nothing else will read from it. Then the system keeps its time limits where it can: Python
                asks before each read whether there is anything, which is a call more and a switch of threads.
        """
        self.sock = sock
        self._early = memoryview(b"")
        self._timeout: float | None = -1.0
        self._is_tls = hasattr(sock, "cipher")
        self._is_timed_by_system = is_final and not self._is_tls and os.name == "posix"
        if self._is_timed_by_system:
            sock.settimeout(None)

    def send(self, data: bytes, seconds: float) -> None:
        """Sends all of it."""
        self._wait_at_most(seconds)
        try:
            self.sock.sendall(data)
        except BlockingIOError as exc:
            raise TimeoutError("nothing could be sent in time") from exc

    def head(self, stall_seconds: float) -> Head:
        """The head of the answer that counts, within the time that one read may take: a head is small.

        Raises:
            Malformed, Ended, OSError: There is none.
        """
        until = time.monotonic() + stall_seconds
        for _ in range(_MAX_INTERIM):
            head = parse_head(self._head_bytes(until, stall_seconds))
            if head.status == 101 or head.status >= 200:
                return head
        raise Malformed("there is no end of interim answers")

    def _head_bytes(self, until: float, stall_seconds: float) -> bytes:
        data = bytes(self._early)
        self._early = memoryview(b"")
        while True:
            while data[:2] == b"\r\n":  # an empty line before the status (RFC 9112, section 2.2)
                data = data[2:]
            if not data.startswith(_BEGINNING[: len(data)]):
                raise Malformed("it does not begin with a status of HTTP/1")
            ends = [found + len(mark) for mark in (b"\r\n\r\n", b"\n\n") if (found := data.find(mark)) >= 0]
            if ends and min(ends) <= MAX_HEAD_BYTES:
                break
            if ends or len(data) > MAX_HEAD_BYTES:
                raise Malformed(f"its head is longer than {MAX_HEAD_BYTES} bytes")
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError("the head did not come in time")
            self._wait_at_most(min(left, stall_seconds) if data else stall_seconds)
            try:
                piece = self.sock.recv(_RECEIVE_BYTES)
            except BlockingIOError as exc:
                raise TimeoutError("the head did not come in time") from exc
            if not piece:
                raise Ended("inside the head" if data else "the connection was closed without an answer")
            data = data + piece if data else piece
        self._early = memoryview(data)[min(ends) :]
        return data[: min(ends)]

    def read_into(self, view: memoryview, seconds: float) -> int:
        """Bytes that are there, at least one, at most the view's length; 0 at the end of the stream."""
        if self._early:
            count = min(len(view), len(self._early))
            view[:count] = self._early[:count]
            self._early = self._early[count:]
            return count
        self._wait_at_most(seconds)
        try:
            count = self.sock.recv_into(view)
        except BlockingIOError as exc:
            raise TimeoutError("nothing came in time") from exc
        return self._more_records(view, count) if self._is_tls and count else count

    def _more_records(self, view: memoryview, count: int) -> int:
        """TLS gives one record of 16 KiB at a time: gathers what comes at once, so that each costs one call."""
        until, whole = time.monotonic() + _GATHER_SECONDS, min(len(view), _GATHER_BYTES)
        receive = self.sock.recv_into
        try:
            while count < whole and time.monotonic() < until:
                got = receive(view[count:])
                if not got:
                    break  # the end is told by the next read
                count += got
        except OSError:
            self._timeout = -1.0  # so is a failure, of which this socket has more
        return count

    def line(self, seconds: float) -> bytes:
        """The next line, without its end."""
        found = bytearray()
        byte = memoryview(bytearray(1))
        while len(found) < _MAX_LINE_BYTES:
            if not self._early:
                block = memoryview(bytearray(_RECEIVE_BYTES))
                count = self.read_into(block, seconds)
                if not count:
                    raise Ended("inside a line")
                self._early = block[:count]
            self.read_into(byte, seconds)
            if byte[0] == 10:
                return bytes(found).rstrip(b"\r")
            found += byte
        raise Malformed("a line of its chunks is too long")

    def _wait_at_most(self, seconds: float) -> None:
        if seconds == self._timeout:
            return
        self._timeout = seconds
        if not self._is_timed_by_system:
            self.sock.settimeout(seconds)
            return
        microseconds = max(1000, int(seconds * 1e6))  # none at all would be for ever
        limit = struct.pack("@ll", *divmod(microseconds, 10**6))  # struct timeval
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing was read too early: a connection with more than its answers is not used again."""
        return not self._early


class Chunks:
    """A chunked body (RFC 9112, section 7.1)."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._left = 0  # bytes of this chunk
        self._begun = False
        self.is_complete = False

    def read_into(self, view: memoryview, seconds: float) -> int:
        """Bytes that are there; 0 at the end of the body.

        Raises:
            Malformed: The chunks are broken.
            Ended: The connection ended before the last chunk.
        """
        if self.is_complete:
            return 0
        if not self._left and not self._next(seconds):
            return 0
        count = self._stream.read_into(view[: self._left], seconds)
        if not count:
            raise Ended("inside a chunk")
        self._left -= count
        return count

    def _next(self, seconds: float) -> bool:
        """Begins the next chunk; False: that was the last."""
        if self._begun and self._stream.line(seconds):
            raise Malformed("a chunk has not the size it says")
        self._begun = True
        size = self._stream.line(seconds).partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", size):
            raise Malformed("a chunk has no size")
        self._left = int(size, 16)
        if not self._left:
            self._end(seconds)
        return self._left > 0

    def _end(self, seconds: float) -> None:
        for _ in range(_MAX_FIELDS):
            if not self._stream.line(seconds):
                self.is_complete = True
                return
        raise Malformed("there is no end of fields after its chunks")
