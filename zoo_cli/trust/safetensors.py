"""safetensors files: a JSON header of at most 100 MB, then the bytes of the tensors, exactly.

Pure: gets an open, seekable binary file. Reference: the format's own description (8 bytes of header length, a JSON
object name -> {dtype, shape, data_offsets}, `__metadata__` a map of texts; offsets without gap or overlap).
"""

from __future__ import annotations

import json
from typing import IO, Any

from zoo_cli.trust.values import Malformed

MAX_HEADER = 100_000_000
MAX_TENSORS = 1_000_000
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


def looks_like(beginning: bytes) -> bool:
    """Whether a file may be one: a plausible length, then an object."""
    return len(beginning) > 9 and 2 <= int.from_bytes(beginning[:8], "little") <= MAX_HEADER and beginning[8] == 0x7B


def check_safetensors(file: IO[bytes], size_bytes: int) -> int:
    """How many tensors the file has.

    Raises:
        Malformed: It breaks a rule of the format.
    """
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= min(MAX_HEADER, size_bytes - 8):
        raise Malformed("its header is longer than the file")
    try:
        header = json.loads(file.read(length).decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as exc:
        raise Malformed(f"its header is no JSON: {str(exc)[:80]}") from None
    if not isinstance(header, dict):
        raise Malformed("its header is no object")
    _check_metadata(header.pop("__metadata__", {}))
    if len(header) > MAX_TENSORS:
        raise Malformed(f"more than {MAX_TENSORS} tensors")
    _check_places([_place(name, entry) for name, entry in header.items()], size_bytes - 8 - length)
    return len(header)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _check_metadata(value: Any) -> None:
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise Malformed("its metadata are not texts")


def _place(name: str, entry: Any) -> tuple[int, int]:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"} or entry["dtype"] not in _BITS:
        raise Malformed(f"tensor {name[:80]!r} is described in another way than the format says")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2:
        raise Malformed(f"tensor {name[:80]!r} with a shape or place that are no sizes")
    bits = _BITS[entry["dtype"]]
    for length in shape:
        bits *= length
    if bits % 8 or bits // 8 != offsets[1] - offsets[0]:
        raise Malformed(f"tensor {name[:80]!r} does not fill its place")
    return offsets[0], offsets[1]


def _are_sizes(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= 64
        and all(type(each) is int and 0 <= each < 1 << 60 for each in value)
    )


def _check_places(places: list[tuple[int, int]], size_bytes: int) -> None:
    expected = 0
    for begins, ends in sorted(places):
        if begins != expected:
            raise Malformed("tensors with a gap between them, or over each other")
        expected = ends
    if expected != size_bytes:
        raise Malformed("bytes after the last tensor, or a file that is cut off")
