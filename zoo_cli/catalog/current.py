"""What of the signed indexes is known here: which files were verified, until when, and which database is opened.

Edge: one small file, `index/current` in the state directory, replaced whole, so a reader sees the former state or the
new one. It names files beside it. A seal is what the file system says of a file (size, times, inode): while the seals
of the database and of what came with zoo are those written down, nothing has to be read again to know both unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.directories import state_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

FILE_NAME = "current"
LOCK_NAME = "lock"
STATES = ("used", "older", "unusable")
_FIRST = "zoo-index 2"
_MAX_BYTES = 100_000


class Signed(NamedTuple):
    """What the holders of one root's keys said last, as it was verified here.

    `state`: used. older: what came with zoo is newer. unusable: the file is not the one that was verified, or of
    another version of zoo; `zoo index update` mends that.
    """

    root: str  # its name
    namespace: str  # before the names of all its packages; "" for zoo's own index
    file: str  # a name: a database of zoo's own index, documents of a lab's
    sha256: str  # of that file
    date: str  # the newest day of its facts
    expires: str  # when the first of its signatures is over: ISO 8601, UTC
    updated: str  # when it was verified last
    source: str  # the address it came from
    versions: str  # of the signed metadata, by role: "root=1 snapshot=4 targets=3 timestamp=9"
    state: str = "used"


class Current(NamedTuple):
    """The record: what was verified, and the database that came of it."""

    signed: tuple[Signed, ...] = ()
    file: Path | None = None  # opened by default; None: what came with zoo
    seal: str = ""  # of that file
    base: str = ""  # of what came with zoo, when this was decided; "": it was not

    @property
    def used(self) -> tuple[Signed, ...]:
        """What the opened database rests on, beside what came with zoo."""
        return tuple(each for each in self.signed if each.state == "used")

    def of(self, root: str) -> Signed | None:
        """What a root's key holders said last."""
        return next((each for each in self.signed if each.root == root), None)

    def replaced(self, root: str, new: Iterable[Signed]) -> Current:
        """The record with this in place of what that root's holders said; which database is opened is to be decided."""
        others = [each for each in self.signed if each.root != root]
        return Current(tuple(sorted((*others, *new))))


def index_home(environ: Mapping[str, str] | None = None) -> Path:
    """The directory of the signed indexes: trusted roots, verified metadata, databases. Not made here."""
    return state_directory(environ) / "index"


def seal_of(file: Path) -> str:
    """What the file system says of a file; a changed or exchanged one has another. "" when there is none."""
    try:
        found = file.stat()
    except OSError:
        return ""
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def read_current(home: Path) -> Current | None:
    """The record; None when there is none, or it cannot be read."""
    try:
        with (home / FILE_NAME).open(encoding="utf-8") as file:
            first, *lines = file.read(_MAX_BYTES).split("\n")
    except (OSError, UnicodeDecodeError):
        return None
    rows = [line.split("\t") for line in lines if line]
    if first != _FIRST or not rows or rows[0][0] != "opened" or len(rows[0]) != 4:
        return None
    signed = [Signed(*row[1:]) for row in rows[1:] if row[0] == "signed" and len(row) == 1 + len(Signed._fields)]
    names = [rows[0][1], *(each.file for each in signed)]
    if len(signed) != len(rows) - 1 or any("/" in name or "\\" in name for name in names):
        return None
    return Current(tuple(signed), home / rows[0][1] if rows[0][1] else None, rows[0][2], rows[0][3])


def write_current(home: Path, current: Current) -> None:
    """Replaces the record whole.

    Raises:
        OSError: It cannot be written; then nothing was changed.
    """
    from zoo_cli.atomic import write_whole

    opened = ("opened", current.file.name if current.file else "", current.seal, current.base)
    rows = [opened, *(("signed", *each) for each in current.signed)]
    text = "\n".join((_FIRST, *("\t".join(row) for row in rows), ""))
    write_whole(home / FILE_NAME, text.encode("utf-8"))
