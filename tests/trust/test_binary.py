"""Compiled libraries of every system: processors, libraries, CUDA code; damage is a value, never a crash."""

from __future__ import annotations

import io
import platform
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fatbins import LZ4, PTX, SASS, SPECIFIC, ZSTANDARD, container, library_with
from tests.support.libraries import compile_library
from zoo_cli.trust.binary import Binary, read_binary
from zoo_cli.trust.bounded import BadBinary, Reader
from zoo_cli.trust.fatbin import DeviceCode, merged, read_code

AMPERE = [(SASS, 70, 0), (SASS, 86, LZ4), (PTX, 86, LZ4)]
HOPPER = [(SASS, 70, 0), (SASS, 90, SPECIFIC)]


def read(data: bytes) -> Binary:
    return read_binary(io.BytesIO(data))


def code_of(data: bytes, name: bytes = b".nv_fatbin") -> DeviceCode | None:
    return read_code(Reader(io.BytesIO(data)), [(name, 0, len(data))])


def test_targets_are_written_as_published_lists_write_them() -> None:
    code = code_of(container(AMPERE))
    assert code is not None
    assert (code.targets, code.everywhere, code.compression) == (("7.0", "8.6+PTX"), ("7.0", "8.6+PTX"), ("lz4",))


def test_each_compiled_file_is_a_part() -> None:
    code = code_of(container(AMPERE) + bytes(24) + container(HOPPER) + container([(PTX, 120, ZSTANDARD)], header=80))
    assert code is not None
    assert (code.parts, code.sass, code.ptx) == (3, (("7.0", 2), ("8.6", 1), ("9.0a", 1)), (("8.6", 1), ("12.0", 1)))
    assert code.targets == ("7.0", "8.6+PTX", "9.0a", "compute_120")
    assert code.everywhere == ()
    assert merged([code, code]).sass == (("7.0", 4), ("8.6", 2), ("9.0a", 2))


def test_kinds_that_are_neither_do_not_count() -> None:
    code = code_of(container([(8, 90, 0), (SASS, 80, 0)]))  # 8: the linker's intermediate code
    assert code is not None
    assert code.targets == ("8.0",)


def test_sections_of_a_real_library(tmp_path: Path) -> None:
    path = library_with(tmp_path, {".nv_fatbin": container(AMPERE), "__nv_relfatbin": container(HOPPER)})
    with path.open("rb") as stream:
        found = read_binary(stream)
    assert found.machines == (platform.machine(),)
    assert found.code is not None
    assert found.code.is_relocatable
    assert found.code.targets == ("7.0", "8.6+PTX", "9.0a")
    assert found.elf is not None


def test_a_library_without_cuda_code(tmp_path: Path) -> None:
    with compile_library(tmp_path, "_ext.so", "int x;").open("rb") as stream:
        assert read_binary(stream).code is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (container(AMPERE)[:-8], "outside its section"),
        (struct.pack("<IHHQ", 0xBA55ED50, 1, 16, 1 << 60), "outside its section"),
        (struct.pack("<IHHQ", 0xBA55ED50, 1, 4, 0) + bytes(64), "outside its section"),
        (container([(SASS, 0, 0)]), "architecture 0"),
        (container([(SASS, 2**31, 0)]), "architecture"),
        (struct.pack("<IHHQ", 0xBA55ED50, 1, 16, 64) + struct.pack("<HHIQ", 2, 1, 0, 0).ljust(64, b"\0"), "outside"),
    ],
)
def test_containers_that_lie(data: bytes, reason: str) -> None:
    with pytest.raises(BadBinary) as caught:
        code_of(data)
    assert reason in caught.value.reason


def test_a_long_section_without_a_container_takes_no_time() -> None:
    assert code_of(bytes(64 << 20)) is None


def test_a_container_across_two_reads_is_found() -> None:
    for shift in range(0, 24, 8):
        code = code_of(bytes((1 << 20) - shift) + container(AMPERE))
        assert code is not None
        assert code.targets == ("7.0", "8.6+PTX")


# -- Windows ---------------------------------------------------------------------------------------------------------


def pe(machine: int = 0x8664, names: tuple[str, ...] = ("c10.dll",), cuda: bytes = b"") -> bytes:
    """A PE file: headers of 1024 bytes, then the import table, then CUDA code."""
    table = bytearray()
    texts = b""
    start = 0x1000 + 20 * (len(names) + 1)
    for name in names:
        table += struct.pack("<12xII", start + len(texts), 1)
        texts += name.encode() + b"\0"
    imports = (bytes(table) + bytes(20) + texts).ljust(512, b"\0")
    optional = struct.pack("<H106xI8xII", 0x20B, 16, 0x1000, len(imports)).ljust(240, b"\0")
    sections = struct.pack("<8sIIII16x", b".rdata", len(imports), 0x1000, len(imports), 1024)
    sections += struct.pack("<8sIIII16x", b".nv_fatb", len(cuda), 0x2000, len(cuda), 1024 + len(imports))
    head = b"MZ" + bytes(58) + struct.pack("<I", 64)
    head += struct.pack("<4sHH12xHH", b"PE\0\0", machine, 2, len(optional), 0x2022) + optional + sections
    return head.ljust(1024, b"\0") + imports + cuda


def test_a_windows_library() -> None:
    found = read(pe(names=("c10.dll", "torch_cuda.dll"), cuda=container(AMPERE)))
    assert (found.kind, found.machines, found.needed) == ("pe", ("amd64",), ("c10.dll", "torch_cuda.dll"))
    assert found.code is not None
    assert found.code.targets == ("7.0", "8.6+PTX")
    assert read(pe(0xAA64)).machines == ("arm64",)


# -- macOS -----------------------------------------------------------------------------------------------------------


def macho(processor: int = 0x0100000C, libraries: tuple[str, ...] = ("@rpath/libc10.dylib",)) -> bytes:
    """A thin Mach-O library with load commands only."""
    commands = b""
    for name in libraries:
        text = name.encode() + b"\0"
        text += bytes(-len(text) % 8)
        commands += struct.pack("<III12x", 0xC, 24 + len(text), 24) + text
    return struct.pack("<4sI8xII8x", b"\xcf\xfa\xed\xfe", processor, len(libraries), len(commands)) + commands


def fat(*parts: bytes) -> bytes:
    offset, table, body = 4096, b"", b""
    for part in parts:
        table += struct.pack(">IIIII", 0, 0, offset + len(body), len(part), 0)
        body += part
    return (b"\xca\xfe\xba\xbe" + struct.pack(">I", len(parts)) + table).ljust(offset, b"\0") + body


def test_macos_libraries() -> None:
    assert read(macho()) == Binary("mach-o", ("arm64",), ("@rpath/libc10.dylib",))
    both = read(fat(macho(0x01000007), macho()))
    assert (both.machines, both.needed) == (("arm64", "x86_64"), ("@rpath/libc10.dylib",))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"MZ",
        b"MZ" + bytes(100),
        b"\xca\xfe\xba\xbe" + struct.pack(">I", 52) + bytes(100),  # a Java class
        b"\xcf\xfa\xed\xfe",
        macho()[:40],
        pe()[:200],
        b"#!/bin/sh\n",
        b"\x7fELF\x01\x01\x01" + bytes(90),
    ],
)
def test_what_cannot_be_read_is_told(data: bytes) -> None:
    assert read(data).problem


def _samples(folder: Path) -> list[bytes]:
    elf = library_with(folder, {".nv_fatbin": container(AMPERE), "__nv_relfatbin": container(HOPPER)}).read_bytes()
    return [elf, pe(cuda=container(AMPERE)), macho(), fat(macho(), macho(0x01000007))]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return _samples(tmp_path_factory.mktemp("samples"))


@given(
    which=st.integers(0, 3),
    changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=12),
    cut=st.integers(0, 1 << 14),
)
def test_damage_is_a_value(samples: list[bytes], which: int, changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(samples[which])
    for place, value in changes:
        data[place % min(len(data), 2048)] = value
    found = read(bytes(data[: cut or None]))
    assert found.kind in ("elf", "pe", "mach-o", "unknown")
    assert found.code is None or found.code.parts > 0


@given(st.binary(max_size=400), st.binary(max_size=40))
def test_any_bytes_as_cuda_code(junk: bytes, tail: bytes) -> None:
    for data in (junk, container(AMPERE) + junk, container(AMPERE, tail) + tail):
        try:
            code = code_of(data)
        except BadBinary as error:
            assert error.reason
        else:
            assert code is None or all(count <= code.parts for _name, count in (*code.sass, *code.ptx))
