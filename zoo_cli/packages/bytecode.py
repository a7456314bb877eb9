"""Byte code of what a check of ops imports: put beside the sources before or while the check imports them.

Edge: records in the cache; the target's sources and `__pycache__` through `ahead`, which compiles what is not kept.
What a check imported is remembered, with the code that was made of it; the next environment of the same kind gets it
written down instead of compiled. Rules:

- Code belongs to the SHA-256 of a source. It is written for a source that has that digest now, with that file's time
  and size, as any import would; Python itself makes it anew when the source changes (PEP 3147).
- Kept code comes from a child that runs nothing of the environment (`compile_child`) and gets the very bytes whose
  digest it is kept under; never from a `__pycache__`, where any package may have written. It is believed with the mark
  of the user's own key only (`trust.marked`).
- What a check says that it imported decides what is kept, and no more: it may lie.
"""

from __future__ import annotations

import json
import os
import struct
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.directories import cache_path, state_directory
from zoo_cli.packages.ahead import MAX_MODULES, Ahead, Form, Source, framed
from zoo_cli.trust.marked import Records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

FOLDER = "bytecode"
MAX_RECORDS = 4
MAX_BYTES = 128 << 20  # of one record; that of a detection stack has 56 MB, and packing it would take most of the time


class Kept(NamedTuple):
    """What is remembered of the imports of a check."""

    names: tuple[str, ...] = ()  # sources, relative to the interpreter's prefix, in the order of their import
    form: Form = Form()
    codes: Mapping[str, bytes] = {}  # SHA-256 of a source -> its code


class Bytecode:
    """The byte code of one target interpreter for one set of imports."""

    def __init__(self, python: str, version: str, imports: Sequence[str]) -> None:
        """`version` is the interpreter's, `imports` what a check imports: they name the record."""
        self._python, self._prefix = python, Path(python).parent.parent
        self._identity = [version, *imports]
        self._records = Records(cache_path(), state_directory(), FOLDER, MAX_RECORDS, MAX_BYTES, level=0)
        self._kept = _kept(self._records.recall(self._identity))
        names = [f"{name}{part}" for name in ("torch", *imports) for part in ("", ".ops", ".apis")]
        minor = ".".join(version.split(".")[:2])
        places = [*sorted(self._prefix.glob(f"lib*/python{minor}/site-packages")), self._prefix / "Lib/site-packages"]
        self._ahead = Ahead(self._kept.form, [*names, *map(_module, self._kept.names)], places)

    def put(self) -> int:
        """Puts the code that is kept beside the sources that have none; gives how many these were."""
        codes, count = self._kept.codes, 0
        for name in self._kept.names if codes else ():
            source = Source.read(self._prefix / name, self._kept.form.tag)
            if source and source.digest in codes:
                source.put(self._kept.form, codes[source.digest])
                count += 1
        return count

    @contextmanager
    def compiled_ahead(self) -> Iterator[None]:
        """Compiles what else will be imported, while the block imports it."""
        with self._ahead.compiled_by(self._python):
            yield

    def learn(self, names: Iterable[str]) -> None:
        """Remembers which sources a check imported, by their absolute paths; others than the prefix's do not count."""
        start = str(self._prefix) + os.sep
        inside = (name.removeprefix(start) for name in names if name.startswith(start))
        found = tuple(dict.fromkeys(name for name in inside if _is_module(name)))[:MAX_MODULES]
        made = self._ahead.codes
        fresh = dict(made[path] for name in found if (path := self._prefix / name) in made)
        if fresh or set(found) - set(self._kept.names):
            codes = {**self._kept.codes, **fresh}
            self._kept = Kept(found, self._ahead.form, _newest(codes))
            self._records.remember(self._identity, _content(self._kept))


def _newest(codes: Mapping[str, bytes]) -> dict[str, bytes]:
    """As many of the codes as a record may have; what came first goes first."""
    room, found = MAX_BYTES - (8 << 20), dict[str, bytes]()  # the names of 20,000 modules need less than 8 MiB
    for digest, code in reversed(list(codes.items())):
        room -= len(code) + 80
        if room < 0:
            break
        found[digest] = code
    return dict(reversed(found.items()))


def _module(name: str) -> str:
    """The name of a module by that of its source below site-packages."""
    return name.rpartition("site-packages/")[2].removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _is_module(name: str) -> bool:
    """Whether a relative name can be that of an installed module, and of nothing else."""
    parts = Path(name).parts
    return name.endswith(".py") and len(name) < 500 and ".." not in parts and "site-packages" in parts


def _frames(data: bytes) -> Iterator[bytes]:
    """Whole frames; what is cut off is left out."""
    offset = 0
    while offset + 4 <= len(data):
        (length,) = struct.unpack_from("<I", data, offset)
        if offset + 4 + length > len(data):
            return
        yield data[offset + 4 : offset + 4 + length]
        offset += 4 + length


def _content(kept: Kept) -> bytes:
    head = json.dumps({"names": kept.names, "tag": kept.form.tag, "digests": list(kept.codes)}).encode()
    return b"".join(map(framed, (head, kept.form.magic, *kept.codes.values())))


def _kept(content: bytes | None) -> Kept:
    """What a record says; nothing of one in another form."""
    try:
        head, magic, *codes = _frames(content or b"")
        document = json.loads(head)
        names = tuple(name for name in document["names"] if _is_module(name))
        return Kept(names, Form(magic, str(document["tag"])), dict(zip(document["digests"], codes, strict=True)))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return Kept()
