"""A mirror in a directory: a store by digest (`transfer.store`) whose files also have upstream's names.

Edge: files and a lock. A file is fetched into the directory's own store and linked to its name, so equal bytes are kept
once, an unfinished transfer goes on after `kill -9`, and the seal of a file tells without reading it that it is right.
`Tree` is what a mirror may be kept in; `s3` is the other one.
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Literal, Protocol

from zoo_cli import filelock
from zoo_cli.atomic import write_whole
from zoo_cli.errors import ZooError
from zoo_cli.transfer.hashes import parse_sha256
from zoo_cli.transfer.part import is_free, part_path
from zoo_cli.transfer.record import COMPANIONS
from zoo_cli.transfer.store import Store, Stored, digest_of, is_sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from zoo_cli.mirror.manifest import Held
    from zoo_cli.transfer.fetch import Received

    Bring = Callable[[Path, Store | None], Received]  # puts a verified file at a path, through a store if there is one
    Look = Callable[[Path], bytes | None]  # what is wanted of the file while it is at hand

State = Literal["ok", "damaged", "missing", "unreadable"]
_LOCK = ".zoo-mirror-lock"
ASIDE = ".zoo-next-"  # begins the name of a file that takes the place of another when all is there


class MirrorUnusable(ZooError):
    """The place of a mirror cannot be read or written."""

    code = "mirror-unusable"

    place: str
    doing: str
    reason: str


class MirrorBusy(ZooError):
    """Another process is syncing the same mirror."""

    code = "mirror-busy"

    place: str


class Tree(Protocol):
    """Where a mirror is kept: files by path; every method raises ZooError only."""

    @property
    def place(self) -> str:
        """As people write it."""

    def alone(self) -> AbstractContextManager[None]:
        """Held by one sync at a time, where that can be known."""

    def read(self, path: str, max_bytes: int) -> bytes | None:
        """A small file; None when there is none."""

    def write(self, path: str, body: bytes, *, aside: bool = False) -> None:
        """A small file, whole or not at all. `aside`: it gets its name by `publish` only."""

    def has(self, held: Held) -> bool:
        """Whether the file is there as the manifest has it, without reading more than must be."""

    def take(self, path: str, bring: Bring, look: Look, *, aside: bool = False) -> tuple[Received, bytes | None]:
        """A file by `bring`; gives also what `look` says of it. `aside`: it gets its name by `publish` only."""

    def publish(self, path: str) -> None:
        """Gives a file that was taken or written aside its name; what stood there is replaced."""

    def check(self, held: Held) -> State:
        """Reads the file and compares it with its digest; a damaged one is removed."""

    def remove(self, path: str, held: Held | None) -> bool:
        """Removes a file of the mirror; False when it is not as the manifest has it, and stays.

        Args:
            path: Where it is.
            held: What the manifest says; None for what an unfinished sync may have left.
        """

    def forget(self, sha256: str) -> None:
        """Says that no path of the mirror has these bytes any more."""


class DirectoryTree:
    """A mirror below a directory; see the module's text."""

    def __init__(self, root: Path) -> None:
        self.root, self.place, self._store = root, str(root), Store(root)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """A lock file of the directory, held by one process.

        Raises:
            MirrorBusy: Another process has it.
            MirrorUnusable: The directory cannot be written.
        """
        with ExitStack() as stack:
            with self._telling("write"):
                self.root.mkdir(parents=True, exist_ok=True)
                try:
                    stack.enter_context(filelock.hold(self.root / _LOCK))
                except filelock.HeldElsewhere as exc:
                    raise MirrorBusy(self.place) from exc
            yield

    def read(self, path: str, max_bytes: int) -> bytes | None:
        """See `Tree`."""
        with self._telling(f"read {path}"):
            try:
                with (self.root / path).open("rb") as file:
                    return file.read(max_bytes)
            except FileNotFoundError:
                return None

    def write(self, path: str, body: bytes, *, aside: bool = False) -> None:
        """See `Tree`."""
        place = self._aside(path) if aside else self.root / path
        with self._telling(f"write {path}"):
            place.parent.mkdir(parents=True, exist_ok=True)
            write_whole(place, body)

    def has(self, held: Held) -> bool:
        """Whether it is there, by its seal; one without a seal is read, and sealed when it is right."""
        path, digest = self.root / held.path, parse_sha256(held.sha256)
        try:
            about = path.lstat()
            if not stat.S_ISREG(about.st_mode) or about.st_size != held.size_bytes:
                return False
            if is_sealed(about, digest):
                return True
            if digest_of(path)[1] != digest:
                return False
        except OSError:
            return False
        if held.kind not in ("page", "metadata"):  # those are written anew, and stay writable
            self._store.seal(Stored(path, about, False), digest)
        return True

    def take(self, path: str, bring: Bring, look: Look, *, aside: bool = False) -> tuple[Received, bytes | None]:
        """See `Tree`."""
        place = self._aside(path) if aside else self.root / path
        received = bring(place, self._store)
        with self._telling(f"read {path}"):
            about = place.lstat()
            if not is_sealed(about, received.sha256):  # a copy that shares blocks, or the store could not keep it
                self._store.seal(Stored(place, about, False), received.sha256)
        return received, look(place)

    def _aside(self, path: str) -> Path:
        place = self.root / path
        return place.with_name(f"{ASIDE}{place.name}")

    def publish(self, path: str) -> None:
        """See `Tree`."""
        with self._telling(f"write {path}"):
            self._aside(path).replace(self.root / path)

    def check(self, held: Held) -> State:
        """See `Tree`."""
        path, digest = self.root / held.path, parse_sha256(held.sha256)
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                with suppress(OSError):  # a directory, or a disk that cannot be written
                    path.unlink()
                return "damaged"
            found = digest_of(path)
        except FileNotFoundError:
            return "missing"
        except OSError:
            return "unreadable"
        if found == (held.size_bytes, digest):
            return "ok"
        stored = self._store.look(digest)
        with suppress(OSError):  # on a disk that cannot be written it is only told
            if stored and (path.samefile(stored.path) or digest_of(stored.path)[1] != digest):
                self._store.discard(digest)
            path.unlink()
        return "damaged"

    def remove(self, path: str, held: Held | None) -> bool:
        """See `Tree`."""
        place = self.root / path
        try:
            if os.path.lexists(place):
                if not (self.has(held) if held else _is_as_left(place)):
                    return False
                if held is None:  # no manifest knows these bytes, so nobody else forgets them
                    self.forget(str(digest_of(place)[1]))
                place.unlink()
            self._aside(path).unlink(missing_ok=True)
            self._remove_part(self._aside(path))
            self._remove_part(place)
            self._remove_empty(place.parent)
        except OSError:
            return False
        return True

    def forget(self, sha256: str) -> None:
        """See `Tree`."""
        digest = parse_sha256(sha256)
        self._store.discard(digest)
        self._remove_empty(self._store.path_of(digest).parent)

    @staticmethod
    def _remove_part(place: Path) -> None:
        """What is kept of an unfinished transfer, unless somebody is at it."""
        part = part_path(place)
        if is_free(part):
            for ending in ("", *COMPANIONS):
                part.with_name(part.name + ending).unlink(missing_ok=True)

    def _remove_empty(self, folder: Path) -> None:
        while folder != self.root and self.root in folder.parents:
            try:
                folder.rmdir()
            except OSError:  # not empty, or not there
                return
            folder = folder.parent

    @contextmanager
    def _telling(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise MirrorUnusable(self.place, doing, exc.strerror or str(exc)) from exc


def _is_as_left(place: Path) -> bool:
    """Whether a file may be what a sync left that did not end: read-only from the store, or metadata beside a wheel."""
    about = place.lstat()
    return stat.S_ISREG(about.st_mode) and (not about.st_mode & 0o222 or place.name.endswith(".whl.metadata"))
