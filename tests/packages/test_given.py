"""Given sources: what they are without running them, git and its limits, the plan with them, and asking first."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from zoo_cli.packages.executor import StepFailed
from zoo_cli.packages.given import read_given
from zoo_cli.packages.sources import BadSource, find_source, is_place, put_source
from zoo_cli.transfer.failures import OfflineRefused

PLAIN = {
    "setup.py": "from setuptools import setup\nopen('ran', 'w')\nsetup(name='mmdet', version=get_version())\n",
    "mmdet/version.py": "__version__ = '3.3.0'\nshort_version = __version__\n",
    "mmdet/__init__.py": "",
}


def folder(place: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    return place


def git(place: Path, *words: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
    return subprocess.run(("git", "-C", str(place), *who, *words), check=True, capture_output=True, text=True).stdout


def repository(place: Path, files: Mapping[str, str]) -> Path:
    folder(place, files)
    git(place, "init", "--quiet")
    git(place, "add", "-A")
    git(place, "commit", "--quiet", "-m", "first")
    return place


def archive(path: Path, files: Mapping[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"top/{name}")
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return path


DYNAMIC = """
[project]
name = "x"
dynamic = ["version"]
dependencies = ["mmdet>=3"]
"""
SETUP_CFG = """
[metadata]
name = y
version = 4
[options]
install_requires =
  mmcv
"""


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (PLAIN, ("mmdet", "3.3.0", None)),
        ({"pyproject.toml": '[project]\nname="A.b"\nversion="1.0.0rc1"'}, ("a-b", "1.0.0rc1", ())),
        ({"pyproject.toml": DYNAMIC, "x/__init__.py": "__version__ = '2'"}, ("x", "2", ("mmdet>=3",))),
        ({"setup.cfg": SETUP_CFG, "setup.py": ""}, ("y", "4", ("mmcv",))),
        (
            {"setup.py": "setup(name='p', version='1', install_requires=['mmdet>=3', 'six'])"},
            ("p", "1", ("mmdet>=3", "six")),
        ),
        (
            {
                "setup.py": "setup(name='p', version='1', install_requires=parse_requirements('requirements/run.txt'))",
                "requirements/run.txt": "# needs\nmmdet>=3  # or newer\n-r more.txt\n\nsix\n",
            },
            ("p", "1", ("mmdet>=3", "six")),
        ),
        ({"setup.py": "setup(name='p', version='1', install_requires=parse_requirements('../x'))"}, ("p", "1", None)),
        ({"setup.py": "setup(name='p', version='1', install_requires=['mmdet', *more])"}, ("p", "1", None)),
        ({"setup.py": "", "PKG-INFO": "Name: z\nVersion: 5\nRequires-Dist: torch>=2\n"}, ("z", "5", ("torch>=2",))),
    ],
)
def test_a_source_says_what_it_is(
    files: Mapping[str, str], told: tuple[str, str, tuple[str, ...] | None], tmp_path: Path
) -> None:
    places = (str(folder(tmp_path / "folder", files)), str(archive(tmp_path / "x-1.tar.gz", files)))
    for place in places:
        given = read_given(find_source(place, tmp_path / "git"), tmp_path / "git")
        assert (given.project, given.version, given.requires) == told
    assert not (tmp_path / "folder" / "ran").exists()


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"setup.py": "setup(name=NAME, version='1')"}, "its name"),
        ({"setup.py": "setup(name='x', version=find())"}, "its version"),
        ({"setup.py": "setup(name='x', version='not one')"}, "is no version"),
        ({"setup.py": "setup(name='../x', version='1')"}, "its name"),
        ({"setup.py": "(" * 5000}, "its name"),
        ({"setup.py": "#" * 1_000_001}, "its name"),
        ({"pyproject.toml": "[project"}, "its name"),
    ],
)
def test_what_is_not_said_plainly_is_not_guessed(files: Mapping[str, str], reason: str, tmp_path: Path) -> None:
    with pytest.raises(BadSource, match=reason):
        read_given(find_source(str(folder(tmp_path / "x", files)), tmp_path), tmp_path)


@pytest.mark.parametrize(
    "word",
    [
        "git+ext::sh -c touch%20ran", "git+http://localhost/x", "git+file:///x@-u", "git+file:///x@a..b", "git+ssh://-oProxyCommand=x/y",
        "git+https://user:secret@localhost/x", "git+file:///x@a b", "./nowhere", "/etc/passwd", "nowhere.tar.gz",
    ],
)  # fmt: skip
def test_words_that_mean_no_source(word: str, tmp_path: Path) -> None:
    assert is_place(word)
    with pytest.raises(BadSource):
        find_source(word, tmp_path)
    with pytest.raises(BadSource):
        find_source(word, tmp_path, is_editable=True)


@pytest.mark.parametrize("word", ["mmdet", "mmdet>=3", "mmdet[tracking]", "mmcv==2.1.0"])
def test_words_that_mean_projects(word: str) -> None:
    assert not is_place(word)


def test_a_branch_becomes_its_commit(tmp_path: Path) -> None:
    place = repository(tmp_path / "repo", PLAIN)
    first = git(place, "rev-parse", "HEAD").strip()
    git(place, "tag", "v1")
    folder(place, {"mmdet/version.py": "__version__ = '3.4.0.dev1'\n"})
    git(place, "commit", "--quiet", "-am", "second")
    second = git(place, "rev-parse", "HEAD").strip()
    address = f"git+{place.as_uri()}"
    for reference, commit, version in (
        ("@v1", first, "3.3.0"),
        ("", second, "3.4.0.dev1"),
        (f"@{first}", first, "3.3.0"),
    ):
        source = find_source(address + reference, tmp_path / "git")
        assert (source.digest, source.shown) == (commit, f"{address}@{commit}")
        assert read_given(source, tmp_path / "git").version == version
    with pytest.raises(StepFailed, match="nowhere"):
        find_source(f"{address}@nowhere", tmp_path / "git")
    place.rename(tmp_path / "gone")
    assert find_source(f"{address}@{first}", tmp_path / "git").digest == first  # it is kept, so nobody is asked
    (shallow,) = (tmp_path / "git").iterdir()
    shutil.rmtree(shallow / "objects")  # but only when all of it is
    (shallow / "objects").mkdir()
    with pytest.raises(StepFailed, match="fetch the source from the repository"):
        find_source(f"{address}@{first}", tmp_path / "git")


def test_without_network_no_repository_elsewhere_is_asked(tmp_path: Path) -> None:
    place = repository(tmp_path / "repo", PLAIN)
    with pytest.raises(OfflineRefused):
        find_source("git+https://127.0.0.1:9/x@main", tmp_path / "git", offline=True)
    assert find_source(f"git+{place.as_uri()}", tmp_path / "git", offline=True).kind == "git"


def test_nothing_of_a_repository_runs(tmp_path: Path) -> None:
    """No hook, no submodule, no file system monitor; links stay links and lead nowhere that is read."""
    inner = repository(tmp_path / "inner", {"secret": "1"})
    place = repository(tmp_path / "repo", PLAIN)
    subprocess.run(
        ("git", "-C", str(place), "-c", "protocol.file.allow=always", "submodule", "add", "--quiet", str(inner), "sub"),
        check=True, capture_output=True,
    )  # fmt: skip
    git(place, "commit", "--quiet", "-m", "submodule")
    for hook in ("post-checkout", "pre-commit", "post-merge"):
        (place / ".git" / "hooks" / hook).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        (place / ".git" / "hooks" / hook).chmod(0o755)
    source = find_source(f"git+{place.as_uri()}", tmp_path / "git")
    copy = put_source(source, tmp_path / "out", tmp_path / "git")
    assert (copy / "mmdet" / "version.py").is_file()
    assert list((copy / "sub").iterdir()) == []
    assert not (tmp_path / "ran").exists()


def test_a_folder_is_known_by_its_files(tmp_path: Path) -> None:
    place = folder(tmp_path / "x", PLAIN)
    before = find_source(str(place), tmp_path).digest
    folder(place, {"build/lib/x.py": "1", "mmdet/__pycache__/x.pyc": "1", "mmdet.egg-info/PKG-INFO": "1"})
    assert find_source(str(place), tmp_path).digest == before
    folder(place, {"mmdet/__init__.py": "1"})
    assert find_source(str(place), tmp_path).digest != before


# -- the command -------------------------------------------------------------------------------------------------


def zoo(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "ZOO_CACHE": str(tmp_path / "cache"), "ZOO_STATE": str(tmp_path / "state")}
    argv = (sys.executable, "-m", "zoo_cli", "install", *words)
    return subprocess.run(argv, capture_output=True, text=True, check=False, env=environ, cwd=tmp_path, timeout=120)


def pins(tmp_path: Path, *words: str) -> dict[str, dict[str, str]]:
    done = zoo(tmp_path, *words, "--machine", "python=3.10,gpu=none", "--dry-run", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return {pin["name"]: pin for pin in json.loads(done.stdout)["plan"]}


def test_sources_take_part_in_the_plan(tmp_path: Path) -> None:
    """mmdet 2.28.2 needs mmcv-full 1.x: the source decides the rest of the stack, as a release would."""
    folder(tmp_path / "old", {**PLAIN, "mmdet/version.py": "__version__ = '2.28.2'\n"})
    planned = pins(tmp_path, "./old")
    assert (planned["mmdet"]["kind"], planned["mmdet"]["version"]) == ("build", "2.28.2")
    assert planned["mmdet"]["source"] == str(tmp_path / "old")
    assert planned["mmcv-full"]["version"].startswith("1.")
    folder(tmp_path / "new", {**PLAIN, "mmdet/version.py": "__version__ = '3.3.1.dev0'\n"})
    newer = pins(tmp_path, "-e", "./new")
    assert newer["mmdet"]["version"] == "3.3.1.dev0"
    assert newer["mmcv"]["version"] < "2.2.0"
    own = folder(
        tmp_path / "own", {"pyproject.toml": '[project]\nname="research"\nversion="1"\ndependencies=["mmdet>=3,<3.1"]'}
    )
    mine = pins(tmp_path, str(own))
    assert mine["research"]["kind"] == "build"
    assert mine["mmdet"]["version"].startswith("3.0")


def test_a_source_that_needs_nothing_of_the_index(tmp_path: Path) -> None:
    folder(tmp_path / "own", {"pyproject.toml": '[project]\nname="research"\nversion="1"'})
    done = zoo(tmp_path, "./own", "--machine", "python=3.10,gpu=none", "--dry-run")
    assert done.returncode == 2
    assert "error[bad-source]" in done.stderr
    assert "Name beside it what it needs:  zoo install mmdet -e ./folder" in done.stderr
    beside = pins(tmp_path, str(tmp_path / "own"), "mmengine")
    assert (beside["research"]["kind"], beside["mmengine"]["reason"]) == ("build", "asked")


def test_code_runs_only_when_it_was_allowed(tmp_path: Path) -> None:
    place = repository(
        tmp_path / "repo", {**PLAIN, "setup.py": f"open({str(tmp_path / 'ran')!r}, 'w')\n" + PLAIN["setup.py"]}
    )
    commit = git(place, "rev-parse", "HEAD").strip()
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")), check=True)
    site = next((tmp_path / "env").glob("lib/python*/site-packages"))
    for name, version in (("torch", "2.1.2+cpu"), ("mmcv", "2.1.0"), ("mmengine", "0.10.7")):
        folder(site, {f"{name}/version.py": f"__version__ = {version!r}\ncuda = None\n", f"{name}/__init__.py": ""})
        folder(
            site, {f"{name}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"}
        )
    done = zoo(
        tmp_path,
        f"git+{place.as_uri()}",
        "--python",
        str(tmp_path / "env/bin/python"),
        "--yes",
        "--replace",
        "mmcv,torch",
    )
    assert done.returncode == 2, done.stderr
    assert "error[runs-code]" in done.stderr
    assert f"@{commit}, whose code runs" in done.stderr
    assert "--allow-code" in done.stderr
    assert not (tmp_path / "ran").exists()
