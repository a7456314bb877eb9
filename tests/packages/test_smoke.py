"""The ops check against stand-ins for torch and mmcv in real interpreters, and against the real ones."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.support.libraries import compile_library, future_libc
from tests.support.torch_env import copy_of, mmcv_python, torch_python
from zoo_cli import filelock
from zoo_cli.packages.causes import Cause, cause_of, cause_of_death
from zoo_cli.packages.smoke import Check, OpsReport, check_ops, read_checks

# A torch small enough to compute nothing: tensors are what the stand-in ops return.
TORCH = """
class Answer:
    def __init__(self, values): self.values = values
    def reshape(self, *_): return self
    def repeat(self, *_): return self
    def flatten(self): return self
    def tolist(self): return self.values
def tensor(*_, **__): return Answer([])
arange = ones = tensor
class cuda:
    is_available = staticmethod(lambda: GPUS > 0)
    device_count = staticmethod(lambda: GPUS)
GPUS = 0
"""
OPS = """
from torch import Answer
def nms(*_, **__): return None, Answer([0, 2])
def roi_align(*_): return Answer([2.5, 3.5, 6.5, 7.5])
def deform_conv2d(*_): return Answer([0.5, 1.5, 2.5, 9.0])
"""
GOOD = {"torch.py": TORCH, "mmcv/__init__.py": "", "mmcv/_ext.py": "", "mmcv/ops.py": OPS}


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")), check=True)
    return tmp_path / "env"


def fill(environment: Path, files: Mapping[str, str | None]) -> str:
    site = next(environment.glob("lib/python*/site-packages"))
    for name, text in files.items():
        if text is not None:
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            (site / name).write_text(text)
    return str(environment / "bin" / "python")


def failure(report: OpsReport) -> tuple[str, str]:
    assert not report.is_ok
    return report.failed[0].name, report.failed[0].code


def test_all_is_well(environment: Path) -> None:
    report = check_ops(fill(environment, {**GOOD, "mmdet/__init__.py": "", "mmdet/apis.py": ""}), ("mmcv", "mmdet"))
    assert report.is_ok
    assert [check.name for check in report.checks] == [
        "torch",
        "mmcv._ext",
        "mmcv.ops",
        "nms",
        "roi_align",
        "deform_conv2d",
        "mmdet",
    ]


def test_every_gpu_is_tried(environment: Path) -> None:
    python = fill(environment, {**GOOD, "torch.py": TORCH.replace("GPUS = 0", "GPUS = 2")})
    devices = [check.device for check in check_ops(python, ("mmcv",)).checks if check.name == "nms"]
    assert devices == ["cpu", "cuda:0", "cuda:1"]


NO_KERNEL = """
def nms(*_, **__):
    raise RuntimeError('CUDA error: no kernel image is available for execution on the device')
"""
NO_CUDA = "raise ImportError('libtorch_cuda.so: cannot open shared object file: No such file')"
OLD_GLIBC = """raise ImportError("libc.so.6: version `GLIBC_2.34' not found")"""
ASSERT = "assert False, 'MMCV==2.2.0 is used but incompatible. Please install mmcv>=2.0.0rc4, <2.2.0.'"


@pytest.mark.parametrize(
    ("changes", "check", "code"),
    [
        ({"torch.py": None}, "torch", "not-installed"),
        ({"mmcv/__init__.py": None, "mmcv/_ext.py": None, "mmcv/ops.py": None}, "mmcv._ext", "not-installed"),
        ({"mmcv/_ext.py": None}, "mmcv._ext", "op-less"),
        ({"mmcv/ops.py": "import addict_of_zoo"}, "mmcv.ops", "missing-module"),
        ({"mmcv/ops.py": OPS.replace("[0, 2]", "[0, 1]")}, "nms", "wrong-answer"),
        ({"mmcv/ops.py": OPS.replace("2.5, 3.5", "2.5, 3.6")}, "roi_align", "wrong-answer"),
        ({"mmcv/ops.py": OPS + NO_KERNEL}, "nms", "no-kernel-image"),
        ({"mmcv/ops.py": OPS + "def nms(*_, **__):\n    import os; os.abort()"}, "nms", "crash"),
        ({"mmcv/ops.py": OPS + "def nms(*_, **__):\n    import sys; sys.exit(3)"}, "nms", "exception"),
        ({"mmcv/_ext.py": "import os; os._exit(7)"}, "mmcv._ext", "crash"),
        ({"mmcv/_ext.py": NO_CUDA}, "mmcv._ext", "missing-torch"),
        ({"mmcv/_ext.py": OLD_GLIBC}, "mmcv._ext", "glibc-too-old"),
        ({"mmdet/__init__.py": ASSERT}, "mmdet", "import-assert"),
        ({"mmdet/__init__.py": "", "mmdet/apis.py": "import mmcv._other"}, "mmdet", "missing-module"),
    ],
)
def test_each_way_to_fail_has_its_code(
    environment: Path, changes: dict[str, str | None], check: str, code: str
) -> None:
    files: dict[str, str | None] = {**GOOD, "mmdet/__init__.py": "", **changes}
    assert failure(check_ops(fill(environment, files), ("mmcv", "mmdet"))) == (check, code)


def test_a_library_with_a_missing_symbol(environment: Path) -> None:
    """A real extension that the real loader refuses."""
    python = fill(environment, {**GOOD, "mmcv/_ext.py": None})
    site = next(environment.glob("lib/python*/site-packages"))
    code = 'namespace c10 { int fail(); } extern "C" void *PyInit__ext() { c10::fail(); return 0; }'
    compile_library(site / "mmcv", "_ext.so", code)
    report = check_ops(python, ("mmcv",))
    assert failure(report) == ("mmcv._ext", "undefined-symbol")
    assert "_ZN3c104failEv" in report.failed[0].text


def test_noise_on_stdout_does_no_harm(environment: Path) -> None:
    noise = "import sys; print('warning: zoo-0000 {', end=''); sys.stderr.write('x' * 10000)\n"
    python = fill(environment, {**GOOD, "mmcv/__init__.py": noise, "mmcv/ops.py": noise + OPS})
    assert check_ops(python, ("mmcv",)).is_ok


def test_an_endless_import_ends(environment: Path) -> None:
    python = fill(environment, {**GOOD, "mmcv/_ext.py": "import time; time.sleep(60)"})
    report = check_ops(python, ("mmcv",), timeout=1.5)
    assert failure(report) == ("mmcv._ext", "timeout")
    assert report.checks[0] == Check("torch", "cpu", is_ok=True, seconds=report.checks[0].seconds)


def test_a_child_whose_parent_was_killed_holds_the_environment_and_ends(environment: Path) -> None:
    """Nobody changes what it is importing from, and it cannot be for ever."""
    files = {**GOOD, "mmcv/_ext.py": "import time; open('begun', 'w').close()\nwhile True: time.sleep(60)"}
    python = fill(
        environment, {name: text.replace("'begun'", repr(str(environment / "begun"))) for name, text in files.items()}
    )
    lock = environment / "lock"
    code = (
        "import sys; from pathlib import Path\n"
        "from zoo_cli import filelock; from zoo_cli.packages.smoke import check_ops\n"
        "with filelock.hold(Path(sys.argv[1])) as lock: check_ops(sys.argv[2], ('mmcv',), timeout=3.5, held=(lock,))"
    )
    parent = subprocess.Popen((sys.executable, "-c", code, str(lock), python))
    wait_until((environment / "begun").exists)
    parent.kill()
    parent.wait()
    with pytest.raises(filelock.HeldElsewhere), filelock.hold(lock):
        pass
    with filelock.hold(lock, wait_seconds=120):  # of a machine with much else to do
        pass


def wait_until(is_so: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_no_interpreter_is_a_failure(tmp_path: Path) -> None:
    assert failure(check_ops(str(tmp_path / "nowhere"), ("mmcv",))) == ("python", "not-installed")
    assert not OpsReport((), 0.0).is_ok


def test_the_working_directory_adds_nothing(environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert check_ops(fill(environment, GOOD), ("mmcv",)).is_ok


def test_lines_of_others_are_not_believed() -> None:
    line = '{"event": "end", "ok": true, "check": "nms", "device": "cpu", "seconds": 1}'
    assert read_checks(f"other {line}\nmark {line}\n", "mark ", None) == (Check("nms", "cpu", is_ok=True, seconds=1.0),)


@pytest.mark.parametrize(
    ("text", "code", "group", "about"),
    [
        ("/x/_ext.so: undefined symbol: _ZN3c1010Value", "undefined-symbol", "torch", "_ZN3c1010Value"),
        ("/x/_ext.so: undefined symbol: _PyThreadState_Current", "other-python", "python", "_PyThreadState_Current"),
        (
            "dynamic module does not define module export function (PyInit__ext)",
            "other-python",
            "python",
            "PyInit__ext",
        ),
        ("libGL.so.1: cannot open shared object file: No such file", "missing-library", "", "libGL.so.1"),
        ("libcudart.so.11.0: cannot open shared object file: No such file", "other-cuda", "cuda", "libcudart.so.11.0"),
        ("libc10_cuda.so: cannot open shared object file: No such file", "missing-torch", "torch", "libc10_cuda.so"),
        (
            "libstdc++.so.6: version `GLIBCXX_3.4.30' not found (required by)",
            "libstdcxx-too-old",
            "libc",
            "GLIBCXX_3.4.30",
        ),
        (
            "libstdc++.so.6: version `CXXABI_1.3.13' not found (required by)",
            "libstdcxx-too-old",
            "libc",
            "CXXABI_1.3.13",
        ),
        ("libc.so.6: version `GLIBC_2.34' not found", "glibc-too-old", "libc", "GLIBC_2.34"),
        (
            "DLL load failed while importing _ext: The specified procedure could not be found.",
            "undefined-symbol",
            "torch",
            "",
        ),
        ("operator torchvision::nms does not exist", "missing-operator", "torch", "torchvision::nms"),
        ("CUDA error: no kernel image is available for execution on the device", "no-kernel-image", "gpu", ""),
        ("CUDA error: the provided PTX was compiled with an unsupported toolchain.", "ptx-too-new", "driver", ""),
        ("The NVIDIA driver on your system is too old (found version 11040)", "driver-too-old", "driver", ""),
        ("CUDA driver version is insufficient for CUDA runtime version", "driver-too-old", "driver", ""),
        ("Found no NVIDIA driver on your system", "no-gpu", "driver", ""),
        ("nms_impl: implementation for device cuda:0 not found.", "no-implementation", "device", "cuda:0"),
        ("RoIAlign is not compiled with GPU support", "no-implementation", "device", ""),
        (
            "numpy.dtype size changed, may indicate binary incompatibility",
            "numpy-abi",
            "wall",
            "numpy.dtype size changed",
        ),
        (
            "module compiled against ABI version 0x1000009 but this version",
            "numpy-abi",
            "wall",
            "ABI version 0x1000009",
        ),
        ("numpy.core.multiarray failed to import", "numpy-abi", "wall", "numpy.core.multiarray"),
        (
            "mach-o file, but is an incompatible architecture (have 'x86_64'",
            "other-machine",
            "platform",
            "have 'x86_64'",
        ),
        ("CUDA out of memory. Tried to allocate", "out-of-memory", "", ""),
        ("something else", "exception", "", ""),
    ],
)
def test_known_words(text: str, code: str, group: str, about: str) -> None:
    assert cause_of("mmcv._ext", "ImportError", text) == Cause(code, group, about)


def test_what_has_no_words_of_its_own() -> None:
    assert cause_of("nms", "AssertionError", "Torch not compiled with CUDA enabled").code == "no-implementation"
    assert cause_of("x", "ModuleNotFoundError", "", "numpy._core").code == "numpy-abi"
    assert cause_of_death("ended by SIGILL: Illegal instruction") == Cause("other-processor", "platform")


def test_torchvision_is_run_too(environment: Path) -> None:
    vision = "from torch import Answer\ndef nms(*_): return Answer([0, 2])\ndef roi_align(*_): return Answer([9])"
    python = fill(environment, {**GOOD, "torchvision/__init__.py": "", "torchvision/ops.py": vision})
    assert failure(check_ops(python, ("torchvision",))) == ("torchvision roi_align", "wrong-answer")


def test_a_gpu_that_torch_does_not_find(environment: Path) -> None:
    python = fill(environment, GOOD)
    too_old = TORCH.replace(
        "GPUS > 0)", "GPUS > 0)\n    def init(): raise RuntimeError('driver on your system is too old')"
    )
    assert check_ops(python, ("mmcv",)).is_ok
    report = check_ops(fill(environment, {"torch.py": too_old}), ("mmcv",), expects_gpu=True)
    assert [(each.name, each.device, each.code, each.group) for each in report.failed] == [
        ("torch", "cuda", "driver-too-old", "driver")
    ]
    silent = TORCH.replace("GPUS > 0)", "GPUS > 0)\n    def init(): pass")
    assert failure(check_ops(fill(environment, {"torch.py": silent}), (), expects_gpu=True)) == ("torch", "no-gpu")


@pytest.mark.parametrize(
    ("break_it", "code", "group", "about"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:40]), "damaged-file", "wheels", "file too short"),
        (lambda path: _needing(path, "libcudart.so.12"), "other-cuda", "cuda", "libcudart.so.12"),
        (lambda path: _needing(path, "libtorch_cuda.so"), "missing-torch", "torch", "libtorch_cuda.so"),
        (lambda path: _needing(path, "libGL.so.99"), "missing-library", "", "libGL.so.99"),
        (lambda path: _linked_with_the_future(path), "glibc-too-old", "libc", "GLIBC_2.99"),
        (
            lambda path: _needing_symbol(path, "_PyThreadState_Current"),
            "other-python",
            "python",
            "_PyThreadState_Current",
        ),
        (lambda path: compile_library(path.parent, path.name, "int x;"), "other-python", "python", "PyInit__ext"),
        (lambda path: _crashing(path), "other-processor", "platform", ""),
    ],
)
def test_extensions_that_the_real_loader_refuses(
    environment: Path, break_it: Callable[[Path], object], code: str, group: str, about: str
) -> None:
    python = fill(environment, {**GOOD, "mmcv/_ext.py": None})
    site = next(environment.glob("lib/python*/site-packages"))
    path = compile_library(site / "mmcv", "_ext.so", 'extern "C" void *PyInit__ext() { return 0; }')
    (site / "mmcv/__init__.py").touch()
    break_it(path)
    failed = check_ops(python, ("mmcv",)).failed[0]
    assert (failed.name, failed.code, failed.group, failed.about) == ("mmcv._ext", code, group, about)


def _needing(path: Path, library: str) -> None:
    """Linked with a library that is gone afterwards."""
    stub = compile_library(path.parent, library, "", f"-Wl,-soname,{library}")
    compile_library(path.parent, path.name, "int x;", "-Wl,--no-as-needed", str(stub))
    stub.unlink()


def _needing_symbol(path: Path, symbol: str) -> None:
    code = f'extern "C" {{ int {symbol}(); void *PyInit__ext() {{ {symbol}(); return 0; }} }}'
    compile_library(path.parent, path.name, code)


def _crashing(path: Path) -> None:
    compile_library(path.parent, path.name, 'extern "C" void *PyInit__ext() { __builtin_trap(); }')


def _linked_with_the_future(path: Path) -> None:
    """Needs a symbol version of a C library that does not exist yet."""
    code = 'extern "C" int later(); extern "C" void *PyInit__ext() { later(); return 0; }'
    libc = future_libc(path.parent)
    compile_library(path.parent, path.name, code, "-nostdlib", str(libc))
    libc.unlink()


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.network
def test_the_real_ops_give_the_known_answers() -> None:
    report = check_ops(mmcv_python(), ("mmcv", "mmdet"))
    assert report.is_ok, report.failed
    assert {"nms", "roi_align", "deform_conv2d"} <= {check.name for check in report.checks}


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.network
def test_real_torch_with_mmcv_lite_is_op_less(tmp_path: Path) -> None:
    python = copy_of(torch_python(), tmp_path / "env")
    assert failure(check_ops(fill(tmp_path / "env", {"mmcv/__init__.py": ""}), ("mmcv",))) == ("mmcv._ext", "op-less")
    assert check_ops(python, ()).is_ok
