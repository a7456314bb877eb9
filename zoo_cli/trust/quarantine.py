"""Files that were refused, kept where nobody loads them by accident, each with the reason.

Edge: a folder of the cache. A file there has a name of its own that no loader looks for, and mode 0600; beside it
stands a JSON document that says what it was called, where it came from and why it was refused. It is never taken from
there again: whoever wants it moves it by hand.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.atomic import write_whole
from zoo_cli.directories import own_cache

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import BinaryIO

FOLDER = "quarantine"
ENDING = ".refused"
MAX_BYTES = 20 * 1000**3
MAX_LISTED, MAX_REASON = 1000, 1 << 20


class Refused(NamedTuple):
    """A file that is kept there."""

    path: Path
    name: str  # what it was called; "" where that is not known
    code: str  # why it was refused, as a word


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The folder of one cache directory."""

    cache: Path

    @property
    def directory(self) -> Path:
        """Where the files are."""
        return own_cache(self.cache) / FOLDER

    def keep(self, file: BinaryIO, reason: Mapping[str, object]) -> Path | None:
        """A copy of a refused file, and its reason; None when there is no room for it, or no right to write.

        Args:
            file: the whole file, seekable.
            reason: what `zoo` said of it, as a JSON document.
        """
        size = file.seek(0, os.SEEK_END)
        part = self.directory / f".{os.getpid()}-{id(file)}{ENDING}"
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            if size > MAX_BYTES or size > shutil.disk_usage(self.directory).free // 2:
                return None
            digest = self._copied(file, part)
            path = self.directory / f"{digest}{ENDING}"
            about = {**reason, "sha256": digest, "size_bytes": size}
            write_whole(path.with_suffix(".json"), (json.dumps(about, indent=2, default=str) + "\n").encode())
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            return None
        return path

    def kept(self) -> tuple[Refused, ...]:
        """What is in it, by name; a document that cannot be read is passed over."""
        found = []
        for path in sorted(self.directory.glob("*.json"))[:MAX_LISTED]:
            try:
                with path.open("rb") as file:
                    about = json.loads(file.read(MAX_REASON))
                texts = [about.get(name) for name in ("name", "file", "code")]
            except (OSError, ValueError, AttributeError, RecursionError):
                continue
            name, other, code = (each if isinstance(each, str) else "" for each in texts)
            found.append(Refused(path.with_suffix(ENDING), name or other, code))
        return tuple(sorted(found, key=lambda each: (each.name, each.path)))

    def _copied(self, file: BinaryIO, part: Path) -> str:
        digest = sha256()
        file.seek(0)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(part, flags, 0o600), "wb") as kept:
            while block := file.read(1 << 20):
                digest.update(block)
                kept.write(block)
        return digest.hexdigest()


def withdraw(path: Path, reason: Mapping[str, object], quarantine: Quarantine | None) -> Path | None:
    """Takes a file away from its final name; where a copy of it is kept.

    Raises:
        OSError: It cannot be read or removed.
    """
    with path.open("rb") as file:
        kept = quarantine.keep(file, reason) if quarantine else None
    path.unlink(missing_ok=True)
    return kept
