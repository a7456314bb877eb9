"""Other scanners of checkpoints in an environment of their own, for comparison, and picklescan's regression files.

    verdicts = peer_verdicts("picklescan", folder)   # file name -> "stopped" | "passed" | "not-scanned"
    files = regression_files()                       # what picklescan's own tests are about, from its sdists

The environment is made once in the checkout's cache; the sdist is fetched from the package index and never committed.
"""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path

from tests.support import pypi
from tests.support.pickles import pickle, short
from tests.support.torch_env import made_once, pip_install, torch_python
from zoo_cli.trust.archive import unpack_sdist

PEERS = {"picklescan": "1.0.5", "fickling": "0.1.12", "modelscan": "0.8.8"}
# What they need and do not say, and what picklescan's old tests import.
BESIDE = ("typing_extensions", "aiohttp", "py7zr", "pytest", "requests", "numpy")
WITH_FILES = "0.0.32"  # later sdists have neither the files nor the code that writes them
_CHILD = Path(__file__).parent / "scan_peers_child.py"


@lru_cache
def peers_python() -> str:
    """The interpreter of the environment with the other scanners."""
    wanted = [*(f"{name}=={version}" for name, version in PEERS.items()), *BESIDE]

    def make(place: Path) -> None:
        subprocess.run((sys.executable, "-m", "venv", str(place)), check=True, timeout=300)
        pip_install(place / "bin" / "python", *wanted)

    return str(made_once("scan-peers", make, ", ".join(wanted)) / "bin" / "python")


def peer_verdicts(peer: str, folder: Path) -> dict[str, str]:
    """What another scanner says of each file of a folder."""
    argv = (peers_python(), "-I", str(_CHILD), peer, str(folder))
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def _sdist(version: str) -> Path:
    """picklescan's sdist of a version, unpacked."""
    name = f"picklescan-{version}"

    def make(place: Path) -> None:
        place.mkdir()
        unpack_sdist(pypi.file(f"{name}.tar.gz"), place)

    return made_once(name, make, name) / name


@lru_cache
def regression_files() -> dict[str, bytes]:
    """What picklescan's own tests are about, by name.

    Its last release that wrote the files itself is asked to write them, as far as their modules still exist; and each
    function that the newest release's tests call dangerous is called by a pickle made here.
    """
    found: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("data", "data2"):
            (Path(folder) / name).mkdir()
        shutil.copy(_sdist(WITH_FILES) / "tests" / "test_scanner.py", folder)
        torch_site = next(Path(torch_python()).parent.parent.glob("lib/python*/site-packages"))
        code = f"import sys; sys.path[:0] = [{folder!r}]; sys.path.append({str(torch_site)!r}); import test_scanner"
        subprocess.run((peers_python(), "-I", "-c", code), capture_output=True, check=False, timeout=300)
        for path in sorted(Path(folder).glob("data*/*")):
            found[path.name] = path.read_bytes()
    for module, name in sorted(_dangerous_names()):
        called = short(module) + short(name) + b"\x93" + short("x") + b"\x85R"
        found[f"{module}.{name}.pkl"] = pickle(called, 4)
    return found


def _dangerous_names() -> set[tuple[str, str]]:
    """(module, name) of every `Global(module, name, SafetyLevel.Dangerous)` in the newest release's tests."""
    tree = ast.parse((_sdist(PEERS["picklescan"]) / "tests" / "test_scanner.py").read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or ast.unparse(node.func) != "Global" or len(node.args) != 3:
            continue
        parts = [part.value for part in node.args[:2] if isinstance(part, ast.Constant)]
        if len(parts) == 2 and ast.unparse(node.args[2]) == "SafetyLevel.Dangerous" and "unknown" not in parts:
            found.add((str(parts[0]), str(parts[1])))
    return found
