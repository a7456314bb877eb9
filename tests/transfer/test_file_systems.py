"""Real file systems, made in a file and mounted: how a file leaves the cache there, and what a full one does."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.disks import PACKAGES, make_image, mounted
from tests.support.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.network]

MIB = 1 << 20
LARGE = random.Random(7).randbytes(24 * MIB)
LARGE_DIGEST = hashlib.sha256(LARGE).hexdigest()


@pytest.fixture(params=PACKAGES)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system, mounted."""
    make_image(tmp_path / "image", request.param)
    with mounted(tmp_path / "image") as place:
        yield place


@pytest.fixture
def large() -> Iterator[Server]:
    with Server({"/large": LARGE}) as server:
        yield server


def zoo(cache: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "ZOO_CACHE": str(cache), "ZOO_STATE": str(cache / "state"), "NO_PROXY": "*"}
    argv = [sys.executable, "-m", "zoo_cli", *words]
    return subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=120, check=False)


def fetch(server: Server, cache: Path, to: Path) -> subprocess.CompletedProcess[str]:
    return zoo(cache, "fetch", server.url("/large"), "-o", str(to), "--sha256", LARGE_DIGEST)


def used(place: Path) -> int:
    os.sync()
    about = os.statvfs(place)
    return (about.f_blocks - about.f_bfree) * about.f_frsize


def kind_of(place: Path) -> str:
    done = subprocess.run(["stat", "-f", "-c", "%T", place], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_file_takes_no_room_twice(large: Server, disk: Path, tmp_path: Path) -> None:
    cache, shares = disk / "cache", kind_of(disk) in ("xfs", "btrfs")
    assert fetch(large, cache, disk / "a").returncode == 0
    before = used(disk)
    assert fetch(large, cache, disk / "b").returncode == 0 and len(large.requests) == 1
    assert used(disk) - before < 2 * MIB
    for name in "ab":
        path = disk / name
        assert path.read_bytes() == LARGE and path.stat().st_nlink == (1 if shares else 3)
        assert os.access(path, os.W_OK) and bool(path.stat().st_mode & 0o200) == shares
    if shares:  # a copy of one's own, which may be edited without harm
        with (disk / "a").open("r+b") as file:
            file.write(b"mine")
        assert zoo(cache, "cache", "verify").returncode == 0 and (disk / "b").read_bytes() == LARGE
    assert fetch(large, cache, tmp_path / "elsewhere").returncode == 0 and len(large.requests) == 1
    assert (tmp_path / "elsewhere").read_bytes() == LARGE and (tmp_path / "elsewhere").stat().st_nlink == 1


def test_a_full_one_is_told_and_gone_on_from(large: Server, disk: Path) -> None:
    """Both the cache and the destination are on it; then room comes back."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    filler = disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(MIB, free - 12 * MIB))
    ended = fetch(large, disk / "cache", disk / "a")
    assert ended.returncode == 1 and "error[no-space]" in ended.stderr and not (disk / "a").exists()
    (way,) = [line for line in ended.stderr.splitlines() if "du -xh" in line]
    told = subprocess.run(["sh", "-c", way[way.index("du -xh") :]], capture_output=True, text=True, check=True).stdout
    assert any(line.split("\t")[1] == str(disk) for line in told.splitlines())
    filler.unlink()
    assert fetch(large, disk / "cache", disk / "a").returncode == 0
    assert (disk / "a").read_bytes() == LARGE
    assert not [path for path in disk.rglob(".*zoo-*") if path.is_file()]


def test_a_read_only_one_gives_what_it_has(large: Server, disk: Path, tmp_path: Path) -> None:
    cache = disk / "cache"
    assert fetch(large, cache, tmp_path / "a").returncode == 0
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    try:
        again = fetch(large, cache, tmp_path / "b")
        assert again.returncode == 0 and "from the cache" in again.stderr and len(large.requests) == 1
        large.files["/other"] = b"another file"
        digest = hashlib.sha256(b"another file").hexdigest()
        new = zoo(cache, "fetch", large.url("/other"), "-o", str(tmp_path / "c"), "--sha256", digest)
        assert new.returncode == 0 and "is not kept in the cache" in new.stderr
        told = fetch(large, cache, disk / "d")
        assert told.returncode == 1 and "destination-unusable" in told.stderr
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
