"""Compatibility facts as typed rows.

Every row carries an `Origin`: where the fact stands, the day it was read and what kind of evidence it is. Pure values;
`zoo_cli.catalog.compat` reads them from `zoo.db`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


EVIDENCE = ("seen", "listed", "reported", "inferred")  # best first


class Origin(NamedTuple):
    """Where a fact stands.

    `evidence` is one of: `seen` (the file itself, or its name on the page, was read), `listed` (an official table
    says so), `reported` (a third party says so), `inferred` (derived by a rule).
    """

    source: str  # an address, or repository + path + commit
    date: str  # ISO day it was read
    evidence: str


class TorchBuild(NamedTuple):
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
    requires_python: str | None = None  # as in its metadata
    index_kind: str = "simple"  # "simple" (PEP 503) or "find-links": what kind of page index_url is
    file_url: str = ""  # template with {python} and {abi}; "" for a build that is not in the index

    def url(self, python_tag: str) -> str | None:
        """The address of the torch wheel for that interpreter tag, such as "cp310"; None where no rule gives it."""
        return fill_tag(self.file_url, python_tag) if self.file_url else None


class OpsWheels(NamedTuple):
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
    sha256: str | None = None  # where the provider published it; then the row stands for one file
    tag_origins: Mapping[str, Origin] = {}  # where each of those wheels was read
    glibc: str | None = None  # the lowest it runs on, where the file was read

    def url(self, python_tag: str) -> str | None:
        """The address of the wheel for that interpreter tag; None when the file name is not known."""
        return fill_tag(self.file_url, python_tag) if self.file_url else None

    def origin_of(self, python_tag: str) -> Origin:
        """Where that very wheel was read; the row's own origin where nothing better is known."""
        return self.tag_origins.get(python_tag, self.origin)


class FrameworkRelease(NamedTuple):
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
    declared_in: str | None = None  # "requires-dist", "extra mim", "sdist requirements/mminstall.txt" ...


class Wall(NamedTuple):
    """A version boundary that no metadata states: any project inside `affects` meets it."""

    id: str
    affects: Mapping[str, str]  # project -> specifier of the affected releases
    needs: Mapping[str, str]  # project -> specifier that avoids the wall
    severity: str  # "breaks" (import or every use fails) | "some" (some files or functions fail)
    fact: str
    origin: Origin
    platforms: tuple[str, ...] = ()  # empty: all
    python: str = ""  # specifier of the interpreters it stands on; "" for all


class Toolkit(NamedTuple):
    """One CUDA toolkit: the driver it shipped with (native) and the lowest driver that runs its binaries (floor)."""

    cuda: str  # "12.1"
    native_linux: str | None
    native_windows: str | None
    floor_linux: str | None
    floor_windows: str | None
    origin: Origin


class Image(NamedTuple):
    """A container image that an environment may be built on."""

    name: str  # with its tag
    cuda: str | None  # the toolkit's release: "12.1.1"; None without CUDA
    python: str  # "3.11"
    glibc: str  # "2.36"
    apt: tuple[str, ...]  # packages that bring that Python, where the image has none
    arches: tuple[str, ...]
    origin: Origin


class GpuModel(NamedTuple):
    """A GPU product name and its compute capability."""

    name: str  # as NVIDIA spells it: "GeForce RTX 3090"
    capability: str  # "8.6"
    architecture: str  # "Ampere"
    is_jetson: bool
    origin: Origin


class GpuReport(NamedTuple):
    """What somebody reported about compiled ops on a GPU; a field is None when the report does not tell it.

    `works` False means "no kernel image is available" although the installation succeeded.
    """

    project: str
    versions: str  # specifier
    capability: str
    gpu: str
    platform: str | None
    torch: str | None  # minor
    variant: str | None
    python_tag: str | None
    works: bool
    cure: str | None
    origin: Origin


class Provider(NamedTuple):
    """Somebody who publishes wheels, and the only addresses they come from."""

    id: str
    kind: str  # official | fork | community
    title: str
    urls: tuple[str, ...]
    note: str | None
    origin: Origin


class Project(NamedTuple):
    """A distribution zoo knows. `conflicts` own the same import package: only one of them may be installed."""

    name: str
    import_name: str
    provider: str  # its own publisher; builds of others are another provider's rows
    kind: str  # torch | companion | ops | engine | framework | lite | tool | library
    urls: tuple[str, ...]  # address prefixes its files may come from, and no others
    sdist_url: str | None  # where its source may come from, if elsewhere
    sdists: tuple[str, ...]  # versions with a source archive, oldest first; only for ops
    aliases: tuple[str, ...]  # what people type instead
    conflicts: tuple[str, ...]
    origin: Origin


class Recipe(NamedTuple):
    """What building a project from its source takes, beyond what its own files say."""

    project: str
    requires: tuple[str, ...]  # build tools; none: what its pyproject.toml names
    needs_torch: bool  # compiles against the target's torch, and its wheel has ops
    folders: tuple[str, ...]  # of C++ sources that may be compiled together
    cuda_folders: tuple[str, ...]  # the same of CUDA sources
    variables: Mapping[str, str]  # for setup.py
    cuda_switch: str | None  # the variable that is 1 for a CUDA build, else 0
    seconds: int | None  # compiler time of the combined build, CPU ops
    stock_seconds: int | None  # the same of the untouched sources
    origin: Origin


class Matrix(NamedTuple):
    """Every compatibility fact that matters on one platform; versions ascend within each list."""

    torch: tuple[TorchBuild, ...]
    ops: tuple[OpsWheels, ...]
    frameworks: Mapping[str, tuple[FrameworkRelease, ...]]
    walls: tuple[Wall, ...]
    toolkits: tuple[Toolkit, ...]
    index_date: str  # newest day a fact was read
    gpu_reports: tuple[GpuReport, ...]


def fill_tag(template: str, python_tag: str) -> str:
    """A file address for an interpreter tag: cp37 has the ABI tag cp37m, cp313t the interpreter tag cp313 (PEP 425)."""
    abi = python_tag + "m" if python_tag in ("cp35", "cp36", "cp37") else python_tag
    return template.replace("{python}", python_tag.rstrip("t")).replace("{abi}", abi)
