"""The facts of a computer and of one Python interpreter on it, as plain values.

Pure: nothing here reads the machine; `zoo_cli.machine.probe` does, and `zoo_cli.machine.describe` builds the same
values from a description such as `gpu="RTX 3090",driver=535.183.01`. Kernel driver, user-mode CUDA and compute
capability are three separate facts, each with where it was read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Capability(NamedTuple):
    """A GPU's compute capability: `8.6` is what the code target `sm_86` was compiled for."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"

    @property
    def target(self) -> str:
        """The compiler's name for it, such as `sm_86`."""
        return f"sm_{self.major}{self.minor}"


class Gpu(NamedTuple):
    """One GPU; `capability` is None when only its existence is known."""

    name: str
    capability: Capability | None
    memory_bytes: int | None = None
    vendor: str = "nvidia"  # nvidia | amd | apple | intel
    source: str = ""  # where it was read: "NVML", "nvidia-smi", "--machine", "index: GPU names"


class DriverProblem(NamedTuple):
    """Why NVIDIA facts are missing or doubtful.

    `code` is one of: no-driver (a GPU is on the bus, no kernel driver is loaded), driver-not-loaded,
    driver-library-mismatch, no-device, no-device-node (a container without GPU access), no-library, no-permission,
    gpu-lost, stub-library, not-ready, driver-hangs, driver-crashed, driver-error, override-ignored.
    """

    code: str
    source: str  # who said so: "NVML", "libcuda", "nvidia-smi", "PCI bus", a variable's name
    detail: str = ""  # the original words or return code


class Libc(NamedTuple):
    """The C library: `kind` is glibc, musl, or none (Windows, macOS); `version` like "2.36"."""

    kind: str
    version: str


class DirectUrl(NamedTuple):
    """Where a distribution came from when it did not come from a package index by its name (PEP 610)."""

    url: str  # of the repository, archive or directory; without anybody's password
    vcs: str = ""  # "git"; "" for archives and directories
    commit_id: str = ""
    requested_revision: str = ""  # the branch, tag or commit that was asked for; "" for the repository's own
    subdirectory: str = ""
    sha256: str = ""  # of an archive
    editable: bool = False  # a directory whose changes count at once

    @property
    def is_wheel(self) -> bool:
        """Whether it is a release's own file, named by its address, rather than a source."""
        return self.url.partition("#")[0].endswith(".whl")


class Distribution(NamedTuple):
    """One installed distribution, as its dist-info directory tells it."""

    name: str  # normalised: lower case, dashes
    version: str
    location: str  # the directory on sys.path that holds it
    direct_url: DirectUrl | None = None
    requires: tuple[str, ...] = ()
    files: tuple[str, ...] = ()  # from RECORD; only for the projects zoo knows, else empty
    wheel_tags: tuple[str, ...] = ()  # from the WHEEL file
    installer: str = ""

    @property
    def editable(self) -> bool:
        """Whether its code is where it is worked on."""
        return self.direct_url is not None and self.direct_url.editable

    @property
    def built_from(self) -> DirectUrl | None:
        """The repository, directory or source archive it was built from; None for a release's wheel."""
        return None if self.direct_url is None or self.direct_url.is_wheel else self.direct_url


class BrokenMetadata(NamedTuple):
    """A dist-info or egg-info that could not be used; `reason` is one of: unreadable, no-name, no-version."""

    path: str
    reason: str


class TorchFacts(NamedTuple):
    """What the target's `torch/version.py` says; torch itself is never imported."""

    version: str  # as written there: "2.13.0+cpu"
    cuda: str | None  # "12.1"; None for CPU and ROCm builds
    hip: str | None  # ROCm version
    source: str


class Interpreter(NamedTuple):
    """One Python interpreter: the target of an install."""

    executable: str
    version: str  # "3.10.14"
    implementation: str = "cpython"
    abi_flags: str = ""  # "t" for free-threaded
    bits: int = 64
    prefix: str = ""
    is_virtual: bool = False
    is_conda: bool = False
    externally_managed: str | None = None  # the EXTERNALLY-MANAGED file (PEP 668), if it applies
    site_packages: str = ""  # purelib
    is_writable: bool = True
    distributions: tuple[Distribution, ...] = ()
    torch: TorchFacts | None = None
    base_prefix: str = ""  # of the Python a virtual environment was made from, else the prefix
    platlib: str = ""  # where compiled packages go; often the same as `site_packages`
    platform: str = ""  # as sysconfig names it: "linux-x86_64"
    site_directories: tuple[str, ...] = ()  # every directory searched for distributions, in import order
    problems: tuple[BrokenMetadata, ...] = ()
    origin: str = ""  # why this interpreter: "--python", "VIRTUAL_ENV", "PATH" ...

    @property
    def minor(self) -> str:
        """Version without the patch level, such as "3.10"."""
        return ".".join(self.version.split(".")[:2])

    @property
    def tag(self) -> str:
        """Interpreter tag of a wheel, such as "cp310" (PEP 425); "cp313t" when free-threaded, "pp310" for PyPy."""
        return (
            ("pp" if self.implementation == "pypy" else "cp")
            + self.minor.replace(".", "")
            + ("t" if "t" in self.abi_flags else "")
        )

    def distribution(self, name: str) -> Distribution | None:
        """The installed distribution of that normalised name."""
        return next((each for each in self.distributions if each.name == name), None)


class Machine(NamedTuple):
    """A computer: the real one, or one that was described.

    `platform` is one of linux_x86_64, linux_aarch64, win_amd64, macos_x86_64, macos_arm64, or another
    `<os>_<arch>` for which no facts exist. `gpus` holds NVIDIA GPUs only; others are in `other_gpus`. `origin` says
    where each fact was read, by field name: a path, "NVML", a variable's name, "described" or "assumed".
    """

    os: str  # linux | windows | macos
    arch: str  # x86_64 | aarch64 | arm64 | amd64 ...
    platform: str
    libc: Libc | None = None
    driver: str | None = None  # kernel driver, "535.183.01"
    cuda_user_mode: str | None = None  # newest CUDA the user-mode driver runs, "12.2"
    gpus: tuple[Gpu, ...] = ()
    python: Interpreter | None = None
    marks: tuple[str, ...] = ()  # "container", "wsl", "jetson", "colab", "kaggle", "mig"
    is_described: bool = False  # True when it came from --machine
    looked_at: tuple[str, ...] = ()  # what was asked for GPUs, for "none found (asked ...)"
    origin: Mapping[str, str] = {}
    disk_free_bytes: int | None = None  # at the cache directory
    problems: tuple[DriverProblem, ...] = ()
    other_gpus: tuple[Gpu, ...] = ()  # AMD GPUs on the bus: seen, never used
