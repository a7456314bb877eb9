"""Files that one process holds at a time.

Edge: flock(2). The system releases such a lock when the last process that has the file open ends, however it ends.
Where a system (Windows) or a file system has no such locks nobody is kept out: one at a time is the user's care there.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_POLL_SECONDS = 0.1
_MAX_HOLDER = 4096  # bytes
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class HeldElsewhere(BlockingIOError):
    """Another process has the lock and kept it.

    Attributes:
        holder: What that process wrote of itself; empty where it wrote nothing.
    """

    def __init__(self, holder: str = "") -> None:
        super().__init__(errno.EWOULDBLOCK, "another process holds it")
        self.holder = holder


def take(fd: int, wait_seconds: float | None = 0.0, waiting: Callable[[], None] = lambda: None) -> None:
    """Locks an open file for this process, until the file is closed.

    Args:
        fd: The open file.
        wait_seconds: How long to wait for another process; None is as long as it takes.
        waiting: Called once before the first wait.

    Raises:
        HeldElsewhere: Another process has it still.
    """
    deadline = None if wait_seconds is None else time.monotonic() + wait_seconds
    has_told = False
    while not _try(fd):
        if deadline is not None and time.monotonic() >= deadline:
            raise HeldElsewhere(os.pread(fd, _MAX_HOLDER, 0).decode("utf-8", "replace"))
        if not has_told:
            waiting()
            has_told = True
        time.sleep(_POLL_SECONDS)


@contextmanager
def hold(
    path: Path, about: str = "", wait_seconds: float | None = 0.0, waiting: Callable[[], None] = lambda: None
) -> Iterator[int]:
    """Makes the file of a lock, holds it and gives its descriptor, which a child may inherit to hold it as well.

    Args:
        path: The file; its directory exists. A link there is not followed.
        about: What others are told of this process (`HeldElsewhere.holder`).
        wait_seconds: As for `take`.
        waiting: As for `take`.

    Raises:
        HeldElsewhere: Another process has it still.
        OSError: The file cannot be made.
    """
    fd = os.open(path, _FLAGS, 0o666)
    try:
        take(fd, wait_seconds, waiting)
        os.ftruncate(fd, 0)
        os.pwrite(fd, about.encode()[:_MAX_HOLDER], 0)
        yield fd
    finally:
        os.close(fd)


def _try(fd: int) -> bool:
    try:
        if fcntl is not None:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as exc:
        if exc.errno not in _NO_LOCKS:
            raise
    return True
