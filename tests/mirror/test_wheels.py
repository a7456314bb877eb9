"""Wheels of locks in a mirror, taken from it by plain pip and uv: index, JSON, find-links, metadata."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.mirror.conftest import served
from tests.models.site import WHEELS, Site
from tests.support.wheels import write_wheel
from zoo_cli.cli.app import run
from zoo_cli.mirror.manifest import NAME as MANIFEST
from zoo_cli.mirror.manifest import read_manifest
from zoo_cli.mirror.pages import JSON_TYPE
from zoo_cli.mirror.serve import Served
from zoo_cli.packages.executor import find_uv
from zoo_cli.packages.findlinks import read_links
from zoo_cli.packages.indexes import user_index
from zoo_cli.transfer.mirrors import load_mirrors


@pytest.fixture
def lock(site: Site) -> Path:
    """A lock of two wheels, one needing the other, which the site serves; written by hand as any tool may."""
    made = (
        write_wheel(site.folder / "made", "base_lib", "1.5+cpu", requires_python=">=3.8"),
        write_wheel(site.folder / "made", "top", "2.0", requires=["base-lib>=1"]),
    )
    lines = ['lock-version = "1.0"', 'created-by = "hand"']
    for wheel, name, version in zip(made, ("base-lib", "top"), ("1.5+cpu", "2.0"), strict=True):
        site.server.files[f"/wheels/deep/{wheel.name}"] = wheel.read_bytes()
        url = f"{WHEELS}/deep/{wheel.name.replace('+', '%2B')}"
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lines += ["[[packages]]", f'name = "{name}"', f'version = "{version}"', "[[packages.wheels]]"]
        lines += [f'name = "{wheel.name}"', f'url = "{url}"', f'hashes = {{sha256 = "{digest}"}}']
    path = site.folder / "pylock.toml"
    path.write_text("\n".join(lines))
    return path


def sync(lock: Path) -> int:
    return run(["mirror", "sync", "--lock", str(lock), "--python", sys.executable, "--to", "lab", "-q"])


def test_pages_metadata_and_json_of_a_lock(site: Site, lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sync(lock) == 0
    files = read_manifest(Path("lab", MANIFEST).read_bytes(), "lab").files
    base = files["wheels.example/deep/base_lib-1.5+cpu-py3-none-any.whl"]
    assert base.requires_python == ">=3.8"
    metadata = Path("lab", f"{base.path}.metadata").read_bytes()
    page = Path("lab/simple/base-lib/index.html").read_text()
    assert f'data-core-metadata="sha256={hashlib.sha256(metadata).hexdigest()}"' in page
    with served(Path("lab")) as server:
        asked = urllib.request.Request(f"{server.url}simple/base-lib/", headers={"Accept": JSON_TYPE})
        answer = urllib.request.urlopen(asked, timeout=10)
        document = json.loads(answer.read())
        assert answer.headers["Content-Type"] == JSON_TYPE and document["meta"] == {"api-version": "1.1"}
        (link,) = read_links(json.dumps(document).encode(), f"{server.url}simple/base-lib/", JSON_TYPE)
        assert (link.sha256, link.size_bytes) == (base.sha256, base.size_bytes)
        assert hashlib.sha256(urllib.request.urlopen(link.url, timeout=10).read()).hexdigest() == base.sha256
    capsys.readouterr()


@pytest.mark.parametrize("tool", ["pip", "uv", "pip find-links", "uv find-links", "pip file"])
def test_plain_pip_and_uv_install_from_it(
    site: Site, lock: Path, answers: list[Served], tool: str, tmp_path: Path
) -> None:
    assert sync(lock) == 0
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    python = str(tmp_path / "env/bin/python")
    with served(Path("lab"), answers.append) as server:
        root = Path("lab").absolute().as_uri() + "/" if tool.endswith("file") else server.url
        place = (
            ["--no-index", "--find-links", f"{root}wheels/"] if "find" in tool else ["--index-url", f"{root}simple/"]
        )
        pip = [sys.executable, "-m", "pip", "--python", python, "--isolated", "install", "--no-cache-dir", *place]
        uv = [str(find_uv()), "pip", "install", "--no-config", "--no-cache", "--python", python, *place]
        argv = uv if tool.startswith("uv") else pip
        environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        done = subprocess.run([*argv, "top"], env=environ, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    code = "from importlib.metadata import version; print(version('top'), version('base-lib'))"
    assert subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.split() == ["2.0", "1.5+cpu"]
    if tool in ("pip", "uv"):
        paths = [each.path for each in answers if each.status == 200]
        assert any(path.endswith(".whl.metadata") for path in paths), "resolved by metadata alone (PEP 658)"


def test_an_installer_takes_ordinary_packages_from_a_mirror_that_is_used_instead(
    site: Site, lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sync(lock) == 0
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "PIP_CONFIG_FILE": os.devnull, "HOME": str(tmp_path)}
    monkeypatch.delenv("ZOO_MIRRORS")
    monkeypatch.setenv("XDG_CONFIG_HOME", environ["XDG_CONFIG_HOME"])
    assert user_index(environ).index_url is None
    with served(Path("lab")) as server:
        assert run(["mirror", "use", server.url, "--order", "before"]) == 0
        assert user_index(environ).index_url is None, "an installer cannot ask one before the other"
        assert run(["mirror", "use", server.url]) == 0
        assert load_mirrors((), environ).pages == (f"{server.url}wheels/",)
        found = user_index(environ)
        assert found.index_url == f"{server.url}simple/"
        assert found.variables("pip")["PIP_TRUSTED_HOST"] == f"127.0.0.1:{server.server_port}"
        assert user_index({**environ, "PIP_INDEX_URL": "https://own.example/"}).index_url == "https://own.example/"
        assert run(["mirror", "use", "--none"]) == 0
    assert user_index(environ).index_url is None and load_mirrors((), environ).pages == ()


def test_a_lock_for_another_machine_is_refused_before_anything_is_made(
    site: Site, lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock.write_text(lock.read_text().replace('created-by = "hand"', 'created-by = "hand"\nrequires-python = "<3"'))
    assert sync(lock) == 3
    assert "lock-does-not-fit" in capsys.readouterr().err and not Path("lab").exists()


def test_a_release_that_is_a_wheel_of_a_lock_too_is_listed(site: Site, tmp_path: Path) -> None:
    assert run(["mirror", "sync", "net_r50", "--to", "lab", "-q"]) == 0
    assert not Path("lab/simple/mmnet").exists()
    digest, name = hashlib.sha256(site.wheel.read_bytes()).hexdigest(), site.wheel.name
    lines = ['lock-version = "1.0"', 'created-by = "hand"', "[[packages]]", 'name = "mmnet"', 'version = "2.0"']
    lines += [
        "[[packages.wheels]]",
        f'name = "{name}"',
        f'url = "{WHEELS}/{name}"',
        f'hashes = {{sha256 = "{digest}"}}',
    ]
    (tmp_path / "pylock.toml").write_text("\n".join(lines))
    for words in (["--lock", "pylock.toml", "--python", sys.executable], ["net_r50"]):
        assert run(["mirror", "sync", *words, "--to", "lab", "-q"]) == 0
        assert digest in Path("lab/simple/mmnet/index.html").read_text(), "and stays so"
