"""What a source build needs on this machine: a clear no in a second instead of a compiler error after ten minutes.

Edge: looks at the target interpreter (in a child), the compiler, memory, cores and disk.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.packages.indexes import clean_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

BYTES_PER_JOB = 2_800_000_000  # the largest compiler process seen on mmcv: 2.8 GB
DISK_BYTES = 1_000_000_000  # sources, objects and the build environment, with room

# Isolated, so the directory zoo stands in adds nothing. Metadata only: importing torch takes seconds.
_QUESTION = """
import json, sys, sysconfig, platform
from os.path import join, isfile
try:
    from importlib import metadata
except ImportError:
    metadata = None
def version(name):
    try:
        return metadata.version(name) if metadata else None
    except metadata.PackageNotFoundError:
        return None
torch = {}
for folder in sys.path:
    path = join(folder, "torch", "version.py")
    if isfile(path):
        with open(path, encoding="utf-8") as stream:
            exec(stream.read(), torch)
        torch["directory"] = join(folder, "torch")
        break
print(json.dumps({
    "executable": sys.executable,
    "tag": "cp%d%d%s" % (sys.version_info[0], sys.version_info[1], "t" if "t" in getattr(sys, "abiflags", "") else ""),
    "version": platform.python_version(),
    "platform": sysconfig.get_platform(),
    "libc": " ".join(platform.libc_ver()),
    "include": sysconfig.get_paths()["include"],
    "torch": torch.get("__version__"),
    "torch_cuda": torch.get("cuda"),
    "torch_directory": torch.get("directory"),
    "path": [folder for folder in sys.path if folder.endswith(("site-packages", "dist-packages"))],
    "opencv": [name for name in ("opencv-python", "opencv-python-headless") if version(name)],
}))
"""


class MissingTool(ZooError):
    """Something that a source build needs is not on this machine."""

    code = "missing-tool"
    exit_code = ExitCode.ENVIRONMENT

    tool: str  # c++ | c++-standard | nvcc | host-compiler | architecture | Python.h | torch | memory | disk
    found: str  # what is there instead
    needed_for: str


class TargetUnreadable(ZooError):
    """The target interpreter does not answer."""

    code = "target-unreadable"
    exit_code = ExitCode.ENVIRONMENT

    python: str
    reason: str


@dataclass(frozen=True, slots=True)
class Target:
    """The interpreter a wheel is built for, and the torch in it."""

    python: str
    tag: str  # cp311
    version: str
    platform: str  # linux-x86_64, as sysconfig says
    libc: str
    torch: str | None  # "2.13.0+cpu"
    torch_cuda: str | None
    torch_directory: Path | None
    site_packages: tuple[str, ...]
    opencv: tuple[str, ...]  # mmcv's setup.py writes the one that is there into its metadata


@dataclass(frozen=True, slots=True)
class Toolchain:
    """The compiler and what the machine can bear."""

    compiler: str  # path of the C++ compiler
    compiler_version: str  # first line of --version
    cores: int
    memory_bytes: int | None  # free for us; None unknown
    major: int | None = None  # of the compiler's version

    def jobs(self, wanted: int | None = None) -> int:
        """Compilers to run at a time: as asked, else what cores and memory bear."""
        if wanted:
            return wanted
        bearable = self.memory_bytes // BYTES_PER_JOB if self.memory_bytes is not None else self.cores
        return max(1, min(self.cores, bearable))


def read_target(python: str, *, needs_torch: bool = True) -> Target:
    """The target interpreter with its torch.

    Args:
        python: its path.
        needs_torch: whether a target without torch will not do.

    Raises:
        TargetUnreadable: it does not answer.
        MissingTool: it has no torch, or no headers to compile against.
    """
    text = ask((python, "-B", "-I", "-c", _QUESTION))
    if text is None:
        raise TargetUnreadable(python, "it is not there, or is no Python 3")
    facts = json.loads(text.splitlines()[-1])
    if needs_torch and not facts["torch"]:
        raise MissingTool("torch", "not installed", python)
    header = Path(facts["include"]) / "Python.h"
    if not header.is_file():
        raise MissingTool("Python.h", f"not in {facts['include']}", f"Python {facts['version']}")
    return Target(
        python=facts["executable"],
        tag=facts["tag"],
        version=facts["version"],
        platform=facts["platform"],
        libc=facts["libc"],
        torch=facts["torch"],
        torch_cuda=facts["torch_cuda"],
        torch_directory=Path(facts["torch_directory"]) if facts["torch"] else None,
        site_packages=tuple(facts["path"]),
        opencv=tuple(facts["opencv"]),
    )


def check_standard(target: Target, tools: Toolchain, project: str) -> None:
    """Checks that the compiler speaks the C++ that torch's build extension will ask for.

    Raises:
        MissingTool: it is too old.
    """
    extension = target.torch_directory / "utils" / "cpp_extension.py" if target.torch_directory else None
    found = re.search(r"-std=c\+\+(\d+)", _read(str(extension), 1_000_000)) if extension else None
    if found and ask((tools.compiler, f"-std=c++{found[1]}", "-x", "c++", "-dM", "-E", os.devnull)) is None:
        raise MissingTool("c++-standard", f"{tools.compiler_version}, which has no -std=c++{found[1]}", project)


def find_toolchain(work: Path, project: str) -> Toolchain:
    """The compiler, cores and free memory; checks that they and the disk at `work` are enough.

    Raises:
        MissingTool: no C++ compiler, or too little memory or disk.
    """
    compiler = find_compiler()
    if not compiler:
        raise MissingTool("c++", "none on PATH, and CXX is not set", project)
    version = (ask((compiler, "--version")) or "").partition("\n")[0].strip()
    if not version:
        raise MissingTool("c++", f"{compiler} does not run", project)
    memory = free_memory()
    if memory is not None and memory < BYTES_PER_JOB // 2:
        raise MissingTool("memory", f"{memory // 1_000_000} MB free", project)
    disk = shutil.disk_usage(work).free
    if disk < DISK_BYTES:
        raise MissingTool("disk", f"{disk // 1_000_000} MB free at {work}", project)
    told = re.match(r"\d+", ask((compiler, "-dumpversion")) or "")
    return Toolchain(compiler, version, usable_cores(), memory, int(told[0]) if told else None)


def find_compiler() -> str | None:
    """The C++ compiler that torch's build extension will use: CXX, else c++, g++, clang++."""
    named = os.environ.get("CXX", "").split()
    return next((path for name in (*named[:1], "c++", "g++", "clang++") if (path := shutil.which(name))), None)


def usable_cores() -> int:
    """Cores this process may use: the affinity mask, and the CPU quota of a container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = re.match(r"(\d+) (\d+)", _read("/sys/fs/cgroup/cpu.max"))
    return max(1, min(cores, int(quota[1]) // int(quota[2]))) if quota else cores


def free_memory() -> int | None:
    """Bytes of memory that can be used now, also within a container's limit; None where that is not told."""
    told = re.search(r"^MemAvailable:\s+(\d+) kB", _read("/proc/meminfo"), re.MULTILINE)
    free = [int(told[1]) * 1024] if told else []
    limit, used = _read("/sys/fs/cgroup/memory.max").strip(), _read("/sys/fs/cgroup/memory.current").strip()
    if limit.isdigit() and used.isdigit():
        free.append(int(limit) - int(used))
    return min(free) if free else None


def _read(path: str, most: int = 65536) -> str:
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as stream:
            return stream.read(most)
    except OSError:
        return ""


def ask(argv: Sequence[str]) -> str | None:
    """What a program prints; None if it cannot be started, fails, says nothing or takes a minute."""
    try:
        done = subprocess.run(argv, env=clean_environment({}), capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 and done.stdout.strip() else None
