"""Traces of NVIDIA that cost next to nothing to read: kernel files, device nodes, the PCI bus.

Edge: reads system files below a root. Without a trace there is nothing to ask the driver's libraries, and no child is
started. The PCI bus also tells of a GPU whose driver is not loaded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.machine.facts import DriverProblem, Gpu
from zoo_cli.machine.files import is_there, names_in, read_text

if TYPE_CHECKING:
    from pathlib import Path

LOOKED_AT = ("/sys/module/nvidia", "/proc/driver/nvidia", "/dev/nvidia*", "the PCI bus")
DRIVER = re.compile(r"\d{2,4}(?:\.\d{1,5}){1,3}", re.ASCII)
MAX_PCI_DEVICES = 4096
NVIDIA, AMD = "0x10de", "0x1002"
# WSL's GPU device, Jetson's release file, the libraries of Colab: NVIDIA without a module, node or PCI device.
_SPECIAL = ("dev/dxg", "etc/nv_tegra_release", "usr/lib64-nvidia")


class Traces(NamedTuple):
    """What the files say; `driver_source` is the file that named the kernel driver."""

    driver: str | None = None
    driver_source: str = ""
    has_files: bool = False  # anything of NVIDIA's beside PCI devices
    has_nodes: bool = False  # device nodes, or a platform that has none
    models: tuple[str, ...] = ()  # GPUs as the kernel driver names them
    pci: tuple[Gpu, ...] = ()  # NVIDIA display controllers, capability unknown
    amd: tuple[Gpu, ...] = ()

    @property
    def is_any(self) -> bool:
        """Whether there is anything of NVIDIA's here."""
        return self.has_files or bool(self.pci)

    @property
    def problem(self) -> DriverProblem | None:
        """What the files alone show to be wrong."""
        if self.pci and not self.driver and not self.has_nodes:
            return DriverProblem("no-driver", "PCI bus", ", ".join(gpu.name for gpu in self.pci))
        if self.driver and not self.has_nodes:
            return DriverProblem("no-device-node", "/dev/nvidia*")
        return None


def read_traces(root: Path) -> Traces:
    """The traces below a root directory, "/" on a real machine."""
    kernel = (read_text(root / "sys/module/nvidia/version", 200) or "").strip()
    proc = read_text(root / "proc/driver/nvidia/version", 2000) or ""
    driver, source = (kernel, "/sys/module/nvidia/version") if DRIVER.fullmatch(kernel) else (_from_proc(proc), "")
    special = any(is_there(root / name) for name in _SPECIAL)
    nodes = any(re.fullmatch(r"nvidia(\d{1,3}|ctl)", name) for name in names_in(root / "dev", 10_000))
    pci, amd = _pci_gpus(root / "sys/bus/pci/devices")
    return Traces(
        driver=driver,
        driver_source=(source or "/proc/driver/nvidia/version") if driver else "",
        has_files=bool(kernel or proc or special or nodes),
        has_nodes=special or nodes,
        models=_models(root / "proc/driver/nvidia/gpus") if proc else (),
        pci=pci,
        amd=amd,
    )


def _from_proc(text: str) -> str | None:
    """The driver in a line such as `NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.14  Release`."""
    match = re.search(rf"Kernel Module(?: +for \S+)? +({DRIVER.pattern})(?:\s|$)", text, re.ASCII)
    return match[1] if match else None


def _models(directory: Path) -> tuple[str, ...]:
    found = []
    for name in names_in(directory, MAX_PCI_DEVICES):
        text = read_text(directory / name / "information", 4000) or ""
        if match := re.search(r"^Model:[ \t]*(\S.{0,198})$", text, re.MULTILINE):
            found.append(match[1].strip())
    return tuple(found)


def _pci_gpus(directory: Path) -> tuple[tuple[Gpu, ...], tuple[Gpu, ...]]:
    """NVIDIA's and AMD's display controllers (PCI class 03) among the devices."""
    nvidia: list[Gpu] = []
    amd: list[Gpu] = []
    for name in names_in(directory, MAX_PCI_DEVICES):
        vendor = (read_text(directory / name / "vendor", 20) or "").strip()
        if vendor not in (NVIDIA, AMD) or not (read_text(directory / name / "class", 20) or "").startswith("0x03"):
            continue
        device = (read_text(directory / name / "device", 20) or "").strip().removeprefix("0x")[:8]
        if vendor == NVIDIA:
            nvidia.append(Gpu(f"NVIDIA PCI device 10de:{device}", None, source="PCI bus"))
        else:
            amd.append(Gpu(f"AMD PCI device 1002:{device}", None, vendor="amd", source="PCI bus"))
    return tuple(nvidia), tuple(amd)
