"""What a driver runs and which GPU a code target serves: the arithmetic of CUDA versions.

Pure. The rule, as NVIDIA documents it (CUDA Compatibility; Programming Guide, "Binary Compatibility"):

- a driver runs binary code (SASS) of a toolkit when it is at or above the floor of the toolkit's CUDA major;
- SASS for X.Y runs on GPUs X.Z with Z >= Y, and on no other major;
- PTX for X.Y is compiled by the driver for any GPU >= X.Y, but only by a driver at least as new as the toolkit's own
  (native) driver;
- architecture-specific code (`9.0a`, `10.0f`) serves exactly its own capability.

Jetson is another platform with builds of its own: its callers do not ask here.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.machine.facts import Capability

if TYPE_CHECKING:
    from collections.abc import Iterable

_VERSION = re.compile(r"\d{1,9}(?:\.\d{1,9}){0,5}", re.ASCII)
_TARGET = re.compile(
    r"(?:(?P<kind>sm|compute)_)?(?P<number>\d{1,2}\.\d|\d{2,3})(?P<suffix>[af]?)(?P<tail>\+PTX|[_-](?:real|virtual))?",
    re.IGNORECASE | re.ASCII,
)


class BadVersion(ZooError):
    """A text that should be a driver version, CUDA version or code target is none."""

    code = "bad-version"
    exit_code = ExitCode.USAGE

    text: str
    expected: str  # an example of the right form


def version_key(text: str) -> tuple[int, ...]:
    """A dotted version as numbers without trailing zeros: `580` == `580.0` < `580.65.06`; "615 branch" is 615.

    Raises:
        BadVersion: the text does not begin with a number.
    """
    match = _VERSION.match(text.strip())
    if not match:
        raise BadVersion(text[:100], "535.183.01")
    numbers = [int(part) for part in match[0].split(".")]
    while len(numbers) > 1 and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def compare_versions(left: str, right: str) -> int:
    """Negative, zero or positive as `left` is older than, equal to or newer than `right`.

    Raises:
        BadVersion: one of them does not begin with a number.
    """
    one, other = version_key(left), version_key(right)
    return (one > other) - (one < other)


def driver_runs(driver: str, floor: str) -> bool:
    """Whether a driver is at or above a floor such as "525.60.13".

    Raises:
        BadVersion: one of them does not begin with a number.
    """
    return compare_versions(driver, floor) >= 0


class DriverReach(NamedTuple):
    """The newest CUDA that a driver runs: fully (`native`), and at all (`floor`; PTX is not compiled there)."""

    native: str | None
    floor: str | None


def driver_reach(driver: str, toolkits: Iterable[tuple[str, str | None, str | None]]) -> DriverReach:
    """What a driver reaches, given rows (CUDA version, native driver, floor) of the driver's system.

    Raises:
        BadVersion: the driver does not begin with a number.
    """
    native: str | None = None
    floor: str | None = None
    for cuda, native_driver, floor_driver in toolkits:
        if native_driver and driver_runs(driver, native_driver):
            native = _newer(native, cuda)
        if floor_driver and driver_runs(driver, floor_driver):
            floor = _newer(floor, cuda)
    return DriverReach(native, floor)


def newest_native_cuda(driver: str, toolkits: Iterable[tuple[str, str | None]]) -> str | None:
    """The newest CUDA whose own driver is not newer than this one, given rows (CUDA version, native driver)."""
    return driver_reach(driver, ((cuda, native, None) for cuda, native in toolkits)).native


def _newer(known: str | None, cuda: str) -> str:
    return cuda if known is None or compare_versions(cuda, known) > 0 else known


def variant_to_cuda(variant: str) -> str | None:
    """The CUDA version of a torch variant: `cu121` -> "12.1", `cu92` -> "9.2"; None for `cpu`, `rocm6.0` and others."""
    match = re.fullmatch(r"cu(\d{1,2})(\d)", variant, re.ASCII)
    return f"{int(match[1])}.{match[2]}" if match else None


def cuda_to_variant(cuda: str) -> str:
    """The torch variant of a CUDA version: "12.1" and "12.1.105" -> `cu121`.

    Raises:
        BadVersion: the text is not a CUDA version.
    """
    match = re.fullmatch(r"(\d{1,2})\.(\d)(?:\.\d{1,6})*", cuda.strip(), re.ASCII)
    if not match:
        raise BadVersion(cuda[:100], "12.1")
    return f"cu{int(match[1])}{match[2]}"


def cuda_from_number(number: int) -> str | None:
    """The CUDA version that NVML and libcuda give as a number: 12020 -> "12.2"; None when it is implausible."""
    return f"{number // 1000}.{number % 1000 // 10}" if 1000 <= number < 100_000 else None


class Target(NamedTuple):
    """A code target of a build: for which capability, as SASS, as PTX or both, and whether for that one only."""

    capability: Capability
    has_sass: bool = True
    has_ptx: bool = False
    suffix: str = ""  # "a" (architecture-specific) or "f" (family-specific): taken as exact

    def __str__(self) -> str:
        text = f"{self.capability}{self.suffix}"
        return f"{text}+PTX" if self.has_sass and self.has_ptx else f"compute_{text}" if self.has_ptx else text


@lru_cache(maxsize=512)
def parse_target(text: str) -> Target:
    """A code target in any usual spelling.

    `8.6`, `sm_86`, `86-real` and `86_real` (PEP 825) are SASS; `9.0+PTX` is both; `compute_90`, `90-virtual` are PTX;
    `9.0a` is exact.

    Raises:
        BadVersion: the text is not a code target.
    """
    match = _TARGET.fullmatch(text.strip())
    if not match:
        raise BadVersion(text[:100], "8.6, 9.0+PTX, 9.0a or sm_86")
    number = match["number"].replace(".", "")
    capability = Capability(int(number[:-1]), int(number[-1]))
    tail = (match["tail"] or "").lower()
    only_ptx = (match["kind"] or "").lower() == "compute" or tail.endswith("virtual")
    return Target(capability, not only_ptx, only_ptx or tail == "+ptx", match["suffix"].lower())


class Coverage(Enum):
    """Whether and how a build serves a GPU."""

    SASS = "sass"  # code for it is inside
    PTX = "ptx"  # the driver compiles it at first use
    UNKNOWN = "unknown"  # the build's targets were never published
    NONE = "none"

    @property
    def is_proven(self) -> bool:
        """Whether the build certainly runs on the GPU."""
        return self in (Coverage.SASS, Coverage.PTX)


class Served(NamedTuple):
    """How a build serves a GPU, by which of its targets, and what a newer driver would change."""

    how: Coverage
    target: Target | None = None  # the nearest target that serves it, or would with a newer driver
    needs_newer_driver: bool = False  # PTX would serve it, but the driver is older than the toolkit's own


def covers(targets: Iterable[Target | str] | None, capability: Capability, driver_is_native: bool) -> Coverage:
    """Whether and how a build with these targets serves a GPU; see `served_by`."""
    return served_by(targets, capability, driver_is_native).how


def served_by(targets: Iterable[Target | str] | None, capability: Capability, driver_is_native: bool) -> Served:
    """How a build with these targets serves a GPU, with the target that does.

    `targets` are parsed or as published ("8.6", "9.0+PTX"); None when they are not known. `driver_is_native`: the
    driver is at least as new as the one the build's toolkit shipped with.

    Raises:
        BadVersion: a text is not a code target.
    """
    if targets is None:
        return Served(Coverage.UNKNOWN)
    parsed = (target if isinstance(target, Target) else parse_target(target) for target in targets)
    known = sorted(parsed, key=lambda target: (target.capability, target.suffix, target.has_ptx), reverse=True)
    for target in known:
        if target.has_sass and _sass_runs(target, capability):
            return Served(Coverage.SASS, target)
    for target in known:
        if target.has_ptx and _ptx_compiles(target, capability):
            return Served(Coverage.PTX, target) if driver_is_native else Served(Coverage.NONE, target, True)
    return Served(Coverage.NONE)


def _sass_runs(target: Target, gpu: Capability) -> bool:
    if target.suffix:
        return target.capability == gpu
    return target.capability.major == gpu.major and target.capability.minor <= gpu.minor


def _ptx_compiles(target: Target, gpu: Capability) -> bool:
    return target.capability == gpu if target.suffix else target.capability <= gpu
