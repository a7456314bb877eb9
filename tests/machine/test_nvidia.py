"""NVIDIA's facts through real ctypes calls into stand-in libraries, a stand-in nvidia-smi and stand-in system files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.machine import stub_driver
from tests.machine.names import GPUS
from tests.machine.stub_driver import HOST, OPEN_PROC_VERSION, PCI_ONLY, PROC_VERSION, tree
from zoo_cli.machine.facts import Capability, Gpu
from zoo_cli.machine.nvidia import Nvidia, Sources, find_nvidia
from zoo_cli.machine.traces import read_traces

QUERY = "query-gpu=driver_version,compute_cap"
OLD = "query-gpu=driver_version,memory"


def find(root: Path, *, nvml: str = "/gone", cuda: str = "/gone", smi: str = "/gone", timeout: float = 20) -> Nvidia:
    sources = Sources(root, (nvml,), (cuda,), (smi,), sys.executable, timeout, "linux")
    return find_nvidia({"PATH": "/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": ""}, GPUS, sources)


def codes(found: Nvidia) -> list[str]:
    return [problem.code for problem in found.problems]


@pytest.fixture
def host(tmp_path: Path) -> Path:
    return tree(tmp_path / "root", dict(HOST))


def test_no_trace_asks_nobody(tmp_path: Path) -> None:
    marker = tmp_path / "asked"
    smi = tmp_path / "nvidia-smi"
    smi.write_text(f"#!/bin/sh\ntouch '{marker}'\n")
    smi.chmod(0o755)
    sources = Sources(tmp_path, ("/gone",), ("/gone",), (str(smi),), str(smi), 20, "linux")
    found = find_nvidia({}, GPUS, sources)
    assert found == Nvidia(looked_at=["/sys/module/nvidia", "/proc/driver/nvidia", "/dev/nvidia*", "the PCI bus"])
    assert not marker.exists()


def test_nvml_tells_everything(host: Path, tmp_path: Path) -> None:
    found = find(host, nvml=stub_driver.nvml(tmp_path), cuda=stub_driver.cuda(tmp_path, INIT=803))
    assert (found.driver, found.cuda) == ("535.183.01", "12.2")
    assert found.gpus == (
        Gpu("NVIDIA GeForce RTX 3090", Capability(8, 6), 1 << 30, source="NVML"),
        Gpu("NVIDIA GeForce RTX 2080 Ti", Capability(7, 5), 2 << 30, source="NVML"),
    )
    assert found.origin == {"driver": "/sys/module/nvidia/version", "cuda_user_mode": "NVML", "gpus": "NVML"}
    assert codes(found) == []  # cuInit, which would fail, is not called when NVML named the GPUs
    assert "nvidia-smi" not in found.looked_at


def test_mig_is_marked(host: Path, tmp_path: Path) -> None:
    assert find(host, nvml=stub_driver.nvml(tmp_path, MIG=1, GPUS=1)).has_mig


def test_libcuda_alone_as_on_jetson(tmp_path: Path) -> None:
    root = tree(tmp_path / "root", {"etc/nv_tegra_release": "# R35 (release), REVISION: 4.1"})
    found = find(root, cuda=stub_driver.cuda(tmp_path, GPUS=1, NAME='"Orin"'))
    assert (found.driver, found.cuda) == (None, "12.2")
    assert found.gpus == (Gpu("Orin", Capability(8, 7), 1 << 34, source="libcuda"),)
    assert codes(found) == []


@pytest.mark.parametrize(
    ("number", "code"),
    [(9, "driver-not-loaded"), (18, "driver-library-mismatch"), (4, "no-permission"), (999, "driver-error")],
)
def test_nvml_refuses(host: Path, tmp_path: Path, number: int, code: str) -> None:
    found = find(host, nvml=stub_driver.nvml(tmp_path, INIT=number))
    assert codes(found) == [code]
    assert found.problems[0].detail == f"return code {number}"
    assert found.driver == "535.183.01"  # the kernel module's own file still tells it
    assert found.gpus == (Gpu("NVIDIA GeForce RTX 3090", Capability(8, 6), source="/proc/driver/nvidia/gpus"),)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (100, "no-device"),
        (803, "driver-library-mismatch"),
        (34, "stub-library"),
        (802, "not-ready"),
        (1, "driver-error"),
    ],
)
def test_cuinit_refuses(host: Path, tmp_path: Path, number: int, code: str) -> None:
    found = find(host, cuda=stub_driver.cuda(tmp_path, INIT=number))
    assert codes(found) == [code]
    assert (found.cuda, found.origin["cuda_user_mode"]) == ("12.2", "libcuda")  # told before cuInit


def test_a_driver_that_hangs_does_not_hang_zoo(host: Path, tmp_path: Path) -> None:
    smi = stub_driver.smi(tmp_path, {"": "535.183.01, 8.6, 24576, [N/A], NVIDIA GeForce RTX 3090\n"})
    found = find(host, nvml=stub_driver.nvml(tmp_path, HANG=1), smi=smi, timeout=0.5)
    assert codes(found) == ["driver-hangs"]
    assert "nvidia-smi" not in found.looked_at  # it would hang as well
    assert found.driver == "535.183.01"
    assert [str(gpu.capability) for gpu in found.gpus] == ["8.6"]


def test_what_was_told_before_a_hang_is_kept(host: Path, tmp_path: Path) -> None:
    nvml = stub_driver.nvml(tmp_path, GPUS=0)
    found = find(host, nvml=nvml, cuda=stub_driver.cuda(tmp_path, HANG=1), timeout=2)
    assert codes(found) == ["driver-hangs"]
    assert (found.cuda, found.origin["cuda_user_mode"]) == ("12.2", "NVML")


def test_a_driver_that_crashes_leaves_the_rest(host: Path, tmp_path: Path) -> None:
    smi = stub_driver.smi(tmp_path, {QUERY: "535.183.01, 8.6, 24576, [N/A], NVIDIA GeForce RTX 3090\n"})
    found = find(host, nvml=stub_driver.nvml(tmp_path, CRASH=1), smi=smi)
    assert codes(found) == ["driver-crashed"]
    assert found.gpus == (Gpu("NVIDIA GeForce RTX 3090", Capability(8, 6), 24576 << 20, source="nvidia-smi"),)


def test_one_gpu_of_two_is_lost(host: Path, tmp_path: Path) -> None:
    found = find(host, nvml=stub_driver.nvml(tmp_path, LOST=1))
    assert codes(found) == ["gpu-lost"]
    assert [gpu.name for gpu in found.gpus] == ["NVIDIA GeForce RTX 3090"]


def test_nvidia_smi_stands_in_whatever_its_exit_status(host: Path, tmp_path: Path) -> None:
    answers = {
        QUERY: "535.183.01, 8.6, 24576, [N/A], NVIDIA GeForce RTX 3090\nGPU is lost\n",
        "": "| NVIDIA-SMI 535.183.01  Driver Version: 535.183.01   CUDA Version: 12.2     |",
    }
    found = find(host, smi=stub_driver.smi(tmp_path, answers, code=15))
    assert (found.driver, found.cuda, found.origin["cuda_user_mode"]) == ("535.183.01", "12.2", "nvidia-smi")
    assert [gpu.source for gpu in found.gpus] == ["nvidia-smi"]
    assert codes(found) == ["gpu-lost"]


def test_an_old_nvidia_smi_gives_names_and_the_table_the_rest(host: Path, tmp_path: Path) -> None:
    answers = {
        QUERY: 'Field "compute_cap" is not a valid field to query.\n',
        OLD: "450.203.03, 11178, GeForce GTX 1080 Ti\n",
        "": "| NVIDIA-SMI 450.203.03   Driver Version: 450.203.03   CUDA Version: 11.0     |",
    }
    found = find(host, smi=stub_driver.smi(tmp_path, answers, code=2))
    assert found.gpus == (Gpu("GeForce GTX 1080 Ti", Capability(6, 1), 11178 << 20, source="nvidia-smi"),)
    assert found.cuda == "11.0"


def test_a_container_without_the_gpu(tmp_path: Path) -> None:
    files = {name: text for name, text in HOST.items() if not name.startswith("dev/")}
    found = find(tree(tmp_path, dict(files)))
    assert codes(found) == ["no-device-node"]
    assert found.driver == "535.183.01"


def test_a_gpu_on_the_bus_without_a_driver(tmp_path: Path) -> None:
    found = find(tree(tmp_path, PCI_ONLY))
    assert codes(found) == ["no-driver"]
    assert found.gpus == (Gpu("NVIDIA PCI device 10de:2204", None, source="PCI bus"),)
    assert found.driver is None


def test_libraries_missing_beside_a_loaded_driver(host: Path) -> None:
    found = find(host)
    assert codes(found) == ["no-library"]
    assert [str(gpu.capability) for gpu in found.gpus] == ["8.6"]


def test_amd_is_seen_and_kept_aside(tmp_path: Path) -> None:
    card = "sys/bus/pci/devices/0000:03:00.0"
    root = tree(tmp_path, {f"{card}/vendor": "0x1002\n", f"{card}/class": "0x030000\n", f"{card}/device": "0x744c\n"})
    found = find(root)
    assert (found.gpus, codes(found)) == ((), [])
    assert found.amd == (Gpu("AMD PCI device 1002:744c", None, vendor="amd", source="PCI bus"),)


def test_wsl_has_neither_module_nor_bus(tmp_path: Path) -> None:
    root = tree(tmp_path / "root", {"dev/dxg": ""})
    found = find(root, nvml=stub_driver.nvml(tmp_path, DRIVER='"555.99"', CUDA=12050, GPUS=1))
    assert (found.driver, found.cuda, codes(found)) == ("555.99", "12.5", [])
    assert found.origin["driver"] == "NVML"


def test_wsl_without_nvidia_is_no_fault(tmp_path: Path) -> None:
    found = find(tree(tmp_path, {"dev/dxg": ""}))
    assert (found.gpus, codes(found)) == ((), [])


def test_macos_is_not_asked(tmp_path: Path) -> None:
    found = find_nvidia({}, GPUS, Sources(tree(tmp_path, dict(HOST)), system="macos"))
    assert (found.driver, found.gpus) == (None, ())


def test_windows_looks_for_its_libraries(tmp_path: Path) -> None:
    found = find_nvidia({"SYSTEMROOT": str(tmp_path)}, GPUS, Sources(tree(tmp_path, dict(HOST)), system="windows"))
    assert (found.driver, found.looked_at) == (None, ["System32"])


@pytest.mark.parametrize(
    ("macros", "name"),
    [
        ({"DRIVER": r'"not a version"'}, "driver"),
        ({"CUDA": 7}, "cuda"),
        ({"MAJOR": 4000}, "gpus"),
        ({"NAME": r'"\xff\xfe\x1b[31m"'}, "gpus"),
        ({"GPUS": -1}, "gpus"),
    ],
)
def test_implausible_answers_are_not_believed(tmp_path: Path, macros: dict[str, int | str], name: str) -> None:
    root = tree(tmp_path / "root", {"dev/nvidiactl": ""})
    found = find(root, nvml=stub_driver.nvml(tmp_path, **macros))
    if name == "gpus":
        assert all(gpu.capability is None or 0 < gpu.capability.major < 100 for gpu in found.gpus)
    else:
        assert getattr(found, name) is None


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        (PROC_VERSION, "535.183.01"),
        (OPEN_PROC_VERSION, "570.124.06"),
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  340.108  Wed Dec 11\n", "340.108"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  580.65.06  Release Build", "580.65.06"),
        ("", None),
        ("NVRM version: something new", None),
    ],
)
def test_the_kernel_modules_own_words(tmp_path: Path, text: str, driver: str | None) -> None:
    assert read_traces(tree(tmp_path, {"proc/driver/nvidia/version": text})).driver == driver


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(sorted(HOST)))
def test_hostile_bytes_in_system_files(tmp_path: Path, junk: bytes, name: str) -> None:
    traces = read_traces(tree(tmp_path, {**HOST, name: junk}))
    assert traces.is_any
    assert traces.driver is None or traces.driver[0].isdigit()


BOOT = {"proc/sys/kernel/random/boot_id": "8f0c2f6e-0000-0000-0000-000000000001\n"}


def find_kept(root: Path, cache: Path, nvml: str = "/gone") -> Nvidia:
    sources = Sources(root, (nvml,), ("/gone",), ("/gone",), sys.executable, 20, "linux")
    return find_nvidia({"PATH": "/usr/bin:/bin"}, GPUS, sources, cache)


def test_a_complete_answer_is_kept_until_the_next_start(tmp_path: Path) -> None:
    root = tree(tmp_path / "root", {**HOST, **BOOT})
    library = stub_driver.nvml(tmp_path)
    first = find_kept(root, tmp_path / "cache", library)
    Path(library).unlink()  # whoever asks again gets nothing
    again = find_kept(root, tmp_path / "cache", library)
    assert (again.driver, again.cuda, again.gpus) == (first.driver, first.cuda, first.gpus)
    assert again.origin["gpus"] == "NVML (kept)"
    assert "NVML" not in again.looked_at
    (root / "proc/sys/kernel/random/boot_id").write_text("another start\n")
    assert find_kept(root, tmp_path / "cache", library).origin.get("gpus") != "NVML (kept)"


@pytest.mark.parametrize("change", ["driver", "node", "damage"])
def test_a_kept_answer_ends_with_what_it_was_about(tmp_path: Path, change: str) -> None:
    root = tree(tmp_path / "root", {**HOST, **BOOT})
    library = stub_driver.nvml(tmp_path)
    find_kept(root, tmp_path / "cache", library)
    Path(library).unlink()
    if change == "driver":
        (root / "sys/module/nvidia/version").write_text("550.54.14\n")
    elif change == "node":
        (root / "dev/nvidia7").write_text("")
    else:
        (tmp_path / "cache/nvidia.json").write_text('{"identity": [')
    assert find_kept(root, tmp_path / "cache", library).origin.get("gpus") != "NVML (kept)"


def test_an_answer_with_a_problem_is_not_kept(tmp_path: Path) -> None:
    root = tree(tmp_path / "root", {**HOST, **BOOT})
    find_kept(root, tmp_path / "cache", stub_driver.nvml(tmp_path, LOST=1))
    assert not (tmp_path / "cache/nvidia.json").exists()
