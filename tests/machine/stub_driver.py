"""Stand-ins for NVIDIA's libraries: real shared objects, compiled here, that answer as they are told.

The functions have the names and signatures of NVML and the CUDA driver API, so that the very calls of the real probe
are made. A scenario is a set of macros.
"""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

SOURCE = r"""
#include <string.h>
#include <unistd.h>
#include <signal.h>
#ifndef INIT
#define INIT 0
#endif
#ifndef CUDA
#define CUDA 12020
#endif
#ifndef GPUS
#define GPUS 2
#endif
#ifndef DRIVER
#define DRIVER "535.183.01"
#endif
#ifndef NAME
#define NAME (i ? "NVIDIA GeForce RTX 2080 Ti" : "NVIDIA GeForce RTX 3090")
#endif
#ifndef MAJOR
#define MAJOR (i ? 7 : 8)
#endif
#ifndef LOST
#define LOST -1
#endif
#ifndef MIG
#define MIG 0
#endif
static int trouble(void) {
#ifdef HANG
    for (;;) pause();
#endif
#ifdef CRASH
    raise(SIGSEGV);
#endif
    return INIT;
}
#ifdef NVML
struct memory { unsigned long long total, free, used; };
int nvmlInit_v2(void) { return trouble(); }
int nvmlShutdown(void) { return 0; }
int nvmlSystemGetDriverVersion(char *text, unsigned size) { strncpy(text, DRIVER, size); return 0; }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = CUDA; return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = GPUS; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **device) {
    if ((int)i == LOST) return 15;
    *device = (void *)(long)(i + 1);
    return 0;
}
int nvmlDeviceGetName(void *device, char *text, unsigned size) {
    long i = (long)device - 1; (void)i; strncpy(text, NAME, size); return 0;
}
#ifndef NO_CAPABILITY
int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor) {
    long i = (long)device - 1; (void)i; *major = MAJOR; *minor = i ? 5 : 6; return 0;
}
#endif
int nvmlDeviceGetMemoryInfo(void *device, struct memory *memory) {
    memory->total = (unsigned long long)(long)device << 30; return 0;
}
int nvmlDeviceGetMigMode(void *device, unsigned *current, unsigned *pending) {
    (void)device; *current = MIG; *pending = 0; return 0;
}
#else
int cuInit(unsigned flags) { (void)flags; return trouble(); }
int cuDriverGetVersion(int *version) { *version = CUDA; return 0; }
int cuDeviceGetCount(int *count) { *count = GPUS; return 0; }
int cuDeviceGet(int *device, int i) { *device = i; return 0; }
int cuDeviceGetName(char *text, int size, int i) { (void)i; strncpy(text, NAME, size); return 0; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { (void)device; *bytes = 1ul << 34; return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int i) {
    if (attribute != 75 && attribute != 76) return 1;
    (void)i; *value = attribute == 75 ? MAJOR : (i ? 5 : 7); return 0;
}
#endif
"""


def build(directory: Path, name: str, **macros: int | str) -> str:
    """The path of a library with this scenario."""
    library = directory / f"{name}.so"
    flags = [f"-D{key}={value}" for key, value in macros.items()]
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    command = [compiler, "-shared", "-fPIC", "-O0", "-w", "-x", "c", "-", "-o", str(library), *flags]
    subprocess.run(command, input=SOURCE, text=True, check=True)
    return str(library)


def nvml(directory: Path, **macros: int | str) -> str:
    """A stand-in for libnvidia-ml.so.1."""
    return build(directory, "nvml", NVML=1, **macros)


def cuda(directory: Path, **macros: int | str) -> str:
    """A stand-in for libcuda.so.1."""
    return build(directory, "cuda", **macros)


def smi(directory: Path, answers: dict[str, str], code: int = 0) -> str:
    """A stand-in for nvidia-smi: prints the answer whose key is in its arguments, "" for none of them."""
    branches = []
    for number, (key, text) in enumerate(answers.items()):
        (directory / f"answer{number}").write_text(text)
        pattern = f"*{key}*" if key else "*"
        branches.append(f"{pattern}) cat '{directory}/answer{number}';;")
    program = directory / "nvidia-smi"
    program.write_text(f'#!/bin/sh\ncase "$*" in\n{chr(10).join(branches)}\nesac\nexit {code}\n')
    program.chmod(0o755)
    return str(program)


def tree(root: Path, files: dict[str, str | bytes]) -> Path:
    """A file tree below a root, such as a /proc and a /sys."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


PROC_VERSION = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\n"
    "GCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1~22.04)\n"
)
OPEN_PROC_VERSION = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.124.06  Release Build  (root@host)  Wed Feb 26\n"
)
HOST = {
    "sys/module/nvidia/version": "535.183.01\n",
    "proc/driver/nvidia/version": PROC_VERSION,
    "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA GeForce RTX 3090\nIRQ:   \t\t 150\n",
    "dev/nvidia0": "",
    "dev/nvidiactl": "",
    "sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n",
    "sys/bus/pci/devices/0000:01:00.0/class": "0x030000\n",
    "sys/bus/pci/devices/0000:01:00.0/device": "0x2204\n",
    "sys/bus/pci/devices/0000:01:00.1/vendor": "0x10de\n",  # the card's sound device
    "sys/bus/pci/devices/0000:01:00.1/class": "0x040300\n",
    "sys/bus/pci/devices/0000:01:00.1/device": "0x1aef\n",
}
PCI_ONLY: dict[str, str | bytes] = {name: text for name, text in HOST.items() if "/pci/" in name}
