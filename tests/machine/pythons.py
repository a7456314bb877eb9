"""The Pythons that happen to be on this machine: tests run on every one that is there."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

VERSIONS = ("2.7", *(f"3.{minor}" for minor in range(6, 16)))


def pythons() -> dict[str, Path]:
    """One executable for each version, from pyenv's versions or from PATH."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = {f"{sys.version_info[0]}.{sys.version_info[1]}": Path(sys.executable)}
    for version in VERSIONS:
        for directory in sorted(root.glob(f"{version}.*")):
            if (directory / "bin" / "python").exists():
                found.setdefault(version, directory / "bin" / "python")
        on_path = shutil.which(f"python{version}")
        if on_path and "shims" not in on_path:
            found.setdefault(version, Path(on_path))
    return found


FOUND = pythons()
EACH = sorted(FOUND.items(), key=lambda item: [int(part) for part in item[0].split(".")])
WITH_VENV = [(version, path) for version, path in EACH if version != "2.7"]
