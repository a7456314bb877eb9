"""Reads what an ELF shared library says about itself: machine, libraries and symbols it needs, symbols it offers.

Pure: gets an open, seekable binary file. Only `struct`; 64-bit little-endian files, as every wheel of interest has.
Every offset, size and count is checked against the file and a limit before it is used. Standards: System V gABI
(sections, dynamic section), GNU symbol versioning (`.gnu.version_r`), Itanium C++ ABI (name mangling).
"""

from __future__ import annotations

import re
import struct
from typing import IO, TYPE_CHECKING, NamedTuple

from zoo_cli.trust.bounded import BadBinary, Reader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_SECTIONS = 100_000
_MACHINES = {3: "i686", 40: "armv7l", 62: "x86_64", 183: "aarch64", 243: "riscv64", 21: "ppc64le", 22: "s390x"}
_DYNAMIC, _DYNSYM, _VERDEF, _VERNEED, _NOBITS = 6, 11, 0x6FFFFFFD, 0x6FFFFFFE, 8
_TORCH_NAMESPACE = re.compile(r"_Z(?:T[ISV])?N[KVrRO]*(?:3c10|2at|5torch|6caffe2)")


class Elf(NamedTuple):
    """One shared library. Weak undefined symbols are not counted as needed."""

    machine: str  # "x86_64", or "machine-<number>"
    needed: tuple[str, ...]  # DT_NEEDED: libraries it asks for
    soname: str | None
    undefined: frozenset[str]  # symbols it needs
    defined: frozenset[str]  # symbols it offers
    versions: frozenset[str]  # symbol versions it needs, such as GLIBC_2.34
    offered_versions: frozenset[str] = frozenset()  # symbol versions it has, such as GLIBCXX_3.4.30 in libstdc++

    @property
    def glibc(self) -> str | None:
        """The lowest glibc that has every symbol it needs, such as "2.34"."""
        return newest_version(self.versions, "GLIBC")

    @property
    def glibcxx(self) -> str | None:
        """The symbol version that its libstdc++ must have, such as "3.4.30"."""
        return newest_version(self.versions, "GLIBCXX")

    @property
    def cuda_major(self) -> int | None:
        """The CUDA major it was linked with: 12 of `libcudart.so.12` or `libcudart.so.11.0`."""
        for name in self.needed:
            if hit := re.match(r"lib(?:cudart|cublas|cublasLt)\.so\.(\d+)", name):
                return int(hit[1])
        return None

    @property
    def needs_cuda(self) -> bool:
        """Whether it cannot be loaded beside a CPU build of torch."""
        return any(re.match(r"lib(cudart|torch_cuda|c10_cuda)", name) for name in self.needed)

    @property
    def torch_symbols(self) -> frozenset[str]:
        """The symbols it needs from torch's own namespaces (c10, at, torch, caffe2)."""
        return torch_symbols(self.undefined)

    @property
    def cxx11_abi(self) -> bool | None:
        """Which std::string the torch it was compiled for has; None when no symbol tells."""
        if any("__cxx11" in symbol for symbol in self.torch_symbols):
            return True
        return False if any(symbol.endswith("Ss") for symbol in self.torch_symbols) else None


def torch_symbols(symbols: Iterable[str]) -> frozenset[str]:
    """Those of the symbols that are of torch's own namespaces (c10, at, torch, caffe2)."""
    return frozenset(filter(_TORCH_NAMESPACE.match, symbols))


def newest_version(versions: Iterable[str], family: str) -> str | None:
    """The highest of the symbol versions of a family: "2.34" of GLIBC_2.17 and GLIBC_2.34; None without any."""
    form = re.compile(rf"{family}_(\d{{1,9}}(?:\.\d{{1,9}})+)")
    found = [tuple(map(int, hit[1].split("."))) for hit in map(form.fullmatch, versions) if hit]
    return ".".join(map(str, max(found))) if found else None


class _Section(NamedTuple):
    name: int  # place in the table of section names
    kind: int
    offset: int
    size: int
    link: int
    entry_size: int


def read_elf(stream: IO[bytes]) -> Elf:
    """What a shared library says about itself.

    Raises:
        BadBinary: it is not a 64-bit little-endian ELF file, or its tables make no sense.
    """
    reader = Reader(stream)
    header = _header(reader)
    (machine,) = struct.unpack_from("<H", header, 18)
    sections = _sections(reader, header)
    needed, soname = _dynamic(reader, sections)
    undefined, defined = _symbols(reader, sections)
    versions = frozenset(_needed_versions(reader, sections))
    name = _MACHINES.get(machine, f"machine-{machine}")
    return Elf(name, needed, soname, undefined, defined, versions, frozenset(_offered_versions(reader, sections)))


def find_sections(reader: Reader, names: Iterable[bytes]) -> list[tuple[bytes, int, int]]:
    """The sections of these names: (name, offset in the file, size in bytes), in the order of the file.

    Raises:
        BadBinary: it is not a 64-bit little-endian ELF file, or its section table makes no sense.
    """
    header = _header(reader)
    sections = _sections(reader, header)
    (index,) = struct.unpack_from("<H", header, 62)
    if index >= len(sections):
        raise BadBinary("no names of sections")
    texts = reader.bytes_at(sections[index].offset, sections[index].size)
    wanted = set(names)
    found = []
    for section in sections:
        name = texts[section.name : section.name + 64].partition(b"\0")[0]
        if name in wanted and section.kind != _NOBITS:
            found.append((name, section.offset, section.size))
    return found


def _header(reader: Reader) -> bytes:
    if reader.size < 64:
        raise BadBinary("shorter than an ELF header")
    header = reader.bytes_at(0, 64)
    if header[:4] != b"\x7fELF":
        raise BadBinary("no ELF file")
    if header[4:6] != b"\x02\x01":
        raise BadBinary("not 64-bit little-endian")
    return header


def _sections(reader: Reader, header: bytes) -> list[_Section]:
    (start,) = struct.unpack_from("<Q", header, 40)
    entry_size, count = struct.unpack_from("<HH", header, 58)
    if not start or not count:
        raise BadBinary("no section table")
    if entry_size != 64 or count > MAX_SECTIONS:
        raise BadBinary("a section table of unknown form")
    table = reader.bytes_at(start, entry_size * count)
    found = []
    for index in range(count):
        name, kind, _flags, _address, offset, size, link, _info, _align, entry = struct.unpack_from(
            "<IIQQQQIIQQ", table, index * 64
        )
        found.append(_Section(name, kind, offset, size, link, entry))
    return found


def _with_strings(reader: Reader, sections: list[_Section], kind: int) -> Iterator[tuple[bytes, bytes]]:
    """Each section of a kind with the string table it links to."""
    for section in sections:
        if section.kind == kind:
            if section.link >= len(sections) or sections[section.link].kind == _NOBITS:
                raise BadBinary("a table without its strings")
            strings = sections[section.link]
            yield reader.bytes_at(section.offset, section.size), reader.bytes_at(strings.offset, strings.size)


def _text(strings: bytes, offset: int) -> str:
    end = strings.find(b"\0", offset)
    if not 0 <= offset < len(strings) or end < 0:
        raise BadBinary("a name outside its string table")
    return strings[offset : min(end, offset + 100_000)].decode("utf-8", "replace")


def _dynamic(reader: Reader, sections: list[_Section]) -> tuple[tuple[str, ...], str | None]:
    needed: list[str] = []
    soname = None
    for data, strings in _with_strings(reader, sections, _DYNAMIC):
        for tag, value in struct.iter_unpack("<qQ", data[: len(data) // 16 * 16]):
            if tag == 0:
                break
            if tag == 1:
                needed.append(_text(strings, value))
            elif tag == 14:
                soname = _text(strings, value)
    return tuple(needed), soname


def _symbols(reader: Reader, sections: list[_Section]) -> tuple[frozenset[str], frozenset[str]]:
    undefined: set[str] = set()
    defined: set[str] = set()
    for data, strings in _with_strings(reader, sections, _DYNSYM):
        for name, info, _other, place, _value, _size in struct.iter_unpack("<IBBHQQ", data[: len(data) // 24 * 24]):
            binding = info >> 4
            if not name or binding == 0:  # local
                continue
            if place:
                defined.add(_text(strings, name))
            elif binding != 2:  # weak: may stay undefined
                undefined.add(_text(strings, name))
    return frozenset(undefined), frozenset(defined)


def _needed_versions(reader: Reader, sections: list[_Section]) -> Iterator[str]:
    """Walks `.gnu.version_r`: a chain of libraries, each with a chain of version names."""
    for data, strings in _with_strings(reader, sections, _VERNEED):
        offset, steps = 0, 0
        while steps < 10_000 and offset + 16 <= len(data):
            _version, count, _file, first, following = struct.unpack_from("<HHIII", data, offset)
            entry = offset + first
            for _ in range(min(count, 10_000)):
                if entry + 16 > len(data):
                    raise BadBinary("a version entry outside its section")
                _hash, _flags, _index, name, ahead = struct.unpack_from("<IHHII", data, entry)
                yield _text(strings, name)
                entry += ahead
            if not following:
                break
            offset, steps = offset + following, steps + 1


def _offered_versions(reader: Reader, sections: list[_Section]) -> Iterator[str]:
    """Walks `.gnu.version_d`: a chain of versions, each with its own name first."""
    for data, strings in _with_strings(reader, sections, _VERDEF):
        offset, steps = 0, 0
        while steps < 10_000 and offset + 20 <= len(data):
            first, following = struct.unpack_from("<II", data, offset + 12)
            if offset + first + 4 > len(data):
                raise BadBinary("a version entry outside its section")
            yield _text(strings, struct.unpack_from("<I", data, offset + first)[0])
            if not following:
                break
            offset, steps = offset + following, steps + 1
