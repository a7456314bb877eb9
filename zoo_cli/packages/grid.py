"""The finite matrix: every (Python, torch build) pair as one bit, every constraint as a mask over them.

Pure. Cells are ordered by preference, so the best cell of a mask is its lowest bit: newest torch first; on it CUDA
variants that the driver runs natively before others, newest CUDA first; the target's Python before others. Rows come
from the index; nothing is looked up here. Questions about a torch build are asked once a build and spread over its
cells, questions about a variant once a variant.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.machine.cuda import Coverage, covers, driver_runs, variant_to_cuda
from zoo_cli.packages.versions import minor, version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from zoo_cli.catalog.entries import OpsWheels, Toolkit, TorchBuild
    from zoo_cli.machine.facts import Machine


class Cell(NamedTuple):
    """One Python and one torch build for it."""

    python: str  # interpreter tag, cp310
    torch: TorchBuild


@lru_cache(maxsize=256)
def tag_key(tag: str) -> tuple[int, int, bool]:
    """Sort key of an interpreter tag: cp39 < cp310 < cp313 < cp313t."""
    digits = tag.removeprefix("cp").rstrip("tmu")
    return int(digits[:1] or 0), int(digits[1:] or 0), tag.endswith("t")


def python_of(tag: str) -> str:
    """The Python version of an interpreter tag: cp310 gives 3.10, cp313t gives 3.13t."""
    major, minor_, threaded = tag_key(tag)
    return f"{major}.{minor_}" + ("t" if threaded else "")


def is_cuda(variant: str) -> bool:
    """Whether a torch variant is built for CUDA."""
    return variant.startswith("cu")


class Drivers:
    """What the machine's driver makes of each torch variant."""

    def __init__(self, machine: Machine, toolkits: Iterable[Toolkit]) -> None:
        self._machine = machine
        self._toolkits = sorted(toolkits, key=lambda row: version(row.cuda))
        self._answers: dict[str, tuple[bool, bool]] = {}

    def toolkit(self, variant: str) -> Toolkit | None:
        """The CUDA toolkit a variant was built with: the first row of that CUDA version."""
        cuda = variant_to_cuda(variant)
        rows = (row for row in self._toolkits if cuda and (row.cuda == cuda or row.cuda.startswith(f"{cuda}.")))
        return next(rows, None)

    def floor(self, variant: str) -> str | None:
        """The lowest driver that runs binaries of the variant on this operating system."""
        row = self.toolkit(variant)
        return (row.floor_windows if self._machine.os == "windows" else row.floor_linux) if row else None

    def native(self, variant: str) -> str | None:
        """The driver from which the variant's toolkit is supported in full, PTX included."""
        row = self.toolkit(variant)
        return (row.native_windows if self._machine.os == "windows" else row.native_linux) if row else None

    def allows(self, variant: str) -> bool:
        """Whether the driver runs that variant at all; True for CPU variants and where the driver is not known."""
        return self._answer(variant)[0]

    def is_native(self, variant: str) -> bool:
        """Whether the driver is as new as the variant's toolkit; True where the driver is not known."""
        return self._answer(variant)[1]

    def _answer(self, variant: str) -> tuple[bool, bool]:
        if variant not in self._answers:
            driver = self._machine.driver
            if driver is None or not is_cuda(variant):
                self._answers[variant] = (True, True)
            else:
                floor, native = self.floor(variant), self.native(variant)
                self._answers[variant] = (
                    floor is not None and driver_runs(driver, floor),
                    native is not None and driver_runs(driver, native),
                )
        return self._answers[variant]

    def coverage(self, targets: tuple[str, ...] | None, variant: str) -> tuple[Coverage, ...]:
        """How code for those targets runs on each NVIDIA GPU of the machine, in their order."""
        native = self.is_native(variant)
        return tuple(
            covers(targets, gpu.capability, native) if gpu.capability else Coverage.UNKNOWN
            for gpu in self._machine.gpus
            if gpu.vendor == "nvidia"
        )


@dataclass(frozen=True)
class Grid:
    """All cells for one machine, in order of preference, and masks over them."""

    cells: tuple[Cell, ...]

    def mask(self, keep: Callable[[Cell], bool]) -> int:
        """The cells that a question is true for, as a bitset."""
        return sum(1 << index for index, cell in enumerate(self.cells) if keep(cell))

    def mask_by_build(self, keep: Callable[[TorchBuild], bool]) -> int:
        """Like `mask` for a question that does not depend on Python; asked once a build."""
        bits = 0
        for build, mine in self._builds:
            if keep(build):
                bits |= mine
        return bits

    def mask_by_python(self, keep: Callable[[str], bool]) -> int:
        """Like `mask` for a question about the interpreter tag alone."""
        bits = 0
        for tag, mine in self._pythons.items():
            if keep(tag):
                bits |= mine
        return bits

    @cached_property
    def everything(self) -> int:
        """The mask of all cells."""
        return (1 << len(self.cells)) - 1

    def best(self, mask: int) -> Cell | None:
        """The most preferred cell of a mask."""
        return self.cells[(mask & -mask).bit_length() - 1] if mask else None

    def of(self, mask: int) -> list[Cell]:
        """The cells of a mask, best first."""
        return [cell for index, cell in enumerate(self.cells) if mask >> index & 1]

    @cached_property
    def _builds(self) -> list[tuple[TorchBuild, int]]:
        found: dict[int, tuple[TorchBuild, int]] = {}
        for index, cell in enumerate(self.cells):
            _build, bits = found.get(id(cell.torch), (cell.torch, 0))
            found[id(cell.torch)] = (cell.torch, bits | 1 << index)
        return list(found.values())

    @cached_property
    def _pythons(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for index, cell in enumerate(self.cells):
            found[cell.python] = found.get(cell.python, 0) | 1 << index
        return found

    @cached_property
    def _places(self) -> dict[tuple[str, str], int]:
        """(torch version or minor, variant) -> bits."""
        places: dict[tuple[str, str], int] = {}
        for build, bits in self._builds:
            for name in {build.version, minor(build.version)}:
                key = (name, build.variant)
                places[key] = places.get(key, 0) | bits
        return places

    def covered_by(self, wheels: OpsWheels) -> int:
        """The cells that compiled-ops wheels were built for."""
        torch = self._places.get((wheels.torch, wheels.variant), 0)
        if not torch:
            return 0
        tags = 0
        for tag in wheels.python_tags:
            tags |= self._pythons.get(tag, 0)
        return torch & tags

    def known_by(self, rows: Iterable[tuple[OpsWheels, int]], levels: tuple[str, ...]) -> int:
        """The cells among those that rows serve for which a wheel has one of these kinds of evidence."""
        bits = 0
        for wheels, mine in rows:
            tags = (tag for tag, evidence in wheels.python_tags.items() if evidence in levels)
            bits |= mine & sum(self._pythons.get(tag, 0) for tag in tags)
        return bits


def make_grid(machine: Machine, builds: Iterable[TorchBuild], drivers: Drivers) -> Grid:
    """The grid of a machine: all builds for its platform with every Python they exist for, best first."""
    own_tag = machine.python.tag if machine.python else ""

    def preference(build: TorchBuild) -> tuple[object, ...]:
        cuda = version(variant_to_cuda(build.variant) or "0")
        return (version(build.version), drivers.is_native(build.variant), cuda)

    here = [build for build in builds if build.platform == machine.platform]
    return Grid(
        tuple(
            Cell(tag, build)
            for build in sorted(here, key=preference, reverse=True)
            for tag in sorted(build.python_tags, key=lambda tag: (tag == own_tag, tag_key(tag)), reverse=True)
        )
    )


def known_targets(builds: Iterable[TorchBuild]) -> dict[tuple[str, str], tuple[str, ...]]:
    """(version, variant) -> code targets, guessed for a build whose own were never published.

    The guess is the list of the nearest release of the same variant: enough to refuse a GPU that the whole CUDA
    series has no code for. A variant of which no list is known has no guess.
    """
    rows = list(builds)
    known = {
        variant: [(version(row.version), row.targets) for row in rows if row.variant == variant and row.targets]
        for variant in {row.variant for row in rows}
    }
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for row in rows:
        if row.targets is not None:
            found[row.version, row.variant] = row.targets
        elif known[row.variant]:
            own = version(row.version)
            earlier = [pair for pair in known[row.variant] if pair[0] <= own]
            found[row.version, row.variant] = max(earlier or known[row.variant][:1], key=lambda pair: pair[0])[1]
    return found
