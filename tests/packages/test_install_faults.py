"""A whole `zoo install` under every fault: afterwards the environment is as before or as planned, byte for byte.

Each fault is a row: what is done to the world, and how the command must end. Kills fall between any two file operations
of zoo, of uv and of the ops check, counted by `tests.support.faults`.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.changing import content
from tests.support.cli import Ran, environment, zoo
from tests.support.faults import Faults
from tests.support.places import Place, decoy_place
from tests.support.server import Cut, Status, WrongBytes
from tests.support.wheels import write_wheel
from zoo_cli.machine.interpreter import read_interpreter
from zoo_cli.packages.executor import find_uv
from zoo_cli.packages.journal import EnvironmentBusy, Journal, journal_of

WRONG = {"mmcv/ops/__init__.py": "def nms(*_, **__): return None, [0]\n", "mmcv/__init__.py": ""}


@dataclass
class World:
    """One environment with torch, and everything around it that a fault may touch."""

    place: Place
    home: Path

    @property
    def prefix(self) -> Path:
        return self.home / "env"

    @property
    def python(self) -> Path:
        return self.prefix / "bin/python"

    @property
    def wheel(self) -> str:
        """The path of the right wheel on the server."""
        name = next(self.place.root.glob("site/mmcv/dist/cpu/torch2.6.0/mmcv-2.1.0-*.whl")).name
        return f"/mmcv/dist/cpu/torch2.6.0/{name}"

    def argv(self, *words: str) -> list[str]:
        place = ("--python", str(self.python), "--find-links", self.place.page)
        return [sys.executable, "-m", "zoo_cli", "install", "mmdet", *place, *words]

    def environ(self, **more: str) -> dict[str, str]:
        return environment(self.home, **{**self.place.variables, **more})

    def install(self, *words: str, **more: str) -> Ran:
        argv = self.argv(*words)
        done = subprocess.run(
            argv, env=self.environ(**more), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def undo(self) -> Ran:
        return zoo(self.home, "undo", "--python", self.python, "--yes")

    def journal(self) -> Journal:
        return journal_of(read_interpreter(self.python, environ=dict(os.environ)))

    def uv_that(self, script: str) -> str:
        """A PATH whose uv first does something else; `$SITE` is the target's site-packages, `$UV` the real one."""
        folder = self.home / "path"
        folder.mkdir(exist_ok=True)
        site = next(self.prefix.glob("lib/python3*/site-packages"))
        (folder / "uv").write_text(f"#!/bin/sh\nSITE={site}\nUV={find_uv()}\n{script}\n")
        (folder / "uv").chmod(0o755)
        return f"{folder}:{os.environ['PATH']}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with decoy_place(tmp_path_factory.mktemp("faults")) as made:
        made.environment("template")
        yield made


@pytest.fixture
def world(place: Place, tmp_path: Path) -> Iterator[World]:
    shutil.copytree(place.root / "template", tmp_path / "env", symlinks=True)
    yield World(place, tmp_path)
    place.server.behave()


# --- what the world does; each returns variables for the command


def corrupt_on_the_way(world: World) -> dict[str, str]:
    world.place.server.always(world.wheel, WrongBytes(at=900))
    return {}


def corrupt_after_inspection(world: World) -> dict[str, str]:
    """Somebody writes into the cache between zoo's look and uv's."""
    script = f'for f in $(find {world.home}/cache -name "mmcv*.whl"); do printf X | dd of=$f bs=1 seek=900 conv=notrunc'
    return {"PATH": world.uv_that(f'{script} 2>/dev/null; done\nexec $UV "$@"')}


def another_wheel_after_inspection(world: World) -> dict[str, str]:
    """The same, with a wheel that is whole and not the one that was looked into."""
    other = write_wheel(world.home / "other", "mmcv", "2.1.0", Path(world.wheel).stem.split("-", 2)[2], files=WRONG)
    script = f'for f in $(find {world.home}/cache -name "mmcv*.whl"); do rm $f; cp {other} $f; done'
    return {"PATH": world.uv_that(f'{script}\nexec $UV "$@"')}


def child_killed(world: World) -> dict[str, str]:
    return {"PATH": world.uv_that('"$UV" "$@"\nrm -r $SITE/torch/lib\nkill -9 $$')}


def child_fails_after_its_work(world: World) -> dict[str, str]:
    return {"PATH": world.uv_that('"$UV" "$@"\nrm $SITE/torch/__init__.py\necho "error: no more" >&2\nexit 3')}


def index_dies(world: World) -> dict[str, str]:
    world.place.server.misbehave("/simple/mmdet/", *[Status(500)] * 9)
    return {}


def index_dies_later(world: World) -> dict[str, str]:
    """What is planned is there; what it needs is not."""
    world.place.server.misbehave("/simple/setuptools/", *[Status(500)] * 9)
    return {"UV_CACHE_DIR": str(world.home / "cold")}


def no_installer(world: World) -> dict[str, str]:
    site = next(world.prefix.glob("lib/python3*/site-packages"))
    (site / "sitecustomize.py").write_text("import sys\nsys.modules['ensurepip'] = None\n")
    return {"ZOO_INSTALLER": "pip"}


def ops_are_wrong(world: World) -> dict[str, str]:
    """What uv installs is damaged before the ops are run."""
    return {
        "PATH": world.uv_that(
            '"$UV" "$@" || exit\necho "def nms(*_, **__): return None, [0]" > $SITE/mmcv/ops/__init__.py'
        )
    }


def ops_crash(world: World) -> dict[str, str]:
    code = "import os; os.kill(os.getpid(), 11)"
    return {"PATH": world.uv_that(f'"$UV" "$@" || exit\necho "{code}" > $SITE/mmcv/ops/__init__.py')}


def no_room_for_the_journal(world: World) -> dict[str, str]:
    (world.prefix / ".zoo").mkdir()
    (world.prefix / ".zoo/before").write_text("a file where a directory must be")
    return {}


class Fault(NamedTuple):
    """What is done to the world, and what the command must say."""

    arrange: Callable[[World], dict[str, str]]
    exit_code: int
    says: str


FAULTS = (
    Fault(corrupt_on_the_way, 6, "error[un"),
    Fault(corrupt_after_inspection, 1, "error[step-failed]"),
    Fault(child_killed, 1, "ended by signal 9"),
    Fault(another_wheel_after_inspection, 1, "error[step-failed]"),
    Fault(child_fails_after_its_work, 1, "no more"),
    Fault(index_dies, 5, "error[http-status]"),
    Fault(index_dies_later, 1, "error[step-failed]"),
    Fault(no_installer, 4, "error[no-installer]"),
    Fault(ops_are_wrong, 4, "error[ops-broken]"),
    Fault(ops_crash, 4, "SIGSEGV"),
    Fault(no_room_for_the_journal, 4, "error[journal-failed]"),
)
EVERYDAY = (corrupt_after_inspection, child_killed)


def rows() -> list[object]:
    def marks(fault: Fault) -> list[pytest.MarkDecorator]:
        return [] if fault.arrange in EVERYDAY else [pytest.mark.slow]

    return [pytest.param(fault, id=fault.arrange.__name__, marks=marks(fault)) for fault in FAULTS]


@pytest.mark.parametrize("fault", rows())
def test_after_a_fault_all_is_as_before(world: World, fault: Fault) -> None:
    variables = fault.arrange(world)
    before = content(world.prefix)
    ran = world.install(**variables)
    assert ran.code == fault.exit_code, ran.err
    assert fault.says in ran.err
    assert "Traceback" not in ran.err
    assert content(world.prefix) == before
    assert world.journal().unfinished() is None
    if fault.arrange is child_fails_after_its_work:  # the whole log is there to be looked at
        (log,) = re.findall(r"cat (\S+)", ran.err)
        assert "error: no more" in Path(log).read_text()


@pytest.mark.slow
def test_a_transfer_that_breaks_off_goes_on_and_undo_returns(world: World) -> None:
    before = content(world.prefix)
    world.place.server.misbehave(world.wheel, Cut(after=1000), Cut(after=500))
    ran = world.install()
    assert ran.code == 0, ran.err
    assert world.undo().code == 0
    assert content(world.prefix) == before


@pytest.mark.slow
def test_where_hard_links_are_refused_everything_is_copied(world: World) -> None:
    before = content(world.prefix)
    faults = Faults(world.home / "fault", world.home)
    done = faults.run(world.argv(), world.environ(), refuse_links=True)
    assert done.returncode == 0, done.stderr
    assert world.undo().code == 0
    assert content(world.prefix) == before


SLOW = pytest.mark.slow


@pytest.mark.parametrize("name", ["SIGTERM", pytest.param("SIGINT", marks=SLOW), pytest.param("SIGHUP", marks=SLOW)])
def test_a_signal_ends_the_child_and_brings_back_what_was(world: World, name: str) -> None:
    before = content(world.prefix)
    mark = world.home / "pid"
    path = world.uv_that(f"rm $SITE/torch/__init__.py\necho $$ > {mark}.new\nmv {mark}.new {mark}\nexec sleep 60")
    heard = ["env", "--default-signal", *world.argv()]  # a background job of a shell, and its children, may ignore them
    child = subprocess.Popen(heard, env=world.environ(PATH=path), stderr=subprocess.PIPE, text=True)
    with child:
        for _ in range(600):
            if mark.exists():
                break
            time.sleep(0.05)
        child.send_signal(getattr(signal, name))
        _out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert "The environment is as it was before." in err
    assert content(world.prefix) == before
    assert not Path(f"/proc/{mark.read_text().strip()}/cmdline").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str, int], Path]]:
    """Makes a file system of so many kilobytes."""
    made = []

    def make(name: str, kilobytes: int) -> Path:
        place = tmp_path / name
        place.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", place], capture_output=True)
        if done.returncode:
            pytest.skip("file systems cannot be mounted here")
        made.append(place)
        return place

    yield make
    for place in made:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("room", [0, 8, 40])
def test_a_disk_that_is_full(place: Place, tmp_path: Path, small_disk: Callable[[str, int], Path], room: int) -> None:
    """An environment on a file system with little room left: whatever fails, nothing is changed."""
    small_disk("env", 4000)
    shutil.copytree(place.root / "template", tmp_path / "env", symlinks=True, dirs_exist_ok=True)
    world = World(place, tmp_path)
    before = content(world.prefix)
    free = shutil.disk_usage(world.prefix).free
    (tmp_path / "env/.zoo").mkdir()
    (tmp_path / "env/.zoo/filler").write_bytes(b"x" * max(0, free - 4096 - room * 1024))
    ran = world.install()
    assert ran.code in (1, 4), ran.err
    assert re.search(r"error\[(step-failed|journal-failed)\]", ran.err), ran.err
    assert content(world.prefix) == before
    (tmp_path / "env/.zoo/filler").unlink()
    again = world.install()
    assert again.code == 0, again.err
    assert world.undo().code == 0
    assert content(world.prefix) == before


@pytest.mark.slow
def test_a_cache_on_another_file_system_that_is_full(world: World, small_disk: Callable[[str, int], Path]) -> None:
    cache = small_disk("elsewhere", 80_000)
    before = content(world.prefix)
    (cache / "filler").write_bytes(b"x" * 79_996 * 1024)
    ran = world.install(ZOO_CACHE=str(cache / "zoo"))
    assert ran.code != 0
    assert "Traceback" not in ran.err
    assert content(world.prefix) == before
    (cache / "filler").unlink()
    ran = world.install(ZOO_CACHE=str(cache / "zoo"))
    assert ran.code == 0, ran.err
    assert world.undo().code == 0
    assert content(world.prefix) == before


def comparable(prefix: Path) -> dict[str, object]:
    """The content without what two equal installs differ in: compiled modules, and uv's note of a file's time."""
    found: dict[str, object] = {}
    for name, (kind, mode, data) in content(prefix).items():
        if "__pycache__" in name or name.endswith("uv_cache.json"):
            continue
        if name.endswith("RECORD") and isinstance(data, bytes):
            data = b"\n".join(line for line in data.splitlines() if b"uv_cache.json" not in line)
        found[name] = (kind, mode, data)
    return found


class Ordeal:
    """One world, killed again and again from the same beginning."""

    def __init__(self, world: World) -> None:
        self.world, self.faults = world, Faults(world.home / "fault", world.home)
        shutil.copytree(world.prefix, world.home.parent / f"{world.home.name}-original", symlinks=True)
        self.before = content(world.prefix)
        done = self.faults.run(world.argv(), world.environ())
        assert done.returncode == 0, done.stderr
        self.operations, self.after = self.faults.count, comparable(world.prefix)

    def begin_anew(self) -> None:
        for name in ("env", "cache", "state"):
            shutil.rmtree(self.world.home / name, ignore_errors=True)
        shutil.copytree(self.world.home.parent / f"{self.world.home.name}-original", self.world.prefix, symlinks=True)

    def kill(self, number: int, *, only_root: bool = False) -> str:
        """How it stands after a kill before that operation: before | after; over, when it came to its end before that.

        Two runs need not have the same number of operations: modules are compiled while others are imported.
        """
        self.begin_anew()
        done = self.faults.run(self.world.argv(), self.world.environ(), kill_at=number, only_root=only_root)
        journal = self.world.journal()
        for _ in range(200):
            with suppress(EnvironmentBusy):  # a child that lives on holds the lock
                journal.recover()
                break
            time.sleep(0.05)
        assert journal.unfinished() is None
        there = content(self.world.prefix)
        if there == self.before:
            return "before"
        assert comparable(self.world.prefix) == self.after, f"killed at operation {number} of {self.operations}"
        return "after" if done.returncode else "over"


def test_kills_here_and_there(world: World) -> None:
    ordeal = Ordeal(world)
    assert ordeal.operations > 100
    ends = [ordeal.kill(number) for number in (ordeal.operations // 2, ordeal.operations - 1)]
    assert set(ends) <= {"before", "after", "over"}
    ran = world.install()
    assert ran.code == 0, ran.err
    assert comparable(world.prefix) == ordeal.after


@pytest.mark.ordeal
@pytest.mark.parametrize("only_root", [False, True])
def test_a_kill_between_any_two_file_operations(world: World, only_root: bool) -> None:
    """zoo, or zoo and the child that was at work: environment, cache and state are counted."""
    ordeal = Ordeal(world)
    kills = (ordeal.kill(number, only_root=only_root) for number in itertools.count(1))
    ends = list(itertools.takewhile(lambda end: end != "over", kills))
    assert ends[0] == "before"
    assert {"before", "after"} == set(ends)
    told = f"{len(ends)} operations, {ends.count('before')} before, {ends.count('after')} after"
    sys.stdout.write(told + "\n")
    ran = world.install()
    assert ran.code == 0, ran.err
    assert world.undo().code == 0
