"""One HTTP/1.1 GET with limits: redirects followed here, head and body in bounded time, answers checked.

Edge: reads sockets and the clock. Nothing is decoded: `Accept-Encoding: identity` is asked, and a body that comes
encoded all the same is refused. `Content-Disposition` is ignored. Cookies and .netrc are not known here.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead
from typing import TYPE_CHECKING

from zoo_cli import __version__
from zoo_cli.transfer.addresses import MAX_REDIRECTS, Address, next_hop, parse_address, redacted
from zoo_cli.transfer.connect import basic, checked_proxy, connect, proxy_authorization
from zoo_cli.transfer.failures import BadAnswer, CutShort, Failed, HttpFailed, OfflineRefused, RedirectRefused, Stalled

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

    from zoo_cli.transfer.settings import Settings

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_INTERIM = 8  # 1xx answers before the real one


class _Response(HTTPResponse):
    """http.client takes 103 Early Hints for the final answer; this one reads on."""

    def begin(self) -> None:
        super().begin()
        for _ in range(_MAX_INTERIM):
            if not 101 < self.status < 200:
                return
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()


class Pace:
    """The minimum-speed rule: below the rate on average for a whole window means the address failed.

    Works on times and totals it is given, so it holds for any clock.
    """

    def __init__(self, url: str, settings: Settings, now: float) -> None:
        self._url, self._settings = url, settings
        self._since, self._before = now, 0

    def saw(self, now: float, total: int) -> None:
        """So many bytes of this answer are here at this time.

        Raises:
            Stalled: Too few since the window began.
        """
        elapsed = now - self._since
        if elapsed < self._settings.stall_seconds:
            return
        rate = (total - self._before) / elapsed
        if rate < self._settings.min_bytes_per_second:
            raise Stalled(self._url, round(elapsed, 1), total, round(rate, 1))
        self._since, self._before = now, total


@dataclass
class Answer:
    """The head of an answer and its body, to be read once; a context manager that closes the connection."""

    url: str  # where it came from after redirects, to show
    status: int
    reason: str
    headers: Mapping[str, str]  # names in lower case
    length: int | None  # bytes of this body; None when only its end tells
    response: HTTPResponse
    settings: Settings
    connection: _Connection
    received: int = 0

    def __post_init__(self) -> None:
        self._pace = Pace(self.url, self.settings, time.monotonic())
        self._chunked = bool(self.response.chunked)

    def read_into(self, view: memoryview) -> int:
        """Reads what is there into the view, at most its length; 0 is the honest end of the body.

        Raises:
            CutShort: The connection ended inside the body.
            Stalled: Nothing came in time, or too little.
            BadAnswer: The chunks are broken.
        """
        if self.length is not None:
            view = view[: self.length - self.received]
            if not view:
                return 0
        try:
            count = self._read(view)
        except TimeoutError as exc:
            raise Stalled(self.url, self.settings.stall_seconds, self.received, 0.0) from exc
        except IncompleteRead as exc:
            raise CutShort(self.url, self.received, self.length) from exc
        except HTTPException as exc:
            raise BadAnswer(self.url, f"its body is broken: {type(exc).__name__}") from exc
        except (OSError, ValueError) as exc:
            raise CutShort(self.url, self.received, self.length, getattr(exc, "strerror", None) or str(exc)) from exc
        if not count and self.length is not None:
            raise CutShort(self.url, self.received, self.length)
        self.received += count
        self._pace.saw(time.monotonic(), self.received)
        return count

    def _read(self, view: memoryview) -> int:
        if self._chunked:
            data = self.response.read1(len(view))
            view[: len(data)] = data
            return len(data)
        # One read of the socket at most: `HTTPResponse.readinto` would wait for the whole view, so a body that
        # trickles would never time out.
        count: int = self.response.fp.readinto1(view)
        return count

    def read(self, limit: int) -> bytes:
        """The body, up to `limit` bytes; a longer one is cut there, so ask for one more than is allowed."""
        parts, left = [], limit
        block = memoryview(bytearray(min(65536, max(1, limit))))
        while left and (count := self.read_into(block[:left])):
            parts.append(bytes(block[:count]))
            left -= count
        return b"".join(parts)

    def close(self) -> None:
        """Ends the answer; the connection is kept only if the body was read to its end."""
        finished = self.length is not None and self.received == self.length and not self.response.will_close
        self.response.close()
        self.connection.release(reusable=finished)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Connection:
    """One connection of a session, to one origin."""

    def __init__(self, address: Address, settings: Settings, *, may_be_private: bool) -> None:
        self.origin = address.origin
        self.settings = settings
        self.proxy = checked_proxy(address, settings)
        self.is_fresh, self.is_idle = True, False
        self.sock, self.is_private = connect(address, settings, may_be_private=may_be_private)
        self.http = HTTPConnection(address.host, address.port)
        self.http.response_class = _Response
        self.http.auto_open = 0
        self.http.sock = self.sock
        self.response: HTTPResponse | None = None

    def ask(self, address: Address, headers: Mapping[str, str]) -> HTTPResponse:
        """Sends one GET and reads the head of its answer, in bounded time."""
        through_proxy = self.proxy is not None and address.scheme == "http"
        fields = {
            "Host": address.authority, "User-Agent": f"zoo/{__version__}", "Accept": "*/*",
            "Accept-Encoding": "identity", **headers,
        }  # fmt: skip
        if address.credentials:
            fields["Authorization"] = basic(address.credentials)
        if self.proxy and through_proxy:
            fields.update(proxy_authorization(self.proxy))
        self.sock.settimeout(self.settings.stall_seconds)
        # The socket's time limit is for one read; a head sent letter by letter needs one for all of it.
        late = threading.Timer(2 * self.settings.stall_seconds, self._hang_up)
        late.daemon = True
        late.start()
        try:
            self.http.putrequest("GET", address.url if through_proxy else address.target, True, True)
            for name, value in fields.items():
                self.http.putheader(name, value)
            self.http.endheaders()
            self.response = self.http.getresponse()
            return self.response
        finally:
            late.cancel()

    def _hang_up(self) -> None:
        """Wakes the reading thread with an end of file; the plain method, since TLS would touch shared state."""
        with suppress(OSError):  # it may have ended by itself
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def release(self, *, reusable: bool) -> None:
        """The answer is done with; a connection that cannot be used again is closed."""
        self.is_fresh = False
        self.is_idle = reusable
        if not reusable:
            self.close()

    def close(self) -> None:
        """Closes the socket; an answer that was not read to its end holds it too."""
        if self.response is not None:
            self.response.close()
        self.http.close()
        self.sock.close()


class Session:
    """GETs of one transfer; keeps the last connection, so several ranges of one file cost one hand-shake."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept: _Connection | None = None

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """The answer to a GET after at most five redirects, whatever its status.

        The address asked for may be in a private network: the user or the configuration named it. A redirect leads
        there only from there.

        Raises:
            Failed: Any of the ways an address can fail before the body.
            BadAddress: The address itself cannot be read.
        """
        address, may_be_private = parse_address(url), True
        for _hop in range(MAX_REDIRECTS + 1):
            answer = self._answer(address, headers or {}, may_be_private)
            location = answer.headers.get("location")
            if answer.status not in _REDIRECTS or not location:
                return answer
            may_be_private = answer.connection.is_private
            answer.close()
            address = next_hop(address, location)
        raise RedirectRefused(redacted(url), redacted(address.url), f"there were more than {MAX_REDIRECTS} redirects")

    def _answer(self, address: Address, headers: Mapping[str, str], may_be_private: bool) -> Answer:
        shown = redacted(address.url)
        if self._settings.offline:
            raise OfflineRefused(shown)
        connection = self._connection(address, may_be_private)
        try:
            response = connection.ask(address, headers)
        except (OSError, HTTPException, ValueError) as exc:
            self.close()
            if not connection.is_fresh:  # the server closed a kept connection meanwhile, as it may
                return self._answer(address, headers, may_be_private)
            raise self._failure(shown, exc) from exc
        fields, length = _fields(response), _length(response, shown)
        answer = Answer(shown, response.status, response.reason, fields, length, response, self._settings, connection)
        return _checked(answer)

    def _connection(self, address: Address, may_be_private: bool) -> _Connection:
        kept = self._kept
        if kept and kept.is_idle and kept.origin == address.origin and (may_be_private or not kept.is_private):
            kept.is_idle = False
            return kept
        self.close()
        self._kept = _Connection(address, self._settings, may_be_private=may_be_private)
        return self._kept

    def _failure(self, shown: str, exc: Exception) -> Failed:
        if isinstance(exc, TimeoutError):
            return Stalled(shown, self._settings.stall_seconds, 0, 0.0)
        if isinstance(exc, OSError):  # http.client's RemoteDisconnected is one too
            return CutShort(shown, 0, None, exc.strerror or "the connection was closed without an answer")
        return BadAnswer(shown, f"its head cannot be read: {type(exc).__name__}")

    def close(self) -> None:
        """Closes the kept connection."""
        if self._kept:
            self._kept.close()
            self._kept = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _fields(response: HTTPResponse) -> dict[str, str]:
    return {name.lower(): value.strip() for name, value in response.getheaders()}


def _length(response: HTTPResponse, url: str) -> int | None:
    """Bytes of the body (RFC 9112, section 6): None for chunks and for a body that ends with the connection."""
    if response.status == 204 or response.status == 304:
        return 0
    if response.chunked:
        return None
    texts = {text.strip() for text in response.headers.get_all("content-length") or ()}
    if not texts:
        return None
    text = texts.pop()
    if texts or not re.fullmatch(r"[0-9]{1,18}", text):
        raise BadAnswer(url, "its Content-Length is no number, or there are two")
    return int(text)


def _checked(answer: Answer) -> Answer:
    encoding = answer.headers.get("content-encoding", "identity").lower()
    stored = encoding in ("gzip", "x-gzip") and answer.url.partition("?")[0].endswith((".gz", ".tgz"))
    if encoding not in ("", "identity") and not stored and answer.status in (200, 206):
        raise BadAnswer(answer.url, f"it sends the file encoded ({encoding[:40]}) though none was asked")
    return answer


def require_success(answer: Answer, statuses: tuple[int, ...] = (200,)) -> Answer:
    """The answer, if its status is one of these.

    Raises:
        HttpFailed: It is another one.
    """
    if answer.status in statuses:
        return answer
    wait = retry_after(answer.headers.get("retry-after"), answer.headers.get("date"))
    raise HttpFailed(answer.url, answer.status, answer.reason[:100], wait)


def retry_after(text: str | None, date: str | None = None) -> float | None:
    """Seconds that a Retry-After header asks to wait (RFC 9110): a number, or a date compared with the server's own.

    The server's Date, not our clock, so a wrong clock here does not matter; None when it cannot be read.
    """
    from email.utils import parsedate_to_datetime

    if text is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        until = parsedate_to_datetime(text).timestamp()
        now = parsedate_to_datetime(date).timestamp() if date else time.time()
    except (TypeError, ValueError, OverflowError):
        return None
    return max(0.0, until - now)
