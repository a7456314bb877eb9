"""The JSON schema of SARIF 2.1.0, as Microsoft's validator of that format brings it; fetched once, from npm."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.dockerfile import apt_install
from tests.support.torch_env import made_once

PACKAGE, VERSION = "@microsoft/sarif-multitool-linux", "5.7.0"


def schema() -> dict[str, Any]:
    """The schema; without npm or its registry the test is skipped."""

    def make(place: Path) -> None:
        place.mkdir(parents=True)
        subprocess.run(["npm", "pack", "--silent", f"{PACKAGE}@{VERSION}"], cwd=place, check=True, capture_output=True)
        (archive,) = place.glob("*.tgz")
        words = ["tar", "xzf", str(archive), "--strip-components=1", "package/sarif-2.1.0.json"]
        subprocess.run(words, cwd=place, check=True)
        archive.unlink()  # 43 MB of a program

    try:
        apt_install("npm", "npm")
        place = made_once("sarif-schema", make, f"{PACKAGE} {VERSION}")
    except subprocess.CalledProcessError as exc:
        pytest.skip(f"the schema cannot be had: {str(exc.stderr)[-300:]}")
    found: dict[str, Any] = json.loads((place / "sarif-2.1.0.json").read_bytes())
    return found
