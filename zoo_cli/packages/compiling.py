"""The work of one source build: its directory, its build environment, its sources, and the build backend as a child.

Edge: a directory in the cache and child processes. The directory is named by the build's key and locked: a build that
was cut off goes on where it stood (ninja keeps the objects that are whole), and two builds of one wheel exclude each
other, also from the compilers that a killed one left behind. What goes wrong elsewhere, and what is done here instead:
isolation builds against no torch or another one (this environment sees the target's packages behind its own tools, and
does not change the target); the newest setuptools has no pkg_resources (a recipe names a fitting one).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli import filelock
from zoo_cli.atomic import write_whole
from zoo_cli.packages.executor import find_installer, find_uv, make_environment, preferred_kind, run_step
from zoo_cli.packages.steps import Step
from zoo_cli.packages.unity import group_sources, unit_text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from zoo_cli.catalog.entries import Recipe
    from zoo_cli.packages.indexes import UserIndex
    from zoo_cli.packages.toolchain import Target

LEGACY = "setuptools.build_meta:__legacy__"  # what PEP 517 prescribes where pyproject.toml names no backend
_TORCH = re.compile(r"torch\b(?![\w.-])")
_HEADERS = ("*.h", "*.hh", "*.hpp", "*.hxx", "*.cuh")
_MARK = "zoo-answer:"
# A PEP 517 frontend. Hooks that a backend may leave out answer as the standard says.
_FRONTEND = f"""
import importlib, json, sys
hook, backend, path, out = sys.argv[1:5]
sys.path[0:1] = json.loads(path)
name, _, attribute = backend.partition(":")
backend = importlib.import_module(name)
for part in filter(None, attribute.split(".")):
    backend = getattr(backend, part)
if hook.startswith("get_requires"):
    answer = getattr(backend, hook, lambda settings=None: [])()
else:
    answer = getattr(backend, hook)(out)
print("\\n{_MARK}" + json.dumps(answer))
"""


@dataclass(frozen=True, slots=True)
class Backend:
    """How a project wants to be built (PEP 517, PEP 518)."""

    requires: tuple[str, ...]
    name: str = LEGACY
    path: tuple[str, ...] = ()  # of a backend inside the source
    is_said: bool = False  # by a recipe, so that it is not asked for more


@contextmanager
def work_place(cache: Path, key: str) -> Iterator[tuple[Path, int]]:
    """The directory of a build, and its lock, held: waits for another build of the same key."""
    place = cache / "building"
    place.mkdir(parents=True, exist_ok=True)
    with filelock.hold(place / f".{key}.lock", wait_seconds=None) as lock:
        work = place / key
        work.mkdir(exist_ok=True)
        yield work, lock


def backend_of(source: Path, recipe: Recipe | None) -> Backend:
    """The build backend of a source: what its recipe says, else its pyproject.toml, else setuptools' for setup.py.

    Raises:
        ValueError: pyproject.toml is none, or its build-system breaks PEP 518.
    """
    if recipe:
        return Backend(recipe.requires, is_said=True)
    try:
        document = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Backend(("setuptools", "wheel"))
    except (OSError, RecursionError) as exc:
        raise ValueError(f"pyproject.toml cannot be read: {exc}") from exc
    table = document.get("build-system", {})
    system = table if isinstance(table, dict) else {"requires": table}
    requires, path = system.get("requires", ["setuptools", "wheel"]), system.get("backend-path", [])
    name = system.get("build-backend", LEGACY)
    lists = all(isinstance(each, list) and all(isinstance(word, str) for word in each) for each in (requires, path))
    if not lists or not isinstance(name, str) or any(word.startswith("-") for word in requires):
        raise ValueError("build-system in pyproject.toml breaks PEP 518")
    inside = tuple(str((source / each).resolve()) for each in path)
    if any(not Path(each).is_relative_to(source.resolve()) for each in inside):
        raise ValueError("backend-path in pyproject.toml leads out of the project")
    return Backend(tuple(requires), name, inside)


def make_build_environment(work: Path, target: Target, backend: Backend, index: UserIndex) -> str:
    """An environment with the build tools, in which the target's packages are visible behind them; its interpreter."""
    directory, mark = work / "env", work / "env.ready"
    python = str(directory / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    if mark.exists():
        return python
    shutil.rmtree(directory, ignore_errors=True)
    uv = find_uv() if preferred_kind() != "pip" else None
    if uv:
        words = (uv, "venv", "--no-config", "--python", target.python, "--", str(directory))
        run_step(Step(words, {}, "make the build environment"))
    else:
        make_environment(directory, target.python)
    add_build_tools(python, target, backend.requires, index)
    site = next(iter(sorted(directory.glob("lib/python*/site-packages"))), directory / "Lib" / "site-packages")
    (site / "zoo_target.pth").write_text("\n".join(target.site_packages) + "\n", encoding="utf-8")
    write_whole(mark, b"")
    return python


def add_build_tools(python: str, target: Target, requires: Sequence[str], index: UserIndex) -> None:
    """Installs what a build requires; never torch, which has to be the target's own."""
    words = tuple(each for each in requires if not _TORCH.match(each))
    if words:
        tools = find_installer(python, version=target.version)
        run_step(tools.install_requirements(words, index=index, reason="install build tools"))


def asks_for_torch(requires: Sequence[str]) -> bool:
    """Whether torch is among build requirements."""
    return any(_TORCH.match(each) for each in requires)


@dataclass(frozen=True)
class Child:
    """The build backend of one source, to be called in a child process."""

    python: str  # of the build environment
    source: Path
    backend: Backend
    variables: Mapping[str, str]
    held: tuple[int, ...]  # locks that the child keeps, should zoo be killed

    def requires(self, hook: str) -> tuple[str, ...]:
        """What more a hook needs; a recipe has said it all."""
        if self.backend.is_said:
            return ()
        found = self.call(f"get_requires_for_{hook}", self.source, "ask what the build needs", lambda _line: None)
        return tuple(map(str, found)) if isinstance(found, list) else ()

    def call(self, hook: str, out: Path, reason: str, listen: Callable[[str], None]) -> object:
        """Runs one hook in the source's folder; its answer.

        Raises:
            StepFailed: it failed, or gave no answer.
        """
        path = os.pathsep.join((str(Path(self.python).parent), os.environ.get("PATH", os.defpath)))
        words = (self.python, "-c", _FRONTEND, hook, self.backend.name, json.dumps(self.backend.path), str(out))
        answers: list[str] = []

        def take(line: str) -> None:
            if line.startswith(_MARK):
                answers.append(line.removeprefix(_MARK))
            else:
                listen(line)

        run_step(Step(words, {**self.variables, "PATH": path}, reason, str(self.source)), take, held=self.held)
        return json.loads(answers[-1]) if answers else None


def combine_sources(source: Path, folders: Sequence[str], units: int, suffix: str = ".cpp") -> tuple[int, int]:
    """Makes a source tree compile its files in few runs; returns how many runs, and of how many files.

    A file gets another ending, so that setup.py's `*.cpp` does not see it, and stays in its folder, so that its own
    includes are found; a unit in the first folder includes it. Nothing inside a file changes.
    """
    texts = {
        path: path.read_text(encoding="utf-8", errors="replace")
        for folder in folders
        for path in sorted((source / folder).glob(f"*{suffix}"))
    }
    if not texts:
        return 0, 0
    moved = {f"{path.resolve().as_posix()}.inc": text for path, text in texts.items()}
    for path in texts:
        path.rename(path.with_name(f"{path.name}.inc"))
    groups = group_sources(moved, units, _headers(source / Path(folders[0]).parts[0]))
    for number, group in enumerate(groups):
        (source / folders[0] / f"zoo_unit_{number}{suffix}").write_text(unit_text(group, moved), encoding="utf-8")
    return len(groups), len(texts)


def _headers(top: Path) -> dict[str, str]:
    """The headers below a folder by file name; those of one name count as one."""
    found: dict[str, str] = {}
    for path in sorted(each for pattern in _HEADERS for each in top.rglob(pattern)):
        found[path.name] = found.get(path.name, "") + path.read_text(encoding="utf-8", errors="replace")
    return found


def flags_for(flags: str, names: Mapping[Path, str]) -> str:
    """Compiler flags that write these directories under other names: asserts name files, ours are private.

    A path with a blank is left as it is, since it would not survive setuptools and ninja.
    """
    maps = [f"-ffile-prefix-map={path}={name}" for path, name in names.items() if not re.search(r"[\s'\"$]", str(path))]
    return " ".join(filter(None, (flags, *maps)))
