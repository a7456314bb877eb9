"""Machines in words: what is given, what is assumed, and where a mistake is pointed at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machine.names import GPUS
from zoo_cli.machine.describe import parse_machine, platform_name
from zoo_cli.machine.facts import Capability, Gpu, Interpreter, Libc, Machine
from zoo_cli.machine.values import BadMachine


def test_the_whole_grammar() -> None:
    text = 'gpu="RTX 3090",driver=535.183.01,python=3.10,os=linux,arch=x86_64,glibc=2.31,cuda=12.2,sm=8.6'
    text += ",torch=2.1.2+cu121"
    machine = parse_machine(text, GPUS)
    assert (machine.os, machine.arch, machine.platform) == ("linux", "x86_64", "linux_x86_64")
    assert machine.gpus == (Gpu("RTX 3090", Capability(8, 6), source="described"),)
    assert (machine.driver, machine.cuda_user_mode, machine.libc) == ("535.183.01", "12.2", Libc("glibc", "2.31"))
    assert machine.python
    assert (machine.python.version, machine.python.tag) == ("3.10", "cp310")
    assert machine.python.torch
    assert (machine.python.torch.version, machine.python.torch.cuda) == ("2.1.2+cu121", "12.1")
    torch = machine.python.distribution("torch")
    assert torch
    assert torch.version == "2.1.2+cu121"
    assert machine.is_described
    assert set(machine.origin.values()) == {"described"}


def test_a_shell_takes_the_quotes_away() -> None:
    assert parse_machine("gpu=RTX 3090,python=3.10", GPUS) == parse_machine('gpu="RTX 3090", python="3.10"', GPUS)


def test_what_is_not_given_is_assumed_and_said() -> None:
    machine = parse_machine("driver=470", GPUS)
    assert (machine.platform, machine.libc, machine.gpus, machine.python) == (
        "linux_x86_64",
        Libc("glibc", "2.35"),
        (),
        None,
    )
    assert machine.origin["driver"] == "described"
    assert machine.origin["libc"] == machine.origin["gpus"] == machine.origin["os"] == "assumed"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("gpu=none", []),
        ("gpu=A100", ["8.0"]),
        ("gpu=2xA100", ["8.0", "8.0"]),
        ("gpu=2 x A100;H100", ["8.0", "8.0", "9.0"]),
        ("gpu=A100,gpu=RTX 3090", ["8.0", "8.6"]),
        ("sm=8.6;sm_75", ["8.6", "7.5"]),
        ("sm=8.6,sm=7.5", ["8.6", "7.5"]),
        ("gpu=Secret Card;A100,sm=9.9", ["9.9", "9.9"]),
        ("gpu=A100;H100,sm=8.0;9.0", ["8.0", "9.0"]),
        ("sm=none", []),
    ],
)
def test_gpus(text: str, found: list[str]) -> None:
    assert [str(gpu.capability) for gpu in parse_machine(text, GPUS).gpus] == found


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("os=linux,arch=arm64", "linux_aarch64"),
        ("os=windows", "win_amd64"),
        ("os=win,arch=arm64", "win_arm64"),
        ("os=macos", "macos_arm64"),
        ("os=darwin,arch=x86_64", "macos_x86_64"),
        ("OS=Linux,ARCH=AMD64", "linux_x86_64"),
    ],
)
def test_platforms(text: str, platform: str) -> None:
    machine = parse_machine(text, GPUS)
    assert machine.platform == platform
    assert machine.platform.endswith(machine.arch)
    assert (machine.libc is None) == (machine.os != "linux")


def test_other_systems_have_names_too() -> None:
    assert platform_name("linux", "riscv64") == "linux_riscv64"
    assert platform_name("windows", "AMD64") == "win_amd64"


def test_free_threaded_musl_and_jetson() -> None:
    machine = parse_machine("python=3.13t,musl=1.2,gpu=Jetson AGX Orin,arch=aarch64", GPUS)
    assert machine.python
    assert (machine.python.tag, machine.libc, machine.marks) == ("cp313t", Libc("musl", "1.2"), ("jetson",))


def test_a_description_changes_a_base() -> None:
    python = Interpreter("python", "3.8.18", origin="PATH")
    gpus = (Gpu("A100", Capability(8, 0)),)
    libc, origin = Libc("glibc", "2.17"), {"driver": "NVML", "gpus": "NVML"}
    base = Machine("linux", "x86_64", "linux_x86_64", libc, "470.1", None, gpus, python, origin=origin)
    changed = parse_machine("driver=535.1", GPUS, base)
    assert (changed.driver, changed.libc, changed.gpus, changed.python) == ("535.1", base.libc, gpus, python)
    assert (changed.origin["driver"], changed.origin["gpus"]) == ("described", "NVML")
    moved = parse_machine("os=windows", GPUS, base)
    assert (moved.platform, moved.libc, moved.driver, moved.gpus, moved.python) == ("win_amd64", None, None, (), None)


@pytest.mark.parametrize(
    ("text", "reason", "key", "column"),
    [
        ("", "not-key-value", "", 1),
        ("RTX 3090", "not-key-value", "", 1),
        ("os=linux,RTX", "not-key-value", "", 10),
        ("drver=535", "unknown-key", "drver", 1),
        ("os=linux,drver=535", "unknown-key", "drver", 10),
        ("os=linux,os=linux", "repeated-key", "os", 10),
        ("driver=,os=linux", "empty-value", "driver", 8),
        ('gpu="RTX 3090', "open-quote", "", 5),
        ('os=linux,gpu="RTX 3090', "open-quote", "", 14),
        ("driver=five", "bad-value", "driver", 8),
        ("driver=535.x", "bad-value", "driver", 8),
        ("python=4.0", "bad-value", "python", 8),
        ("python=3", "bad-value", "python", 8),
        ("glibc=1.0", "bad-value", "glibc", 7),
        ("cuda=12", "bad-value", "cuda", 6),
        ("sm=9.0a", "bad-value", "sm", 4),
        ("os=beos", "bad-value", "os", 4),
        ("arch=vax", "bad-value", "arch", 6),
        ("torch=new,python=3.10", "bad-value", "torch", 7),
        ("torch=2.1.2", "needs-python", "torch", 7),
        ("gpu=RTX 3091", "unknown-gpu", "gpu", 5),
        ("gpu=;", "empty-value", "gpu", 5),
        ("gpu=0xA100", "too-many", "gpu", 5),
        ("gpu=99xA100", "too-many", "gpu", 5),
        ("gpu=40xA100;40xA100", "too-many", "gpu", 5),
        ("gpu=A100,sm=8.0;9.0", "contradiction", "sm", 13),
        ("glibc=2.31,musl=1.2", "contradiction", "musl", 17),
        ("os=macos,glibc=2.31", "contradiction", "glibc", 16),
    ],
)
def test_mistakes_are_pointed_at(text: str, reason: str, key: str, column: int) -> None:
    with pytest.raises(BadMachine) as caught:
        parse_machine(text, GPUS)
    error = caught.value
    assert (error.reason, error.key, error.column) == (reason, key, column)
    assert error.exit_code == 2


def test_near_names_come_with_the_error() -> None:
    with pytest.raises(BadMachine) as caught:
        parse_machine("gpu=A100;RTX 3091", GPUS)
    assert caught.value.value == "RTX 3091"
    assert caught.value.near[0] == "GeForce RTX 3090"
    with pytest.raises(BadMachine) as caught:
        parse_machine("drvier=535", GPUS)
    assert caught.value.near == ("driver",)


def test_a_long_text_is_refused_unread() -> None:
    with pytest.raises(BadMachine) as caught:
        parse_machine("gpu=A100" + " " * 10_000, GPUS)
    assert caught.value.reason == "too-long"


@pytest.mark.parametrize(
    "text", [" " * 3999, "=" * 3999, "a" * 3999, "," * 3999, '"' * 3999, "gpu=" + " " * 3900 + "'"]
)
def test_awkward_texts_end_quickly(text: str) -> None:
    with pytest.raises(BadMachine):
        parse_machine(text, GPUS)


@given(st.text(max_size=200) | st.text("gpusmdriver=,;\"'x 0123456789.+", max_size=80))
def test_any_text_is_a_machine_or_one_error(text: str) -> None:
    try:
        machine = parse_machine(text, GPUS)
    except BadMachine as error:
        assert error.text == text
        assert error.column is None or 1 <= error.column <= len(text) + 1
    else:
        assert machine.is_described


described = st.fixed_dictionaries(
    {},
    optional={
        "gpu": st.lists(st.sampled_from(sorted(GPUS)), min_size=1, max_size=4).map(";".join),
        "driver": st.sampled_from(["470", "535.183.01", "580.65.06"]),
        "python": st.sampled_from(["2.7", "3.6", "3.10.14", "3.13t"]),
        "cuda": st.sampled_from(["11.8", "12.2"]),
        "glibc": st.sampled_from(["2.17", "2.39"]),
        "arch": st.sampled_from(["x86_64", "aarch64"]),
    },
)


@given(described.filter(bool))
def test_order_and_quotes_mean_nothing(facts: dict[str, str]) -> None:
    plain = ",".join(f"{key}={value}" for key, value in facts.items())
    turned = " , ".join(f"{key.upper()} = '{value}'" for key, value in sorted(facts.items(), reverse=True))
    assert parse_machine(plain, GPUS) == parse_machine(turned, GPUS)
    machine = parse_machine(plain, GPUS)
    assert machine.driver == facts.get("driver")
    assert [gpu.name for gpu in machine.gpus] == [name for name in facts.get("gpu", "").split(";") if name]
