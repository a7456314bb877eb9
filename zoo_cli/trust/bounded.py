"""Bounded reads of one compiled file: every offset and size is checked before it is used.

Pure: gets an open, seekable binary file. What the readers of ELF, PE, Mach-O and CUDA code have in common.
"""

from __future__ import annotations

from typing import IO

from zoo_cli.errors import ExitCode, ZooError

MAX_TABLE = 256 << 20  # bytes of one symbol or string table; libtorch_cpu.so has about 20 MB


class BadBinary(ZooError):
    """A compiled file cannot be read: of another form than it says, cut off, or its tables make no sense."""

    code = "bad-binary"
    exit_code = ExitCode.INTEGRITY

    reason: str


class Reader:
    """One file; `size` is its length in bytes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.size = stream.seek(0, 2)

    def bytes_at(self, offset: int, size: int) -> bytes:
        """Exactly these bytes.

        Raises:
            BadBinary: they are not all in the file, or too many.
        """
        if size > MAX_TABLE or offset + size > self.size:
            raise BadBinary("a table lies outside the file or is too large")
        self._stream.seek(offset)
        data = self._stream.read(size)
        if len(data) != size:
            raise BadBinary("the file ends inside a table")
        return data

    def some_at(self, offset: int, size: int) -> bytes:
        """These bytes, or fewer where the file ends."""
        return self.bytes_at(offset, max(0, min(size, self.size - offset, MAX_TABLE))) if offset < self.size else b""

    def text_at(self, offset: int, limit: int = 4096) -> str:
        """The text up to the next null byte.

        Raises:
            BadBinary: there is none within the limit.
        """
        text, end, _rest = self.some_at(offset, limit).partition(b"\0")
        if not end:
            raise BadBinary("a name without an end")
        return text.decode("utf-8", "replace")
