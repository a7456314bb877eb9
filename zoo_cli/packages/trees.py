"""Directory trees as values: what stands in an environment, and what differs between two looks at it.

Edge: reads directories, never the content of a file and never through a link. A path is relative to the environment's
prefix where it lies inside, else absolute, so that `prefix / path` is always the file.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

OWN = ".zoo"  # zoo's own records inside an environment: never part of a tree
# Below site-packages itself: setuptools carries metadata of what it vendors.
_DIST_INFO = re.compile(r"(?:^|/)(?:site|dist)-packages/([^/]+?)-([^/-]+)\.dist-info$")


class Entry(NamedTuple):
    """One file, directory or link as `lstat` tells it."""

    kind: str  # "file", "directory", "link", "other"
    mode: int  # permission bits
    size: int  # bytes; 0 for what is no file
    mtime_ns: int  # 0 for what is no file: directories change whenever a neighbour does
    inode: int
    target: str  # of a link


Tree = dict[str, Entry]


class Differences(NamedTuple):
    """What one look at a tree has over another, as sorted paths."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


def read_tree(prefix: Path, roots: Iterable[Path]) -> Tree:
    """Everything below the roots, without what is zoo's own.

    Args:
        prefix: the environment; paths inside it become relative to it.
        roots: directories; one that is missing holds nothing, one inside another is read once.

    Raises:
        OSError: a directory cannot be read.
    """
    tree: Tree = {}
    for root in roots:
        if root.is_dir():
            inside = root == prefix or prefix in root.parents
            start = root.relative_to(prefix).as_posix() if inside else root.as_posix()
            tree.update(_entries(os.fspath(root), "" if start == "." else start))
    return tree


def _entries(directory: str, name: str) -> Iterator[tuple[str, Entry]]:
    pending = [(directory, name)]
    while pending:
        place, above = pending.pop()
        with os.scandir(place) as found:
            for each in found:
                if each.name == OWN:
                    continue
                path = f"{above}/{each.name}" if above else each.name
                entry = _entry(each)
                yield path, entry
                if entry.kind == "directory":
                    pending.append((each.path, path))


def _entry(found: os.DirEntry[str]) -> Entry:
    about = found.stat(follow_symlinks=False)
    mode = stat.S_IMODE(about.st_mode)
    if found.is_symlink():
        return Entry("link", 0, 0, 0, 0, os.readlink(found.path))  # noqa: PTH115 - as it is written, not as a Path
    if stat.S_ISDIR(about.st_mode):
        return Entry("directory", mode, 0, 0, 0, "")
    if stat.S_ISREG(about.st_mode):
        return Entry("file", mode, about.st_size, about.st_mtime_ns, about.st_ino, "")
    return Entry("other", mode, 0, 0, about.st_ino, "")


def tree_of(document: object) -> Tree:
    """The tree in a JSON value that was written from one.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(document, dict):
        raise ValueError("no tree")  # noqa: TRY004 - what is read is damaged, whatever its type
    return {path: _entry_of(path, each) for path, each in document.items()}


def _entry_of(path: str, fields: object) -> Entry:
    if not isinstance(fields, list) or len(fields) != len(Entry._fields):
        raise ValueError(f"no entry: {path[:200]}")
    entry = Entry(*fields)
    numbers = (entry.mode, entry.size, entry.mtime_ns, entry.inode)
    if entry.kind not in ("file", "directory", "link", "other") or not isinstance(entry.target, str):
        raise ValueError(f"no entry: {path[:200]}")
    if not all(type(each) is int and 0 <= each < 1 << 64 for each in numbers) or entry.mode > 0o7777:
        raise ValueError(f"no entry: {path[:200]}")
    if not path or "\0" in path + entry.target or {"", ".", ".."} & set(path.removeprefix("/").split("/")):
        raise ValueError(f"no path: {path[:200]}")
    return entry


def differences(before: Tree, after: Tree, *, by_inode: bool = True) -> Differences:
    """What happened between two looks at a tree.

    Args:
        before: the earlier look.
        after: the later one.
        by_inode: a file replaced by another one of the same size and time counts as changed.
    """

    def same(path: str) -> bool:
        was, now = before[path], after[path]
        return was == now if by_inode else was._replace(inode=0) == now._replace(inode=0)

    return Differences(
        tuple(sorted(after.keys() - before.keys())),
        tuple(sorted(path for path in before.keys() & after.keys() if not same(path))),
        tuple(sorted(before.keys() - after.keys())),
    )


def without_bytecode(tree: Tree) -> Tree:
    """The tree without what any run of a program may add: compiled modules."""
    return {path: each for path, each in tree.items() if "__pycache__" not in path}


def distributions(paths: Iterable[str]) -> dict[str, str]:
    """The installed distributions that the names of dist-info directories tell: normalised name -> version."""
    found = (_DIST_INFO.search(path) for path in paths)
    return {re.sub(r"[-_.]+", "-", each[1]).lower(): each[2] for each in found if each}
