"""Config files under their final names: whole or not at all, and never over somebody's work.

Edge: the destination directory.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from zoo_cli.atomic import write_whole
from zoo_cli.transfer.failures import DestinationExists, DestinationUnusable

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
