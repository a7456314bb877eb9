"""Extensions built for numpy 1 and op-less wheels in caches, found in real directories."""

from __future__ import annotations

from pathlib import Path

from tests.support.fatbins import SASS, container, library_with
from tests.support.libraries import compile_library
from tests.support.solving import CATALOG_PROJECTS
from zoo_cli.machine.facts import Distribution, Interpreter, TorchFacts
from zoo_cli.packages.evidence import OpsEvidence, Surroundings
from zoo_cli.packages.extensions import read_evidence, read_torch_code
from zoo_cli.packages.surroundings import read_surroundings

OLD = 'const char *n = "numpy.core._multiarray_umath";'
NEW = OLD + 'const char *m = "numpy._core._multiarray_umath";'


def installed(
    site: Path, name: str, file: str, code: str, requires: tuple[str, ...] = ("numpy>=1.20",)
) -> Distribution:
    compile_library(site / name, file, code)
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "RECORD").write_text(f"{name}/{file},,\n")
    return Distribution(name, "1.0", str(site), requires=requires)


def python_with(numpy: str, *others: Distribution) -> Interpreter:
    return Interpreter("/env/bin/python", "3.11.7", distributions=(Distribution("numpy", numpy, "/x"), *others))


def test_only_extensions_for_numpy_1_are_told(tmp_path: Path) -> None:
    old = installed(tmp_path, "old", "_a.so", OLD)
    new = installed(tmp_path, "new", "_b.so", NEW)
    plain = installed(tmp_path, "plain", "_c.so", "int x;")
    apart = installed(tmp_path, "apart", "_d.so", OLD, requires=())
    python = python_with("2.4.6", old, new, plain, apart)
    assert read_surroundings(python, CATALOG_PROJECTS, {}).numpy1 == (("old", "1.0", "old/_a.so"),)
    assert read_surroundings(python_with("1.26.4", old), CATALOG_PROJECTS, {}) == Surroundings()


def test_wheels_without_ops_in_both_caches(tmp_path: Path) -> None:
    for name in (
        "pip/wheels/aa/bb/mmcv-2.1.0-py2.py3-none-any.whl",
        "pip/wheels/aa/cc/mmcv-2.1.0-cp311-cp311-linux_x86_64.whl",
        "pip/wheels/aa/cc/addict-2.4.0-py3-none-any.whl",
        "uv/sdists-v9/pypi/onedl-mmcv/2.3.6/x/onedl_mmcv-2.3.6-py3-none-any.whl",
        "uv/sdists-v9/pypi/mmcv/2.1.0/x/src/mmcv-9.9.9-py3-none-any.whl",
        "uv/archive-v0/mmcv-2.1.0-py3-none-any.whl",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = read_surroundings(python_with("1.26.4"), CATALOG_PROJECTS, {"XDG_CACHE_HOME": str(tmp_path)}).cached
    assert found == (
        ("mmcv", "mmcv-2.1.0-py2.py3-none-any.whl", "pip"),
        ("onedl-mmcv", "onedl_mmcv-2.3.6-py3-none-any.whl", "uv"),
    )


def test_evidence_of_a_real_library(tmp_path: Path) -> None:
    name = "mmcv/_ext.cpython-311-x86_64-linux-gnu.so"
    code = "#include <cstdio>\n#include <string>\nvoid f(const std::string &s) { puts(s.c_str()); throw s; }"
    library_with(tmp_path / "mmcv", {".nv_fatbin": container([(SASS, 86, 0)])}, Path(name).name, code)
    (tmp_path / "mmcv.libs").mkdir()
    (tmp_path / "mmcv.libs/libother.so").write_bytes(b"no library")
    here = Distribution("mmcv", "2.1.0", str(tmp_path), files=(name, "mmcv.libs/libother.so", "mmcv/gone.so"))
    python = Interpreter("/env/bin/python", "3.11.7", distributions=(here,), platform="linux-x86_64")
    found = read_evidence(python, CATALOG_PROJECTS)["mmcv"]
    assert found.extensions == (Path(name).name,)
    assert (found.pythons, found.problem) == (("cp311",), "")
    assert found.code is not None
    assert found.code.targets == ("8.6",)
    assert not found.is_cpu_only
    assert found.glibcxx is not None
    assert found.glibcxx_here is not None
    assert found.glibc is not None


def test_evidence_is_kept_until_a_file_changes(tmp_path: Path) -> None:
    file = "_ext.cpython-311-x86_64-linux-gnu.so"
    library = library_with(tmp_path / "mmcv", {".nv_fatbin": container([(SASS, 86, 0)])}, file)
    here = Distribution("mmcv", "2.1.0", str(tmp_path), files=(f"mmcv/{file}",))
    python = Interpreter("/env/bin/python", "3.11.7", distributions=(here,), platform="linux-x86_64")

    def read() -> OpsEvidence:
        return read_evidence(python, CATALOG_PROJECTS, cache=tmp_path / "cache")["mmcv"]

    first = read()
    (kept,) = (tmp_path / "cache/extensions").iterdir()
    assert read() == first == read_evidence(python, CATALOG_PROJECTS)["mmcv"]
    kept.write_text(kept.read_text().replace('"2.1.0"', "null").replace('"8.6"', '"9.0"'))  # another identity
    assert read() == first
    text = kept.read_text()
    kept.write_text(text.replace('[["8.6", 1]]', '[["9.0", 1]]'))
    told = read().code
    assert told is not None
    assert told.targets == ("9.0",), "taken as it was kept"
    kept.write_text(text.replace('[["8.6", 1]]', "7"))
    assert read() == first, "damaged: read again"
    library.write_bytes(library.read_bytes() + b"more")
    assert read() == first
    assert len(list((tmp_path / "cache/extensions").iterdir())) == 2


def test_the_code_of_torch_itself(tmp_path: Path) -> None:
    library_with(tmp_path / "lib", {".nv_fatbin": container([(SASS, 90, 0)])}, "libtorch_cuda.so")
    torch = TorchFacts("2.1.2+cu121", "12.1", None, str(tmp_path / "version.py"))
    code = read_torch_code(Interpreter("/p", "3.11.7", torch=torch))
    assert code is not None
    assert code.targets == ("9.0",)
    assert read_torch_code(Interpreter("/p", "3.11.7")) is None
