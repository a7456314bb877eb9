"""A body into a part file, hashed on the way.

Edge: the clock, and a buffer for each thread. What is read is written and hashed behind (`relay`). A small body is
gathered, hashed in line and written once.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol

from zoo_cli.transfer.relay import BLOCK_BYTES, Relay

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo_cli.transfer.part import Part
    from zoo_cli.transfer.relay import Digest

_FLUSH_SECONDS = 0.05  # how soon a slow stream is judged
_TELL_SECONDS = 0.05


class Readable(Protocol):
    """A body: reads what is there into a view; 0 is its end."""

    def read_into(self, view: memoryview) -> int:
        """Bytes read."""
        ...


class _Buffer(threading.local):
    """A block for each thread, used again: of fresh memory the system makes zeros first."""

    block: memoryview | None = None


_buffer = _Buffer()


def gather(
    body: Readable, part: Part, digest: Digest, size_bytes: int, check_first: Callable[[memoryview], None]
) -> None:
    """Takes a small body from its beginning into an empty part in one piece, or what comes of it in a moment.

    Args:
        body: Where the bytes come from.
        part: Where they go; what came is kept on failure too.
        digest: Takes them.
        size_bytes: Of the body, at most `BLOCK_BYTES`.
        check_first: As `pour`.
    """
    if _buffer.block is None:
        _buffer.block = memoryview(bytearray(BLOCK_BYTES))
    view, until = _buffer.block[:size_bytes], time.monotonic() + _FLUSH_SECONDS
    count = body.read_into(view) if size_bytes else 0
    check_first(view[:count])
    try:
        got = count
        while got and count < size_bytes and time.monotonic() < until:
            got = body.read_into(view[count:])
            count += got
    finally:
        digest.update(view[:count])
        part.write(view[:count])


def pour(
    body: Readable,
    part: Part,
    digest: Digest,
    limit: int,
    check_first: Callable[[memoryview], None],
    told: Callable[[int], None],
    enough: Callable[[int], bool] = lambda _have: False,
) -> bool:
    """Appends a body to the part until its end or until the part has `limit` bytes; what came is kept on failure too.

    Args:
        body: Where the bytes come from.
        part: Where they go; it may have some already.
        digest: Takes them in order.
        limit: The most bytes the part may have.
        check_first: Sees the first bytes before any is written, when the part is empty, and may raise.
        told: Gets the size of the part, now and then; nobody writes meanwhile.
        enough: Gets how many bytes are here or on their way to the part, and may end the reading; the body stands then
            where the part ends.

    Returns:
        Whether the body ended by itself; False: it was stopped at the limit and may go on.
    """
    have, ended, last_told = part.size_bytes, False, 0.0
    with Relay(part.write, digest) as relay:
        while not ended and have < limit and not enough(have):
            count, ended = _fill(body, relay, limit - have, _unseen if have else check_first)
            have += count
            now = time.monotonic()
            if now - last_told >= _TELL_SECONDS:
                last_told = now
                relay.settle()
                told(part.size_bytes)
    told(part.size_bytes)
    return ended


def _fill(body: Readable, relay: Relay, most: int, check_first: Callable[[memoryview], None]) -> tuple[int, bool]:
    """Reads until a block is full or a moment has passed: how many bytes, and whether the body ended."""
    block = relay.block()[:most]
    count, until = 0, time.monotonic() + _FLUSH_SECONDS
    while count < len(block):
        got = body.read_into(block[count:])
        if not got:
            relay.end_block(block[:count])
            return count, True
        piece = block[count : count + got]
        if not count:
            check_first(piece)
        relay.write(piece)
        count += got
        if time.monotonic() >= until:
            break
    relay.end_block(block[:count])
    return count, False


def _unseen(_piece: memoryview) -> None:
    """Nothing to look at."""
