"""`zoo sync` and `zoo export` on real wheels and a real environment; what cannot be done is one clear error."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.changing import content
from tests.support.cli import zoo
from tests.support.server import Exchange, Page, Server, Status, honest
from tests.support.wheels import write_wheel
from zoo_cli.packages.locked import Lock, LockedFile, LockedPackage
from zoo_cli.packages.locking import read_lock, write_lock

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock of two small wheels in a directory."""
    wheels = [write_wheel(tmp_path / "wheels", name, "1.0") for name in ("first", "second")]
    packages = tuple(
        LockedPackage(path.name.split("-")[0], "1.0", (LockedFile(path.name, path.as_uri(), digest_of(path)),))
        for path in wheels
    )
    write_lock(
        Lock(f"=={PYTHON}.*", f"python_version == '{PYTHON}'", packages, ("first",)), tmp_path / "pylock.toml", ""
    )
    return tmp_path / "pylock.toml"


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def python(tmp_path: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    return tmp_path / "env/bin/python"


def test_an_environment_becomes_equal_and_goes_back(lock: Path, python: Path, tmp_path: Path) -> None:
    before = content(python.parent.parent)
    ran = zoo(tmp_path, "sync", lock, "--python", python, "--json")
    assert [(each["name"], each["after"]) for each in ran.document["changes"]] == [("first", "1.0"), ("second", "1.0")]
    assert zoo(tmp_path, "sync", lock, "--python", python, "--json").document["changed"] is False
    smaller = replace(read_lock(lock), packages=read_lock(lock).packages[:1])
    write_lock(smaller, tmp_path / "pylock.less.toml", "")
    refused = zoo(tmp_path, "sync", "pylock.less.toml", "--python", python)
    assert (refused.code, "error[needs-consent]" in refused.err) == (2, True)
    assert f"zoo sync pylock.less.toml --python {python} --yes" in refused.err
    assert zoo(tmp_path, "sync", "pylock.less.toml", "--python", python, "--yes").code == 0
    assert subprocess.run([python, "-c", "import first"], check=False).returncode == 0
    assert subprocess.run([python, "-c", "import second"], check=False, stderr=subprocess.DEVNULL).returncode == 1
    assert zoo(tmp_path, "undo", "1", "--python", python).code == 0
    assert content(python.parent.parent) == before


def test_a_wheel_that_is_not_the_locked_one_changes_nothing(lock: Path, python: Path, tmp_path: Path) -> None:
    before = content(python.parent.parent)
    write_wheel(tmp_path / "wheels", "second", "1.0", files={"second.py": "value = 2\n"})
    ran = zoo(tmp_path, "sync", lock, "--python", python)
    assert (ran.code, "error[hash-mismatch]" in ran.err) == (6, True), ran.err
    assert content(python.parent.parent) == before


def test_what_takes_long_is_told_before(lock: Path, python: Path, tmp_path: Path) -> None:
    told = [line.strip() for line in zoo(tmp_path, "sync", lock, "--python", python).err.splitlines()]
    steps = ["inspect 2 wheels", "install the lock (uv)"]
    assert [line for line in told if line in steps] == steps


def test_a_dry_run_and_a_lock_for_others_make_nothing(lock: Path, tmp_path: Path) -> None:
    ran = zoo(tmp_path, "sync", lock, "--env", "new", "--dry-run")
    assert (ran.code, "+ first 1.0" in ran.err) == (0, True)
    write_lock(replace(read_lock(lock), requires_python="==2.7.*"), tmp_path / "pylock.old.toml", "")
    ran = zoo(tmp_path, "sync", "pylock.old.toml", "--env", "new")
    assert (ran.code, "error[lock-does-not-fit]" in ran.err, "Python ==2.7.*" in ran.err) == (3, True, True)
    assert "zoo lock first --python" in ran.err
    assert not (tmp_path / "new").exists()


def test_without_a_name_the_lock_for_this_machine_is_found(lock: Path, python: Path, tmp_path: Path) -> None:
    ours = read_lock(lock)
    lock.rename(tmp_path / "pylock.here.toml")
    write_lock(replace(ours, environment="sys_platform == 'win32'"), tmp_path / "pylock.there.toml", "")
    ran = zoo(tmp_path, "sync", "--python", python, "--dry-run")
    assert (ran.code, "pylock.here.toml is for this machine" in ran.err, "+ first 1.0" in ran.err) == (0, True, True)
    write_lock(replace(ours, requires_python="==2.7.*"), tmp_path / "pylock.here.toml", "")
    ran = zoo(tmp_path, "sync", "--python", python)
    assert (ran.code, "error[no-lock-fits]" in ran.err) == (3, True)
    assert "pylock.here.toml: it is for Python ==2.7.*" in ran.err
    assert "pylock.there.toml: it is for sys_platform" in ran.err
    for name in ("here", "there"):
        write_lock(ours, tmp_path / f"pylock.{name}.toml", "")
    ran = zoo(tmp_path, "sync", "--python", python)
    assert (ran.code, "error[several-locks-fit]" in ran.err, "zoo sync pylock.here.toml" in ran.err) == (2, True, True)


def test_a_lock_tells_the_least_machine(lock: Path, tmp_path: Path) -> None:
    least = {"python": PYTHON, "driver": "525.60.13", "compute-capability": "7.0 to 8.0"}
    write_lock(replace(read_lock(lock), minimum=least, targets={"torch": ("7.0", "8.0")}), lock, "")
    ran = zoo(tmp_path, "lock", "--show", lock)
    assert f"The least machine: compute-capability 7.0 to 8.0, driver 525.60.13, python {PYTHON}" in ran.out
    (shown,) = zoo(tmp_path, "lock", "--show", lock, "--json").document["locks"]
    assert (shown["minimum"], shown["targets"]) == (least, {"torch": ["7.0", "8.0"]})
    assert [each["name"] for each in shown["packages"]] == ["first", "second"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-o", "pylock.toml"), "{machine}"),
        (("-o", "mine.{machine}"), "pylock.NAME.toml"),
        (("--machine", "python=3.11"), "one name"),
    ],
)
def test_each_machine_gets_a_lock_of_its_own(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    machines = ("--machine", "python=3.10", "--machine", "python=3.11")
    ran = zoo(tmp_path, "lock", "mmdet", *machines, *words)
    assert (ran.code, told in ran.err) == (2, True), ran.err
    assert not list(tmp_path.glob("*.toml"))


def test_export_says_the_same_in_other_words(lock: Path, tmp_path: Path) -> None:
    ran = zoo(tmp_path, "export", lock)
    assert [line.split("==")[0] for line in ran.out.splitlines() if not line.startswith("#")] == ["first", "second"]
    assert zoo(tmp_path, "export", lock, "--format", "colab").out.startswith("%%bash\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("sync",), "pylock.zoo.toml"),
        (("sync", "pylock.bad.toml"), "not a TOML file"),
        (("export", "requirements.txt"), "pylock.NAME.toml"),
        (("lock", "mmdet", "-o", "mine.lock"), "pylock.NAME.toml"),
    ],
)
def test_what_is_no_lock_is_one_clear_error(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    (tmp_path / "pylock.bad.toml").write_bytes(b"\xff")
    ran = zoo(tmp_path, *words)
    assert (ran.code, "error[bad-lock]" in ran.err, told in ran.err) == (2, True, True)


def keyed(exchange: Exchange) -> None:
    """Serves who knows the password, and nobody else."""
    known = "Basic " + base64.b64encode(b"me:word").decode()
    (honest if exchange.request.headers.get("authorization") == known else Status(401))(exchange)


def test_a_private_index_needs_its_password_where_the_lock_is_used(python: Path, tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path / "site", "first", "1.0")
    with Server({f"/{wheel.name}": wheel.read_bytes()}) as server:
        server.always(f"/{wheel.name}", keyed)
        file = LockedFile(wheel.name, server.url(f"/{wheel.name}"), digest_of(wheel))
        lock = Lock(
            f"=={PYTHON}.*", f"python_version == '{PYTHON}'", (LockedPackage("first", "1.0", (file,)),), ("first",)
        )
        write_lock(lock, tmp_path / "pylock.toml", "")
        refused = zoo(tmp_path, "sync", "pylock.toml", "--python", python)
        assert (refused.code, "401" in refused.err) == (5, True), refused.err
        index = server.url("/simple/").replace("://", "://me:word@")
        synced = zoo(tmp_path, "sync", "pylock.toml", "--python", python, "-v", UV_DEFAULT_INDEX=index)
    assert synced.code == 0, synced.err
    assert "word" not in synced.err + synced.out + (tmp_path / "pylock.toml").read_text()


def test_a_package_without_wheels_is_named_with_a_way_out(tmp_path: Path) -> None:
    """A lock asks uv; here for a project whose only file on the index is an sdist."""
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz") as archive:
        about = b"Metadata-Version: 2.1\nName: onlysrc\nVersion: 1.0\n"
        member = tarfile.TarInfo("onlysrc-1.0/PKG-INFO")
        member.size = len(about)
        archive.addfile(member, io.BytesIO(about))
    torch = {"torch/version.py": "__version__ = '2.6.0+cpu'\ncuda = None\nhip = None\n"}
    tag = f"cp{PYTHON.replace('.', '')}"
    wheel = write_wheel(tmp_path / "t", "torch", "2.6.0+cpu", f"{tag}-{tag}-linux_x86_64", files=torch)
    engine = write_wheel(tmp_path / "e", "mmengine", "0.10.7")
    tools = write_wheel(tmp_path / "s", "setuptools", "80.0")
    pages: dict[str, bytes | Page | Path] = {
        f"/whl/cpu/{wheel.name}": wheel.read_bytes(),
        "/whl/cpu/torch/": Page(f'<a href="../{wheel.name.replace("+", "%2B")}">{wheel.name}</a>'.encode()),
        "/simple/setuptools/": Page(f'<a href="{tools.name}">{tools.name}</a>'.encode()),
        f"/simple/setuptools/{tools.name}": tools.read_bytes(),
        "/simple/mmengine/": Page(f'<a href="{engine.name}">{engine.name}</a>'.encode()),
        f"/simple/mmengine/{engine.name}": engine.read_bytes(),
        "/simple/onlysrc/": Page(b'<a href="onlysrc-1.0.tar.gz">onlysrc-1.0.tar.gz</a>'),
        "/simple/onlysrc/onlysrc-1.0.tar.gz": body.getvalue(),
    }
    (tmp_path / "more.txt").write_text("onlysrc\n")
    with Server(pages) as server:
        mirror = f"https://download.pytorch.org={server.url('/')}"
        stack = ("mmengine==0.10.7", "torch==2.6.0", "--device", "cpu", "--mirror", mirror, "-r", "more.txt")
        words = (*stack, "--python", sys.executable)
        environ: dict[str, Any] = {
            "UV_DEFAULT_INDEX": server.url("/simple/"),
            "UV_CACHE_DIR": str(tmp_path / "uv"),
            "PIP_CONFIG_FILE": os.devnull,
        }
        ran = zoo(tmp_path, "lock", *words, **environ)
        assert (ran.code, "error[no-wheel]" in ran.err) == (3, True), ran.err
        assert "zoo build onlysrc==1.0 -o wheels" in ran.err
        built = write_wheel(tmp_path / "wheels", "onlysrc", "1.0")
        ran = zoo(tmp_path, "lock", *words, "--find-links", "wheels", **environ)
    assert ran.code == 0, ran.err
    package = read_lock(tmp_path / "pylock.zoo.toml").package("onlysrc")
    assert package
    assert [(each.name, each.sha256) for each in package.wheels] == [(built.name, digest_of(built))]


def test_what_is_compiled_here_cannot_be_locked(tmp_path: Path) -> None:
    ran = zoo(tmp_path, "lock", "mmdet", "--torch", "2.13", "--build", "mmcv", "--machine", "python=3.11,os=linux")
    assert (ran.code, "error[cannot-lock]" in ran.err, "zoo build mmcv==2.1.0" in ran.err) == (2, True, True), ran.err
    assert "--python env/bin/python" in ran.err  # what it needs is known once it is built
