"""What the words of a failed check mean: the cause, and which group of the solver's constraints it breaks.

Pure. The texts are those of CPython, the dynamic loaders of Linux, macOS and Windows, torch, numpy and mmcv; the first
that is found decides. A group is one of `problem.Problem.groups`, or "" where no choice of versions would help.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Cause(NamedTuple):
    """Why a check failed."""

    code: str
    group: str  # of the solver; "" where versions are not to blame
    about: str = ""  # the library, symbol version or symbol that the text names


_CUDA_LIBRARY = r"lib(?:cudart|cublas|cudnn|cusparse|cusolver|curand|cufft|nvrtc|nccl)[\w.-]*"
_TORCH_LIBRARY = r"lib(?:torch|c10|caffe2)[\w.-]*"
# (code, group, patterns; what a pattern captures is what the cause is about)
_TEXTS = (
    (
        "other-python",
        "python",
        r"undefined symbol: (_?Py[A-Z_]\w*)",
        r"version mismatch: module was compiled for (\S+ \S+)",
        r"dynamic module does not define (?:module export|init) function \(?(\w+)",
    ),
    (
        "other-machine",
        "platform",
        r"wrong ELF class: (\w+)",
        r"incompatible architecture \(([^)]*)",
        r"not a valid Win32 application",
    ),
    (
        "undefined-symbol",
        "torch",
        r"undefined symbol: (\w+)",
        r"Symbol not found: (\S+)",
        r"procedure could not be found",
    ),
    ("missing-operator", "torch", r"operator (\S+) does not exist", r"Couldn't load custom C\+\+ ops"),
    (
        "other-cuda",
        "cuda",
        rf"({_CUDA_LIBRARY}): cannot open shared object",
        rf"Library not loaded: .*({_CUDA_LIBRARY})",
    ),
    (
        "missing-torch",
        "torch",
        rf"({_TORCH_LIBRARY}): cannot open shared",
        rf"Library not loaded: .*({_TORCH_LIBRARY})",
    ),
    (
        "missing-library",
        "",
        r"(\S+): cannot open shared object file",
        r"DLL load failed[^:]*: (.*)",
        r"Library not loaded: (\S+)",
    ),
    ("glibc-too-old", "libc", r"version `(GLIBC_[\d.]+)' not found"),
    ("libstdcxx-too-old", "libc", r"version `((?:GLIBCXX|CXXABI)_[\d.]+)' not found"),
    ("damaged-file", "wheels", r"(file too short|invalid ELF header|ELF load command|slice is not valid)"),
    (
        "numpy-abi",
        "wall",
        r"compiled using (NumPy 1\.x)",
        r"compiled against ((?:ABI|API) version \w+)",
        r"(numpy\.\w+ size changed)",
        r"(numpy\.core\.multiarray) failed",
    ),
    ("no-kernel-image", "gpu", r"no kernel image is available", r"device kernel image is invalid"),
    ("ptx-too-new", "driver", r"PTX was compiled with an unsupported toolchain"),
    (
        "driver-too-old",
        "driver",
        r"driver version is insufficient",
        r"driver on your system is too old",
        r"forward compatibility was attempted",
    ),
    (
        "no-gpu",
        "driver",
        r"no CUDA-capable device",
        r"Found no NVIDIA driver",
        r"CUDA unknown error",
        r"is_available\(\) is",
    ),
    (
        "no-implementation",
        "device",
        r"implementation for device (\w+(?::\d+)?) not found",
        r"not compiled with (?:GPU|CUDA) (?:support|enabled)",
    ),
    ("out-of-memory", "", r"out of memory"),
)
_KINDS = {"op-less": "wheels", "import-assert": "asserted", "missing-module": "declared", "wrong-answer": "wheels"}


def cause_of(check: str, kind: str, text: str, module: str = "") -> Cause:
    """The cause behind an exception: by its class name, its words, and the module an ImportError names."""
    if kind == "WrongAnswer":
        return _of_kind("wrong-answer")
    if kind == "ModuleNotFoundError":
        return _missing(check, module)
    for code, group, *patterns in _TEXTS:
        if hit := next(filter(None, (re.search(pattern, text) for pattern in patterns)), None):
            return Cause(code, group, hit[1] if hit.groups() else "")
    return _of_kind("import-assert" if kind == "AssertionError" else "exception")


def _missing(check: str, module: str) -> Cause:
    if module.endswith("._ext"):
        return _of_kind("op-less", module)
    if module.startswith("numpy."):  # compiled for numpy 2 (numpy._core), and numpy 1 is there; or numpy moved it
        return Cause("numpy-abi", "wall", module)
    return _of_kind("not-installed" if module == check.split(".")[0] else "missing-module", module)


def _of_kind(code: str, about: str = "") -> Cause:
    return Cause(code, _KINDS.get(code, ""), about)


def cause_of_death(ending: str) -> Cause:
    """The cause of a check that killed its process: an instruction the processor does not have, or not known."""
    return Cause("other-processor", "platform") if "SIGILL" in ending else Cause("crash", "")
