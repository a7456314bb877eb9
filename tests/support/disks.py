"""Real file systems, made in a file and mounted; only root can, and only on Linux."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.dockerfile import apt_install

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGES = {"xfs": "xfsprogs", "btrfs": "btrfs-progs", "ext4": "e2fsprogs"}
_SIZE_BYTES = 400 << 20


def make_image(path: Path, kind: str) -> None:
    """A file system of 400 MiB in a file; skips the test where that cannot be."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root mounts file systems")
    try:
        apt_install(f"mkfs.{kind}", PACKAGES[kind])
    except subprocess.CalledProcessError as exc:
        pytest.skip(f"mkfs.{kind} cannot be installed: {exc.stderr!r}"[:200])
    with path.open("wb") as file:
        file.truncate(_SIZE_BYTES)
    subprocess.run([f"mkfs.{kind}", "-q", str(path)], check=True, capture_output=True)
    try:
        with mounted(path):
            pass
    except subprocess.CalledProcessError as exc:
        pytest.skip(f"{kind} cannot be mounted here: {exc.stderr!r}"[:200])


@contextmanager
def mounted(image: Path) -> Iterator[Path]:
    """The file system of an image, until the end of the `with`, beside it."""
    place = image.with_name(f"{image.name}-mounted")
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", image, place], capture_output=True, check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)
