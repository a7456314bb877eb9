"""`zoo mirror serve`: a directory over HTTP, for a lab.

Edge: sockets, threads, signals. The standard library's server reads requests; what it lacks for files stands here:
one range (RFC 9110), validators, pages by what the client accepts (PEP 691), and limits. Only GET and HEAD; plain files
below the root, each step opened without following links; no hidden names. At most so many connections at once: one
more waits in the system's queue, and gets the place of one that is kept open between two requests. A request within
30 s, and a client that takes less than 1 MiB in a minute is left. No TLS and no passwords: a web server in front has
them.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import stat
import threading
import time
from contextlib import contextmanager, suppress
from email.utils import formatdate, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from zoo_cli.errors import ZooError
from zoo_cli.mirror.pages import HTML_TYPE, JSON_TYPE

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

MAX_CONNECTIONS = 256  # two open files each, while many systems allow a process 1024
_WAITING = 1024  # connections that the system keeps for us meanwhile
_REQUEST_SECONDS = 30.0  # from one answer to the end of the next request's head
_BLOCK_SECONDS = 60.0  # for each block of a body
_LOOK_SECONDS = 0.5  # how often connections whose time is over are looked for
_BLOCK = 1 << 20
_PORT_TROUBLE = (errno.EADDRINUSE, errno.EACCES)
_TYPES = {".html": HTML_TYPE, ".json": "application/json", ".metadata": "text/plain; charset=utf-8"}
_WELCOME = b"""A mirror that zoo mirror sync made. On a machine that shall use it, ADDRESS being what you opened:

zoo mirror use ADDRESS
pip install --index-url ADDRESS/simple/ PACKAGE
pip install --no-index --find-links ADDRESS/wheels/ PACKAGE
"""
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z")


class CannotServe(ZooError):
    """The directory cannot be opened, the host is none of this computer, or the port is not to be had."""

    code = "cannot-serve"

    trouble: Literal["directory", "host", "port"]
    what: str
    reason: str


class Served(NamedTuple):
    """One answer, for whoever listens."""

    client: str
    method: str
    path: str
    status: int
    bytes_sent: int


class FileServer(ThreadingHTTPServer):
    """The server of one directory; `serve_until_stopped` runs it."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = _WAITING

    def __init__(self, root: Path, host: str, port: int, listen: Callable[[Served], None]) -> None:
        """Opens the directory and the socket.

        Raises:
            CannotServe: One of them cannot be opened.
        """
        self.listen = listen
        self._changed = threading.Condition()  # guards the next three, and tells when one rests or ends
        self._deadlines: dict[socket.socket, float] = {}
        self._resting: dict[socket.socket, None] = {}  # those between two requests, the longest first
        self._ended: set[socket.socket] = set()  # those that are shut and not yet closed
        try:
            self.root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as exc:
            raise CannotServe("directory", str(root), exc.strerror or str(exc)) from exc
        try:
            if ":" in host:
                import socket as sockets

                self.address_family = sockets.AF_INET6
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as exc:
            self._close_root()  # a failed bind has closed it already
            trouble: Literal["host", "port"] = "port" if getattr(exc, "errno", 0) in _PORT_TROUBLE else "host"
            reason = getattr(exc, "strerror", None) or str(exc)
            raise CannotServe(trouble, f"{host} port {port}", reason) from exc

    @property
    def url(self) -> str:
        """Its address as a client of this computer writes it."""
        host, port = self.server_address[:2]
        text = host.decode() if isinstance(host, bytes | bytearray) else str(host)
        return f"http://[{text}]:{port}/" if ":" in text else f"http://{text}:{port}/"

    def server_bind(self) -> None:
        """Binds without asking a name server who we are, as http.server would."""
        import socketserver

        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def get_request(self) -> tuple[socket.socket, Any]:
        """The next connection, when there is room for it; else it goes on waiting in the system's queue.

        Raises:
            OSError: There was no room for half a second, or the client is gone.
        """
        with self._changed:
            if not self._changed.wait_for(self._has_room, _LOOK_SECONDS):
                raise BlockingIOError
        request, address = super().get_request()
        with self._changed:
            self._deadlines[request] = time.monotonic() + _REQUEST_SECONDS
        return request, address

    def _has_room(self) -> bool:
        """Whether one more may come; one that rests is asked to go for it, if none is on its way out."""
        is_full = len(self._deadlines) >= MAX_CONNECTIONS
        if is_full and self._resting and not self._ended:
            self._end(next(iter(self._resting)))
        return not is_full

    def extend(self, connection: socket.socket, seconds: float, *, resting: bool = False) -> None:
        """Gives a connection so many seconds for what it does next; `resting`: nothing before its next request."""
        with self._changed:
            self._resting.pop(connection, None)
            if connection in self._deadlines:
                self._deadlines[connection] = time.monotonic() + seconds
                if resting:
                    self._resting[connection] = None
                    self._changed.notify()

    def service_actions(self) -> None:
        """Twice a second: ends connections whose time is over."""
        now = time.monotonic()
        with self._changed:
            for each in [each for each, deadline in self._deadlines.items() if deadline < now]:
                self._end(each)

    def _end(self, connection: socket.socket) -> None:
        """Ends a connection; its thread forgets it."""
        self._resting.pop(connection, None)
        self._ended.add(connection)
        with suppress(OSError):
            connection.shutdown(2)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        """Closes a connection and forgets it."""
        with self._changed:
            self._deadlines.pop(request, None)
            self._resting.pop(request, None)
            self._ended.discard(request)
            self._changed.notify()
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""

    def server_close(self) -> None:
        """Closes socket, connections and directory."""
        super().server_close()
        with self._changed:
            for each in self._deadlines:
                self._end(each)
        self._close_root()

    def _close_root(self) -> None:
        if self.root_fd >= 0:
            os.close(self.root_fd)
        self.root_fd = -1


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    server: FileServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "zoo", ""
    timeout = _REQUEST_SECONDS
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def do_GET(self) -> None:
        """A file, or a page."""
        self.server.extend(self.connection, _BLOCK_SECONDS)
        status, sent = self._answered()
        self.server.listen(Served(self.client_address[0], self.command, self.path[:2000], status, sent))
        self.server.extend(self.connection, _REQUEST_SECONDS, resting=True)

    do_HEAD = do_GET  # noqa: N815

    def _answered(self) -> tuple[int, int]:
        if self.headers.get_all("Content-Length", ["0"]) != ["0"] or self.headers.get("Transfer-Encoding"):
            self.close_connection = True  # a body that nobody reads must not be taken for the next request
            return self._plain(400)
        parts = urlsplit(self.path) if self.path.startswith("/") and not self.path.startswith("//") else None
        segments = _segments(parts.path) if parts else None
        if parts is None or segments is None:
            return self._plain(404)
        with _opened(self.server.root_fd, segments) as fd:
            if fd is None:
                return self._plain(404)
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                return self._plain(404) if parts.path.endswith("/") else self._file(fd, _type_of(segments))
            if not parts.path.endswith("/"):
                return self._plain(301, {"Location": quote("/" + "/".join(segments) + "/")})
            return self._page(fd, is_root=not segments)

    def _page(self, folder: int, *, is_root: bool) -> tuple[int, int]:
        """The page of a directory: JSON for who asks for it (PEP 691), else HTML."""
        wants_json = JSON_TYPE in self.headers.get("Accept", "")
        for name, kind in (("index.json", JSON_TYPE), ("index.html", HTML_TYPE))[0 if wants_json else 1 :]:
            with _opened(folder, [name]) as fd:
                if fd is not None and stat.S_ISREG(os.fstat(fd).st_mode):
                    return self._file(fd, kind, {"Vary": "Accept"})
        return self._welcome() if is_root else self._plain(404)

    def _welcome(self) -> tuple[int, int]:
        """What a person finds who opens the address in a browser."""
        self._plain(200, {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(_WELCOME))})
        if self.command == "HEAD":
            return 200, 0
        self.wfile.write(_WELCOME)
        return 200, len(_WELCOME)

    def _plain(self, status: int, headers: dict[str, str] | None = None) -> tuple[int, int]:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **(headers or {})}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        return status, 0

    def _file(self, fd: int, kind: str, more: dict[str, str] | None = None) -> tuple[int, int]:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            return self._plain(404)
        etag, changed = f'"{about.st_mtime_ns:x}-{about.st_size:x}"', formatdate(about.st_mtime, usegmt=True)
        headers = {"ETag": etag, "Last-Modified": changed, "Accept-Ranges": "bytes", **(more or {})}
        if self._is_known(etag, about.st_mtime):
            return self._plain(304, headers)
        first, last, status = 0, about.st_size - 1, 200
        condition = self.headers.get("If-Range")
        if (asked := self.headers.get("Range")) and condition in (None, etag, changed):
            found = _range(asked, about.st_size)
            if found == ():
                return self._plain(416, {"Content-Range": f"bytes */{about.st_size}"})
            if found:
                (first, last), status = found, 206
                headers["Content-Range"] = f"bytes {first}-{last}/{about.st_size}"
        return self._send(fd, status, {**headers, "Content-Type": kind}, first, last + 1 - first)

    def _send(self, fd: int, status: int, headers: dict[str, str], first: int, count: int) -> tuple[int, int]:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(count)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return status, 0
        sent = 0
        try:
            self.wfile.flush()
            with open(fd, "rb", buffering=0, closefd=False) as file:
                while sent < count:
                    self.server.extend(self.connection, _BLOCK_SECONDS)
                    step = self.connection.sendfile(file, first + sent, min(_BLOCK, count - sent))
                    if not step:  # cut off while it was sent
                        break
                    sent += step
        except OSError:  # the client went away, or was too slow
            pass
        if sent < count:
            self.close_connection = True
        return status, sent

    def _is_known(self, etag: str, changed: float) -> bool:
        """Whether the client has this file already (RFC 9110, 13.2.2)."""
        if (tags := self.headers.get("If-None-Match")) is not None:
            return tags.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in tags.split(",")]
        try:
            since = parsedate_to_datetime(self.headers.get("If-Modified-Since", ""))
            return int(changed) <= since.timestamp()
        except (ValueError, TypeError, OverflowError):
            return False

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet: `Served` is told instead."""


def _segments(path: str) -> list[str] | None:
    """The steps of a request's path, decoded; None for one that leaves the tree or names something hidden."""
    try:
        parts = unquote(path, errors="strict").strip("/").split("/")
    except UnicodeDecodeError:
        return None
    if parts == [""]:
        return []
    is_bad = any(not part or part.startswith(".") or not part.isprintable() or "\\" in part for part in parts)
    return None if is_bad or len(parts) > 64 else parts


@contextmanager
def _opened(root: int, segments: list[str]) -> Iterator[int | None]:
    """A file or directory below an opened one, no link followed on the way; None when there is none."""
    fd = os.dup(root)
    try:
        for segment in segments:
            try:  # NONBLOCK: a pipe in the directory must not hold the thread
                below = os.open(segment, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=fd)
            except OSError:
                yield None
                return
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def _range(text: str, size: int) -> tuple[int, int] | tuple[()] | None:
    """First and last byte of one asked range; () when it lies outside; None: not one range, so the whole file."""
    found = _RANGE.match(text.strip())
    if not found or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        count = min(int(last), size)
        return (size - count, size - 1) if count else ()
    if last and int(last) < int(first):
        return None
    return (int(first), min(int(last or size), size - 1)) if int(first) < size else ()


def _type_of(segments: list[str]) -> str:
    name = segments[-1] if segments else ""
    if segments[:1] == ["simple"] and name.endswith(".json"):
        return JSON_TYPE
    return next((kind for end, kind in _TYPES.items() if name.endswith(end)), "application/octet-stream")


def serve_until_stopped(server: FileServer) -> None:
    """Serves until SIGINT or SIGTERM; open connections are ended then."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": _LOOK_SECONDS}, daemon=True)
    thread.start()
    try:
        while not stop.wait(3600):
            pass
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        for number, handler in before.items():
            signal.signal(number, handler)
