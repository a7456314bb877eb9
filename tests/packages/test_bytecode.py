"""Byte code put beside sources before an import: the right one, from nobody else, and what an import would make."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.packages.test_smoke import GOOD, fill
from zoo_cli.packages.bytecode import FOLDER, Bytecode
from zoo_cli.packages.smoke import check_ops

VERSION = platform.python_version()
IMPORTS = ("mmcv", "mmdet")
FILES = {**GOOD, "mmdet/__init__.py": "answer = 1\n", "mmdet/apis.py": ""}


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

    @property
    def record(self) -> Path:
        (place,) = (self.folder / "cache" / FOLDER).iterdir()
        return place


def compiled(python: str) -> set[str]:
    site = next(Path(python).parent.parent.glob("lib/python*/site-packages"))
    return {path.name.split(".")[0] for path in site.rglob("*.pyc")}


def answer(python: str, *flags: str) -> tuple[str, bool]:
    """What mmdet says when it is imported, and whether its byte code was taken as it stands."""
    code = "import mmdet; print(mmdet.answer)"
    done = subprocess.run((python, "-B", "-v", *flags, "-c", code), capture_output=True, text=True, check=True)
    return done.stdout.strip(), "mmdet" in "".join(line for line in done.stderr.splitlines() if "matches" in line)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """One whose first check has been: the modules are known, and none is kept."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ZOO_STATE", str(tmp_path / "state"))
    house = House(tmp_path)
    first = house.environment("first")
    assert house.put(first) == 0, "nothing is known"
    assert house.check(first)
    return house


def test_the_second_environment_is_compiled_before_the_check_and_the_third_written(house: House) -> None:
    second, third = house.environment("second"), house.environment("third")
    assert compiled(second) == set()
    assert house.put(second) == 4, "three of the six files are empty"
    assert house.put(third) == 0, "all of it was kept"
    for python in (second, third):
        assert compiled(python) == {"torch", "__init__", "_ext", "ops", "apis"}
        assert answer(python) == ("1", True)
        assert house.check(python)


def test_another_source_of_the_same_size_and_time_has_its_own_code(house: House) -> None:
    house.put(house.environment("second"))
    third = house.environment("third", mmdet="answer = 2\n")
    source = next(Path(third).parent.parent.glob("lib/python*/site-packages/mmdet/__init__.py"))
    twin = next((house.folder / "second").glob("lib/python*/site-packages/mmdet/__init__.py"))
    os.utime(source, ns=(twin.stat().st_mtime_ns, twin.stat().st_mtime_ns))
    assert house.put(third) == 1
    assert answer(third) == ("2", True)


def test_what_a_package_puts_beside_sources_stays_in_its_environment(house: House) -> None:
    """Neither byte code that stands in an environment, nor code that runs when its Python starts, gets any further."""
    second = house.environment("second")
    site = next((house.folder / "second").glob("lib/python*/site-packages"))
    (site / "evil.pth").write_text(f"import sys; open({str(house.folder / 'ran')!r}, 'w')\n")
    cached = site / "mmdet/__pycache__" / f"__init__.{sys.implementation.cache_tag}.pyc"
    cached.parent.mkdir()
    first = next((house.folder / "first").glob("lib/python*/site-packages/torch.py"))
    cached.write_bytes(next(first.parent.glob("__pycache__/torch*.pyc")).read_bytes())
    before = cached.read_bytes()
    house.put(second)
    assert not (house.folder / "ran").exists()
    assert cached.read_bytes() == before, "what is there stays"
    third = house.environment("third")
    assert house.put(third) == 0, "mmdet's code was made of its source"
    assert answer(third) == ("1", True)


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
    assert house.put(second) == 3
    assert "apis" not in compiled(second)
    assert not house.check(second)
    assert Bytecode(str(house.folder / "nowhere/bin/python"), VERSION, IMPORTS).put() == 0
