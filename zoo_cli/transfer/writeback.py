"""Bytes on their way to the disk while others still arrive.

Edge: a thread and the disk. A file gets its final name only when the disk has it; asked at the end, that takes as
long as writing all of it. So the system is told early which bytes nobody will change any more
(posix_fadvise(2), POSIX_FADV_DONTNEED: Linux begins to write them, and keeps in memory what is not yet written). Unlike
a sync that makes nobody wait: neither who writes further bytes nor a thread that reads what was written before. Systems
without that call write at the end.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from queue import SimpleQueue

_STEP_BYTES = 8 << 20


class Writeback:
    """Has one open file written in the background as it grows, in one place or in several."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._begun: dict[int, int] = {}  # where untold bytes end: where they begin; each run has one writer
        self._told: SimpleQueue[tuple[int, int] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def wrote(self, at: int, count: int) -> None:
        """So many bytes were written at this place, after those that were written before it or anew."""
        first, after = self._begun.pop(at, at), at + count
        if after - first < _STEP_BYTES:
            self._begun[after] = first
        else:
            self._tell(first, after)

    def _tell(self, first: int, after: int) -> None:
        if not hasattr(os, "posix_fadvise"):
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()
        self._told.put((first, after))

    def _work(self) -> None:
        while (piece := self._told.get()) is not None:
            first, after = piece
            with suppress(OSError):  # the sync at the end tells
                os.posix_fadvise(self._fd, first, after - first, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """Waits until the system was told what it was to be told."""
        if self._thread is not None:
            self._told.put(None)
            self._thread.join()
            self._thread = None
