"""The signed index in use: which database `zoo index update` put in place, and until when its signatures hold.

Edge: one small file, `index/current` in the state directory, with a line `name value` for each fact. It names a
database beside it by its digest and is replaced whole, so a reader sees the former index or the new one, each complete.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.directories import state_directory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE_NAME = "current"
_MAX_BYTES = 10_000


class Current(NamedTuple):
    """What is known of the index that was updated last."""

    file: Path  # the database
    date: str  # the newest day of its facts
    expires: str  # when the first of its signatures is over: ISO 8601, UTC
    updated: str  # when it was verified last
    source: str  # the address it came from
    versions: str  # of the signed metadata, by role: "root=1 snapshot=4 targets=3 timestamp=9"


def index_home(environ: Mapping[str, str] | None = None) -> Path:
    """The directory of the signed index: trusted roots, verified metadata, databases. Not made here."""
    return state_directory(environ) / "index"


def read_current(home: Path) -> Current | None:
    """The index in use as it was written down; None when there is none, or the record cannot be read."""
    try:
        with (home / FILE_NAME).open(encoding="utf-8") as file:
            lines = file.read(_MAX_BYTES).splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    facts = dict(line.partition(" ")[::2] for line in lines)
    name = facts.pop("file", "")
    if set(facts) != set(Current._fields[1:]) or not name or "/" in name or "\\" in name:
        return None
    return Current(home / name, **facts)


def write_current(current: Current) -> None:
    """Puts an index in use: its record replaces the former one whole.

    Raises:
        OSError: It cannot be written; then nothing was changed.
    """
    from zoo_cli.atomic import write_whole

    values = (current.file.name, *current[1:])
    text = "".join(f"{name} {value}\n" for name, value in zip(Current._fields, values, strict=True))
    write_whole(current.file.with_name(FILE_NAME), text.encode("utf-8"))
