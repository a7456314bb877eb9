"""Small files written whole or not at all.

An edge. Large files that arrive over the network are the transfer room's.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_whole(path: Path, body: bytes, mode: int = 0o666) -> None:
    """Writes a file under a temporary name beside its place and renames it; what stood there is replaced.

    `mode`: permission bits, of which the process's umask takes some away; 0o600 for what is nobody else's.

    Raises:
        OSError: The directory is missing or cannot be written; then nothing was changed and nothing is left behind.
    """
    # 40 characters are at most 160 bytes: the name stays below the 255 of common file systems.
    part = path.with_name(f".{path.name[:40]}.{os.getpid()}.{os.urandom(4).hex()}.zoo-new")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        with os.fdopen(os.open(part, flags, mode), "wb") as file:
            file.write(body)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
