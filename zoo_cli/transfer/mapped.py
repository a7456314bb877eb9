"""A part file while several threads write into it, and its map.

Edge: files. The map has a record of 16 bytes for each range that grows (`ranges`), rewritten after each write of data:
a kill -9 can lose what was on its way and nothing else. A new map gets its name when it says all that the one before it
said: bytes that no map tells of would be fetched again.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from zoo_cli.transfer.ranges import RECORD, Range

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Mapped:
    """The file and its map, open; both descriptors are its own.

    A thread that comes late, after the part was closed, so never writes into a file of somebody else. Who begins to
    use it says `retain`, who has done says `release`; the maker has retained it.
    """

    def __init__(
        self,
        fd: int,
        map_path: Path,
        have: tuple[Range, ...],
        wrote: Callable[[int, int], None],
        unusable: Callable[[OSError], Exception],
    ) -> None:
        """Makes the map.

        Args:
            fd: The part file; it is duplicated.
            map_path: Where the map stands, perhaps already.
            have: What of the file is here.
            wrote: Gets where each write began, and its number of bytes.
            unusable: Makes of an error of the operating system what it means for the destination.

        Raises:
            OSError: The map cannot be written; the one before it is as it was.
        """
        self._map = new_map(map_path, have)
        self._fd = os.dup(fd)
        self._wrote, self._unusable = wrote, unusable
        self._users, self._lock = 1, threading.Lock()

    def write(self, view: memoryview, number: int, first: int, at: int) -> None:
        """Writes bytes at their place, then the record of their range: it began at `first` and ends with them."""
        try:
            while view:
                count = os.pwrite(self._fd, view, at)
                self._wrote(at, count)
                view, at = view[count:], at + count
            os.pwrite(self._map, RECORD.pack(first, at), number * RECORD.size)
        except OSError as exc:
            raise self._unusable(exc) from exc

    def read(self, at: int, count: int) -> bytes:
        """Bytes that are there."""
        return os.pread(self._fd, count, at)

    def retain(self) -> None:
        """One user more."""
        with self._lock:
            self._users += 1

    def release(self) -> None:
        """One user less; the last one closes the files."""
        with self._lock:
            self._users -= 1
            if not self._users:
                os.close(self._fd)
                os.close(self._map)


def new_map(path: Path, have: tuple[Range, ...]) -> int:
    """Opens a map that tells of these ranges, in the place of the one that is there."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    fd = os.open(fresh, flags | getattr(os, "O_BINARY", 0), 0o666)
    try:
        os.pwrite(fd, b"".join(RECORD.pack(*each) for each in have), 0)
        fresh.replace(path)
    except OSError:
        os.close(fd)
        raise
    return fd
