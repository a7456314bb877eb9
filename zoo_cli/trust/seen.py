"""The digests of files as they were first received: from the second time on, a name is a promise.

Edge: one text file in the user's state directory (`zoo_cli.directories.state_directory`), a line
`<sha256>  <address>` for each file, only ever appended to. An index that knows eight digits of a checkpoint, or a
page without digests, proves nothing; what was received once, and found good enough to keep, must at least stay the
same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_cli.transfer.hashes import BadDigest, Sha256, parse_sha256

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME = "digests.txt"
_MAX_BYTES = 16_000_000


@dataclass(frozen=True, slots=True)
class Seen:
    """The record of first-seen digests under one state directory."""

    directory: Path

    @property
    def path(self) -> Path:
        """The file, for messages."""
        return self.directory / FILE_NAME

    def digest_of(self, url: str) -> Sha256 | None:
        """The digest first received for an address of the index; None when there was none, or no record."""
        try:
            with self.path.open("rb") as file:
                lines = file.read(_MAX_BYTES).decode("utf-8", "replace").splitlines()
        except OSError:
            return None
        for line in lines:
            digest, _, address = line.partition("  ")
            if address == url:
                try:
                    return parse_sha256(digest)
                except BadDigest:
                    continue
        return None

    def record(self, url: str, sha256: Sha256) -> bool:
        """Adds a line unless the address has one; False when the record cannot be written."""
        if self.digest_of(url):
            return True
        if not url.isprintable():
            return False
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:  # O_APPEND: whole lines, also of two processes
                file.write(f"{sha256}  {url}\n")
        except OSError:
            return False
        return True
