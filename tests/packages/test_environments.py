"""Environments that zoo makes are whole, or not there: also after failures, kills and two at once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.changing import content
from zoo_cli.packages.environments import is_unfinished, new_environment
from zoo_cli.packages.executor import DirectoryInUse, StepFailed
from zoo_cli.packages.journal import EnvironmentBusy

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python whose `venv` makes an environment without pip: at once instead of in seconds."""
    script = tmp_path_factory.mktemp("base") / "python"
    lines = (
        "#!/bin/sh",
        f'[ "$3" = venv ] && exec {sys.executable} -I -m venv --without-pip "$4"',
        f'exec {sys.executable} "$@"',
    )
    script.write_text("\n".join(lines) + "\n")
    script.chmod(0o755)
    return str(script)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_STATE", str(tmp_path / "state"))


@pytest.mark.parametrize("was_there", [False, True])
def test_what_fails_leaves_nothing(tmp_path: Path, base: str, was_there: bool) -> None:
    directory = tmp_path / "env"
    if was_there:
        directory.mkdir()
    with pytest.raises(KeyboardInterrupt), new_environment(directory, base) as python:
        assert Path(python).exists()
        assert is_unfinished(directory)
        raise KeyboardInterrupt
    assert directory.exists() == was_there
    assert not was_there or not list(directory.iterdir())
    with pytest.raises(StepFailed), new_environment(directory, str(tmp_path / "no-python")):
        pytest.fail("made of nothing")
    assert directory.exists() == was_there


def test_what_ends_well_stays_and_is_nobody_elses_to_take(tmp_path: Path, base: str) -> None:
    with new_environment(tmp_path / "env", base) as python:
        pass
    assert not is_unfinished(tmp_path / "env")
    before = content(tmp_path / "env")
    with pytest.raises(RuntimeError), new_environment(tmp_path / "env", base) as again:
        assert again == python
        raise RuntimeError
    assert content(tmp_path / "env") == before


def test_a_failed_one_can_be_kept(tmp_path: Path, base: str) -> None:
    with pytest.raises(RuntimeError), new_environment(tmp_path / "env", base, keep_failed=True):
        raise RuntimeError
    assert (tmp_path / "env/pyvenv.cfg").is_file()
    assert not is_unfinished(tmp_path / "env")


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from zoo_cli.packages.environments import new_environment
with new_environment(Path(sys.argv[1]), sys.argv[2]) as python:
    (Path(sys.argv[1]) / "lib/half").mkdir()
    print("made", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def making(tmp_path: Path, base: str) -> Iterator[subprocess.Popen[str]]:
    """Another zoo that has made an environment and works in it."""
    argv = (sys.executable, "-c", KILLED, str(tmp_path / "env"), base, str(ROOT))
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "made\n"
        yield child
        child.kill()


def test_one_that_was_killed_is_made_anew(tmp_path: Path, base: str, making: subprocess.Popen[str]) -> None:
    with pytest.raises(EnvironmentBusy), new_environment(tmp_path / "env", base):
        pytest.fail("two at once")
    os.kill(making.pid, signal.SIGKILL)
    making.wait(timeout=30)
    with new_environment(tmp_path / "env", base):
        assert not (tmp_path / "env/lib/half").exists()
    assert not is_unfinished(tmp_path / "env")


def test_files_of_others_in_one_that_was_killed_stay(tmp_path: Path, base: str, making: subprocess.Popen[str]) -> None:
    os.kill(making.pid, signal.SIGKILL)
    making.wait(timeout=30)
    (tmp_path / "env/thesis.tex").write_text("years")
    with pytest.raises(DirectoryInUse), new_environment(tmp_path / "env", base):
        pytest.fail("made over it")
    assert (tmp_path / "env/thesis.tex").read_text() == "years"
    shutil.rmtree(tmp_path / "env")
