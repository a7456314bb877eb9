"""Compatibility facts as typed rows, and the reader that takes them from `zoo.db`.

Every row carries an `Origin`: where the fact stands, the day it was read and what kind of evidence it is. The reader
gets an open connection; it never opens a file itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a fact stands.

    `evidence` is one of: `seen` (the file itself, or its name on the page, was read), `listed` (an official table
    says so), `reported` (a third party says so), `inferred` (derived by a rule).
    """

    source: str  # an address, or repository + path + commit
    date: str  # ISO day it was read
    evidence: str


@dataclass(frozen=True, slots=True)
class TorchBuild:
    """One torch release in one variant on one platform: a group of wheels that differ by Python only."""

    version: str  # "2.1.2", without local version
    variant: str  # cpu | cu118 | cu121 ...
    platform: str  # linux_x86_64 | linux_aarch64 | win_amd64 | macos_x86_64 | macos_arm64
    python_tags: tuple[str, ...]  # ("cp38", "cp39", ...)
    targets: tuple[str, ...] | None  # code targets as published: ("5.0", ..., "9.0+PTX"); () for CPU; None unknown
    targets_origin: Origin | None
    torchvision: str | None  # the release that belongs to it
    torchaudio: str | None
    released: str  # ISO day
    index_url: str  # PEP 503 root or find-links page to read
    local: str  # "+cu121"; "" where the published file carries none
    platform_tag: str  # of the file on that index: linux_x86_64, manylinux_2_28_x86_64, win_amd64 ...
    on_pypi: bool  # the same variant is what PyPI serves for this platform
    glibc: str | None  # lowest glibc, "2.17"; None off Linux
    origin: Origin


@dataclass(frozen=True, slots=True)
class OpsWheels:
    """One version of a compiled-ops project built for one torch minor, variant and platform.

    `python_tags` maps each interpreter tag to the evidence for that very wheel.
    """

    project: str  # mmcv | mmcv-full | onedl-mmcv | torch-scatter ...
    provider: str  # openmmlab | onedl | miropsota | comfy-forge | biubushy | pyg | ...
    import_name: str  # mmcv
    version: str  # "2.1.0", without local version
    torch: str  # minor "2.1", or a full version where the build is bound to it
    variant: str  # cpu | cu121
    platform: str
    python_tags: Mapping[str, str]
    targets: tuple[str, ...] | None  # None: never published
    page_url: str  # find-links page that lists it
    file_url: str | None  # template with {python}, {abi}; None when the file name is not known
    origin: Origin


@dataclass(frozen=True, slots=True)
class FrameworkRelease:
    """One release of a framework, with the two ranges that are never merged.

    `declared` stands in the metadata (or the `mim`/`mminstall` extra), `asserted` is raised by the package when it is
    imported. Keys are project names (`mmcv` means the import package mmcv, whoever provides it); values are
    specifiers, "" for any version.
    """

    project: str
    version: str
    import_name: str
    provider: str  # openmmlab | onedl
    released: str
    requires_python: str | None
    declared: Mapping[str, str]
    asserted: Mapping[str, str]
    pins: Mapping[str, str]  # other bounded requirements
    is_yanked: bool
    origin: Origin


@dataclass(frozen=True, slots=True)
class Wall:
    """A version boundary that no metadata states."""

    id: str
    affects: Mapping[str, str]  # project -> specifier of the affected releases
    needs: Mapping[str, str]  # project -> specifier that avoids the wall
    severity: str  # "breaks" (import or every use fails) | "some" (some files or functions fail)
    fact: str
    origin: Origin
    platforms: tuple[str, ...] = ()  # empty: all


@dataclass(frozen=True, slots=True)
class Toolkit:
    """One CUDA toolkit: the driver it shipped with (native) and the lowest driver that runs its binaries (floor)."""

    cuda: str  # "12.1"
    native_linux: str | None
    native_windows: str | None
    floor_linux: str | None
    floor_windows: str | None
    origin: Origin


@dataclass(frozen=True, slots=True)
class GpuModel:
    """A GPU product name and its compute capability."""

    name: str  # as NVIDIA spells it: "GeForce RTX 3090"
    capability: str  # "8.6"
    architecture: str  # "Ampere"
    is_jetson: bool
    origin: Origin
