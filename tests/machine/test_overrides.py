"""Variables that overrule detection: whose wins, what is said, what a bad value does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_cli.machine.facts import Capability, Gpu, Libc, Machine
from zoo_cli.machine.overrides import apply_overrides, read_overrides
from zoo_cli.machine.values import BadMachine

DETECTED = Machine(
    "linux",
    "x86_64",
    "linux_x86_64",
    Libc("glibc", "2.36"),
    "535.1",
    "12.2",
    (Gpu("A", Capability(8, 0), 1, source="NVML"), Gpu("B", Capability(7, 5), 2, source="NVML")),
    origin={"driver": "NVML", "gpus": "NVML", "os": "sys.platform"},
)


def overridden(**environ: str) -> Machine:
    return apply_overrides(DETECTED, read_overrides(environ))


def test_nothing_set_changes_nothing() -> None:
    assert overridden(HOME="/", ZOO_DRIVER="", ZOO_SM=" ") == DETECTED


def test_ours() -> None:
    machine = overridden(ZOO_DRIVER="470.1", ZOO_CUDA="11.4", ZOO_SM="8.6", ZOO_GLIBC="2.17")
    assert (machine.driver, machine.cuda_user_mode, machine.libc) == ("470.1", "11.4", Libc("glibc", "2.17"))
    assert [(gpu.name, str(gpu.capability), gpu.memory_bytes, gpu.source) for gpu in machine.gpus] == [
        ("A", "8.6", 1, "ZOO_SM"),
        ("B", "8.6", 2, "ZOO_SM"),
    ]
    assert machine.origin == {
        "driver": "ZOO_DRIVER",
        "cuda_user_mode": "ZOO_CUDA",
        "libc": "ZOO_GLIBC",
        "gpus": "ZOO_SM",
        "os": "sys.platform",
    }


@pytest.mark.parametrize(
    ("variable", "value", "fact", "expected"),
    [
        ("UV_CUDA_DRIVER_VERSION", "550.144.03", "driver", "550.144.03"),
        ("CONDA_OVERRIDE_CUDA", "12.8", "cuda_user_mode", "12.8"),
        ("CONDA_OVERRIDE_CUDA", "", "cuda_user_mode", None),
        ("NV_VARIANT_PROVIDER_FORCE_CUDA_DRIVER_VERSION", "13.0", "cuda_user_mode", "13.0"),
        ("CONDA_OVERRIDE_GLIBC", "2.28", "libc", Libc("glibc", "2.28")),
        ("ZOO_DRIVER", "none", "driver", None),
    ],
)
def test_each_variable(variable: str, value: str, fact: str, expected: object) -> None:
    machine = overridden(**{variable: value})
    assert getattr(machine, fact) == expected
    assert machine.origin[fact] == variable


@pytest.mark.parametrize("variable", ["ZOO_SM", "CONDA_OVERRIDE_CUDA_ARCH", "NV_VARIANT_PROVIDER_FORCE_SM_ARCH"])
def test_capabilities_where_no_gpu_was_found(variable: str) -> None:
    machine = apply_overrides(Machine("linux", "x86_64", "linux_x86_64"), read_overrides({variable: "9.0;sm_120"}))
    assert machine.gpus == (
        Gpu("GPU sm_90", Capability(9, 0), source=variable),
        Gpu("GPU sm_120", Capability(12, 0), source=variable),
    )


def test_several_capabilities() -> None:
    assert [str(gpu.capability) for gpu in overridden(ZOO_SM="9.0,8.9").gpus] == ["9.0", "8.9"]
    assert [gpu.name for gpu in overridden(ZOO_SM="9.0,8.9").gpus] == ["A", "B"]
    assert [gpu.name for gpu in overridden(ZOO_SM="9.0,8.9,8.6").gpus] == ["GPU sm_90", "GPU sm_89", "GPU sm_86"]
    assert overridden(ZOO_SM="none").gpus == ()


def test_ours_wins_over_others() -> None:
    assert overridden(UV_CUDA_DRIVER_VERSION="550.1", ZOO_DRIVER="470.1").driver == "470.1"


def test_a_bad_value_of_ours_is_an_error() -> None:
    for variable in ("ZOO_DRIVER", "ZOO_SM", "ZOO_CUDA", "ZOO_GLIBC"):
        with pytest.raises(BadMachine) as caught:
            read_overrides({variable: "banana"})
        assert (caught.value.where, caught.value.value, caught.value.exit_code) == (variable, "banana", 2)


def test_a_bad_foreign_value_is_told_and_ignored() -> None:
    machine = overridden(UV_CUDA_DRIVER_VERSION="newest")
    assert machine.driver == DETECTED.driver
    assert [(each.code, each.source, each.detail) for each in machine.problems] == [
        ("override-ignored", "UV_CUDA_DRIVER_VERSION", "newest")
    ]


def test_complete_means_nothing_is_left_to_detect() -> None:
    assert read_overrides({"ZOO_DRIVER": "470", "ZOO_SM": "none", "CONDA_OVERRIDE_CUDA": "11.4"}).is_complete
    assert not read_overrides({"ZOO_DRIVER": "470", "ZOO_SM": "8.6"}).is_complete


@given(st.text(max_size=60))
def test_any_value_is_read_or_refused(value: str) -> None:
    for variable in ("ZOO_DRIVER", "ZOO_SM", "ZOO_CUDA", "ZOO_GLIBC"):
        try:
            machine = overridden(**{variable: value})
        except BadMachine as error:
            assert error.key == variable
        else:
            assert not value.strip() or variable in machine.origin.values()
