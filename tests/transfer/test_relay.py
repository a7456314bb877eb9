"""What is written and hashed behind: all of it, in order, and nobody waits in vain."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo_cli.transfer.failures import NoSpace
from zoo_cli.transfer.relay import BLOCK_BYTES, Relay

if TYPE_CHECKING:
    from collections.abc import Callable

PATTERN = bytes(range(256)) * (BLOCK_BYTES // 256 + 1)
SIZES = st.sampled_from([1, 7, 4096, 300_000, BLOCK_BYTES - 1, BLOCK_BYTES])


def bring(relay: Relay, sizes: list[int], sent: bytearray) -> None:
    """Fills one block after another, each with two pieces."""
    for number, size in enumerate(sizes):
        block = relay.block()
        block[:size] = PATTERN[number : number + size]
        for piece in (block[: size // 2], block[size // 2 : size]):
            relay.write(piece)
            sent += piece
        relay.end_block(block[:size])


@given(st.lists(SIZES, max_size=20))
@settings(max_examples=30, deadline=None)
def test_everything_is_written_and_hashed_in_order(sizes: list[int]) -> None:
    sent, written, digest = bytearray(), bytearray(), hashlib.sha256()

    def write(piece: memoryview) -> None:
        written.extend(piece)

    with Relay(write, digest) as relay:
        bring(relay, sizes, sent)
        relay.settle()
        assert written == sent
    assert written == sent
    assert digest.hexdigest() == hashlib.sha256(sent).hexdigest()


def test_a_block_is_not_filled_again_before_it_is_written() -> None:
    may_go, written, sent = threading.Event(), bytearray(), bytearray()

    def write(piece: memoryview) -> None:
        if threading.current_thread() is not threading.main_thread():
            may_go.wait(10)
        written.extend(piece)

    with Relay(write, hashlib.sha256()) as relay:
        threading.Timer(0.2, may_go.set).start()
        bring(relay, [BLOCK_BYTES] * 20, sent)
    assert written == sent


@pytest.mark.parametrize("after", [0, 1, 9])
@pytest.mark.parametrize("way", [Relay.settle, Relay.block, lambda _relay: None])
def test_an_error_of_the_disk_comes_out(after: int, way: Callable[[Relay], object]) -> None:
    calls: list[int] = []

    def write(piece: memoryview) -> None:
        calls.append(len(piece))
        if len(calls) > 2 * after:
            raise NoSpace("f.bin", 10, 1)

    with pytest.raises(NoSpace), Relay(write, hashlib.sha256()) as relay:
        bring(relay, [BLOCK_BYTES] * (after + 1), bytearray())
        way(relay)
    assert len(calls) == 2 * after + 1


def test_small_and_slow_bodies_need_no_thread() -> None:
    before = threading.active_count()
    with Relay(lambda _piece: None, hashlib.sha256()) as relay:
        bring(relay, [1000, BLOCK_BYTES - 1, BLOCK_BYTES], bytearray())
        assert threading.active_count() == before
        bring(relay, [1], bytearray())
        assert threading.active_count() == before + 2
    assert threading.active_count() == before
