"""Wheels that cannot work are refused before anything changes, and the next one is taken: real compiled wheels."""

from __future__ import annotations

import hashlib
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.packages.test_install_flow import TAG, VERSION_FILE, Loopback, environment
from tests.support.cli import Ran, zoo
from tests.support.fatbins import PTX, SASS, container
from tests.support.libraries import compile_library, future_libc
from tests.support.server import Server
from tests.support.solving import CATALOG_PROJECTS, described, matrix_of
from tests.support.wheels import write_wheel
from zoo_cli.cli.findings_view import sentence
from zoo_cli.machine.facts import Machine, TorchFacts
from zoo_cli.packages.arrivals import libraries_in, refusal_here
from zoo_cli.packages.compiled import Place
from zoo_cli.packages.locked import Lock, LockedFile, LockedPackage
from zoo_cli.packages.locking import write_lock
from zoo_cli.trust.inspected import Inspections
from zoo_cli.trust.wheel import inspect_wheel
from zoo_cli.trust.wheelreport import WheelReport

LINUX = f"{TAG}-{TAG}-linux_x86_64"
C10 = "namespace c10 { int size(int n) { return n; } }"
OPS = 'namespace c10 { int NAME(int); } extern "C" void *PyInit__ext() { c10::NAME(1); return 0; }'
EXTENSION = f"_ext.cpython-{TAG[2:]}-x86_64-linux-gnu.so"
FUTURE = 'extern "C" int later(); extern "C" void *PyInit__ext() { later(); return 0; }'
GPU_CODE = container([(SASS, 70, 0), (SASS, 86, 0), (PTX, 86, 0)])


class Compiled:
    """Small real libraries, linked like the extensions of mmcv."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.c10 = compile_library(folder / "torch", "libc10.so", C10, "-Wl,-soname,libc10.so")
        self.good = self.ops("good", "size")
        self.foreign = self.ops("foreign", "gone_since_2_5")  # the linker takes an undefined symbol

    def ops(self, name: str, symbol: str, more: str = "") -> bytes:
        code = OPS.replace("NAME", symbol) + more
        return compile_library(self.folder / name, "_ext.so", code, str(self.c10)).read_bytes()

    def for_gpus(self) -> bytes:
        """With CUDA code for sm_70 and sm_86."""
        data = ",".join(map(str, GPU_CODE))
        attribute = '__attribute__((section(".nv_fatbin"), used))'
        return self.ops("gpus", "size", f'\nextern "C" {attribute} const unsigned char d[] = {{{data}}};')

    def newer_glibc(self) -> bytes:
        """Linked with a C library that does not exist yet."""
        libc = future_libc(self.folder / "future")
        return compile_library(self.folder / "glibc", "_ext.so", FUTURE, "-nostdlib", str(libc)).read_bytes()

    def other_machine(self) -> bytes:
        """The processor is bytes 18 and 19 of an ELF file; 183 is AArch64."""
        return self.good[:18] + (183).to_bytes(2, "little") + self.good[20:]

    def wheel(self, folder: Path, version: str, library: bytes | None, file: str = EXTENSION) -> Path:
        files: dict[str, str | bytes] = {"mmcv/__init__.py": f"__version__ = '{version}'\n"}
        if library is not None:
            files[f"mmcv/{file}"] = library
        return write_wheel(folder, "mmcv", version, LINUX, files=files)

    def torch(self, folder: Path) -> Path:
        files: dict[str, str | bytes] = {"torch/version.py": VERSION_FILE, "torch/__init__.py": ""}
        files["torch/lib/libc10.so"] = self.c10.read_bytes()
        return write_wheel(folder, "torch", "2.6.0+cpu", LINUX, files=files)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return Compiled(tmp_path_factory.mktemp("compiled"))


# -- the judgement ---------------------------------------------------------------------------------------------------


def place_of(text: str, torch: str, cuda: str | None = None) -> Place:
    machine: Machine = described(f"{text},python=3.{sys.version_info.minor}")
    assert machine.python
    python = machine.python._replace(torch=TorchFacts(torch, cuda, None, "/nowhere/torch/version.py"))
    return Place(machine, python, matrix_of(machine))


CPU = ("gpu=none", "2.6.0+cpu", None)
BLACKWELL = ("gpu=RTX 5090,driver=575.51", "2.7.1+cu128", "12.8")


@pytest.mark.parametrize(
    ("where", "library", "file", "code", "told"),
    [
        (CPU, lambda _: None, EXTENSION, "op-less", "has no compiled ops"),
        (CPU, lambda here: here.foreign, EXTENSION, "other-torch", "1 symbol(s) that torch 2.6.0+cpu lacks"),
        (CPU, Compiled.newer_glibc, EXTENSION, "ops-glibc", "needs GLIBC_2.99; here is glibc 2."),
        (CPU, Compiled.other_machine, EXTENSION, "other-machine", "built for aarch64; this machine is x86_64"),
        (CPU, lambda here: here.good, "_ext.cpython-27-x86_64-linux-gnu.so", "other-python", "built for cp27"),
        (CPU, lambda here: here.good[:300], EXTENSION, "bad-extension", "has a damaged file"),
        (BLACKWELL, Compiled.for_gpus, EXTENSION, "ops-gpu-not-covered", "code for 7.0, 8.6+PTX, none for"),
        (BLACKWELL, lambda here: here.good, EXTENSION, "cpu-ops-on-gpu", "has no code for any GPU"),
    ],
)
def test_what_cannot_work_is_told_from_the_wheel_alone(
    compiled: Compiled,
    tmp_path: Path,
    where: tuple[str, str, str | None],
    library: Callable[[Compiled], bytes | None],
    file: str,
    code: str,
    told: str,
) -> None:
    torch = libraries_in(inspect_wheel(compiled.torch(tmp_path)))
    place = place_of(*where)
    if code == "ops-gpu-not-covered":  # a driver that compiles no PTX of a later toolkit
        place = place._replace(machine=place.machine._replace(driver="525.60.13"))
        python = place.python._replace(torch=TorchFacts("2.1.2+cu121", "12.1", None, "/nowhere"))
        place = place._replace(python=python)
    report = inspect_wheel(compiled.wheel(tmp_path, "2.1.0", library(compiled), file))
    finding = refusal_here(place, CATALOG_PROJECTS, report, torch)
    assert finding is not None
    assert finding.code == code
    assert told in sentence(finding)


def test_what_fits_is_let_through(compiled: Compiled, tmp_path: Path) -> None:
    torch = libraries_in(inspect_wheel(compiled.torch(tmp_path)))
    assert torch.names == {"libc10.so"}
    good = inspect_wheel(compiled.wheel(tmp_path / "good", "2.1.0", compiled.good))
    assert refusal_here(place_of(*CPU), CATALOG_PROJECTS, good, torch) is None
    gpus = inspect_wheel(compiled.wheel(tmp_path / "gpus", "2.1.0", compiled.for_gpus()))
    ampere = place_of("gpu=RTX 3090,driver=535.183.01", "2.1.2+cu121", "12.1")
    assert refusal_here(ampere, CATALOG_PROJECTS, gpus, torch) is None
    unknown = inspect_wheel(write_wheel(tmp_path, "surely-unknown", "1.0"))
    assert refusal_here(place_of(*CPU), CATALOG_PROJECTS, unknown, torch) is None


# -- the gate of an install ------------------------------------------------------------------------------------------


@dataclass
class Site:
    """PyTorch's index with a torch that has a library, and a find-links directory for mmcv."""

    loopback: Loopback
    python: Path
    pages: Path

    def offer(self, compiled: Compiled, **versions: bytes | None) -> None:
        for version, library in versions.items():
            compiled.wheel(self.pages, version.strip("v").replace("_", "."), library)

    def install(self, *words: str) -> Ran:
        more = ("--python", str(self.python), "--find-links", str(self.pages), "--torch", "2.6", *words)
        return self.loopback.install(*more, torch="mmcv")


@pytest.fixture
def site(compiled: Compiled, tmp_path: Path) -> Iterator[Site]:
    torch = compiled.torch(tmp_path / "made").read_bytes()
    with Server({}) as server:
        loopback = Loopback(tmp_path, server, {"torch": torch})
        loopback.publish()
        pages = tmp_path / "pages/cpu/torch2.6.0"
        pages.mkdir(parents=True)
        yield Site(loopback, environment(tmp_path / "env"), pages)


def test_the_next_wheel_is_taken_where_one_cannot_work(site: Site, compiled: Compiled) -> None:
    """The newest is op-less, the next was compiled for another torch; the third is installed (and cannot be run)."""
    site.offer(compiled, v2_2_0=None, v2_1_0=compiled.foreign, v2_0_1=compiled.good)
    ran = site.install()
    refused = [line for line in ran.err.splitlines() if "is refused" in line]
    assert len(refused) == 2
    assert "mmcv-2.2.0" in refused[0]
    assert "no compiled ops" in refused[0]
    assert "mmcv-2.1.0" in refused[1]
    assert "built for another torch: 1 symbol(s)" in refused[1]
    assert "mmcv-2.0.1" in ran.err.partition(refused[1])[2]
    assert "error[ops-broken]" in ran.err, "torch here is a stand-in, so the check afterwards says no"
    assert site.loopback.installed(site.python) == []


def test_nothing_is_fetched_for_ops_that_are_for_another_processor(site: Site, compiled: Compiled) -> None:
    site.offer(compiled, v2_1_0=compiled.other_machine())
    ran = site.install()
    assert ran.code == 3, ran.err
    assert "error[no-solution]" in ran.err
    assert "refused: mmcv 2.1.0 was built for aarch64; this machine is x86_64" in ran.err
    assert "--build mmcv" in ran.err
    assert site.loopback.installed(site.python) == []
    wheels = [each.path for each in site.loopback.server.requests if each.path.endswith(".whl")]
    assert [path for path in wheels if "/torch-" in path] == [], "ops come before torch"  # its companions are asked for


def test_a_wheel_for_another_torch_changes_nothing(site: Site, compiled: Compiled) -> None:
    site.offer(compiled, v2_1_0=compiled.foreign)
    before = sorted(site.python.parent.parent.rglob("*"))
    ran = site.install("--json")
    assert ran.code == 3, ran.err
    assert '"code": "no-solution"' in ran.out
    assert "built for another torch" in ran.out
    assert sorted(site.python.parent.parent.rglob("*")) == before


def test_ops_that_do_not_run_name_the_constraint_and_the_next_stack(site: Site, compiled: Compiled) -> None:
    """A symbol outside of torch's namespaces: no file proves it missing, the loader does; 2.0.1 is left."""
    code = 'extern "C" { int of_no_library(); void *PyInit__ext() { of_no_library(); return 0; } }'
    broken = compile_library(compiled.folder / "broken", "_ext.so", code).read_bytes()
    site.offer(compiled, v2_1_0=broken, v2_0_1=compiled.good)
    ran = site.install()
    assert ran.code == 4, ran.err
    told = ran.err.partition("error[ops-broken]")[2]
    assert "mmcv._ext was built for another torch than the one beside it (constraint: torch)" in told
    assert "undefined symbol: of_no_library" in told
    assert "1  take the next wheels: torch 2.6.0+cpu, mmcv 2.0.1" in told
    (command,) = [line.strip() for line in told.splitlines() if "mmcv==2.0.1" in line]
    assert site.loopback.installed(site.python) == []
    words = shlex.split(command)[2:]
    again = zoo(site.loopback.home, "install", *words, "--dry-run", "--json")
    pins = {pin["name"]: pin["version"] for pin in again.document["plan"]}
    assert (pins["torch"], pins["mmcv"]) == ("2.6.0+cpu", "2.0.1")


@pytest.mark.parametrize("is_good", [True, False])
def test_a_lock_with_a_wheel_that_cannot_work_changes_nothing(
    site: Site, compiled: Compiled, tmp_path: Path, is_good: bool
) -> None:
    """`zoo sync` asks the same judges, against the torch of the lock."""
    ops = compiled.wheel(tmp_path / "locked", "2.1.0", compiled.good if is_good else compiled.foreign)
    wheels = [compiled.torch(tmp_path / "locked"), ops]
    packages = []
    for path in wheels:
        name, version = path.name.split("-")[:2]
        file = LockedFile(path.name, path.as_uri(), hashlib.sha256(path.read_bytes()).hexdigest())
        packages.append(LockedPackage(name, version, (file,)))
    minor = f"3.{sys.version_info.minor}"
    lock = Lock(f"=={minor}.*", f"python_version == '{minor}'", tuple(packages), ("mmcv",), variant="cpu")
    write_lock(lock, tmp_path / "pylock.toml", "")
    ran = zoo(tmp_path, "sync", tmp_path / "pylock.toml", "--python", site.python)
    expected = (4, "ops-broken") if is_good else (3, "wheel-unfit")  # torch here is a stand-in
    assert (ran.code, f"error[{expected[1]}]" in ran.err) == (expected[0], True), ran.err
    assert is_good or "built for another torch: 1 symbol(s) that torch 2.6.0+cpu lacks" in ran.err
    assert site.loopback.installed(site.python) == []


# -- the second time: what a wheel is was remembered, what becomes of it is judged anew --------------------------------


def test_what_was_remembered_of_a_wheel_is_judged_for_each_target(compiled: Compiled, tmp_path: Path) -> None:
    inspections = Inspections(tmp_path / "cache", tmp_path / "state")

    def report(path: Path) -> WheelReport:
        return inspections.report(path, hashlib.sha256(path.read_bytes()).hexdigest())

    paths = compiled.torch(tmp_path), compiled.wheel(tmp_path / "good", "2.1.0", compiled.good)
    first = [report(path) for path in paths]
    assert [report(path) for path in paths] == first
    torch, ops = libraries_in(first[0]), first[1]
    assert refusal_here(place_of(*CPU), CATALOG_PROJECTS, ops, torch) is None
    other = refusal_here(place_of(*BLACKWELL), CATALOG_PROJECTS, ops, torch)
    assert other and other.code == "cpu-ops-on-gpu"
    lacking = refusal_here(place_of(*CPU), CATALOG_PROJECTS, ops, torch._replace(exported=frozenset()))
    assert lacking and lacking.code == "other-torch"


def test_a_wheel_is_refused_the_second_time_as_the_first(site: Site, compiled: Compiled) -> None:
    """It is what it says, so that much is remembered; that it cannot work here is found each time."""
    site.offer(compiled, v2_1_0=compiled.foreign)
    for _ in range(2):
        ran = site.install()
        assert ran.code == 3, ran.err
        assert "built for another torch: 1 symbol(s)" in ran.err
        assert len(list((site.loopback.home / "cache/inspected").iterdir())) == 2, "torch and mmcv"
    assert site.loopback.installed(site.python) == []


def test_a_wheel_that_changed_since_it_was_inspected_is_looked_into_again(site: Site, compiled: Compiled) -> None:
    """In the cache, where the digest of its page brings the right bytes back; on a page without digests, refused."""
    site.offer(compiled, v2_1_0=compiled.good)
    assert "error[ops-broken]" in site.install().err, "torch here is a stand-in"
    (kept,) = (site.loopback.home / "cache/wheels").rglob("torch-*.whl")
    right = kept.read_bytes()
    kept.chmod(0o644)
    kept.write_bytes(right.replace(b"torch/version.py", b"torch/versiom.py"))
    (ops,) = site.pages.glob("*.whl")
    compiled.wheel(site.pages, "2.1.0", compiled.foreign)
    ran = site.install()
    assert f"{ops.name} is refused" in ran.err, "other bytes under the same name"
    assert ran.code == 3
    assert kept.read_bytes() == right
