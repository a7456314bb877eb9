"""The journal: a change of an environment happens as a whole, can be undone, and a kill at any moment loses nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.changing import content, journal, now, site_of, upgrade
from zoo_cli.machine.facts import Interpreter
from zoo_cli.packages import snapshot
from zoo_cli.packages.changes import Change, in_effect
from zoo_cli.packages.journal import (
    KEPT,
    EnvironmentBusy,
    EnvironmentChanged,
    JournalFailed,
    NothingToUndo,
    NotRestored,
    UnfinishedChange,
    journal_of,
)
from zoo_cli.packages.trees import differences, distributions, read_tree

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Something like a virtual environment, with every kind of entry."""
    prefix = tmp_path / "env"
    site = prefix / "lib/python3.11/site-packages"
    for name, text in {
        "tiny/__init__.py": "value = 1\n",
        "tiny/_ext.so": "\x7fELF" + "x" * 300,
        "tiny-1.0.dist-info/METADATA": "Name: tiny\nVersion: 1.0\n",
        "tiny-1.0.dist-info/RECORD": "tiny/__init__.py,,\n",
        "setuptools/_vendor/packaging-24.0.dist-info/METADATA": "vendored",
        "paths.pth": "/somewhere\n",
    }.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
    (prefix / "bin").mkdir()
    (prefix / "bin/tiny").write_text("#!/bin/sh\n")
    (prefix / "bin/tiny").chmod(0o755)
    (prefix / "bin/python").symlink_to("/usr/bin/python3")
    (prefix / "lib64").symlink_to("lib")
    (prefix / "pyvenv.cfg").write_text("home = /usr/bin\n")
    return prefix


def test_a_change_is_recorded_and_undone(environment: Path) -> None:
    before = content(environment)
    journals = journal(environment)
    with journals.change(("zoo", "install", "tiny"), now):
        upgrade(environment)
    after = content(environment)
    (change,) = journals.changes()
    assert change.steps == (("tiny", "1.0", "2.0"),)
    assert change.command == ("zoo", "install", "tiny")
    undone, lost = journals.undo(None, ("zoo", "undo"), now)
    assert (undone.number, lost) == (1, ())
    assert content(environment) == before
    undone, lost = journals.undo(2, ("zoo", "undo", "2"), now)  # an undo is a change
    assert content(environment) == after
    assert in_effect(journals.changes()) == (1,)


def test_a_failure_brings_everything_back(environment: Path) -> None:
    before = content(environment)
    with pytest.raises(KeyboardInterrupt), journal(environment).change(("zoo",), now):
        upgrade(environment)
        raise KeyboardInterrupt
    assert content(environment) == before
    assert journal(environment).changes() == ()
    assert journal(environment).kept() == ()


def test_without_rollback_what_failed_stands_and_can_be_undone(environment: Path) -> None:
    before = content(environment)
    with pytest.raises(RuntimeError), journal(environment).change(("zoo",), now, rollback=False):
        upgrade(environment)
        raise RuntimeError
    assert content(environment) != before
    journal(environment).undo(None, ("zoo", "undo"), now)
    assert content(environment) == before


def test_what_was_written_into_is_told(environment: Path) -> None:
    """A linked file that something edits in place cannot come back, and nobody claims it did."""
    with pytest.raises(NotRestored) as caught, journal(environment).change(("zoo",), now):
        with (site_of(environment) / "tiny/_ext.so").open("a") as file:
            file.write("in place")
        raise RuntimeError
    assert caught.value.files == ("lib/python3.11/site-packages/tiny/_ext.so",)
    assert isinstance(caught.value.__context__, RuntimeError)


def test_small_files_that_people_edit_do_come_back(environment: Path) -> None:
    before = content(environment)
    with pytest.raises(RuntimeError), journal(environment).change(("zoo",), now):
        with (site_of(environment) / "paths.pth").open("a") as file:
            file.write("/elsewhere\n")
        raise RuntimeError
    assert content(environment) == before


def test_nothing_done_is_no_change(environment: Path) -> None:
    with journal(environment).change(("zoo",), now):
        pass
    assert journal(environment).changes() == ()
    with pytest.raises(NothingToUndo) as caught:
        journal(environment).undo(None, ("zoo", "undo"), now)
    assert caught.value.reason == "none"


def test_old_snapshots_go_and_their_records_stay(environment: Path) -> None:
    for number in range(KEPT + 2):
        with journal(environment).change(("zoo", str(number)), now):
            upgrade(environment, f"3.{number}")
    assert len(journal(environment).changes()) == KEPT + 2
    assert journal(environment).kept() == tuple(range(3, KEPT + 3))
    with pytest.raises(NothingToUndo) as caught:
        journal(environment).undo(1, ("zoo", "undo", "1"), now)
    assert (caught.value.reason, caught.value.number) == ("dropped", 1)
    with pytest.raises(NothingToUndo) as caught:
        journal(environment).to_undo(99)
    assert caught.value.reason == "unknown"


def test_a_plan_for_another_environment_is_refused(environment: Path) -> None:
    before = content(environment)
    with (
        pytest.raises(EnvironmentChanged) as caught,
        journal(environment).change(("zoo",), now, expected={"tiny": "0.9"}),
    ):
        pytest.fail("the change began")
    assert caught.value.steps == (("tiny", "0.9", "1.0"),)
    assert content(environment) == before
    assert journal(environment).distributions() == {"tiny": "1.0"}  # and nothing that setuptools vendors


def test_two_changes_exclude_each_other(environment: Path) -> None:
    with journal(environment).change(("zoo", "install", "first"), now):
        with pytest.raises(EnvironmentBusy) as caught, journal(environment).change(("zoo", "second"), now):
            pytest.fail("both began")
        assert "zoo install first" in caught.value.holder
        assert journal(environment).unfinished() is None  # it is begun and alive, not cut off


def test_what_others_did_since_is_seen(environment: Path) -> None:
    with journal(environment).change(("zoo",), now):
        upgrade(environment)
    cache = site_of(environment) / "tiny/__pycache__"
    cache.mkdir()
    (cache / "x.pyc").write_text("")
    assert not any(journal(environment).since())
    (site_of(environment) / "tiny/more.py").write_text("")
    assert journal(environment).since().added == ("lib/python3.11/site-packages/tiny/more.py",)


def test_a_journal_that_cannot_be_read_is_one_clear_error(environment: Path) -> None:
    (environment / ".zoo").mkdir()
    (environment / ".zoo/open.json").write_text("{")
    with pytest.raises(JournalFailed) as caught:
        journal(environment).unfinished()
    assert caught.value.doing == "read"


def test_no_room_for_a_snapshot_changes_nothing(environment: Path, tmp_path: Path) -> None:
    (environment / ".zoo").mkdir()
    (environment / ".zoo/before").write_text("a file where a directory must be")
    before = content(environment)
    with pytest.raises(JournalFailed) as caught, journal(environment).change(("zoo",), now):
        pytest.fail("the change began")
    assert caught.value.doing == "keep"
    assert content(environment) == before


# --- laws

NAMES = st.sampled_from(["a", "b", "c.py", "d.pth", "bin", "e-1.0.dist-info"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
ACTIONS = st.lists(st.tuples(st.sampled_from(["write", "mkdir", "link", "remove", "chmod"]), PATHS), max_size=12)


def act(prefix: Path, actions: list[tuple[str, str]]) -> None:
    """Does to a tree what installers do: files are replaced, never written into."""
    for number, (action, name) in enumerate(actions):
        place = prefix / name
        try:
            if action == "mkdir":
                place.mkdir(parents=True, exist_ok=True)
            elif action == "remove":
                shutil.rmtree(place) if place.is_dir() and not place.is_symlink() else place.unlink()
            elif action == "chmod":
                place.chmod(0o700)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                if place.is_dir() and not place.is_symlink():
                    continue
                place.unlink(missing_ok=True)
                place.symlink_to("nowhere") if action == "link" else place.write_text(f"{number} {name}")
        except OSError:
            continue  # a file where a directory would be: the next action


@given(first=ACTIONS, then=ACTIONS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_restore_is_the_inverse_of_anything(
    tmp_path: Path, first: list[tuple[str, str]], then: list[tuple[str, str]]
) -> None:
    prefix = tmp_path / "env"
    shutil.rmtree(prefix, ignore_errors=True)
    prefix.mkdir()
    act(prefix, first)
    before = content(prefix)
    kept = snapshot.take(tmp_path / "kept", prefix, (prefix,))
    act(prefix, then)
    assert snapshot.restore(snapshot.load(kept.place, prefix, (prefix,))) == ()
    assert content(prefix) == before
    assert not any(differences(kept.tree, read_tree(prefix, (prefix,)), by_inode=False))


def test_a_copied_environment_never_touches_the_one_it_was_copied_from(environment: Path, tmp_path: Path) -> None:
    with journal(environment).change(("zoo", "install"), now):
        upgrade(environment)
    copy = tmp_path / "copy"
    shutil.copytree(environment, copy, symlinks=True)
    before = content(environment), content(copy)
    with pytest.raises(JournalFailed, match="another environment"):
        journal(copy).undo(None, ("zoo", "undo"), now)
    assert (content(environment), content(copy)) == before


def test_an_environment_is_the_same_by_every_path(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--env env` plans with the relative path of what is not there yet; afterwards its own Python names it in full."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(environment)
    before = content(environment)
    for made_as, undone_as in (("env", str(environment)), ("env/../env", "link"), ("link", "env")):
        first = journal_of(Interpreter(f"{made_as}/bin/python", "3.11.7", prefix=made_as, is_virtual=True))
        with first.change(("zoo", "install"), now):
            upgrade(environment)
        other = journal_of(Interpreter(f"{undone_as}/bin/python", "3.11.7", prefix=undone_as, is_virtual=True))
        assert other.undo(None, ("zoo", "undo"), now)[1] == ()
        assert content(environment) == before


@given(undos=st.lists(st.one_of(st.none(), st.integers(1, 6)), max_size=6))
def test_in_effect_is_what_a_stack_of_states_says(undos: list[int | None]) -> None:
    states: list[tuple[int, ...]] = [()]
    changes = []
    for number, undoes in enumerate(undos, 1):
        target = undoes if undoes is not None and undoes < number else None
        changes.append(Change(number, (), "", {}, {}, target))
        states.append(states[target - 1] if target else (*states[-1], number))
    assert in_effect(tuple(changes)) == states[-1]


def test_distributions_are_read_from_site_packages_only() -> None:
    site = "lib/python3.11/site-packages"
    paths = [
        f"{site}/Tiny_Thing-1.0.dist-info",
        f"{site}/setuptools/_vendor/wheel-0.1.dist-info",
        f"{site}/x-1.dist-info/RECORD",
    ]
    assert distributions(paths) == {"tiny-thing": "1.0"}


# --- kills

VICTIM = """
import os, signal, sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from tests.support.changing import journal, now, upgrade
left = int(sys.argv[2])
TOUCHING = "open os.link os.rename os.remove os.mkdir os.rmdir os.symlink os.chmod shutil.rmtree".split()
def hook(event, arguments):
    global left
    if event in TOUCHING and "env" in str(arguments):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
prefix = Path(sys.argv[1])
sys.addaudithook(hook)
if sys.argv[4] == "recover":
    journal(prefix).recover()
else:
    try:
        with journal(prefix).change(("zoo", "install", "tiny"), now):
            upgrade(prefix)
            if sys.argv[4] == "fail":
                raise RuntimeError
    except RuntimeError:
        pass
print("operations", -left)
"""


def run_victim(prefix: Path, kill_at: int, how: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", VICTIM, str(prefix), str(kill_at), str(ROOT), how]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["succeed", "fail"])
def test_a_kill_at_any_file_operation_leaves_before_or_after(environment: Path, tmp_path: Path, how: str) -> None:
    """SIGKILL before each file operation of a change in turn, and again during the recovery."""
    original = tmp_path / "original"
    shutil.copytree(environment, original, symlinks=True)
    before = content(environment)
    done = run_victim(environment, 0, how)
    assert done.returncode == 0, done.stderr
    operations = int(done.stdout.split()[1])
    after = content(environment)
    assert operations > 40
    ends = set()
    for kill_at in range(1, operations + 1):
        shutil.rmtree(environment)
        shutil.copytree(original, environment, symlinks=True)
        assert run_victim(environment, kill_at, how).returncode == -signal.SIGKILL
        cut_off = journal(environment).unfinished()
        run_victim(environment, 1 + kill_at % 15, "recover")  # cut off, too
        journal(environment).recover()
        now_there = content(environment)
        assert now_there in (before, after), f"killed at operation {kill_at}"
        assert journal(environment).unfinished() is None
        if cut_off:
            assert isinstance(cut_off, UnfinishedChange)
            assert cut_off.command == ("zoo", "install", "tiny")
        ends.add(now_there == before)
        with journal(environment).change(("zoo", "again"), now):  # and life goes on
            pass
    assert True in ends


@pytest.fixture
def orphan(environment: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A zoo that was killed while its installer still runs."""
    code = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from tests.support.changing import journal, now
from zoo_cli.packages.executor import run_step
from zoo_cli.packages.steps import Step
with journal(Path(sys.argv[1])).change(("zoo", "install", "tiny"), now) as lock:
    def kill_us(line):
        print(line, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    step = Step((sys.executable, "-uc", "import os, time; print(os.getpid()); time.sleep(60)"))
    run_step(step, kill_us, held=(lock,))
"""
    child = subprocess.Popen([sys.executable, "-c", code, str(environment), str(ROOT)], stdout=subprocess.PIPE)
    with child:
        yield child


def test_an_installer_that_outlives_zoo_keeps_the_lock(environment: Path, orphan: subprocess.Popen[bytes]) -> None:
    assert orphan.stdout is not None
    installer = int(orphan.stdout.readline())
    assert orphan.wait(timeout=30) == -signal.SIGKILL
    assert journal(environment).unfinished() is None
    with pytest.raises(EnvironmentBusy):
        journal(environment).recover()
    os.kill(installer, signal.SIGKILL)
    for _ in range(100):
        if cut_off := journal(environment).unfinished():
            break
        subprocess.run(["sleep", "0.05"], check=True)
    assert cut_off is not None
    journal(environment).recover()
