"""What must hold for any bytes given to the checkpoint scanner, as one function for every fuzzer.

It never raises, never executes, is bounded. And when it lets a file pass, CPython's own unpicklers agree: run over the
same pickle with `find_class` replaced by one that traces and makes stand-ins, they ask for nothing outside the allow
list, and call nothing with arguments that could run, load or allocate. The second reader of archives is `zipfile`.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from typing import Any

from zoo_cli.trust.allowed import ALLOWED
from zoo_cli.trust.checkpoint import LEGACY_MAGIC, scan_beginning, scan_checkpoint
from zoo_cli.trust.verdict import Verdict

_STATISTICS = {"min", "max", "mean", "current", "statistics", "data"}


class Broken(AssertionError):
    """The scanner let something pass that it must not."""


class StandIn(list):  # type: ignore[type-arg]
    """What a traced global makes: takes everything, does nothing."""

    origin = ("", "")

    def __new__(cls, *args: Any, **names: Any) -> StandIn:  # noqa: PYI034
        check_call(cls.origin, args, names)
        return super().__new__(cls)

    def __init__(self, *_args: Any, **_names: Any) -> None:
        super().__init__()

    def __setitem__(self, _key: Any, _value: Any) -> None:
        pass

    def add(self, _value: Any) -> None:
        pass

    def update(self, _values: Any) -> None:
        pass

    def __setstate__(self, _state: Any) -> None:
        pass

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)


def check_call(origin: tuple[str, str], args: tuple[Any, ...], names: dict[str, Any]) -> None:
    """Whether a call that CPython would make is one that a checkpoint may make."""
    module, name = origin
    if names:
        raise Broken(f"{origin} with {names}")
    if origin == ("builtins", "getattr"):
        owner = getattr(args[0], "origin", None) if args else None
        if owner != ("mmengine.logging.history_buffer", "HistoryBuffer") or args[1] not in _STATISTICS:
            raise Broken(f"getattr{args!r}")
    if origin == ("_codecs", "encode") and args[1:] not in (("latin1",), ("latin-1",)):
        raise Broken(f"encode{args!r}")
    if origin == ("builtins", "bytearray") and args and isinstance(args[0], int) and args[0] > 1 << 20:
        raise Broken("a large bytearray")
    if ALLOWED[origin] in ("storage", "dtype") or origin in (("numpy", "ndarray"), ("torch", "Tensor")):
        raise Broken(f"{module}.{name} is called")


def _stand_in(module: str, name: str) -> type[StandIn]:
    if (module, name) not in ALLOWED:
        raise Broken(f"{module}.{name} is looked up")
    return type(name, (StandIn,), {"origin": (module, name)})


class PythonTracer(pickle._Unpickler):
    """CPython's unpickler in Python, which tells its protocol."""

    proto: int

    def find_class(self, module: str, name: str) -> type[StandIn]:
        """Traces a global under the name that would be imported."""
        if self.proto < 3:
            if (module, name) in NAME_MAPPING:
                module, name = NAME_MAPPING[(module, name)]
            elif module in IMPORT_MAPPING:
                module = IMPORT_MAPPING[module]
        return _stand_in({"torch.tensor": "torch._tensor"}.get(module, module), name)

    def persistent_load(self, pid: Any) -> StandIn:
        """Storages of tensors."""
        if not isinstance(pid, tuple) or pid[0] not in ("storage", "module"):
            raise Broken(f"persistent id {pid!r}")
        return list.__new__(StandIn)


class CTracer(pickle.Unpickler):
    """CPython's unpickler in C, which does not: a name may be allowed as written or as renamed."""

    def find_class(self, module: str, name: str) -> type[StandIn]:
        """Traces a global."""
        renamed = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
        if (module, name) not in ALLOWED:
            module, name = renamed
        return _stand_in({"torch.tensor": "torch._tensor"}.get(module, module), name)

    persistent_load = PythonTracer.persistent_load


def trace(file: io.BytesIO, tracer: Callable[..., Any]) -> Any:
    """Runs one pickle with stand-ins; an unpickler that gives up is no matter, one that goes too far is."""
    try:
        return tracer(file, encoding="latin1").load()
    except Broken:
        raise
    except (Exception, RecursionError, MemoryError):
        return None


def scan(data: bytes) -> Verdict:
    """The verdict, which never raises, and whose early form never objects to what the whole lets pass."""
    verdict = scan_checkpoint(io.BytesIO(data), len(data))
    early = scan_beginning(data[: 1 << 16])
    assert early is None or verdict.is_refused, "refused by its beginning, passed as a whole"
    assert len(verdict.findings) <= 400
    assert verdict.document()
    return verdict


def check_checkpoint(data: bytes) -> bool:
    """Checks all of it for one file; returns whether the scanner lets it pass."""
    verdict = scan(data)
    if verdict.is_refused:
        return False
    for tracer in (PythonTracer, CTracer):
        if verdict.container == "torch zip":
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                names = [name for name in archive.namelist() if name.endswith((".pkl", ".py"))]
                assert len(names) == 1, names
                trace(io.BytesIO(archive.read(names[0])), tracer)
        elif verdict.container in ("pickle", "torch legacy"):
            file = io.BytesIO(data)
            first = trace(file, tracer)
            if verdict.container == "torch legacy":
                assert first == LEGACY_MAGIC
                for _ in range(4):
                    trace(file, tracer)
    return True
