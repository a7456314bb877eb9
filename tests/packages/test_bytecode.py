"""Byte code put beside sources before an import: the right one, from nobody else, and what an import would make."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.packages.test_smoke import GOOD, fill
from zoo_cli.packages.bytecode import FOLDER, Bytecode
from zoo_cli.packages.smoke import check_ops

VERSION = platform.python_version()
IMPORTS = ("mmcv", "mmdet")
FILES = {**GOOD, "mmdet/__init__.py": "answer = 1\n", "mmdet/apis.py": ""}
FOLLOWED = {"torch", "mmcv/__init__", "mmcv/ops", "mmdet/__init__", "mmdet/apis"}
ALL = FOLLOWED | {"mmcv/_ext"}  # which the check imports by its name


class House(NamedTuple):
    """A cache and a state directory, and environments beside them."""

    folder: Path

    def environment(self, name: str, **changes: str) -> str:
        """An environment with the stand-in stack; files whose names begin with `changes` have another text."""
        place = self.folder / name
        subprocess.run((sys.executable, "-m", "venv", "--without-pip", str(place)), check=True)
        return fill(place, {path: changes.get(path.split("/")[0], text) for path, text in FILES.items()})

    def check(self, python: str) -> bool:
        return check_ops(python, IMPORTS, version=VERSION).is_ok

    def put(self, python: str) -> int:
        return Bytecode(python, VERSION, IMPORTS).put()

    def compile(self, python: str, names: set[str]) -> None:
        """Compiles ahead of a check that takes as long as that, and learns what it imported."""
        bytecode, site = Bytecode(python, VERSION, IMPORTS), site_of(python)
        with bytecode.compiled_ahead():
            wait_for(lambda: compiled(python) == names)
        bytecode.learn(map(str, site.rglob("*.py")))

    @property
    def record(self) -> Path:
        (place,) = (self.folder / "cache" / FOLDER).iterdir()
        return place


def wait_for(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def site_of(python: str) -> Path:
    return next(Path(python).parent.parent.glob("lib/python*/site-packages"))


def compiled(python: str) -> set[str]:
    site = site_of(python)
    found = (path.relative_to(site).as_posix().split(".")[0] for path in site.rglob("*.pyc"))
    return {path.replace("__pycache__/", "") for path in found}


def answer(python: str, *flags: str) -> tuple[str, bool]:
    """What mmdet says when it is imported, and whether its byte code was taken as it stands."""
    code = "import mmdet; print(mmdet.answer)"
    done = subprocess.run((python, "-B", "-v", *flags, "-c", code), capture_output=True, text=True, check=True)
    return done.stdout.strip(), "mmdet" in "".join(line for line in done.stderr.splitlines() if "matches" in line)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """One whose first check has been: what it imported is kept."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ZOO_STATE", str(tmp_path / "state"))
    house = House(tmp_path)
    first = house.environment("first")
    assert house.put(first) == 0, "nothing is known"
    house.compile(first, FOLLOWED)
    assert house.check(first)
    return house


def test_the_first_environment_is_compiled_by_what_its_sources_import(house: House) -> None:
    """The fixture waited for exactly these; what no source names is compiled by the import."""
    first = str(house.folder / "first/bin/python")
    assert compiled(first) == ALL
    assert answer(first) == ("1", True)


def test_the_second_environment_gets_it_written_and_the_rest_compiled(house: House) -> None:
    second, third = house.environment("second"), house.environment("third")
    assert compiled(second) == set()
    assert house.put(second) == 6, "mmcv/_ext.py is empty like others whose code is kept"
    assert house.put(third) == 6
    for python in (second, third):
        assert compiled(python) == ALL
        assert answer(python) == ("1", True)
        assert house.check(python)


def test_what_changed_since_is_compiled_ahead_with_what_it_imports(house: House) -> None:
    second = house.environment("second", mmdet="import torch, mmdet.fresh\nanswer = 3\n")
    fill(house.folder / "second", {"mmdet/fresh.py": "fresh = 1\n", "mmdet/unused.py": "unused = 1\n"})
    assert house.put(second) == 4
    house.compile(second, ALL | {"mmdet/fresh"})
    third = house.environment("third", mmdet="import torch, mmdet.fresh\nanswer = 3\n")
    fill(house.folder / "third", {"mmdet/fresh.py": "fresh = 1\n"})
    assert house.put(third) == 7
    assert answer(third) == ("3", True)


def test_nothing_is_started_where_everything_is_compiled(house: House) -> None:
    second = house.environment("second")
    house.put(second)
    before = threading.active_count()
    with Bytecode(second, VERSION, IMPORTS).compiled_ahead():
        assert threading.active_count() == before


def test_compiling_ends_with_the_check(house: House) -> None:
    """Also where it fails in between, and with thousands of modules still to come."""
    second = house.environment("second", mmdet="from mmdet import " + ", ".join(f"m{n}" for n in range(500)))
    fill(house.folder / "second", {f"mmdet/m{n}.py": f"answer = {n}\n" * 3000 for n in range(500)})
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt), Bytecode(second, VERSION, IMPORTS).compiled_ahead():
        wait_for(lambda: "mmdet/m0" in compiled(second))
        raise KeyboardInterrupt
    assert threading.active_count() == before
    there = compiled(second)
    assert "mmdet/m499" not in there
    assert not list(site_of(second).rglob("*.zoo-new"))


def test_another_source_of_the_same_size_and_time_has_its_own_code(house: House) -> None:
    house.put(house.environment("second"))
    third = house.environment("third", mmdet="answer = 2\n")
    source = next(Path(third).parent.parent.glob("lib/python*/site-packages/mmdet/__init__.py"))
    twin = next((house.folder / "second").glob("lib/python*/site-packages/mmdet/__init__.py"))
    os.utime(source, ns=(twin.stat().st_mtime_ns, twin.stat().st_mtime_ns))
    assert house.put(third) == 4
    assert compiled(third) == ALL - {"mmdet/__init__", "mmdet/apis"}
    house.compile(third, ALL)
    assert answer(third) == ("2", True)


def test_what_a_package_puts_beside_sources_stays_in_its_environment(house: House) -> None:
    """Neither byte code that stands in an environment, nor code that runs when its Python starts, gets any further."""
    text = {"mmdet/__init__.py": "import torch\nanswer = 4\n"}
    second = house.environment("second")
    fill(house.folder / "second", text)
    site = site_of(second)
    (site / "evil.pth").write_text(f"import sys; open({str(house.folder / 'ran')!r}, 'w')\n")
    cached = site / "mmdet/__pycache__" / f"__init__.{sys.implementation.cache_tag}.pyc"
    cached.parent.mkdir()
    first = next((house.folder / "first").glob("lib/python*/site-packages/torch.py"))
    cached.write_bytes(next(first.parent.glob("__pycache__/torch*.pyc")).read_bytes())
    before = cached.read_bytes()
    house.put(second)
    house.compile(second, ALL)
    assert not (house.folder / "ran").exists()
    assert cached.read_bytes() == before, "what is there stays"
    third = house.environment("third")
    fill(house.folder / "third", text)
    assert house.put(third) == 5, "what stood beside the source was not kept"
    house.compile(third, ALL)
    assert answer(third) == ("4", True)


def test_names_outside_of_the_environment_are_not_learned(house: House) -> None:
    second = house.environment("second")
    outside = house.folder / "site-packages/other.py"
    outside.parent.mkdir()
    outside.write_text("")
    prefix = Path(second).parent.parent
    lies = [str(outside), f"{prefix}/../site-packages/other.py", f"{prefix}/bin/python", f"{prefix}/notes.py", "", "\0"]
    Bytecode(second, VERSION, ("lies",)).learn([*lies, str(prefix / "lib/site-packages/torch.py")])
    house.put(second)
    Bytecode(second, VERSION, ("lies",)).put()
    assert not (outside.parent / "__pycache__").exists()
    assert Bytecode(second, VERSION, ("lies",))._kept.names == ("lib/site-packages/torch.py",)


def test_a_record_of_somebody_else_is_not_there(house: House) -> None:
    house.put(house.environment("second"))
    record = house.record.read_bytes()
    house.record.write_bytes(record[:-1] + bytes([record[-1] ^ 1]))
    third = house.environment("third")
    assert house.put(third) == 0
    assert compiled(third) == set(), "not even the names count"
    assert house.check(third)


def test_what_cannot_be_compiled_or_written_is_left_to_the_import(house: House) -> None:
    second = house.environment("second", mmdet="answer = (\n")
    assert house.put(second) == 4
    assert not house.check(second)
    assert "mmdet/apis" not in compiled(second)
    nowhere = Bytecode(str(house.folder / "nowhere/bin/python"), VERSION, ("new",))
    assert nowhere.put() == 0
    with nowhere.compiled_ahead():
        pass
