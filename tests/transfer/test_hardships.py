"""The cases of benchmarks/transfer/hardships.py, put to zoo; what they stand on; and a clock that goes back."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.transfer import faults
from benchmarks.transfer.hardships import HARDSHIPS
from benchmarks.transfer.trials import GOOD
from tests.support.clock import Clock
from tests.support.network import Resolver, stuck
from tests.support.server import Cut, Server, Status
from tests.transfer.conftest import BODY, DIGEST

_LONG = ("proxy: never answers",)  # two minutes: four tries of half a minute


def needs_namespaces() -> None:
    """Skips where no mount namespace of one's own can be had."""
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare")
    done = subprocess.run(["unshare", "-rm", "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no namespaces here: {done.stderr[:100]}")


@pytest.mark.slow
def test_every_hardship_ends_well() -> None:
    needs_namespaces()
    if os.geteuid() != 0:
        pytest.skip("only root may be a name server")
    names = "|".join(name for name in HARDSHIPS if name not in _LONG)
    table = faults.run(["zoo"], f"^({names})$", at_once=8)
    assert len(table) == len(HARDSHIPS) - len(_LONG)
    bad = {name: row["zoo"] for name, row in table.items() if row["zoo"][0] not in GOOD}
    assert not bad
    right = {name for name, row in table.items() if row["zoo"][0] == "right"}
    assert {name for name in HARDSHIPS if name.startswith(("clock:", "cache:", "many:"))} <= right
    assert max(row["zoo"][1] for row in table.values()) < 120


# -- what the cases stand on does what it says ---------------------------------------------------------------------


def test_the_moved_clock_is_moved(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    code = "import time, sys; print(time.time(), flush=True); sys.stdin.readline(); print(time.time())"
    with subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, **clock.environ}, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdin and child.stdout
        before = float(child.stdout.readline())
        clock.move(-1_000_000)
        child.stdin.write("\n")
        child.stdin.flush()
        after = float(child.stdout.readline())
    assert abs(before - time.time()) < 30 and 999_000 < before - after < 1_000_001


def test_an_address_that_is_stuck_answers_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    held = stuck(socket.AF_INET, "127.0.0.7", port)
    try:
        with pytest.raises(TimeoutError):
            socket.create_connection(("127.0.0.7", port), timeout=0.5)
    finally:
        for each in held:
            each.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be a name server")
def test_the_name_server_is_asked(tmp_path: Path) -> None:
    needs_namespaces()
    (tmp_path / "resolv").write_text("nameserver 127.54.0.1\n")
    code = "import socket; print({each[4][0] for each in socket.getaddrinfo('any.example', 80)})"
    script = f"mount --bind '{tmp_path}/resolv' /etc/resolv.conf && exec '{sys.executable}' -c \"{code}\""
    with Resolver("127.54.0.1", []) as resolver:
        done = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "{'127.0.0.1'}\n" and resolver.asked >= 1, done.stderr


# -- the clock -----------------------------------------------------------------------------------------------------


def test_a_clock_that_goes_back_by_ten_years(server: Server, tmp_path: Path) -> None:
    """Cut off, moved back, gone on from, used again from the cache, verified and pruned: by real processes."""
    clock, cache = Clock(tmp_path / "clock"), tmp_path / "cache"
    environ = {
        **os.environ, **clock.environ, "ZOO_CACHE": str(cache), "ZOO_STATE": str(tmp_path / "state"), "NO_PROXY": "*",
    }  # fmt: skip

    def zoo(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "zoo_cli", *words]
        return subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=60, check=False)

    def fetch(name: str) -> subprocess.CompletedProcess[str]:
        return zoo("fetch", server.url("/a.pth"), "-o", str(tmp_path / name), "--sha256", DIGEST)

    server.misbehave("/a.pth", Cut(200_000))
    server.always("/a.pth", Status(404))
    assert fetch("a.pth").returncode == 5
    kept = list(cache.rglob("*.zoo-part"))
    assert kept and kept[0].stat().st_size >= 200_000
    server.behave()
    clock.move(-10 * 365 * 86400)
    asked = len(server.requests)
    assert fetch("a.pth").returncode == 0 and (tmp_path / "a.pth").read_bytes() == BODY
    (request,) = server.requests[asked:]
    assert request.range and request.range.startswith("bytes=2"), "kept bytes are gone on from"
    clock.move(0)
    assert "from the cache" in fetch("b.pth").stderr and len(server.requests) == asked + 1
    clock.move(-10 * 365 * 86400)
    assert "from the cache" in fetch("c.pth").stderr and len(server.requests) == asked + 1
    assert zoo("cache", "verify").returncode == 0
    for name in "abc":
        (tmp_path / f"{name}.pth").unlink()
    assert zoo("cache", "prune", "--older-than", "30").returncode == 0
    assert "from the cache" in fetch("d.pth").stderr, "a file of the future is not old"
    (tmp_path / "d.pth").unlink()
    clock.move(-10 * 365 * 86400 + 3600)  # what was used a moment ago stays
    assert zoo("cache", "prune", "--max-size", "0").returncode == 0
    assert not [each for each in (cache / "sha256").rglob("*") if each.is_file() and len(each.name) == 64]
