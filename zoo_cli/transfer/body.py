"""A body into a part file, hashed on the way.

Edge: a thread and the clock. Reading and writing happen here, hashing in a second thread over a ring of buffers, so
a verified transfer takes the longer of the two and not their sum (`benchmarks/bench_transfer.py`). The ring bounds
memory to a few megabytes whatever the size of the file. A small body is gathered, hashed in line and written once.
"""

from __future__ import annotations

import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from zoo_cli.transfer.part import Part

BLOCK_BYTES = 1 << 20
_BLOCKS = 6
_FLUSH_SECONDS = 0.05  # how soon a slow stream is judged
_TELL_SECONDS = 0.05


class Readable(Protocol):
    """A body: reads what is there into a view; 0 is its end."""

    def read_into(self, view: memoryview) -> int:
        """Bytes read."""
        ...


class Digest(Protocol):
    """What hashlib gives."""

    def update(self, data: memoryview, /) -> None:
        """Takes more bytes."""
        ...

    def hexdigest(self) -> str:
        """The digest so far."""
        ...


class Hashing:
    """A digest that is fed blocks in order; where a whole block has a successor, in a thread of its own."""

    def __init__(self, digest: Digest) -> None:
        self._digest = digest
        self._free: SimpleQueue[memoryview] = SimpleQueue()
        self._full: SimpleQueue[tuple[memoryview, int] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._first: memoryview | None = None  # a whole block that may be the only one
        self._given = 0

    def block(self) -> memoryview:
        """A block to fill, one that was used before if there is; waits when all are still to be hashed."""
        if self._given < _BLOCKS and self._free.empty():
            self._given += 1
            return memoryview(bytearray(BLOCK_BYTES))
        return self._free.get()

    def feed(self, block: memoryview, count: int) -> None:
        """Hashes the first `count` bytes of the block and takes it back."""
        if self._thread is not None:
            self._full.put((block, count))
        elif self._first is not None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()
            self._full.put((self._first, BLOCK_BYTES))
            self._full.put((block, count))
            self._first = None
        elif count == BLOCK_BYTES:
            self._first = block
        else:
            self._digest.update(block[:count])
            self._free.put(block)

    def _work(self) -> None:
        while (item := self._full.get()) is not None:
            block, count = item
            self._digest.update(block[:count])
            self._free.put(block)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits until everything fed is hashed."""
        if self._thread is not None:
            self._full.put(None)
            self._thread.join()
        elif self._first is not None:
            self._digest.update(self._first)


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
        told: Gets the size of the part, now and then.
        enough: Gets it too, and may end the reading; the body stands then where the part ends.

    Returns:
        Whether the body ended by itself; False: it was stopped at the limit and may go on.
    """
    last_told = 0.0
    with Hashing(digest) as hashing:
        ended = False
        while not ended and part.size_bytes < limit and not enough(part.size_bytes):
            block = hashing.block()
            filled = _Fill(block[: limit - part.size_bytes], part, check_first)
            try:
                ended = filled.from_body(body)
            finally:
                hashing.feed(block, filled.count)
            now = time.monotonic()
            if now - last_told >= _TELL_SECONDS:
                last_told = now
                told(part.size_bytes)
    told(part.size_bytes)
    return ended


class _Fill:
    """One block being filled, and written as it comes: a kill -9 loses what is on its way and no more."""

    def __init__(self, view: memoryview, part: Part, check_first: Callable[[memoryview], None]) -> None:
        self._view, self._part, self._check_first = view, part, check_first
        self.count = 0  # read and written; right also when reading fails half-way

    def from_body(self, body: Readable) -> bool:
        """Reads until the block is full or a moment has passed; True at the end of the body."""
        until = time.monotonic() + _FLUSH_SECONDS
        while self.count < len(self._view):
            piece = self._view[self.count :]
            got = body.read_into(piece)
            if not got:
                return True
            if not self._part.size_bytes:
                self._check_first(piece[:got])
            self._part.write(piece[:got])
            self.count += got
            if time.monotonic() >= until:
                break
        return False
