"""An audit hook (PEP 578) that turns anything a reader of foreign bytes must not do into a finding.

    with watched():
        read(data)      # Broken when it runs code, imports, opens a file, starts a process or connects

    with watched(PLACE):               # and may open what is below PLACE
    with watched(PLACE, writes=True):  # and may write there

Hooks cannot be taken back, so there is one for the whole process, asleep outside of `watched`. Modules of zoo and of
the standard library may still be imported for the first time: their own code runs then, and nothing else.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_FILES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "shutil.")
_FORBIDDEN = (
    *_FILES, "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn", "os.putenv", "subprocess.", "socket.",
    "ctypes.", "pickle.",
    "code.__new__", "builtins.input", "builtins.breakpoint", "webbrowser.", "urllib.", "ftplib.", "http.",
)  # fmt: skip
_OURS = tuple(
    str(Path(place).resolve()) for place in (*sysconfig.get_paths().values(), str(Path(__file__).parent.parent.parent))
)
_state = {"awake": False, "installed": False, "writes": False}
_places: list[str] = []  # below which the reader may open files
_READING = (None, "r", "rb")


class Broken(AssertionError):
    """A reader did something with what it read."""


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if not _state["awake"]:
        return
    if event == "exec":
        code = args[0]
        # A library imported for the first time, and the classes that such a module writes (namedtuple, dataclass).
        if code.co_filename.startswith(("<frozen", *_OURS)) or _is_importing():
            return
        _state["awake"] = False
        raise Broken(f"{event} {code.co_filename} {code.co_name}")
    if event == "open" and not str(args[0]).startswith(_OURS):
        if not (_is_inside(args[0]) and (_state["writes"] or args[1] in _READING)):
            raise Broken(f"open {args[:2]!r}")
    elif event.startswith(_FILES) and _state["writes"]:
        paths = args[:2] if event in ("os.rename", "os.link") or event.startswith("shutil.copy") else args[:1]
        if event == "os.symlink":
            paths = args[1:2]
        if not all(map(_is_inside, paths)):
            raise Broken(f"{event} {str(args)[:300]}")
    elif event.startswith(_FORBIDDEN):
        raise Broken(f"{event} {str(args)[:300]}")


def _is_inside(path: Any) -> bool:
    """Whether a path is below one of the places; a bare name is one below a directory that is open."""
    if isinstance(path, int):
        return True
    text = os.path.abspath(os.fsdecode(path))
    return "/" not in os.fsdecode(path) or any(text == each or text.startswith(f"{each}/") for each in _places)


def _is_importing() -> bool:
    frame = sys._getframe(2)
    while frame.f_back and frame.f_code.co_filename != __file__:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@contextmanager
def watched(*places: Path, writes: bool = False) -> Iterator[None]:
    """While foreign bytes are read.

    Args:
        places: directories in which it may open files.
        writes: whether it may write there, too.
    """
    if not _state["installed"]:
        sys.addaudithook(_hook)
        _state["installed"] = True
    _places[:] = [os.path.abspath(each).rstrip("/") for each in places]
    _state.update(awake=True, writes=writes)
    try:
        yield
    finally:
        _state["awake"] = False
