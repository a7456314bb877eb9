"""The facts of a computer and of one Python interpreter on it, as plain values.

Pure: nothing here reads the machine; `zoo_cli.machine.probe` does, and `zoo_cli.machine.describe` builds the same
values from a description such as `gpu="RTX 3090",driver=535.183.01`. Kernel driver, user-mode CUDA and compute
capability are three separate facts, each with where it was read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import total_ordering
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@total_ordering
@dataclass(frozen=True, slots=True)
class Capability:
    """A GPU's compute capability: `8.6` is what the code target `sm_86` was compiled for."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"

    def __lt__(self, other: Capability) -> bool:
        return (self.major, self.minor) < (other.major, other.minor)

    @property
    def target(self) -> str:
        """The compiler's name for it, such as `sm_86`."""
        return f"sm_{self.major}{self.minor}"


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU; `capability` is None when only its existence is known."""

    name: str
    capability: Capability | None
    memory_bytes: int | None = None
    vendor: str = "nvidia"  # nvidia | amd | apple | intel
    source: str = ""  # where it was read: "NVML", "nvidia-smi", "--machine", "index: GPU names"


@dataclass(frozen=True, slots=True)
class Libc:
    """The C library: `kind` is glibc, musl, or none (Windows, macOS); `version` like "2.36"."""

    kind: str
    version: str


@dataclass(frozen=True, slots=True)
class Distribution:
    """One installed distribution, as its dist-info directory tells it."""

    name: str  # normalised: lower case, dashes
    version: str
    location: str  # the directory on sys.path that holds it
    url: str | None = None  # from direct_url.json (PEP 610)
    requires: tuple[str, ...] = ()
    files: tuple[str, ...] = ()  # from RECORD; only for the projects zoo knows, else empty
    wheel_tags: tuple[str, ...] = ()  # from the WHEEL file
    installer: str = ""
    editable: bool = False


@dataclass(frozen=True, slots=True)
class TorchFacts:
    """What the target's `torch/version.py` says; torch itself is never imported."""

    version: str  # as written there: "2.13.0+cpu"
    cuda: str | None  # "12.1"; None for CPU and ROCm builds
    hip: str | None  # ROCm version
    source: str


@dataclass(frozen=True, slots=True)
class Interpreter:
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

    @property
    def minor(self) -> str:
        """Version without the patch level, such as "3.10"."""
        return ".".join(self.version.split(".")[:2])

    @property
    def tag(self) -> str:
        """Interpreter tag of a wheel, such as "cp310" (PEP 425); "cp313t" when free-threaded."""
        return "cp" + self.minor.replace(".", "") + ("t" if "t" in self.abi_flags else "")

    def distribution(self, name: str) -> Distribution | None:
        """The installed distribution of that normalised name."""
        return next((each for each in self.distributions if each.name == name), None)


@dataclass(frozen=True, slots=True)
class Machine:
    """A computer: the real one, or one that was described.

    `platform` is one of linux_x86_64, linux_aarch64, win_amd64, macos_x86_64, macos_arm64, or another
    `<os>_<arch>` for which no facts exist. `origin` says where each fact was read, by field name.
    """

    os: str  # linux | windows | macos
    arch: str  # x86_64 | aarch64 | arm64 | amd64 ...
    platform: str
    libc: Libc | None = None
    driver: str | None = None  # kernel driver, "535.183.01"
    cuda_user_mode: str | None = None  # newest CUDA the user-mode driver runs, "12.2"
    gpus: tuple[Gpu, ...] = ()
    python: Interpreter | None = None
    marks: tuple[str, ...] = ()  # "container", "wsl", "jetson", "colab", "mig"
    is_described: bool = False  # True when it came from --machine
    looked_at: tuple[str, ...] = ()  # what was asked for GPUs, for "none found (asked ...)"
    origin: Mapping[str, str] = field(default_factory=dict)
    disk_free_bytes: int | None = None  # at the cache directory
