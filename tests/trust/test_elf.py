"""Compiled libraries: what the system's own tools say of them, and what is survived."""

from __future__ import annotations

import io
import platform
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.libraries import compile_library
from zoo_cli.packages.evidence import evidence_of
from zoo_cli.packages.extensions import read_libraries_of_torch, read_library
from zoo_cli.trust.bounded import BadBinary
from zoo_cli.trust.elf import Elf, read_elf

TORCH = """
#include <string>
namespace c10 { void fail(const char *, const std::string &) {} }
namespace c10 { struct Device { virtual ~Device(); int kind; }; Device::~Device() {} }
namespace at { int size(int n) { return n; } }
"""
OPS = """
#include <string>
#include <cstdio>
namespace c10 { void fail(const char *, const std::string &); }
namespace at { int size(int n); }
extern "C" int PyInit__ext() { puts("x"); c10::fail("x", std::string("y")); return at::size(3); }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elf")


@pytest.fixture(scope="module")
def library(folder: Path) -> Path:
    """An "extension" linked with a stand-in for torch."""
    torch = compile_library(folder / "torch" / "lib", "libc10.so", TORCH, "-Wl,-soname,libc10.so")
    return compile_library(folder, "_ext.so", OPS, str(torch))


def read(path: Path) -> Elf:
    with path.open("rb") as stream:
        return read_elf(stream)


def unresolved(extension: Path, torch: Path) -> tuple[str, ...]:
    return evidence_of("ops", [(extension.name, read_library(extension))], read_libraries_of_torch(torch)).unresolved


def nm(path: Path, which: str) -> set[str]:
    """Dynamic symbols as binutils see them, without versions."""
    lines = subprocess.run(
        ("nm", "-D", which, str(path)), capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return {line.split()[-1].split("@")[0] for line in lines if line.split()[-2] not in ("w", "v")}


def test_symbols_are_those_nm_shows(library: Path) -> None:
    elf = read(library)
    assert elf.undefined == nm(library, "--undefined-only")
    assert nm(library, "--defined-only") <= elf.defined
    assert "PyInit__ext" in elf.defined


def test_libraries_are_those_readelf_shows(library: Path) -> None:
    text = subprocess.run(("readelf", "-dV", str(library)), capture_output=True, text=True, check=True).stdout
    elf = read(library)
    for name in elf.needed:
        assert f"Shared library: [{name}]" in text
    assert text.count("(NEEDED)") == len(elf.needed)
    assert elf.versions
    assert all(version in text for version in elf.versions)
    assert read(library.parent / "torch" / "lib" / "libc10.so").soname == "libc10.so"


def test_what_is_concluded(library: Path) -> None:
    elf = read(library)
    assert elf.machine == platform.machine()
    assert elf.cxx11_abi is True
    assert elf.cuda_major is None
    assert not elf.needs_cuda
    assert {"_ZN2at4sizeEi"} < elf.torch_symbols
    assert elf.glibc is not None
    assert tuple(map(int, elf.glibc.split("."))) <= tuple(map(int, platform.libc_ver()[1].split(".")))


def test_the_old_string_abi_is_seen(folder: Path) -> None:
    old = compile_library(folder / "old", "_ext.so", "#define _GLIBCXX_USE_CXX11_ABI 0\n" + OPS)
    assert read(old).cxx11_abi is False
    assert unresolved(old, folder / "torch") == ("_ZN3c104failEPKcRKSs",)


def test_a_library_that_asks_for_cuda(folder: Path) -> None:
    compile_library(folder / "cuda", "libcudart.so.12", "", "-Wl,-soname,libcudart.so.12")
    compile_library(folder / "cuda", "libtorch_cuda.so", "", "-Wl,-soname,libtorch_cuda.so")
    words = ("-Wl,--no-as-needed", str(folder / "cuda" / "libcudart.so.12"), str(folder / "cuda" / "libtorch_cuda.so"))
    elf = read(compile_library(folder, "_cuda.so", "int x;", *words))
    assert elf.cuda_major == 12
    assert elf.needs_cuda


def test_a_match_leaves_nothing_unresolved(library: Path) -> None:
    assert unresolved(library, library.parent / "torch") == ()


def test_another_torch_is_proved_wrong(library: Path, tmp_path: Path) -> None:
    compile_library(
        tmp_path / "lib", "libc10.so", TORCH.replace("size(int n)", "size(long n)"), "-Wl,-soname,libc10.so"
    )
    assert unresolved(library, tmp_path) == ("_ZN2at4sizeEi",)


def test_unknown_libraries_prove_nothing(library: Path, folder: Path, tmp_path: Path) -> None:
    """What torch lacks, a library of the project's own may have."""
    other = compile_library(folder / "more", "libmore.so", "int more;", "-Wl,-soname,libmore.so")
    library = compile_library(folder, "_two.so", OPS, "-Wl,--no-as-needed", str(other))
    compile_library(tmp_path / "lib", "libc10.so", "", "-Wl,-soname,libc10.so")
    assert unresolved(library, tmp_path) == ()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"MZ",
        b"\x7fELF",
        b"\x7fELF\x01\x01" + bytes(80),
        b"\x7fELF\x02\x02" + bytes(80),
        b"\x7fELF\x02\x01" + bytes(80),
    ],
)
def test_other_files(data: bytes) -> None:
    with pytest.raises(BadBinary):
        read_elf(io.BytesIO(data))


def test_huge_claims_are_not_believed(library: Path) -> None:
    """Section sizes beyond the file: refused before memory is asked for."""
    data = bytearray(library.read_bytes())
    (start,) = struct.unpack_from("<Q", data, 40)
    (count,) = struct.unpack_from("<H", data, 60)
    for index in range(count):
        struct.pack_into("<Q", data, start + index * 64 + 32, 1 << 60)
    with pytest.raises(BadBinary):
        read_elf(io.BytesIO(bytes(data)))


@given(st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=30), st.integers(0, 1 << 20))
def test_damage_gives_a_value_or_one_error(library: Path, changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(library.read_bytes())
    (table,) = struct.unpack_from("<Q", data, 40)
    for number, (place, value) in enumerate(changes):
        base = table if number % 2 else 0  # half of the damage hits the section table
        data[(base + place) % len(data)] = value
    try:
        elf = read_elf(io.BytesIO(bytes(data[: cut or None])))
    except BadBinary as error:
        assert error.reason
    else:
        assert isinstance(elf.cxx11_abi, bool | None)
