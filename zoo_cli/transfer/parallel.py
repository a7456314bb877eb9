"""Several pieces of work at once: an error of one is what comes of it, and all stop when somebody stops.

Edge: threads and the clock. Events of all threads reach the listener one at a time. When the consumer gives up
(Ctrl-C), what waits is dropped and what runs ends at its next event: transfers tell one for every piece they receive.
What waits for a silent server then is waited for a moment only; its thread does not keep the process.

Threads that all have bytes to take stand in each other's way, threads that wait for a server or the disk do not. So
few begin, and more join them while this process leaves a processor idle.
"""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from zoo_cli.errors import ZooError
from zoo_cli.transfer.events import Listener, nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from types import TracebackType

    from typing_extensions import Self

    from zoo_cli.transfer.events import Event

Item = TypeVar("Item")
Result = TypeVar("Result")

_FIRST_THREADS = 4
_LOOK_SECONDS = 0.02  # so long a look at how busy the process is takes
_BUSY = 0.7  # of one processor: Python runs in one thread at a time
_GRACE_SECONDS = 1.0  # for what runs when somebody gives up; a silent server would keep it for half a minute


class Stopped(Exception):
    """Ends a thread whose work nobody waits for any more."""


class Shared:
    """A listener that several threads may call; after `stop` each call ends its thread."""

    def __init__(self, listen: Listener = nothing) -> None:
        self._listen, self._lock, self._is_stopped = listen, threading.Lock(), False

    def __call__(self, event: Event) -> None:
        """Passes one event on."""
        with self._lock:
            if self._is_stopped:
                raise Stopped
            self._listen(event)

    def stop(self) -> None:
        """From now on no event is passed on."""
        self._is_stopped = True


def together(
    items: Sequence[Item],
    work: Callable[[Item], Result],
    jobs: int,
    shared: Shared | None = None,
    *,
    in_order: bool = False,
) -> Generator[tuple[Item, Result | ZooError], None, None]:
    """Each item with what its work gave, as it is done; close the iterator to stop everything.

    Args:
        items: What is to be worked on.
        work: Called once for each, in one of the threads; with one item or one job in the caller's own.
        jobs: How many at once, at most.
        shared: The listener that `work` uses; stopped when the iterator is closed early.
        in_order: Give the results in the order of the items.
    """
    if jobs <= 1 or len(items) <= 1:
        yield from ((item, _guarded(work, item)) for item in items)
        return
    crew, is_done = _Crew(items, work, min(jobs, len(items))), False
    try:
        early: dict[int, Result | ZooError] = {}
        for wanted in range(len(items)):
            number, result = crew.next_done() if wanted not in early else (wanted, early.pop(wanted))
            while in_order and number != wanted:
                early[number] = result
                number, result = crew.next_done()
            yield items[number], result
        is_done = True
    finally:
        if shared and not is_done:
            shared.stop()
        crew.stop()


class _Crew(Generic[Item, Result]):
    """Threads that work on items, more of them while they leave a processor idle."""

    def __init__(self, items: Sequence[Item], work: Callable[[Item], Result], most: int) -> None:
        self._items, self._work, self._most = items, work, most
        self._numbers, self._lock = iter(range(len(items))), threading.Lock()
        self._done: SimpleQueue[tuple[int, Result | ZooError] | _Ended] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._add(_FIRST_THREADS)

    def _add(self, count: int) -> None:
        for _ in range(min(count, self._most - len(self._threads))):
            self._threads.append(threading.Thread(target=self._run, daemon=True))
            self._threads[-1].start()
        self._since, self._used = time.monotonic(), time.process_time()

    def _run(self) -> None:
        with _Ended() as ended:
            while (number := self._take()) is not None:
                self._done.put((number, _guarded(self._work, self._items[number])))
        self._done.put(ended)

    def _take(self) -> int | None:
        with self._lock:
            return next(self._numbers, None)

    def next_done(self) -> tuple[int, Result | ZooError]:
        """The number of an item that is done and its result; an exception of its work is raised here."""
        while True:
            grows = len(self._threads) < self._most
            try:
                found = self._done.get(timeout=_LOOK_SECONDS if grows else None)
            except Empty:
                self._look()
                continue
            if grows:
                self._look()
            if not isinstance(found, _Ended):
                return found
            if found.mistake is not None:
                raise found.mistake

    def _look(self) -> None:
        """Doubles the threads if this process did not use what Python can use of a processor."""
        elapsed = time.monotonic() - self._since
        if elapsed < _LOOK_SECONDS:
            return
        is_busy = time.process_time() - self._used >= _BUSY * elapsed
        self._add(0 if is_busy else len(self._threads))

    def stop(self) -> None:
        """Drops what waits, and returns when what runs has ended, or a moment has passed."""
        with self._lock:
            self._numbers = iter(range(0))
        until = time.monotonic() + _GRACE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))


class _Ended:
    """The end of a thread; a context manager that keeps the exception it ended with, for the consumer."""

    mistake: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.mistake = error
        return True


def _guarded(work: Callable[[Item], Result], item: Item) -> Result | ZooError:
    try:
        return work(item)
    except ZooError as error:
        return error
