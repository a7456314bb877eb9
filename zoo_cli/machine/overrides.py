"""Environment variables that say what the machine is, instead of what was detected.

Pure: the environment is handed in. `ZOO_*` comes first; then variables of conda, uv and NVIDIA's variant provider, so
that one machine is described once for all tools. `Machine.origin` names the variable. A bad value in ours is an error,
a bad value in a foreign one is ignored and told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from zoo_cli.machine.facts import Capability, DriverProblem, Gpu, Libc, Machine
from zoo_cli.machine.values import (
    BadMachine,
    BadValue,
    read_capabilities,
    read_cuda,
    read_driver,
    read_glibc,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VARIABLES: tuple[tuple[str, Callable[[str], Any], tuple[str, ...]], ...] = (
    ("driver", read_driver, ("ZOO_DRIVER", "UV_CUDA_DRIVER_VERSION")),
    ("cuda", read_cuda, ("ZOO_CUDA", "CONDA_OVERRIDE_CUDA", "NV_VARIANT_PROVIDER_FORCE_CUDA_DRIVER_VERSION")),
    ("capabilities", read_capabilities, ("ZOO_SM", "CONDA_OVERRIDE_CUDA_ARCH", "NV_VARIANT_PROVIDER_FORCE_SM_ARCH")),
    ("libc", read_glibc, ("ZOO_GLIBC", "CONDA_OVERRIDE_GLIBC")),
)


class Overrides(NamedTuple):
    """What the environment decides; `source` names the variable for every fact that it does."""

    source: Mapping[str, str]
    driver: str | None = None
    cuda: str | None = None
    capabilities: tuple[Capability, ...] = ()
    libc: Libc | None = None
    problems: tuple[DriverProblem, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether nothing about NVIDIA is left to detect."""
        return {"driver", "cuda", "capabilities"} <= self.source.keys()


def read_overrides(environ: Mapping[str, str]) -> Overrides:
    """The overrides that an environment holds.

    Raises:
        BadMachine: a `ZOO_*` variable has a value that is not of its kind.
    """
    values: dict[str, Any] = {}
    source: dict[str, str] = {}
    problems: list[DriverProblem] = []
    for fact, read, names in VARIABLES:
        for name in names:
            text = _text(environ, name)
            if not text or fact in source:
                continue
            try:
                values[fact] = read(text)
                source[fact] = name
            except BadValue as exc:
                if name.startswith("ZOO_"):
                    raise BadMachine(name, exc.reason, name, text[:200], expected=exc.expected) from exc
                problems.append(DriverProblem("override-ignored", name, text[:200]))
    return Overrides(source, **values, problems=tuple(problems))


def _text(environ: Mapping[str, str], name: str) -> str:
    """A variable's value; conda reads an empty `CONDA_OVERRIDE_CUDA` as "there is none"."""
    text = environ.get(name, "").strip()
    return "none" if name == "CONDA_OVERRIDE_CUDA" and name in environ and not text else text


def apply_overrides(machine: Machine, overrides: Overrides) -> Machine:
    """The machine with the overrides in place of what was detected."""
    source, origin = overrides.source, dict(machine.origin)
    if "driver" in source:
        machine = machine._replace(driver=overrides.driver)
        origin["driver"] = source["driver"]
    if "cuda" in source:
        machine = machine._replace(cuda_user_mode=overrides.cuda)
        origin["cuda_user_mode"] = source["cuda"]
    if "libc" in source:
        machine = machine._replace(libc=overrides.libc)
        origin["libc"] = source["libc"]
    if "capabilities" in source:
        machine = machine._replace(gpus=_gpus(machine.gpus, overrides.capabilities, source["capabilities"]))
        origin["gpus"] = source["capabilities"]
    return machine._replace(origin=origin, problems=(*machine.problems, *overrides.problems))


def _gpus(found: tuple[Gpu, ...], capabilities: tuple[Capability, ...], variable: str) -> tuple[Gpu, ...]:
    """One capability holds for every GPU found; several stand for GPUs of their own unless the numbers agree."""
    if len(capabilities) == 1 and found:
        capabilities *= len(found)
    if len(capabilities) == len(found):
        pairs = zip(found, capabilities, strict=True)
        return tuple(gpu._replace(capability=each, source=variable) for gpu, each in pairs)
    return tuple(Gpu(f"GPU {each.target}", each, source=variable) for each in capabilities)
