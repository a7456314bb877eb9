"""A real HTTP server on loopback, honest by default and able to misbehave in each way the transfer room must survive.

    with Server({"/a.whl": wheel_bytes, "/page/": Page(html)}) as server:
        server.misbehave("/a.whl", Cut(after=1000))     # the next request; later ones are honest
        server.always("/b.pth", Status(404))            # every request
        fetch(... server.url("/a.whl") ...)
        assert server.requests_for("/a.whl")[1].range == "bytes=1000-"

A directory can be served instead: `Server(root=path)`. Files have strong ETags made of their content, ranges with
If-Range, HEAD, and the content types that matter here. The server binds 127.0.0.1 port 0 and stops with the `with`.
It knows nothing of zoo, so that it can also serve pip, uv and curl.
"""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from typing_extensions import Self

_TYPES = {".html": "text/html; charset=utf-8", ".json": "application/json", ".yaml": "text/yaml", ".py": "text/plain"}


@dataclass(frozen=True)
class Request:
    """One request as it arrived; header names in lower case."""

    method: str
    path: str  # as sent, with the query
    headers: Mapping[str, str]
    client: tuple[str, int] = ("", 0)  # the other end of its connection

    @property
    def range(self) -> str | None:
        return self.headers.get("range")


@dataclass(frozen=True)
class Page:
    """A body with a content type of its own, and more headers if wanted."""

    body: bytes
    content_type: str = "text/html; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Exchange:
    """What a behaviour gets: the handler's socket, the honest body and validators, and what was asked."""

    handler: BaseHTTPRequestHandler
    request: Request
    body: bytes
    content_type: str
    stopping: threading.Event

    @property
    def etag(self) -> str:
        return _etag_of(self.body)

    def head(self, status: int, headers: Mapping[str, str | int] | None = None) -> None:
        self.handler.send_response(status)
        for name, value in (headers or {}).items():
            self.handler.send_header(name, str(value))
        self.handler.end_headers()

    def send(self, data: bytes | memoryview) -> None:
        if self.request.method != "HEAD":
            self.handler.wfile.write(data)

    def wait(self, seconds: float) -> None:
        """Sends what is buffered and sleeps, but not longer than the server lives."""
        self.handler.wfile.flush()
        self.stopping.wait(seconds)

    def close(self) -> None:
        """The connection ends after this exchange."""
        self.handler.close_connection = True

    def asked(self) -> tuple[int, int] | None:
        """First and last byte asked for, when Range is there and If-Range (if any) holds."""
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.request.range or "")
        condition = self.request.headers.get("if-range")
        if not wanted or (condition and condition != self.etag):
            return None
        first, last = wanted.groups()
        size = len(self.body)
        if not first:
            return max(0, size - int(last)), size - 1
        return int(first), min(size - 1, int(last) if last else size - 1)

    def honest(self, *, extra: Mapping[str, str] | None = None) -> None:
        """Answers as a good server does."""
        headers: dict[str, str | int] = {
            "Content-Type": self.content_type, "ETag": self.etag, "Accept-Ranges": "bytes", **(extra or {}),
        }  # fmt: skip
        asked = self.asked()
        if asked is None:
            self.head(200, {**headers, "Content-Length": len(self.body)})
            self.send(self.body)
        elif asked[0] >= len(self.body):
            self.head(416, {"Content-Range": f"bytes */{len(self.body)}", "Content-Length": 0})
        else:
            first, last = asked
            self.head(206, {
                **headers, "Content-Length": last + 1 - first,
                "Content-Range": f"bytes {first}-{last}/{len(self.body)}",
            })  # fmt: skip
            self.send(memoryview(self.body)[first : last + 1])

    def start(self) -> memoryview:
        """Sends an honest head and returns the honest body, for behaviours that spoil only the body."""
        asked = self.asked()
        first = asked[0] if asked else 0
        headers: dict[str, str | int] = {"ETag": self.etag, "Content-Length": len(self.body) - first}
        if asked:
            headers["Content-Range"] = f"bytes {first}-{len(self.body) - 1}/{len(self.body)}"
        self.head(206 if asked else 200, headers)
        return memoryview(self.body)[first:]


Behaviour = Callable[[Exchange], None]


def honest(exchange: Exchange) -> None:
    """The good answer, for use among others: `misbehave(path, Cut(10), honest, Cut(10))`."""
    exchange.honest()


@dataclass(frozen=True)
class Cut:
    """Sends `after` bytes of the body and closes the connection; `reset` sends RST instead."""

    after: int
    reset: bool = False

    def __call__(self, exchange: Exchange) -> None:
        exchange.send(exchange.start()[: self.after])
        exchange.handler.wfile.flush()
        exchange.close()
        if self.reset:
            linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
            exchange.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


@dataclass(frozen=True)
class Stall:
    """Sends `after` bytes and then nothing, with the connection open."""

    after: int
    seconds: float = 60

    def __call__(self, exchange: Exchange) -> None:
        exchange.send(exchange.start()[: self.after])
        exchange.handler.wfile.flush()
        exchange.wait(self.seconds)
        exchange.close()


@dataclass(frozen=True)
class Trickle:
    """Sends the body in pieces of `piece` bytes, one every `every` seconds."""

    piece: int = 1
    every: float = 0.02
    after: int = 0  # bytes sent at full speed first

    def __call__(self, exchange: Exchange) -> None:
        body = exchange.start()
        exchange.send(body[: self.after])
        for start in range(self.after, len(body), self.piece):
            if exchange.stopping.is_set():
                break
            exchange.send(body[start : start + self.piece])
            exchange.handler.wfile.flush()
            exchange.wait(self.every)


@dataclass(frozen=True)
class TrickleHead:
    """Never finishes its header block: one header a moment."""

    every: float = 0.02

    def __call__(self, exchange: Exchange) -> None:
        exchange.handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(10_000):
            if exchange.stopping.is_set():
                break
            exchange.handler.wfile.write(b"X-%d: y\r\n" % number)
            exchange.handler.wfile.flush()
            exchange.wait(self.every)
        exchange.close()


@dataclass(frozen=True)
class Status:
    """Answers with a status, for example `Status(503, {"Retry-After": "1"})`."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"<html><title>error</title></html>"

    def __call__(self, exchange: Exchange) -> None:
        exchange.head(self.status, {"Content-Type": "text/html", "Content-Length": len(self.body), **self.headers})
        exchange.send(self.body)


@dataclass(frozen=True)
class Redirect:
    """Sends the client elsewhere."""

    to: str
    status: int = 302

    def __call__(self, exchange: Exchange) -> None:
        exchange.head(self.status, {"Location": self.to, "Content-Length": 0})


@dataclass(frozen=True)
class WrongBytes:
    """The right length and status, other bytes: the one at `at` is flipped."""

    at: int = 0

    def __call__(self, exchange: Exchange) -> None:
        spoiled = bytearray(exchange.body)
        spoiled[self.at] ^= 0xFF
        etag = exchange.etag
        exchange.body = bytes(spoiled)
        exchange.honest(extra={"ETag": etag})


@dataclass(frozen=True)
class OtherFile:
    """Another file altogether, with its own ETag: it changed upstream between two attempts."""

    body: bytes

    def __call__(self, exchange: Exchange) -> None:
        exchange.body = self.body
        exchange.honest()


@dataclass(frozen=True)
class HtmlPage:
    """A login or error page with status 200 in place of the file."""

    content_type: str = "text/html"
    body: bytes = b"<!DOCTYPE html><html><title>Sign in</title></html>"

    def __call__(self, exchange: Exchange) -> None:
        exchange.head(200, {"Content-Type": self.content_type, "Content-Length": len(self.body)})
        exchange.send(self.body)


def ignores_range(exchange: Exchange) -> None:
    """Sends the whole file with 200 whatever is asked."""
    exchange.head(200, {"ETag": exchange.etag, "Content-Length": len(exchange.body)})
    exchange.send(exchange.body)


@dataclass(frozen=True)
class WrongContentRange:
    """Answers 206 with a Content-Range that was not asked for; the body fits neither."""

    value: str = "bytes 0-9/10"

    def __call__(self, exchange: Exchange) -> None:
        exchange.head(206, {
            "ETag": exchange.etag, "Content-Range": self.value, "Content-Length": len(exchange.body),
        })  # fmt: skip
        exchange.send(exchange.body)


@dataclass(frozen=True)
class Endless:
    """A body without an end and without a length, close-delimited; or with a `length` of its own."""

    length: int | None = None
    limit: int = 1 << 30

    def __call__(self, exchange: Exchange) -> None:
        exchange.head(200, {"Connection": "close"} if self.length is None else {"Content-Length": self.length})
        exchange.close()
        block, sent = exchange.body or bytes(65536), 0
        while sent < self.limit and not exchange.stopping.is_set():
            exchange.send(block)
            sent += len(block)


@dataclass(frozen=True)
class Chunked:
    """The honest body in chunks, without a length; `cut_after` chunks ends it without the last chunk."""

    size: int = 1000
    cut_after: int | None = None

    def __call__(self, exchange: Exchange) -> None:
        exchange.head(200, {"Transfer-Encoding": "chunked", "ETag": exchange.etag})
        body = memoryview(exchange.body)
        for number, start in enumerate(range(0, len(body), self.size)):
            if number == self.cut_after:
                exchange.close()
                return
            piece = body[start : start + self.size]
            exchange.send(b"%x\r\n" % len(piece) + bytes(piece) + b"\r\n")
        exchange.send(b"0\r\n\r\n")


@dataclass(frozen=True)
class Raw:
    """Any bytes as the whole answer, then the connection closes."""

    data: bytes

    def __call__(self, exchange: Exchange) -> None:
        exchange.handler.wfile.write(self.data)
        exchange.close()


@dataclass(frozen=True)
class Slow:
    """The honest answer at about so many bytes a second (to be killed in the middle)."""

    bytes_per_second: int
    step: float = 0.02

    def __call__(self, exchange: Exchange) -> None:
        body = exchange.start()
        piece = max(1, int(self.bytes_per_second * self.step))
        for start in range(0, len(body), piece):
            if exchange.stopping.is_set():
                break
            exchange.send(body[start : start + piece])
            exchange.wait(self.step)


class Uplink:
    """Honest answers over one line: all connections together get about so many bytes a second; may be changed."""

    def __init__(self, bytes_per_second: int, piece: int = 4096) -> None:
        self.bytes_per_second, self._piece = bytes_per_second, piece
        self.sent = 0  # bytes of bodies
        self._free_at = 0.0
        self._lock = threading.Lock()

    def __call__(self, exchange: Exchange) -> None:
        at_once = exchange.send

        def send(data: bytes | memoryview) -> None:
            for start in range(0, len(data), self._piece):
                if exchange.stopping.is_set():
                    break
                exchange.wait(self._turn())
                piece = data[start : start + self._piece]
                at_once(piece)
                with self._lock:
                    self.sent += len(piece)

        exchange.send = send  # type: ignore[method-assign]
        exchange.honest()

    def _turn(self) -> float:
        """Seconds until the line is free for the next piece."""
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + self._piece / self.bytes_per_second
            return self._free_at - now


@lru_cache(maxsize=4)
def _bytes_of(path: Path, _changed: int) -> bytes:
    """A file, read once while it stays as it is: a wheel of 200 MB is asked for in many ranges."""
    return path.read_bytes()


@lru_cache(maxsize=64)
def _etag_of(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:16]}"'


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def _answer(self) -> None:
        site: Server = self.server.site  # type: ignore[attr-defined]
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, self.client_address)
        path = unquote(urlsplit(self.path).path)
        behaviour, found = site.behaviour_for(request, path), site.body_of(path)
        exchange = Exchange(self, request, b"", "application/octet-stream", site.stopping)
        if isinstance(found, Page):
            exchange.body, exchange.content_type = found.body, found.content_type
        elif found is not None:
            exchange.body, exchange.content_type = found, _TYPES.get(Path(path).suffix, exchange.content_type)
        elif behaviour is None:
            behaviour = Status(404)
        try:
            if behaviour is not None:
                behaviour(exchange)
            else:
                exchange.honest(extra=found.headers if isinstance(found, Page) else None)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.close_connection = True  # the client went away, as it may

    do_GET = do_HEAD = _answer  # noqa: N815

    def finish(self) -> None:
        """Closes both files also when the client is gone with bytes still to be sent."""
        try:
            super().finish()
        except OSError:
            self.rfile.close()

    def log_message(self, *_args: object) -> None:
        """Quiet."""


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, *_args: object) -> None:
        """A client that went away is no news."""


class _Http6(_Http):
    address_family = socket.AF_INET6


class Server:
    """The server; see the module's text. `files` maps a path to its bytes, a Page, or a file to read from disk."""

    def __init__(
        self,
        files: Mapping[str, bytes | Page | Path] | None = None,
        *,
        root: Path | None = None,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.files: dict[str, bytes | Page | Path] = dict(files or {})
        self.root = root
        self.requests: list[Request] = []
        self.stopping = threading.Event()
        self._next: dict[str, list[Behaviour]] = {}
        self._always: dict[str, Behaviour] = {}
        self._lock = threading.Lock()
        self._http = (_Http6 if ":" in host else _Http)((host, 0), _Handler)
        self._http.site = self  # type: ignore[attr-defined]
        self._scheme = "http"
        if tls:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
            self._scheme = "https"
        self._host = f"[{host}]" if ":" in host else host
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    def url(self, path: str = "/") -> str:
        return f"{self._scheme}://{self._host}:{self.port}{path}"

    def misbehave(self, path: str, *behaviours: Behaviour) -> None:
        """The next requests for the path get these behaviours, in order; then the usual one."""
        self._next.setdefault(path, []).extend(behaviours)

    def always(self, path: str, behaviour: Behaviour) -> None:
        """Every request for the path, after those of `misbehave`, gets this behaviour."""
        self._always[path] = behaviour

    def behave(self) -> None:
        """Forgets every behaviour that was asked for and has not come to pass."""
        self._next.clear()
        self._always.clear()

    def requests_for(self, path: str) -> list[Request]:
        """What was asked for the path, in order."""
        return [each for each in self.requests if urlsplit(each.path).path == path]

    def behaviour_for(self, request: Request, path: str) -> Behaviour | None:
        """Records the request and takes the behaviour for it; None is honest."""
        with self._lock:
            self.requests.append(request)
            waiting = self._next.get(path)
            return waiting.pop(0) if waiting else self._always.get(path)

    def body_of(self, path: str) -> bytes | Page | None:
        """The content under a path: from `files`, else from the directory, where an index page is made."""
        found: bytes | Page | Path | None = self.files.get(path)
        if found is None and self.root is not None and ".." not in path.split("/"):
            found = self.root / path.lstrip("/")
        if not isinstance(found, Path):
            return found
        if found.is_dir():
            page = found / "index.html"
            return Page(page.read_bytes() if page.is_file() else self._listing(found))
        return _bytes_of(found, found.stat().st_mtime_ns) if found.is_file() else None

    @staticmethod
    def _listing(folder: Path) -> bytes:
        names = sorted(each.name + "/" * each.is_dir() for each in folder.iterdir())
        return "".join(f'<a href="{name}">{name}</a><br>\n' for name in names).encode()

    def wait_for_request(self, path: str, count: int = 1, seconds: float = 10) -> None:
        """Returns when so many requests for the path have arrived."""
        end = time.monotonic() + seconds
        while len(self.requests_for(path)) < count:
            assert time.monotonic() < end, f"no request for {path} in {seconds} s"
            time.sleep(0.005)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
