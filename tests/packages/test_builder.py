"""The source builder: refusals before anything is compiled, whole builds, the cache, and what comes out."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.packages.test_arrivals import place_of
from tests.support.server import Page, Server
from tests.support.solving import CATALOG_PROJECTS
from tests.support.torch_env import CACHE, mmcv_wheel, torch_python
from zoo_cli.catalog.entries import Origin, Recipe
from zoo_cli.cli.messages import message_for
from zoo_cli.packages.arrivals import refusal_here
from zoo_cli.packages.builder import (
    BuildEvent,
    BuildRequest,
    BuiltWheel,
    BuiltWrong,
    CannotBuild,
    Compiled,
    Stage,
    build_wheel,
    estimate,
    is_sdist_of,
    read_built,
)
from zoo_cli.packages.evidence import TorchLibraries
from zoo_cli.packages.executor import StepFailed
from zoo_cli.packages.extensions import read_libraries_of_torch
from zoo_cli.packages.findings import Finding
from zoo_cli.packages.nvcc import architectures_of, find_toolkit
from zoo_cli.packages.toolchain import (
    BYTES_PER_JOB,
    MissingTool,
    TargetUnreadable,
    Toolchain,
    check_standard,
    find_toolchain,
    free_memory,
    read_target,
    usable_cores,
)
from zoo_cli.transfer.events import Noted
from zoo_cli.transfer.fetch import Settings
from zoo_cli.trust.wheel import inspect_wheel
from zoo_cli.trust.wheelreport import WheelReport

RECIPE = Recipe(
    project="mmcv",
    requires=("setuptools<81", "wheel"),
    needs_torch=True,
    folders=("mmcv/ops/csrc/pytorch",),
    cuda_folders=("mmcv/ops/csrc/pytorch/cuda",),
    variables={"MMCV_WITH_OPS": "1"},
    cuda_switch="FORCE_CUDA",
    seconds=77,
    stock_seconds=1091,
    origin=Origin("here", "2026-11-23", "seen"),
)
PLACE = place_of("gpu=none", "2.13.0+cpu")
QUICK = Settings(connect_seconds=5, stall_seconds=10, retries=0, sync=False)


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ZOO_STATE", str(tmp_path / "state"))


@pytest.fixture
def python(tmp_path: Path) -> str:
    """A target whose torch is nothing but its version file."""
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")), check=True)
    say_torch(str(tmp_path / "env" / "bin" / "python"), "2.13.0+cpu", None)
    return str(tmp_path / "env" / "bin" / "python")


def judged(report: WheelReport, torch: TorchLibraries | None) -> Finding | None:
    return refusal_here(PLACE, CATALOG_PROJECTS, report, torch)


def say_torch(python: str, version: str, cuda: str | None) -> None:
    site = next(Path(python).parent.parent.glob("lib/python*/site-packages"))
    (site / "torch" / "lib").mkdir(parents=True, exist_ok=True)
    (site / "torch" / "version.py").write_text(f"__version__ = {version!r}\ncuda = {cuda!r}\n")


def sdist(files: Mapping[str, str], name: str = "mmcv", version: str = "9.9") -> bytes:
    """The same files give the same bytes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for path, text in files.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{path}")
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return gzip.compress(stream.getvalue(), mtime=0)


class Index(Server):
    """A simple index with one sdist, and PyPI behind it for build tools."""

    def __init__(
        self, content: bytes, monkeypatch: pytest.MonkeyPatch, name: str = "mmcv-9.9.tar.gz", digest: str = ""
    ) -> None:
        digest = digest or f"#sha256={hashlib.sha256(content).hexdigest()}"
        page = Page(f'<a href="../../files/{name}{digest}">{name}</a>'.encode())
        super().__init__({"/simple/mmcv/": page, "/simple/other/": Page(b"{}"), f"/files/{name}": content})
        self._patch = monkeypatch

    def __enter__(self) -> Index:  # noqa: PYI034 (Self is of 3.11)
        super().__enter__()
        self._patch.setenv("PIP_INDEX_URL", self.url("/simple"))
        self._patch.setenv("PIP_EXTRA_INDEX_URL", "https://pypi.org/simple")
        return self


# -- before anything is compiled ---------------------------------------------------------------------------------


def test_a_target_without_torch(tmp_path: Path) -> None:
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")), check=True)
    with pytest.raises(MissingTool) as caught:
        build_wheel(BuildRequest("mmcv", "2.1.0", str(tmp_path / "bare" / "bin" / "python"), RECIPE), QUICK, judged)
    assert caught.value.tool == "torch"


def test_a_target_that_is_none(tmp_path: Path) -> None:
    for program in (str(tmp_path / "nowhere"), "/bin/true"):
        with pytest.raises(TargetUnreadable):
            read_target(program)


def test_a_target_is_read_without_importing_torch(python: str) -> None:
    target = read_target(python)
    assert (target.torch, target.torch_cuda) == ("2.13.0+cpu", None)
    assert target.tag == f"cp{sys.version_info[0]}{sys.version_info[1]}"
    assert target.torch_directory is not None
    assert target.torch_directory.name == "torch"
    assert [Path(each).name for each in target.site_packages] == ["site-packages"]


@pytest.fixture
def nvcc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CUDA 12.1 toolkit that takes gcc up to 98 and knows two GPUs, named by CUDA_HOME."""
    home = tmp_path / "cuda"
    (home / "bin").mkdir(parents=True)
    (home / "include" / "crt").mkdir(parents=True)
    say_gcc_limit(home, 98)
    version = "Cuda compilation tools, release 12.1, V12.1.105"
    answers = f'case $1 in --version) echo "{version}";; *) echo compute_80; echo compute_86;; esac'
    (home / "bin" / "nvcc").write_text(f"#!/bin/sh\n{answers}\n")
    (home / "bin" / "nvcc").chmod(0o755)
    monkeypatch.setenv("CUDA_HOME", str(home))
    return home


def say_gcc_limit(home: Path, newest: int) -> None:
    text = f"#error -- unsupported GNU version! gcc versions later than {newest} are not supported!"
    (home / "include" / "crt" / "host_config.h").write_text(text)


def missing(python: str, tmp_path: Path, *architectures: str) -> MissingTool:
    with pytest.raises(MissingTool) as caught:
        find_toolkit(read_target(python), find_toolchain(tmp_path, "x"), architectures, "mmcv 2.1.0", dict(os.environ))
    return caught.value


def test_a_toolkit_of_torchs_own_cuda(python: str, nvcc: Path, tmp_path: Path) -> None:
    tools = find_toolchain(tmp_path, "x")
    for cuda in ("12.1", "12.4"):  # torch refuses another major only
        say_torch(python, "2.4.0+cu", cuda)
        toolkit = find_toolkit(read_target(python), tools, ("8.6", "8.0+PTX"), "mmcv 2.1.0", dict(os.environ))
        assert (toolkit.home, toolkit.version) == (nvcc, "12.1")


def test_what_nvcc_would_refuse_later(python: str, nvcc: Path, tmp_path: Path) -> None:
    say_torch(python, "2.0.1+cu118", "11.8")
    assert "CUDA 12.1" in missing(python, tmp_path, "8.6").found
    assert missing(python, tmp_path, "8.6").tool == "nvcc"
    say_torch(python, "2.1.2+cu121", "12.1")
    assert missing(python, tmp_path).tool == "architecture"
    for unknown in ("12.0", "Ampere"):
        assert unknown in missing(python, tmp_path, unknown).found
    say_gcc_limit(nvcc, 1)
    refused = missing(python, tmp_path, "8.6")
    assert refused.tool == "host-compiler"
    assert "gcc up to 1" in refused.found


def test_a_cuda_torch_needs_nvcc_unless_cpu_only(python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    say_torch(python, "2.1.2+cu121", "12.1")
    for name in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(MissingTool) as caught:
        build_wheel(BuildRequest("mmcv", "2.1.0", python, RECIPE, architectures=("8.6",)), QUICK, judged)
    assert caught.value.tool == "nvcc"
    with Index(b"", monkeypatch, "none.tar.gz"), pytest.raises(CannotBuild):
        build_wheel(BuildRequest("mmcv", "2.1.0", python, RECIPE, cpu_only=True), QUICK, judged)


def test_a_compiler_too_old_for_torch(python: str, tmp_path: Path) -> None:
    tools = find_toolchain(tmp_path, "x")
    extension = next(Path(python).parent.parent.glob("lib/python*/site-packages/torch")) / "utils" / "cpp_extension.py"
    extension.parent.mkdir()
    for standard in (17, 99):
        extension.write_text(f"cuda_cflags = ['-std=c++{standard}']")
        with pytest.raises(MissingTool) if standard == 99 else nullcontext() as caught:
            check_standard(read_target(python), tools, "mmcv 2.1.0")
    assert caught is not None
    assert caught.value.tool == "c++-standard"


@pytest.mark.parametrize(
    ("named", "chosen"),
    [(None, ("8.6", "9.0")), ("", ("8.6", "9.0")), ("8.0;9.0+PTX", ("8.0", "9.0+PTX")), (" 7.5 8.0 ", ("7.5", "8.0"))],
)
def test_gpus_to_compile_for(named: str | None, chosen: tuple[str, ...]) -> None:
    assert architectures_of(named, ["9.0", "8.6", "8.6"]) == chosen


@pytest.mark.parametrize(("jobs", "text"), [(1, "75 s"), (2, "40 s"), (100, "5 s")])
def test_a_time_to_wait_for(jobs: int, text: str) -> None:
    assert estimate(77, jobs) == text
    assert estimate(1091, 2) == "9 min"


@pytest.mark.parametrize(
    ("name", "digest", "reason"),
    [
        ("mmcv-9.8.tar.gz", "", "no .tar.gz"),
        ("mmcv-9.9.zip", "", "no .tar.gz"),
        ("mmcv-9.9.tar.gz", "#md5=1", "no digest"),
    ],
)
def test_no_such_sdist(python: str, monkeypatch: pytest.MonkeyPatch, name: str, digest: str, reason: str) -> None:
    with Index(b"", monkeypatch, name, digest), pytest.raises(CannotBuild, match=reason):
        build_wheel(BuildRequest("mmcv", "9.9", python), QUICK, judged)


def test_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(MissingTool) as caught:
        find_toolchain(tmp_path, "mmcv 2.1.0")
    assert caught.value.tool == "c++"
    assert caught.value.exit_code == 4


def test_a_compiler_that_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c++").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "c++").chmod(0o755)
    monkeypatch.setenv("CXX", str(tmp_path / "c++"))
    with pytest.raises(MissingTool, match="does not run"):
        find_toolchain(tmp_path, "mmcv 2.1.0")


@pytest.mark.parametrize(
    ("cores", "memory", "wanted", "jobs"),
    [
        (2, 23_000_000_000, None, 2),
        (64, 23_000_000_000, None, 8),
        (64, BYTES_PER_JOB // 2, None, 1),
        (8, None, None, 8),
        (2, 1, 5, 5),
    ],
)
def test_jobs_by_cores_and_memory(cores: int, memory: int | None, wanted: int | None, jobs: int) -> None:
    assert Toolchain("c++", "c++ 12", cores, memory).jobs(wanted) == jobs


def test_this_machine_bears_something(tmp_path: Path) -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
    assert (free_memory() or 1) > 0
    assert find_toolchain(tmp_path, "x").compiler_version


@pytest.mark.parametrize(
    ("filename", "same"),
    [
        ("mmcv-2.1.0.tar.gz", True),
        ("MMCV-2.1.0.tar.gz", True),
        ("mmcv-2.1.0rc1.tar.gz", False),
        ("mmcv_full-2.1.0.tar.gz", False),
        ("mmcv-2.1.0.zip", False),
        ("mmcv-2.1.0-py3-none-any.whl", False),
    ],
)
def test_names_of_sdists(filename: str, same: bool) -> None:
    assert is_sdist_of(filename, "mmcv", "2.1.0") is same


def test_the_cache_believes_its_bytes_only(tmp_path: Path) -> None:
    assert read_built(tmp_path) is None
    (tmp_path / "x.whl").write_bytes(b"1")
    record = {"path": "x.whl", "sha256": hashlib.sha256(b"1").hexdigest(), "torch": "2", "seconds": 1}
    (tmp_path / "build.json").write_text(json.dumps(record))
    kept = read_built(tmp_path)
    assert kept is not None
    assert kept.was_cached
    (tmp_path / "x.whl").write_bytes(b"2")
    assert read_built(tmp_path) is None
    for text in ("", "[]", '{"path": 1}', json.dumps({**record, "path": "../../x.whl", "sha256": 3})):
        (tmp_path / "build.json").write_text(text)
        assert read_built(tmp_path) is None


# -- whole builds ------------------------------------------------------------------------------------------------

SETUP = """
import glob
from setuptools import Extension, setup
print("[1/1] compiling", flush=True)
ops = Extension("mmcv._ext", glob.glob("mmcv/ops/csrc/pytorch/*.cpp"))
setup(name="mmcv", version="9.9", packages=["mmcv"], ext_modules=[ops])
"""
PACKAGE = {"mmcv/__init__.py": "", "pyproject.toml": "", "setup.py": SETUP}
MODULE = """
#include <Python.h>
int value();
static PyModuleDef def = {PyModuleDef_HEAD_INIT, "_ext", 0, -1, 0};
PyMODINIT_FUNC PyInit__ext() { value(); return PyModule_Create(&def); }
"""
CSRC = "mmcv/ops/csrc/pytorch"
FINE = {**PACKAGE, f"{CSRC}/a.cpp": MODULE, f"{CSRC}/b.cpp": "int value() { return 42; }\n"}
# The grouping looks for names at the beginning of a line: these it does not see, so they meet in a unit.
HIDDEN = "  struct Same { int x; };\n"
CLASHING = {**FINE, **{f"{CSRC}/{name}.cpp": HIDDEN for name in "cdef"}}


@pytest.fixture
def events() -> Iterator[list[BuildEvent]]:
    yield []


def build(
    files: Mapping[str, str], python: str, monkeypatch: pytest.MonkeyPatch, events: list[BuildEvent]
) -> BuiltWheel:
    with Index(sdist(files), monkeypatch):
        return build_wheel(BuildRequest("mmcv", "9.9", python, RECIPE, jobs=1), QUICK, judged, events.append)


@pytest.mark.slow
@pytest.mark.network
def test_a_build_and_its_cache(
    python: str, monkeypatch: pytest.MonkeyPatch, events: list[BuildEvent], tmp_path: Path
) -> None:
    built = build(FINE, python, monkeypatch, events)
    assert not built.was_cached
    assert inspect_wheel(built.path).problems == ()
    assert Compiled(1, 1) in events
    assert Stage("compiling 2 files in 2 runs for torch 2.13.0+cpu; about 75 s") in events
    again = build(FINE, python, monkeypatch, events)
    assert (again.was_cached, again.sha256, again.seconds) == (True, built.sha256, built.seconds)
    say_torch(python, "2.14.0+cpu", None)  # another torch is another wheel
    other = build(FINE, python, monkeypatch, events)
    assert (other.was_cached, other.torch) == (False, "2.14.0+cpu")
    assert other.key != built.key
    left = sorted(path.name for path in (tmp_path / "cache" / "built").iterdir())
    assert left == sorted([built.key, other.key])


@pytest.mark.slow
@pytest.mark.network
def test_units_that_do_not_compile_are_no_end(
    python: str, monkeypatch: pytest.MonkeyPatch, events: list[BuildEvent]
) -> None:
    built = build(CLASHING, python, monkeypatch, events)
    assert built.path.is_file()
    assert any(isinstance(event, Noted) and "file by file" in event.text for event in events)


@pytest.mark.slow
@pytest.mark.network
def test_a_wheel_without_ops_is_no_wheel(
    python: str, monkeypatch: pytest.MonkeyPatch, events: list[BuildEvent], tmp_path: Path
) -> None:
    """What mmcv's setup.py does when it does not see torch: it goes on, and says so in one line."""
    setup = SETUP.replace("ext_modules=[ops]", "ext_modules=[]")
    with pytest.raises(BuiltWrong) as caught:
        build({**FINE, "setup.py": setup}, python, monkeypatch, events)
    assert caught.value.finding
    assert caught.value.finding.code == "op-less"
    assert "has no compiled ops" in message_for(caught.value).facts[0]
    assert list((tmp_path / "cache" / "built").iterdir()) == []


@pytest.mark.slow
@pytest.mark.network
def test_a_compiler_error_is_told(
    python: str, monkeypatch: pytest.MonkeyPatch, events: list[BuildEvent], tmp_path: Path
) -> None:
    with pytest.raises(StepFailed) as caught:
        build({**FINE, f"{CSRC}/b.cpp": "int value() { return nonsense_of_zoo; }"}, python, monkeypatch, events)
    assert any("nonsense_of_zoo" in line for line in caught.value.lines)
    assert list((tmp_path / "cache" / "built").iterdir()) == []


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.torch
def test_mmcv_is_built_from_its_sdist() -> None:
    report = inspect_wheel(mmcv_wheel())
    assert (report.name, report.version, report.problems) == ("mmcv", "2.1.0", ())
    (extension,) = report.extensions
    assert extension.elf is not None
    assert {"libc10.so", "libtorch_cpu.so", "libtorch_python.so"} <= set(extension.elf.needed)
    with zipfile.ZipFile(mmcv_wheel()) as archive:
        content = archive.read(extension.path)
    assert b"mmcv/ops/csrc" in content  # asserts name their files,
    assert str(CACHE).encode() not in content  # and not where they were compiled


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.torch
def test_a_wheel_for_another_torch_is_thrown_away(tmp_path: Path) -> None:
    """Built against the real torch, looked at with libraries that lack a symbol: proved wrong."""
    from tests.support.libraries import compile_library

    report = inspect_wheel(mmcv_wheel())
    torch = next(Path(torch_python()).parent.parent.glob("lib/python*/site-packages/torch"))
    assert judged(report, read_libraries_of_torch(torch)) is None
    for name in ("libc10.so", "libtorch.so", "libtorch_cpu.so", "libtorch_python.so"):
        compile_library(tmp_path / "lib", name, "int x;", f"-Wl,-soname,{name}")
    finding = judged(report, read_libraries_of_torch(tmp_path))
    assert finding
    assert finding.code == "other-torch"


# -- the command -------------------------------------------------------------------------------------------------


def zoo(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run((sys.executable, "-m", "zoo_cli", *words), capture_output=True, text=True, check=False)


def test_the_command_wants_one_version(python: str) -> None:
    done = zoo("build", "mmcv", "--python", python)
    assert done.returncode == 2
    assert "mmcv==2.1.0" in done.stderr
    assert done.stdout == ""


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")), check=True)
    python = str(tmp_path / "bare" / "bin" / "python")
    done = zoo("build", "mmcv==2.1.0", "--python", python)
    assert done.returncode == 4
    assert "error[missing-tool]" in done.stderr
    assert "-m pip install torch" in done.stderr
    document = json.loads(zoo("build", "mmcv==2.1.0", "--python", python, "--json").stdout)
    assert document["error"]["facts"]["tool"] == "torch"


@pytest.mark.slow
@pytest.mark.network
def test_the_command_puts_the_wheel_where_it_is_asked(
    python: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Index(sdist(FINE), monkeypatch):
        first = zoo("build", "mmcv==9.9", "--python", python, "-o", str(tmp_path / "out"))
        second = zoo("build", "mmcv==9.9", "--python", python, "-o", str(tmp_path / "out"), "--json")
    assert first.returncode == 0, first.stderr
    assert Path(first.stdout.strip()).parent == tmp_path / "out"
    document = json.loads(second.stdout)
    assert document["was_cached"] is True
    assert document["path"] == first.stdout.strip()


@pytest.mark.slow
@pytest.mark.network
def test_what_a_killed_build_left_is_swept_a_day_later(
    python: str, monkeypatch: pytest.MonkeyPatch, events: list[BuildEvent], tmp_path: Path
) -> None:
    left = [tmp_path / "cache" / "built" / name for name in (".building-old", ".building-now")]
    for path in left:
        path.mkdir(parents=True)
    os.utime(left[0], (0, 0))
    build(FINE, python, monkeypatch, events)
    assert [path.exists() for path in left] == [False, True]
