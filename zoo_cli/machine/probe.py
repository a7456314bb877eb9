"""What this computer is: system, C library, NVIDIA's facts, marks of special places, disk.

Edge: reads the machine. Everything found keeps where it was read (`Machine.origin`); what is missing is None, never a
guess; nothing here raises but a `ZOO_*` variable that cannot be read. torch is never imported, and the interpreter
that will be installed into is read by `zoo_cli.machine.interpreter`, not here.
"""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

from zoo_cli.machine.facts import Capability, Interpreter, Libc, Machine
from zoo_cli.machine.files import free_bytes, is_there, names_in, read_text
from zoo_cli.machine.nvidia import Nvidia, Sources, find_nvidia
from zoo_cli.machine.overrides import apply_overrides, read_overrides
from zoo_cli.machine.values import platform_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["Sources", "probe_machine"]

_NO_NAMES: Mapping[str, Capability] = {}
# Marks by variable: set by the service itself in every process of a notebook or pod.
_MARKING_VARIABLES = {
    "COLAB_RELEASE_TAG": "colab",
    "COLAB_GPU": "colab",
    "KAGGLE_KERNEL_RUN_TYPE": "kaggle",
    "KUBERNETES_SERVICE_HOST": "container",
}


def _glibc_of_this_process() -> str | None:
    """The text that the running C library gives for itself, such as "glibc 2.36"; None when it is not glibc."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):
        return None


def probe_machine(
    environ: Mapping[str, str],
    *,
    gpus: Mapping[str, Capability] = _NO_NAMES,
    python: Interpreter | None = None,
    cache_directory: Path | None = None,
    sources: Sources | None = None,
    libc_text: Callable[[], str | None] = _glibc_of_this_process,
) -> Machine:
    """The machine that this process runs on.

    `gpus` maps GPU names as published to capabilities, for GPUs that are seen without a working driver; `python` is
    put into the result; `cache_directory` is where free space is measured and what the driver said is kept;
    `sources` and `libc_text` are for tests.

    Raises:
        BadMachine: a `ZOO_*` variable has a value that is not of its kind.
    """
    sources = sources or Sources()
    overrides = read_overrides(environ)
    arch = _arch(environ)
    found = Nvidia() if overrides.is_complete else find_nvidia(environ, gpus, sources, cache_directory)
    libc, libc_source = _libc(sources, environ, libc_text)
    origin = {**found.origin, "os": "sys.platform", "arch": "the kernel"}
    if libc:
        origin["libc"] = libc_source
    if python:
        origin["python"] = python.origin
    platform = platform_name(sources.system, arch)
    machine = Machine(
        os=sources.system,
        arch=platform.split("_", 1)[1],
        platform=platform,
        libc=libc,
        driver=found.driver,
        cuda_user_mode=found.cuda,
        gpus=found.gpus,
        python=python,
        looked_at=tuple(found.looked_at),
        origin=origin,
        disk_free_bytes=free_bytes(cache_directory) if cache_directory else None,
        problems=tuple(found.problems),
        other_gpus=found.amd,
    )
    marks = _marks(sources, environ) | ({"mig"} if found.has_mig else set())
    return apply_overrides(machine._replace(marks=tuple(sorted(marks))), overrides)


def _arch(environ: Mapping[str, str]) -> str:
    """The processor of the machine, not of a 32-bit Python on it."""
    if sys.platform == "win32":
        return environ.get("PROCESSOR_ARCHITEW6432") or environ.get("PROCESSOR_ARCHITECTURE") or "amd64"
    return os.uname().machine


def _libc(sources: Sources, environ: Mapping[str, str], libc_text: Callable[[], str | None]) -> tuple[Libc | None, str]:
    if sources.system != "linux":
        return None, ""
    match = re.fullmatch(r"glibc (\d{1,2}(?:\.\d{1,3}){1,2})", (libc_text() or "").strip(), re.ASCII)
    if match:
        return Libc("glibc", match[1]), "confstr(CS_GNU_LIBC_VERSION)"
    return _musl(sources, environ)


def _musl(sources: Sources, environ: Mapping[str, str]) -> tuple[Libc | None, str]:
    """The version of musl, as its loader tells when it is run without a program (PEP 656)."""
    from zoo_cli.machine.child import Answer, ask

    directory = sources.root / "lib"
    loader = next((name for name in names_in(directory) if re.fullmatch(r"ld-musl-\w+\.so\.1", name)), None)
    if loader is None:
        return None, ""
    answer = ask((str(directory / loader),), environ, timeout_seconds=sources.timeout_seconds, limit_bytes=4000)
    said = answer.stderr.decode("ascii", "replace") if isinstance(answer, Answer) else ""
    match = re.search(r"^Version (\d{1,2}\.\d{1,3})", said, re.MULTILINE | re.ASCII)
    return Libc("musl", match[1] if match else ""), f"/lib/{loader}"


def _marks(sources: Sources, environ: Mapping[str, str]) -> set[str]:
    """Words for places where usual rules do not hold."""
    root = sources.root
    marks = {mark for variable, mark in _MARKING_VARIABLES.items() if environ.get(variable)}
    if sources.system != "linux":
        return marks
    groups = read_text(root / "proc/1/cgroup") or ""
    has_marker = any(is_there(root / name) for name in (".dockerenv", "run/.containerenv"))
    if has_marker or re.search(r"docker|kubepods|containerd|libpod|lxc", groups):
        marks.add("container")
    if "microsoft" in (read_text(root / "proc/version", 2000) or "").lower():
        marks.add("wsl")
    model = read_text(root / "proc/device-tree/model", 200) or ""
    if "Jetson" in model or is_there(root / "etc/nv_tegra_release"):
        marks.add("jetson")
    return marks
