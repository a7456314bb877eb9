"""An environment with mmengine 0.10.7, for what only mmengine can answer: is zoo's flattening equal to its own?

Made once in the checkout's cache, from the package registry. mmengine needs torch to be imported; the registry's CPU
build is enough, and pip (not uv) finds a local one first. `setuptools<82` still has pkg_resources, which mmengine uses.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

CACHE = Path(__file__).parent.parent.parent / ".cache"
REQUIREMENTS = ("mmengine==0.10.7", "torch==2.13.0", "setuptools<82", "numpy")
ALONE = ("mmpretrain==1.2.0",)  # only its configs are read: without what it requires
CHILD = Path(__file__).parent / "mmengine_child.py"


@lru_cache(maxsize=1)
def mmengine_python() -> Path:
    """The interpreter of the environment, made when it is missing."""
    folder = CACHE / "mmengine-env"
    python = folder / "bin" / "python"
    ready = folder / "ready"
    wanted = "\n".join(REQUIREMENTS + ALONE)
    if ready.is_file() and ready.read_text() == wanted:
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True, timeout=1800)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--no-deps", *ALONE], check=True, timeout=600)
    ready.write_text(wanted)
    return python


def mmengine_command(sites: tuple[Path, ...] = ()) -> tuple[list[str], dict[str, str]]:
    """An interpreter that has mmengine, and the environment to start it in; `sites` come before its packages.

    It is the one below the virtual environment: inside, mmengine takes the standard library for somebody's package.
    """
    python = mmengine_python()
    packages = next((python.parent.parent / "lib").glob("python3*/site-packages"))
    path = os.pathsep.join(map(str, (*sites, packages)))
    return [str(python.resolve()), "-s"], {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"}


def load_with_mmengine(root: Path, answer: Path, paths: tuple[str, ...] = (), sites: tuple[Path, ...] = ()) -> float:
    """Loads every config under `root/configs` (or those paths) with mmengine; gives its CPU seconds.

    `answer` becomes lines of `path<TAB>literal`, see `mmengine_child` and `answers`. `sites` are folders with more
    packages.
    """
    command, environment = mmengine_command(sites)
    argv = [*command, str(CHILD), str(root), str(answer), *paths]
    ended = subprocess.run(
        argv, capture_output=True, text=True, check=False, timeout=1800, cwd=answer.parent, env=environment
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return float(ended.stdout.split()[-1])


def raw_answers(path: Path, root: Path) -> dict[str, str]:
    """What `load_with_mmengine` wrote: path -> literal, with the folder itself taken out of its texts."""
    here = f"{root}/"
    lines = (line.split("\t", 1) for line in path.read_text(encoding="utf-8").splitlines())
    return {name: text.replace(here, "") for name, text in lines}


def value_of(literal: str) -> Any:
    """An answer as a value: settings, or a text that begins with `Error: `."""
    names = {"inf": float("inf"), "nan": float("nan"), "range": range, "set": set, "frozenset": frozenset}
    # mmengine's answers, written by our own child: literals, and ranges and sets, which `literal_eval` does not know
    return eval(literal, {"__builtins__": {}, **names})


def answers(path: Path, root: Path) -> dict[str, Any]:
    """What `load_with_mmengine` wrote, as values."""
    return {name: value_of(text) for name, text in raw_answers(path, root).items()}
