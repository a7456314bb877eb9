"""Other addresses of a file that may be much faster than the one at work: when one is asked, and what its answer says.

Edge: a thread, the network, local files and the clock. A mirror that is alive and slow fails in nothing and would keep
the whole download. Where the rest would take long at the rate of the last moments, another address is asked for a small
range, beside the transfer; when it brings that much faster, the attempt ends with `Overtaken`, and the next one goes on
at the other address with every byte that is here. That bytes of two addresses are one file, only a digest can tell:
without one nobody is asked. Nor where a limit of bandwidth explains the rate.

A sample is taken by one transfer of the process at a time: of many files at once some move, until both hosts are busy.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from zoo_cli.transfer.addresses import local_path, place_of, redacted
from zoo_cli.transfer.failures import BadAddress, Failed, Overtaken
from zoo_cli.transfer.http import Session
from zoo_cli.transfer.localfile import LocalFile
from zoo_cli.transfer.resume import content_range

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zoo_cli.transfer.pool import Pool
    from zoo_cli.transfer.settings import Settings

SAMPLE_BYTES = 384 * 1024
_SAMPLE_SECONDS = 4.0
_LONG = 5  # times `rival_seconds`: a rest that takes no longer is waited for
_GAIN = 2.0  # what a change must bring, for its cost
_MOST_SAMPLES = 12  # of one file
_BLOCK_BYTES = 64 * 1024
_SAMPLING = threading.Lock()


class Rivals:
    """The addresses of one file, through all its attempts.

    Args:
        urls: All of them, in their order.
        settings: `rival_seconds`, the limit of bandwidth, and what is known of hosts.
        pool: Connections shared with other transfers of this run.
    """

    def __init__(self, urls: Sequence[str], settings: Settings, pool: Pool | None = None) -> None:
        self.settings, self.pool = settings, pool
        ranked = settings.health.ranked(urls) if settings.health else urls
        self._urls = tuple(ranked)
        self._asked: Counter[str] = Counter()
        self._wait = settings.rival_seconds  # doubles with each sample: a long transfer takes few
        self._not_before = 0.0
        self._expected = 0.0  # bytes a second at the last sample

    def watch(self, url: str, total: int, have_bytes: int) -> Watch:
        """An attempt at `url` begins."""
        return Watch(self, url, total, have_bytes)

    def next_for(self, url: str, rate: float, now: float) -> str | None:
        """Whom to ask while `url` brings so many bytes a second; None: nobody, or not yet.

        A rate that fell to less than half since the last sample is a reason of its own.
        """
        others = [each for each in self._urls if place_of(each) != place_of(url)]
        too_early = now < self._not_before and rate > self._expected / 2
        if not others or too_early or self._asked.total() >= _MOST_SAMPLES:
            return None
        return min(others, key=lambda each: self._asked[each])

    def asks(self, url: str, rate: float, now: float) -> None:
        """It is asked now."""
        self._asked[url] += 1
        self._wait *= 2
        self._not_before, self._expected = now + self._wait, rate

    def promised(self, rate: float) -> None:
        """The one that takes over brought its sample at this rate."""
        self._expected = rate


class Watch:
    """One attempt beside its rivals; works in the thread of the attempt, samples come in one of their own."""

    def __init__(self, rivals: Rivals, url: str, total: int, have_bytes: int) -> None:
        self._rivals, self._url, self._total = rivals, url, total
        self._since, self._before = time.monotonic(), have_bytes
        self._sample: Sample | None = None
        self._rate = 0.0

    def saw(self, have_bytes: int) -> None:
        """So many bytes of the file are here now.

        Raises:
            Overtaken: Another address is much faster.
        """
        now = time.monotonic()
        elapsed, limits = now - self._since, self._rivals.settings
        if self._sample is not None:
            if self._sample.is_over:
                self._compare(self._sample, have_bytes, elapsed)
                self.close()
                self._since, self._before = now, have_bytes
            return
        if elapsed < limits.rival_seconds:
            return
        self._rate = (have_bytes - self._before) / elapsed
        is_held = limits.throttle is not None and limits.throttle.held_since(self._since)
        self._since, self._before = now, have_bytes
        is_long = self._total - have_bytes > self._rate * _LONG * limits.rival_seconds
        if is_long and not is_held:
            self._ask(have_bytes, now)

    def _ask(self, have_bytes: int, now: float) -> None:
        other = self._rivals.next_for(self._url, self._rate, now)
        if other is not None and _SAMPLING.acquire(blocking=False):
            self._rivals.asks(other, self._rate, now)
            at = min(have_bytes, max(0, self._total - SAMPLE_BYTES))
            self._sample = Sample(other, at, self._total, self._rivals.settings, self._rivals.pool)

    def _compare(self, sample: Sample, have_bytes: int, elapsed: float) -> None:
        """What came meanwhile counts, too: who was slow for a moment is not left."""
        rate = max(self._rate, (have_bytes - self._before) / elapsed if elapsed else 0.0)
        if sample.rate > _GAIN * rate:
            self._rivals.promised(sample.rate)
            raise Overtaken(redacted(self._url), redacted(sample.url), round(rate), round(sample.rate))

    def close(self) -> None:
        """Nobody waits for the sample any more: the next one may be taken. Its thread ends by itself."""
        if self._sample is not None:
            self._sample = None
            _SAMPLING.release()


class Sample:
    """A small range from an address, timed and dropped; begins when it is made.

    Attributes:
        rate: Bytes a second, 0 for an address that does not answer with this range of a file of this size.
    """

    def __init__(self, url: str, at: int, total: int, settings: Settings, pool: Pool | None) -> None:
        self.url, self.rate, self.is_over = url, 0.0, False
        self._first, self._after, self._total = at, min(total, at + SAMPLE_BYTES), total
        self._settings, self._pool = settings.within(_SAMPLE_SECONDS), pool
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        try:
            self.rate = self._measure()
        except (Failed, BadAddress):
            pass  # its own attempt, if it comes to that, will tell
        finally:
            self.is_over = True

    def _measure(self) -> float:
        path = local_path(self.url)
        if path is not None:
            with LocalFile(path, self.url) as file:
                file.seek(self._first)
                return self._rate_of(file.read_into) if file.size_bytes == self._total else 0.0
        headers = {"Range": f"bytes={self._first}-{self._after - 1}"}
        with Session(self._settings, self._pool) as session, session.get(self.url, headers) as answer:
            first, total = content_range(answer.headers.get("content-range", ""))
            if answer.status != 206 or first != self._first or total not in (None, self._total):
                return 0.0
            return self._rate_of(answer.read_into)

    def _rate_of(self, read_into: Callable[[memoryview], int]) -> float:
        """The rate of the second half: the first one is slow on a long way, whoever sends."""
        view, wanted = memoryview(bytearray(_BLOCK_BYTES)), self._after - self._first
        began = since = now = time.monotonic()
        received = before = 0
        while received < wanted and now - began < _SAMPLE_SECONDS and (count := read_into(view)):
            received += count
            now = time.monotonic()
            if not before and received >= wanted // 2:
                since, before = now, received
        return (received - before) / max(now - since, 1e-3)
