"""The final name of a file: given in one step, and never silently in the place of something else.

Edge: names on the disk.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def give_name(name: str, destination: Path, *, replace: bool) -> bool:
    """Gives a file another name instead of its own.

    A rename would replace silently what appeared a moment ago; a link does not.

    Args:
        name: The name it has.
        destination: The name it gets.
        replace: Whether what is there may be replaced.

    Returns:
        False when something is there that may not be replaced; then nothing was done.

    Raises:
        OSError: It cannot be done.
    """
    if not replace:
        try:
            os.link(name, destination)
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links
            if os.path.lexists(destination):
                return False
        else:
            os.unlink(name)
            return True
    os.replace(name, destination)
    return True


def give_link(source: Path, way: str, destination: Path, *, replace: bool) -> bool:
    """Gives the name to a hard link of another file.

    Args:
        source: The other file; what a link leads to is not looked up.
        way: A name beside the destination that only the caller uses; nothing is left there.
        destination: The name.
        replace: Whether what is there may be replaced.

    Returns:
        False when there can be no link here, or something is there that may not be replaced; nothing was done.
    """
    try:
        remove(way)
        os.link(source, way, follow_symlinks=False)
        if replace:
            os.replace(way, destination)
        else:
            os.link(way, destination, follow_symlinks=False)
    except OSError:
        return False
    finally:
        remove(way)
    return True


def remove(name: str) -> None:
    """Removes a file, if it is there."""
    with suppress(FileNotFoundError):
        os.unlink(name)


def sync_directory(path: str | Path) -> None:
    """Waits until the disk has the names in a directory; not every file system knows it."""
    with suppress(OSError):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
