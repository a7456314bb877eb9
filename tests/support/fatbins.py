"""CUDA code containers for tests, laid out as NVIDIA's compiler does, around payloads that are none."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from tests.support.libraries import compile_library

PTX, SASS = 1, 2
LZ4, ZSTANDARD, SPECIFIC = 0x2000, 0x8000, 0x100000
Entry = tuple[int, int, int]  # kind, architecture (86), flags


def container(entries: Sequence[Entry], payload: bytes = b"code", header: int = 64) -> bytes:
    """One fatbin: a header and an entry for each (kind, architecture, flags)."""
    body = b""
    for kind, architecture, flags in entries:
        padded = payload + bytes(-len(payload) % 8)
        fields = (kind, 0x101, header, len(padded), len(payload), 0, 1, 7, architecture, 0, 0, flags | 0x11)
        body += struct.pack("<HHIQIIHHIIIQ", *fields).ljust(header, b"\0") + padded
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


def library_with(directory: Path, sections: dict[str, bytes], name: str = "_ext.so", code: str = "int x;") -> Path:
    """A real shared library with these sections."""
    lines = [code]
    for number, (section, data) in enumerate(sections.items()):
        attribute = f'__attribute__((section("{section}"), used))'
        lines.append(f'extern "C" {attribute} const unsigned char d{number}[] = {{{",".join(map(str, data))}}};')
    return compile_library(directory, name, "\n".join(lines))
