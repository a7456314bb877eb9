"""Asks the NVIDIA driver through its own libraries. Runs as a script, in a child, because a driver may hang or crash.

Edge: loads native libraries. Standard library only, imports nothing of ours. Called with one argument, a JSON object
`{"nvml": [names], "cuda": [names]}`; writes one JSON object a line as soon as it is known, first NVML's, then
libcuda's. Return codes are reported as they are: they tell a driver that is not loaded (NVML 9) from one whose library
is another version (NVML 18, cuInit 803). `cuInit` is called only when NVML named no GPU, because it is slow.
Functions and numbers: NVML API Reference and CUDA Driver API, both NVIDIA.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

MAX_GPUS = 256
NAME_BYTES = 96
CUDA_MAJOR, CUDA_MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR


class Memory(ctypes.Structure):
    """nvmlMemory_t: bytes."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


def load(names: list[str]) -> tuple[Any, dict[str, Any]]:
    """The first library that loads, and a report with its name or with why none did."""
    errors = []
    for name in names:
        try:
            return ctypes.CDLL(name), {"library": name}
        except OSError as exc:
            errors.append(str(exc)[:200])
    return None, {"library": None, "errors": errors}


def call(library: Any, names: tuple[str, ...], *arguments: Any) -> int | None:
    """The return code of the first of these functions that the library has; None when it has none."""
    for name in names:
        function = getattr(library, name, None)
        if function is not None:
            function.restype = ctypes.c_int
            return int(function(*arguments))
    return None


def number(library: Any, names: tuple[str, ...], *before: Any) -> int | None:
    """A number that a function writes through its last argument; None when it fails."""
    value = ctypes.c_int(-1)
    return value.value if call(library, names, *before, ctypes.byref(value)) == 0 else None


def text(library: Any, names: tuple[str, ...], *before: Any) -> str | None:
    """A text that a function writes into a buffer; None when it fails."""
    buffer = ctypes.create_string_buffer(NAME_BYTES)
    code = call(library, names, *before, buffer, ctypes.c_uint(NAME_BYTES - 1))
    return buffer.value.decode("utf-8", "replace") if code == 0 else None


def ask_nvml(names: list[str]) -> dict[str, Any]:
    """What NVML says: driver, CUDA version, every GPU."""
    library, report = load(names)
    if library is None:
        return report
    report["init"] = call(library, ("nvmlInit_v2", "nvmlInit"))
    report["cuda"] = number(library, ("nvmlSystemGetCudaDriverVersion_v2", "nvmlSystemGetCudaDriverVersion"))
    if report["init"] != 0:
        return report
    report["driver"] = text(library, ("nvmlSystemGetDriverVersion",))
    count = number(library, ("nvmlDeviceGetCount_v2", "nvmlDeviceGetCount")) or 0
    report["gpus"] = [nvml_gpu(library, index) for index in range(min(count, MAX_GPUS))]
    call(library, ("nvmlShutdown",))
    return report


def nvml_gpu(library: Any, index: int) -> dict[str, Any]:
    """One GPU as NVML describes it; a code in `error` when it cannot be had."""
    device = ctypes.c_void_p()
    names = ("nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetHandleByIndex")
    code = call(library, names, ctypes.c_uint(index), ctypes.byref(device))
    if code != 0:
        return {"error": code}
    major, minor, memory = ctypes.c_int(), ctypes.c_int(), Memory()
    places = (ctypes.byref(major), ctypes.byref(minor))
    known = call(library, ("nvmlDeviceGetCudaComputeCapability",), device, *places) == 0
    sized = call(library, ("nvmlDeviceGetMemoryInfo",), device, ctypes.byref(memory)) == 0
    current, pending = ctypes.c_uint(), ctypes.c_uint()
    modes = (ctypes.byref(current), ctypes.byref(pending))
    mig = call(library, ("nvmlDeviceGetMigMode",), device, *modes) == 0 and current.value == 1
    return {
        "name": text(library, ("nvmlDeviceGetName",), device),
        "capability": [major.value, minor.value] if known else None,
        "memory": memory.total if sized else None,
        "mig": mig,
    }


def ask_cuda(names: list[str], with_gpus: bool) -> dict[str, Any]:
    """What libcuda says: the CUDA version it runs and, when asked, every GPU it may use."""
    library, report = load(names)
    if library is None:
        return report
    report["cuda"] = number(library, ("cuDriverGetVersion",))  # works before cuInit, also without a GPU
    if not with_gpus:
        return report
    report["init"] = call(library, ("cuInit",), ctypes.c_uint(0))
    count = number(library, ("cuDeviceGetCount",)) if report["init"] == 0 else 0
    report["gpus"] = [cuda_gpu(library, index) for index in range(min(count or 0, MAX_GPUS))]
    return report


def cuda_gpu(library: Any, index: int) -> dict[str, Any]:
    """One GPU as libcuda describes it."""
    device = ctypes.c_int()
    code = call(library, ("cuDeviceGet",), ctypes.byref(device), ctypes.c_int(index))
    if code != 0:
        return {"error": code}
    name = ctypes.create_string_buffer(NAME_BYTES)
    named = call(library, ("cuDeviceGetName",), name, ctypes.c_int(NAME_BYTES - 1), device) == 0
    size = ctypes.c_size_t()
    sized = call(library, ("cuDeviceTotalMem_v2", "cuDeviceTotalMem"), ctypes.byref(size), device) == 0
    pair: list[int] = []
    for attribute in (CUDA_MAJOR, CUDA_MINOR):
        value = ctypes.c_int(-1)
        if call(library, ("cuDeviceGetAttribute",), ctypes.byref(value), ctypes.c_int(attribute), device) == 0:
            pair.append(value.value)
    return {
        "name": name.value.decode("utf-8", "replace") if named else None,
        "capability": pair if len(pair) == 2 else None,
        "memory": size.value if sized else None,
    }


def tell(kind: str, report: dict[str, Any]) -> None:
    """Writes one report at once: a later crash must not take it away."""
    sys.stdout.write(json.dumps({kind: report}) + "\n")
    sys.stdout.flush()


def main(argument: str) -> None:
    """Asks NVML, then libcuda."""
    places = json.loads(argument)
    nvml = ask_nvml(places["nvml"])
    tell("nvml", nvml)
    named = any(gpu.get("name") and gpu.get("capability") for gpu in nvml.get("gpus", ()))
    tell("cuda", ask_cuda(places["cuda"], with_gpus=not named))


if __name__ == "__main__":
    main(sys.argv[1])
