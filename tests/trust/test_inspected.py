"""Remembered inspections: the same bytes are looked into once, and nothing but these bytes profits from it."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.fatbins import PTX, SASS, container
from tests.support.libraries import compile_library
from tests.support.wheels import Content, write_wheel
from zoo_cli.transfer.cache import give_up, read_items
from zoo_cli.trust.inspected import FOLDER, MAX_RECORDS, Inspections
from zoo_cli.trust.marked import KEY, own_key
from zoo_cli.trust.wheel import UnreadableWheel, inspect_wheel
from zoo_cli.trust.wheelreport import UnsoundWheel, WheelReport, require_sound

LINUX = "cp311-cp311-linux_x86_64"
OPS = 'namespace c10 { int size(int); } extern "C" void *PyInit__ext() { c10::size(1); return 0; }'
C10 = "namespace c10 { int size(int n) { return n; } } int of_nobody() { return 1; }"


class House(NamedTuple):
    """A user with a cache, a state directory and wheels."""

    folder: Path

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def records(self) -> list[Path]:
        return sorted((self.cache / FOLDER).glob("*"))

    def look(self, path: Path) -> WheelReport:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return Inspections(self.cache, self.state).report(path, digest)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def never_read(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From then on a wheel that is unpacked is a failure: only a record may answer."""

    def refuse(*_words: object) -> None:
        raise AssertionError("the wheel was read")

    return lambda: monkeypatch.setattr(zipfile, "ZipFile", refuse)


def torch_wheel(folder: Path) -> Path:
    """A library that offers a symbol of torch, one of nobody's, and CUDA code."""
    data = ",".join(map(str, container([(SASS, 70, 0), (PTX, 86, 0)])))
    code = C10 + f'\nextern "C" __attribute__((section(".nv_fatbin"), used)) const unsigned char d[] = {{{data}}};'
    library = compile_library(folder / "made", "libc10.so", code)
    ops = compile_library(folder / "made", "_C.so", OPS, str(library))
    files: dict[str, Content] = {"torch/lib/libc10.so": library.read_bytes(), "torch/_C.so": ops.read_bytes()}
    return write_wheel(folder, "torch", "2.6.0", LINUX, files=files, requires=("numpy",), requires_python=">=3.9")


def test_the_second_look_at_the_same_bytes_reads_nothing_and_tells_the_same(
    house: House, never_read: Callable[[], None]
) -> None:
    path = torch_wheel(house.folder)
    first, whole = house.look(path), inspect_wheel(path)
    never_read()
    assert house.look(path) == first
    library, ops = (each.elf for each in first.extensions)
    assert library and ops
    assert [symbol for symbol in library.defined if "size" in symbol] == sorted(library.defined), "those of torch alone"
    assert ops.undefined == ops.torch_symbols == whole.extensions[1].elf.torch_symbols  # type: ignore[union-attr]
    assert first.targets == whole.targets == ("7.0", "compute_86")
    assert replace(first, extensions=()) == replace(whole, extensions=())


def test_a_record_is_of_these_bytes_and_this_name(house: House) -> None:
    good = write_wheel(house.folder, files={"tiny/a.py": "x = 1\n"})
    require_sound(house.look(good))
    renamed = good.with_name("tiny-1.1-py3-none-any.whl")
    shutil.copy(good, renamed)
    with pytest.raises(UnsoundWheel):
        require_sound(house.look(renamed))
    write_wheel(house.folder, files={"tiny/a.py": "x = 2\n"}, record="tiny/a.py,sha256=AAAA,1\n")
    with pytest.raises(UnsoundWheel):
        require_sound(house.look(good))
    assert len(house.records) == 1, "what is refused is not remembered"


def test_other_bytes_than_were_verified_are_refused(house: House) -> None:
    path = write_wheel(house.folder)
    with pytest.raises(UnreadableWheel, match="changed"):
        Inspections(house.cache, house.state).report(path, "ab" * 32)
    assert house.records == []


def swapped(house: House, record: bytes) -> bytes:
    """A true record, of another wheel."""
    other = write_wheel(house.folder / "other", "other", "2.0")
    before = set(house.records)
    house.look(other)
    (new,) = set(house.records) - before
    return new.read_bytes()


def forged(house: House, record: bytes) -> bytes:
    """By somebody with a key of his own."""
    mallory = House(house.folder / "mallory")
    shutil.copytree(house.cache, mallory.cache)
    mallory.look(write_wheel(house.folder))
    (theirs,) = set(mallory.records) - {mallory.cache / FOLDER / each.name for each in house.records}
    return theirs.read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        lambda _house, record: b"",
        lambda _house, record: record[:-1],
        lambda _house, record: record[:40] + bytes([record[40] ^ 1]) + record[41:],
        lambda _house, record: bytes([record[0] ^ 1]) + record[1:],
        lambda _house, record: record + b"x" * (17 << 20),
        swapped,
        forged,
    ],
    ids=["empty", "cut", "content", "mark", "too-large", "of-another-wheel", "by-another-user"],
)
def test_a_record_that_is_not_ours_is_not_there(
    house: House, never_read: Callable[[], None], change: Callable[[House, bytes], bytes]
) -> None:
    path = write_wheel(house.folder)
    first = house.look(path)
    (place,) = house.records
    lie = change(house, place.read_bytes())
    place.write_bytes(lie)
    assert house.look(path) == first, "inspected again"
    assert place.read_bytes() != lie, "and remembered anew"
    never_read()
    assert house.look(path) == first


@pytest.mark.skipif(os.name != "posix", reason="modes")
def test_a_key_that_others_could_read_is_made_anew(house: House) -> None:
    path = write_wheel(house.folder)
    house.look(path)
    place = house.state / KEY
    assert place.stat().st_mode & 0o777 == 0o600
    before = own_key(house.state)
    place.chmod(0o640)
    assert own_key(house.state) != before
    assert place.stat().st_mode & 0o777 == 0o600
    place.write_bytes(b"short")
    assert len(own_key(house.state) or b"") == 32
    house.look(path)
    assert len(house.records) == 2, "the old record is nobody's now"


def test_without_a_place_for_records_wheels_are_inspected(house: House) -> None:
    house.cache.write_bytes(b"a file")
    house.state.write_bytes(b"a file")
    path = write_wheel(house.folder)
    assert house.look(path).name == "tiny"
    assert own_key(house.state) is None


def test_there_are_never_more_than_allowed_and_the_cache_knows_them(house: House) -> None:
    folder = house.cache / FOLDER
    folder.mkdir(parents=True)
    for number in range(MAX_RECORDS + 5):
        old = folder / f"{number:032x}"
        old.write_bytes(b"old")
        os.utime(old, (1000 + number, 1000 + number))
    house.look(write_wheel(house.folder))
    assert len(house.records) == MAX_RECORDS
    assert not (folder / f"{0:032x}").exists()
    items = read_items(house.cache)
    assert {item.kind for item in items} == {"inspected"}
    gone, stayed = give_up(items)
    assert (len(gone), stayed, house.records) == (MAX_RECORDS, [], [])
