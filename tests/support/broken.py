"""Environments that are broken in ways users report, each made for real from packages of the package index.

`make` of a `Break` gets a writable clone of the environment with torch, mmcv, mmengine and mmdet (hard links, so that
one costs no disk and a second) and breaks it; `shows` is Python that fails there as users see it, with `words`
in its output.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.support.libraries import compile_library
from tests.support.torch_env import mmcv_python, mmcv_wheel
from tests.support.wheels import retag, write_wheel

OLD_ABI = """
#include <string>
namespace c10 {
struct SourceLocation { const char *function, *file; unsigned line; };
struct ValueError { ValueError(SourceLocation, std::string); };
}
extern "C" void *PyInit__ext() { new c10::ValueError({"", "", 1}, std::string("x")); return nullptr; }
"""


class Clone(NamedTuple):
    """A clone of the good environment."""

    root: Path
    home: Path  # HOME of whoever works in it: pip's and uv's caches are below

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.root / "bin/python")

    @property
    def site(self) -> Path:
        """Its site-packages."""
        return next(self.root.glob("lib/python*/site-packages"))

    @property
    def extension(self) -> Path:
        """mmcv's compiled ops."""
        return next((self.site / "mmcv").glob("_ext*"))

    def pip(self, *words: str, **more: str) -> None:
        """Runs the environment's pip."""
        environ = {**os.environ, "HOME": str(self.home), "PIP_DISABLE_PIP_VERSION_CHECK": "1", **more}
        argv = (self.python, "-m", "pip", *words)
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr[-2000:]

    def run(self, code: str) -> subprocess.CompletedProcess[str]:
        """Runs Python code in it."""
        argv = (self.python, "-I", "-c", code)
        return subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)


class Break(NamedTuple):
    """One way to break an environment, and what is expected of check-env."""

    name: str
    make: Callable[[Clone], None]
    shows: str  # code that fails in it
    words: str  # in what it then says
    subject: str  # of the finding
    code: str


def clone(directory: Path) -> Clone:
    """A writable copy of the good environment; files are shared until they are replaced."""
    source = Path(mmcv_python()).parent.parent
    directory.mkdir(parents=True)
    subprocess.run(("cp", "-al", str(source), str(directory / "env")), check=True, timeout=120)
    (directory / "home").mkdir()
    return Clone(directory / "env", directory / "home")


def _isolated_build(there: Clone) -> None:
    """What `pip install mmcv` leaves once setuptools is old enough: torch is not in the isolated build environment."""
    constraint = there.home / "constraint.txt"
    constraint.write_text("setuptools<81\n")
    there.pip("uninstall", "-y", "mmcv")
    there.pip("install", "--use-pep517", "--no-deps", "mmcv==2.1.0", PIP_CONSTRAINT=str(constraint))


def _with_extension(there: Clone, library: Path) -> None:
    """mmcv's wheel with another compiled file, installed."""
    import zipfile

    with zipfile.ZipFile(mmcv_wheel()) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
        metadata = archive.read("mmcv-2.1.0.dist-info/METADATA")
    files[next(name for name in files if "_ext" in name)] = library.read_bytes()
    wheel = write_wheel(there.home, "mmcv", "2.1.0", mmcv_wheel().stem.split("-", 2)[2], files=files, metadata=metadata)
    there.pip("install", "--no-deps", "--force-reinstall", str(wheel))


def _old_abi(there: Clone) -> None:
    torch = there.site / "torch/lib"
    words = ("-D_GLIBCXX_USE_CXX11_ABI=0", f"-L{torch}", "-lc10", f"-Wl,-rpath,{torch}")
    _with_extension(there, compile_library(there.home / "so", "_ext.so", OLD_ABI, *words))


def _for_cuda(there: Clone) -> None:
    stubs = there.home / "stubs"
    for name in ("libtorch_cuda.so", "libcudart.so.12"):
        compile_library(stubs, name, "", f"-Wl,-soname,{name}")
    words = ("-Wl,--no-as-needed", str(stubs / "libtorch_cuda.so"), str(stubs / "libcudart.so.12"))
    _with_extension(there, compile_library(there.home / "so", "_ext.so", "int x;", *words))


def _truncated(there: Clone) -> None:
    data = there.extension.read_bytes()
    path = there.extension
    path.unlink()  # never through the link: the file is the good environment's, too
    path.write_bytes(data[:20])


def _other_python(there: Clone) -> None:
    """The site-packages of a Python 3.10, carried over to this one."""
    wheel = retag(mmcv_wheel(), there.home, tags="cp310-cp310-linux_x86_64")
    old = there.extension
    info = there.site / "mmcv-2.1.0.dist-info/RECORD"
    record = info.read_text()
    assert wheel.is_file()
    new = old.name.replace("cpython-311", "cpython-310")
    old.rename(old.with_name(new))
    info.unlink()
    info.write_text(record.replace(old.name, new))


def _pip(*words: str) -> Callable[[Clone], None]:
    return lambda there: there.pip(*words)


OPS = "import mmcv.ops"
TWO_MMENGINES = """
import importlib.metadata as metadata, mmengine
assert mmengine.__version__ == metadata.version("mmengine"), "the files are another version"
"""
TORCH_SETUPTOOLS = """
import importlib.metadata as metadata
assert int(metadata.version("setuptools").split(".")[0]) >= 77, "torch needs setuptools>=77.0.3"
"""
BREAKS = (
    Break("isolated build", _isolated_build, OPS, "No module named 'mmcv._ext'", "mmcv", "op-less"),
    Break(
        "lite over mmcv",
        _pip("install", "--no-deps", "mmcv-lite==2.2.0"),
        "import mmdet",
        "incompatible",
        "mmcv",
        "two-owners",
    ),
    Break(
        "another torch",
        _old_abi,
        OPS,
        "undefined symbol: _ZN3c1010ValueErrorC1ENS_14SourceLocationESs",
        "mmcv",
        "other-torch",
    ),
    Break("CUDA wheel, CPU torch", _for_cuda, OPS, "cannot open shared object file", "mmcv", "missing-libraries"),
    Break("damaged file", _truncated, OPS, "file too short", "mmcv", "bad-extension"),
    Break("another Python", _other_python, OPS, "No module named 'mmcv._ext'", "mmcv", "other-python"),
    Break(
        "setuptools 82",
        _pip("install", "setuptools==82.0.1"),
        "from mmengine.utils import is_installed\nis_installed('mmdet')",
        "pkg_resources",
        "setuptools",
        "wall",
    ),
    Break(
        "openmim's setuptools",
        _pip("install", "setuptools==60.2.0"),
        TORCH_SETUPTOOLS,
        "torch needs",
        "setuptools",
        "wall",
    ),
    Break(
        "numpy 1 extension",
        _pip("install", "--no-deps", "--only-binary", ":all:", "pycocotools==2.0.7"),
        "import pycocotools._mask",
        "numpy",
        "pycocotools",
        "numpy-abi",
    ),
    Break(
        "an assertion",
        _pip("install", "--no-deps", "mmengine==0.7.0"),
        "import mmdet",
        "MMEngine==0.7.0 is used but incompatible",
        "mmdet",
        "asserted",
    ),
    Break(
        "mmengine gone",
        _pip("uninstall", "-y", "mmengine"),
        "import mmdet.apis",
        "No module named 'mmengine'",
        "mmdet",
        "missing-requirement",
    ),
    Break(
        "two mmengines",
        _pip("install", "--no-deps", "onedl-mmengine==0.10.12"),
        TWO_MMENGINES,
        "another version",
        "mmengine",
        "two-owners",
    ),
)
