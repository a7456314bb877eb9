"""The whole probe on stand-in trees, and once on the machine that runs the tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.machine import stub_driver
from tests.machine.names import GPUS
from tests.machine.stub_driver import HOST, tree
from zoo_cli.machine.facts import Interpreter, Libc, Machine
from zoo_cli.machine.probe import Sources, probe_machine
from zoo_cli.machine.values import BadMachine


def probe(
    root: Path, environ: dict[str, str] | None = None, *, libc: str | None = "glibc 2.36", nvml: str = "/gone"
) -> Machine:
    sources = Sources(root, (nvml,), ("/gone",), ("/gone",), sys.executable, 20, "linux")
    return probe_machine(environ or {}, gpus=GPUS, sources=sources, libc_text=lambda: libc)


def test_a_machine_without_a_gpu(tmp_path: Path) -> None:
    machine = probe(tmp_path)
    assert (machine.os, machine.gpus, machine.driver, machine.problems, machine.marks) == ("linux", (), None, (), ())
    assert machine.libc == Libc("glibc", "2.36")
    assert machine.looked_at == ("/sys/module/nvidia", "/proc/driver/nvidia", "/dev/nvidia*", "the PCI bus")
    assert not machine.is_described


def test_a_machine_with_gpus(tmp_path: Path) -> None:
    machine = probe(tree(tmp_path / "root", dict(HOST)), nvml=stub_driver.nvml(tmp_path, MIG=1))
    assert [str(gpu.capability) for gpu in machine.gpus] == ["8.6", "7.5"]
    assert (machine.driver, machine.cuda_user_mode, machine.marks) == ("535.183.01", "12.2", ("mig",))
    assert machine.origin["driver"] == "/sys/module/nvidia/version"


def test_overrides_come_last(tmp_path: Path) -> None:
    root = tree(tmp_path / "root", dict(HOST))
    machine = probe(root, {"ZOO_SM": "9.0", "ZOO_GLIBC": "2.17"}, nvml=stub_driver.nvml(tmp_path))
    assert [(gpu.name, str(gpu.capability)) for gpu in machine.gpus] == [
        ("NVIDIA GeForce RTX 3090", "9.0"),
        ("NVIDIA GeForce RTX 2080 Ti", "9.0"),
    ]
    assert (machine.driver, machine.libc) == ("535.183.01", Libc("glibc", "2.17"))
    assert machine.origin["gpus"] == "ZOO_SM"


def test_complete_overrides_ask_nobody(tmp_path: Path) -> None:
    environ = {"ZOO_DRIVER": "470", "ZOO_SM": "8.6", "ZOO_CUDA": "11.4"}
    machine = probe(tree(tmp_path, dict(HOST)), environ)
    assert (machine.driver, machine.looked_at, machine.problems) == ("470", (), ())


def test_a_bad_override_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadMachine):
        probe(tmp_path, {"ZOO_SM": "ampere"})


@pytest.mark.parametrize(
    ("files", "environ", "marks"),
    [
        ({".dockerenv": ""}, {}, ("container",)),
        ({"run/.containerenv": ""}, {}, ("container",)),
        ({"proc/1/cgroup": "12:cpu:/kubepods/burstable/pod1\n"}, {}, ("container",)),
        ({"proc/1/cgroup": "0::/init.scope\n"}, {}, ()),
        ({}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, ("container",)),
        ({"proc/version": "Linux version 5.15.153.1-microsoft-standard-WSL2"}, {}, ("wsl",)),
        ({"proc/version": "Linux version 4.4.0-19041-Microsoft"}, {}, ("wsl",)),
        ({"proc/device-tree/model": b"NVIDIA Jetson AGX Orin\0"}, {}, ("jetson",)),
        ({"etc/nv_tegra_release": "# R35"}, {}, ("jetson",)),
        ({".dockerenv": ""}, {"COLAB_RELEASE_TAG": "release-colab_1"}, ("colab", "container")),
        ({}, {"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}, ("kaggle",)),
        ({"proc/version": b"\xff\xfe\0" * 100, "proc/1/cgroup": b"\x80" * 1000}, {}, ()),
    ],
)
def test_marks(tmp_path: Path, files: dict[str, str | bytes], environ: dict[str, str], marks: tuple[str, ...]) -> None:
    assert probe(tree(tmp_path, files), environ).marks == marks


def test_musl_says_its_version_itself(tmp_path: Path) -> None:
    loader = tmp_path / "lib" / "ld-musl-x86_64.so.1"
    tree(
        tmp_path, {"lib/ld-musl-x86_64.so.1": "#!/bin/sh\nprintf 'musl libc (x86_64)\\nVersion 1.2.4\\n' >&2\nexit 1\n"}
    )
    loader.chmod(0o755)
    machine = probe(tmp_path, libc=None)
    assert (machine.libc, machine.origin["libc"]) == (Libc("musl", "1.2"), "/lib/ld-musl-x86_64.so.1")
    loader.chmod(0o644)
    assert probe(tmp_path, libc=None).libc == Libc("musl", "")


@pytest.mark.parametrize("text", [None, "", "glibc", "glibc two", "bionic 1"])
def test_an_unknown_libc_is_none(tmp_path: Path, text: str | None) -> None:
    machine = probe(tmp_path, libc=text)
    assert machine.libc is None
    assert "libc" not in machine.origin


def test_other_systems_have_no_libc(tmp_path: Path) -> None:
    machine = probe_machine({}, sources=Sources(tmp_path, system="macos"))
    assert (machine.os, machine.libc, machine.gpus) == ("macos", None, ())


def test_this_machine(tmp_path: Path) -> None:
    python = Interpreter("python", "3.10.14", origin="PATH")
    machine = probe_machine(os.environ, gpus=GPUS, python=python, cache_directory=tmp_path / "not" / "yet" / "there")
    assert machine.python == python
    assert machine.origin["python"] == "PATH"
    assert machine.disk_free_bytes
    assert machine.platform.endswith(machine.arch)
    if sys.platform == "linux":
        assert machine.libc
        assert machine.libc.kind in ("glibc", "musl")
