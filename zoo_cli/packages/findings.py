"""What check-env has to say: findings as values, and those about the machine itself.

Pure. The sentences are written in `zoo_cli.cli.findings_view`; what is installed is judged by `diagnose`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.machine.cuda import cuda_to_variant
from zoo_cli.packages.grid import Drivers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoo_cli.catalog.entries import Matrix
    from zoo_cli.machine.facts import Interpreter, Machine

OK, NOTE, WARN, FAIL = "ok", "note", "warn", "FAIL"


# Driver problems with which no CUDA program can run; the others may be meant so, or leave a GPU that works.
_BLOCKING = ("driver-library-mismatch", "driver-not-loaded", "gpu-lost", "no-permission", "not-ready", "stub-library")
NEW_ENVIRONMENT = ("--env", "./env")  # what is added to a command to leave an environment as it is


class Finding(NamedTuple):
    """One line of check-env."""

    status: str  # ok | note | warn | FAIL
    group: str  # Machine | Installed
    subject: str  # torch, gpu 0, mmcv ...
    code: str
    values: tuple[tuple[str, str], ...] = ()
    install: tuple[str, ...] = ()  # words after `zoo install` that mend it
    source: str = ""  # where the fact was read
    is_minor: bool = False  # about a few files that few people use
    command: tuple[str, ...] = ()  # what mends it when `zoo install` does not; "PYTHON" stands for the target

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
    yield from _libc(machine, matrix)
    yield from _gpus(machine)
    if machine.driver:
        yield _driver(machine, matrix)
    for problem in machine.problems:
        status = FAIL if problem.code in _BLOCKING else WARN
        said = (("problem", problem.code), ("said", problem.detail))
        yield Finding(status, "Machine", "driver", "driver-problem", said, source=problem.source)
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
    aside = ("mmdet", *NEW_ENVIRONMENT)
    if python.bits != 64:
        command = ("uv", "venv", "--python", f"cpython-{python.minor}-{python.platform.split('-')[0]}-x86_64", "env")
        return Finding(FAIL, "Machine", "python", "32-bit", values, source=source, command=command)
    if python.externally_managed:
        marker = python.externally_managed
        return Finding(WARN, "Machine", "python", "externally-managed", values, aside, marker)
    if not python.is_writable:
        site = ("site", python.site_packages)
        return Finding(WARN, "Machine", "python", "not-writable", (*values, site), aside, source)
    return Finding(OK, "Machine", "python", "python", values, source=source)


def _libc(machine: Machine, matrix: Matrix) -> Iterator[Finding]:
    """A C library that no torch wheel runs on."""
    floors = [build.glibc for build in matrix.torch if build.platform == machine.platform and build.glibc]
    if machine.libc is None or not floors:
        return
    lowest = min(floors, key=_numbers)
    values = (("libc", f"{machine.libc.kind} {machine.libc.version}"), ("needs", lowest))
    source = machine.origin.get("libc", "")
    command = ("docker", "run", "--rm", "-it", "-v", ".:/work", "-w", "/work", "python:3.11-slim-bookworm", "bash")
    if machine.libc.kind == "musl":
        yield Finding(FAIL, "Machine", "libc", "musl", values, source=source, command=command)
    elif machine.libc.version and _numbers(machine.libc.version) < _numbers(lowest):
        yield Finding(FAIL, "Machine", "libc", "glibc-too-old", values, source=source, command=command)


def _gpus(machine: Machine) -> Iterator[Finding]:
    if not machine.gpus:
        asked = (("asked", ", ".join(machine.looked_at)),)
        yield Finding(NOTE, "Machine", "gpu", "no-gpu", asked, source=machine.origin.get("gpus", ""))
    for gpu in machine.other_gpus:
        if gpu.vendor == "amd":
            yield Finding(NOTE, "Machine", "gpu", "amd-gpu", (("name", gpu.name),), source=gpu.source)
    if "jetson" in machine.marks:
        yield Finding(NOTE, "Machine", "system", "jetson", source=machine.origin.get("os", ""))
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
