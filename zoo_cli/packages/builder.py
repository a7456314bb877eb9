"""Builds a wheel with compiled ops from a project's sdist, for one interpreter and the very torch it has.

Edge: compilers as child processes, a build directory, the cache of built wheels. What goes wrong elsewhere, and what is
done here instead: isolation builds against no torch or another one (a build environment of our own sees the target's
torch, and does not change the target); the newest setuptools has no pkg_resources (a fitting one is put there); pip and
uv cache by name and version only (our key has torch, compiler, platform and more); a "successful" build has no ops (the
wheel is inspected before it counts). Sources stay unchanged; files are compiled in few units (see `unity`), and one by
one if that fails. Building runs the project's setup.py: it is done only when the user asks for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.packages.executor import Step, StepFailed, find_installer, find_uv, make_environment, run_step
from zoo_cli.packages.indexes import PYPI, UserIndex, user_index
from zoo_cli.packages.toolchain import Target, Toolchain, find_toolchain, read_target
from zoo_cli.packages.unity import group_sources, unit_text
from zoo_cli.packages.wheels import normalise
from zoo_cli.transfer.events import Event, Noted
from zoo_cli.trust.archive import unpack_sdist
from zoo_cli.trust.wheel import WheelReport, inspect_wheel, require_sound, unresolved

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zoo_cli.packages.findlinks import Link
    from zoo_cli.transfer.fetch import Settings

RECIPE_REVISION = 3  # part of the cache key: raise it when the way of building changes what comes out
_FLAGS = "-g0 -O2 -w"  # without debug information: half the time, a twentieth of the size
_NINJA_LINE = re.compile(r"\[(\d+)/(\d+)\] ")
# PEP 517 in a process of its own; __legacy__ serves a setup.py without pyproject.toml as well.
_BUILD = "import sys; from setuptools import build_meta as b; b.__legacy__.build_wheel(sys.argv[1])"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What building a project takes, beyond what its own files say."""

    folders: tuple[str, ...] = ()  # of C++ sources that may be compiled together; the units go into the first
    variables: Mapping[str, str] = field(default_factory=dict)
    requires: tuple[str, ...] = ("setuptools", "wheel", "ninja", "packaging")


_MMCV = Recipe(
    folders=("mmcv/ops/csrc/pytorch", "mmcv/ops/csrc/pytorch/cpu"),
    variables={"MMCV_WITH_OPS": "1", "FORCE_CUDA": "0"},
    requires=("setuptools<81", "wheel", "ninja", "packaging"),  # 81 took pkg_resources away, which setup.py imports
)
RECIPES = {"mmcv": _MMCV, "mmcv-full": _MMCV, "onedl-mmcv": _MMCV}


@dataclass(eq=False)
class CannotBuild(ZooError):
    """This project, in this version or for this target, cannot be built by zoo."""

    code = "cannot-build"
    exit_code = ExitCode.ENVIRONMENT

    project: str
    version: str
    reason: str


@dataclass(eq=False)
class BuiltWrong(ZooError):
    """The build ended well, and what came out must not be installed."""

    code = "built-wrong"
    exit_code = ExitCode.INTEGRITY

    project: str
    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class Stage:
    """A build goes on to its next part."""

    text: str


@dataclass(frozen=True, slots=True)
class Compiled:
    """So many compiler runs are done."""

    done: int
    total: int


BuildEvent = Event | Stage | Compiled


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build, and for whom."""

    project: str  # normalised
    version: str
    python: str  # the target interpreter, which has torch
    jobs: int | None = None  # compilers at a time; None: what the machine bears
    cpu_only: bool = False  # although the target's torch is built for CUDA
    again: bool = False  # also when the cache has it


@dataclass(frozen=True, slots=True)
class BuiltWheel:
    """A wheel that was built here, inspected, and is kept in the cache."""

    path: Path
    sha256: str
    key: str
    torch: str  # the full version it was built against
    seconds: float  # the build took, also when it was cached
    was_cached: bool


def build_wheel(
    request: BuildRequest, settings: Settings, listen: Callable[[BuildEvent], None] = lambda _event: None
) -> BuiltWheel:
    """Builds a wheel, or takes the one that was built from the same things before.

    Raises:
        MissingTool, TargetUnreadable: the machine or the target lacks something.
        CannotBuild: there is no such sdist, or the target is one zoo does not build for.
        StepFailed: the compiler or setup.py failed.
        BuiltWrong, UnsoundWheel: the outcome has no ops, or does not match the target's torch.
    """
    return _Build(request, settings, listen).run()


class _Build:
    """One build from request to cache."""

    def __init__(self, request: BuildRequest, settings: Settings, listen: Callable[[BuildEvent], None]) -> None:
        from zoo_cli.directories import cache_directory

        self.request, self.settings, self.listen = request, settings, listen
        self.recipe = RECIPES.get(normalise(request.project), Recipe())
        self.cache = cache_directory()

    def run(self) -> BuiltWheel:
        target = read_target(self.request.python)
        if target.torch_cuda and not self.request.cpu_only:
            reason = (
                f"the target's torch {target.torch} is built for CUDA {target.torch_cuda}; zoo compiles CPU ops only"
            )
            raise CannotBuild(self.request.project, self.request.version, reason)
        self.cache.mkdir(parents=True, exist_ok=True)
        tools = find_toolchain(self.cache, f"{self.request.project} {self.request.version}")
        index = user_index()
        sdist = self._find_sdist(index)
        key = self._key(target, tools, sdist)
        place = self.cache / "built" / key
        if not self.request.again and (kept := read_built(place)):
            return kept
        return self._build(target, tools, sdist, index, place)

    def _find_sdist(self, index: UserIndex) -> Link:
        """The sdist on the user's index, with its digest."""
        from zoo_cli.packages.findlinks import MAX_PAGE, read_links
        from zoo_cli.packages.pages import ACCEPT
        from zoo_cli.transfer.fetch import read_document

        project, version = normalise(self.request.project), self.request.version
        page = f"{(index.index_url or PYPI).rstrip('/')}/{project}/"
        document = read_document((page,), MAX_PAGE, self.settings, accept=ACCEPT)
        for link in read_links(document.body, document.url, document.content_type or ""):
            if is_sdist_of(link.filename, project, version):
                if not link.sha256:
                    raise CannotBuild(project, version, f"{page} gives no digest for {link.filename}")
                return link
        raise CannotBuild(project, version, f"{page} lists no .tar.gz of this version")

    def _key(self, target: Target, tools: Toolchain, sdist: Link) -> str:
        facts = {
            "revision": RECIPE_REVISION,
            "sdist": sdist.sha256,
            "torch": target.torch,
            "cuda": None if self.request.cpu_only else target.torch_cuda,
            "python": target.tag,
            "platform": target.platform,
            "libc": target.libc,
            "compiler": tools.compiler_version,
            "flags": _FLAGS,
            "opencv": target.opencv,
        }
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        return f"{normalise(self.request.project)}-{self.request.version}-{digest[:32]}"

    def _build(self, target: Target, tools: Toolchain, sdist: Link, index: UserIndex, place: Path) -> BuiltWheel:
        started = time.monotonic()
        archive = self._fetch(sdist)
        place.parent.mkdir(parents=True, exist_ok=True)
        _sweep(place.parent)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=place.parent) as folder:
            work = Path(folder)
            self.listen(Stage(f"making a build environment that sees torch {target.torch}"))
            python = self._environment(work / "env", target, index)
            out = self._compile(work, archive, python, target, tools)
            self.listen(Stage("inspecting the wheel"))
            report = self._inspect(out, target)
            return _keep(report, place, target.torch, time.monotonic() - started)

    def _fetch(self, sdist: Link) -> Path:
        from zoo_cli.transfer.fetch import Wanted, fetch
        from zoo_cli.transfer.hashes import parse_sha256
        from zoo_cli.transfer.store import Store

        assert sdist.sha256 is not None
        wanted = Wanted(sdist.filename, (sdist.url,), sdist.size_bytes, parse_sha256(sdist.sha256))
        place = self.cache / "sdists" / sdist.sha256 / sdist.filename
        return fetch(wanted, place, self.settings, self.listen, store=Store(self.cache), replace=True).path

    def _environment(self, directory: Path, target: Target, index: UserIndex) -> str:
        """An environment with the build tools, in which the target's packages are visible behind them."""
        uv = find_uv()
        if uv:
            run_step(
                Step(
                    (uv, "venv", "--no-config", "--python", target.python, "--", str(directory)),
                    {},
                    "build environment",
                )
            )
        else:
            make_environment(directory, target.python)
        python = str(directory / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
        site = next(iter(sorted(directory.glob("lib/python*/site-packages"))), directory / "Lib" / "site-packages")
        tools = find_installer(python, version=target.version)
        step = tools.install_requirements(
            self.recipe.requires, index=index, only_binary=(":all:",), reason="build tools"
        )
        run_step(step)
        (site / "zoo_target.pth").write_text("\n".join(target.site_packages) + "\n", encoding="utf-8")
        return python

    def _compile(self, work: Path, archive: Path, python: str, target: Target, tools: Toolchain) -> Path:
        """The folder with the wheel: compiled in few units, and one by one if that fails."""
        if self.recipe.folders:
            source = self._unpack(archive, work / "combined")
            units, files = combine_sources(source, self.recipe.folders, max(2, tools.jobs(self.request.jobs)))
            if units:
                self.listen(Stage(f"compiling {files} files in {units} runs for torch {target.torch}"))
                try:
                    return self._setup(source, work / "out-combined", python, target, tools)
                except StepFailed as error:
                    self.listen(Noted(f"compiling in few runs failed (log: {error.log}); compiling file by file"))
        source = self._unpack(archive, work / "plain")
        self.listen(Stage(f"compiling file by file for torch {target.torch}"))
        return self._setup(source, work / "out-plain", python, target, tools)

    def _unpack(self, archive: Path, directory: Path) -> Path:
        directory.mkdir()
        return unpack_sdist(archive, directory)

    def _setup(self, source: Path, out: Path, python: str, target: Target, tools: Toolchain) -> Path:
        out.mkdir()
        flags = flags_for({source.resolve(): ".", target.torch_directory: "torch"})
        path = os.pathsep.join((str(Path(python).parent), os.environ.get("PATH", os.defpath)))
        variables = {
            **self.recipe.variables,
            "MAX_JOBS": str(tools.jobs(self.request.jobs)),
            "CFLAGS": flags,
            "CXXFLAGS": flags,
            "PATH": path,
            "CUDA_VISIBLE_DEVICES": "",  # setup.py compiles for CUDA wherever torch sees a GPU
        }
        reason = f"compile {self.request.project} {self.request.version}"
        run_step(Step((python, "-c", _BUILD, str(out)), variables, reason, str(source)), self._hear)
        return out

    def _hear(self, line: str) -> None:
        if progress := _NINJA_LINE.match(line):
            self.listen(Compiled(int(progress[1]), int(progress[2])))

    def _inspect(self, out: Path, target: Target) -> WheelReport:
        wheels = sorted(out.glob("*.whl"))
        if len(wheels) != 1:
            raise BuiltWrong(self.request.project, self.request.version, f"the build left {len(wheels)} wheels")
        report = require_sound(inspect_wheel(wheels[0], expects_ops=True))
        if not any(tag.startswith(f"{target.tag}-") for tag in report.tags):
            reason = f"the wheel is for {', '.join(report.tags[:3])}, not for {target.tag}"
            raise BuiltWrong(self.request.project, self.request.version, reason)
        for extension in report.extensions:
            missing = unresolved(extension.elf, target.torch_directory / "lib") if extension.elf else ()
            if missing:
                reason = f"{extension.path} needs {missing[0]}, which torch {target.torch} does not have"
                raise BuiltWrong(self.request.project, self.request.version, reason)
        return report


def flags_for(names: Mapping[Path, str]) -> str:
    """Compiler flags that write these directories under other names: asserts name files, ours are private.

    A path with a blank is left as it is, since it would not survive setuptools and ninja.
    """
    maps = [f"-ffile-prefix-map={path}={name}" for path, name in names.items() if not re.search(r"[\s'\"$]", str(path))]
    return " ".join((_FLAGS, *maps))


def _sweep(directory: Path) -> None:
    """Removes what builds that were killed left behind a day ago or longer."""
    for left in directory.glob(".*ing-*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > 86_400:
                shutil.rmtree(left, ignore_errors=True)


def is_sdist_of(filename: str, project: str, version: str) -> bool:
    """Whether a file name is that of the project's `.tar.gz` sdist in that version (PEP 625, and older spellings)."""
    stem, ending = filename[:-7], filename[-7:]
    name, _, found = stem.rpartition("-")
    return ending == ".tar.gz" and normalise(name) == normalise(project) and found == version


def combine_sources(source: Path, folders: tuple[str, ...], units: int) -> tuple[int, int]:
    """Makes a source tree compile its C++ files in few runs; returns how many runs, and of how many files.

    A file gets another ending, so that setup.py's `*.cpp` does not see it, and stays in its folder, so that its own
    includes are found; a unit in the first folder includes it. Nothing inside a file changes.
    """
    texts = {
        path: path.read_text(encoding="utf-8", errors="replace")
        for folder in folders
        for path in sorted((source / folder).glob("*.cpp"))
    }
    if not texts:
        return 0, 0
    moved = {f"{path.resolve().as_posix()}.inc": text for path, text in texts.items()}
    for path in texts:
        path.rename(path.with_name(f"{path.name}.inc"))
    groups = group_sources(moved, units)
    for number, group in enumerate(groups):
        (source / folders[0] / f"zoo_unit_{number}.cpp").write_text(unit_text(group, moved), encoding="utf-8")
    return len(groups), len(texts)


def _keep(report: WheelReport, place: Path, torch: str, seconds: float) -> BuiltWheel:
    """Puts a wheel with its record into the cache; the folder appears under its name complete or not at all."""
    with tempfile.TemporaryDirectory(prefix=".keeping-", dir=place.parent) as folder:
        fresh = Path(folder) / "new"
        fresh.mkdir()
        shutil.move(report.path, fresh / report.path.name)
        built = BuiltWheel(place / report.path.name, report.sha256, place.name, torch, seconds, was_cached=False)
        record = {**asdict(built), "path": report.path.name}
        (fresh / "build.json").write_text(json.dumps(record, sort_keys=True), encoding="utf-8")
        if place.exists():
            place.rename(Path(folder) / "old")
        fresh.rename(place)
    return built


def read_built(place: Path) -> BuiltWheel | None:
    """The wheel kept in a folder of the cache, when its bytes are still those that were built."""
    try:
        record = json.loads((place / "build.json").read_text(encoding="utf-8"))
        path = place / Path(str(record["path"])).name
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        kept = BuiltWheel(path, digest, place.name, str(record["torch"]), float(record["seconds"]), was_cached=True)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return kept if record["sha256"] == digest else None
