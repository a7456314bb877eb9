"""Reads what a macOS library says of itself: for which processors it is, and which libraries it needs.

Pure: gets a bounded reader. Standard: Apple's Mach-O format (mach_header_64, load commands) and its fat files, which
hold one library for each processor ("universal2" wheels).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.trust.bounded import BadBinary

if TYPE_CHECKING:
    from zoo_cli.trust.bounded import Reader

THIN_MAGIC = b"\xcf\xfa\xed\xfe"  # 64-bit little-endian
FAT_MAGICS = {b"\xca\xfe\xba\xbe": struct.Struct(">IIIII"), b"\xca\xfe\xba\xbf": struct.Struct(">IIQQII")}
MAX_ARCHITECTURES = 32
MAX_COMMANDS = 100_000
_PROCESSORS = {0x01000007: "x86_64", 0x0100000C: "arm64", 7: "i386", 12: "arm"}
_LIBRARY_COMMANDS = {0xC, 0x80000018, 0x8000001F}  # LC_LOAD_DYLIB, _WEAK_, _REEXPORT_


class MachO(NamedTuple):
    """One macOS library."""

    machines: tuple[str, ...]  # "x86_64", "arm64" ...; several of a fat file
    needed: tuple[str, ...]  # paths of the libraries it asks for, each once


def read_macho(reader: Reader) -> MachO:
    """What a macOS library says of itself.

    Raises:
        BadBinary: it is none, or its tables make no sense.
    """
    magic = reader.bytes_at(0, 4)
    if magic == THIN_MAGIC:
        places = [0]
    elif magic in FAT_MAGICS:
        places = _fat(reader, FAT_MAGICS[magic])
    else:
        raise BadBinary("no Mach-O file")
    machines: list[str] = []
    needed: dict[str, None] = {}
    for place in places:
        machine, libraries = _thin(reader, place)
        machines.append(machine)
        needed |= dict.fromkeys(libraries)
    return MachO(tuple(sorted(machines)), tuple(needed))


def _fat(reader: Reader, entry: struct.Struct) -> list[int]:
    (count,) = struct.unpack(">I", reader.bytes_at(4, 4))
    if not 0 < count <= MAX_ARCHITECTURES:  # Java's class files begin alike
        raise BadBinary(f"a fat file of {count} processors")
    table = reader.bytes_at(8, count * entry.size)
    return [int(entry.unpack_from(table, index * entry.size)[2]) for index in range(count)]


def _thin(reader: Reader, place: int) -> tuple[str, list[str]]:
    magic, processor, count, size = struct.unpack("<4sI8xII8x", reader.bytes_at(place, 32))
    if magic != THIN_MAGIC:
        raise BadBinary("not 64-bit little-endian Mach-O")
    if count > MAX_COMMANDS:
        raise BadBinary("too many load commands")
    commands = reader.bytes_at(place + 32, size)
    needed, offset = [], 0
    for _ in range(count):
        if offset + 8 > len(commands):
            raise BadBinary("a load command outside its table")
        kind, length = struct.unpack_from("<II", commands, offset)
        if length < 8 or offset + length > len(commands):
            raise BadBinary("a load command outside its table")
        if kind in _LIBRARY_COMMANDS and length >= 24:
            (start,) = struct.unpack_from("<I", commands, offset + 8)
            name = commands[offset + start : offset + length] if start < length else b""
            needed.append(name.partition(b"\0")[0].decode("utf-8", "replace"))
        offset += length
    return _PROCESSORS.get(processor, f"processor-{processor}"), needed
