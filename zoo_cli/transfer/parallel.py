"""Several pieces of work at once: an error of one is what comes of it, and all stop when somebody stops.

Edge: threads. Events of all threads reach the listener one at a time. When the consumer gives up (Ctrl-C), what waits
is dropped and what runs ends at its next event: transfers tell one for every piece they receive.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, TypeVar

from zoo_cli.errors import ZooError
from zoo_cli.transfer.events import Listener, nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from zoo_cli.transfer.events import Event

Item = TypeVar("Item")
Result = TypeVar("Result")


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
        jobs: How many at once.
        shared: The listener that `work` uses; stopped when the iterator is closed early.
        in_order: Give the results in the order of the items.
    """
    if jobs <= 1 or len(items) <= 1:
        yield from ((item, _guarded(work, item)) for item in items)
        return
    pool, is_done = ThreadPoolExecutor(min(jobs, len(items))), False
    try:
        futures = {pool.submit(_guarded, work, item): item for item in items}
        for future in futures if in_order else as_completed(futures):
            yield futures[future], future.result()
        is_done = True
    finally:
        if shared and not is_done:
            shared.stop()
        pool.shutdown(wait=True, cancel_futures=True)


def _guarded(work: Callable[[Item], Result], item: Item) -> Result | ZooError:
    try:
        return work(item)
    except ZooError as error:
        return error
