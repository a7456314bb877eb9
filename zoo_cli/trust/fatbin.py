"""CUDA code inside a compiled library: for which GPUs it was compiled, as machine code (SASS) and as PTX.

Pure: gets a bounded reader and the places of the sections. NVIDIA's compiler puts a container ("fatbin") for each
compiled file into `.nv_fatbin`, and into `__nv_relfatbin` where the code is linked later (relocatable device code; the
driver links it, too). A container is a header of 16 bytes and entries, each with a header that names kind,
architecture, flags and size; so the list is read without unpacking what is compressed (LZ4 up to CUDA 12, Zstandard
from 13). The layout is not documented by NVIDIA: it is that of `fatbinary_section.h` and of the entries found in
real wheels (tests/trust/test_real_wheels.py), CUDA 9 to 13. Bit 20 of the flags marks architecture-specific code
(`sm_90a`), as the published targets of xformers' FlashAttention 3 show.
"""

from __future__ import annotations

import struct
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo_cli.trust.bounded import BadBinary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from zoo_cli.trust.bounded import Reader

ELF_SECTIONS = (b".nv_fatbin", b"__nv_relfatbin")
PE_SECTIONS = (b".nv_fatb", b"__nv_rel")  # PE cuts names at eight letters
MAX_ENTRIES = 1_000_000  # libtorch_cuda.so has some ten thousand

_MAGIC = struct.pack("<I", 0xBA55ED50)
_CONTAINER = struct.Struct("<4sHHQ")  # magic, version, size of this header, size of what follows
_ENTRY = struct.Struct("<HHIQIIHHIIIQ")
_PTX, _SASS = 1, 2
_LZ4, _ZSTANDARD, _SPECIFIC = 0x2000, 0x8000, 0x100000
_STEP = 1 << 20


class DeviceCode(NamedTuple):
    """The CUDA code of one library. Each count says in how many of the `parts` (compiled files) a target is."""

    parts: int
    sass: tuple[tuple[str, int], ...]  # ("8.6", 35), ("9.0a", 3) ..., ascending
    ptx: tuple[tuple[str, int], ...]
    compression: tuple[str, ...]  # of any entry: "lz4", "zstandard"
    is_relocatable: bool  # some of it is linked by the driver

    @property
    def targets(self) -> tuple[str, ...]:
        """Every target as published lists write them: "8.0", "9.0a", "9.0+PTX"; "compute_90" for PTX alone."""
        sass, ptx = dict(self.sass), dict(self.ptx)
        both = [f"{each}+PTX" if each in ptx else each for each in sass]
        alone = [f"compute_{each.replace('.', '')}" for each in ptx if each not in sass]
        return (*both, *alone)

    @property
    def everywhere(self) -> tuple[str, ...]:
        """The targets that every part has, written alike."""
        whole = {name for name, count in (*self.sass, *self.ptx) if count >= self.parts}
        return tuple(each for each in self.targets if _plain(each) in whole)


def _plain(target: str) -> str:
    number = target.removeprefix("compute_").removesuffix("+PTX")
    return number if "." in number else f"{number[:-1]}.{number[-1]}"


class _Entry(NamedTuple):
    kind: int
    architecture: int  # 86 for sm_86, 120 for sm_120
    flags: int


def read_code(reader: Reader, sections: Iterable[tuple[bytes, int, int]]) -> DeviceCode | None:
    """The CUDA code in these sections (name, offset, size); None when there is none.

    Raises:
        BadBinary: an entry lies outside its section, or there are too many.
    """
    parts = 0
    counts: dict[int, Counter[str]] = {_PTX: Counter(), _SASS: Counter()}
    compression: set[str] = set()
    is_relocatable = False
    for name, offset, size in sections:
        for entries in _containers(reader, offset, size):
            parts += 1
            is_relocatable |= name in (ELF_SECTIONS[1], PE_SECTIONS[1])
            for kind, found in counts.items():
                found.update({_target(entry) for entry in entries if entry.kind == kind})
            compression |= {"lz4" for entry in entries if entry.flags & _LZ4}
            compression |= {"zstandard" for entry in entries if entry.flags & _ZSTANDARD}
    if not parts:
        return None
    return DeviceCode(parts, _sorted(counts[_SASS]), _sorted(counts[_PTX]), tuple(sorted(compression)), is_relocatable)


def code_from(values: Sequence[Any]) -> DeviceCode:
    """The code of a library again, from what JSON makes of it.

    Raises:
        TypeError, ValueError: It is of another form.
    """
    parts, sass, ptx, compression, is_relocatable = values
    pairs = [tuple((str(name), int(count)) for name, count in each) for each in (sass, ptx)]
    return DeviceCode(int(parts), pairs[0], pairs[1], tuple(map(str, compression)), bool(is_relocatable))


def merged(codes: Iterable[DeviceCode]) -> DeviceCode:
    """The code of several libraries as if it were one."""
    total = DeviceCode(0, (), (), (), is_relocatable=False)
    for code in codes:
        total = DeviceCode(
            total.parts + code.parts,
            _sorted(Counter(dict(total.sass)) + Counter(dict(code.sass))),
            _sorted(Counter(dict(total.ptx)) + Counter(dict(code.ptx))),
            tuple(sorted({*total.compression, *code.compression})),
            total.is_relocatable or code.is_relocatable,
        )
    return total


def _sorted(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda pair: (float(pair[0].rstrip("a")), pair[0])))


def _target(entry: _Entry) -> str:
    text = f"{entry.architecture // 10}.{entry.architecture % 10}"
    return text + ("a" if entry.flags & _SPECIFIC else "")


def _containers(reader: Reader, offset: int, size: int) -> Iterator[list[_Entry]]:
    """The entries of each container in a section; what stands between containers is passed over."""
    if size < 0 or offset + size > reader.size:
        raise BadBinary("CUDA code lies outside the file")
    end, entries = offset + size, 0
    while (start := _find(reader, offset, end)) is not None:
        _magic, _version, header, length = _CONTAINER.unpack(reader.bytes_at(start, _CONTAINER.size))
        if header < _CONTAINER.size or start + header + length > end:
            raise BadBinary("a container of CUDA code lies outside its section")
        found = list(_entries(reader, start + header, start + header + length, MAX_ENTRIES - entries))
        entries += len(found)
        yield found
        offset = start + header + length


def _find(reader: Reader, offset: int, end: int) -> int | None:
    """Where the next container begins; containers are aligned to eight bytes."""
    while offset + _CONTAINER.size <= end:
        chunk = reader.some_at(offset, min(_STEP, end - offset))
        place = chunk.find(_MAGIC)
        if place >= 0 and offset + place + _CONTAINER.size <= end:
            return offset + place
        offset += len(chunk) - len(_MAGIC) + 1  # the magic may stand across two chunks
    return None


def _entries(reader: Reader, offset: int, end: int, most: int) -> Iterator[_Entry]:
    while offset + _ENTRY.size <= end:
        if not most:
            raise BadBinary(f"more than {MAX_ENTRIES} entries of CUDA code")
        most -= 1
        kind, _version, header, size, *_rest, architecture, _name, _length, flags = _ENTRY.unpack(
            reader.bytes_at(offset, _ENTRY.size)
        )
        if header < _ENTRY.size or offset + header + size > end:
            raise BadBinary("an entry of CUDA code lies outside its container")
        if kind in (_PTX, _SASS):
            if not 10 <= architecture < 1000:
                raise BadBinary(f"CUDA code for an architecture {architecture}")
            yield _Entry(kind, architecture, flags)
        offset += header + size
