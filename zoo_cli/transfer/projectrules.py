"""The mirrors file of the project that the working directory is in: it counts only as its user accepted it.

Edge: that file, and a small one in the state directory. A project is what somebody cloned or unpacked, so
its `mirrors.yaml` adds no source by being there. Consent is to one path and one content; who changes the file (a pull,
a checkout) takes it back. A file that was not accepted is hashed and not parsed, and mentioned once.
"""

from __future__ import annotations

import json
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.atomic import write_whole
from zoo_cli.directories import state_directory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_MAX_BYTES = 64 * 1024
_MOST = 500  # projects that are remembered
_MENTIONED = "mentioned "


class Project(NamedTuple):
    """A mirrors file of a project."""

    path: Path  # real, so that a link is another file when it leads elsewhere
    data: bytes
    digest: str


def find_project(path: Path, others: Sequence[Path], limit_bytes: int) -> Project | None:
    """The file at `path`; None when it cannot be read, is too large to be one, or is one of those that count anyway."""
    if any(other.exists() and path.samefile(other) for other in others):
        return None
    try:
        real = path.resolve()
        with real.open("rb") as file:
            data = file.read(limit_bytes + 1)
    except OSError:
        return None
    return Project(real, data, sha256(data).hexdigest()) if len(data) <= limit_bytes else None


def is_accepted(project: Project, environ: Mapping[str, str] | None = None) -> bool:
    """Whether its user accepted this file as it is."""
    return _read(environ).get(str(project.path)) == project.digest


def accept(project: Project, environ: Mapping[str, str] | None = None) -> None:
    """Remembers that the file counts as it is now.

    Raises:
        OSError: The state directory cannot be written.
    """
    _write({**_read(environ), str(project.path): project.digest}, environ)


def was_accepted(path: Path, environ: Mapping[str, str] | None = None) -> bool:
    """Whether its user accepted a file at this path, as it is now or as it was."""
    found = _read(environ).get(str(path))
    return found is not None and not found.startswith(_MENTIONED)


def forget(path: Path, environ: Mapping[str, str] | None = None) -> bool:
    """Takes consent back; False: there was none.

    Raises:
        OSError: The state directory cannot be written.
    """
    known = _read(environ)
    found = known.pop(str(path.resolve()), None)
    if found is not None:
        _write(known, environ)
    return found is not None and not found.startswith(_MENTIONED)


def mention(project: Project, environ: Mapping[str, str] | None = None) -> bool:
    """Whether to say that the file is there and does not count: once for each content."""
    known = _read(environ)
    if known.get(str(project.path)) == _MENTIONED + project.digest:
        return False
    with suppress(OSError):  # then it is said again
        _write({**known, str(project.path): _MENTIONED + project.digest}, environ)
    return True


def _place(environ: Mapping[str, str] | None) -> Path:
    return state_directory(environ) / "projects.json"


def _read(environ: Mapping[str, str] | None) -> dict[str, str]:
    try:
        with _place(environ).open("rb") as file:
            value = json.loads(file.read(_MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return {path: text for path, text in value.items() if isinstance(text, str)} if isinstance(value, dict) else {}


def _write(known: Mapping[str, str], environ: Mapping[str, str] | None) -> None:
    place = _place(environ)
    place.parent.mkdir(parents=True, exist_ok=True)
    newest = dict(list(known.items())[-_MOST:])
    write_whole(place, json.dumps(newest).encode())
