"""Real shared libraries for tests, compiled here in a tenth of a second."""

from __future__ import annotations

import subprocess
from pathlib import Path


def compile_library(directory: Path, name: str, code: str, *words: str, compiler: str = "g++") -> Path:
    """Compiles C++ to `<directory>/<name>`; more words go to the compiler."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    argv = (compiler, "-shared", "-fPIC", "-g0", "-x", "c++", "-o", str(path), "-", "-x", "none", *words)
    subprocess.run(argv, input=code, text=True, check=True, capture_output=True, timeout=60)
    return path


def future_libc(directory: Path) -> Path:
    """A stand-in for a C library that does not exist yet: `libc.so.6` with `later` of the version GLIBC_2.99."""
    directory.mkdir(parents=True, exist_ok=True)
    script = directory / "libc.map"
    script.write_text("GLIBC_2.99 { later; };")
    words = ("-Wl,-soname,libc.so.6", f"-Wl,--version-script={script}", "-nostdlib")
    return compile_library(directory, "libc.so.6", 'extern "C" int later() { return 1; }', *words)
