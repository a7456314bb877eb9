"""Bytes on their way to the disk while others still arrive.

Edge: a thread and the disk. A file gets its final name only when the disk has it; asked at the end, that takes as
long as writing all of it (a second a gigabyte). So now and then a thread asks for what is there; the last wait is then
short.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from queue import SimpleQueue

_FIRST_BYTES, _STEP_BYTES = 4 << 20, 32 << 20


class Writeback:
    """Syncs one open file in the background; small files need none of it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._unasked = self._written = 0
        self._orders: SimpleQueue[bool] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def wrote(self, count: int, *, early: bool = False) -> None:
        """So many bytes more are written; asks the disk for them when it is worth it and no order waits.

        A sync holds up those who write meanwhile. At the beginning of a large file it would make a fast stream look
        slow, and with many connections their bytes pile up in the sockets, where a kill loses them. So the first one
        comes `early` only where the caller says that the file is small and comes in one stream.
        """
        self._unasked += count
        self._written += count
        step = min(_STEP_BYTES, max(_FIRST_BYTES, self._written // 4)) if early else _STEP_BYTES
        if self._unasked < step or not self._orders.empty():
            return
        self._unasked = 0
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()
        self._orders.put(True)

    def _work(self) -> None:
        sync = getattr(os, "fdatasync", os.fsync)
        while self._orders.get():
            with suppress(OSError):  # the last sync, in the foreground, tells
                sync(self._fd)

    def close(self) -> None:
        """Waits for the sync that is running."""
        if self._thread is not None:
            self._orders.put(False)
            self._thread.join()
            self._thread = None
