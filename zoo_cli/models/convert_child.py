"""Runs inside an interpreter with torch, sent there as text, locked down: a scanned checkpoint -> safetensors.

    python -I -c <this> MARK INPUT-FD OUTPUT-FD SIZE PART GLOBALS...

Before torch is imported: no new privileges, limits on memory, processor time and file sizes, and a network namespace
of its own where the system gives one. The checkpoint is loaded with `weights_only=True`; classes in GLOBALS that torch
does not allow are stood in for by empty ones, so no code of theirs is imported. One marked JSON line tells the result.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import struct
import sys
from typing import Any

MARK, SOURCE, TARGET, SIZE, PART = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
GLOBALS = sys.argv[6:]
_GIB = 1 << 30
_NEW_USER, _NEW_NETWORK, _NO_NEW_PRIVILEGES = 0x10000000, 0x40000000, 38
_KINDS = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "uint16": "U16", "int32": "I32", "uint32": "U32",
    "int64": "I64", "uint64": "U64", "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64",
    "complex64": "C64", "float8_e5m2": "F8_E5M2", "float8_e4m3fn": "F8_E4M3", "float8_e8m0fnu": "F8_E8M0",
}  # fmt: skip
_PARTS = ("state_dict", "model", "params_ema", "params")
# Modules whose names the scanner has let pass as they are; all others are stood in for.
_REAL = ("builtins", "collections", "_codecs", "numpy", "numpy.core.multiarray", "numpy._core.multiarray")


def tell(**facts: Any) -> None:
    """Writes one marked line."""
    sys.stdout.write("\n" + MARK + json.dumps(facts) + "\n")
    sys.stdout.flush()


def lock_down() -> bool:
    """Limits this process; returns whether it has no network any more."""
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, 1800),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_FSIZE, 4 * SIZE + _GIB),
        (resource.RLIMIT_DATA, 8 * _GIB + 4 * SIZE),
    ):
        hard = resource.getrlimit(limit)[1]
        resource.setrlimit(limit, (value, value) if hard == resource.RLIM_INFINITY else (min(value, hard), hard))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    return any(libc.unshare(flags) == 0 for flags in (_NEW_NETWORK, _NEW_USER | _NEW_NETWORK))


class Stand(dict):  # type: ignore[type-arg]
    """What stands for a class that is not imported: takes items and attributes, and does nothing."""

    def __init__(self, *_args: Any) -> None:
        super().__init__()


def load(torch: Any) -> Any:
    """The checkpoint, with harmless stand-ins for what torch does not allow by itself."""
    stands: list[Any] = []
    for name in GLOBALS:
        module, _, last = name.rpartition(".")
        if module in _REAL and name != "builtins.getattr":
            found = getattr(importlib.import_module(module), last, None) if _has(module) else None
            stands.append((found, name) if found is not None else (type(last, (Stand,), {}), name))
        elif not module.startswith("torch"):
            stands.append((type(last, (Stand,), {"__module__": module}), name))
    numpy_types = _numpy_types()
    with torch.serialization.safe_globals([*stands, *numpy_types]), os.fdopen(SOURCE, "rb") as file:
        return torch.load(file, map_location="cpu", weights_only=True)


def _has(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def _numpy_types() -> list[Any]:
    """The classes of numpy's types, which torch looks at when an array is rebuilt."""
    if not _has("numpy.dtypes"):
        return []
    types = importlib.import_module("numpy.dtypes")
    return [getattr(types, name) for name in dir(types) if name.endswith("DType")]


def tensors_of(torch: Any, value: Any, path: str = "") -> dict[str, Any]:
    """Every tensor below a value, by its keys joined with dots."""
    found: dict[str, Any] = {}
    waiting = [(path, value)]
    while waiting:
        name, each = waiting.pop()
        if isinstance(each, torch.Tensor):
            found[name] = each
        elif isinstance(each, dict):
            waiting += [(f"{name}.{key}" if name else str(key), item) for key, item in reversed(each.items())]
        elif isinstance(each, (list, tuple)):
            waiting += [(f"{name}.{index}", item) for index, item in reversed(list(enumerate(each)))]
    return found


def chosen(torch: Any, value: Any) -> tuple[str, dict[str, Any], list[str]]:
    """The part that holds the weights, its tensors, and the names of the parts left out."""
    if not isinstance(value, dict):
        return "", tensors_of(torch, value), []
    for name in (PART,) if PART else _PARTS:
        if isinstance(value.get(name), dict) and (found := tensors_of(torch, value[name])):
            return name, found, [str(key) for key in value if key != name]
    return "", {} if PART else tensors_of(torch, value), []


def write(tensors: dict[str, Any]) -> None:
    """The tensors to the output, one after the other; see the description of safetensors."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        kind = _KINDS[str(tensor.dtype).removeprefix("torch.")]
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with os.fdopen(TARGET, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            plain = tensor.detach().cpu().contiguous()
            size = plain.numel() * plain.element_size()
            if size:
                file.write(memoryview((ctypes.c_char * size).from_address(plain.data_ptr())))


def odd(torch: Any, tensors: dict[str, Any]) -> list[str]:
    """Tensors that safetensors cannot hold."""

    def short(value: Any) -> str:
        return str(value).removeprefix("torch.")

    return [
        f"{name}: {short(tensor.dtype)}, {short(tensor.layout)}, {tensor.device}"
        for name, tensor in tensors.items()
        if str(tensor.dtype).removeprefix("torch.") not in _KINDS
        or tensor.layout is not torch.strided
        or tensor.device.type == "meta"
    ]


def main() -> None:
    """Locks down, loads, writes, tells."""
    is_offline = lock_down()
    torch = importlib.import_module("torch")
    part, tensors, left_out = chosen(torch, load(torch))
    if not tensors:
        tell(problem="no-tensors")
    elif problems := odd(torch, tensors):
        tell(problem="odd-tensor", tensors=problems[:20])
    else:
        write(tensors)
        tell(part=part, tensors=len(tensors), left_out=left_out[:50], offline=is_offline, torch=torch.__version__)


main()
