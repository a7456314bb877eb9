"""An audit hook (PEP 578) that turns anything a reader of foreign bytes must not do into a finding.

    with watched():
        read(data)      # Broken when it runs code, imports, opens a file, starts a process or connects

Hooks cannot be taken back, so there is one for the whole process, asleep outside of `watched`. Modules of zoo and of
the standard library may still be imported for the first time: their own code runs then, and nothing else.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_FORBIDDEN = (
    "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn", "os.remove", "os.rename", "os.mkdir", "os.link",
    "os.symlink", "os.putenv", "os.chmod", "subprocess.", "socket.", "ctypes.", "pickle.", "shutil.",
    "code.__new__", "builtins.input", "builtins.breakpoint", "webbrowser.", "urllib.", "ftplib.", "http.",
)  # fmt: skip
_OURS = tuple(
    str(Path(place).resolve()) for place in (*sysconfig.get_paths().values(), str(Path(__file__).parent.parent.parent))
)
_state = {"awake": False, "installed": False}


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
        raise Broken(f"open {args[:2]!r}")
    if event.startswith(_FORBIDDEN):
        raise Broken(f"{event} {str(args)[:300]}")


def _is_importing() -> bool:
    frame = sys._getframe(2)
    while frame.f_back and frame.f_code.co_filename != __file__:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@contextmanager
def watched() -> Iterator[None]:
    """While foreign bytes are read."""
    if not _state["installed"]:
        sys.addaudithook(_hook)
        _state["installed"] = True
    _state["awake"] = True
    try:
        yield
    finally:
        _state["awake"] = False
