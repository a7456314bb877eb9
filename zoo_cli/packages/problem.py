"""A request on a machine with every fact that bears on it, as named groups of constraints over the grid.

Pure. `Facts` is what is known of a machine and of what exists for it, computed once and shared by all requests that
are tried on it; a `Problem` adds the request. What a group is and what ignoring it means stands here; the search
itself is `zoo_cli.packages.solve`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.machine.cuda import Coverage
from zoo_cli.packages.grid import Drivers, Grid, is_cuda, known_targets, make_grid, python_of
from zoo_cli.packages.versions import Range, minor, parse_range, version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo_cli.catalog.entries import GpuReport, Matrix, OpsWheels, Project, TorchBuild
    from zoo_cli.machine.facts import Machine
    from zoo_cli.packages.request import Request

OFFICIAL = "openmmlab"
TORCH_FAMILY = ("torch", "torchvision", "torchaudio")
INSTALLED = "installed"  # provider of ops that are in the target already
USER_PAGE = "find-links"  # provider of wheels seen on a page the user named


class OpsRelease(NamedTuple):
    """All wheels of one version of an import package with compiled ops that may be taken."""

    version: str
    cells: int  # that any of the wheels serves
    rows: tuple[tuple[OpsWheels, int], ...]  # each with the cells it serves


@dataclass(frozen=True)
class Facts:
    """Everything known about a machine and what exists for it; shared by all requests that are tried on it."""

    machine: Machine
    matrix: Matrix
    projects: Mapping[str, Project]
    official: frozenset[str] = frozenset((OFFICIAL,))  # providers that publish projects of their own
    pages: tuple[OpsWheels, ...] = ()  # wheels seen on pages the user named

    @cached_property
    def drivers(self) -> Drivers:
        """What the machine's driver makes of each variant."""
        return Drivers(self.machine, self.matrix.toolkits)

    @cached_property
    def grid(self) -> Grid:
        """Every Python with every torch build for this platform."""
        return make_grid(self.machine, self.matrix.torch, self.drivers)

    @cached_property
    def ops_names(self) -> frozenset[str]:
        """Import names of all projects with compiled ops."""
        return frozenset(project.import_name for project in self.projects.values() if project.kind == "ops")

    @cached_property
    def _ops_by_import(self) -> dict[str, list[OpsWheels]]:
        rows: dict[str, list[OpsWheels]] = {}
        for wheels in (*self.pages, *self.matrix.ops):
            rows.setdefault(wheels.import_name, []).append(wheels)
        return rows

    @lru_cache(maxsize=64)  # noqa: B019 - lives as long as the facts do
    def ops_rows(self, import_name: str) -> tuple[tuple[OpsWheels, int], ...]:
        """The rows of an import package that serve a cell, with the cells they serve, newest version first.

        Wheels of which the file was read, and that need a newer C library, serve none.
        """
        known = self._ops_by_import.get(import_name, ())
        here = (wheels for wheels in known if wheels.glibc is None or _libc_allows(wheels.glibc, self.machine))
        rows = ((wheels, self.grid.covered_by(wheels)) for wheels in here)
        found = [row for row in rows if row[1]]
        return tuple(sorted(found, key=lambda row: version(row[0].version), reverse=True))

    @cached_property
    def driver_cells(self) -> int:
        """The cells that the driver runs."""
        return self.grid.mask_by_build(lambda build: self.drivers.allows(build.variant))

    @cached_property
    def gpu_cells(self) -> int:
        """The cells with machine code for every GPU, as far as it is known; CPU builds need none.

        PTX is not enough for torch: the cuBLAS and cuDNN that its wheels carry or ask for hold none for later GPUs, so
        a cu102 build with 3.7+PTX does not run on sm_86.
        """
        targets = known_targets(self.matrix.torch)
        runs_on = (Coverage.SASS, Coverage.UNKNOWN)

        def runs(build: TorchBuild) -> bool:
            if not is_cuda(build.variant):
                return True
            known = targets.get((build.version, build.variant))
            found = self.drivers.coverage(known, build.variant)
            return all(each in runs_on for each in found) and not self.torch_report(build)

        return self.grid.mask_by_build(runs)

    @lru_cache(maxsize=64)  # noqa: B019 - lives as long as the facts do
    def python_cells(self, requires_python: str) -> int:
        """The cells whose Python a `Requires-Python` admits."""
        span = parse_range(requires_python)
        # A tag names no patch level: ">=3.8.1" is taken for what any later patch level satisfies.
        return self.grid.mask_by_python(lambda tag: span.admits(python_of(tag).rstrip("t") + ".99"))

    @lru_cache(maxsize=64)  # noqa: B019 - lives as long as the facts do
    def torch_cells(self, torch: Range) -> int:
        """The cells whose torch lies in a range."""
        return self.grid.mask_by_build(lambda build: torch.admits(build.version))

    @cached_property
    def cuda_cells(self) -> int:
        """The cells of CUDA builds."""
        return self.grid.mask_by_build(lambda build: is_cuda(build.variant))

    def runs_on_gpus(self, wheels: OpsWheels) -> bool:
        """Whether compiled ops have code for every GPU, as far as it is known, and nobody saw these fail on one."""
        if self._reports and any(not report.works and report.platform for report in self.ops_reports(wheels)):
            return False
        return Coverage.NONE not in self._ops_coverage(wheels.targets, wheels.variant)

    @cached_property
    def _reports(self) -> tuple[GpuReport, ...]:
        """What is reported about the GPUs of this machine."""
        here = {str(gpu.capability) for gpu in self.machine.gpus if gpu.capability}
        fitting = (None, self.machine.platform)
        return tuple(each for each in self.matrix.gpu_reports if each.capability in here and each.platform in fitting)

    def ops_reports(self, wheels: OpsWheels) -> list[GpuReport]:
        """Reports about these wheels on a GPU of this machine.

        A report that names torch and variant is about the publisher's own wheels; one that names neither is about the
        code itself, whoever compiled it. One that names no platform tells too little to refuse a wheel for it.
        """
        is_official = wheels.provider in self.official
        return [
            each
            for each in self._reports
            if each.project == wheels.project
            and (is_official or each.variant is None)
            and each.torch in (None, minor(wheels.torch))
            and each.variant in (None, wheels.variant)
            and parse_range(each.versions).admits(wheels.version)
        ]

    def torch_report(self, build: TorchBuild) -> GpuReport | None:
        """A report that published builds of torch do not serve a GPU of this machine, although their targets do."""
        about = (each for each in self._reports if each.project == "torch" and not each.works and build.index_url)
        return next((each for each in about if parse_range(each.versions).admits(build.version)), None)

    @lru_cache(maxsize=512)  # noqa: B019 - lives as long as the facts do
    def _ops_coverage(self, targets: tuple[str, ...] | None, variant: str) -> tuple[Coverage, ...]:
        return self.drivers.coverage(targets, variant)

    def __hash__(self) -> int:
        return id(self)


@dataclass(frozen=True)
class Problem:
    """A request on a machine."""

    request: Request
    facts: Facts
    keep_torch: tuple[str, str] | None = None  # installed (version, variant) that stays

    def __hash__(self) -> int:
        return id(self)

    @property
    def machine(self) -> Machine:
        """The machine to solve for."""
        return self.facts.machine

    @cached_property
    def wants_gpu(self) -> bool:
        """Whether CUDA builds are wanted: asked for, or there is an NVIDIA GPU."""
        if self.request.cuda or self.request.device != "auto":
            return self.request.device == "cuda" or is_cuda(self.request.cuda or "")
        return any(gpu.vendor == "nvidia" for gpu in self.machine.gpus)

    @cached_property
    def cell_groups(self) -> dict[str, int]:
        """Group -> mask, for the groups that bear on cells alone."""
        facts, machine, request = self.facts, self.machine, self.request
        grid = facts.grid
        groups: dict[str, int] = {}
        if machine.python:
            tag = machine.python.tag
            groups["python"] = grid.mask_by_python(lambda each: each == tag)
        if machine.libc and machine.os == "linux":
            groups["libc"] = grid.mask_by_build(lambda build: _libc_allows(build.glibc, machine))
        groups["device"] = facts.cuda_cells if self.wants_gpu else grid.everything & ~facts.cuda_cells
        if self.wants_gpu:
            groups["driver"] = facts.driver_cells
            groups["gpu"] = facts.gpu_cells | self._kept_cells_of_the_maker
        if request.cuda:
            groups["cuda"] = grid.mask_by_build(lambda build: build.variant == request.cuda)
        if any(request.want(name) for name in TORCH_FAMILY):
            groups["torch"] = grid.mask_by_build(self._is_asked_torch)
        if self.keep_torch:
            groups["keep-torch"] = grid.mask_by_build(lambda build: (build.version, build.variant) == self.keep_torch)
        return groups

    @cached_property
    def _kept_cells_of_the_maker(self) -> int:
        """The installed torch that stays, where published builds are reported not to serve the GPU: it is another."""
        facts, kept = self.facts, self.keep_torch
        return facts.grid.mask_by_build(lambda b: (b.version, b.variant) == kept and facts.torch_report(b) is not None)

    def _is_asked_torch(self, build: TorchBuild) -> bool:
        """Whether a build satisfies what was asked of torch and of its companions."""
        releases = {"torch": build.version, "torchvision": build.torchvision, "torchaudio": build.torchaudio}
        for project, release in releases.items():
            want = self.request.want(project)
            if want and not (release and want.versions.admits(release)):
                return False
        return True

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Every group that this problem has."""
        return (*self.cell_groups, "asserted", "declared", "installed", "wheels", "provider", "wall", "same-import")

    # -- compiled ops --------------------------------------------------------------------------------------------------

    @lru_cache(maxsize=64)  # noqa: B019 - lives as long as the problem does
    def ops_releases(
        self, import_name: str, forks: frozenset[str], *, any_gpu: bool, any_provider: bool
    ) -> tuple[OpsRelease, ...]:
        """The versions of an import package that the request lets in, newest first.

        Args:
            import_name: the package, such as "mmcv".
            forks: providers of the frameworks chosen so far, besides the official one.
            any_gpu: whether the group `gpu` is relaxed.
            any_provider: whether the group `provider` is relaxed.
        """
        found: dict[str, list[tuple[OpsWheels, int]]] = {}
        let_in: dict[tuple[str, str], bool] = {}
        for wheels, cells in self.facts.ops_rows(import_name):
            publisher = wheels.provider, wheels.project
            if publisher not in let_in:
                let_in[publisher] = self.may_serve(wheels.project, import_name) and (
                    any_provider or self.may_provide(*publisher, forks)
                )
            if not let_in[publisher]:
                continue
            if any_gpu or not self.wants_gpu or not is_cuda(wheels.variant) or self.facts.runs_on_gpus(wheels):
                found.setdefault(wheels.version, []).append((wheels, cells))
        return tuple(OpsRelease(each, _union(rows), tuple(rows)) for each, rows in found.items())

    def is_built(self, import_name: str) -> bool:
        """Whether the request wants an import package compiled."""
        return any(self._owns(project, import_name) for project in self.request.build)

    def may_serve(self, project: str, import_name: str) -> bool:
        """An ops project asked for by name excludes the others that own the same import package."""
        asked = [want.project for want in self.request.wants if self._owns(want.project, import_name)]
        return not asked or project in asked

    def _owns(self, project: str, import_name: str) -> bool:
        found = self.facts.projects.get(project)
        return bool(found and found.import_name == import_name)

    def may_provide(self, provider: str, project: str, forks: frozenset[str]) -> bool:
        """The project's own publisher, a page the user named, or a provider the user chose; forks for forks only."""
        request = self.request
        if provider in (USER_PAGE, INSTALLED) or provider in request.providers or provider in forks:
            return True
        known = self.facts.projects.get(project)
        is_home = known is not None and known.provider == provider
        return is_home and not forks and (provider in self.facts.official or request.want(project) is not None)


def _union(rows: list[tuple[OpsWheels, int]]) -> int:
    bits = 0
    for _wheels, mine in rows:
        bits |= mine
    return bits


def _libc_allows(glibc: str | None, machine: Machine) -> bool:
    libc = machine.libc
    if glibc is None or libc is None:
        return True
    return libc.kind == "glibc" and version(libc.version) >= version(glibc)
