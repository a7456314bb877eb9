"""A file of this computer as a body: what a file: address or a path leads to.

Edge: reads it. Only plain files have a size that can be relied on; a pipe or a device is refused before it is opened,
since that may wait for ever, and what has more bytes than its size says (/proc, a log) is no whole file either.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.transfer.failures import LocalFileFailed

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


class LocalFile:
    """An open plain file; a context manager that closes it.

    Attributes:
        size_bytes: Of the file when it was opened.
    """

    def __init__(self, path: str, shown: str) -> None:
        """Opens it.

        Raises:
            LocalFileFailed: It cannot be opened, or is no plain file; as every other method.
        """
        self._shown = shown
        try:
            self._require_plain(Path(path).stat().st_mode)
            self._file = Path(path).open("rb", buffering=0)  # noqa: SIM115 - closed by __exit__
            self.size_bytes = os.fstat(self._file.fileno()).st_size
        except (OSError, ValueError) as exc:
            raise self._failure(exc) from exc

    def _require_plain(self, mode: int) -> None:
        if not stat.S_ISREG(mode):
            raise LocalFileFailed(self._shown, "it is a directory" if stat.S_ISDIR(mode) else "it is no plain file")

    def seek(self, at: int) -> None:
        """The next byte to be read."""
        self._file.seek(at)

    def read_into(self, view: memoryview) -> int:
        """Bytes read; 0 at the end."""
        try:
            return self._file.readinto(view) or 0
        except OSError as exc:
            raise self._failure(exc) from exc

    def require_end(self) -> None:
        """Raises unless every byte was read."""
        if self.read_into(memoryview(bytearray(1))):
            raise LocalFileFailed(self._shown, "it has more bytes than its size says: it is still being written")

    def _failure(self, exc: OSError | ValueError) -> LocalFileFailed:
        return LocalFileFailed(self._shown, (isinstance(exc, OSError) and exc.strerror) or str(exc))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
