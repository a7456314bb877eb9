"""Locks on files, with real processes that hold them."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from zoo_cli import filelock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HOLD = """
import sys
from pathlib import Path
from zoo_cli import filelock
with filelock.hold(Path(sys.argv[1]), "process 7: zoo install 한국"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def _another(path: Path) -> Iterator[subprocess.Popen[str]]:
    argv = (sys.executable, "-c", _HOLD, str(path))
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_who_has_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with _another(path), pytest.raises(filelock.HeldElsewhere) as caught, filelock.hold(path):
        raise AssertionError("two hold it")
    assert caught.value.holder == "process 7: zoo install 한국"


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    path, told = tmp_path / "lock", []
    with _another(path) as process:

        def waiting() -> None:
            told.append("waiting")
            process.kill()

        with filelock.hold(path, "me", wait_seconds=30, waiting=waiting):
            assert path.read_text() == "me"
    assert told == ["waiting"]


def test_a_child_that_inherits_it_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with filelock.hold(path) as fd:
        child = subprocess.Popen((sys.executable, "-c", "input()"), stdin=subprocess.PIPE, pass_fds=(fd,))
    with child:
        with pytest.raises(filelock.HeldElsewhere), filelock.hold(path):
            raise AssertionError("two hold it")
        child.kill()
    with filelock.hold(path):
        pass


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "lock").symlink_to("theirs")
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)), filelock.hold(tmp_path / "lock"):
        raise AssertionError("a link was followed")
    assert (tmp_path / "theirs").read_text() == "theirs"


def test_a_file_system_without_locks_keeps_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_fd: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with filelock.hold(tmp_path / "lock") as fd:
        assert os.fstat(fd).st_size == 0
