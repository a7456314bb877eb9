"""A power cut in the middle: what the disk of a mounted file system has at that moment is gone on from, or not.

The disk is a file; copied while it is mounted it is what a machine finds that lost its power. The machine that starts
anew is a mount namespace with another boot_id.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from tests.support.disks import PACKAGES, make_image, mounted
from tests.support.server import Cut, Server, Status, Uplink
from zoo_cli.transfer.part import part_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1 << 20
BODY = random.Random(11).randbytes(60 * MIB)
DIGEST = sha256(BODY).hexdigest()
BOOT_ID = "/proc/sys/kernel/random/boot_id"

pytestmark = [pytest.mark.slow, pytest.mark.network]


@pytest.fixture(params=PACKAGES)
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file system in a file."""
    make_image(tmp_path / "image", request.param)
    return tmp_path / "image"


@pytest.fixture
def site() -> Iterator[Server]:
    with Server({"/f.bin": BODY}) as server:
        yield server


def command(site: Server, disk: Path, digest: str | None) -> list[str]:
    known = ["--sha256", digest] if digest else []
    return [sys.executable, "-m", "zoo_cli", "fetch", site.url("/f.bin"), "-o", str(disk / "f.bin"), *known]


def environ(disk: Path) -> dict[str, str]:
    return {**os.environ, "ZOO_CACHE": str(disk / "cache"), "ZOO_STATE": str(disk / "state"), "NO_PROXY": "*"}


def after_a_start(argv: list[str], folder: Path, disk: Path) -> subprocess.CompletedProcess[str]:
    """Runs the command as the machine does that has started anew."""
    fake = folder / "boot_id"
    fake.write_text(f"{uuid.uuid4()}\n")
    words = ["unshare", "-m", "sh", "-c", f'mount --bind "$0" {BOOT_ID} && exec "$@"', str(fake), *argv]
    return subprocess.run(words, env=environ(disk), capture_output=True, text=True, timeout=120, check=False)


def copy_of(image: Path) -> Path:
    """The disk as it is at one moment: copied until nothing was written meanwhile."""
    copy, end = image.with_name("after"), time.monotonic() + 30
    while True:
        shutil.copyfile(image, copy)
        if subprocess.run(["cmp", "-s", image, copy], check=False).returncode == 0:
            return copy
        assert time.monotonic() < end, "the disk does not come to rest"


def cut_the_power(argv: list[str], line: Uplink, image: Path, disk: Path) -> Path:
    """Writes back what is there after a third, goes on to two thirds, and copies what the disk has then."""
    process = subprocess.Popen(argv, env=environ(disk), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for share in (3, 1.5):
            end = time.monotonic() + 30
            while line.sent < len(BODY) / share and process.poll() is None and time.monotonic() < end:
                time.sleep(0.01)
            if share == 3:
                os.sync()  # as the kernel does after half a minute
        process.send_signal(signal.SIGSTOP)
        return copy_of(image)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("connections", ["1", "8"])
@pytest.mark.parametrize("digest", [None, DIGEST])
def test_the_file_is_right_after_a_power_cut(
    site: Server, image: Path, tmp_path: Path, connections: str, digest: str | None
) -> None:
    line = Uplink(12_000_000, 32_768)
    site.always("/f.bin", line)
    with mounted(image) as disk:
        argv = [*command(site, disk, digest), "--connections", connections]
        copy = cut_the_power(argv, line, image, disk)
        assert not (disk / "f.bin").exists() and len(site.requests) >= (2 if connections == "8" else 1)
    site.behave()
    asked = len(site.requests)
    with mounted(copy) as disk:
        done = after_a_start(command(site, disk, digest), tmp_path, disk)
        assert done.returncode == 0, done.stderr
        assert (disk / "f.bin").read_bytes() == BODY
        assert not [path for path in disk.rglob("*zoo-*") if path.is_file()]
    if digest is None:
        assert site.requests[asked].range is None  # nothing tells which of the bytes the disk had


def test_what_the_disk_had_for_sure_is_gone_on_from(site: Server, image: Path, tmp_path: Path) -> None:
    """An address that failed for good; then the machine loses its power while others use it."""
    with mounted(image) as disk:
        site.misbehave("/f.bin", Cut(after=40 * MIB))
        site.always("/f.bin", Status(404))
        argv = command(site, disk, None)
        done = subprocess.run(argv, env=environ(disk), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 5, done.stderr
        record = json.loads(part_path(disk / "f.bin").with_name(".f.bin.zoo-part.json").read_text())
        assert record["kept"] == [[0, 40 * MIB]]
        subprocess.run(["sync", "-f", disk], check=True)
        copy = copy_of(image)
    site.behave()
    asked = len(site.requests)
    with mounted(copy) as disk:
        done = after_a_start(command(site, disk, None), tmp_path, disk)
        assert done.returncode == 0 and (disk / "f.bin").read_bytes() == BODY, done.stderr
    assert re.fullmatch(rf"bytes={40 * MIB}-\d*", site.requests[asked].range or "")
