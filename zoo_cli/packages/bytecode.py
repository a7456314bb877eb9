"""Byte code for the modules that a check of ops imports: put beside their sources before the first import.

Edge: the target's sources and `__pycache__`, children of the target that compile, records in the cache. Importing torch
and an OpenMMLab stack for the first time compiles some 2,300 modules, one after another, which takes longer than all
else that an install does. Which modules a check imported is remembered (names only). With the next environment of the
same kind they are compiled before the check, by one child a processor, and the code is kept: from then on it is
written down instead of compiled. Rules:

- Code belongs to the SHA-256 of a source. It is written for a source that has that digest now, with that file's time
  and size, as any import would; Python itself makes it anew when the source changes (PEP 3147).
- Kept code comes from a child that runs nothing of the environment (`compile_child`) and gets the very bytes whose
  digest it is kept under; never from a `__pycache__`, where any package may have written. It is believed with the mark
  of the user's own key only (`trust.marked`).
- A compiled file that is there stays. What cannot be read, written or compiled is left to the import.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
from contextlib import suppress
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.atomic import write_whole
from zoo_cli.directories import cache_path, state_directory
from zoo_cli.packages.indexes import clean_environment
from zoo_cli.trust.marked import Records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

FOLDER = "bytecode"
MAX_RECORDS = 4
MAX_BYTES = 128 << 20  # of one record; that of a detection stack has 56 MB, and packing it would take most of the time
MAX_MODULES = 20_000
_MAX_SOURCE = 8 << 20  # bytes
_SMALL = 100  # modules; fewer are not worth another child
_SECONDS = 300


class Kept(NamedTuple):
    """What is remembered of the imports of a check."""

    names: tuple[str, ...] = ()  # sources, relative to the interpreter's prefix
    magic: bytes = b""
    tag: str = ""  # of compiled files: "cpython-311"
    codes: Mapping[str, bytes] = {}  # SHA-256 of a source -> its code


class _Source(NamedTuple):
    path: Path
    content: bytes
    about: os.stat_result
    digest: str


class Bytecode:
    """The byte code of one target interpreter for one set of imports."""

    def __init__(self, python: str, version: str, imports: Sequence[str]) -> None:
        """`version` is the interpreter's, `imports` what a check imports: they name the record."""
        self._python, self._prefix = python, Path(python).parent.parent
        self._identity = [version, *imports]
        self._records = Records(cache_path(), state_directory(), FOLDER, MAX_RECORDS, MAX_BYTES, level=0)
        self._kept = _kept(self._records.recall(self._identity))

    def put(self) -> int:
        """Puts code beside every known source that has none; gives how many modules were compiled for it."""
        sources = list(self._sources())
        fresh = self._compiled([each for each in sources if each.digest not in self._kept.codes])
        self._kept = fresh._replace(codes={**self._kept.codes, **fresh.codes}) if fresh.codes else self._kept
        self._write([each for each in sources if each.digest in self._kept.codes])
        if fresh.codes:
            used = {each.digest for each in sources}
            self._kept = self._kept._replace(codes={d: code for d, code in self._kept.codes.items() if d in used})
            self._records.remember(self._identity, _content(self._kept))
        return len(fresh.codes)

    def learn(self, names: Iterable[str]) -> None:
        """Remembers which sources a check imported, by their absolute paths; others than the prefix's do not count."""
        start = str(self._prefix) + os.sep
        inside = (name.removeprefix(start) for name in names if name.startswith(start))
        found = tuple(sorted({name for name in inside if _is_module(name)}))[:MAX_MODULES]
        if set(found) - set(self._kept.names):
            self._records.remember(self._identity, _content(self._kept._replace(names=found)))

    def _sources(self) -> Iterator[_Source]:
        """The known modules that are there and are not compiled."""
        for name in self._kept.names:
            path = self._prefix / name
            with suppress(OSError, ValueError):
                if self._kept.tag and _place(path, self._kept.tag).exists():
                    continue
                with path.open("rb") as file:
                    content, about = file.read(_MAX_SOURCE + 1), os.fstat(file.fileno())
                if len(content) <= _MAX_SOURCE:
                    yield _Source(path, content, about, sha256(content).hexdigest())

    def _write(self, sources: Sequence[_Source]) -> None:
        """Writes the code of sources beside them."""
        for folder in {each.path.parent for each in sources}:
            with suppress(OSError):
                (folder / "__pycache__").mkdir(exist_ok=True)
        for each in sources:
            _put(each, self._kept)

    def _compiled(self, sources: Sequence[_Source]) -> Kept:
        """What the target makes of sources, in several children."""
        from concurrent.futures import ThreadPoolExecutor

        count = min(os.cpu_count() or 1, 8, -(-len(sources) // _SMALL))
        if not count:
            return Kept()
        parts = [sources[number::count] for number in range(count)]
        with ThreadPoolExecutor(max_workers=count) as pool:
            answers = list(pool.map(self._ask, parts))
        magic, tag = answers[0][:2] if len(answers[0]) > 1 else (b"", b"")
        codes: dict[str, bytes] = {}
        for part, answer in zip(parts, answers, strict=True):
            codes |= {each.digest: code for each, code in zip(part, answer[2:], strict=False) if code}
        return Kept(self._kept.names, magic, tag.decode("ascii", "replace"), codes)

    def _ask(self, sources: Sequence[_Source]) -> list[bytes]:
        """The frames that a child of the target answers."""
        code = files("zoo_cli.packages").joinpath("compile_child.py").read_text(encoding="utf-8")
        frames = b"".join(_frame(os.fsencode(each.path)) + _frame(each.content) for each in sources)
        argv = (self._python, "-I", "-S", "-W", "ignore", "-c", code)
        try:
            done = subprocess.run(
                argv, input=frames, env=clean_environment({}), capture_output=True, timeout=_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return []
        return list(_frames(done.stdout))


def _is_module(name: str) -> bool:
    """Whether a relative name can be that of an installed module, and of nothing else."""
    parts = Path(name).parts
    return name.endswith(".py") and len(name) < 500 and ".." not in parts and "site-packages" in parts


def _place(path: Path, tag: str) -> Path:
    return path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc"


def _put(source: _Source, kept: Kept) -> None:
    """Writes a compiled file as an import would: whole, under its final name; one that is there stays."""
    place, about = _place(source.path, kept.tag), source.about
    head = struct.pack("<4sIII", kept.magic, 0, int(about.st_mtime) & 0xFFFFFFFF, about.st_size & 0xFFFFFFFF)
    with suppress(OSError):
        if not place.exists():
            write_whole(place, head + kept.codes[source.digest])


def _frame(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content


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
    head = json.dumps({"names": kept.names, "tag": kept.tag, "digests": list(kept.codes)}).encode()
    return b"".join(map(_frame, (head, kept.magic, *kept.codes.values())))


def _kept(content: bytes | None) -> Kept:
    """What a record says; nothing of one in another form."""
    try:
        head, magic, *codes = _frames(content or b"")
        document = json.loads(head)
        names = tuple(name for name in document["names"] if _is_module(name))
        return Kept(names, magic, str(document["tag"]), dict(zip(document["digests"], codes, strict=True)))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return Kept()
