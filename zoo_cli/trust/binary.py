"""One compiled library of any system, read as a file: what it is for, what it needs, which GPUs its CUDA code serves.

Pure: gets an open, seekable binary file; nothing is loaded or run. What cannot be read is told in `problem`, never
raised: a damaged library is a fact about a wheel or an environment.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, NamedTuple

from zoo_cli.trust.bounded import BadBinary, Reader

if TYPE_CHECKING:
    from zoo_cli.trust.elf import Elf
    from zoo_cli.trust.fatbin import DeviceCode


class Binary(NamedTuple):
    """A compiled library."""

    kind: str  # elf | pe | mach-o | unknown
    machines: tuple[str, ...] = ()  # processors: "x86_64", "aarch64", "amd64", "arm64" ...
    needed: tuple[str, ...] = ()  # libraries it asks for
    elf: Elf | None = None  # symbols; only of Linux libraries
    code: DeviceCode | None = None  # CUDA code
    problem: str = ""  # why it could not be read (further)


def kind_of(magic: bytes) -> str:
    """The form of a file by its first four bytes."""
    if magic == b"\x7fELF":
        return "elf"
    if magic[:2] == b"MZ":
        return "pe"
    return "mach-o" if magic in (b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf") else "unknown"


def read_binary(stream: IO[bytes]) -> Binary:
    """What a compiled library is; `problem` tells what could not be read."""
    reader = Reader(stream)
    kind = kind_of(reader.some_at(0, 4))
    found = Binary(kind)
    try:
        if kind == "elf":
            found = _elf(stream)
            return found._replace(code=_elf_code(reader))
        if kind == "pe":
            return _pe(reader)
        if kind == "mach-o":
            return _macho(reader)
    except BadBinary as error:
        return found._replace(problem=error.reason)
    return found._replace(problem="not a compiled library of Linux, Windows or macOS")


def _elf(stream: IO[bytes]) -> Binary:
    from zoo_cli.trust.elf import read_elf

    elf = read_elf(stream)
    return Binary("elf", (elf.machine,), elf.needed, elf)


def _elf_code(reader: Reader) -> DeviceCode | None:
    from zoo_cli.trust.elf import find_sections
    from zoo_cli.trust.fatbin import ELF_SECTIONS, read_code

    places = find_sections(reader, ELF_SECTIONS)
    return read_code(reader, places) if places else None


def _pe(reader: Reader) -> Binary:
    from zoo_cli.trust.fatbin import PE_SECTIONS, read_code
    from zoo_cli.trust.pe import read_pe

    pe = read_pe(reader)
    places = [each for each in pe.sections if each[0] in PE_SECTIONS]
    code = read_code(reader, places) if places else None
    return Binary("pe", (pe.machine,), pe.needed, code=code)


def _macho(reader: Reader) -> Binary:
    from zoo_cli.trust.macho import read_macho

    found = read_macho(reader)
    return Binary("mach-o", found.machines, found.needed)
