"""One environment with torch 2.13.0 (CPU) for all tests marked `torch`, made once and kept in the checkout's cache.

    python = torch_python()        # its interpreter; 20 to 60 s the first time
    wheel = mmcv_wheel()           # mmcv 2.1.0 compiled for it by zoo's builder; under a minute the first time
    python = mmcv_python()         # a second environment with torch, that wheel, mmengine and mmdet

A file lock keeps parallel workers from making it twice; an environment counts only
with its mark, which is written last.
pip, not uv, installs torch: pip's configuration may name a place with a CPU build, which uv would not see.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

CACHE = Path(__file__).parent.parent.parent / ".cache"
TORCH = "2.13.0"
TOOLS = ("setuptools>=77.0.3,<81", "numpy", "ninja", "wheel")
_MARK = "zoo-tests-complete"


@contextmanager
def _locked(name: str) -> Iterator[None]:
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def made_once(name: str, make: Callable[[Path], None], revision: str) -> Path:
    """The directory `.cache/<name>`, made if it is missing or of another revision."""
    place = CACHE / name
    with _locked(name):
        mark = place / _MARK
        if not mark.is_file() or mark.read_text() != revision:
            shutil.rmtree(place, ignore_errors=True)
            make(place)
            mark.write_text(revision)
    return place


def pip_install(python: Path, *words: str) -> None:
    argv = (str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]


@lru_cache
def torch_python() -> str:
    """The interpreter of the environment with torch; tests must not change what is installed there."""

    def make(place: Path) -> None:
        subprocess.run((sys.executable, "-m", "venv", str(place)), check=True, timeout=300)
        pip_install(place / "bin" / "python", f"torch=={TORCH}", *TOOLS)

    return str(made_once("torch-env", make, f"torch {TORCH}, {', '.join(TOOLS)}") / "bin" / "python")


@lru_cache
def mmcv_wheel() -> Path:
    """mmcv 2.1.0 with ops for `torch_python()`, built by zoo itself and kept in a zoo cache of the tests' own."""
    with _locked("zoo-build"):
        argv = (sys.executable, "-m", "zoo_cli", "build", "mmcv==2.1.0", "--python", torch_python())
        out = CACHE / "wheels"
        environ = {**_environ(), "ZOO_CACHE": str(CACHE / "zoo")}
        done = subprocess.run(
            (*argv, "-o", str(out)), capture_output=True, text=True, check=False, timeout=1800, env=environ
        )
    assert done.returncode == 0, done.stderr[-3000:]
    return Path(done.stdout.strip())


@lru_cache
def mmcv_python() -> str:
    """The interpreter of an environment with torch, mmcv with ops, mmengine 0.10.7 and mmdet 3.3.0."""
    wheel = mmcv_wheel()

    def make(place: Path) -> None:
        subprocess.run((sys.executable, "-m", "venv", str(place)), check=True, timeout=300)
        python = place / "bin" / "python"
        pip_install(python, f"torch=={TORCH}", *TOOLS)
        pip_install(python, str(wheel), "mmengine==0.10.7", "mmdet==3.3.0")

    return str(made_once("mmcv-env", make, f"torch {TORCH}, {wheel.name}, mmdet 3.3.0") / "bin" / "python")


def copy_of(python: str, directory: Path) -> str:
    """A writable view of an environment in an instant: a fresh one that sees the other's packages behind its own."""
    subprocess.run((python, "-m", "venv", "--without-pip", str(directory)), check=True, timeout=300)
    source = next(Path(python).parent.parent.glob("lib/python*/site-packages"))
    site = next(directory.glob("lib/python*/site-packages"))
    (site / "shared.pth").write_text(f"{source}\n")
    return str(directory / "bin" / "python")


def twin_of(python: str, directory: Path) -> str:
    """An environment of its own with the same packages: hard links, so that it takes an instant and no room.

    Installers replace files and never write into them, so the other environment stays as it is.
    """
    shutil.copytree(Path(python).parent.parent, directory, symlinks=True, copy_function=os.link)
    return str(directory / "bin" / "python")


def _environ() -> dict[str, str]:
    return dict(os.environ)
