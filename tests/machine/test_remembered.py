"""An interpreter is asked once: and again as soon as anything its answer depends on has changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from zoo_cli.machine.interpreter import read_interpreter
from zoo_cli.machine.remembered import interpreter_identity, recall, remember

ENVIRON = {"PATH": "/usr/bin:/bin", "HOME": "/nowhere"}


@pytest.fixture
def python(tmp_path: Path) -> Path:
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")), check=True)
    return tmp_path / "env/bin/python"


def kept(cache: Path) -> list[Path]:
    return sorted((cache / "interpreters").glob("*.json"))


def test_the_second_time_nobody_is_asked(python: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = read_interpreter(python, environ=ENVIRON, cache=cache)
    (file,) = kept(cache)
    told = json.loads(file.read_text())
    told["facts"]["version"] = "3.99.0"  # only a kept answer can say this
    file.write_text(json.dumps(told))
    assert first.version != "3.99.0"
    assert read_interpreter(python, environ=ENVIRON, cache=cache).version == "3.99.0"
    assert read_interpreter(python, environ=ENVIRON).version == first.version


@pytest.mark.parametrize("change", ["pyvenv.cfg", "home", "damage", "nonsense"])
def test_asked_again_after_a_change(python: Path, tmp_path: Path, change: str) -> None:
    cache = tmp_path / "cache"
    first = read_interpreter(python, environ=ENVIRON, cache=cache)
    (file,) = kept(cache)
    told = json.loads(file.read_text())
    told["facts"]["version"] = 3 if change == "nonsense" else "3.99.0"
    file.write_text("{" if change == "damage" else json.dumps(told))
    environ = {**ENVIRON, "HOME": "/elsewhere"} if change == "home" else ENVIRON
    if change == "pyvenv.cfg":
        with (tmp_path / "env/pyvenv.cfg").open("a") as settings:
            settings.write("prompt = other\n")
    assert read_interpreter(python, environ=environ, cache=cache) == first


def test_what_is_installed_is_always_read_anew(python: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert read_interpreter(python, environ=ENVIRON, cache=cache).distributions == ()
    info = next((tmp_path / "env").glob("lib/python*/site-packages")) / "tiny-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: tiny\nVersion: 1.0\n")
    assert [each.name for each in read_interpreter(python, environ=ENVIRON, cache=cache).distributions] == ["tiny"]


def test_a_script_is_never_remembered(tmp_path: Path) -> None:
    shim = tmp_path / "python"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    shim.chmod(0o755)
    assert interpreter_identity(shim, "?", ENVIRON) is None
    read_interpreter(shim, environ=ENVIRON, cache=tmp_path / "cache")
    assert kept(tmp_path / "cache") == []


def test_a_cache_that_cannot_be_written_is_no_fault(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    identity: list[object] = ["/usr/bin/python3", 1]
    remember(blocked / "x.json", identity, {"version": "3.11.0"})
    assert recall(blocked / "x.json", identity) is None


def test_an_answer_may_grow_too_old(tmp_path: Path) -> None:
    place = tmp_path / "x.json"
    remember(place, ["a"], {"n": 1})
    assert recall(place, ["a"], 60) == {"n": 1}
    assert recall(place, ["b"], 60) is None
    os.utime(place, (1, 1))
    assert recall(place, ["a"], 60) is None
    assert recall(place, ["a"]) == {"n": 1}
