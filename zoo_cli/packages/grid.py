"""The finite matrix: every (Python, torch build) pair as one bit, every constraint as a mask over them.

Pure. Cells are ordered by preference, so the best cell of a mask is its lowest bit: newest torch first; on it CUDA
before CPU when a GPU is to be used, among CUDA variants the newest that the driver runs natively, then the newest it
runs by minor-version compatibility; the target's Python before others. Rows come from the index and from pages the
user named; nothing is looked up here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from zoo_cli.machine.cuda import Coverage, covers, driver_runs, variant_to_cuda
from zoo_cli.packages.versions import minor, version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from zoo_cli.catalog.compat import OpsWheels, Toolkit, TorchBuild
    from zoo_cli.machine.facts import Machine


@dataclass(frozen=True, slots=True)
class Cell:
    """One Python and one torch build for it."""

    python: str  # interpreter tag, cp310
    torch: TorchBuild


@lru_cache(maxsize=256)
def tag_key(tag: str) -> tuple[int, int, bool]:
    """Sort key of an interpreter tag: cp39 < cp310 < cp313 < cp313t."""
    digits = tag.removeprefix("cp").rstrip("tmu")
    return int(digits[:1] or 0), int(digits[1:] or 0), tag.endswith("t")


def python_of(tag: str) -> str:
    """The Python version of an interpreter tag: cp310 gives 3.10."""
    major, minor_, threaded = tag_key(tag)
    return f"{major}.{minor_}" + ("t" if threaded else "")


@dataclass(frozen=True)
class Grid:
    """All cells for one machine, in order of preference, and masks over them."""

    machine: Machine
    cells: tuple[Cell, ...]
    toolkits: tuple[Toolkit, ...]

    def mask(self, keep: Callable[[Cell], bool]) -> int:
        """The cells that a question is true for, as a bitset."""
        return sum(1 << index for index, cell in enumerate(self.cells) if keep(cell))

    def mask_by_build(self, keep: Callable[[TorchBuild], bool]) -> int:
        """Like `mask` for a question that does not depend on Python; asked once a build."""
        answers = {build: keep(build) for build in {id(cell.torch): cell.torch for cell in self.cells}.values()}
        return self.mask(lambda cell: answers[cell.torch])

    @cached_property
    def everything(self) -> int:
        """The mask of all cells."""
        return (1 << len(self.cells)) - 1

    def best(self, mask: int) -> Cell | None:
        """The most preferred cell of a mask."""
        return self.cells[(mask & -mask).bit_length() - 1] if mask else None

    def of(self, mask: int) -> list[Cell]:
        """The cells of a mask, best first."""
        found = []
        while mask:
            low = mask & -mask
            found.append(self.cells[low.bit_length() - 1])
            mask ^= low
        return found

    @cached_property
    def _places(self) -> dict[tuple[str, str, str], int]:
        """(torch version or minor, variant, Python tag) -> bits."""
        places: dict[tuple[str, str, str], int] = {}
        for index, cell in enumerate(self.cells):
            for name in (cell.torch.version, minor(cell.torch.version)):
                key = (name, cell.torch.variant, cell.python)
                places[key] = places.get(key, 0) | 1 << index
        return places

    def covered_by(self, wheels: OpsWheels) -> int:
        """The cells that compiled-ops wheels were built for."""
        bits = 0
        for tag in wheels.python_tags:
            bits |= self._places.get((wheels.torch, wheels.variant, tag), 0)
        return bits


def is_cuda(variant: str) -> bool:
    """Whether a torch variant is built for CUDA."""
    return variant.startswith("cu")


def toolkit_of(variant: str, toolkits: Iterable[Toolkit]) -> Toolkit | None:
    """The CUDA toolkit a variant was built with (the newest row of that CUDA version)."""
    cuda = variant_to_cuda(variant)
    rows = [row for row in toolkits if cuda and (row.cuda == cuda or row.cuda.startswith(f"{cuda}."))]
    return min(rows, key=lambda row: version(row.cuda), default=None)


def floor_of(toolkit: Toolkit, machine: Machine) -> str | None:
    """The lowest driver that runs binaries of the toolkit on this operating system."""
    return toolkit.floor_windows if machine.os == "windows" else toolkit.floor_linux


def native_of(toolkit: Toolkit, machine: Machine) -> str | None:
    """The driver from which the toolkit is supported in full, PTX included."""
    return toolkit.native_windows if machine.os == "windows" else toolkit.native_linux


def driver_allows(variant: str, machine: Machine, toolkits: Iterable[Toolkit]) -> bool:
    """Whether the machine's driver runs that variant at all; True where the driver is not known."""
    if not is_cuda(variant) or machine.driver is None:
        return True
    toolkit = toolkit_of(variant, toolkits)
    floor = floor_of(toolkit, machine) if toolkit else None
    return floor is not None and driver_runs(machine.driver, floor)


def is_native(variant: str, machine: Machine, toolkits: Iterable[Toolkit]) -> bool:
    """Whether the driver is as new as the variant's toolkit."""
    toolkit = toolkit_of(variant, toolkits)
    native = native_of(toolkit, machine) if toolkit else None
    return machine.driver is None or (native is not None and driver_runs(machine.driver, native))


def gpu_coverage(
    targets: tuple[str, ...] | None, variant: str, machine: Machine, toolkits: Iterable[Toolkit]
) -> tuple[Coverage, ...]:
    """How code for those targets runs on each NVIDIA GPU of the machine, in their order."""
    native = is_native(variant, machine, toolkits)
    return tuple(
        covers(targets, gpu.capability, native) if gpu.capability else Coverage.UNKNOWN
        for gpu in machine.gpus
        if gpu.vendor == "nvidia"
    )


def runs_on_gpus(build: TorchBuild, machine: Machine, toolkits: Iterable[Toolkit]) -> bool:
    """Whether a CUDA build has code for every GPU of the machine (unknown code lists pass: they are said, not refused)."""
    if not is_cuda(build.variant):
        return True
    return Coverage.NONE not in gpu_coverage(build.targets, build.variant, machine, toolkits)


def make_grid(machine: Machine, builds: Iterable[TorchBuild], toolkits: tuple[Toolkit, ...]) -> Grid:
    """The grid of a machine: all builds for its platform with every Python they exist for, best first."""
    own_tag = machine.python.tag if machine.python else ""
    natives: dict[str, bool] = {}

    def preference(cell: Cell) -> tuple[object, ...]:
        variant = cell.torch.variant
        native = natives.setdefault(variant, is_native(variant, machine, toolkits))
        cuda = version(variant_to_cuda(variant) or "0")
        newest = _Reversed(version(cell.torch.version))
        return (newest, not native, _Reversed(cuda), cell.python != own_tag, _Reversed(tag_key(cell.python)))

    cells = [Cell(tag, build) for build in builds if build.platform == machine.platform for tag in build.python_tags]
    return Grid(machine, tuple(sorted(cells, key=preference)), toolkits)


@dataclass(frozen=True, slots=True)
class _Reversed:
    """Sorts the greater first."""

    value: object

    def __lt__(self, other: _Reversed) -> bool:
        return bool(other.value < self.value)  # type: ignore[operator]
