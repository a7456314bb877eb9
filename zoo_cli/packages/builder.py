"""Builds a wheel from a project's source, for one interpreter and the very torch it has.

Edge: the cache of built wheels, and the work directories (see `compiling`). What goes wrong elsewhere, and what is done
here instead: pip and uv cache by name and version only (our key has torch, CUDA, GPUs, compiler, platform and more); a
"successful" build has no ops (the wheel is inspected before it counts). Sources stay unchanged; files are compiled in
few units (see `unity`), and one by one if that fails or is asked for. Building runs the project's own code: it is done
only when the user asks for it.
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
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.atomic import write_whole
from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.packages import compiling
from zoo_cli.packages.executor import StepFailed
from zoo_cli.packages.indexes import PYPI, UserIndex, user_index
from zoo_cli.packages.nvcc import CudaToolkit, find_toolkit
from zoo_cli.packages.sources import Source, name_of_archive, put_source
from zoo_cli.packages.toolchain import check_standard, find_toolchain, read_target
from zoo_cli.packages.versions import version
from zoo_cli.packages.wheels import normalise
from zoo_cli.transfer.events import Event, Noted
from zoo_cli.trust.wheel import inspect_wheel
from zoo_cli.trust.wheelreport import WheelReport, require_sound

if TYPE_CHECKING:
    from zoo_cli.catalog.entries import Recipe
    from zoo_cli.packages.evidence import TorchLibraries
    from zoo_cli.packages.findings import Finding
    from zoo_cli.packages.findlinks import Link
    from zoo_cli.transfer.fetch import Settings

REVISION = 4  # part of the cache key: raise it when the way of building changes what comes out
_FLAGS = "-g0 -O2 -w"  # without debug information: half the time, a twentieth of the size
_NINJA_LINE = re.compile(r"\[(\d+)/(\d+)\] ")


class CannotBuild(ZooError):
    """This project, in this version or for this target, cannot be built by zoo."""

    code = "cannot-build"
    exit_code = ExitCode.ENVIRONMENT

    project: str
    version: str
    reason: str


class BuiltWrong(ZooError):
    """The build ended well, and what came out must not be installed."""

    code = "built-wrong"
    exit_code = ExitCode.INTEGRITY

    project: str
    version: str
    reason: str
    finding: Finding | None = None  # in place of a reason: what its files show, as check-env would say it


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
# What forbids a wheel to work in the target, with what the target's torch offers (`arrivals.refusal_here`).
Judging = Callable[[WheelReport, "TorchLibraries | None"], "Finding | None"]


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build, and for whom."""

    project: str  # normalised
    version: str
    python: str  # the target interpreter, which has torch
    recipe: Recipe | None = None
    source: Source | None = None  # None: the sdist on the user's index
    jobs: int | None = None  # compilers at a time; None: what the machine bears
    cpu_only: bool = False  # although the target's torch is built for CUDA
    architectures: tuple[str, ...] = ()  # compute capabilities to compile for: "8.6"
    stock: bool = False  # the sources as they are, with no flags of ours
    again: bool = False  # also when the cache has it, and from the beginning


@dataclass(frozen=True, slots=True)
class BuiltWheel:
    """A wheel that was built here, inspected, and is kept in the cache."""

    path: Path
    sha256: str
    key: str
    torch: str | None  # the full version it was built against
    seconds: float  # the build took, also when it was cached
    was_cached: bool


def build_wheel(
    request: BuildRequest,
    settings: Settings,
    judge: Judging,
    listen: Callable[[BuildEvent], None] = lambda _event: None,
    places: tuple[str, ...] = (),
) -> BuiltWheel:
    """Builds a wheel, or takes the one that was built from the same things before.

    A build that was cut off goes on where it stood, where its build tool can (ninja).

    Args:
        request: what to build.
        settings: of the transfer.
        judge: what forbids the wheel to work in the target; only what nothing forbids is kept.
        listen: told what happens.
        places: directories with build tools, where there is no network.

    Raises:
        MissingTool, TargetUnreadable: the machine or the target lacks something.
        CannotBuild: there is no such sdist, or its pyproject.toml is none.
        StepFailed: the compiler or the build backend failed.
        BuiltWrong, UnsoundWheel: the outcome is another project, or cannot work in the target.
    """
    index = user_index()._replace(only=places if settings.offline else None)
    return _Build(request, settings, judge, listen, index).run()


class _Build:
    """One build from request to cache."""

    def __init__(
        self,
        request: BuildRequest,
        settings: Settings,
        judge: Judging,
        listen: Callable[[BuildEvent], None],
        index: UserIndex,
    ) -> None:
        from zoo_cli.directories import cache_directory, own_cache

        self.request, self.settings, self.judge, self.listen, self.index = request, settings, judge, listen, index
        self.recipe = request.recipe
        self.cache = cache_directory()
        self.own = own_cache(self.cache)  # what is compiled here is believed: nobody else may put it there
        self.own.mkdir(parents=True, exist_ok=True)
        self.has_ops = self.recipe is not None and self.recipe.needs_torch
        self.target = read_target(request.python, needs_torch=self.has_ops)
        needed_for = f"{request.project} {request.version}"
        self.tools = find_toolchain(self.own, needed_for)
        check_standard(self.target, self.tools, needed_for)
        self.cuda = self._toolkit(needed_for)

    def run(self) -> BuiltWheel:
        project, number = normalise(self.request.project), self.request.version
        sdist = None if self.request.source else find_sdist(project, number, self.index, self.settings)
        key = self._key(sdist)
        place = self.own / "built" / key
        if not self.request.again and (kept := read_built(place)):
            return kept
        place.parent.mkdir(parents=True, exist_ok=True)
        _sweep(place.parent)
        _sweep(self.own / "building")
        with compiling.work_place(self.own, key) as (work, lock):
            if not self.request.again and (kept := read_built(place)):
                return kept
            if self.request.again:
                _empty(work)
            built = self._build(sdist, place, work, (lock,))
            shutil.rmtree(work, ignore_errors=True)
        return built

    def _toolkit(self, needed_for: str) -> CudaToolkit | None:
        if not self.has_ops or not self.target.torch_cuda or self.request.cpu_only:
            return None
        return find_toolkit(self.target, self.tools, self.request.architectures, needed_for, os.environ)

    def _key(self, sdist: Link | None) -> str:
        source, target = self.request.source, self.target
        facts = {
            "revision": REVISION,
            "source": source.digest if source else sdist.sha256 if sdist else None,
            "editable": source.place if source and source.is_editable else None,
            **({"subdirectory": source.subdirectory} if source and source.subdirectory else {}),
            "stock": self.request.stock,
            "recipe": [*self.recipe.requires, *map(list, sorted(self.recipe.variables.items()))] if self.recipe else [],
            "torch": target.torch,
            "cuda": [self.cuda.version, *self.request.architectures] if self.cuda else None,
            "python": target.tag,
            "platform": target.platform,
            "libc": target.libc,
            "compiler": self.tools.compiler_version,
            "flags": _FLAGS,
            "opencv": target.opencv,
        }
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        return f"{normalise(self.request.project)}-{self.request.version}-{digest[:32]}"

    def _build(self, sdist: Link | None, place: Path, work: Path, held: tuple[int, ...]) -> BuiltWheel:
        started = time.monotonic()
        archive = self._fetch(sdist) if sdist else self.request.source
        assert archive is not None
        out = self._compile(work, archive, held)
        self.listen(Stage("inspecting the wheel"))
        report = self._inspect(out)
        return _keep(report, place, self.target.torch, time.monotonic() - started)

    def _fetch(self, sdist: Link) -> Source:
        from zoo_cli.transfer.fetch import Wanted, fetch
        from zoo_cli.transfer.hashes import parse_sha256
        from zoo_cli.transfer.store import Store

        assert sdist.sha256 is not None
        wanted = Wanted(sdist.filename, (sdist.url,), sdist.size_bytes, parse_sha256(sdist.sha256))
        place = self.cache / "sdists" / sdist.sha256 / sdist.filename
        path = fetch(wanted, place, self.settings, self.listen, store=Store(self.cache), replace=True).path
        return Source("sdist", str(path), sdist.sha256)

    def _compile(self, work: Path, archive: Source, held: tuple[int, ...]) -> Path:
        """The folder with the wheel: compiled in few units, and one by one if that fails or is asked for."""
        combines = self.recipe is not None and self.recipe.folders and not self.request.stock
        if combines and not archive.is_editable and not (work / "plain").exists():
            source, units, files = self._prepare(archive, work / "combined", combine=True)
            if units:
                self.listen(Stage(f"compiling {files} files in {units} runs{self._told()}"))
                try:
                    return self._run(source, work, held)
                except StepFailed as error:
                    self.listen(Noted(f"compiling in few runs failed (log: {error.log}); compiling file by file"))
                    shutil.rmtree(work / "combined", ignore_errors=True)
                    (work / "combined.ready").unlink(missing_ok=True)
        source = Path(archive.place)
        if not archive.is_editable:
            source, _units, _files = self._prepare(archive, work / "plain", combine=False)
        self.listen(Stage(f"{'compiling file by file' if self.has_ops else 'building'}{self._told()}"))
        return self._run(source, work, held)

    def _told(self) -> str:
        """For what it is compiled, and how long that takes as far as it is known."""
        torch = f" for torch {self.target.torch}" if self.has_ops else ""
        cuda = f", CUDA {self.cuda.version} ({' '.join(self.request.architectures)})" if self.cuda else ""
        known = (
            self.recipe and not self.cuda and (self.recipe.stock_seconds if self.request.stock else self.recipe.seconds)
        )
        return torch + cuda + (f"; about {estimate(known, self.tools.jobs(self.request.jobs))}" if known else "")

    def _prepare(self, archive: Source, directory: Path, *, combine: bool) -> tuple[Path, int, int]:
        """The sources in a directory, with units if they can be combined; those of a build that was cut off."""
        mark = directory.with_name(f"{directory.name}.ready")
        try:
            folder, units, files = json.loads(mark.read_text(encoding="utf-8"))
            self.listen(Noted("going on with a build that was cut off"))
            return directory / folder, units, files
        except (OSError, ValueError):
            shutil.rmtree(directory, ignore_errors=True)
        source, units, files = put_source(archive, directory, self.own / "git"), 0, 0
        if combine and self.recipe:
            jobs = max(2, self.tools.jobs(self.request.jobs))
            units, files = compiling.combine_sources(source, self.recipe.folders, jobs)
            if self.cuda and self.recipe.cuda_folders:
                more = compiling.combine_sources(source, self.recipe.cuda_folders, jobs, ".cu")
                units, files = units + more[0], files + more[1]
        write_whole(mark, json.dumps([source.relative_to(directory).as_posix(), units, files]).encode())
        return source, units, files

    def _run(self, source: Path, work: Path, held: tuple[int, ...]) -> Path:
        try:
            backend = compiling.backend_of(source, self.recipe)
        except ValueError as exc:
            raise CannotBuild(self.request.project, self.request.version, str(exc)) from exc
        if compiling.asks_for_torch(backend.requires) and not self.target.torch:
            raise CannotBuild(
                self.request.project, self.request.version, "it is built with torch, and the target has none"
            )
        python = compiling.make_build_environment(work, self.target, backend, self.index)
        child = compiling.Child(python, source, backend, self._variables(source), held)
        hook = "build_editable" if self._is_editable else "build_wheel"
        compiling.add_build_tools(python, self.target, child.requires(hook), self.index)
        out = work / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        child.call(hook, out, f"compile {self.request.project} {self.request.version}", self._hear)
        return out

    def _variables(self, source: Path) -> dict[str, str]:
        recipe, cuda = self.recipe, self.cuda
        variables = {"MAX_JOBS": str(self.tools.jobs(self.request.jobs))}
        if not self.request.stock and self.has_ops:
            assert self.target.torch_directory is not None
            flags = compiling.flags_for(_FLAGS, {source.resolve(): ".", self.target.torch_directory: "torch"})
            variables |= {"CFLAGS": flags, "CXXFLAGS": flags}
        if recipe:
            variables |= recipe.variables
            if recipe.cuda_switch:
                variables[recipe.cuda_switch] = "1" if cuda else "0"
        if cuda:
            return {
                **variables,
                "CUDA_HOME": str(cuda.home),
                "TORCH_CUDA_ARCH_LIST": ";".join(self.request.architectures),
            }
        return {**variables, "CUDA_VISIBLE_DEVICES": ""}  # setup.py compiles for CUDA wherever torch sees a GPU

    def _hear(self, line: str) -> None:
        if progress := _NINJA_LINE.match(line):
            self.listen(Compiled(int(progress[1]), int(progress[2])))

    def _inspect(self, out: Path) -> WheelReport:
        wheels = sorted(out.glob("*.whl"))
        if len(wheels) != 1:
            raise BuiltWrong(self.request.project, self.request.version, f"the build left {len(wheels)} wheels")
        report = require_sound(inspect_wheel(wheels[0]))
        is_same = version(report.version) == version(self.request.version)
        if normalise(report.name) != normalise(self.request.project) or not is_same:
            reason = f"the wheel is {report.name} {report.version}"
            raise BuiltWrong(self.request.project, self.request.version, reason)
        tag = self.target.tag
        if report.extensions and not any(each.startswith(f"{tag}-") or "-abi3-" in each for each in report.tags):
            reason = f"the wheel is for {', '.join(report.tags[:3])}, not for {tag}"
            raise BuiltWrong(self.request.project, self.request.version, reason)
        if finding := None if self._is_editable else self.judge(report, self._torch()):
            raise BuiltWrong(self.request.project, self.request.version, finding.code, finding)
        return report

    @property
    def _is_editable(self) -> bool:
        """Whether the wheel only points at the folder, where the compiled files are."""
        return self.request.source is not None and self.request.source.is_editable

    def _torch(self) -> TorchLibraries | None:
        from zoo_cli.packages.extensions import read_libraries_of_torch

        directory = self.target.torch_directory
        return read_libraries_of_torch(directory) if directory and self.has_ops else None


def find_sdist(project: str, number: str, index: UserIndex, settings: Settings) -> Link:
    """The sdist of a release on the user's index, with its digest.

    Raises:
        CannotBuild: there is none, or none with a digest.
        ZooError: of the transfer.
    """
    from zoo_cli.packages.findlinks import MAX_PAGE, read_links
    from zoo_cli.packages.pages import ACCEPT
    from zoo_cli.transfer.fetch import read_document

    page = f"{(index.index_url or PYPI).rstrip('/')}/{project}/"
    document = read_document((page,), MAX_PAGE, settings, accept=ACCEPT)
    for link in read_links(document.body, document.url, document.content_type or ""):
        if is_sdist_of(link.filename, project, number):
            if not link.sha256:
                raise CannotBuild(project, number, f"{page} gives no digest for {link.filename}")
            return link
    raise CannotBuild(project, number, f"{page} lists no .tar.gz of this version")


def estimate(seconds: int, jobs: int) -> str:
    """Compiler seconds as a time to wait for, with so many compilers at a time: "40 s", "9 min"."""
    wall = seconds / jobs
    return f"{max(1, round(wall / 5)) * 5} s" if wall < 90 else f"{round(wall / 60)} min"


def _empty(directory: Path) -> None:
    for each in directory.iterdir():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink()


def _sweep(directory: Path) -> None:
    """Removes what builds that were killed left behind, when they have not gone on for a day."""
    for left in (*directory.glob(".*ing-*"), *(directory.glob("[!.]*") if directory.name == "building" else ())):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > 86_400:
                shutil.rmtree(left, ignore_errors=True)


def is_sdist_of(filename: str, project: str, version: str) -> bool:
    """Whether a file name is that of the project's `.tar.gz` sdist in that version (PEP 625, and older spellings)."""
    return filename.endswith(".tar.gz") and name_of_archive(filename) == (normalise(project), version)


def _keep(report: WheelReport, place: Path, torch: str | None, seconds: float) -> BuiltWheel:
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
        kept = BuiltWheel(path, digest, place.name, record["torch"], float(record["seconds"]), was_cached=True)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return kept if record["sha256"] == digest else None
