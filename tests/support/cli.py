"""Runs the command line as users do: a child process, its own HOME, cache and state."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from zoo_cli.cli.app import run

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        document: dict[str, Any] = json.loads(self.out)
        return document


def environment(home: Path, **more: str) -> dict[str, str]:
    """A clean environment: nothing of the user's settings, everything of zoo below `home`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ZOO_", "VIRTUAL_ENV", "CONDA"))}
    ours = {"HOME": str(home), "ZOO_CACHE": str(home / "cache"), "ZOO_STATE": str(home / "state")}
    return {**kept, **ours, "PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(home / "config"), **more}


def zoo(home: Path, *words: str | Path, timeout: float = 120, **more: str) -> Ran:
    """Runs `zoo WORDS...` in `home`."""
    argv = [sys.executable, "-m", "zoo_cli", *map(str, words)]
    done = subprocess.run(
        argv, cwd=home, env=environment(home, **more), stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout
    )
    return Ran(done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8"))


def run_here(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Runs `zoo WORDS...` in this process, which takes no start-up: exit code, stdout, stderr."""
    capsys.readouterr()
    code = run(list(words))
    out, err = capsys.readouterr()
    return code, out, err
