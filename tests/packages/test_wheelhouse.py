"""An environment in a bundle: installed from its own wheels alone, and refused when it is not what it says."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.support.cli import zoo
from tests.support.wheels import write_wheel
from zoo_cli.machine.interpreter import read_interpreter
from zoo_cli.machine.probe import probe_machine
from zoo_cli.packages.executor import find_uv
from zoo_cli.packages.locked import Lock, LockedFile, LockedPackage
from zoo_cli.packages.lockfile import to_document
from zoo_cli.packages.pages import read_listing
from zoo_cli.packages.plan import Because, Pin
from zoo_cli.packages.supply import Supply
from zoo_cli.packages.wheelhouse import SECTION, NoEnvironment, lock_of, write_wheelhouse
from zoo_cli.packages.wheels import Build, build_of, parse_wheel_name
from zoo_cli.transfer.failures import HashMismatch
from zoo_cli.transfer.settings import Settings
from zoo_cli.transfer.sources import Mirrors
from zoo_cli.transfer.store import Store
from zoo_cli.trust.bundle import BadBundle, Bundle, write_bundle
from zoo_cli.trust.seen import Seen

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
    same = {"ok": True, "command": "install", "changed": False, "dry_run": False, "changes": [], "models": []}
    assert again.document == same
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


@pytest.fixture
def wheelhouse(tmp_path: Path) -> Path:
    """A directory that `write_wheelhouse` made of two small wheels, one of the binary stack."""
    wheels = [
        write_wheel(tmp_path / "w", "tiny", "1.0", requires=["needed"]),
        write_wheel(tmp_path / "w", "needed", "2.0"),
    ]
    torch = write_wheel(tmp_path / "w", "torch", "2.1.2+cpu")
    packages = tuple(
        LockedPackage(
            path.name.split("-")[0], path.name.split("-")[1], (LockedFile(path.name, path.as_uri(), digest_of(path)),),
            None, None, "seen" if path is not wheels[1] else "", "a page",
        )
        for path in (*wheels, torch)
    )  # fmt: skip
    lock = Lock(PYTHON, "python_version >= '3'", packages, ("tiny",), "2026-11-23", "cpu")
    listen = Supply(Store(tmp_path / "cache"), Seen(tmp_path / "state"), Mirrors(), Settings(), lambda event: None)
    machine = probe_machine(dict(os.environ), gpus={}, python=read_interpreter(Path(sys.executable)))
    machine = machine._replace(python=machine.python and machine.python._replace(distributions=()))
    write_wheelhouse(lock, machine, listen, tmp_path / "house")
    return tmp_path / "house"


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_wheelhouse_has_what_zoo_pip_and_uv_read(wheelhouse: Path) -> None:
    names = sorted(path.name for path in wheelhouse.glob("*.whl"))
    assert [name.split("-")[0] for name in names] == ["needed", "tiny", "torch"]
    listing = read_listing((str(wheelhouse),), Settings())
    assert not listing.skipped
    whole = {link.filename: link.sha256 for link in listing.links if link.page.endswith("house/index.html")}
    assert whole == {path.name: digest_of(path) for path in wheelhouse.glob("*.whl")}
    told = [link for link in listing.links if link.page.endswith("/cpu/torch2.1.0/index.html")]
    assert sorted(link.filename.split("-")[0] for link in told) == ["tiny", "torch"]
    assert all(Path(unquote(urlsplit(link.url).path)).is_file() for link in listing.links)
    assert build_of(parse_wheel_name(told[0].filename), told[0].url, told[0].page) == Build("2.1.0", "cpu")


@pytest.mark.parametrize("how", ["uv", "pip"])
def test_pip_and_uv_install_from_it_without_an_index(wheelhouse: Path, tmp_path: Path, how: str) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    python = str(tmp_path / "env/bin/python")
    uv = [str(find_uv()), "pip", "install", "--no-config", "--offline", "--python", python]
    pip = [sys.executable, "-m", "pip", "--isolated", "--python", python, "install", "--disable-pip-version-check"]
    argv = [*(uv if how == "uv" else pip), "--no-index", "--find-links", str(wheelhouse), "--require-hashes"]
    subprocess.run([*argv, "-r", str(wheelhouse / "requirements.txt")], check=True, capture_output=True, timeout=120)
    subprocess.run([python, "-c", "import tiny, needed, torch"], check=True, timeout=60)


def test_a_file_of_this_computer_is_compared_with_its_page(wheelhouse: Path, tmp_path: Path) -> None:
    links = read_listing((str(wheelhouse),), Settings()).links
    link = next(each for each in links if each.filename.startswith("tiny"))
    pin = Pin("tiny", "1.0", "wheel", "install", Because("asked"), "seen", urls=(link.url,), sha256=link.sha256)
    supply = Supply(Store(tmp_path / "cache"), Seen(tmp_path / "state"), Mirrors(), Settings(), lambda event: None)
    assert supply.wheel(pin).path.name == link.filename
    path = wheelhouse / link.filename
    body = path.read_bytes()
    path.unlink()
    path.write_bytes(body + b"x")
    with pytest.raises(HashMismatch):
        supply.wheel(pin)
