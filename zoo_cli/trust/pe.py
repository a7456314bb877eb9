"""Reads what a Windows library (.pyd, .dll) says of itself: processor, libraries it needs, where its CUDA code is.

Pure: gets a bounded reader. Standard: Microsoft's PE format (COFF header, optional header, sections, import table).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.trust.bounded import BadBinary

if TYPE_CHECKING:
    from zoo_cli.trust.bounded import Reader

MAX_LIBRARIES = 4096
_MACHINES = {0x8664: "amd64", 0xAA64: "arm64", 0x14C: "win32"}
_OPTIONAL_MAGIC = {0x10B: 92, 0x20B: 108}  # PE32, PE32+: where the number of data directories stands


class Pe(NamedTuple):
    """One Windows library."""

    machine: str  # "amd64", "arm64", "win32", or "machine-<number>"
    needed: tuple[str, ...]  # DLLs of its import table
    sections: tuple[tuple[bytes, int, int], ...]  # name, offset in the file, size in bytes


class _Section(NamedTuple):
    name: bytes
    address: int
    virtual_size: int
    offset: int
    size: int


def read_pe(reader: Reader) -> Pe:
    """What a Windows library says of itself.

    Raises:
        BadBinary: it is none, or its tables make no sense.
    """
    if reader.bytes_at(0, 2) != b"MZ":
        raise BadBinary("no PE file")
    (start,) = struct.unpack("<I", reader.bytes_at(60, 4))
    signature, machine, count, optional_size = struct.unpack("<4sHH12xH2x", reader.bytes_at(start, 24))
    if signature != b"PE\0\0":
        raise BadBinary("no PE file")
    table = reader.bytes_at(start + 24 + optional_size, count * 40)
    sections = [
        _Section(name.rstrip(b"\0"), address, virtual, offset, size)
        for name, virtual, address, size, offset in (
            struct.unpack_from("<8sIIII", table, index * 40) for index in range(count)
        )
    ]
    needed = _imports(reader, reader.bytes_at(start + 24, optional_size), sections)
    places = tuple((each.name, each.offset, each.size) for each in sections)
    return Pe(_MACHINES.get(machine, f"machine-{machine}"), needed, places)


def _imports(reader: Reader, optional: bytes, sections: list[_Section]) -> tuple[str, ...]:
    if len(optional) < 2 or (place := _OPTIONAL_MAGIC.get(struct.unpack_from("<H", optional)[0])) is None:
        raise BadBinary("an optional header of unknown form")
    if len(optional) < place + 20 or struct.unpack_from("<I", optional, place)[0] < 2:
        return ()
    (address,) = struct.unpack_from("<I", optional, place + 12)  # the second directory is the import table
    found: list[str] = []
    while address and len(found) < MAX_LIBRARIES:
        name, first = struct.unpack("<12xII", reader.bytes_at(_offset(address, sections), 20))
        if not name and not first:
            break
        found.append(reader.text_at(_offset(name, sections)))
        address += 20
    return tuple(found)


def _offset(address: int, sections: list[_Section]) -> int:
    """Where in the file an address of the loaded image stands."""
    for section in sections:
        if section.address <= address < section.address + max(section.virtual_size, section.size):
            return section.offset + address - section.address
    raise BadBinary("an import outside every section")
