"""Reading small files that may be anything: absent, huge, a pipe, not text.

Edge: touches the file system. Nothing here raises for what the disk holds, waits for a writer, or reads more than it
was allowed: a wrong file is the same as none.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def read_head(path: Path | str, limit_bytes: int) -> bytes | None:
    """At most the first `limit_bytes` of a regular file; None when it cannot be read or is something else."""
    try:
        descriptor = os.open(path, _FLAGS)  # O_NONBLOCK: a named pipe must not make us wait
    except (OSError, ValueError):
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return _read_all(descriptor, limit_bytes)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _read_all(descriptor: int, limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    while limit_bytes > 0 and (part := os.read(descriptor, min(limit_bytes, 1 << 20))):
        parts.append(part)
        limit_bytes -= len(part)
    return b"".join(parts)


def read_text(path: Path | str, limit_bytes: int = 65536) -> str | None:
    """The beginning of a file as text; bytes that are not UTF-8 become U+FFFD. None when it cannot be read."""
    head = read_head(path, limit_bytes)
    return None if head is None else head.decode("utf-8", "replace")


def names_in(directory: Path | str, limit: int = 100_000) -> list[str]:
    """The names in a directory, sorted; an empty list when it cannot be read. At most `limit` are looked at."""
    found: list[str] = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                found.append(entry.name)
                if len(found) >= limit:
                    break
    except (OSError, ValueError):
        return []
    return sorted(found)


def is_there(path: Path | str) -> bool:
    """Whether something of that name exists and may be looked at."""
    try:
        return os.access(path, os.F_OK)
    except ValueError:  # a null character in the name
        return False


def is_writable(directory: Path) -> bool:
    """Whether files can be made in a directory, or where it would be made."""
    for place in (directory, *directory.parents):
        if is_there(place):
            return os.access(place, os.W_OK | os.X_OK)
    return False


def free_bytes(directory: Path) -> int | None:
    """Free space on the file system of a directory, or of where it would be made; None when it cannot be told."""
    place = next((place for place in (directory, *directory.parents) if is_there(place)), None)
    if place is None:
        return None
    try:
        if hasattr(os, "statvfs"):
            status = os.statvfs(place)
            return status.f_bavail * status.f_frsize
        import shutil  # only where it is needed: it brings every compressor along

        return shutil.disk_usage(place).free
    except OSError:
        return None
