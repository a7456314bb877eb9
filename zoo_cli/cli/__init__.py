"""argv and terminal: the only room that imports click and tqdm.

`main` is the entry point. It imports click only when there is something to parse.
"""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False  # as type checkers have it; `typing` itself would be imported for nothing
if TYPE_CHECKING:
    from typing import NoReturn

_RARELY = 50_000, 20, 20
"""Objects between two searches for garbage: at Python's 700 an import is searched dozens of times, for nothing."""


def main() -> NoReturn:
    """Runs the command line and ends the process with its exit code."""
    gc.set_threshold(*_RARELY)
    code = _code()
    if not (_is_watched() or _has_threads()):
        _end_at_once(code)
    sys.exit(code)


def _code() -> int:
    if sys.argv[1:] in (["--version"], ["-V"]):
        from zoo_cli import __version__

        sys.stdout.write(f"zoo {__version__}\n")
        return 0
    from zoo_cli.cli.app import run

    return run(sys.argv[1:])


def _is_watched() -> bool:
    """Whether a debugger or a profiler wants to see the end."""
    return bool(sys.gettrace() or sys.getprofile() or os.environ.get("ZOO_DEBUG"))


def _has_threads() -> bool:
    """Whether there are threads that the interpreter would wait for."""
    threading = sys.modules.get("threading")
    return threading is not None and any(
        not each.daemon for each in threading.enumerate() if each is not threading.main_thread()
    )


def _end_at_once(code: int) -> None:
    """Ends the process without freeing its objects one by one: that takes as long as most commands compute.

    What was registered for the end runs before. Where an output cannot be written (a full disk, a reader that went
    away, a closed stream) it returns, and the interpreter ends and tells as ever. mypy ends in the same way.
    """
    import atexit

    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        return
    os._exit(code)
