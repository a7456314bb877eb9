"""`--python 3.10`: the version on PATH, else one of pyenv's; never a shim, never a file of the working directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo_cli.machine.interpreter import NoInterpreter, find_interpreter


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_path_comes_first(tmp_path: Path) -> None:
    found = program(tmp_path / "bin/python3.10")
    program(tmp_path / "pyenv/versions/3.10.13/bin/python3.10")
    environ = {"PATH": str(tmp_path / "bin"), "PYENV_ROOT": str(tmp_path / "pyenv")}
    assert find_interpreter("3.10", environ) == found


def test_a_shim_is_passed_over_for_the_newest_of_pyenv(tmp_path: Path) -> None:
    program(tmp_path / "pyenv/shims/python3.10")
    program(tmp_path / "pyenv/versions/3.10.9/bin/python3.10")
    newest = program(tmp_path / "pyenv/versions/3.10.13/bin/python3.10")
    program(tmp_path / "pyenv/versions/3.1/bin/python3.1")
    environ = {"PATH": str(tmp_path / "pyenv/shims"), "PYENV_ROOT": str(tmp_path / "pyenv")}
    assert find_interpreter("3.10", environ) == newest


def test_the_working_directory_adds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "python3.10")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoInterpreter):
        find_interpreter("3.10", {"PATH": "", "HOME": str(tmp_path)})
