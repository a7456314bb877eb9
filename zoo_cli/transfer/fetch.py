"""The engine: one wanted file from the first address that delivers it to its final name.

Edge: the destination. Order of things: a right file that is there already costs no bytes; the part file is locked,
unless links to the store have worked in that directory and the next one will do; a file the store has is linked or
copied; else addresses are tried in rounds and kept bytes gone on from (`rounds`,
`attempt`), into the store when the digest is known; size and digest are checked before the final name exists. What one
address does wrong is an event; only when all failed is it an error.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.filelock import HeldElsewhere
from zoo_cli.transfer.addresses import place_of
from zoo_cli.transfer.attempt import Attempt, Delivered
from zoo_cli.transfer.events import CACHE, Event, Finished, Listener, Noted, Started, nothing
from zoo_cli.transfer.failures import (
    DestinationExists,
    DestinationUnusable,
    Failed,
    LocalFileFailed,
    NoSpace,
    TookTooLong,
)
from zoo_cli.transfer.finalname import sync_directory
from zoo_cli.transfer.part import Part, part_name, sweep
from zoo_cli.transfer.rounds import Rounds
from zoo_cli.transfer.settings import Settings
from zoo_cli.transfer.sources import Wanted
from zoo_cli.transfer.store import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo_cli.transfer.documents import Document, read_document
    from zoo_cli.transfer.hashes import Evidence, Sha256
    from zoo_cli.transfer.pool import Pool
    from zoo_cli.transfer.remote import RemoteFile
    from zoo_cli.transfer.store import Store, Stored

__all__ = ["Document", "Received", "RemoteFile", "Settings", "Wanted", "fetch", "read_document"]


def __getattr__(name: str) -> object:
    """The neighbours of this room, imported when they are asked for (PEP 562): a plain fetch needs none of them."""
    if name in ("Document", "read_document"):
        from zoo_cli.transfer import documents

        return getattr(documents, name)
    if name == "RemoteFile":
        from zoo_cli.transfer.remote import RemoteFile

        return RemoteFile
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class Received(NamedTuple):
    """A file under its final name."""

    path: Path
    size_bytes: int
    sha256: Sha256
    url: str  # where it came from, to show; the path itself when it was here already
    evidence: Evidence
    already_here: bool
    from_cache: bool = False  # the store had it: no byte came over the network
    is_mixed: bool = False  # other addresses than `url` have sent some of it


def fetch(
    wanted: Wanted,
    destination: Path,
    settings: Settings | None = None,
    listen: Listener = nothing,
    *,
    store: Store | None = None,
    replace: bool = False,
    keep: bool = False,
    make_directory: bool = True,
    pool: Pool | None = None,
) -> Received:
    """Puts the wanted file at the destination, verified as far as anything is known of it.

    Args:
        wanted: Addresses, size, digests.
        destination: The final path of the file, never a directory.
        settings: Limits; the defaults when None.
        listen: Gets events while it runs.
        store: Where a file of this digest may be already, and is kept for the next time.
        replace: Whether another file at the destination may be replaced (atomically, after verification).
        keep: Whether a file at the destination counts as the wanted one where nothing is known to compare it with.
        make_directory: Whether a missing directory is made.
        pool: Connections shared with other transfers of this run; its own when None.

    Raises:
        Failed: The only address failed, after further tries where they made sense.
        AllSourcesFailed: Several addresses, none delivered.
        DestinationExists, DestinationUnusable, NoSpace: The destination's side.
        TookTooLong: `settings.total_seconds` is over.
        BadAddress: An address cannot be read.
        Refused: `wanted.inspector` does not let the file through; it does not get its final name.
    """
    destination, settings = in_full(destination), settings or Settings()
    delivery, here = Delivery(wanted, settings, listen, store, pool), None
    if _is_taken(destination):
        here = _already_here(wanted, destination, replace, store, keep)
    elif not replace:
        linked = delivery.as_link(destination)
        if linked is not None:
            return delivery.tell(linked)
    if here is None:
        _prepare(destination, make_directory, store)
        waiting = Noted(f"another process is fetching {wanted.name}: waiting for it")
        with _locked(destination, wanted, settings, lambda: listen(waiting)) as part:
            here = _already_here(wanted, destination, replace, store, keep or part.finished_meanwhile)
            if here is None:
                return delivery.tell(delivery.into(part, replace=replace))
    sweep(destination)
    _look_into(wanted, destination)
    listen(Finished(wanted.name, here.size_bytes, here.evidence, place_of(here.url), already_here=True))
    return here


def _look_into(wanted: Wanted, path: Path) -> None:
    """Shows the inspector a file that did not come over the network now."""
    if wanted.inspector is None:
        return
    try:
        with path.open("rb") as file:
            wanted.inspector.whole(file)
    except OSError as exc:
        raise _unusable(path, exc) from exc


class Delivery:
    """One wanted file on its way into a locked, unfinished place: from the store, or from its addresses through it."""

    def __init__(
        self, wanted: Wanted, settings: Settings, listen: Listener, store: Store | None, pool: Pool | None
    ) -> None:
        self._wanted, self._settings, self._listen = wanted, settings, listen
        self._store, self._pool = store, pool
        self._delivered: Delivered | None = None  # into the store, over the network

    def tell(self, received: Received) -> Received:
        """Says that the file has its final name."""
        source = CACHE if received.from_cache else place_of(received.url)
        self._listen(Finished(self._wanted.name, received.size_bytes, received.evidence, source, already_here=False))
        return received

    def as_link(self, destination: Path) -> Received | None:
        """Gives the file its final name as a link to the store, where that is how it is done.

        Returns:
            None: there is none yet; a part file beside the destination is needed.

        Raises:
            Failed, AllSourcesFailed, TookTooLong, DestinationUnusable, NoSpace: As `fetch`.
        """
        store, digest = self._store, self._wanted.sha256
        if store is None or digest is None or not store.may_link(destination) or _is_begun(destination):
            return None
        stored = store.look(digest) or self._into_store(store, digest, destination)
        if stored is None or not stored.is_sealed or self._wanted.size_bytes not in (None, stored.about.st_size):
            return None
        if self._delivered is None:
            sweep(stored.path)
            _look_into(self._wanted, stored.path)
        if not store.link(stored, destination):
            return None
        if self._settings.sync and self._settings.sync_names:
            sync_directory(destination.parent)
        return self._as_stored(store, stored, digest, destination)

    def into(self, part: Part, *, replace: bool) -> Received:
        """Completes the part under its final name.

        Raises:
            Failed, AllSourcesFailed, TookTooLong, DestinationExists, DestinationUnusable, NoSpace: As `fetch`.
        """
        store, digest = self._store, self._wanted.sha256
        if store is not None and digest is not None:
            received = self._from_store(store, digest, part, store.look(digest), replace)
            if received is None:
                stored = self._into_store(store, digest, part.destination)
                received = self._from_store(store, digest, part, stored, replace)
            if received is not None:
                return received
        return self._directly(part, replace)

    def _from_store(
        self, store: Store, digest: Sha256, part: Part, stored: Stored | None, replace: bool
    ) -> Received | None:
        """The file as the store has it, linked or copied; None when it has none that is right."""
        if stored is None or self._wanted.size_bytes not in (None, stored.about.st_size):
            return None
        if self._delivered is None:  # else both were done a moment ago
            sweep(stored.path)
            _look_into(self._wanted, stored.path)
        if not (stored.is_sealed and store.place(stored, part, replace=replace, settings=self._settings)):
            try:
                self._run(part, (str(stored.path),), lambda event: self._listen(_from_cache(event)), once=True)
            except LocalFileFailed:
                return None
            except Failed:
                store.discard(digest)
                self._listen(
                    Noted(f"{self._wanted.name} was changed in the cache: its other names have the change, too")
                )
                return None
            self._publish(part, replace)
            store.seal(stored, digest)
        return self._as_stored(store, stored, digest, part.destination)

    def _as_stored(self, store: Store, stored: Stored, digest: Sha256, destination: Path) -> Received:
        """What to say of a file that has its final name and is in the store."""
        size, evidence = stored.about.st_size, evidence_of(self._wanted)
        if self._delivered is not None:
            url, is_mixed = self._delivered.url, self._delivered.is_mixed
            return Received(destination, size, digest, url, evidence, already_here=False, is_mixed=is_mixed)
        store.touch(stored)
        return Received(destination, size, digest, str(stored.path), evidence, already_here=False, from_cache=True)

    def _into_store(self, store: Store, digest: Sha256, destination: Path) -> Stored | None:
        """Fetches into the store, unless another process does meanwhile; None: the store cannot take the file."""
        wanted = self._wanted
        waiting = Noted(f"another process is fetching {wanted.name}: waiting for it")
        try:
            target = store.prepare(digest)
            with _locked(target, wanted, self._settings, lambda: self._listen(waiting)) as kept:
                stored = store.look(digest)
                if stored is not None:
                    return stored
                try:
                    delivered = self._run(kept, wanted.urls, self._listen)
                except NoSpace as exc:
                    kept.restart()
                    if target.parent.stat().st_dev == destination.parent.stat().st_dev:
                        raise NoSpace(str(destination), exc.needed_bytes, exc.free_bytes) from exc
                    raise DestinationUnusable(str(target), "there is no room for it") from exc
                store.note(digest, wanted.name, delivered.url)  # first: who finds the file stored writes none
                stored = store.publish(kept, digest, sync=self._settings.sync)
                self._delivered = delivered
                return stored
        except DestinationUnusable as exc:
            self._listen(Noted(f"{wanted.name} is not kept in the cache, {store.root}: {exc.reason}"))
        except OSError as exc:
            self._listen(Noted(f"{wanted.name} is not kept in the cache, {store.root}: {exc.strerror or exc}"))
        self._store = None  # it is not asked again for this file
        return None

    def _directly(self, part: Part, replace: bool) -> Received:
        """Fetches to the destination, and keeps what came in the store."""
        delivered = self._run(part, self._wanted.urls, self._listen)
        size = part.size_bytes
        if self._store is not None and self._wanted.sha256 is None:
            with suppress(OSError, DestinationUnusable, NoSpace):  # the file itself is what was asked for
                self._store.adopt(part, delivered.sha256, sync=self._settings.sync)
                self._store.note(delivered.sha256, self._wanted.name, delivered.url)
        self._publish(part, replace)
        evidence = evidence_of(self._wanted)
        is_mixed = delivered.is_mixed
        return Received(part.destination, size, delivered.sha256, delivered.url, evidence, False, is_mixed=is_mixed)

    def _run(self, part: Part, urls: tuple[str, ...], listen: Listener, *, once: bool = False) -> Delivered:
        settings = self._settings._replace(retries=0) if once else self._settings

        rivals = None
        if len(urls) > 1 and self._wanted.digest is not None:  # who has one address pays nothing for this
            from zoo_cli.transfer.rivals import Rivals

            rivals = Rivals(urls, settings, self._pool)

        def deliver(url: str, limits: Settings) -> Delivered:
            return Attempt(self._wanted, url, part, limits, listen, rounds.check_time, self._pool, rivals).run()

        rounds = Rounds(self._wanted.name, urls, settings, deliver, listen, lambda: part.kept_bytes)
        return rounds.run()

    def _publish(self, part: Part, replace: bool) -> None:
        sync, names = self._settings.sync, self._settings.sync_names
        if not part.publish(replace=replace, sync=sync, sync_name=names):
            _already_here(self._wanted, part.destination, replace=False)  # what appeared meanwhile is another file
            part.publish(replace=True, sync=sync, sync_name=names)  # or the same one, or a dangling link


def _locked(destination: Path, wanted: Wanted, settings: Settings, waiting: Callable[[], None]) -> Part:
    try:
        return Part(destination, waiting, settings.total_seconds)
    except DestinationUnusable as error:
        if isinstance(error.__cause__, HeldElsewhere):
            raise TookTooLong(wanted.name, settings.total_seconds or 0.0, 0) from error
        raise


def _from_cache(event: Event) -> Event:
    return event._replace(source=CACHE) if isinstance(event, Started) else event


def evidence_of(wanted: Wanted) -> Evidence:
    """What a file that passed the checks rests on; eight digits are never more than `prefix`."""
    if wanted.sha256:
        return wanted.basis
    return "prefix" if wanted.prefix else "none"


def _is_taken(destination: Path) -> bool:
    """Whether something is at the destination, which is no directory."""
    if "\0" in str(destination):
        raise DestinationUnusable(str(destination), "its name has a NUL, which no name may have")
    try:
        if not os.path.lexists(destination):
            return False
        if destination.is_dir():
            raise DestinationUnusable(str(destination), "it is a directory")
    except (OSError, ValueError) as exc:
        raise _unusable(destination, exc) from exc
    return True


def in_full(destination: Path) -> Path:
    """The whole path of a destination.

    Raises:
        DestinationUnusable: It begins at a working directory that was removed.
    """
    try:
        return Path(destination).absolute()
    except OSError as exc:
        raise DestinationUnusable(str(destination), "the working directory is gone") from exc


def _prepare(destination: Path, make_directory: bool, store: Store | None) -> None:
    """Sees to the directory."""
    try:
        if not destination.parent.is_dir():
            if not make_directory:
                raise DestinationUnusable(str(destination), "its directory does not exist")
            if store is None:
                destination.parent.mkdir(parents=True, exist_ok=True)
            else:
                store.make_directory(destination.parent)
    except (FileExistsError, NotADirectoryError) as exc:
        raise DestinationUnusable(str(destination), "a file is where its directory should be") from exc
    except (OSError, ValueError) as exc:
        raise _unusable(destination, exc) from exc


def _is_begun(destination: Path) -> bool:
    """Whether a part file lies beside the destination."""
    return os.path.lexists(part_name(destination))


def _already_here(
    wanted: Wanted,
    destination: Path,
    replace: bool,
    store: Store | None = None,
    is_trusted: bool = False,
) -> Received | None:
    """The file at the destination, when it is the wanted one; `is_trusted`: nothing that is known has to say so.

    Raises:
        DestinationExists: It is another one, or nothing can tell, and replacing was not asked.
    """
    try:
        if not destination.exists():
            return None
        if not destination.is_file():
            raise DestinationUnusable(str(destination), "it is there and is no plain file")
        about = destination.lstat()
        if store and wanted.sha256 and store.is_same(wanted.sha256, about):
            size, digest = about.st_size, wanted.sha256
        else:
            size, digest = digest_of(destination)
    except OSError as exc:
        raise _unusable(destination, exc) from exc
    is_right = digest.startswith(wanted.digest) if wanted.digest else is_trusted
    if is_right and wanted.size_bytes in (None, size):
        return Received(destination, size, digest, str(destination), evidence_of(wanted), already_here=True)
    if not replace:
        raise DestinationExists(str(destination), wanted.digest, digest)
    return None


def _unusable(destination: Path, exc: OSError | ValueError) -> DestinationUnusable:
    reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
    return DestinationUnusable(str(destination), reason)
