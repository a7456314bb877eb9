"""A request on a machine with every fact that bears on it, as named groups of constraints over the grid.

Pure. `Facts` is what is known of a machine and of what exists for it, computed once and shared by all requests that
are tried on it; a `Problem` adds the request. What a group is and what ignoring it means stands here; the search
itself is `zoo_cli.packages.solve`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from zoo_cli.machine.cuda import Coverage
from zoo_cli.packages.grid import Drivers, Grid, is_cuda, known_targets, make_grid
from zoo_cli.packages.versions import version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo_cli.catalog.entries import Matrix, OpsWheels, Project, TorchBuild
    from zoo_cli.machine.facts import Machine
    from zoo_cli.packages.request import Request

OFFICIAL = "openmmlab"
TORCH_FAMILY = ("torch", "torchvision", "torchaudio")
INSTALLED = "installed"  # provider of ops that are in the target already
USER_PAGE = "find-links"  # provider of wheels seen on a page the user named


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
    def ops_rows(self) -> dict[str, tuple[tuple[OpsWheels, int], ...]]:
        """Import name -> rows with the cells they serve, newest version first."""
        rows: dict[str, list[tuple[OpsWheels, int]]] = {}
        for wheels in (*self.pages, *self.matrix.ops):
            bits = self.grid.covered_by(wheels)
            if bits:
                rows.setdefault(wheels.import_name, []).append((wheels, bits))
        return {
            name: tuple(sorted(found, key=lambda row: version(row[0].version), reverse=True))
            for name, found in rows.items()
        }

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
            known = targets.get((build.version, build.variant))
            found = self.drivers.coverage(known, build.variant)
            return not is_cuda(build.variant) or all(each in runs_on for each in found)

        return self.grid.mask_by_build(runs)

    @cached_property
    def cuda_cells(self) -> int:
        """The cells of CUDA builds."""
        return self.grid.mask_by_build(lambda build: is_cuda(build.variant))

    def runs_on_gpus(self, wheels: OpsWheels) -> bool:
        """Whether compiled ops have code for every GPU, as far as it is known."""
        return Coverage.NONE not in self._ops_coverage(wheels.targets, wheels.variant)

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
            groups["gpu"] = facts.gpu_cells
        if request.cuda:
            groups["cuda"] = grid.mask_by_build(lambda build: build.variant == request.cuda)
        if any(request.want(name) for name in TORCH_FAMILY):
            groups["torch"] = grid.mask_by_build(self._is_asked_torch)
        if self.keep_torch:
            groups["keep-torch"] = grid.mask_by_build(lambda build: (build.version, build.variant) == self.keep_torch)
        return groups

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
        return (*self.cell_groups, "asserted", "declared", "installed", "wheels", "provider", "wall")


def _libc_allows(glibc: str | None, machine: Machine) -> bool:
    libc = machine.libc
    if glibc is None or libc is None:
        return True
    return libc.kind == "glibc" and version(libc.version) >= version(glibc)
