"""What the cache directory holds, whether it is right, and what is given up when it is too large.

Edge: files and the clock. The store's files are found by their names; wheels and archives under their own names are
hard links to them and counted with them. What is linked from outside the cache too (a checkpoint in a project) takes
no room of its own: it is neither counted nor given up for room. `to_give_up` decides, `give_up` removes.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from zoo_cli.directories import CacheUnusable, own_cache
from zoo_cli.transfer.hashes import Sha256
from zoo_cli.transfer.part import is_free
from zoo_cli.transfer.record import COMPANIONS
from zoo_cli.transfer.store import FOLDER, Store, digest_of, is_sealed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

Kind = Literal[
    "file", "named", "built", "configs", "unfinished", "refused", "inspected", "bytecode", "remembered", "other"
]
State = Literal["ok", "damaged", "unreadable"]

_NAMED = ("wheels", "sdists", "releases")  # files under names of their own
_TREES: dict[str, Kind] = {  # each directory in them is one thing
    "built": "built",
    "building": "unfinished",
    "bundling": "unfinished",
    "configs": "configs",
    "git": "other",
}
_RECORDS: dict[str, Kind] = {  # small files
    "inspected": "inspected",
    "bytecode": "bytecode",
    "interpreters": "remembered",
    "extensions": "remembered",
    "fits": "remembered",
}
_FILES: dict[str, Kind] = {"nvidia.json": "remembered", "index-*.db": "other", "index-*.db.stamp": "other"}
_QUARANTINE = "quarantine"
PLACES = frozenset((FOLDER, *_NAMED, *_TREES, *_RECORDS, *_FILES, _QUARANTINE))
"""Everything that has a place in a cache directory, by its first name there."""
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_UNFINISHED = re.compile(r"\..*\.zoo-(?:part(?:-link|\.[a-z.]+)?|new)\Z")
_COMPANION = re.compile(r"(.*\.zoo-part)(?:-link|\.[a-z.]+)\Z")
_FRESH_SECONDS = 600.0  # a file used a moment ago may be in use now
_KEPT_PARTS_SECONDS = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class Item:
    """One thing in the cache that is kept or given up as a whole.

    `kind`: file (in the store), named (a wheel or archive under its own name, not linked with the store), built (a
    wheel compiled here), configs (config files of one release), unfinished (kept bytes of a transfer, a build that was
    cut off), refused (in quarantine, with the reason beside it), inspected (what was found in a wheel), bytecode
    (compiled modules of a stack), remembered (what interpreters, drivers and environments said), other.
    """

    kind: Kind
    name: str
    paths: tuple[Path, ...]
    size_bytes: int
    used_at: float  # seconds of the clock; by the clock's own error in the future, too
    sha256: Sha256 | None = None
    outside: int = 0  # hard links to it from outside the cache

    @property
    def own_bytes(self) -> int:
        """The room that giving it up makes."""
        return 0 if self.outside else self.size_bytes


@dataclass(frozen=True, slots=True)
class Checked:
    """One file of the store, read again."""

    item: Item
    state: State


def read_items(root: Path) -> list[Item]:
    """Everything in a cache directory, by kind and name; nothing when there is none."""
    named: dict[tuple[int, int], list[Item]] = {}
    for folder in _NAMED:
        for path, about in _plain(sorted((root / folder).rglob("[!.]*"))):
            found = Item("named", path.relative_to(root).as_posix(), (path,), about.st_size, _used(about))
            named.setdefault((about.st_dev, about.st_ino), []).append(found)
    items = [*_unfinished(root), *_stored(root, named), *(each for group in named.values() for each in group)]
    for folder, kind in _TREES.items():
        items += [_folder(kind, path) for path in (root / folder).glob("[!.]*")]
    items += [
        Item("refused", path.name, (path, path.with_suffix(".json")), about.st_size, _used(about))
        for path, about in _plain(sorted((root / _QUARANTINE).glob("*.refused")))
    ]
    for folder, kind in _RECORDS.items():
        items += _small(kind, (root / folder).glob("[0-9a-f]*"))
    for name, kind in _FILES.items():
        items += _small(kind, root.glob(name))
    return sorted(items, key=lambda each: (each.kind, each.name, each.paths))


def all_items(root: Path) -> list[Item]:
    """Everything that is kept between runs: in the cache directory, and what only its user may have put there.

    Raises:
        CacheUnusable: It is no directory, or cannot be looked into.
    """
    try:
        os.scandir(root).close()
    except FileNotFoundError:
        pass
    except OSError as exc:
        raise CacheUnusable(str(root), exc.strerror or str(exc)) from exc
    own = own_cache(root)
    return read_items(root) if own == root else [*read_items(root), *read_items(own)]


def _small(kind: Kind, paths: Iterable[Path]) -> Iterator[Item]:
    for path, about in _plain(paths):
        yield Item(kind, path.name, (path,), about.st_size, _used(about))


def _plain(paths: Iterable[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    """The plain files among paths; what vanished a moment ago is left out."""
    for path in paths:
        with suppress(OSError):
            about = path.lstat()
            if stat.S_ISREG(about.st_mode):
                yield path, about


def _stored(root: Path, named: dict[tuple[int, int], list[Item]]) -> Iterator[Item]:
    """Files of the store, each with its other names in the cache, which are taken out of `named`."""
    notes = Store(root).noted()
    for path, about in _plain((root / FOLDER).glob("[0-9a-f][0-9a-f]/*")):
        if not _DIGEST.match(path.name):
            continue
        digest = Sha256(path.name)
        names = tuple(each.paths[0] for each in named.pop((about.st_dev, about.st_ino), []))
        noted = notes.get(digest, {}).get("name")
        shown = noted if isinstance(noted, str) else ""
        outside = about.st_nlink - 1 - len(names)
        yield Item("file", shown, (path, *names), about.st_size, _used(about), digest, outside)


def _folder(kind: Kind, path: Path) -> Item:
    files = list(_plain(path.rglob("*")))
    used = max((_used(about) for _path, about in files), default=0.0)
    return Item(kind, path.name, (path,), sum(about.st_size for _path, about in files), used)


def _unfinished(root: Path) -> Iterator[Item]:
    for folder in (FOLDER, *_NAMED):
        for path, about in _plain((root / folder).rglob(".*")):
            of = _COMPANION.match(path.name)  # counted with its part, unless it is alone
            if _UNFINISHED.match(path.name) and not (of and path.with_name(of[1]).exists()):
                yield Item("unfinished", path.name, (path,), about.st_size, about.st_mtime)


def _used(about: os.stat_result) -> float:
    return max(about.st_atime, about.st_mtime)


def to_give_up(
    items: Sequence[Item], now: float, *, limit_bytes: int | None = None, older_than_seconds: float | None = None
) -> list[Item]:
    """What to remove, least recently used first.

    Args:
        items: From `read_items`.
        now: The time.
        limit_bytes: Keep at most so many bytes that only the cache holds; None is no limit.
        older_than_seconds: Give up what was not used for so long, whatever the limit; None keeps it.
    """
    oldest_first = sorted(items, key=lambda each: each.used_at)
    chosen = [each for each in oldest_first if each.kind == "unfinished" and now - each.used_at > _KEPT_PARTS_SECONDS]
    rest = [each for each in oldest_first if each not in chosen and abs(now - each.used_at) > _FRESH_SECONDS]
    if older_than_seconds is not None:
        chosen += [each for each in rest if now - each.used_at > older_than_seconds and not each.outside]
    if limit_bytes is not None:
        size = sum(each.own_bytes for each in items) - sum(each.own_bytes for each in chosen)
        for each in rest:
            if size <= limit_bytes:
                break
            if each.own_bytes and each not in chosen:
                chosen.append(each)
                size -= each.own_bytes
    return chosen


def give_up(items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Removes items; gives those that are gone and those that stayed (in use, or another user's)."""
    gone: list[Item] = []
    stayed: list[Item] = []
    for item in items:
        (gone if _remove(item) else stayed).append(item)
    for root in {item.paths[0].parents[2] for item in gone if item.kind == "file"}:
        Store(root).trim_notes()
    return gone, stayed


def _remove(item: Item) -> bool:
    """The store's name goes first: what is left after a crash is counted as `named` and given up the next time."""
    first = item.paths[0]  # a build's directory has its lock beside it
    if item.kind == "unfinished" and not is_free(first.with_name(f".{first.name}.lock") if first.is_dir() else first):
        return False
    try:
        for path in item.paths:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        for path in _companions(item):
            path.unlink(missing_ok=True)
        for path in item.paths[1:]:
            with suppress(OSError):  # not empty
                path.parent.rmdir()
    except OSError:
        return False
    return True


def _companions(item: Item) -> tuple[Path, ...]:
    """What is known of an unfinished file, beside it: state and map."""
    path = item.paths[0]
    return tuple(path.with_name(path.name + ending) for ending in COMPANIONS)


def verify(root: Path, items: Sequence[Item]) -> Iterator[Checked]:
    """Reads every file of the store again, several at once; a damaged one is removed from the store.

    Whoever has a hard link to a damaged file has the damage too: its other names stay and are in the item.
    """
    from concurrent.futures import ThreadPoolExecutor

    store = Store(root)
    files = [each for each in items if each.kind == "file"]
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        for item, state in zip(files, pool.map(lambda each: _check(store, each), files), strict=True):
            yield Checked(item, state)


def _check(store: Store, item: Item) -> State:
    assert item.sha256 is not None
    stored = store.look(item.sha256)
    if stored is None:
        return "unreadable"
    try:
        _size, digest = digest_of(stored.path)
    except OSError:
        return "unreadable"
    if digest != item.sha256:
        store.discard(item.sha256)
        return "damaged"
    if not is_sealed(stored.about, item.sha256):
        store.seal(stored, item.sha256)
    return "ok"


def clock() -> float:
    """Seconds of the clock that times of files are in."""
    return time.time()
