"""Builds from real sources with the real torch: going on after a kill, recipes against PyPI, fast against stock."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import Page, Server
from tests.support.torch_env import CACHE, mmcv_python, mmcv_wheel, torch_python, twin_of

pytestmark = [pytest.mark.slow, pytest.mark.network]

SETUP = """
from setuptools import setup
from torch.utils.cpp_extension import BuildExtension, CppExtension
ops = CppExtension("onedl_mmcv_ops", [f"part{n}.cpp" for n in range(6)])
setup(name="onedl-mmcv", version="9.9", ext_modules=[ops], cmdclass={"build_ext": BuildExtension})
"""
MODULE = """
#include <Python.h>
static PyModuleDef def = {PyModuleDef_HEAD_INIT, "onedl_mmcv_ops", 0, -1, 0};
PyMODINIT_FUNC PyInit_onedl_mmcv_ops() { return PyModule_Create(&def); }
"""


def environ(tmp_path: Path, **more: str) -> dict[str, str]:
    places = {"ZOO_CACHE": str(tmp_path / "cache"), "ZOO_STATE": str(tmp_path / "state")}
    return {**os.environ, **places, **more}


def sdist() -> bytes:
    parts = {f"part{number}.cpp": f"int part{number}() {{ return {number}; }}" for number in range(1, 6)}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for path, text in {"setup.py": SETUP, "part0.cpp": MODULE, **parts}.items():
            entry = tarfile.TarInfo(f"onedl_mmcv-9.9/{path}")
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return gzip.compress(stream.getvalue(), mtime=0)


def slow_compiler(tmp_path: Path) -> Path:
    """A compiler that tells which files it was given, and takes its time."""
    wrapper = tmp_path / "c++"
    wrapper.write_text(
        '#!/bin/sh\nfor word; do case $word in *part?.cpp) basename $word >> "$0.log"; sleep 1;; esac; done\n'
        'exec /usr/bin/c++ "$@"\n'
    )
    wrapper.chmod(0o755)
    return wrapper


@pytest.mark.torch
def test_a_killed_build_goes_on(tmp_path: Path) -> None:
    """SIGKILL in the middle: the second run compiles only what was not whole."""
    content, compiler = sdist(), slow_compiler(tmp_path)
    name = "onedl_mmcv-9.9.tar.gz"
    page = Page(f'<a href="../../files/{name}#sha256={hashlib.sha256(content).hexdigest()}">{name}</a>'.encode())
    words = (sys.executable, "-m", "zoo_cli", "build", "onedl-mmcv==9.9", "--stock", "--jobs", "1")
    argv = (*words, "--python", torch_python(), "-o", str(tmp_path / "out"))
    with Server({"/simple/onedl-mmcv/": page, f"/files/{name}": content}) as server:
        env = environ(
            tmp_path,
            CXX=str(compiler),
            PIP_INDEX_URL=server.url("/simple"),
            PIP_EXTRA_INDEX_URL="https://pypi.org/simple",
        )
        first = subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        assert first.stderr is not None
        for line in first.stderr:
            if "compiled 3 of" in line:
                break
        first.send_signal(signal.SIGKILL)
        first.wait()
        first.stderr.close()
        second = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert second.returncode == 0, second.stderr
    assert "going on with a build that was cut off" in second.stderr
    assert "compiled 1 of 7" not in second.stderr  # six files and the link of a whole build
    compiled = (tmp_path / "c++.log").read_text().split()
    assert set(compiled) == {f"part{number}.cpp" for number in range(6)}
    assert len(compiled) <= 8  # the one or two that the kill fell into, twice
    assert list((tmp_path / "cache" / "building").glob("[!.]*")) == []


@pytest.mark.parametrize(
    ("requirement", "module", "lacks"),
    [("chumpy==0.70", "chumpy/ch.py", "pip"), ("xtcocotools==1.14.3", "xtcocotools/_mask", "numpy")],
)
def test_recipes_build_what_isolation_does_not(requirement: str, module: str, lacks: str, tmp_path: Path) -> None:
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")), check=True)
    python = str(tmp_path / "env" / "bin" / "python")
    argv = (sys.executable, "-m", "zoo_cli", "build", requirement, "--python", python, "-o", str(tmp_path), "--json")
    done = subprocess.run(argv, env=environ(tmp_path), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(json.loads(done.stdout)["path"]) as wheel:
        assert any(name.startswith(module) for name in wheel.namelist())
    isolated = (sys.executable, "-m", "uv", "pip", "install", "--python", python, "--no-config", "--no-deps")
    plain = (*isolated, "--no-binary", ":all:", requirement)  # the reason for its recipe
    failed = subprocess.run(plain, capture_output=True, text=True, check=False, timeout=300)
    assert failed.returncode != 0
    assert f"No module named '{lacks}'" in failed.stderr
    wheel_path = json.loads(done.stdout)["path"]
    subprocess.run((*isolated, "--no-index", wheel_path), check=True, capture_output=True)
    listed = subprocess.run((*isolated[:4], "freeze", "--python", python), capture_output=True, text=True, check=True)
    assert requirement.partition("=")[0] in listed.stdout


RESEARCH = {
    "pyproject.toml": '[project]\nname = "research"\nversion = "1.0"\ndependencies = ["mmdet>=3", "mmengine"]\n',
    "research.py": "VALUE = 1\n",
}


def recorded(python: str) -> dict[str, Any] | None:
    """What the environment says of where `research` came from (PEP 610), whose row in RECORD must be right."""
    (metadata,) = Path(python).parent.parent.glob("lib/python*/site-packages/research-1.0.dist-info")
    rows = [row for row in csv.reader((metadata / "RECORD").read_text().splitlines()) if "direct_url" in row[0]]
    if not (place := metadata / "direct_url.json").exists():
        assert rows == []
        return None
    digest = base64.urlsafe_b64encode(hashlib.sha256(place.read_bytes()).digest()).decode().rstrip("=")
    assert rows == [[f"{metadata.name}/direct_url.json", f"sha256={digest}", str(place.stat().st_size)]]
    document: dict[str, Any] = json.loads(place.read_text())
    return document


def by_uv_and_pip(folder: Path, *words: str) -> list[dict[str, Any] | None]:
    """What uv and pip record for the same words."""
    told = []
    for kind in ("uv", "pip"):
        python = str(folder / kind / "bin" / "python")
        subprocess.run((sys.executable, "-m", "venv", "--clear", str(folder / kind)), check=True)
        installer = ("uv", "pip", "install", "--python", python) if kind == "uv" else ("pip", "install")
        argv = (sys.executable if kind == "uv" else python, "-m", *installer, "--no-deps", *words)
        subprocess.run(argv, check=True, capture_output=True, timeout=300)
        told.append(recorded(python))
    return told


def archived(project: Path, folder: Path) -> Path:
    with tarfile.open(folder / "research-1.0.tar.gz", "w:gz") as archive:
        for name in RESEARCH:
            archive.add(project / name, f"research-1.0/{name}")
    return folder / "research-1.0.tar.gz"


def value(python: str) -> str:
    argv = (python, "-c", "import research; print(research.VALUE, research.__file__)")
    return subprocess.run(argv, check=True, capture_output=True, text=True, cwd="/").stdout.strip()


@pytest.mark.torch
def test_sources_arrive_as_they_were_given(tmp_path: Path) -> None:
    """A folder, editable; a commit of its repository; an sdist: installed, used, and undone."""
    python = twin_of(mmcv_python(), tmp_path / "env")
    project = tmp_path / "project"
    project.mkdir()
    for name, text in RESEARCH.items():
        (project / name).write_text(text)

    def zoo(*words: str) -> dict[str, Any]:
        asks = ("--yes",) if words[0] in ("install", "undo") else ()
        argv = (sys.executable, "-m", "zoo_cli", *words, "--python", python, *asks, "--json")
        done = subprocess.run(argv, env=environ(tmp_path), capture_output=True, text=True, check=False, timeout=500)
        assert done.returncode == 0, done.stdout + done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    zoo("install", "-e", str(project), "--allow-code")
    assert value(python) == f"1 {project / 'research.py'}"
    assert [recorded(python)] * 2 == by_uv_and_pip(tmp_path, "-e", str(project))
    (project / "research.py").write_text("VALUE = 2\n")
    assert value(python).startswith("2 ")  # a change counts at once
    for words in (("init", "--quiet"), ("add", "research.py", "pyproject.toml"), ("commit", "--quiet", "-m", "x")):
        git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main", *words)
        subprocess.run(git, check=True, cwd=project, capture_output=True)
    (project / "research.py").write_text("VALUE = 3\n")
    address = f"git+{project.as_uri()}@main"
    zoo("install", address, "--allow-code")
    assert value(python).startswith("2 ")  # what was committed, and of the same version as what was there
    assert str(project) not in value(python)
    assert [recorded(python)] * 2 == by_uv_and_pip(tmp_path, address)
    commit = subprocess.run(("git", "rev-parse", "HEAD"), cwd=project, capture_output=True, text=True).stdout.strip()
    told = f"git {project} at {commit[:12]} (main)"
    findings = [each for each in zoo("check-env")["findings"] if each["subject"] == "research"]
    assert [each["text"] for each in findings] == [f"1.0; {told}"]
    assert {**findings[0]["values"], "commit_id": commit, "vcs": "git"} == findings[0]["values"]
    last = zoo("history")["changes"][0]["changes"]
    assert [(each["name"], each["before"], each["after"]) for each in last] == [("research", "1.0", "1.0")]
    assert last[0]["direct_url"]["requested_revision"] == "main"
    seen = subprocess.run((sys.executable, "-m", "zoo_cli", "inspect", python), capture_output=True, text=True).stdout
    assert told in seen
    archive = archived(project, tmp_path)
    zoo("install", str(archive), "--allow-code")
    assert value(python).startswith("3 ")
    ours = recorded(python)
    assert ours and ours["archive_info"]["hashes"] == {"sha256": hashlib.sha256(archive.read_bytes()).hexdigest()}
    assert ours == by_uv_and_pip(tmp_path, str(archive))[1]  # uv records no digest of a file of this computer
    zoo("install", str(project), "--allow-code")
    assert value(python).startswith("3 ")
    assert recorded(python) == by_uv_and_pip(tmp_path, str(project))[1]  # uv says `editable: false`, too
    zoo("undo")
    assert recorded(python) == ours


@pytest.mark.torch
@pytest.mark.ordeal
def test_both_builds_compute_the_same(tmp_path: Path) -> None:
    """mmcv in few runs and as its sdist stands: ten ops give the same bits. The stock build takes 5 to 20 minutes."""
    words = (sys.executable, "-m", "zoo_cli", "build", "mmcv==2.1.0", "--stock", "--python", torch_python())
    env = {**os.environ, "ZOO_CACHE": str(CACHE / "zoo"), "ZOO_STATE": str(tmp_path / "state")}
    out = tmp_path / "stock"
    done = subprocess.run((*words, "-o", str(out)), env=env, capture_output=True, text=True, check=False, timeout=5400)
    assert done.returncode == 0, done.stderr[-3000:]
    script = Path(__file__).parent.parent / "support" / "ops_outputs.py"
    told = []
    for name, wheel in (("fast", mmcv_wheel()), ("stock", Path(done.stdout.strip()))):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(tmp_path / name)
        place = tmp_path / f"{name}.json"
        run = (mmcv_python(), str(script), str(place))
        subprocess.run(run, env={**os.environ, "PYTHONPATH": str(tmp_path / name)}, check=True, timeout=300)
        told.append(json.loads(place.read_text()))
    assert len(told[0]) == 10
    assert told[0] == told[1]
