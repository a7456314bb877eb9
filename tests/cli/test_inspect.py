"""`zoo inspect` on wheels, compiled files and environments as users call it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.cli import zoo
from tests.support.fatbins import PTX, SASS, container, library_with
from tests.support.wheels import write_wheel

AMPERE = container([(SASS, 70, 0), (SASS, 86, 0), (PTX, 86, 0)])
TAG = "cp311-cp311-linux_x86_64"
HERE = f"{sys.version_info.major}{sys.version_info.minor}"


def test_a_wheel(tmp_path: Path) -> None:
    library = library_with(tmp_path / "so", {".nv_fatbin": AMPERE}).read_bytes()
    wheel = write_wheel(tmp_path, "mmcv", "2.1.0", TAG, files={"mmcv/_ext.so": library})
    told = zoo(tmp_path, "inspect", wheel)
    assert told.code == 0
    assert "mmcv 2.1.0" in told.out
    assert "CUDA: 7.0 8.6+PTX" in told.out
    (found,) = zoo(tmp_path, "inspect", wheel, "--json").document["found"]
    assert found["targets"] == ["7.0", "8.6+PTX"]
    assert found["libraries"][0]["cuda_code"]["sass"] == {"7.0": 1, "8.6": 1}


def test_a_wheel_that_must_not_be_installed(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, "mmcv", "2.1.0", TAG, metadata="Name: mmcv\nVersion: 9.0\n")
    told = zoo(tmp_path, "inspect", wheel)
    assert told.code == 6
    assert "FAIL  version-mismatch" in told.out
    document = zoo(tmp_path, "inspect", wheel, "--json").document
    assert (document["ok"], document["found"][0]["problems"][0]["code"]) == (False, "version-mismatch")


def test_files(tmp_path: Path) -> None:
    library = library_with(tmp_path, {"__nv_relfatbin": AMPERE})
    text = tmp_path / "notes.so"
    text.write_text("no library")
    told = zoo(tmp_path, "inspect", library, text)
    assert told.code == 6
    assert "7.0 8.6+PTX" in told.out
    assert "cannot be read: not a compiled library" in told.out


def test_an_environment(tmp_path: Path) -> None:
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")), check=True)
    site = next((tmp_path / "env").glob("lib/python*/site-packages"))
    (site / "mmcv-2.1.0.dist-info").mkdir()
    (site / "mmcv-2.1.0.dist-info/METADATA").write_text("Name: mmcv\nVersion: 2.1.0\n")
    (site / "mmcv-2.1.0.dist-info/RECORD").write_text(f"mmcv/_ext.cpython-{HERE}-x86_64-linux-gnu.so,,\n")
    empty = zoo(tmp_path, "inspect", tmp_path / "env")
    assert "FAIL: mmcv 2.1.0 has no compiled ops" in empty.out
    library_with(site / "mmcv", {".nv_fatbin": AMPERE}, f"_ext.cpython-{HERE}-x86_64-linux-gnu.so")
    told = zoo(tmp_path, "inspect", tmp_path / "env/bin/python")
    assert told.code == 0
    assert f"for cp{HERE}" in told.out
    (package,) = zoo(tmp_path, "inspect", tmp_path / "env", "--json").document["found"][0]["packages"]
    assert (package["pythons"], package["targets"]) == ([f"cp{HERE}"], ["7.0", "8.6+PTX"])
    assert package["refused"] is None


def test_a_wheel_judged_for_an_environment(tmp_path: Path) -> None:
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")), check=True)
    library = library_with(tmp_path / "so", {".nv_fatbin": AMPERE}).read_bytes()
    files = {"mmcv/_ext.cpython-27-x86_64-linux-gnu.so": library}
    wheel = write_wheel(tmp_path, "mmcv", "2.1.0", TAG, files=files)
    told = zoo(tmp_path, "inspect", wheel, "--python", tmp_path / "env")
    assert told.code == 6
    assert f"FAIL: mmcv 2.1.0 was built for cp27; this Python is cp{HERE}" in told.out
    right = write_wheel(tmp_path / "right", "mmcv", "2.1.0", TAG, files={"mmcv/_ext.so": library})
    told = zoo(tmp_path, "inspect", right, "--python", tmp_path / "env")
    assert (told.code, "nothing in it speaks against it" in told.out) == (0, True)


def test_what_is_not_there(tmp_path: Path) -> None:
    assert zoo(tmp_path, "inspect", "gone.whl").code == 2


def test_a_directory_of_wheels_and_one_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    told = zoo(tmp_path, "inspect", "wheels")
    assert told.code == 4
    assert "wheels holds no Python" in told.err and "zoo inspect -h" in told.err and "check-env" not in told.err
    for name in ("one", "two"):
        write_wheel(tmp_path / "wheels", name, "1.0")
    found = zoo(tmp_path, "inspect", "wheels", "--json").document["found"]
    assert [each["name"] for each in found] == ["one", "two"]
