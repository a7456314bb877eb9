"""`zoo fetch` as a real process: killed in the middle, run twice at once, interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.support.server import Server, Slow
from tests.transfer.conftest import BODY, DIGEST
from zoo_cli.transfer.part import part_path
from zoo_cli.transfer.store import Store


def zoo(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "ZOO_CACHE": str(folder / "cache"), "NO_PROXY": "*"}
    return subprocess.Popen(
        [sys.executable, "-m", "zoo_cli", "fetch", *arguments, "--sha256", DIGEST],
        env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for_bytes(path: Path, count: int) -> None:
    end = time.monotonic() + 20
    while not (path.exists() and path.stat().st_size >= count):
        assert time.monotonic() < end, f"{path.name} does not grow"
        time.sleep(0.01)


def kept_bytes(folder: Path) -> Path:
    """What the digest makes known is fetched in the store."""
    return part_path(Store(folder / "cache").path_of(DIGEST))


def stop_in_the_middle(server: Server, destination: Path, how: signal.Signals) -> subprocess.Popen[str]:
    server.misbehave("/a.pth", Slow(200_000))
    process = zoo(destination.parent, server.url("/a.pth"), "-o", str(destination))
    wait_for_bytes(kept_bytes(destination.parent), 50_000)
    process.send_signal(how)
    return process


def test_a_killed_fetch_goes_on_and_ends_right(server: Server, tmp_path: Path) -> None:
    destination = tmp_path / "a.pth"
    process = stop_in_the_middle(server, destination, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not destination.exists()
    kept = kept_bytes(tmp_path).stat().st_size
    again = zoo(tmp_path, server.url("/a.pth"), "-o", str(destination))
    out, err = again.communicate(timeout=30)
    assert again.returncode == 0 and out == f"{destination}\n"
    assert "going on from there" in err
    assert server.requests_for("/a.pth")[1].range == f"bytes={kept}-"
    assert destination.read_bytes() == BODY
    assert not kept_bytes(tmp_path).exists() and not part_path(destination).exists()


def test_an_interrupted_fetch_says_so_and_keeps_its_bytes(server: Server, tmp_path: Path) -> None:
    process = stop_in_the_middle(server, tmp_path / "a.pth", signal.SIGINT)
    _out, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "Stopped" in err and "Traceback" not in err
    assert kept_bytes(tmp_path).stat().st_size >= 50_000


def test_two_processes_fetch_one_file_once(server: Server, tmp_path: Path) -> None:
    server.always("/a.pth", Slow(400_000))
    both = [zoo(tmp_path, server.url("/a.pth"), "-o", str(tmp_path / "a.pth")) for _ in range(2)]
    talk = "".join(process.communicate(timeout=60)[1] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert len(server.requests) == 1 and "already here" in talk
    assert (tmp_path / "a.pth").read_bytes() == BODY
