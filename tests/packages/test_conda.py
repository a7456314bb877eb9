"""A conda environment: its own Python, its own records, and packages that are conda's to change.

There is no conda here; the layout is the real one: a prefix with an interpreter of its own and `conda-meta`, in which
each package has a record, and whose wheels say `conda` in INSTALLER (or, written by setuptools, nothing at all).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.changing import content
from tests.support.places import Place, decoy_place
from tests.support.wheels import write_wheel
from zoo_cli.machine.interpreter import read_interpreter
from zoo_cli.packages.executor import find_uv

pytestmark = pytest.mark.skipif(sys.base_prefix in ("/usr", "/usr/local"), reason="the system's Python is no prefix")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("conda")
    with decoy_place(root) as made:
        made.site.publish(
            write_wheel(root / "made", "needy", "1.0", requires=["numpy>=2"]),
            write_wheel(root / "made", "numpy", "2.0.0", files={"numpy/__init__.py": ""}),
        )
        yield made


@pytest.fixture
def prefix(place: Place, tmp_path: Path) -> Path:
    """A prefix as conda makes it, with torch from a wheel, and numpy and setuptools from conda."""
    prefix = tmp_path / "conda"
    (prefix / "conda-meta").mkdir(parents=True)
    base = Path(sys.base_prefix)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = prefix / "lib" / version / "site-packages"
    site.mkdir(parents=True)
    (prefix / "bin").mkdir()
    subprocess.run(["cp", base / "bin" / version, prefix / "bin/python3"], check=True)
    for each in [*(base / "lib").glob("libpython*"), *(base / "lib" / version).iterdir()]:
        if each.name != "site-packages":  # the standard library; a Python finds its prefix from where it lies itself
            (prefix / each.relative_to(base)).symlink_to(each)
    tools = write_wheel(tmp_path, "setuptools", "84.0.0", files={"setuptools/__init__.py": ""})
    numpy = write_wheel(tmp_path, "numpy", "1.26.4", files={"numpy/__init__.py": ""})
    argv = [str(find_uv()), "pip", "install", "-q", "--no-index", "--python", str(prefix / "bin/python3")]
    subprocess.run([*argv, tools, numpy, place.torch], check=True)
    for stem in ("setuptools-84.0.0", "numpy-1.26.4"):
        info = site / f"{stem}.dist-info"
        files = [each.relative_to(prefix).as_posix() for each in info.iterdir()]
        record = {"name": stem.rpartition("-")[0], "version": stem.rpartition("-")[2], "files": files}
        (prefix / "conda-meta" / f"{stem}-py_0.json").write_text(json.dumps(record))
        (info / "INSTALLER").unlink()
    (site / "setuptools-84.0.0.dist-info/INSTALLER").write_text("conda\n")
    (prefix / "conda-meta/history").write_text("==> 2026-11-23 <==\n")
    return prefix


def test_what_is_condas_is_known(prefix: Path) -> None:
    python = read_interpreter(prefix, environ={})
    assert (python.is_conda, python.is_virtual, python.prefix) == (True, False, str(prefix))
    owners = {each.name: each.installer for each in python.distributions}
    assert owners == {"numpy": "conda", "setuptools": "conda", "torch": "uv"}


def test_condas_packages_go_with_consent_only(place: Place, prefix: Path) -> None:
    before = content(prefix)
    ran = place.install(prefix / "bin/python3", "mmdet")
    assert (ran.code, "error[needs-consent]" in ran.err, "84.0.0 -> <82" in ran.err) == (2, True, True), ran.err
    assert "conda installed setuptools" in ran.err
    assert "1 package that conda installed stays as it is" in ran.err
    assert content(prefix) == before


@pytest.mark.slow
def test_not_even_a_dependency_replaces_one(place: Place, prefix: Path, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("needy\n")
    before = content(prefix)
    words = ("mmdet", "-r", str(tmp_path / "requirements.txt"), "--replace")
    ran = place.install(prefix / "bin/python3", *words, "setuptools")
    assert (ran.code, "numpy==1.26.4" in ran.err) == (1, True), ran.err
    assert content(prefix) == before
    ran = place.install(prefix / "bin/python3", *words, "setuptools,numpy")
    assert ran.code == 0, ran.err
    assert place.versions(prefix / "bin/python3")["numpy"] == "2.0.0"
    undone = place.undo(prefix / "bin/python3")
    assert undone.code == 0, undone.err
    assert {name: each for name, each in content(prefix).items() if "__pycache__" not in name} == {
        name: each for name, each in before.items() if "__pycache__" not in name
    }
