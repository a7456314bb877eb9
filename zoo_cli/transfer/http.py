"""One GET with limits: redirects followed here, head and body in bounded time, answers checked.

Edge: the clock, and sockets through `pool` and `stream`. Nothing is decoded: `Accept-Encoding: identity` is asked, and
a body that comes encoded all the same is refused. `Content-Disposition` is ignored, cookies and .netrc are not known.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from zoo_cli import __version__
from zoo_cli.transfer.addresses import MAX_REDIRECTS, Address, next_hop, parse_address, redacted
from zoo_cli.transfer.connect import basic, proxy_authorization
from zoo_cli.transfer.failures import (
    BadAnswer,
    CutShort,
    Failed,
    HeaderUnusable,
    HttpFailed,
    OfflineRefused,
    RedirectRefused,
    Stalled,
)
from zoo_cli.transfer.headers import fields_for, users_headers
from zoo_cli.transfer.pool import Connection, Pool
from zoo_cli.transfer.stream import Chunks, Ended, Head, Malformed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

    from zoo_cli.transfer.settings import Settings

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Pace:
    """The minimum-speed rule: below the rate on average for a whole window means the address failed.

    A window in which a limit of bandwidth held anybody back says nothing of the address. Works on times and totals it
    is given, so it holds for any clock.
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
        throttle = self._settings.throttle
        is_held = throttle is not None and throttle.held_since(self._since)
        if rate < self._settings.min_bytes_per_second and not is_held:
            raise Stalled(self._url, round(elapsed, 1), total, round(rate, 1))
        self._since, self._before = now, total


class Answer:
    """The head of an answer and its body, to be read once; a context manager that gives the connection back.

    Attributes:
        url: Where it came from after redirects, to show.
        status, reason, headers: Its head; names in lower case.
        length: Bytes of this body; None when only its end tells.
        received: Bytes of it that were read.
        address: Where it came from, to ask for more of it.
    """

    def __init__(self, address: Address, head: Head, connection: Connection, pool: Pool, settings: Settings) -> None:
        self.address, self.url = address, redacted(address.url)
        self.status, self.reason, self.headers = head.status, head.reason, head.fields
        self.connection, self._pool, self._settings = connection, pool, settings
        self._closes, self.is_open = head.closes or head.status == 101, True
        self._chunks = Chunks(connection.stream) if _is_chunked(head, self.url) else None
        self.length = None if self._chunks else _length(head, self.url)
        self.received = 0
        self._pace = Pace(self.url, settings, time.monotonic())

    def read_into(self, view: memoryview) -> int:
        """Reads what is there into the view, at most its length; 0 is the honest end of the body.

        Raises:
            CutShort: The connection ended inside the body.
            Stalled: Nothing came in time, or too little.
            BadAnswer: The chunks are broken.
        """
        settings = self._settings
        if settings.throttle:
            view = view[: settings.throttle.piece_bytes]
        if self.length is not None:
            view = view[: self.length - self.received]
            if not view:
                return 0
        try:
            count = (self._chunks or self.connection.stream).read_into(view, settings.stall_seconds)
        except TimeoutError as exc:
            raise Stalled(self.url, settings.stall_seconds, self.received, 0.0) from exc
        except Ended as exc:
            raise CutShort(self.url, self.received, self.length) from exc
        except Malformed as exc:
            raise BadAnswer(self.url, f"its body is broken: {exc}") from exc
        except (OSError, ValueError) as exc:
            raise CutShort(self.url, self.received, self.length, getattr(exc, "strerror", None) or str(exc)) from exc
        if not count and self.length is not None:
            raise CutShort(self.url, self.received, self.length)
        self.received += count
        if settings.throttle:
            settings.throttle.took(count)
        self._pace.saw(time.monotonic(), self.received)
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
        if self.is_open:
            self.is_open = False
            ended = self._chunks.is_complete if self._chunks else self.length == self.received
            self._pool.give(self.connection, reusable=ended and not self._closes and self.connection.stream.is_quiet)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Session:
    """GETs of one transfer over the connections of a pool: of its own, or of all transfers of a run."""

    def __init__(self, settings: Settings, pool: Pool | None = None) -> None:
        self._settings = settings
        self._owns = pool is None
        self._pool = pool or Pool(settings.connections)
        self._answers: list[Answer] = []
        self._keys = users_headers() if settings.headers is None else settings.headers

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
            _read_rest(answer)
            answer.close()
            address = next_hop(address, location)
        raise RedirectRefused(redacted(url), redacted(address.url), f"there were more than {MAX_REDIRECTS} redirects")

    def also(self, first: Answer, headers: Mapping[str, str]) -> Answer | None:
        """Another answer from where one came, on a further connection; None when there may be no more connections.

        Raises:
            Failed: As `get`; a redirect is not followed.
        """
        private = first.connection.is_private
        connection = self._pool.try_take(first.address, self._settings, may_be_private=private)
        return None if connection is None else self._asked(first.address, headers, connection)

    def _answer(self, address: Address, headers: Mapping[str, str], may_be_private: bool) -> Answer:
        if self._settings.offline:
            raise OfflineRefused(redacted(address.url))
        connection = self._pool.take(address, self._settings, may_be_private=may_be_private)
        while not connection.is_fresh:
            try:
                return self._asked(address, headers, connection)
            except (CutShort, Stalled):  # the server closed a kept connection meanwhile, as it may
                connection = self._pool.take(address, self._settings, may_be_private=may_be_private)
        return self._asked(address, headers, connection)

    def _asked(self, address: Address, headers: Mapping[str, str], connection: Connection) -> Answer:
        """Sends one GET and reads the head of its answer, in bounded time; each address has its own keys."""
        try:
            if self._keys:
                headers = {**headers, **fields_for(address, self._keys)}
            connection.stream.send(_request(address, headers, connection), self._settings.stall_seconds)
            head = connection.stream.head(self._settings.stall_seconds)
            answer = Answer(address, head, connection, self._pool, self._settings)
        except (OSError, ValueError) as exc:
            self._pool.give(connection, reusable=False)
            raise self._failure(redacted(address.url), exc) from exc
        except (BadAnswer, HeaderUnusable):
            self._pool.give(connection, reusable=False)
            raise
        self._answers = [*(each for each in self._answers if each.is_open), answer]
        return _checked(answer)

    def _failure(self, shown: str, exc: Exception) -> Failed:
        if isinstance(exc, TimeoutError):
            return Stalled(shown, self._settings.stall_seconds, 0, 0.0)
        if isinstance(exc, OSError):
            return CutShort(shown, 0, None, exc.strerror or str(exc))
        return BadAnswer(shown, f"its head cannot be read: {exc}")

    def close(self) -> None:
        """Closes answers that are still open, and the connections unless they are of all transfers."""
        for answer in self._answers:
            answer.close()
        if self._owns:
            self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _request(address: Address, headers: Mapping[str, str], connection: Connection) -> bytes:
    proxy = connection.proxy if address.scheme == "http" else None
    fields = {
        "Host": address.authority, "User-Agent": f"zoo/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity",
        **headers,
    }  # fmt: skip
    if address.credentials:
        fields["Authorization"] = basic(address.credentials)
    if proxy:
        fields.update(proxy_authorization(proxy))
    lines = [f"GET {address.url if proxy else address.target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    text = "".join(lines)
    if "\n" in text or "\r" in text:
        raise Malformed("a field to be sent has a line break")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


_SMALL_BYTES = 64 * 1024


def _read_rest(answer: Answer) -> None:
    """Reads the page that comes with a redirect, if it is small, so that its connection can be used again."""
    if answer.length is not None and answer.length <= _SMALL_BYTES:
        answer.read(_SMALL_BYTES)


def _is_chunked(head: Head, url: str) -> bool:
    coding = head.fields.get("transfer-encoding", "identity").strip().lower()
    if coding in ("identity", ""):
        return False
    if coding != "chunked":
        raise BadAnswer(url, f"it sends the body as {coding[:40]}, which was not asked")
    return head.status not in (204, 304)


def _length(head: Head, url: str) -> int | None:
    """Bytes of the body (RFC 9112, section 6); None for a body that ends with the connection."""
    if head.status in (204, 304):
        return 0
    texts = set(head.lengths)
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
    if re.fullmatch(r"[0-9]{1,300}", text):  # 10**300 is still a number
        return float(text)
    try:
        until = parsedate_to_datetime(text).timestamp()
        now = parsedate_to_datetime(date).timestamp() if date else time.time()
    except (TypeError, ValueError, OverflowError):
        return None
    return max(0.0, until - now)
