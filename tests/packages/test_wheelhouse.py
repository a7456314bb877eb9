"""An environment in a bundle: installed from its own wheels alone, and refused when it is not what it says."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import zoo
from tests.support.wheels import write_wheel
from zoo_cli.packages.lockfile import Lock, LockedFile, LockedPackage, to_document
from zoo_cli.packages.wheelhouse import SECTION, NoEnvironment, lock_of
from zoo_cli.trust.bundle import BadBundle, Bundle, write_bundle

PYTHON = f"=={sys.version_info.major}.{sys.version_info.minor}.*"


def document_of(*wheels: Path, requires_python: str = PYTHON) -> dict[str, Any]:
    packages = []
    for path in wheels:
        project, version = path.name.split("-")[:2]
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        packages.append(LockedPackage(project, version, (LockedFile(path.name, f"bundle:{path.name}", digest),)))
    return to_document(Lock(requires_python, "python_version >= '3'", tuple(packages)), "zoo")


def bundled(folder: Path, document: object, *wheels: Path) -> Path:
    files = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in wheels}
    return write_bundle(folder / "b.tar", {SECTION: document}, files, replace=True).path


@pytest.mark.slow
def test_the_wheels_of_a_bundle_are_installed_and_nothing_else_is_asked(tmp_path: Path) -> None:
    tiny = write_wheel(tmp_path / "w", "tiny", "1.0", requires=["needed"])
    needed = write_wheel(tmp_path / "w", "needed", "2.0", files={"needed.py": "value = 7\n"})
    bundled(tmp_path, document_of(tiny, needed), tiny, needed)
    words = ("install", "--from-bundle", "b.tar", "--env", "env")
    nowhere = "http://127.0.0.1:9/"
    ran = zoo(tmp_path, *words, "--offline", PIP_INDEX_URL=nowhere, UV_DEFAULT_INDEX=nowhere)
    assert ran.code == 0, ran.err
    code = "import tiny, needed; print(tiny.value + needed.value)"
    done = subprocess.run([tmp_path / "env/bin/python", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "8\n"
    again = zoo(tmp_path, *words, "--json")
    assert again.document == {"ok": True, "command": "install", "changed": False, "dry_run": False, "changes": []}
    undone = zoo(tmp_path, "undo", "--env", "env", "--yes")
    assert undone.code == 0, undone.err
    assert not list((tmp_path / "env").glob("lib/python3*/site-packages/tiny.py"))


@pytest.mark.slow
def test_an_unsound_wheel_changes_nothing(tmp_path: Path) -> None:
    """Its RECORD promises other bytes: refused before the installer sees it."""
    sound = write_wheel(tmp_path / "w", "needed", "2.0")
    evil = write_wheel(tmp_path / "w", "tiny", "1.0", record="tiny.py,sha256=AAAA,10\n")
    bundled(tmp_path, document_of(sound, evil), sound, evil)
    ran = zoo(tmp_path, "install", "--from-bundle", "b.tar", "--env", "env")
    assert ran.code == 6
    assert "error[unsound-wheel]" in ran.err
    assert not list((tmp_path / "env").glob("lib/python3*/site-packages/needed.py"))


def test_a_bundle_for_another_python_or_without_environment_makes_nothing(tmp_path: Path) -> None:
    tiny = write_wheel(tmp_path / "w", "tiny", "1.0")
    bundled(tmp_path, document_of(tiny, requires_python="==3.6.*"), tiny)
    ran = zoo(tmp_path, "install", "--from-bundle", "b.tar", "--env", "env")
    assert (ran.code, "lock-does-not-fit" in ran.err) == (3, True)
    write_bundle(tmp_path / "b.tar", {"models": []}, {}, replace=True)
    ran = zoo(tmp_path, "install", "--from-bundle", "b.tar", "--env", "env")
    assert (ran.code, "zoo download --from-bundle b.tar" in ran.err) == (2, True)
    ran = zoo(tmp_path, "install", "mmdet", "--from-bundle", "b.tar")
    assert (ran.code, "leave PACKAGE" in ran.err) == (2, True)
    assert not (tmp_path / "env").exists()


def _wheel(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["packages"][0]["wheels"][0].update(fields)


@pytest.mark.parametrize(
    "change",
    [
        _wheel(name="../../evil-1.0-py3-none-any.whl"),
        _wheel(name="/tmp/tiny-1.0-py3-none-any.whl"),
        _wheel(name="other-1.0-py3-none-any.whl"),
        _wheel(name="tiny-1.0.tar.gz"),
        _wheel(hashes={"sha256": "0" * 64}),
        _wheel(hashes={}),
        lambda document: document["packages"][0].update(vcs={"type": "git", "url": "https://host/x"}),
        lambda document: document.update(packages="all"),
        lambda document: document.pop("lock-version"),
    ],
)
def test_a_lock_in_a_bundle_that_is_none(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    tiny = write_wheel(tmp_path / "w", "tiny", "1.0")
    document = document_of(tiny)
    with Bundle(bundled(tmp_path, document, tiny)) as bundle:
        assert [each.project for each in lock_of(bundle).packages] == ["tiny"], "as it was before the change"
    change(document)
    with Bundle(bundled(tmp_path, document, tiny)) as bundle, pytest.raises(BadBundle):
        lock_of(bundle)


@pytest.mark.parametrize("document", [[], "lock", 7, {}])
def test_a_section_that_is_no_lock(tmp_path: Path, document: object) -> None:
    with Bundle(bundled(tmp_path, document)) as bundle, pytest.raises(BadBundle):
        lock_of(bundle)


def test_no_section(tmp_path: Path) -> None:
    with Bundle(write_bundle(tmp_path / "b.tar", {}, {}).path) as bundle, pytest.raises(NoEnvironment):
        lock_of(bundle)
