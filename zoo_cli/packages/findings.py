"""What check-env has to say: findings as values, and those about the machine itself.

Pure. The sentences are written in `zoo_cli.cli.findings_view`; what is installed is judged by `diagnose`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_cli.machine.cuda import cuda_to_variant
from zoo_cli.packages.grid import Drivers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoo_cli.catalog.entries import Matrix
    from zoo_cli.machine.facts import Interpreter, Machine

OK, NOTE, WARN, FAIL = "ok", "note", "warn", "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of check-env."""

    status: str  # ok | note | warn | FAIL
    group: str  # Machine | Installed
    subject: str  # torch, gpu 0, mmcv ...
    code: str
    values: tuple[tuple[str, str], ...] = ()
    install: tuple[str, ...] = ()  # words after `zoo install` that mend it
    source: str = ""  # where the fact was read
    is_minor: bool = False  # about a few files that few people use

    def get(self, name: str) -> str:
        """One value, "" if it is not there."""
        return dict(self.values).get(name, "")


def machine_findings(machine: Machine, matrix: Matrix) -> Iterator[Finding]:
    """What is right and wrong with the machine and the target interpreter, before anything installed is looked at."""
    libc = f"{machine.libc.kind} {machine.libc.version}" if machine.libc else ""
    system = (
        ("os", machine.os.capitalize()),
        ("arch", machine.arch),
        ("libc", libc),
        ("marks", ", ".join(machine.marks)),
    )
    known = any(build.platform == machine.platform for build in matrix.torch)
    yield Finding(
        OK if known else WARN,
        "Machine",
        "system",
        "system" if known else "unknown-platform",
        system,
        source=machine.origin.get("os", ""),
    )
    if machine.python:
        yield _python(machine.python, machine.origin.get("python", ""))
    yield from _gpus(machine)
    if machine.driver:
        yield _driver(machine, matrix)
    if machine.disk_free_bytes is not None:
        low = machine.disk_free_bytes < 10_000_000_000
        yield Finding(
            WARN if low else OK,
            "Machine",
            "disk",
            "disk",
            (("bytes", str(machine.disk_free_bytes)),),
            source=machine.origin.get("disk_free_bytes", ""),
        )


def _python(python: Interpreter, source: str) -> Finding:
    kind = "virtual" if python.is_virtual else "conda" if python.is_conda else "plain"
    values = (("version", python.version), ("path", python.executable), ("kind", kind), ("bits", str(python.bits)))
    if python.externally_managed:
        return Finding(WARN, "Machine", "python", "externally-managed", values, source=python.externally_managed)
    if not python.is_writable:
        return Finding(
            WARN, "Machine", "python", "not-writable", (*values, ("site", python.site_packages)), source=source
        )
    if python.bits != 64:
        return Finding(FAIL, "Machine", "python", "32-bit", values, source=source)
    return Finding(OK, "Machine", "python", "python", values, source=source)


def _gpus(machine: Machine) -> Iterator[Finding]:
    if not machine.gpus:
        asked = (("asked", ", ".join(machine.looked_at)),)
        yield Finding(NOTE, "Machine", "gpu", "no-gpu", asked, source=machine.origin.get("gpus", ""))
    for index, gpu in enumerate(machine.gpus):
        values = (
            ("name", gpu.name),
            ("capability", str(gpu.capability or "")),
            ("target", gpu.capability.target if gpu.capability else ""),
            ("memory", str(gpu.memory_bytes or "")),
        )
        known = gpu.capability is not None or gpu.vendor != "nvidia"
        subject = f"gpu {index}"
        if gpu.vendor == "nvidia" and not machine.driver:
            yield Finding(WARN, "Machine", subject, "gpu-without-driver", values, source=gpu.source)
        else:
            yield Finding(OK if known else NOTE, "Machine", subject, "gpu", values, source=gpu.source)


def _driver(machine: Machine, matrix: Matrix) -> Finding:
    drivers = Drivers(machine, matrix.toolkits)
    allowed = [row.cuda for row in matrix.toolkits if drivers.allows(_variant(row.cuda))]
    native = [row.cuda for row in matrix.toolkits if drivers.is_native(_variant(row.cuda))]
    values = (("driver", str(machine.driver)), ("native", _minor(native)), ("reach", _major(allowed)))
    return Finding(
        OK if native else WARN, "Machine", "driver", "driver", values, source=machine.origin.get("driver", "")
    )


def _variant(cuda: str) -> str:
    return cuda_to_variant(".".join(cuda.split(".")[:2]))


def _numbers(cuda: str) -> tuple[int, ...]:
    return tuple(int(part) for part in cuda.split(".") if part.isdigit())


def _minor(found: list[str]) -> str:
    return ".".join(max(found, key=_numbers).split(".")[:2]) if found else ""


def _major(found: list[str]) -> str:
    return max(found, key=_numbers).split(".")[0] + ".x" if found else ""
