"""The engine: one wanted file from the first address that delivers it to its final name.

Edge: the destination. Order of things: a right file that is there already costs no bytes; the part file is locked;
addresses are tried in rounds and kept bytes gone on from (`rounds`, `attempt`); size and digest are checked before the
final name exists. What one address does wrong is an event; only when all failed is it an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.transfer.addresses import place_of
from zoo_cli.transfer.attempt import Attempt, Delivered
from zoo_cli.transfer.documents import Document, read_document
from zoo_cli.transfer.events import Finished, Listener, Noted, nothing
from zoo_cli.transfer.failures import DestinationExists, DestinationUnusable
from zoo_cli.transfer.hashes import Sha256
from zoo_cli.transfer.part import Part
from zoo_cli.transfer.remote import RemoteFile
from zoo_cli.transfer.rounds import Rounds
from zoo_cli.transfer.settings import Settings
from zoo_cli.transfer.sources import Wanted

if TYPE_CHECKING:
    from zoo_cli.transfer.hashes import Evidence

__all__ = ["Document", "Received", "RemoteFile", "Settings", "Wanted", "fetch", "read_document"]


@dataclass(frozen=True, slots=True)
class Received:
    """A file under its final name."""

    path: Path
    size_bytes: int
    sha256: Sha256
    url: str  # where it came from, to show; the path itself when it was here already
    evidence: Evidence
    already_here: bool


def fetch(
    wanted: Wanted,
    destination: Path,
    settings: Settings | None = None,
    listen: Listener = nothing,
    *,
    replace: bool = False,
    make_directory: bool = True,
) -> Received:
    """Puts the wanted file at the destination, verified as far as anything is known of it.

    Args:
        wanted: Addresses, size, digests.
        destination: The final path of the file, never a directory.
        settings: Limits; the defaults when None.
        listen: Gets events while it runs.
        replace: Whether another file at the destination may be replaced (atomically, after verification).
        make_directory: Whether a missing directory is made.

    Raises:
        Failed: The only address failed, after further tries where they made sense.
        AllSourcesFailed: Several addresses, none delivered.
        DestinationExists, DestinationUnusable, NoSpace: The destination's side.
        TookTooLong: `settings.total_seconds` is over.
        BadAddress: An address cannot be read.
    """
    destination, settings = Path(destination).absolute(), settings or Settings()
    _prepare(destination, make_directory)
    here = _already_here(wanted, destination, replace)
    if here is None:
        waiting = Noted(f"another process is fetching {wanted.name}: waiting for it")
        with Part(destination, lambda: listen(waiting), settings.total_seconds) as part:
            here = _already_here(wanted, destination, replace, part.finished_meanwhile)
            if here is None:
                return _bring(wanted, part, settings, listen, replace)
    listen(Finished(wanted.name, here.size_bytes, here.evidence, place_of(here.url), already_here=True))
    return here


def _bring(wanted: Wanted, part: Part, settings: Settings, listen: Listener, replace: bool) -> Received:
    def deliver(url: str, limits: Settings) -> Delivered:
        return Attempt(wanted, url, part, limits, listen, rounds.check_time).run()

    rounds = Rounds(wanted.name, wanted.urls, settings, deliver, listen, lambda: part.size_bytes)
    delivered = rounds.run()
    size, evidence = part.size_bytes, evidence_of(wanted)
    if not part.publish(replace=replace, sync=settings.sync):
        _already_here(wanted, part.destination, replace=False)  # what appeared meanwhile is another file
        part.publish(replace=True, sync=settings.sync)  # or the same one, or a dangling link
    listen(Finished(wanted.name, size, evidence, place_of(delivered.url), already_here=False))
    return Received(part.destination, size, delivered.sha256, delivered.url, evidence, already_here=False)


def evidence_of(wanted: Wanted) -> Evidence:
    """What a file that passed the checks rests on; eight digits are never more than `prefix`."""
    if wanted.sha256:
        return wanted.basis
    return "prefix" if wanted.prefix else "none"


def _prepare(destination: Path, make_directory: bool) -> None:
    try:
        if make_directory:
            destination.parent.mkdir(parents=True, exist_ok=True)
        if destination.is_dir():
            raise DestinationUnusable(str(destination), "it is a directory")
        if not destination.parent.is_dir():
            raise DestinationUnusable(str(destination), "its directory does not exist")
    except (OSError, ValueError) as exc:
        raise _unusable(destination, exc) from exc


def _already_here(
    wanted: Wanted, destination: Path, replace: bool, finished_meanwhile: bool = False
) -> Received | None:
    """The file at the destination, when it is the wanted one.

    Raises:
        DestinationExists: It is another one, or nothing can tell, and replacing was not asked.
    """
    try:
        if not destination.exists():
            return None
        if not destination.is_file():
            raise DestinationUnusable(str(destination), "it is there and is no plain file")
        size, digest = digest_of(destination)
    except OSError as exc:
        raise _unusable(destination, exc) from exc
    is_right = digest.startswith(wanted.digest) if wanted.digest else finished_meanwhile
    if is_right and wanted.size_bytes in (None, size):
        return Received(destination, size, digest, str(destination), evidence_of(wanted), already_here=True)
    if not replace:
        raise DestinationExists(str(destination), wanted.digest, digest)
    return None


def digest_of(path: Path) -> tuple[int, Sha256]:
    """Size and SHA-256 of a file, read once."""
    digest, size = sha256(), 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
    return size, Sha256(digest.hexdigest())


def _unusable(destination: Path, exc: OSError | ValueError) -> DestinationUnusable:
    reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
    return DestinationUnusable(str(destination), reason)
