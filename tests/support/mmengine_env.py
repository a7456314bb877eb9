"""An environment with mmengine 0.10.7, for what only mmengine can answer: is zoo's flattening equal to its own?

Made once in the checkout's cache, from the package registry. mmengine needs torch to be imported; the registry's CPU
build is enough, and pip (not uv) finds a local one first. `setuptools<82` still has pkg_resources, which mmengine uses.
"""

from __future__ import annotations

import subprocess
import sys
from functools import lru_cache
from pathlib import Path

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


def load_with_mmengine(root: Path, answer: Path, paths: tuple[str, ...] = ()) -> float:
    """Loads every config under `root/configs` (or those paths) with mmengine; gives its CPU seconds.

    `answer` becomes a Python literal: path -> settings, or a text with the error; see `mmengine_child`.
    """
    argv = [str(mmengine_python()), str(CHILD), str(root), str(answer), *paths]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=900, cwd=root)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return float(ended.stdout.split()[-1])
