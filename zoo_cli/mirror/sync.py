"""Filling a mirror: what is there stays, what is missing comes, what is no longer wanted may go.

Flow: joins a tree, its manifest and its pages. The manifest is written before the first transfer (with what is to
come, as pending), again and again while files come, and at the end: what a killed sync left behind is known to be the
mirror's own, and hardly anything comes twice. Files come first, then pages, then the manifest, and only then
something is removed. A file that takes the place of another waits beside it until all files are there: a page names the
digest of the one that was there, and the index may name others that are still to come.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import closing
from dataclasses import dataclass, field
from email.parser import HeaderParser
from typing import TYPE_CHECKING

from zoo_cli.errors import ZooError
from zoo_cli.mirror.manifest import MAX_BYTES, NAME, BadMirror, Held, Manifest, read_manifest
from zoo_cli.mirror.pages import make_pages, shared_names
from zoo_cli.transfer.parallel import Shared, together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from zoo_cli.mirror.tree import State, Tree
    from zoo_cli.transfer.events import Listener
    from zoo_cli.transfer.fetch import Received
    from zoo_cli.transfer.store import Store

_PAUSE_SECONDS = 0.25  # the least between two manifests while files come
_PAUSE_SHARE = 20  # and so many times as long as writing the last one took


def _nothing(_path: Path) -> bytes | None:
    return None


@dataclass(frozen=True)
class Item:
    """One file that a mirror shall have.

    Attributes:
        path: Below the root.
        kind: As `manifest.Held` has it.
        upstream: Its address.
        bring: Puts it at a path, verified, through a store if there is one.
        sha256: Its digest, when known.
        size_bytes: Its size, when known.
        metadata_of: Reads a wheel's METADATA and its Requires-Python from the file.
        pages: A wheel that upstream lists on a page of its directory.
    """

    path: str
    kind: str
    upstream: str
    bring: Callable[[Path, Store | None, Listener], Received]
    sha256: str | None = None
    size_bytes: int | None = None
    metadata_of: Callable[[Path], bytes | None] = _nothing
    pages: bool = False


@dataclass(frozen=True)
class Decision:
    """What a sync would do."""

    before: Manifest
    wanted: Mapping[str, Item]
    kept: Mapping[str, Held]  # files that are wanted and there
    others: Mapping[str, Held]  # files of earlier syncs that are not wanted now, and stay
    removed: Mapping[str, Held | None]  # those that go; None: left behind by a sync that did not end
    index_date: str

    @property
    def coming(self) -> tuple[Item, ...]:
        """What is to be fetched."""
        return tuple(item for path, item in self.wanted.items() if path not in self.kept)

    @property
    def replaced(self) -> Mapping[str, Held]:
        """Files that are there and whose place another is to take."""
        there = ((item, self.before.files.get(item.path)) for item in self.coming)
        return {held.path: held for item, held in there if held and item.sha256 not in (None, held.sha256)}


@dataclass(frozen=True)
class Synced:
    """What a sync did."""

    manifest: Manifest
    came: tuple[Held, ...]
    kept: int
    failures: tuple[tuple[Item, ZooError], ...]
    removed: tuple[str, ...]
    stayed: tuple[str, ...]  # paths that were to go, and are not as the mirror left them
    pages: int  # pages written
    shared: tuple[str, ...]  # wheels that stand on no common page: their name means several files


def load(tree: Tree, *, must_exist: bool = False) -> Manifest:
    """The manifest of a tree; an empty one where there is none.

    Raises:
        BadMirror: It is damaged, or there is none and there must be.
        ZooError: The tree cannot be read.
    """
    body = tree.read(NAME, MAX_BYTES)
    if body is None and must_exist:
        raise BadMirror(tree.place, f"it has no {NAME}", is_damaged=False)
    return Manifest() if body is None else read_manifest(body, tree.place)


def decide(tree: Tree, items: Sequence[Item], *, prune: bool, index_date: str) -> Decision:
    """What a sync of these items means for the tree as it is.

    Raises:
        BadMirror: Its manifest is damaged.
        ZooError: The tree cannot be read.
    """
    before = load(tree)
    wanted = {item.path: item for item in items}
    kept = {path: before.files[path] for path, item in wanted.items() if _is_kept(tree, item, before)}
    made = {f"{path}.metadata" for path in wanted}
    rest = {
        path: held
        for path, held in before.files.items()
        if path not in wanted and path not in made and held.kind != "page"
    }
    left: dict[str, Held | None] = {
        path: None for path in before.pending if path not in wanted and path not in before.files
    }
    return Decision(before, wanted, kept, {} if prune else rest, {**rest, **left} if prune else {}, index_date)


def _is_kept(tree: Tree, item: Item, before: Manifest) -> bool:
    held = before.files.get(item.path)
    if held is None or item.sha256 not in (None, held.sha256) or not tree.has(held):
        return False
    # A release may be one of the wheels, too; what is listed on pages stays listed.
    if (item.kind, item.pages) not in ((held.kind, held.pages), ("release", False)):
        return False
    metadata = before.files.get(f"{item.path}.metadata")
    return metadata is None or tree.has(metadata)


def execute(tree: Tree, decision: Decision, listen: Listener, jobs: int) -> Synced:
    """Does what was decided; an item that fails stops no other.

    Raises:
        ZooError: The tree cannot be written.
    """
    run = _Run(tree, decision)
    if decision.coming or decision.removed:
        run.write(force=True)
    shared = Shared(listen)
    with closing(together(decision.coming, lambda item: run.bring(item, shared), jobs, shared)) as results:
        for item, result in results:
            run.take(item, result)
    pages = run.settle()
    removed, stayed = run.prune()
    run.pending = ()
    run.write(force=True)
    manifest = run.manifest
    return Synced(
        manifest, tuple(run.came), len(decision.kept), tuple(run.failures), removed, stayed, pages,
        shared_names(manifest.files.values()),
    )  # fmt: skip


@dataclass
class _Run:
    """A sync on its way: the files that are there, and what is still pending."""

    tree: Tree
    decision: Decision
    files: dict[str, Held] = field(default_factory=dict)
    pending: tuple[str, ...] = ()
    came: list[Held] = field(default_factory=list)
    failures: list[tuple[Item, ZooError]] = field(default_factory=list)
    pages: dict[str, Held] = field(default_factory=dict)
    _waiting: list[tuple[Held, bytes | None]] = field(default_factory=list)  # what is there and has no name yet
    _old_pages: dict[str, Held] = field(default_factory=dict)  # those that nothing stands on any more
    _written: bytes = b""
    _next_write: float = 0.0

    def __post_init__(self) -> None:
        decision, before = self.decision, self.decision.before
        self.files = {**decision.others, **decision.kept, **decision.replaced}
        self.files |= {
            held.path: held
            for path in (*decision.kept, *decision.replaced)
            if (held := before.files.get(f"{path}.metadata")) and held.kind == "metadata"
        }
        self.pages = {path: held for path, held in before.files.items() if held.kind == "page"}
        coming = [each.path for each in decision.coming]
        wheels = [f"{each.path}.metadata" for each in decision.coming if each.kind == "wheel"]
        others = () if decision.removed else before.pending
        self.pending = tuple({*coming, *wheels, *others, *decision.removed} - self.files.keys())
        self._written = before.to_bytes() if before != Manifest() else b""

    @property
    def manifest(self) -> Manifest:
        """The manifest of what is there now."""
        pending = tuple(sorted(set(self.pending) - self.files.keys()))
        return Manifest(self.files | self.pages, pending, self.decision.index_date)

    def write(self, *, force: bool = False) -> None:
        """Writes the manifest where it changed, but not too often."""
        began = time.monotonic()
        if not force and began < self._next_write:
            return
        body = self.manifest.to_bytes()
        if body != self._written:
            self.tree.write(NAME, body)
            self._written = body
        ended = time.monotonic()
        self._next_write = ended + max(_PAUSE_SECONDS, _PAUSE_SHARE * (ended - began))

    def bring(self, item: Item, listen: Listener) -> tuple[Held, bytes | None]:
        """One file into the tree."""
        waits = item.path in self.decision.replaced
        received, metadata = self.tree.take(
            item.path, lambda place, store: item.bring(place, store, listen), item.metadata_of, aside=waits
        )
        held = Held(item.path, item.kind, str(received.sha256), received.size_bytes, item.upstream, "", item.pages)
        if metadata is None:
            return held, None
        if not waits:
            self.tree.write(f"{item.path}.metadata", metadata)
        return held._replace(requires_python=_requires_python(metadata)), metadata

    def take(self, item: Item, result: tuple[Held, bytes | None] | ZooError) -> None:
        """Remembers what became of an item."""
        if isinstance(result, ZooError):
            self.failures.append((item, result))
            return
        held, metadata = result
        if held.path in self.decision.replaced:
            self._waiting.append((held, metadata))
            return
        self._hold(held, metadata)
        self.write()

    def _hold(self, held: Held, metadata: bytes | None) -> None:
        self.files[held.path] = held
        self.came.append(held)
        if metadata is not None:
            self._note(f"{held.path}.metadata", "metadata", metadata)

    def settle(self) -> int:
        """Gives what waited, pages and manifest their names, in a row; gives how many pages changed."""
        named: list[str] = []
        for held, metadata in self._waiting:
            named.append(held.path)
            if metadata is not None:
                named.append(f"{held.path}.metadata")
                self.tree.write(named[-1], metadata, aside=True)
            self._hold(held, metadata)
        pages = self._write_pages()
        named += pages
        if (body := self.manifest.to_bytes()) != self._written:
            self.tree.write(NAME, body, aside=True)
            self._written = body
            named.append(NAME)
        for path in named:
            self.tree.publish(path)
        return len(pages)

    def _note(self, path: str, kind: str, body: bytes) -> Held:
        held = Held(path, kind, hashlib.sha256(body).hexdigest(), len(body))
        if kind == "page":
            self.pages[path] = held
        else:
            self.files[path] = held
        return held

    def _write_pages(self) -> list[str]:
        """Writes the pages that changed, without their names; gives these."""
        written: list[str] = []
        before, self.pages = self.pages, {}
        for path, body in sorted(make_pages(self.files.values()).items()):
            held = self._note(path, "page", body)
            if before.get(path) != held or not self.tree.has(held):
                self.tree.write(path, body, aside=True)
                written.append(path)
        self._old_pages = {path: held for path, held in before.items() if path not in self.pages}
        self.pending = (*self.pending, *self._old_pages)
        return written

    def prune(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Removes what is to go: files by decision, and pages that nothing stands on any more."""
        removed: list[str] = []
        stayed: list[str] = []
        for path in sorted({**self.decision.removed, **self._old_pages}):
            held = self.decision.removed.get(path) or self._old_pages.get(path)
            (removed if self.tree.remove(path, held) else stayed).append(path)
        before = {each.sha256 for each in self.decision.before.files.values()}
        for sha256 in before - {each.sha256 for each in self.files.values()}:
            self.tree.forget(sha256)
        return tuple(removed), tuple(stayed)


def _requires_python(metadata: bytes) -> str:
    """The Requires-Python of a METADATA file."""
    headers = HeaderParser().parsestr(metadata.decode("utf-8", "replace"))
    return str(headers.get("Requires-Python", "")).strip()[:200]


@dataclass(frozen=True)
class Checked:
    """One file of a mirror, read again."""

    held: Held
    state: State


def verify(tree: Tree, manifest: Manifest, jobs: int) -> Iterator[Checked]:
    """Reads every file of a mirror; a damaged one is removed, and the next sync brings it again.

    Raises:
        ZooError: The tree cannot be read.
    """
    files = [manifest.files[path] for path in sorted(manifest.files)]
    with closing(together(files, tree.check, jobs, in_order=True)) as results:
        for held, state in results:
            if isinstance(state, ZooError):
                raise state
            yield Checked(held, state)
