"""`zoo lock` here, `zoo sync`, `uv pip install -r` and `pip install -r` of that file there: the same environment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.site import Site
from tests.support.cli import zoo
from tests.support.upstream import upstream
from zoo_cli.packages.executor import find_uv
from zoo_cli.packages.locking import read_lock

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.network]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with upstream() as site:
        yield site


def distributions(python: Path) -> set[str]:
    """What is installed, but for pip itself."""
    site_packages = next((python.parent.parent / "lib").glob("python3*/site-packages"))
    return {each.name for each in site_packages.glob("*.dist-info") if not each.name.startswith("pip-")}


def environment(folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder / "bin/python"


def test_a_lock_gives_the_same_environment_everywhere(site: Site, tmp_path: Path) -> None:
    upstream = ("--mirror", f"https://download.pytorch.org={site.url('/pytorch')}")
    wanted = ("mmdet", "--torch", "2.13", "--find-links", site.ops_page, *upstream)
    locked = zoo(tmp_path, "lock", *wanted, "--python", sys.executable, timeout=600)
    assert locked.code == 0, locked.err
    lock = tmp_path / locked.out.strip()

    first = environment(tmp_path / "first")
    synced = zoo(tmp_path, "sync", lock, *upstream, "--python", first, timeout=900)
    assert synced.code == 0, synced.err
    assert " wheels\n" in synced.err and "  run the ops of mmcv\n" in synced.err  # what takes seconds is told before
    assert "equals the lock" in zoo(tmp_path, "sync", lock, "--python", first).err
    run = subprocess.run([first, "-c", "import mmcv.ops, mmdet"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr

    # pip and uv know no mirrors: for them the host of torch is the loopback one.
    there = tmp_path / "pylock.there.toml"
    there.write_text(lock.read_text().replace("https://download.pytorch.org", site.url("/pytorch")))
    second, third = environment(tmp_path / "second"), environment(tmp_path / "third")
    uv = str(find_uv())
    subprocess.run([uv, "pip", "install", "-q", "--python", str(second), "-r", there], check=True, timeout=900)
    pip = [str(third), "-m", "pip", "install", "-q"]
    subprocess.run([*pip, "--upgrade", "pip>=26"], check=True, timeout=300)
    subprocess.run([*pip, "-r", str(there)], check=True, timeout=900)
    assert distributions(first) == distributions(second) == distributions(third)

    machines = ("--machine", "python=3.11,glibc=2.36", "--machine", "python=3.11,glibc=2.31")
    several = zoo(tmp_path, "lock", *wanted, *machines, timeout=600)
    assert several.code == 0, several.err
    names = ["pylock.python-3-11-glibc-2-36.toml", "pylock.python-3-11-glibc-2-31.toml"]
    assert several.out.split() == names
    for name in names:
        same = {(each.project, each.version) for each in read_lock(tmp_path / name).packages}
        assert same == {(each.project, each.version) for each in read_lock(lock).packages}

    exported = zoo(tmp_path, "export", there, "--format", "requirements").out
    (tmp_path / "requirements.txt").write_text(exported)
    dry = [*pip, "--dry-run", "--require-hashes", "--no-deps", "-r", str(tmp_path / "requirements.txt")]
    subprocess.run(dry, check=True, timeout=900)
