"""Bytes that are written and hashed behind the one who brings them.

Edge: threads. Three things take their time: receiving (and deciphering) bytes, writing them and hashing them. Each has
a thread of its own over one ring of blocks, so a verified transfer takes as long as the longest of them, or as the
processors need for all, and not their sum (`benchmarks/bench_transfer.py`). The ring bounds memory to a few megabytes
whatever the size of the file. What fits into one block is written and hashed where it is brought: no thread begins.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

from zoo_cli.errors import ZooError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

BLOCK_BYTES = 1 << 20
_BLOCKS = 6


class Digest(Protocol):
    """What hashlib gives."""

    def update(self, data: memoryview, /) -> None:
        """Takes more bytes."""
        ...

    def hexdigest(self) -> str:
        """The digest so far."""
        ...


class Relay:
    """A ring of blocks to fill; a context manager that returns when everything is written and hashed.

    Args:
        write: Takes every piece in order, as soon as it is given: who is killed loses what is on its way and no more.
            An error of zoo that it raises comes out of a later call, or of the end of the `with`.
        digest: Takes every block in order.
    """

    def __init__(self, write: Callable[[memoryview], None], digest: Digest) -> None:
        self._write, self._digest = write, digest
        self._ring = [memoryview(bytearray(BLOCK_BYTES))]
        self._at = 0
        self._whole: memoryview | None = None  # the first block that was filled, if no thread has begun
        self._writing: _Behind | None = None
        self._hashing: _Behind | None = None

    def block(self) -> memoryview:
        """A block to fill, of `BLOCK_BYTES`; waits when all are still to be written and hashed."""
        if self._whole is not None:
            self._begin_threads(self._whole)
        if self._writing is None or self._hashing is None:
            return self._ring[0]
        self._at = (self._at + 1) % _BLOCKS
        if self._at == len(self._ring):
            self._ring.append(memoryview(bytearray(BLOCK_BYTES)))
        self._writing.wait_for(_BLOCKS - 1)
        self._hashing.wait_for(_BLOCKS - 1)
        return self._ring[self._at]

    def _begin_threads(self, written: memoryview) -> None:
        self._whole = None
        self._writing, self._hashing = _Behind(self._write), _Behind(self._digest.update)
        self._hashing.give(written)
        self._hashing.end_block()

    def write(self, piece: memoryview) -> None:
        """Has a piece of the block written."""
        if self._writing is None:
            self._write(piece)
        else:
            self._writing.give(piece)

    def end_block(self, filled: memoryview) -> None:
        """Has what was filled of the block hashed, and takes the block back."""
        if self._writing is not None and self._hashing is not None:
            self._writing.end_block()
            self._hashing.give(filled)
            self._hashing.end_block()
        elif len(filled) == BLOCK_BYTES:
            self._whole = filled
        else:
            self._digest.update(filled)

    def settle(self) -> None:
        """Returns when all blocks that were ended are written."""
        if self._writing is not None:
            self._writing.wait_for(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._whole is not None:
            self._digest.update(self._whole)
        failures = [each.close() for each in (self._writing, self._hashing) if each is not None]
        for failure in failures:
            if failure is not None and error is None:
                raise failure


class _Behind:
    """Does one thing with pieces, in order, in a thread of its own; after an error nothing more."""

    def __init__(self, act: Callable[[memoryview], None]) -> None:
        self._act = act
        self._given: SimpleQueue[memoryview | bool] = SimpleQueue()  # True: a block ends; False: everything
        self._passed: SimpleQueue[bool] = SimpleQueue()  # True: a block; False: nothing passes any more
        self._under_way = 0  # blocks that ended and have not passed
        self._error: ZooError | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def give(self, piece: memoryview) -> None:
        """Adds a piece."""
        self._given.put(piece)

    def end_block(self) -> None:
        """Says that a block's last piece was given."""
        self._under_way += 1
        self._given.put(True)

    def wait_for(self, most: int) -> None:
        """Returns when so many blocks, at most, are under way.

        Raises:
            ZooError: What stopped the thread.
        """
        while self._under_way > most:
            if not self._passed.get():
                raise self._error or RuntimeError("a thread of the transfer ended early")
            self._under_way -= 1

    def close(self) -> ZooError | None:
        """Returns when everything given is done, or with what stopped it."""
        self._given.put(False)
        self._thread.join()
        return self._error

    def _work(self) -> None:
        try:
            while (item := self._given.get()) is not False:
                if item is True:
                    self._passed.put(True)
                else:
                    self._act(item)
        except ZooError as error:
            self._error = error
        finally:
            self._passed.put(False)
