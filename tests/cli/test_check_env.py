"""`zoo check-env` as users call it: reports without secrets, and mending that asks first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import zoo


@pytest.fixture(scope="module")
def opless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment in which an mmcv without ops is installed, below the home of somebody."""
    home = tmp_path_factory.mktemp("home")
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", str(home / "env")), check=True)
    site = next((home / "env").glob("lib/python*/site-packages"))
    info = site / "mmcv-2.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: mmcv\nVersion: 2.1.0\n")
    (info / "WHEEL").write_text("Tag: py2.py3-none-any\n")
    (info / "RECORD").write_text("mmcv/__init__.py,,\n")
    return home


def test_a_fault_with_its_text_and_its_command(opless: Path) -> None:
    told = zoo(opless, "check-env", "--python", "env")
    assert told.code == 4
    assert "mmcv 2.1.0 has no compiled ops" in told.out
    assert "seen as: ModuleNotFoundError: No module named 'mmcv._ext'" in told.out
    assert "fix: zoo install mmcv --replace mmcv" in told.out
    findings = zoo(opless, "check-env", "--python", "env", "--json").document["findings"]
    (fault,) = [each for each in findings if each["status"] == "FAIL"]
    assert fault["code"] == "op-less"
    assert zoo(opless, *fault["fix"].split()[1:], "--dry-run").code == 0, "the command has a solution"


def test_a_report_for_a_bug_tracker_tells_nothing_of_its_writer(opless: Path) -> None:
    told = zoo(opless, "check-env", "--python", "env", "--markdown", USER="ada", LOGNAME="ada")
    assert told.code == 4
    assert "| FAIL | mmcv |" in told.out
    assert "`zoo install mmcv --replace mmcv --python ENV/bin/python`" in told.out
    assert str(opless) not in told.out
    assert "mmcv==2.1.0" in told.out


def test_mending_asks_first(opless: Path) -> None:
    told = zoo(opless, "check-env", "--python", "env", "--fix")
    assert told.code == 2
    assert "will run: zoo install mmcv --replace mmcv" in told.err
    assert "--yes" in told.err
    other = zoo(opless, "check-env", "--machine", "gpu=none", "--fix")
    assert (other.code, "--fix works on this one" in other.err) == (2, True)


def test_nothing_to_mend(tmp_path: Path) -> None:
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")), check=True)
    told = zoo(tmp_path, "check-env", "--python", "env", "--fix", "--yes")
    assert told.code == 0
    assert "Nothing here can be mended in place." in told.err
