"""Runs inside the target interpreter (3.7 and newer), sent there as text: source text in, byte code out.

Standard library only, isolated and without site (`-I -S`): no code of the environment runs. On stdin, for each module,
a frame with its path and one with its source. On stdout a frame with the interpreter's magic number and one with the
tag of its compiled files, then for each module a frame with its code, empty where the source cannot be compiled. A
frame is its length (4 bytes, little-endian) and its content.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import struct
import sys
from typing import Any

HEADER = 16  # bytes of a compiled file before its code (PEP 552)


def read() -> bytes | None:
    """The next frame on stdin; None at the end."""
    head = sys.stdin.buffer.read(4)
    return sys.stdin.buffer.read(struct.unpack("<I", head)[0]) if len(head) == 4 else None


def write(content: bytes) -> None:
    """A frame on stdout."""
    sys.stdout.buffer.write(struct.pack("<I", len(content)) + content)
    sys.stdout.buffer.flush()


class Compiler(importlib.abc.SourceLoader):
    """Python's own loader of one module, with the source at hand; what it would write to `__pycache__` is kept."""

    def __init__(self, path: str, source: bytes) -> None:
        self.path, self.source, self.made = path, source, b""

    def get_filename(self, fullname: str) -> str:  # noqa: ARG002
        """Where the source would be."""
        return self.path

    def path_stats(self, path: Any) -> dict[str, Any]:  # noqa: ARG002
        """Its time and size, which whoever writes the compiled file knows better."""
        return {"mtime": 0, "size": len(self.source)}

    def get_data(self, path: Any) -> bytes:
        """The source; there is no compiled file."""
        if path != self.path:
            raise FileNotFoundError(path)
        return self.source

    def set_data(self, path: Any, data: Any) -> None:  # noqa: ARG002
        """Takes the compiled file."""
        self.made = bytes(data)


def compiled(path: str, source: bytes) -> bytes:
    """The code of a module as a compiled file holds it; empty when there is none."""
    compiler = Compiler(path, source)
    try:
        compiler.get_code("module")
    except (ImportError, SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return b""
    return compiler.made[HEADER:]


def run() -> None:
    """Answers until stdin ends."""
    write(importlib.util.MAGIC_NUMBER)
    write((sys.implementation.cache_tag or "").encode())
    while True:
        path, source = read(), read()
        if path is None or source is None:
            return
        write(compiled(path.decode("utf-8", "surrogateescape"), source))


if __name__ == "__main__":
    run()
