"""What the files of compiled packages prove, one cause at a time; the commands are tried before they are shown."""

from __future__ import annotations

import pytest

from tests.packages.test_diagnose import GOOD, OPS, findings, machine, one
from tests.support.solving import CATALOG_PROJECTS, matrix_of
from zoo_cli.cli.findings_view import command_of, fix, seen_as, sentence
from zoo_cli.machine.facts import Distribution, DriverProblem, Libc
from zoo_cli.packages.diagnose import diagnose
from zoo_cli.packages.evidence import OpsEvidence, Surroundings
from zoo_cli.packages.findings import FAIL, NOTE, OK, WARN, Finding
from zoo_cli.packages.mend import Installed, confirmed, merge, named, request_of
from zoo_cli.packages.request import Request
from zoo_cli.trust.fatbin import DeviceCode

OPS_FILE = OPS["mmcv"]
GPU = ("gpu=RTX 3090,driver=535.183.01", "2.1.2+cu121", "12.1")
CPU = ("gpu=none", "2.1.2+cpu", None)
HOPPER = DeviceCode(9, (("9.0", 9),), (), (), is_relocatable=False)
MIXED = DeviceCode(9, (("7.0", 9), ("8.0", 3)), (), (), is_relocatable=False)


@pytest.mark.parametrize(
    ("place", "evidence", "code", "told", "seen"),
    [
        (CPU, OPS_FILE._replace(problem="_ext.so: cut off"), "bad-extension", "cut off", "invalid ELF header"),
        (
            CPU,
            OPS_FILE._replace(pythons=("cp39",)),
            "other-python",
            "built for cp39; this Python is cp310",
            "mmcv._ext",
        ),
        (CPU, OPS_FILE._replace(machines=("aarch64",)), "other-machine", "this machine is x86_64", "architecture"),
        (CPU, OPS_FILE._replace(glibc="2.38"), "ops-glibc", "GLIBC_2.38; here is glibc 2.35", "`GLIBC_2.38' not found"),
        (
            CPU,
            OPS_FILE._replace(glibcxx="3.4.32", glibcxx_here="3.4.28"),
            "ops-glibc",
            "libstdc++ up to GLIBCXX_3.4.28",
            "`GLIBCXX_3.4.32' not found",
        ),
        (
            GPU,
            OPS_FILE._replace(cuda_major=11),
            "other-cuda",
            "built with CUDA 11; torch 2.1.2+cu121",
            "libcudart.so.11",
        ),
        (GPU, OPS_FILE._replace(code=None), "cpu-ops-on-gpu", "no code for any GPU", "not compiled with GPU support"),
        (GPU, OPS_FILE._replace(code=HOPPER), "ops-gpu-not-covered", "none for RTX 3090 (sm_86)", "no kernel image"),
    ],
    ids=lambda value: value if isinstance(value, str) and "-" in value and " " not in value else "",
)
def test_one_cause(place: tuple[str, str, str | None], evidence: OpsEvidence, code: str, told: str, seen: str) -> None:
    found = findings(machine(*place, **GOOD), {"mmcv": evidence})
    finding = one(found, code)
    assert finding.status == FAIL
    assert told in sentence(finding)
    assert seen in str(seen_as(finding))
    assert fix(finding, None) == "zoo install mmcv --replace mmcv"
    assert [each.code for each in found if each.status == FAIL] == [code]


def test_code_that_only_some_files_have_is_a_note() -> None:
    there = machine("gpu=A100,driver=535.183.01", "2.1.2+cu121", "12.1", **GOOD)
    assert one(findings(there, {"mmcv": OPS_FILE._replace(code=MIXED)}), "ops-gpu-partly-covered").status == NOTE


def test_ops_for_the_cpu_beside_rocm() -> None:
    there = machine("gpu=none", "2.4.1+rocm6.1", None, **GOOD)
    assert there.python
    assert there.python.torch
    torch = there.python.torch._replace(hip="6.1.40091")
    there = there._replace(python=there.python._replace(torch=torch))
    finding = one(findings(there, {"mmcv": OPS_FILE._replace(code=None)}), "cpu-ops-on-rocm")
    assert "is for ROCm" in sentence(finding)


def test_a_torchvision_of_another_torch() -> None:
    there = machine("gpu=none", "2.1.2+cpu", None, **GOOD, torchvision="0.15.2")
    evidence = {**OPS, "torchvision": OpsEvidence("torchvision", ("_C.so",))}
    finding = one(findings(there, evidence), "companion")
    assert (finding.status, fix(finding, None)) == (WARN, "zoo install torchvision --replace torchvision")
    assert "0.16.2 does" in sentence(finding)
    right = machine("gpu=none", "2.1.2+cpu", None, **GOOD, torchvision="0.16.2")
    assert one([f for f in findings(right, evidence) if f.subject == "torchvision"], "ops").status == OK


# -- around ----------------------------------------------------------------------------------------------------------


def around(surroundings: Surroundings, *more: Distribution) -> list[Finding]:
    there = machine(*CPU, **{**GOOD, "numpy": "2.1.3"}, pip="24.0")
    assert there.python
    there = there._replace(python=there.python._replace(distributions=(*there.python.distributions, *more)))
    return list(diagnose(there, matrix_of(there), CATALOG_PROJECTS, OPS, surroundings))


def test_an_extension_for_numpy_1() -> None:
    found = Surroundings(numpy1=(("pycocotools", "2.0.7", "pycocotools/_mask.so"),))
    finding = one(around(found), "numpy-abi")
    assert command_of(finding, "/env/bin/python") == ("/env/bin/python", "-m", "pip", "install", "numpy<2")
    assert "NumPy 1.x cannot be run in NumPy 2.1.3" in str(seen_as(finding))
    opencv = Distribution("opencv-python", "5.0", "/x", requires=('numpy>=2; python_version >= "3.9"',))
    upgraded = one(around(found, opencv), "numpy-abi")
    assert fix(upgraded, "python") == "python -m pip install --upgrade --no-cache-dir pycocotools"


def test_a_wheel_without_ops_in_a_cache() -> None:
    finding = one(around(Surroundings(cached=(("mmcv", "mmcv-2.1.0-py3-none-any.whl", "pip"),))), "cached-op-less")
    assert (finding.status, fix(finding, "python")) == (WARN, "python -m pip cache remove mmcv")
    uv = one(around(Surroundings(cached=(("mmcv", "mmcv-2.1.0-py3-none-any.whl", "uv"),))), "cached-op-less")
    assert fix(uv, "python") == "uv cache clean mmcv"


# -- the machine -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("libc", "code"), [(Libc("musl", "1.2"), "musl"), (Libc("glibc", "2.12"), "glibc-too-old")])
def test_a_c_library_without_torch(libc: Libc, code: str) -> None:
    finding = one(findings(machine("gpu=none")._replace(libc=libc)), code)
    assert (finding.status, "docker run" in str(fix(finding, None))) == (FAIL, True)


@pytest.mark.parametrize(
    ("problem", "status", "command"),
    [
        ("driver-library-mismatch", FAIL, "sudo reboot"),
        ("driver-not-loaded", FAIL, "sudo modprobe nvidia"),
        ("no-device-node", WARN, "docker run --gpus all IMAGE"),
        ("override-ignored", WARN, None),
    ],
)
def test_problems_of_the_driver_are_told(problem: str, status: str, command: str | None) -> None:
    there = machine("gpu=none")._replace(problems=(DriverProblem(problem, "NVML", "return code 18"),))
    finding = one(findings(there), "driver-problem")
    assert (finding.status, fix(finding, None)) == (status, command)
    assert seen_as(finding) == "return code 18"
    assert len(sentence(finding)) > 20


def test_a_32_bit_python() -> None:
    there = machine("gpu=none")
    assert there.python
    finding = one(findings(there._replace(python=there.python._replace(bits=32))), "32-bit")
    assert "uv venv" in str(fix(finding, None))


def test_an_interpreter_that_cannot_be_changed_gets_an_environment_of_its_own() -> None:
    there = machine("gpu=none")
    assert there.python
    for python in (there.python._replace(externally_managed="/m"), there.python._replace(is_writable=False)):
        finding = next(f for f in findings(there._replace(python=python)) if f.subject == "python")
        assert fix(finding, None) == "zoo install mmdet --env ./env"


# -- commands --------------------------------------------------------------------------------------------------------


def test_commands_become_one() -> None:
    both = merge([("mmcv", "--replace", "mmcv", "--build", "mmcv"), ("mmdet==3.3.0", "--replace", "mmengine,mmcv")])
    assert both == ("mmcv", "mmdet==3.3.0", "--replace", "mmcv,mmengine", "--build", "mmcv")
    assert merge([("mmdet",), ("mmdet==3.3.0",)]) == ("mmdet==3.3.0",)
    assert named(("mmdet>=3,<4", "--replace", "mmcv")) == ["mmdet", "mmcv"]
    request = request_of(both, CATALOG_PROJECTS)
    assert (request.build, request.replace) == (frozenset({"mmcv"}), frozenset({"mmcv", "mmengine"}))


@pytest.mark.parametrize(
    ("has_gpu", "works", "command"),
    [
        (False, {"plain"}, ("mmcv", "--replace", "mmcv")),
        (False, {"build", "torch"}, ("mmcv", "--replace", "mmcv", "--build", "mmcv")),
        (True, {"build", "torch"}, ("mmcv", "mmdet==3.3.0", "--replace", "mmcv,torch")),
        (True, set(), ()),
    ],
)
def test_a_command_is_shown_when_it_has_a_solution(has_gpu: bool, works: set[str], command: tuple[str, ...]) -> None:
    def solves(request: Request) -> bool:
        kind = "build" if request.build else "torch" if "torch" in request.replace else "plain"
        return kind in works and not (request.build and "torch" in request.replace)

    finding = Finding(FAIL, "Installed", "mmcv", "op-less", install=("mmcv", "--replace", "mmcv"))
    here = Installed(("mmdet==3.3.0",), ("mmcv",), has_gpu)
    (mended,) = confirmed([finding], CATALOG_PROJECTS, solves, here)
    assert mended.install == command
