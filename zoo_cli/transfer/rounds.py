"""Several addresses for one thing: in order, then again those that may do better.

Edge: the clock. A round goes once through the addresses; a wait stands between rounds, Retry-After first. An address
that brings progress goes on at once and is not counted. What is asked to wait too long, or sends the same wrong bytes
as before, is dropped: some failures are right to give up on, quickly.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Generic, TypeVar

from zoo_cli.transfer.addresses import local_path, parse_address, place_of, redacted
from zoo_cli.transfer.events import Listener, Noted, SourceFailed, nothing
from zoo_cli.transfer.failures import (
    AllSourcesFailed,
    BadAddress,
    Failed,
    HashMismatch,
    HttpFailed,
    Overtaken,
    TookTooLong,
)
from zoo_cli.transfer.settings import RETRY_AFTER_CAP_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zoo_cli.transfer.health import Health
    from zoo_cli.transfer.settings import Settings

T = TypeVar("T")

PROGRESS_BYTES = 1 << 20  # an attempt that brought so much is not counted
_MAX_ATTEMPTS = 100  # of all addresses together
_LONGEST_WAIT_SECONDS = 8.0  # between rounds, when no server asked for more


class Rounds(Generic[T]):
    """One run through the addresses of one thing; `deliver(url, settings)` is one attempt.

    Args:
        name: What is fetched, for events and errors.
        urls: Its addresses; all are read before the first is tried.
        settings: Limits; each attempt gets them with the time that is left.
        deliver: Gives the thing or raises `Failed`.
        listen: Gets `SourceFailed` and `Noted` events.
        have_bytes: How much is here already, to see progress.
    """

    def __init__(
        self,
        name: str,
        urls: Sequence[str],
        settings: Settings,
        deliver: Callable[[str, Settings], T],
        listen: Listener = nothing,
        have_bytes: Callable[[], int] = lambda: 0,
    ) -> None:
        self._name, self._settings, self._deliver = name, settings, deliver
        self._listen, self._have_bytes = listen, have_bytes
        self._urls = tuple(dict.fromkeys(urls))
        self._deadline = None if settings.total_seconds is None else time.monotonic() + settings.total_seconds
        self._failures: dict[str, Failed] = {}
        self._wrong: dict[str, list[str]] = {}  # digest received -> the addresses that sent it
        self._attempts = 0
        self._pending: SourceFailed | None = None

    def run(self) -> T:
        """What the first address that delivers gives.

        Raises:
            Failed: The only address failed.
            AllSourcesFailed: Several did.
            TookTooLong: The time for all of it is over.
            BadAddress: An address cannot be read, or there is none.
        """
        _require_addresses(self._urls)
        health = self._settings.health if len(self._urls) > 1 else None
        live = health.ranked(self._urls) if health else self._urls
        for turn in range(self._settings.retries + 1):
            if turn:
                self._pause(turn, live)
            dropped: set[str] = set()
            waiting = list(live)
            while waiting:
                url = waiting.pop(0)
                found = self._from(url, health)
                if found is not None:
                    return found
                failure = self._failures[url]
                if health:
                    health.failed(url, failure)
                if isinstance(failure, Overtaken):
                    waiting = self._instead(url, failure.by, waiting)
                dropped |= self._dropped(url)
            live = tuple(url for url in live if url not in dropped)
            if not live:
                break
        raise self._verdict()

    def _from(self, url: str, health: Health | None) -> T | None:
        """What the address gives, or None with its failure recorded."""
        while True:
            self._attempts += 1
            self._tell_pending()
            before, began = self._have_bytes(), time.monotonic()
            try:
                found = self._deliver(url, self._settings.within(self.left()))
            except Failed as failure:
                self._failures[url] = failure
                self._pending = SourceFailed(self._name, place_of(url), failure.brief)
                self.check_time()
                came = self._have_bytes() - before
                if isinstance(failure, Overtaken):
                    self._measured(health, url, came, began, is_long=True)
                    return None
                if not (came >= PROGRESS_BYTES and failure.again and self._attempts < _MAX_ATTEMPTS):
                    return None
            else:
                if health:
                    health.worked(url)
                self._measured(health, url, self._have_bytes() - before, began)
                return found

    def _measured(self, health: Health | None, url: str, came: int, began: float, *, is_long: bool = False) -> None:
        """What came tells of the host's rate, if it is enough, or was watched for long enough."""
        if health and self._settings.throttle is None:
            how = {"least_bytes": 1} if is_long else {}
            health.brought(url, came, time.monotonic() - began, **how)

    def _instead(self, url: str, by: str, waiting: Sequence[str]) -> list[str]:
        """Those still to be tried, after one was overtaken: first who overtook it, last itself, slow as it is."""
        faster = [each for each in self._urls if redacted(each) == by]
        return list(dict.fromkeys((*faster, *waiting, url)))

    def _tell_pending(self) -> None:
        """Tells a failure when another attempt follows it; the last one is the error itself."""
        if self._pending is not None:
            self._listen(self._pending)
            self._pending = None

    def _dropped(self, url: str) -> set[str]:
        """The addresses that are not asked again after this one failed."""
        failure = self._failures[url]
        if isinstance(failure, HashMismatch):
            senders = self._wrong.setdefault(failure.received, [])
            senders.append(url)
            return set(senders) if len(senders) > 1 else set()  # once may be a flipped bit, twice is what they have
        too_long = isinstance(failure, HttpFailed) and (failure.retry_after_seconds or 0) > RETRY_AFTER_CAP_SECONDS
        return set() if failure.again and not too_long else {url}

    def _pause(self, turn: int, live: Sequence[str]) -> None:
        """Waits before a round: as long as the most patient server asked, else longer each time."""
        failures = [self._failures[url] for url in live]
        asked = [each.retry_after_seconds or 0.0 for each in failures if isinstance(each, HttpFailed)]
        usual = min(self._settings.wait_seconds * 2 ** (turn - 1), _LONGEST_WAIT_SECONDS)
        # One address that did not ask for a wait can be tried now.
        seconds = max(usual, *asked) if len(asked) == len(failures) and any(asked) else usual
        left = self.left()
        if left is not None and seconds >= left:
            raise TookTooLong(self._name, self._settings.total_seconds or 0.0, self._have_bytes())
        if seconds >= 2:
            self._listen(Noted(f"{self._name}: trying again in {seconds:.0f} s"))
        time.sleep(seconds)

    def left(self) -> float | None:
        """Seconds left for all of it; None without a limit."""
        return None if self._deadline is None else self._deadline - time.monotonic()

    def check_time(self) -> None:
        """Raises `TookTooLong` when the time is over."""
        left = self.left()
        if left is not None and left <= 0:
            raise TookTooLong(self._name, self._settings.total_seconds or 0.0, self._have_bytes())

    def _verdict(self) -> Failed | AllSourcesFailed:
        failures = tuple(self._failures[url] for url in self._urls)
        return failures[0] if len(failures) == 1 else AllSourcesFailed(self._name, failures)


def _require_addresses(urls: Sequence[str]) -> None:
    """An address that cannot be read is a mistake to be told, not a source that failed."""
    if not urls:
        raise BadAddress("", "there is no address to fetch from")
    for url in urls:
        if local_path(url) is None:
            parse_address(url)
