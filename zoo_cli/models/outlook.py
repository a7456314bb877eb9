"""What a download will cost before it begins: files, sizes, what is here already, the room on the disk.

Flow. Sizes come from the index where it knows them, else from the servers, several at once; a size that nobody says is
None, and a total with such a file in it is a lower bound.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.models.download import JOBS
from zoo_cli.models.modelfile import Access, addresses_of
from zoo_cli.models.placing import bytes_here, free_bytes
from zoo_cli.transfer.failures import NoSpace
from zoo_cli.transfer.hashes import parse_sha256
from zoo_cli.transfer.parallel import together
from zoo_cli.transfer.sizes import size_of

if TYPE_CHECKING:
    from pathlib import Path

    from zoo_cli.catalog.models import ModelFile
    from zoo_cli.models.selection import Selection

_MARGIN_BYTES = 16 << 20  # for configs and receipts


class VeryLarge(ZooError):
    """Very much would be fetched, and nobody can be asked."""

    code = "very-large"
    exit_code = ExitCode.USAGE

    files: int
    size_bytes: int
    limit_bytes: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """Sizes by place below the destination, how much of each is here, and the free room there, in bytes."""

    destination: Path
    sizes: dict[str, int | None]
    here: dict[str, int]
    free: int

    @property
    def total(self) -> int:
        """All known sizes together."""
        return sum(size or 0 for size in self.sizes.values())

    @property
    def unknown(self) -> int:
        """Files whose size nobody says."""
        return sum(size is None for size in self.sizes.values())

    @property
    def to_fetch(self) -> int:
        """What is known to be missing."""
        return sum(max(0, (size or 0) - self.here[place]) for place, size in self.sizes.items())

    @property
    def fits(self) -> bool:
        """Whether what is known to be missing fits on the disk."""
        return not self.to_fetch or self.to_fetch + _MARGIN_BYTES <= self.free

    def require_space(self) -> None:
        """Raises `NoSpace` when it does not fit."""
        if not self.fits:
            raise NoSpace(str(self.destination), self.to_fetch, self.free)


def look_ahead(selection: Selection, destination: Path, access: Access, jobs: int = JOBS) -> Outlook:
    """The outlook of a selection; asks servers for sizes unless `access.settings.offline`.

    Raises:
        DestinationUnusable: The destination cannot be looked at.
    """
    files: dict[str, ModelFile] = {pick.place(file.name): file for pick in selection.picks for file in pick.files}
    asked = {file: _known_size(file, access) for file in files.values()}
    unknown = [file for file, size in asked.items() if size is None]

    def ask(file: ModelFile) -> int | None:
        return size_of(addresses_of(file, access.mirrors), access.settings)

    with closing(together(unknown, ask, 2 * jobs)) as sizes:
        for file, size in sizes:
            asked[file] = size if isinstance(size, int) else None
    return Outlook(
        destination,
        {place: asked[file] for place, file in files.items()},
        {place: bytes_here(destination / place) for place in files},
        free_bytes(destination),
    )


def _known_size(file: ModelFile, access: Access) -> int | None:
    """The size as the index or the store knows it."""
    digest = file.sha256 or (access.seen.digest_of(file.urls[0]) if access.seen else None)
    if file.size_bytes is not None or digest is None or access.store is None:
        return file.size_bytes
    stored = access.store.look(parse_sha256(digest))
    return stored.about.st_size if stored else None
