"""Compiles modules of a target ahead of their import, while the import runs: children on all processors.

Edge: the target's sources and `__pycache__`, children of the target. Importing torch and an OpenMMLab stack for the
first time compiles some 2,300 modules, one after another, which takes longer than all else that an install does. Here
they are compiled in the order in which they will be imported: known ones, and what their sources import (`importing`).
A child runs nothing of the environment (`compile_child`) and gets the very bytes whose digest its answer counts for. A
compiled file that is there stays. What cannot be read, written or compiled is left to the import.
"""

from __future__ import annotations

import os
import struct
import subprocess
from contextlib import contextmanager, suppress
from hashlib import sha256
from importlib.resources import files
from itertools import chain, islice
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.atomic import write_whole
from zoo_cli.packages.importing import imported
from zoo_cli.packages.indexes import clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import IO

MAX_MODULES = 20_000
_MAX_SOURCE = 8 << 20  # bytes
_MAX_CHILDREN = 8


class Form(NamedTuple):
    """How an interpreter's compiled files look."""

    magic: bytes = b""
    tag: str = ""  # "cpython-311"; empty where it is not known yet


class Source(NamedTuple):
    """A module's source as it was read."""

    path: Path
    content: bytes
    about: os.stat_result
    digest: str  # SHA-256

    @classmethod
    def read(cls, path: Path, tag: str) -> Source | None:
        """The source at a path; None when it cannot be read, is too large, or is compiled already."""
        with suppress(OSError, ValueError):
            if tag and _place(path, tag).exists():
                return None
            with path.open("rb") as file:
                content, about = file.read(_MAX_SOURCE + 1), os.fstat(file.fileno())
            if len(content) <= _MAX_SOURCE:
                return cls(path, content, about, sha256(content).hexdigest())
        return None

    def put(self, form: Form, code: bytes) -> None:
        """Writes its code as an import would: whole, under its final name; a file that is there stays."""
        place, about = _place(self.path, form.tag), self.about
        head = struct.pack("<4sIII", form.magic, 0, int(about.st_mtime) & 0xFFFFFFFF, about.st_size & 0xFFFFFFFF)
        with suppress(OSError):
            place.parent.mkdir(exist_ok=True)
            if not place.exists():
                write_whole(place, head + code)


def _place(path: Path, tag: str) -> Path:
    return path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc"


class Ahead:
    """What is compiled ahead of one import, and what came of it."""

    def __init__(self, form: Form, names: Sequence[str], places: Sequence[Path]) -> None:
        """`names` are modules that will be imported, with what they import, from the directories `places`."""
        self.form = form
        self.codes: dict[Path, tuple[str, bytes]] = {}  # source -> its digest and code
        self._places = tuple(map(str, places))
        self._sources = self._all(names)
        self._turn, self._is_over = Lock(), False

    @contextmanager
    def compiled_by(self, python: str) -> Iterator[None]:
        """Compiles in children of an interpreter while the block runs; it ends when the block does."""
        children = _children(python) if self._has_work() else []
        threads = [Thread(target=self._work, args=(each,), daemon=True) for each in children]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over = True
            for child in children:
                child.kill()
            for thread in threads:
                thread.join()

    def _has_work(self) -> bool:
        """Whether something is not compiled; as long as the form is not known nobody can tell, and it is so."""
        if not self.form.tag:
            return True
        first = tuple(islice(self._sources, 1))
        self._sources = chain(first, self._sources)
        return bool(first)

    def _work(self, child: subprocess.Popen[bytes]) -> None:
        """Hands sources to one child until there is none left, or nobody waits for them any more."""
        with suppress(OSError, ValueError, EOFError), child:  # it was ended
            assert child.stdin is not None
            assert child.stdout is not None
            magic, tag = _answer(child.stdout), _answer(child.stdout)
            self.form = Form(magic, tag.decode("ascii"))
            while source := self._next():
                child.stdin.write(framed(os.fsencode(source.path)) + framed(source.content))
                child.stdin.flush()
                if code := _answer(child.stdout):
                    source.put(self.form, code)
                    self.codes[source.path] = source.digest, code

    def _next(self) -> Source | None:
        """The next source; one thread at a time looks for it."""
        with self._turn:
            return None if self._is_over else next(self._sources, None)

    def _all(self, names: Sequence[str]) -> Iterator[Source]:
        """The sources that are not compiled: of modules and, depth first as an import goes, of what they import."""
        pending, seen, count = list(reversed(names)), set[str](), 0
        while pending and count < MAX_MODULES:
            name = pending.pop()
            if name in seen:
                continue
            above = name.rpartition(".")[0]
            if above and above not in seen:  # a package is imported before what is in it
                pending += (name, above)
                continue
            seen.add(name)
            path, package = self._found(name)
            if path and (source := Source.read(path, self.form.tag)):
                count += 1
                pending += reversed(list(imported(source.content, package)))
                yield source

    def _found(self, name: str) -> tuple[Path | None, str]:
        """The source of a module, and the package that its relative imports start from."""
        for place in self._places:
            base = "/".join((place, *name.split(".")))
            if os.path.isfile(f"{base}/__init__.py"):  # noqa: PTH113 - asked 20,000 times
                return Path(base, "__init__.py"), name
            if os.path.isfile(f"{base}.py"):  # noqa: PTH113
                return Path(f"{base}.py"), name.rpartition(".")[0]
        return None, ""


def _children(python: str) -> list[subprocess.Popen[bytes]]:
    """Compilers, one a processor; none where the interpreter cannot be started."""
    code = files("zoo_cli.packages").joinpath("compile_child.py").read_text(encoding="utf-8")
    argv, pipe = (python, "-I", "-S", "-W", "ignore", "-c", code), subprocess.PIPE
    environ = clean_environment({})
    children: list[subprocess.Popen[bytes]] = []
    with suppress(OSError):
        for _ in range(min(os.cpu_count() or 1, _MAX_CHILDREN)):
            children.append(subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environ))
    return children


def framed(content: bytes) -> bytes:
    """Bytes behind their length, as children and records have them."""
    return struct.pack("<I", len(content)) + content


def _answer(stream: IO[bytes]) -> bytes:
    """The next frame of a child.

    Raises:
        EOFError: there is none, or not the whole of it.
    """
    head = stream.read(4)
    if len(head) == 4:
        (length,) = struct.unpack("<I", head)
        content = stream.read(length)
        if len(content) == length:
            return content
    raise EOFError
