"""A copy of an environment that costs almost nothing: every file linked, so that it can come back as it was.

Edge: files. uv and pip replace files and never write into them, so a hard link keeps the old one for as long as it is
needed (0.2 s and no space for an environment with torch). Small files that people and tools do edit in place are
copied. Where the file system knows no hard links everything is copied. Nothing is followed, nothing is left half done:
`restore` may be stopped at any moment and run again.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import stat
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.packages.trees import Entry, Tree, read_tree, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterable

_MANIFEST = "manifest.json.gz"
_EDITED = (".pth", ".egg-link", ".cfg", ".ini", ".json", ".txt")
_COPIED_BYTES = 64 << 10  # larger files are linked whatever they are called
_NEW = ".zoo-restored"


@dataclass(frozen=True)
class Snapshot:
    """A kept state of an environment.

    Attributes:
        place: The directory of the snapshot.
        prefix: The environment.
        roots: The directories it covers.
        tree: What stood there.
        numbers: Under which name in `place` each file is kept.
    """

    place: Path
    prefix: Path
    roots: tuple[Path, ...]
    tree: Tree
    numbers: dict[str, int]

    @property
    def kept_bytes(self) -> int:
        """Bytes that only this snapshot still holds: what removing it would free."""
        files = [os.lstat(self.place / str(number)) for number in self.numbers.values()]
        return sum(each.st_size for each in files if each.st_nlink == 1)


def take(place: Path, prefix: Path, roots: Iterable[Path]) -> Snapshot:
    """Keeps the present state of an environment.

    Raises:
        OSError: A directory cannot be read, or `place` cannot be written; what was made of it is removed again.
    """
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    covered = tuple(roots)
    with ExitStack() as unless_done:
        unless_done.callback(shutil.rmtree, place, ignore_errors=True)
        tree = read_tree(prefix, covered)
        files = sorted(path for path, each in tree.items() if each.kind == "file")
        numbers = {path: number for number, path in enumerate(files)}
        for path, number in numbers.items():
            _keep(prefix / path, place / str(number), copied=is_edited(path, tree[path]))
        manifest = {"roots": [str(root) for root in covered], "tree": tree, "numbers": numbers}
        (place / _MANIFEST).write_bytes(gzip.compress(json.dumps(manifest).encode(), 1, mtime=0))
        unless_done.pop_all()
    return Snapshot(place, prefix, covered, tree, numbers)


def load(place: Path, prefix: Path, roots: Iterable[Path]) -> Snapshot:
    """A snapshot taken earlier.

    Args:
        place: Where it is.
        prefix: The environment.
        roots: What a change of it may touch: restoring the snapshot touches nothing else. A copied environment brings
            the snapshots of another one along.

    Raises:
        OSError: It is not there, not whole, or of another environment.
    """
    try:
        manifest = json.loads(gzip.decompress((place / _MANIFEST).read_bytes()))
        found, tree, numbers = manifest["roots"], tree_of(manifest["tree"]), manifest["numbers"]
        covered = tuple(map(Path, found))
        files = {path for path, each in tree.items() if each.kind == "file"}
        if numbers.keys() != files or not all(type(each) is int for each in numbers.values()):
            raise ValueError("its files are not numbered")
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, RecursionError) as exc:
        raise OSError(f"{place} is not a whole snapshot") from exc
    if not all(_is_below(root, (prefix, *roots)) for root in covered):
        raise OSError(f"{place} is a snapshot of another environment")
    if not all(_is_below(prefix / path, covered) for path in tree):
        raise OSError(f"{place} is not a whole snapshot")
    return Snapshot(place, prefix, covered, tree, numbers)


def _is_below(path: Path, places: Iterable[Path]) -> bool:
    return ".." not in path.parts and any(each == path or each in path.parents for each in places)


def is_edited(path: str, entry: Entry) -> bool:
    """Whether a file is of the kind that is written into rather than replaced."""
    folder = path.rpartition("/")[0]
    own = folder in ("bin", "Scripts") or folder.endswith((".dist-info", ".egg-info"))
    return entry.size <= _COPIED_BYTES and (own or path.endswith(_EDITED))


def _keep(source: Path, kept: Path, *, copied: bool) -> None:
    if not copied:
        with suppress(OSError):  # another file system, or one without links, or too many of them
            os.link(source, kept, follow_symlinks=False)
            return
    shutil.copy2(source, kept, follow_symlinks=False)


def restore(snapshot: Snapshot) -> tuple[str, ...]:
    """Makes the environment as it was; gives the files that cannot come back, because they were written into.

    Raises:
        OSError: A directory or file cannot be written; running it again goes on.
    """
    now = read_tree(snapshot.prefix, snapshot.roots)
    for path in sorted(now.keys() - snapshot.tree.keys(), reverse=True):  # children before parents
        _remove(snapshot.prefix / path)
    lost = []
    for path, was in sorted(snapshot.tree.items()):  # parents before children
        if now.get(path) != was and not _bring_back(snapshot, path, was):
            lost.append(path)
    return tuple(lost)


def _bring_back(snapshot: Snapshot, path: str, was: Entry) -> bool:
    """Puts one entry back; False when what was kept of it is not what it was."""
    place = snapshot.prefix / path
    if was.kind == "other":  # a socket, a pipe: nothing that an installer makes or takes away
        return True
    if was.kind == "directory":
        if not place.is_dir() or place.is_symlink():
            _remove(place)
            place.mkdir()
        place.chmod(was.mode)
        return True
    new = place.with_name(f".{place.name[:40]}{_NEW}")
    _remove(new)
    if was.kind == "link":
        new.symlink_to(was.target)
    else:
        kept = snapshot.place / str(snapshot.numbers[path])
        _keep(kept, new, copied=is_edited(path, was))
    if place.is_dir() and not place.is_symlink():
        _remove(place)
    new.replace(place)
    _remove(new)  # a rename onto another name of the same file leaves both
    return was.kind == "link" or _is_as_it_was(place, was)


def _is_as_it_was(place: Path, was: Entry) -> bool:
    about = os.lstat(place)
    if stat.S_IMODE(about.st_mode) != was.mode:
        place.chmod(was.mode)
    return (about.st_size, about.st_mtime_ns) == (was.size, was.mtime_ns)


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def forget(place: Path) -> None:
    """Removes a snapshot; the environment keeps its files."""
    shutil.rmtree(place, ignore_errors=True)
