"""What lies around the projects of the index and breaks them: extensions built for numpy 1, op-less wheels in caches.

Edge: reads compiled files of the target's site-packages, and the names in pip's and uv's caches. Nothing is imported.

An extension that was compiled with numpy 1's headers imports `numpy.core._multiarray_umath` and cannot run on numpy 2;
numpy 2's headers import `numpy._core._multiarray_umath` first and fall back to the old name, so both names stand in the
file (numpy 2.0 release notes; `__multiarray_api.h` of both).
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.machine.files import names_in
from zoo_cli.machine.installed import read_files
from zoo_cli.packages.evidence import Surroundings
from zoo_cli.packages.wheels import BadWheelName, parse_wheel_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zoo_cli.catalog.entries import Project
    from zoo_cli.machine.facts import Interpreter

MAX_CACHED = 20_000  # directories of a cache that are looked at
_MAX_BYTES = 512 << 20
_CHUNK = 4 << 20
_OLD, _NEW = b"numpy.core._multiarray_umath", b"numpy._core._multiarray_umath"
_EXTENSION = re.compile(r"\.(so|pyd)\Z")
_KNOWN = frozenset({"numpy", "torch"})  # torch's numpy is in the index as a wall


def read_surroundings(python: Interpreter, projects: Mapping[str, Project], environ: Mapping[str, str]) -> Surroundings:
    """What surrounds the projects of the index in a target and its user's caches."""
    numpy = python.distribution("numpy")
    is_two = numpy is not None and numpy.version.partition(".")[0].isdigit() and int(numpy.version.split(".")[0]) >= 2
    built = tuple(_built_for_one(python)) if is_two else ()
    ops = {name for name, project in projects.items() if project.kind == "ops"}
    return Surroundings(built, tuple(_cached(ops, environ)))


def _built_for_one(python: Interpreter) -> Iterator[tuple[str, str, str]]:
    """The first file of each distribution that was compiled for numpy 1."""
    for here in python.distributions:
        if here.name in _KNOWN or not any(re.match(r"numpy\b(?!-)", each) for each in here.requires):
            continue
        for name in read_files(here):
            if _EXTENSION.search(name) and _is_for_numpy1(Path(here.location, name)):
                yield here.name, here.version, name
                break


def _is_for_numpy1(path: Path) -> bool:
    found_old = False
    try:
        with path.open("rb") as stream:
            rest, left = b"", _MAX_BYTES
            while left > 0 and (chunk := stream.read(_CHUNK)):
                left -= len(chunk)
                text = rest + chunk
                if _NEW in text:
                    return False
                found_old = found_old or _OLD in text
                rest = text[-len(_NEW) :]
    except OSError:
        return False
    return found_old


def _cached(ops: set[str], environ: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for tool, directory in _caches(environ):
        for name in _wheels(directory):
            try:
                wheel = parse_wheel_name(name)
            except BadWheelName:
                continue
            if wheel.project in ops and name.endswith("-none-any.whl"):
                yield wheel.project, name, tool


def _caches(environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    """Where pip and uv keep the wheels that they built."""
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or "/nowhere")
    usual = {"darwin": home / "Library/Caches", "win32": Path(environ.get("LOCALAPPDATA") or home)}.get(
        sys.platform, Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
    )
    pip = usual / ("pip/Cache" if sys.platform == "win32" else "pip")
    uv_usual = usual if sys.platform != "darwin" else Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
    uv = uv_usual / ("uv/cache" if sys.platform == "win32" else "uv")
    yield "pip", Path(environ.get("PIP_CACHE_DIR") or pip) / "wheels"
    root = Path(environ.get("UV_CACHE_DIR") or uv)
    for name in names_in(root, 1000):
        if name.startswith("sdists-"):
            yield "uv", root / name


def _wheels(directory: Path) -> Iterator[str]:
    """Names of wheels below a directory, sorted; each once. Sources that were unpacked there are passed over."""
    found: set[str] = set()
    for count, (_place, folders, files) in enumerate(os.walk(directory)):
        if count >= MAX_CACHED:
            break
        folders[:] = [name for name in folders if name != "src"]
        found |= {name for name in files if name.endswith(".whl")}
    yield from sorted(found)
