"""Which bytes of a file are here, when they did not come in order.

Pure. A range is (first byte, byte after the last). In a part file's map each range that grows has a record of its own,
16 bytes, rewritten after each write of data: a kill -9 can lose what was on its way and nothing else.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Range = tuple[int, int]

RECORD = struct.Struct("<QQ")
MAX_MAP_BYTES = 64 * 1024


def merged(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The same bytes as few ranges in order; empty ones are dropped."""
    found: list[Range] = []
    for first, after in sorted(ranges):
        if after <= first:
            continue
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], after))
        else:
            found.append((first, after))
    return tuple(found)


def gaps(ranges: Iterable[Range], size_bytes: int) -> tuple[Range, ...]:
    """What is missing of a file of that size."""
    found, at = [], 0
    for first, after in (*merged(ranges), (size_bytes, size_bytes)):
        if first > at:
            found.append((at, min(first, size_bytes)))
        at = max(at, after)
    return tuple(found)


def prefix(ranges: Iterable[Range]) -> int:
    """How many bytes are here from the first one on."""
    first = next(iter(merged(ranges)), (0, 0))
    return first[1] if first[0] == 0 else 0


def read_map(data: bytes, file_bytes: int) -> tuple[Range, ...]:
    """The ranges in a map, of a file that has so many bytes; records that cannot be are left out."""
    whole = data[: len(data) - len(data) % RECORD.size]
    return merged((first, after) for first, after in RECORD.iter_unpack(whole) if first < after <= file_bytes)
