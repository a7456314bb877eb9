"""The zip archives of torch.save, read by one strict grammar, so that no two readers see two files.

Pure: gets an open, seekable binary file. Members are stored one after the other from offset 0 without a gap, the
central directory follows, then its end records, then nothing. Local and central headers agree; no compression, no
encryption, no name twice. References: APPNOTE 6.3.10; `caffe2/serialize/inline_container.cc` of torch.
"""

from __future__ import annotations

import struct
import zlib
from typing import IO, Any, NamedTuple

from zoo_cli.trust.archive import collisions, name_problem
from zoo_cli.trust.values import Malformed

LOCAL = b"PK\x03\x04"
MAX_MEMBERS = 100_000
MAX_DIRECTORY = 64 << 20  # bytes of the central directory
MAX_PICKLE = 256 << 20
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_HAS_DESCRIPTOR, _UTF8 = 0x0008, 0x0800
_ZIP64, _PADDING = 0x0001, 0x4246  # "FB": torch aligns tensors with it
_FULL = 0xFFFFFFFF
_VERSION = 45  # of the format, which has zip64; torch writes 0


class Member(NamedTuple):
    """One stored file of the archive."""

    name: str
    size_bytes: int
    crc: int
    at: int  # offset of the local header
    raw_name: bytes
    flags: int


class Directory(NamedTuple):
    """The members by their place, and where the central directory begins."""

    members: tuple[Member, ...]
    begins: int


def first_member(beginning: bytes) -> tuple[str, int] | None:
    """Name and offset of the data of the first member, as far as the beginning of a file tells; None: not yet."""
    if len(beginning) < _LOCAL.size:
        return None
    name_length, extra_length = _LOCAL.unpack_from(beginning)[-2:]
    begins = _LOCAL.size + name_length + extra_length
    name = beginning[_LOCAL.size : _LOCAL.size + name_length]
    return (name.decode("utf-8", "replace"), begins) if len(beginning) > begins else None


def read_directory(file: IO[bytes], size_bytes: int) -> Directory:
    """The central directory.

    Raises:
        Malformed: It breaks the grammar above.
    """
    count, length, begins = _find_directory(file, size_bytes)
    if count > MAX_MEMBERS or length > MAX_DIRECTORY:
        raise Malformed(f"a zip archive with more than {MAX_MEMBERS} members")
    file.seek(begins)
    data = file.read(length)
    members, at = [], 0
    for _ in range(count):
        member, at = _central(data, at)
        members.append(member)
    if at != len(data):
        raise Malformed("the central directory has more than its members")
    _check_names(members)
    if any(member.at + member.size_bytes > begins for member in members):
        raise Malformed("a member that lies outside of the file")
    return Directory(tuple(sorted(members, key=lambda member: member.at)), begins)


def _find_directory(file: IO[bytes], size_bytes: int) -> tuple[int, int, int]:
    """Count, length and offset of the directory, from the end records, which must be the last bytes."""
    tail_size = min(size_bytes, _END.size + _LOCATOR.size + _END64.size)
    file.seek(size_bytes - tail_size)
    tail = file.read(tail_size)
    if len(tail) < _END.size or tail[-_END.size :][:4] != b"PK\x05\x06":
        raise Malformed("it does not end with the end record of a zip archive: cut off, or something follows it")
    _sign, disk, first_disk, here, count, length, begins, comment = _END.unpack(tail[-_END.size :])
    if disk or first_disk or here != count or comment:
        raise Malformed("a zip archive of several parts, or with a comment")
    ends = size_bytes - _END.size
    if tail[-_END.size - _LOCATOR.size :][:4] == b"PK\x06\x07":
        if len(tail) < tail_size or tail[:4] != b"PK\x06\x06" or tail_size < _END.size + _LOCATOR.size + _END64.size:
            raise Malformed("end records of a zip64 archive that do not follow each other")
        ends = size_bytes - tail_size
        _check_locator(tail, ends)
        count, length, begins = _wide(tail, count, length, begins)
    if begins + length != ends:
        raise Malformed("bytes between the parts of a zip archive, or two directories")
    return count, length, begins


def _check_locator(tail: bytes, ends: int) -> None:
    _sign, disk, place, disks = _LOCATOR.unpack_from(tail, _END64.size)
    if disk or disks > 1 or place != ends:
        raise Malformed("a zip64 archive whose end records point elsewhere")


def _wide(tail: bytes, count: int, length: int, begins: int) -> tuple[int, int, int]:
    _sign, size, _made, _needed, disk, first, here, total, wide_length, wide_begins = _END64.unpack_from(tail)
    if size != _END64.size - 12 or disk or first or here != total:
        raise Malformed("a zip64 archive of several parts")
    for narrow, full, wide in ((count, 0xFFFF, total), (length, _FULL, wide_length), (begins, _FULL, wide_begins)):
        if narrow not in (full, wide):
            raise Malformed("two end records of a zip archive that contradict each other")
    return total, wide_length, wide_begins


def _central(data: bytes, at: int) -> tuple[Member, int]:
    if len(data) - at < _CENTRAL.size:
        raise Malformed("the central directory is cut off")
    sign, _made, needed, flags, method, _time, _date, crc, packed, size, *lengths, _internal, _external, place = (
        _CENTRAL.unpack_from(data, at)
    )
    name_length, extra_length, comment, disk = lengths
    raw_name = data[at + _CENTRAL.size :][:name_length]
    extra = data[at + _CENTRAL.size + name_length :][:extra_length]
    if sign != b"PK\x01\x02" or len(raw_name) != name_length or len(extra) != extra_length:
        raise Malformed("the central directory is broken")
    wide = _extra(extra)
    if size == _FULL:
        size, wide = _next(wide)
    if packed == _FULL:
        packed, wide = _next(wide)
    if place == _FULL:
        place, wide = _next(wide)
    _check_flags(needed, flags, method, raw_name)
    if wide or comment or disk or packed != size:
        raise Malformed(f"member {raw_name[:80]!r} with sizes or comments that torch does not write")
    try:
        name = raw_name.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("a member whose name is not UTF-8") from None
    return Member(name, size, crc, place, raw_name, flags), at + _CENTRAL.size + name_length + extra_length


def _next(wide: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    if not wide:
        raise Malformed("a size that is told nowhere")
    return wide[0], wide[1:]


def _extra(data: bytes) -> tuple[int, ...]:
    """The zip64 values of an extra field; padding is passed over, anything else could be another name."""
    found: tuple[int, ...] = ()
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("<2H", data, at) if len(data) - at >= 4 else (0, 0)
        body = data[at + 4 : at + 4 + length]
        if len(body) != length or kind not in (_ZIP64, _PADDING) or (kind == _ZIP64 and (found or length % 8)):
            raise Malformed("a zip archive with fields that torch does not write")
        if kind == _ZIP64:
            found = struct.unpack(f"<{length // 8}Q", body)
        at += 4 + length
    return found


def _check_flags(needed: int, flags: int, method: int, raw_name: bytes) -> None:
    if flags & 1:
        raise Malformed(f"member {raw_name[:80]!r} is encrypted")
    if flags & ~(_HAS_DESCRIPTOR | _UTF8) or needed > _VERSION:
        raise Malformed(f"member {raw_name[:80]!r} with flags that torch does not write")
    if method:
        raise Malformed(f"member {raw_name[:80]!r} is compressed")


def _check_names(members: list[Member]) -> None:
    for member in members:
        if problem := name_problem(member.name):
            raise Malformed(f"member {member.name[:80]!r} {problem}")
    if double := collisions(member.name for member in members):
        raise Malformed(f"members {double[0][0][:80]!r} and {double[0][1][:80]!r} have one place")


def check_layout(file: IO[bytes], directory: Directory) -> None:
    """Whether local headers say what the directory says, and cover the file from 0 to it.

    Raises:
        Malformed: They do not.
    """
    expected = 0
    for member in directory.members:
        if member.at != expected:
            raise Malformed(f"bytes before member {member.name[:80]!r} that belong to none")
        expected = data_of(file, member) + member.size_bytes
        if member.flags & _HAS_DESCRIPTOR:
            expected += _descriptor(file, member, expected)
    if expected != directory.begins:
        raise Malformed("bytes before the central directory that belong to no member")


def data_of(file: IO[bytes], member: Member) -> int:
    """Offset of a member's data, after its local header was compared with the directory.

    Raises:
        Malformed: They differ.
    """
    file.seek(member.at)
    head = file.read(_LOCAL.size)
    if len(head) != _LOCAL.size:
        raise Malformed(f"member {member.name[:80]!r} lies outside of the file")
    fields: tuple[Any, ...] = _LOCAL.unpack(head)
    sign, needed, flags, method, _time, _date, crc, packed, size, name_length, extra_length = fields
    name, extra = file.read(name_length), file.read(extra_length)
    wide = _extra(extra)
    if size == _FULL:
        size, wide = _next(wide)
    if packed == _FULL:
        packed, wide = _next(wide)
    told = (crc, packed, size)
    is_told_after = bool(flags & _HAS_DESCRIPTOR) and told == (0, 0, 0)
    is_same = told == (member.crc, member.size_bytes, member.size_bytes)
    agrees = sign == LOCAL and name == member.raw_name and flags == member.flags and not method and needed <= _VERSION
    if not agrees or not (is_same or is_told_after):
        raise Malformed(f"member {member.name[:80]!r}: its header and the directory contradict each other")
    return member.at + _LOCAL.size + len(name) + len(extra)


def _descriptor(file: IO[bytes], member: Member, at: int) -> int:
    """Length of the record behind the data, which repeats checksum and sizes."""
    file.seek(at)
    data = file.read(24)
    for form in ("<4s3L", "<4sL2Q"):
        length = struct.calcsize(form)
        if len(data) >= length:
            sign, *told = struct.unpack_from(form, data)
            if sign == b"PK\x07\x08" and told == [member.crc, member.size_bytes, member.size_bytes]:
                return length
    raise Malformed(f"member {member.name[:80]!r}: the record behind its data contradicts the directory")


def check_sum(file: IO[bytes], member: Member, begins: int) -> None:
    """Whether a small member has the checksum that the archive names.

    Raises:
        Malformed: It has not.
    """
    file.seek(begins)
    left, crc = member.size_bytes, 0
    while left:
        block = file.read(min(left, 1 << 18))
        if not block:
            raise Malformed(f"member {member.name[:80]!r} is cut off")
        left, crc = left - len(block), zlib.crc32(block, crc)
    if crc != member.crc:
        raise Malformed(f"member {member.name[:80]!r} has another checksum than the archive says")
