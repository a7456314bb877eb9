"""`zoo uninstall`, `zoo undo`, `zoo history` in real environments, with real uv and pip doing the work."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.changing import content
from tests.support.cli import environment, zoo
from tests.support.wheels import write_wheel
from zoo_cli.machine.interpreter import read_interpreter
from zoo_cli.packages.executor import find_installer, run_step
from zoo_cli.packages.journal import Journal, journal_of

ROOT = Path(__file__).parent.parent.parent
NOW = "2026-11-23T06:00:00Z"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with pip, `tiny 1.0` and `needy 1.0`, which needs it."""
    folder = tmp_path_factory.mktemp("template") / "env"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin/python"
    wheels = folder.parent / "wheels"
    files = [
        write_wheel(wheels, "tiny", "1.0", files={"tiny/__init__.py": "value = 1\n", "tiny/data.bin": b"\0" * 100_000}),
        write_wheel(wheels, "needy", "1.0", requires=["tiny>=1"]),
    ]
    run_step(find_installer(str(python)).install_files(files))
    return folder


@pytest.fixture
def python(template: Path, tmp_path: Path) -> Path:
    """The interpreter of a copy of it."""
    shutil.copytree(template, tmp_path / "env", symlinks=True)
    return tmp_path / "env/bin/python"


def journal(python: Path) -> Journal:
    return journal_of(read_interpreter(python, environ=dict(os.environ)))


@pytest.mark.parametrize("prefer", ["uv", "pip"])
def test_an_upgrade_by_a_real_installer_is_undone(python: Path, tmp_path: Path, prefer: str) -> None:
    before = content(python.parent.parent)
    newer = write_wheel(tmp_path / "wheels", "tiny", "2.0", files={"tiny/__init__.py": "value = 2\n"})
    with journal(python).change(("zoo", "install", "tiny"), lambda: NOW) as lock:
        run_step(find_installer(str(python), prefer=prefer).install_files([newer]), held=(lock,))
    assert content(python.parent.parent) != before
    shown = zoo(tmp_path, "history", "--python", python, "--json").document["changes"]
    assert [(each["number"], each["stands"], each["changes"]) for each in shown] == [
        (1, True, [{"name": "tiny", "before": "1.0", "after": "2.0", "direct_url": None}])
    ]
    ran = zoo(tmp_path, "undo", "--python", python)
    assert ran.code == 0, ran.err
    assert "tiny 2.0 -> 1.0" in ran.err
    assert content(python.parent.parent) == before
    rows = zoo(tmp_path, "history", "--python", python).out.splitlines()
    assert [row.split("\t")[2] for row in rows[1:]] == ["undid 1", "undone"]


def test_uninstall_asks_for_what_others_need(python: Path, tmp_path: Path) -> None:
    before = content(python.parent.parent)
    refused = zoo(tmp_path, "uninstall", "tiny", "--python", python)
    assert (refused.code, "error[still-needed]" in refused.err) == (2, True)
    assert "needy needs tiny" in refused.err
    assert content(python.parent.parent) == before
    ran = zoo(tmp_path, "uninstall", "Tiny", "needy", "--python", python, "--json")
    assert [each["name"] for each in ran.document["removed"]] == ["needy", "tiny"]
    assert subprocess.run([python, "-c", "import tiny"], capture_output=True, check=False).returncode == 1
    assert zoo(tmp_path, "undo", "--env", python.parent.parent).code == 0
    assert content(python.parent.parent) == before


@pytest.mark.parametrize("prefer", ["uv", "pip"])
def test_a_changed_file_stays_and_the_rest_comes_back(python: Path, tmp_path: Path, prefer: str) -> None:
    prefix = python.parent.parent
    folder = next(prefix.glob("lib/python3*/site-packages/tiny"))
    (folder / "__init__.py").write_text("value = 'mine'\n")
    before = content(prefix)
    ran = zoo(tmp_path, "uninstall", "tiny", "needy", "--python", python, ZOO_INSTALLER=prefer)
    assert (ran.code, f"{folder}/__init__.py: stays" in ran.err) == (1, True), ran.err
    assert (folder / "__init__.py").read_text() == "value = 'mine'\n"
    assert [each.name for each in folder.iterdir()] == ["__init__.py"]
    assert not [each for each in (prefix / ".zoo").iterdir() if each.name == "aside"]
    assert zoo(tmp_path, "undo", "--python", python).code == 0
    assert content(prefix) == before
    ran = zoo(tmp_path, "uninstall", "tiny", "needy", "--python", python, "--changed", "--json", ZOO_INSTALLER=prefer)
    assert (ran.code, ran.document["changed"], folder.exists()) == (0, [], False)
    assert zoo(tmp_path, "undo", "--python", python).code == 0
    assert content(prefix) == before


@pytest.mark.parametrize("how", ["link", "record"])
def test_nothing_outside_of_the_environment_is_removed(python: Path, tmp_path: Path, how: str) -> None:
    folder = next(python.parent.parent.glob("lib/python3*/site-packages/tiny"))
    mine = tmp_path / "mine"
    shutil.copytree(folder, mine)
    if how == "link":
        shutil.rmtree(folder)
        folder.symlink_to(mine)
    else:
        with next(folder.parent.glob("tiny-*/RECORD")).open("a") as record:
            record.write(f"{os.path.relpath(mine / 'data.bin', folder.parent)},,\n")
    before = content(python.parent.parent)
    ran = zoo(tmp_path, "uninstall", "tiny", "needy", "--python", python, "--yes")
    assert (ran.code, "error[leads-outside]" in ran.err) == (4, True), ran.err
    assert (f"rm {folder}" in ran.err) == (how == "link")
    assert sorted(each.name for each in mine.iterdir()) == ["__init__.py", "data.bin"]
    assert content(python.parent.parent) == before


def test_what_is_not_there_cannot_be_uninstalled(python: Path, tmp_path: Path) -> None:
    ran = zoo(tmp_path, "uninstall", "tinyy", "--python", python)
    assert (ran.code, "error[not-installed]" in ran.err, "near: tiny" in ran.err) == (2, True, True)


def test_undo_does_not_take_away_what_others_did(python: Path, tmp_path: Path) -> None:
    assert zoo(tmp_path, "uninstall", "needy", "--python", python).code == 0
    (python.parent.parent / "mine.txt").write_text("mine")
    refused = zoo(tmp_path, "undo", "--python", python)
    assert (refused.code, "error[changed-since]" in refused.err, "mine.txt" in refused.err) == (2, True, True)
    ran = zoo(tmp_path, "undo", "--python", python, "--dry-run")
    assert (ran.code, "+ needy 1.0" in ran.err) == (0, True)
    assert zoo(tmp_path, "undo", "--python", python, "--yes").code == 0


def test_nothing_to_undo_is_one_clear_error(python: Path, tmp_path: Path) -> None:
    ran = zoo(tmp_path, "undo", "--python", python)
    assert (ran.code, "error[nothing-to-undo]" in ran.err, "zoo history --python" in ran.err) == (2, True, True)
    ran = zoo(tmp_path, "undo", "7", "--python", python)
    assert (ran.code, "change 7 was never made" in ran.err) == (2, True)


def cut_off(python: Path, home: Path, seconds: float) -> int:
    """`zoo uninstall` of two projects, killed with all its children after a while; its exit code."""
    argv = [sys.executable, "-m", "zoo_cli", "uninstall", "tiny", "needy", "--python", str(python)]
    child = subprocess.Popen(argv, cwd=home, env=environment(home), stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        return child.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def test_a_second_signal_while_it_is_brought_back_is_told_truly(python: Path, tmp_path: Path) -> None:
    before = content(python.parent.parent)
    script = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.cli.test_changes import journal, Path
import shutil, signal
from zoo_cli.cli.change import changing
from zoo_cli.cli.console import Console
python = Path({str(python)!r})
is_restoring = False
def hook(event, arguments):
    if is_restoring and event == "os.rename":
        signal.raise_signal(signal.SIGINT)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.addaudithook(hook)
with changing(Console(), journal(python), ("zoo", "install", "tiny")):
    shutil.rmtree(next(python.parent.parent.glob("lib/python3*/site-packages/tiny")))
    is_restoring = True
    raise KeyboardInterrupt
"""
    stopped = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert f"half changed; this brings back what was there before: zoo undo --python {python}\n" in stopped.stderr
    assert "as it was before" not in stopped.stderr
    assert content(python.parent.parent) != before
    mended = zoo(tmp_path, "undo", "--python", python)
    assert mended.code == 0, mended.err
    assert content(python.parent.parent) == before


def test_a_change_that_was_cut_off_is_noticed_and_offered(python: Path, tmp_path: Path) -> None:
    before = content(python.parent.parent)
    kept = journal(python)
    script = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.cli.test_changes import journal, NOW, Path
import os, shutil, signal
python = Path({str(python)!r})
with journal(python).change(("zoo", "install", "tiny"), lambda: NOW):
    shutil.rmtree(next(python.parent.parent.glob("lib/python3*/site-packages/tiny")))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert kept.unfinished() is not None
    refused = zoo(tmp_path, "uninstall", "needy", "--python", python)
    assert (refused.code, "error[unfinished-change]" in refused.err) == (4, True)
    assert f"zoo undo --python {python}" in refused.err
    checked = zoo(tmp_path, "check-env", "--python", python)
    assert (checked.code, "FAIL  environment" in checked.out) == (4, True), checked.out
    assert f"fix: zoo undo --python {python}" in checked.out
    assert (
        f"was cut off; bring back what was before it: zoo undo --python {python}"
        in zoo(tmp_path, "history", "--python", python).err
    )
    assert zoo(tmp_path, "history", "--python", python, "--json").document["cut_off"]["typed"][-1] == "tiny"
    mended = zoo(tmp_path, "undo", "--python", python)
    assert mended.code == 0, mended.err
    assert content(python.parent.parent) == before


@pytest.mark.slow
def test_kills_at_random_moments_with_real_installers(python: Path, tmp_path: Path) -> None:
    """Whatever moment zoo is killed at, `zoo undo` or the finished change leaves one of the two states."""
    prefix = python.parent.parent
    original = tmp_path / "original"
    shutil.copytree(prefix, original, symlinks=True)
    before = content(prefix)
    started = time.monotonic()
    assert cut_off(python, tmp_path, 60) == 0
    whole = time.monotonic() - started
    after = content(prefix)
    chance = random.Random(7)
    ends = {"before": 0, "after": 0}
    for _ in range(20):
        shutil.rmtree(prefix)
        shutil.copytree(original, prefix, symlinks=True)
        cut_off(python, tmp_path, chance.uniform(0.4, 1.0) * whole)
        for _wait in range(200):  # uv may still be at it, and holds the lock
            if zoo(tmp_path, "undo", "--python", python).code != 4:
                break
            time.sleep(0.05)
        there = content(prefix)
        assert there in (before, after)
        ends["before" if there == before else "after"] += 1
    assert ends["before"]
