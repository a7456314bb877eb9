"""Several pieces of work at once: as many as wait, in order if asked; errors are results, mistakes exceptions."""

from __future__ import annotations

import threading
import time

import pytest

from zoo_cli.errors import ZooError
from zoo_cli.transfer.events import Noted
from zoo_cli.transfer.parallel import Shared, together


class Broken(ZooError):
    """One piece of work failed."""

    code = "broken"


def test_work_that_waits_is_all_in_hand_at_once() -> None:
    """Few threads begin; none of these can end before sixteen are there."""
    all_here = threading.Barrier(16, timeout=20)

    def work(item: int) -> int:
        all_here.wait()
        return item

    assert sorted(together(range(32), work, 16)) == [(item, item) for item in range(32)]


def test_no_more_at_once_than_asked() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def work(_item: int) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1

    assert len(list(together(range(40), work, 6))) == 40
    assert most == 6


def test_results_in_the_order_of_the_items() -> None:
    def work(item: int) -> int:
        time.sleep(0.03 if item % 5 == 0 else 0)
        return -item

    assert list(together(range(20), work, 8, in_order=True)) == [(item, -item) for item in range(20)]


@pytest.mark.parametrize("in_order", [False, True])
def test_an_error_is_a_result_and_a_mistake_an_exception(in_order: bool) -> None:
    def fails(item: int) -> int:
        if item == 3:
            raise Broken
        return item

    found = dict(together(range(6), fails, 3, in_order=in_order))
    assert isinstance(found.pop(3), Broken) and found == {item: item for item in (0, 1, 2, 4, 5)}

    def is_wrong(item: int) -> float:
        return 1 / (item - 3)

    with pytest.raises(ZeroDivisionError):
        list(together(range(6), is_wrong, 3, in_order=in_order))


def test_who_stops_early_leaves_nothing_running() -> None:
    shared, begun = Shared(), []

    def work(item: int) -> int:
        begun.append(item)
        while item:  # until the listener ends it
            shared(Noted("still here"))
            time.sleep(0.01)
        return item

    before = threading.active_count()
    results = together(range(1000), work, 4, shared)
    assert next(results) == (0, 0)
    results.close()
    assert threading.active_count() == before and len(begun) < 10


def test_who_stops_early_waits_a_moment_for_what_hears_nothing() -> None:
    """As a transfer that waits for a silent server; its thread does not keep the process either."""
    shared, never = Shared(), threading.Event()
    results = together(range(4), lambda item: item if item == 0 else never.wait(30), 4, shared)
    try:
        assert next(results) == (0, 0)
        began = time.monotonic()
        results.close()
        assert time.monotonic() - began < 10
        left = [each for each in threading.enumerate() if "_run" in each.name]
        assert len(left) == 3 and all(each.daemon for each in left)
    finally:
        never.set()
