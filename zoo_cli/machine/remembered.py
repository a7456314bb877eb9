"""What an interpreter or the NVIDIA driver said, kept between runs, as long as nothing it depends on has changed.

Edge: reads and writes small files in the cache, and the clock. An interpreter's answer depends on the program file, on
`pyvenv.cfg` beside and above it, on the question, and on where the user's own site directory is; their sizes and times
are kept with it. A program that is a script (a shim that decides anew each time) is never remembered, and what cannot
be read or written is asked.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_cli.atomic import write_whole
from zoo_cli.machine.files import read_head

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BYTES = 65536
_PROGRAMS = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf")
_VARIABLES = ("HOME", "PYTHONUSERBASE", "USERPROFILE", "APPDATA")


def interpreter_identity(executable: Path, question: str, environ: Mapping[str, str]) -> list[object] | None:
    """Everything an answer depends on; None for a program whose answers are not to be kept."""
    head = read_head(executable, 4) or b""
    if head not in _PROGRAMS and head[:2] != b"MZ":
        return None
    beside = executable.absolute().parent
    settings = [place / "pyvenv.cfg" for place in (beside, beside.parent)]
    marks = [mark(executable), mark(Path(os.path.realpath(executable))), *map(mark, settings)]
    variables = [environ.get(name) for name in _VARIABLES]
    return [str(executable), zlib.crc32(question.encode()), marks, variables]


def mark(path: Path) -> list[int] | None:
    """What changes when a file does: its size, time and number; None when it is not there."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def interpreter_place(executable: Path) -> str:
    """Where in the cache an interpreter's answer is kept."""
    return f"interpreters/{zlib.crc32(str(executable).encode('utf-8', 'surrogatepass')):08x}.json"


def place_of(cache: Path, kind: str, identity: list[object]) -> Path:
    """Where in the cache an answer is kept, by all that it depends on."""
    return cache / kind / f"{zlib.crc32(json.dumps(identity).encode()):08x}.json"


def recall(place: Path, identity: list[object], max_age_seconds: float | None = None) -> dict[str, Any] | None:
    """The kept answer; None when there is none for exactly this identity, or when it is older than allowed."""
    text = read_head(place, MAX_BYTES)
    try:
        if max_age_seconds is not None and not 0 <= time.time() - place.stat().st_mtime < max_age_seconds:
            return None
        kept = json.loads(text or b"null")
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(kept, dict) or kept.get("identity") != identity:
        return None
    facts = kept.get("facts")
    return facts if isinstance(facts, dict) else None


def remember(place: Path, identity: list[object], facts: Mapping[str, Any]) -> None:
    """Keeps an answer; a cache that cannot be written is no fault."""
    text = json.dumps({"identity": identity, "facts": facts})
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, text.encode())
    except OSError:
        return
