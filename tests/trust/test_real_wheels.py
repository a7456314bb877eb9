"""CUDA wheels of the package index: the code targets read from their files are those their makers published."""

from __future__ import annotations

import pytest

from tests.support.pypi import file
from zoo_cli.trust.wheel import inspect_wheel
from zoo_cli.trust.wheelreport import WheelReport

pytestmark = pytest.mark.network

OLD = "3.5 5.0+PTX 6.0 7.0 7.5"
AMPERE = "3.5 5.0+PTX 6.0 7.0 7.5 8.0 8.6"
HOPPER = "5.0+PTX 6.0 7.0 7.5 8.0 8.6 9.0"
ZSTANDARD = "7.5 8.0 8.6 9.0 10.0 12.0+PTX"

# file -> (own targets, CUDA major, problems). torchvision is compiled for what its torch is (docs/inspect.md).
TORCHVISION = {
    "torchvision-0.5.0-cp38-cp38-manylinux1_x86_64.whl": (OLD, 10, {"tag-mismatch"}),
    "torchvision-0.8.2-cp38-cp38-manylinux1_x86_64.whl": (OLD, 10, {"tag-mismatch"}),
    "torchvision-0.12.0-cp310-cp310-manylinux1_x86_64.whl": (OLD, 10, {"tag-mismatch", "record-mismatch"}),
    "torchvision-0.15.2-cp310-cp310-manylinux1_x86_64.whl": (AMPERE, 11, {"tag-mismatch"}),
    "torchvision-0.16.2-cp310-cp310-manylinux1_x86_64.whl": (HOPPER, 12, {"tag-mismatch"}),
    "torchvision-0.21.0-cp310-cp310-manylinux1_x86_64.whl": (HOPPER, 12, {"tag-mismatch"}),
    "torchvision-0.23.0-cp310-cp310-manylinux_2_28_x86_64.whl": (f"{HOPPER} 10.0 12.0", 12, set[str]()),
    "torchvision-0.24.1-cp310-cp310-manylinux_2_28_x86_64.whl": ("7.0 7.5 8.0 8.6 9.0 10.0 12.0", 12, set[str]()),
    "torchvision-0.26.0-cp310-cp310-manylinux_2_28_x86_64.whl": (ZSTANDARD, 13, set[str]()),
    "torchvision-0.29.2-py3-none-manylinux_2_28_x86_64.whl": (ZSTANDARD, 13, {"tag-mismatch"}),
}


def report_of(name: str) -> WheelReport:
    return inspect_wheel(file(name))


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision(name: str) -> None:
    targets, cuda, problems = TORCHVISION[name]
    report = report_of(name)
    assert " ".join(report.targets) == targets
    assert {problem.code for problem in report.problems} == problems
    assert report.fatal == (), "these are official files"
    assert report.cuda_major == cuda


def test_architecture_specific_code() -> None:
    """FlashAttention 3 exists for sm_90a only; the rest of the wheel for more."""
    report = report_of("xformers-0.0.29.post3-cp310-cp310-manylinux_2_28_x86_64.whl")
    by_name = {each.path: each.binary.code for each in report.extensions}
    flash, rest = by_name["xformers/_C_flashattention3.so"], by_name["xformers/_C.so"]
    assert flash is not None
    assert rest is not None
    assert (flash.targets, flash.parts) == (("9.0a",), 60)
    assert rest.targets == ("6.0+PTX", "7.0", "7.5", "8.0+PTX", "9.0a")


def test_relocatable_code_of_seven_toolkits() -> None:
    report = report_of("bitsandbytes-0.50.2-py3-none-manylinux_2_24_x86_64.whl")
    codes = {each.path.rpartition("_")[2]: each.binary.code for each in report.extensions if each.binary.code}
    assert all(code.is_relocatable for code in codes.values())
    assert codes["cuda118.so"].targets == ("6.0", "7.0", "7.5", "8.0", "8.6", "8.9", "9.0+PTX")
    assert codes["cuda130.so"].targets == ("7.5", "8.0", "8.6", "8.9", "9.0", "10.0", "12.0+PTX")
    assert (codes["cuda118.so"].compression, codes["cuda130.so"].compression) == (("lz4",), ("zstandard",))


def test_other_systems() -> None:
    windows = report_of("torchvision-0.24.1-cp310-cp310-win_amd64.whl").extensions[0].binary
    assert (windows.kind, windows.machines, windows.problem) == ("pe", ("amd64",), "")
    assert "torch_cpu.dll" in windows.needed
    macos = report_of("torchvision-0.24.1-cp310-cp310-macosx_11_0_arm64.whl").extensions
    assert {each.binary.machines for each in macos} == {("arm64",)}
    assert any("libtorch" in name for each in macos for name in each.binary.needed)
