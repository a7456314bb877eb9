"""Bytes of a region of a file, read forward through a small window; large values are skipped, not read.

Pure: gets an open, seekable binary file. `Ended` says that the region is over, which is an error of the file, or, while
it is still being fetched, only the end of what is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import IO

_FIRST = 16 * 1024
_MOST = 256 * 1024
MAX_LINE = 64 * 1024


class Ended(Exception):
    """The region has no more bytes."""


class Window:
    """Reads `start` to `end` of a file, forward only."""

    def __init__(self, file: IO[bytes], start: int, end: int) -> None:
        self._file, self._start, self._end = file, start, end
        self._buffer, self._base, self._position = b"", start, 0
        self._size = _FIRST

    @property
    def at(self) -> int:
        """Offset in the region of the next byte."""
        return self._base + self._position - self._start

    @property
    def left(self) -> int:
        """Bytes of the region that were not read."""
        return self._end - self._base - self._position

    def byte(self) -> int:
        """The next byte.

        Raises:
            Ended: There is none.
        """
        try:
            value = self._buffer[self._position]
        except IndexError:
            self._fill(1)
            value = self._buffer[self._position]
        self._position += 1
        return value

    def take(self, count: int) -> bytes:
        """The next bytes.

        Raises:
            Ended: There are fewer.
        """
        if self._position + count > len(self._buffer):
            self._fill(count)
        piece = self._buffer[self._position : self._position + count]
        self._position += count
        return piece

    def skip(self, count: int) -> None:
        """Goes over bytes without reading them.

        Raises:
            Ended: There are fewer.
        """
        if count > self.left:
            raise Ended
        self._position += count
        if self._position > len(self._buffer):
            self._base, self._buffer, self._position = self._base + self._position, b"", 0

    def line(self) -> bytes:
        """The next line without its end.

        Raises:
            Ended: No line ends in the region, or not within `MAX_LINE` bytes.
        """
        found = self._buffer.find(b"\n", self._position)
        if found < 0:
            self._fill(min(MAX_LINE, self.left))
            found = self._buffer.find(b"\n", self._position)
        if found < 0:
            raise Ended
        piece = self._buffer[self._position : found]
        self._position = found + 1
        return piece

    def _fill(self, count: int) -> None:
        """Makes `count` bytes and more available at the position."""
        if count > self.left:
            raise Ended
        self._base += self._position
        self._position = 0
        self._file.seek(self._base)
        wanted = min(max(count, self._size), self._end - self._base)
        self._size = min(self._size * 2, _MOST)
        pieces, have = [], 0
        while have < wanted and (piece := self._file.read(wanted - have)):
            pieces.append(piece)
            have += len(piece)
        self._buffer = b"".join(pieces)
        if have < count:  # the file is shorter than it was
            raise Ended
