"""Bytes for the checkpoint fuzzer: opcodes that mostly fit together, containers, and mutations of live payloads."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from tests.support.live_payloads import harmless, payloads
from tests.support.pickles import (
    call,
    checkpoint,
    entries,
    lookup,
    mapping,
    number,
    numbers,
    pickle,
    short,
    tensor,
    text,
    torch_legacy,
    zip_file,
)
from zoo_cli.trust.allowed import ALLOWED

if TYPE_CHECKING:
    import random

GLOBALS = [
    *ALLOWED,
    ("os", "system"),
    ("builtins", "eval"),
    ("__builtin__", "getattr"),
    ("__builtin__", "set"),
    ("copy_reg", "_reconstructor"),
    ("collections", "OrderedDict.clear"),
    ("torch.tensor", "_rebuild_from_type_v2"),
    ("lab", "Net"),
]
TEXTS = (
    "os", "system", "builtins", "getattr", "min", "latin1", "zlib", "__setstate__", "collections", "OrderedDict",
    "mmengine.logging.history_buffer", "HistoryBuffer", "storage", "0", "f8", "O8", "cpu", "a\nb", "\u00e9", "x" * 300,
)  # fmt: skip
BARE = [bytes((code,)) for code in b"(012Nabdelostu})]QR.\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94"]


def a_value(chance: random.Random, depth: int = 0) -> bytes:
    """The opcodes of one value, right more often than wrong."""
    kind = chance.randrange(14 if depth < 5 else 6)
    if kind == 0:
        return number(chance.choice((0, 1, -1, 8, 1 << 20, 1 << 40, 1 << 70)))
    if kind == 1:
        return chance.choice((text, short))(chance.choice(TEXTS[:-1]))
    if kind == 2:
        return chance.choice((b"N", b"\x88", b"\x89", b"]", b"}", b")", b"\x8f", b"C\x03abc", b"G" + b"\0" * 8))
    if kind == 3:
        return lookup(*chance.choice(GLOBALS))
    if kind == 4:
        module, name = chance.choice(GLOBALS)
        return text(module) + text(name) + b"\x93"
    if kind == 5:
        return b"h" + bytes((chance.randrange(6),))
    parts = [a_value(chance, depth + 1) for _ in range(chance.randint(0, 4))]
    if kind in (6, 7):
        return call(lookup(*chance.choice(GLOBALS)), *parts)
    if kind == 8:
        return lookup(*chance.choice(GLOBALS)) + b"(" + b"".join(parts) + b"t\x81"
    if kind == 9:
        return chance.choice((b"(" + b"".join(parts) + b"t", b"](" + b"".join(parts) + b"e"))
    if kind == 10:
        return mapping(**{f"k{place}": part for place, part in enumerate(parts)})
    if kind == 11:
        return a_value(chance, depth + 1) + a_value(chance, depth + 1) + b"b"
    if kind == 12:
        return a_value(chance, depth + 1) + b"\x94" + b"q" + bytes((chance.randrange(6),))
    return tensor(
        "0", chance.randint(0, 3), chance.randint(0, 3), offset=chance.randint(0, 2), count=chance.randint(0, 9)
    )


def a_pickle(chance: random.Random) -> bytes:
    """A whole pickle of any protocol."""
    value = a_value(chance) if chance.random() < 0.5 else b"".join(a_value(chance, 3) for _ in range(3))
    return pickle(value, chance.choice((0, 2, 2, 3, 4, 4, 5)))


def a_file(chance: random.Random) -> bytes:
    """A pickle, alone or in a container."""
    kind = chance.randrange(6)
    if kind < 3:
        return a_pickle(chance)
    if kind == 3:
        return zip_file(entries(a_pickle(chance), {"0": bytes(4 * chance.randint(0, 9))}))
    if kind == 4:
        count = chance.randint(0, 9)
        return torch_legacy(a_value(chance), {"0": (count, bytes(4 * count))})
    return chance.choice(seeds())


@functools.cache
def seeds() -> tuple[bytes, ...]:
    """Files to begin with: ordinary ones and live payloads."""
    sizes = numbers(1, 2)
    legacy = torch_legacy(mapping(w=tensor("7", 2, legacy=True), s=sizes), {"7": (2, b"\0" * 8)})
    return (harmless(), checkpoint(b"x" * 40), legacy, *payloads().values())


def mutated(chance: random.Random, data: bytes) -> bytes:
    """The bytes with one to three things changed, cut out, put in or doubled."""
    for _ in range(chance.randint(1, 3)):
        start = chance.randint(0, len(data))
        end = min(len(data), start + chance.randint(0, 12))
        kind = chance.randrange(6)
        if kind == 0:
            data = data[:start] + data[end:]
        elif kind == 1:
            data = data[:start] + chance.choice(BARE) + data[start:]
        elif kind == 2:
            data = data[:start] + bytes((chance.randrange(256),)) + data[start + 1 :]
        elif kind == 3:
            data = data[:start] + data[start:end] * chance.choice((2, 3, 20)) + data[end:]
        elif kind == 4:
            data = data[:start] + a_value(chance, 4) + data[end:]
        else:
            other = chance.choice(seeds())
            data = data[:start] + other[chance.randint(0, len(other)) :]
    return data[:20_000]
