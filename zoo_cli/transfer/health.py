"""What is known of hosts: who failed a short while ago, and how fast each was.

Edge: a small file and the clock. A host is put off for ten minutes after it could not be reached, stalled, was left for
a much faster one, was in trouble or sent wrong bytes, and taken back as soon as it delivers. What a host brought is
remembered, the newer the more it counts: after a day half of it is forgotten, after a week almost all. Rates order
addresses only where the user said `fastest`; else the order is the user's. The file only saves time; no more than that
hangs on what is in it.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from math import exp2, log2
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo_cli.atomic import write_whole
from zoo_cli.directories import state_directory
from zoo_cli.transfer.addresses import local_path, place_of
from zoo_cli.transfer.failures import Failed, HashMismatch, HttpFailed, NotTheFile, Overtaken, Stalled, Unreachable
from zoo_cli.transfer.sources import UNMEASURED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PUT_OFF_SECONDS = 600.0
HALF_LIFE_SECONDS = 86400.0
WORTH_BYTES = 1 << 20  # a transfer of less tells of the way, not of the rate
_WORTH_KEEPING = 0.25  # of a doubling: a smaller change of a rate is not written
_REWRITE_SECONDS = 3600.0
_MAX_BYTES = 64 * 1024
_MAX_HOSTS = 200
_LONGEST_WHY = 120


class Seen(NamedTuple):
    """What is known of one host; times are seconds of the clock, 0 when it never happened."""

    failed: float = 0.0
    why: str = ""  # how it failed, in a few words
    is_off: bool = False  # it has not delivered since
    rate: float = 0.0  # bytes a second
    measured: float = 0.0

    def is_put_off(self, now: float) -> bool:
        """Whether it is asked last. abs: a clock that was moved back must not put a host off for years."""
        return self.is_off and abs(now - self.failed) < PUT_OFF_SECONDS

    def weight(self, now: float) -> float:
        """How much the measured rate still counts, from 0 to 1."""
        return exp2(-abs(now - self.measured) / HALF_LIFE_SECONDS) if self.rate else 0.0

    def estimate(self, now: float) -> float:
        """Bytes a second to expect: what was measured, the less of it the older it is."""
        weight = self.weight(now)
        return exp2(weight * log2(self.rate) + (1 - weight) * log2(UNMEASURED)) if weight else UNMEASURED

    def with_rate(self, rate: float, now: float) -> Seen:
        """The same, after it brought so many bytes a second; what was known counts up to a half."""
        old = self.weight(now) / 2
        mixed = exp2(old * log2(self.rate) + (1 - old) * log2(rate)) if old else rate
        return self._replace(rate=round(mixed), measured=now)


class Health:
    """What is known of hosts; shared by the transfers of a run, and kept for the next one.

    Args:
        path: Where it is kept; None keeps it for this run only.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._hosts: dict[str, Seen] | None = None  # read when it is first needed

    def ranked(self, urls: Sequence[str]) -> tuple[str, ...]:
        """The addresses in their order, those of hosts that failed a short while ago after the others."""
        if len(urls) < 2:
            return tuple(urls)
        now = time.time()
        with self._lock:
            hosts = self._known()
            down = {url for url in urls if hosts.get(place_of(url), Seen()).is_put_off(now)}
        return (*(url for url in urls if url not in down), *(url for url in urls if url in down))

    @staticmethod
    def now() -> float:
        """Seconds of the clock that times are in."""
        return time.time()

    def of(self, url: str) -> Seen:
        """What is known of the host of an address."""
        with self._lock:
            return self._known().get(place_of(url), Seen())

    def rates(self) -> tuple[tuple[str, float], ...]:
        """Bytes a second to expect of each host that was measured, by its place."""
        now = time.time()
        with self._lock:
            return tuple((place, seen.estimate(now)) for place, seen in self._known().items() if seen.rate)

    def failed(self, url: str, failure: Failed) -> None:
        """An address failed; whether that says something about its host is decided here."""
        trouble = isinstance(failure, HttpFailed) and (failure.status >= 500 or failure.status == 429)
        if trouble or isinstance(failure, (Unreachable, Stalled, Overtaken, HashMismatch, NotTheFile)):
            self._change(url, failed=time.time(), why=failure.brief[:_LONGEST_WHY], is_off=True)

    def worked(self, url: str) -> None:
        """An address delivered."""
        if self.of(url).is_off:
            self._change(url, is_off=False)

    def brought(self, url: str, size_bytes: int, seconds: float, *, least_bytes: int = WORTH_BYTES) -> None:
        """So many bytes came over the network in so many seconds, with nothing of ours to hold them back."""
        if size_bytes < least_bytes or seconds <= 0:
            return
        now, seen = time.time(), self.of(url)
        fresh = seen.with_rate(max(1.0, size_bytes / seconds), now)
        is_news = not seen.rate or abs(log2(fresh.rate) - log2(seen.rate)) >= _WORTH_KEEPING
        if is_news or abs(now - seen.measured) > _REWRITE_SECONDS:
            self._change(url, rate=fresh.rate, measured=fresh.measured)

    def _change(self, url: str, **facts: Any) -> None:
        if local_path(url) is not None:
            return
        with self._lock:
            hosts, place = self._known(), place_of(url)
            hosts[place] = hosts.get(place, Seen())._replace(**facts)
            self._keep(hosts)

    def _known(self) -> dict[str, Seen]:
        if self._hosts is None:
            self._hosts = _read(self._path) if self._path else {}
        return self._hosts

    def _keep(self, hosts: Mapping[str, Seen]) -> None:
        if self._path is None:
            return
        import json

        newest = sorted(hosts.items(), key=lambda each: -max(each[1].failed, each[1].measured))[:_MAX_HOSTS]
        with suppress(OSError):  # it saves time, no more
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, json.dumps({place: seen._asdict() for place, seen in newest}).encode())


def _read(path: Path) -> dict[str, Seen]:
    import json  # runs with one address for each file need none of it

    try:
        with path.open("rb") as file:
            value = json.loads(file.read(_MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(value, dict):
        return {}
    return {place: seen for place, facts in value.items() if (seen := _seen(facts)) is not None}


def _seen(facts: object) -> Seen | None:
    """What a document says of a host; None for anything that is not exactly that."""
    if not isinstance(facts, dict) or set(facts) != set(Seen._fields):
        return None
    numbers = [facts[name] for name in ("failed", "rate", "measured")]
    are_numbers = all(isinstance(each, (int, float)) and 0 <= each < 1e15 for each in numbers)
    is_right = are_numbers and isinstance(facts["why"], str) and isinstance(facts["is_off"], bool)
    return Seen(**facts) if is_right and (not facts["rate"] or facts["rate"] >= 1) else None


def users_health(environ: Mapping[str, str] | None = None) -> Health:
    """What this user's runs know of hosts."""
    return Health(state_directory(environ) / "hosts.json")
