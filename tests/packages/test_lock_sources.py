"""Locks with sources (PEP 751): a repository, a directory, an archive, an sdist; built with consent.

The project has a build backend of its own, which needs nothing from elsewhere and leaves a mark when it runs.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.pylock import Pylock

from tests.packages.test_binding import World, make_targets, stack_of
from tests.packages.test_wheelless import BACKEND, Archives
from tests.support.cli import Ran, zoo
from tests.support.torch_env import pip_install
from zoo_cli.packages.executor import find_uv
from zoo_cli.packages.locking import read_lock

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EDITABLE = """
def build_editable(folder, settings=None, metadata=None):
    return build_wheel(folder)
def get_requires_for_build_editable(settings=None):
    return []
"""


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_targets(tmp_path_factory.mktemp("targets"))


@pytest.fixture
def world(tmp_path: Path, targets: dict[str, Path]) -> Iterator[World]:
    (tmp_path / "evil").mkdir()  # a find-links place that has nothing
    with stack_of("uv", tmp_path, targets) as world:
        yield world


def project(world: World, name: str = "research", version: str = "1.0") -> Path:
    """A repository whose project says plainly what it is and needs."""
    place = world.home / name
    place.mkdir(exist_ok=True)
    mark = str(world.home / f"ran-{name}")
    about = f'[project]\nname = "{name}"\nversion = "{version}"\ndependencies = ["mmengine"]\n'
    (place / "pyproject.toml").write_text(
        f'{about}[build-system]\nrequires = []\nbuild-backend = "own"\nbackend-path = ["."]\n'
    )
    (place / "own.py").write_text(BACKEND.format(mark=mark, name=name, version=version) + EDITABLE)
    git(place, "init", "--quiet")
    git(place, "add", ".")
    git(place, "commit", "--quiet", "-m", "as it is")
    return place


def git(place: Path, *words: str) -> str:
    settings = ("user.name=a", "user.email=a@example.org", "init.defaultBranch=main")
    argv = ["git", "-C", str(place), *(word for setting in settings for word in ("-c", setting)), *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def archive(place: Path, out: Path) -> Path:
    with tarfile.open(out, "w:gz") as tar:
        for each in ("pyproject.toml", "own.py"):
            tar.add(place / each, f"research-1.0/{each}")
    return out


def locked(world: World, *words: str | Path) -> dict[str, Any]:
    """The table of `research` in the lock of the stack with these words; nothing of it ran."""
    ran = world.run("lock", *words, "--python", world.python, "-o", world.home / "pylock.toml")
    assert ran.code == 0, ran.err
    document = tomllib.loads((world.home / "pylock.toml").read_text())
    Pylock.from_dict(document).validate()
    assert not (world.home / "ran-research").exists()
    found: list[dict[str, Any]] = [each for each in document["packages"] if each["name"] == "research"]
    (table,) = found
    return table


def sync(world: World, *words: str) -> Ran:
    return zoo(world.home, "sync", "pylock.toml", "--python", world.python, "--yes", *words, ZOO_INSTALLER="uv")


def recorded(python: Path, name: str = "research") -> dict[str, Any] | None:
    (metadata,) = python.parent.parent.glob(f"lib/python*/site-packages/{name}-*.dist-info")
    place = metadata / "direct_url.json"
    document: dict[str, Any] | None = json.loads(place.read_text()) if place.exists() else None
    return document


def test_a_repository_is_locked_to_its_commit_and_built_with_consent(world: World) -> None:
    place = project(world)
    commit = git(place, "rev-parse", "HEAD")
    table = locked(world, f"git+{place.as_uri()}@main")
    asked = {"type": "git", "url": place.as_uri(), "requested-revision": "main", "commit-id": commit}
    assert (table["vcs"], table["tool"]["zoo"], "version" in table) == (asked, {"version": "1.0"}, False)
    git(place, "commit", "--quiet", "--allow-empty", "-m", "later")  # the lock has the former commit

    refused = sync(world)
    assert (refused.code, "error[runs-code]" in refused.err, "--allow-code" in refused.err) == (2, True, True)
    assert f"research 1.0 (git {place} at {commit[:12]} (main))" in refused.err
    assert not (world.home / "ran-research").exists()
    done = sync(world, "--allow-code")
    assert done.code == 0, done.err
    assert set(world.installed()) == {"mmengine", "research", "torch"}
    vcs = {"vcs": "git", "commit_id": commit, "requested_revision": "main"}
    assert recorded(world.python) == {"url": place.as_uri(), "vcs_info": vcs}
    assert "equals the lock already" in sync(world).err

    later = locked_again(world, f"git+{place.as_uri()}")
    assert later["vcs"]["commit-id"] != commit
    assert "requested-revision" not in later["vcs"]
    shown = sync(world, "--dry-run")
    assert f"research 1.0 -> 1.0, git {place} at {later['vcs']['commit-id'][:12]}" in shown.err


def locked_again(world: World, *words: str | Path) -> dict[str, Any]:
    (world.home / "ran-research").unlink()
    return locked(world, *words)


def test_a_commit_that_is_gone_and_a_project_that_is_another_are_refused(world: World) -> None:
    place = project(world)
    locked(world, f"git+{place.as_uri()}")
    lock = world.home / "pylock.toml"
    text = lock.read_text()
    lock.write_text(text.replace(git(place, "rev-parse", "HEAD"), "0" * 40))
    gone = sync(world, "--allow-code")
    assert (gone.code, "error[step-failed]: could not fetch research from the repository" in gone.err) == (1, True)
    moved = place.rename(place.with_name("elsewhere"))
    unreachable = sync(world, "--allow-code")
    assert f"could not fetch research from the repository {place.as_uri()}\n" in unreachable.err
    moved.rename(place)
    lock.write_text(text.replace('[packages.tool.zoo]\nversion = "1.0"', '[packages.tool.zoo]\nversion = "1.1"'))
    other = sync(world, "--allow-code")
    assert (other.code, "error[locked-source-differs]" in other.err) == (6, True), other.err
    assert "locked: research 1.1" in other.err
    assert (world.installed(), (world.home / "ran-research").exists()) == ({}, False)


def test_offline_nobody_is_asked_by_a_lock_or_for_build_tools(world: World) -> None:
    place = project(world)
    about = place / "pyproject.toml"
    about.write_text(about.read_text().replace("requires = []", 'requires = ["setuptools"]'))
    git(place, "commit", "--quiet", "-am", "needs tools")
    word = f"git+{place.as_uri()}"
    table = locked(world, word)
    asked = len(world.server.requests)
    again = world.home / "pylock.again.toml"
    here = [each for name in ("mmengine", "setuptools") for each in ("-f", str(world.home / f"made-bound-{name}"))]
    ran = world.run("lock", word, *here, "--python", world.python, "--offline", "-o", again)
    assert ran.code == 0, ran.err
    assert table in tomllib.loads(again.read_text())["packages"]
    without = world.install(word, *here[:2], "--allow-code", "--offline")
    assert (without.code, "error[step-failed]" in without.err) == (1, True), without.err
    built = world.install(word, *here, "--allow-code", "--offline")
    assert built.code == 0, built.err
    assert len(world.server.requests) == asked


def test_a_directory_stays_beside_its_lock(world: World) -> None:
    place = project(world)
    table = locked(world, "-e", place)
    assert table["directory"] == {"path": "research", "editable": True}
    package = read_lock(world.home / "pylock.toml").package("research")
    assert package and package.built_from and package.built_from.place == str(place)
    done = sync(world, "--allow-code")
    assert done.code == 0, done.err
    assert recorded(world.python) == {"url": place.as_uri(), "dir_info": {"editable": True}}
    assert "equals the lock already" in sync(world).err
    uv_reads(world, {"url": place.as_uri(), "dir_info": {"editable": True}})


@pytest.mark.parametrize("remote", [False, True])
def test_an_archive_is_locked_by_its_digest(world: World, *, remote: bool) -> None:
    path = archive(project(world), world.home / "research-1.0.tar.gz")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    url = world.server.url("/research-1.0.tar.gz")
    world.server.files["/research-1.0.tar.gz"] = path.read_bytes()
    table = locked(world, f"{url}#sha256={digest}" if remote else path)
    place = {"url": url} if remote else {"path": "research-1.0.tar.gz"}
    assert table["archive"] == {**place, "hashes": {"sha256": digest}}
    done = sync(world, "--allow-code")
    assert done.code == 0, done.err
    info = {"hash": f"sha256={digest}", "hashes": {"sha256": digest}}
    assert recorded(world.python) == {"url": url if remote else path.as_uri(), "archive_info": info}
    assert "equals the lock already" in sync(world).err

    assert zoo(world.home, "uninstall", "research", "--python", world.python, "--yes").code == 0
    (world.home / "ran-research").unlink()
    lock = world.home / "pylock.toml"
    lock.write_text(lock.read_text().replace(digest, "1" * 64))
    spoiled = sync(world, "--allow-code")
    assert (spoiled.code, "error[hash-mismatch]" in spoiled.err) == (6, True), spoiled.err
    assert not (world.home / "ran-research").exists()


def test_an_archive_over_http_needs_its_digest(world: World) -> None:
    ran = world.run("lock", world.server.url("/research-1.0.tar.gz"), "--python", world.python)
    assert (ran.code, "it needs its digest" in ran.err) == (2, True), ran.err


def test_what_is_named_to_be_built_is_locked_as_its_sdist(world: World) -> None:
    """Its files do not say what it needs, so it is built to lock it: the user named it."""
    archives = Archives(world)
    archives.publish("old")
    world.engine("old")
    ran = world.run("lock", "--build", "old==1.0", "--python", world.python, "-o", world.home / "pylock.toml")
    assert ran.code == 0, ran.err
    package = read_lock(world.home / "pylock.toml").package("old")
    content = world.server.files["/simple/old/old-1.0.tar.gz"]
    assert isinstance(content, bytes)
    assert package and package.sdist and package.wheels == ()
    assert package.sdist.sha256 == hashlib.sha256(content).hexdigest()
    assert "built where it is installed: old" in ran.err
    refused = sync(world)
    assert (refused.code, "old 1.0 (its sdist)" in refused.err) == (2, True), refused.err
    done = sync(world, "--allow-code")
    assert done.code == 0, done.err
    assert set(world.installed()) == {"mmengine", "old", "torch"}
    assert recorded(world.python, "old") is None
    told = zoo(world.home, "export", "--format", "dockerfile", "pylock.toml")
    assert (told.code, "error[lock-has-sources]" in told.err) == (2, True), told.err


def test_other_tools_forms_have_no_place_for_sources(world: World) -> None:
    place = project(world)
    locked(world, f"git+{place.as_uri()}")
    for form in ("requirements", "conda", "script", "colab", "dockerfile"):
        told = zoo(world.home, "export", "--format", form, "pylock.toml")
        assert (told.code, "error[lock-has-sources]" in told.err) == (2, True), told.err


def test_uv_builds_the_same_commit(world: World) -> None:
    place = project(world)
    locked(world, f"git+{place.as_uri()}@main")
    vcs = {"vcs": "git", "commit_id": git(place, "rev-parse", "HEAD"), "requested_revision": "main"}
    uv_reads(world, {"url": place.as_uri(), "vcs_info": vcs})


def uv_reads(world: World, expected: dict[str, Any]) -> None:
    """The same lock by uv, which cannot know of the mirror of torch."""
    lock = world.home / "pylock.there.toml"
    lock.write_text(
        (world.home / "pylock.toml").read_text().replace("https://download.pytorch.org/", world.server.url("/"))
    )
    place = world.home / "by-uv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    python = place / "bin/python"
    argv = [str(find_uv()), "pip", "install", "--no-config", "--python", str(python), "-r", str(lock)]
    subprocess.run(argv, check=True, capture_output=True, timeout=120)
    found = recorded(python)
    assert found is not None
    found.get("vcs_info", {}).setdefault("requested_revision", "main")  # uv leaves it out
    assert found == expected


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("kind", ["git", "editable", "archive", "sdist"])
def test_pip_reads_the_same_lock(world: World, kind: str) -> None:
    """pip 26, which knows locks: it takes archives, and refuses what has no digest beside wheels that have one."""
    place = project(world)
    words: dict[str, tuple[str | Path, ...]] = {
        "git": (f"git+{place.as_uri()}@main",),
        "editable": ("-e", place),
        "archive": (archive(place, world.home / "research-1.0.tar.gz"),),
    }
    if kind == "sdist":
        Archives(world).publish("old")
        world.engine("old")
        ran = world.run("lock", "--build", "old==1.0", "--python", world.python, "-o", world.home / "pylock.toml")
        assert ran.code == 0, ran.err
    else:
        locked(world, *words[kind])
    lock = world.home / "pylock.toml"
    lock.write_text(lock.read_text().replace("https://download.pytorch.org/", world.server.url("/")))
    subprocess.run([sys.executable, "-m", "venv", world.home / "by-pip"], check=True)
    python = world.home / "by-pip/bin/python"
    pip_install(python, "--upgrade", "pip>=26")
    done = subprocess.run(
        [python, "-m", "pip", "install", "--no-build-isolation", "-r", lock],
        capture_output=True,
        text=True,
        timeout=120,
    )
    if refusal := {"git": "way to hash version control", "editable": "no single file to hash"}.get(kind):
        assert (done.returncode, refusal in done.stderr) == (1, True)
        return
    assert done.returncode == 0, done.stderr
    assert recorded(python, "old" if kind == "sdist" else "research") == recorded_by_zoo(world, kind)


def recorded_by_zoo(world: World, kind: str) -> dict[str, Any] | None:
    done = sync(world, "--allow-code")
    assert done.code == 0, done.err
    return recorded(world.python, "old" if kind == "sdist" else "research")
