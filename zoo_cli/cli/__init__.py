"""argv and terminal: the only room that imports click and tqdm.

`main` is the entry point. It imports click only when there is something to parse.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Runs the command line and returns the exit code."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        from zoo_cli import __version__

        sys.stdout.write(f"zoo {__version__}\n")
        return 0
    from zoo_cli.cli.app import run

    return run(sys.argv[1:])
