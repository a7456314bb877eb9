"""The destination: config files whole or not at all, never over somebody's work; what is there, and how much room.

Edge: the destination directory.
"""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256
from shutil import disk_usage
from typing import TYPE_CHECKING

from zoo_cli.atomic import write_whole
from zoo_cli.transfer.failures import DestinationExists, DestinationUnusable
from zoo_cli.transfer.part import part_path

if TYPE_CHECKING:
    from pathlib import Path


def is_placed(path: Path, text: str, *, replace: bool = False) -> bool:
    """Whether the file is there with exactly this text.

    Raises:
        DestinationExists: Another file is there and may not be replaced.
        DestinationUnusable: What is there is no file, or cannot be read.
    """
    body = text.encode()
    try:
        if path.is_dir() or (path.exists() and not path.is_file()):
            raise DestinationUnusable(str(path), "it is there and is no plain file")
        with path.open("rb") as file:
            found = file.read(len(body) + 1)
            if found == body:
                return True
            if replace:
                return False
            digest = sha256(found)
            while block := file.read(1 << 20):
                digest.update(block)
    except FileNotFoundError:
        return False
    except OSError as exc:
        raise DestinationUnusable(str(path), exc.strerror or str(exc)) from exc
    raise DestinationExists(str(path), sha256(body).hexdigest(), digest.hexdigest())


def place(path: Path, text: str) -> None:
    """Writes a config, whole or not at all.

    Raises:
        DestinationUnusable: The directory cannot be made or written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
    except OSError as exc:
        raise DestinationUnusable(str(path), exc.strerror or str(exc)) from exc


def bytes_here(path: Path) -> int:
    """How much of a file is at its place: all of it, or the part that an earlier try kept."""
    for each in (path, part_path(path)):
        with suppress(OSError):
            return each.stat().st_size
    return 0


def free_bytes(directory: Path) -> int:
    """The room on the disk where a directory is, or will be made.

    Raises:
        DestinationUnusable: It cannot be looked at.
    """
    try:
        there = next(each for each in (directory.absolute(), *directory.absolute().parents) if each.exists())
        return disk_usage(there).free
    except OSError as exc:
        raise DestinationUnusable(str(directory), exc.strerror or str(exc)) from exc
