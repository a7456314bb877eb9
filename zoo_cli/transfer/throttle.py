"""A limit of bandwidth for all transfers of a run together.

Edge: the clock. A bucket of a tenth of a second: who received more than the rate allows sleeps it off before reading
on, so the server is slowed by TCP itself and no byte is dropped.
"""

from __future__ import annotations

import threading
import time


class Throttle:
    """At most so many bytes a second, over all threads."""

    def __init__(self, bytes_per_second: int) -> None:
        self.bytes_per_second = bytes_per_second
        self._lock = threading.Lock()
        self._free_at = time.monotonic()
        self._held_at = 0.0

    def took(self, count: int) -> None:
        """So many bytes were received; returns when the rate allows the next ones."""
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now - 0.1) + count / self.bytes_per_second
            wait = self._free_at - now
            if wait > 0:
                self._held_at = now
        if wait > 0:
            time.sleep(wait)

    def held_since(self, when: float) -> bool:
        """Whether anybody had to wait after that time of the monotonic clock."""
        return self._held_at >= when

    @property
    def piece_bytes(self) -> int:
        """How much to read at once, so that the rate is even."""
        return max(1024, min(1 << 20, self.bytes_per_second // 20))
