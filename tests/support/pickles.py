"""Pickles written opcode by opcode, and the containers of torch around them, with every kind of fault on request."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace

LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
LEGACY_PROTOCOL = b"\x80\x02M\xe9\x03."
LEGACY_SYSTEM = b"\x80\x02}q\x00(X\x10\x00\x00\x00protocol_versionq\x01M\xe9\x03X\r\x00\x00\x00little_endianq\x02\x88u."
NO_KEYS = b"\x80\x02]."


def text(value: str) -> bytes:
    """BINUNICODE."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def short(value: str) -> bytes:
    """SHORT_BINUNICODE."""
    return b"\x8c" + bytes((len(value),)) + value.encode()


def number(value: int) -> bytes:
    """BININT, or LONG1."""
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes(16, "little", signed=True)
    return b"\x8a\x10" + data


def lookup(module: str, name: str) -> bytes:
    """GLOBAL."""
    return f"c{module}\n{name}\n".encode()


def call(function: bytes, *args: bytes) -> bytes:
    """REDUCE with a tuple of arguments."""
    return function + b"(" + b"".join(args) + b"tR"


def numbers(*values: int) -> bytes:
    """A tuple of numbers."""
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(key: str, count: int, kind: str = "FloatStorage", *, legacy: bool = False) -> bytes:
    """A persistent id that names a storage."""
    end = b"N" if legacy else b""
    return b"(" + text("storage") + lookup("torch", kind) + text(key) + text("cpu") + number(count) + end + b"tQ"


def tensor(
    key: str,
    *shape: int,
    offset: int = 0,
    stride: tuple[int, ...] | None = None,
    count: int | None = None,
    kind: str = "FloatStorage",
    legacy: bool = False,
) -> bytes:
    """`torch._utils._rebuild_tensor_v2(...)` of a contiguous tensor, unless something else is asked."""
    steps: list[int] = []
    size = 1
    for length in reversed(shape):
        steps.insert(0, size)
        size *= length
    hooks = call(lookup("collections", "OrderedDict"))
    made = storage(key, size if count is None else count, kind, legacy=legacy)
    view = number(offset) + numbers(*shape) + numbers(*(steps if stride is None else stride))
    return call(lookup("torch._utils", "_rebuild_tensor_v2"), made, view, b"\x89", hooks)


def mapping(**values: bytes) -> bytes:
    """A dict with text keys."""
    return b"}(" + b"".join(text(name) + value for name, value in values.items()) + b"u"


def pickle(value: bytes, protocol: int = 2) -> bytes:
    """A whole pickle."""
    return (b"\x80" + bytes((protocol,)) if protocol >= 2 else b"") + value + b"."


@dataclass(frozen=True)
class Entry:
    """One member of a zip archive; the local header may say something else than the directory."""

    name: str
    data: bytes
    method: int = 0
    flags: int = 0x0808
    crc: int | None = None
    local_name: str | None = None
    local_size: int | None = None
    align: bool = True


def entries(data_pkl: bytes, storages: dict[str, bytes] | None = None, top: str = "archive") -> list[Entry]:
    """The members that torch.save writes, in its order."""
    small = {".format_version": b"1", ".storage_alignment": b"64", "byteorder": b"little"}
    bodies = {f"data/{key}": body for key, body in (storages or {}).items()}
    named = {"data.pkl": data_pkl, **small, **bodies, "version": b"3\n", ".data/serialization_id": b"0" * 40}
    return [Entry(f"{top}/{name}", data) for name, data in named.items()]


def zip_file(
    members: list[Entry],
    *,
    prefix: bytes = b"",
    before_directory: bytes = b"",
    suffix: bytes = b"",
    comment: bytes = b"",
    zip64: bool = True,
) -> bytes:
    """An archive as torch's writer lays it out."""
    out, directory = bytearray(prefix), bytearray()
    for member in members:
        at, name = len(out), member.name.encode()
        local = name if member.local_name is None else member.local_name.encode()
        packed = _deflated(member.data) if member.method == 8 else member.data
        crc = zlib.crc32(member.data) if member.crc is None else member.crc
        pad = -(at + 30 + len(local) + 4) % 64 if member.align else 0
        extra = struct.pack("<2H", 0x4246, pad) + b"Z" * pad if member.align else b""
        told = (0, 0, 0) if member.flags & 8 else (crc, len(packed), len(member.data))
        if member.local_size is not None:
            told = (crc, member.local_size, member.local_size)
        out += struct.pack(
            "<4s5H3L2H", b"PK\x03\x04", 0, member.flags, member.method, 0, 0, *told, len(local), len(extra)
        )
        out += local + extra + packed
        if member.flags & 8:
            out += struct.pack("<4s3L", b"PK\x07\x08", crc, len(packed), len(member.data))
        directory += (
            struct.pack(
                "<4s6H3L5H2L",
                b"PK\x01\x02",
                0,
                0,
                member.flags,
                member.method,
                0,
                0,
                crc,
                len(packed),
                len(member.data),
                len(name),
                0,
                0,
                0,
                0,
                0,
                at,
            )
            + name
        )
    out += before_directory
    begins = len(out)
    out += directory
    ends, count = len(out), len(members)
    if zip64:
        out += struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 798, 45, 0, 0, count, count, len(directory), begins)
        out += struct.pack("<4sLQL", b"PK\x06\x07", 0, ends, 1)
    out += struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(directory), begins, len(comment))
    return bytes(out) + comment + suffix


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def torch_zip(value: bytes, storages: dict[str, bytes] | None = None) -> bytes:
    """An ordinary file around the opcodes of one value."""
    return zip_file(entries(pickle(value), storages))


def with_data_pkl(**changes: object) -> list[Entry]:
    """Members of a harmless file whose data.pkl is changed so."""
    members = entries(pickle(mapping(weight=tensor("0", 2))), {"0": b"\0" * 8})
    return [replace(members[0], **changes), *members[1:]]  # type: ignore[arg-type]


def torch_legacy(
    value: bytes,
    storages: dict[str, tuple[int, bytes]] | None = None,
    *,
    first: bytes = LEGACY_MAGIC,
    system: bytes = LEGACY_SYSTEM,
    keys: bytes | None = None,
) -> bytes:
    """A file as torch wrote them before 1.6: storages are key -> (count, bytes)."""
    named = storages or {}
    listed = b"\x80\x02](" + b"".join(text(key) for key in named) + b"e." if named else NO_KEYS
    bodies = b"".join(struct.pack("<q", count) + body for count, body in named.values())
    return first + LEGACY_PROTOCOL + system + pickle(value) + (listed if keys is None else keys) + bodies


def checkpoint(body: bytes) -> bytes:
    """An ordinary checkpoint with one tensor of these bytes."""
    return torch_zip(mapping(state_dict=mapping(weight=tensor("0", len(body), kind="ByteStorage"))), {"0": body})
