"""What compiling CUDA sources needs on this machine: nvcc of the right major, a host compiler it takes, GPUs it knows.

Edge: looks for toolkits and asks nvcc. The rules are read where they are enforced, not repeated here: torch's build
extension refuses a toolkit of another major than its own (torch.utils.cpp_extension), nvcc's own
`crt/host_config.h` names the newest gcc and clang it takes, and `nvcc --list-gpu-arch` the GPUs.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.packages.toolchain import MissingTool, ask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from zoo_cli.packages.toolchain import Target, Toolchain

_RELEASE = re.compile(r"release (\d+\.\d+)")
_GCC_LIMIT = re.compile(r"gcc versions later than (\d+) are not supported")
_CLANG_LIMIT = re.compile(r"clang version must be less than (\d+)")
_ARCHITECTURE = re.compile(r"(\d+)\.(\d[af]?)(?:\+PTX)?\Z")


@dataclass(frozen=True, slots=True)
class CudaToolkit:
    """One installed CUDA toolkit."""

    home: Path
    version: str  # "12.1"
    architectures: frozenset[str]  # compute capabilities it compiles for, without the point: "86"


def find_toolkit(
    target: Target, tools: Toolchain, architectures: Sequence[str], needed_for: str, environ: Mapping[str, str]
) -> CudaToolkit:
    """The CUDA toolkit to compile with: that of torch's own version, else one of the same major.

    Args:
        target: with a torch built for CUDA.
        tools: the C++ compiler that nvcc calls.
        architectures: compute capabilities to compile for, as in TORCH_CUDA_ARCH_LIST: "8.6", "9.0+PTX".
        needed_for: the project, for messages.
        environ: CUDA_HOME, CUDA_PATH and PATH are looked at.

    Raises:
        MissingTool: no nvcc, only one of another major, a host compiler it refuses, or a GPU it does not know.
    """
    wanted = target.torch_cuda or ""
    found = list(_toolkits(target, environ))
    fitting = [each for each in found if each.version.partition(".")[0] == wanted.partition(".")[0]]
    if not fitting:
        there = ", ".join(f"CUDA {each.version} in {each.home}" for each in found) or "none"
        raise MissingTool("nvcc", f"{there}; torch {target.torch} is built for CUDA {wanted}", needed_for)
    toolkit = next((each for each in fitting if each.version == wanted), fitting[0])
    _check_host_compiler(toolkit, tools, needed_for)
    _check_architectures(toolkit, architectures, needed_for)
    return toolkit


def _toolkits(target: Target, environ: Mapping[str, str]) -> Iterator[CudaToolkit]:
    on_path = shutil.which("nvcc", path=environ.get("PATH", os.defpath))
    places = [
        *(Path(environ[name]) for name in ("CUDA_HOME", "CUDA_PATH") if environ.get(name)),
        Path(target.python).parent.parent,  # conda's cuda-toolkit
        Path(f"/usr/local/cuda-{target.torch_cuda}"),
        *((Path(on_path).resolve().parent.parent,) if on_path else ()),
        Path("/usr/local/cuda"),
    ]
    seen = set()
    for home in places:
        nvcc = home / "bin" / ("nvcc.exe" if os.name == "nt" else "nvcc")
        real = os.path.realpath(nvcc)
        if real in seen or not (release := _RELEASE.search(ask((str(nvcc), "--version")) or "")):
            continue
        seen.add(real)
        known = re.findall(r"compute_(\w+)", ask((str(nvcc), "--list-gpu-arch")) or "")
        yield CudaToolkit(home, release[1], frozenset(known))


def _check_host_compiler(toolkit: CudaToolkit, tools: Toolchain, needed_for: str) -> None:
    """Refuses a compiler that nvcc would refuse after the first minutes."""
    config = next(iter(sorted(toolkit.home.glob("**/crt/host_config.h"))), None)
    text = config.read_text(encoding="ascii", errors="replace") if config else ""
    is_clang = "clang" in tools.compiler_version.lower()
    limit, major = (_CLANG_LIMIT if is_clang else _GCC_LIMIT).search(text), tools.major
    if not limit or major is None:
        return
    newest = int(limit[1]) - 1 if is_clang else int(limit[1])
    if major > newest:
        kind = "clang" if is_clang else "gcc"
        found = f"{tools.compiler_version}; nvcc {toolkit.version} takes {kind} up to {newest}"
        raise MissingTool("host-compiler", found, needed_for)


def _check_architectures(toolkit: CudaToolkit, architectures: Sequence[str], needed_for: str) -> None:
    if not architectures:
        raise MissingTool("architecture", "no GPU here, and TORCH_CUDA_ARCH_LIST is not set", needed_for)
    for each in architectures:
        hit = _ARCHITECTURE.match(each)
        if not hit:
            raise MissingTool("architecture", f"{each!r} in TORCH_CUDA_ARCH_LIST is no compute capability", needed_for)
        if toolkit.architectures and hit[1] + hit[2][0] not in toolkit.architectures:
            found = f"nvcc {toolkit.version}, which does not know compute capability {each}"
            raise MissingTool("architecture", found, needed_for)


def architectures_of(named: str | None, capabilities: Sequence[str]) -> tuple[str, ...]:
    """What to compile for: the list that the user set (blanks or semicolons between), else the GPUs' capabilities."""
    return tuple(re.split(r"[;\s]+", named.strip())) if named and named.strip() else tuple(sorted(set(capabilities)))
