"""A fetch is killed before each of its file operations in turn: nothing that was here is fetched again or left behind.

kill -9 between the last byte and the final name once cost a whole file: what a server answers to a request for the
bytes after the last one was taken for the file's having changed.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.server import Exchange, Server, Status
from tests.transfer.conftest import nothing_but
from zoo_cli.transfer.hashes import Sha256
from zoo_cli.transfer.part import Part, part_path
from zoo_cli.transfer.resume import State
from zoo_cli.transfer.store import Store

KIB = 1 << 10
BODY = random.Random(9).randbytes(2048 * KIB)
DIGEST = Sha256(hashlib.sha256(BODY).hexdigest())
SMALL = random.Random(10).randbytes(300 * KIB)  # comes in one piece
HAVE = ((0, 256 * KIB), (768 * KIB, 1536 * KIB))
MISSING_BYTES = len(BODY) - (256 + 768) * KIB


def nothing_follows(exchange: Exchange) -> None:
    """Honest, but says of a range after the last byte only that there is none: not even how long the file is."""
    asked = exchange.asked()
    if asked and asked[0] >= len(exchange.body):
        Status(416)(exchange)
    else:
        exchange.honest()


class Fetches:
    """Fetches in processes of their own, of one file with one store."""

    def __init__(self, server: Server, folder: Path, body: bytes) -> None:
        self.folder, self.server, self.url, self.body = folder, server, server.url("/a.pth"), body
        self.store, self.digest = Store(folder / "cache"), Sha256(hashlib.sha256(body).hexdigest())
        argv = [sys.executable, "-m", "tests.transfer.killed_child", self.url, self.digest, str(self.store.root)]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def say(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def start(self, at: int, place: str, after: Path | None = None) -> str:
        self.say(f"start {at} {self.folder / place}" if after is None else f"after {at} {self.folder / place} {after}")
        return self.hear()

    def wait(self, pid: str) -> int:
        self.say(f"wait {pid}")
        return int(self.hear())

    def finish(self, place: str, after: Path | None = None) -> None:
        """Fetches undisturbed and looks at everything that must hold then."""
        assert self.wait(self.start(0, place, after)) == 0
        assert (self.folder / place).read_bytes() == self.body
        nothing_but((self.folder / place).parent, Path(place).name, *(["first"] if after else []))
        kept = self.store.path_of(self.digest)
        nothing_but(kept.parent, self.digest)
        stored = self.store.look(self.digest)
        assert stored is not None and stored.is_sealed
        assert self.store.noted()[self.digest]["name"] == "a.pth"

    def requested_bytes(self) -> int:
        """How much all requests since the last question asked for."""
        found = 0
        for each in self.server.requests:
            first, _, last = (each.range or "bytes=0-")[6:].partition("-")
            found += max(0, (int(last) + 1 if last else len(self.body)) - int(first))
        self.server.requests.clear()
        return found

    def forget(self) -> None:
        for each in self.folder.iterdir():
            if each.is_dir():
                shutil.rmtree(each)

    def leave_pieces(self) -> None:
        """What a fetch over several connections leaves in the store when it is killed."""
        with Part(self.store.prepare(DIGEST), lambda: None) as part:
            part.start(State(self.url, f'"{DIGEST[:16]}"', None, len(BODY), DIGEST))
            mapped = part.begin_map(())
            for number, (first, after) in enumerate(HAVE):
                mapped.write(memoryview(BODY)[first:after], number, first, first)
            mapped.release()
            part.keep_ranges(HAVE)


@contextmanager
def fetches(tmp_path: Path, body: bytes = BODY) -> Iterator[Fetches]:
    with Server({"/a.pth": body}) as server:
        server.always("/a.pth", nothing_follows)
        found = Fetches(server, tmp_path, body)
        try:
            yield found
        finally:
            found.process.kill()
            found.process.communicate()


def test_a_kill_before_each_operation_of_a_plain_fetch(tmp_path: Path) -> None:
    with fetches(tmp_path) as them:
        for at in range(1, 500):
            victim = them.start(at, "one/a.pth")
            said = them.hear()
            assert them.wait(victim) == (-signal.SIGKILL if said == "reached" else 0)
            part, stored = part_path(them.store.path_of(DIGEST)), them.store.path_of(DIGEST).exists()
            kept = len(BODY) if stored else part.stat().st_size if part.exists() else 0
            them.server.requests.clear()
            them.finish("one/a.pth")
            assert them.requested_bytes() == len(BODY) - kept, f"killed before operation {at}"
            them.forget()
            if said == "ended":
                break
    assert at > 20


@pytest.mark.parametrize("comes_second", [False, True], ids=["alone", "second of a run"])
def test_a_kill_before_each_operation_of_a_small_fetch(tmp_path: Path, comes_second: bool) -> None:
    """It has no record beside it, and the second of a run is linked without a part file at its destination."""
    after = tmp_path / "another"
    after.write_bytes(b"another")
    first = after if comes_second else None
    with fetches(tmp_path, SMALL) as them:
        for at in range(1, 500):
            victim = them.start(at, "one/a.pth", first)
            said = them.hear()
            assert them.wait(victim) == (-signal.SIGKILL if said == "reached" else 0)
            place, stored = tmp_path / "one" / "a.pth", them.store.look(them.digest)
            assert not place.exists() or place.read_bytes() == SMALL  # never half under the final name
            assert stored is None or stored.path.read_bytes() == SMALL
            part = part_path(them.store.path_of(them.digest))
            is_whole = stored is not None or (part.exists() and part.stat().st_size == len(SMALL))
            them.server.requests.clear()
            them.finish("one/a.pth", first)
            assert them.requested_bytes() == (0 if is_whole else len(SMALL)), f"killed before operation {at}"
            them.forget()
            if said == "ended":
                break
    assert 10 < at < (15 if comes_second else 40)


def test_a_kill_before_each_operation_of_a_fetch_in_pieces(tmp_path: Path) -> None:
    with fetches(tmp_path) as them:
        for at in range(1, 500):
            them.leave_pieces()
            victim = them.start(at, "one/a.pth")
            said = them.hear()
            assert them.wait(victim) == (-signal.SIGKILL if said == "reached" else 0)
            them.server.requests.clear()
            them.finish("one/a.pth")
            assert them.requested_bytes() <= MISSING_BYTES, f"killed before operation {at}"
            them.forget()
            if said == "ended":
                break
    assert at > 20


@pytest.mark.slow
@pytest.mark.parametrize("in_pieces", [False, True], ids=["plain", "in pieces"])
def test_a_competitor_goes_on_where_a_killed_process_stood(tmp_path: Path, in_pieces: bool) -> None:
    missing = MISSING_BYTES if in_pieces else len(BODY)
    with fetches(tmp_path) as them:
        for at in range(1, 500):
            if in_pieces:
                them.leave_pieces()
            victim = them.start(at, "one/a.pth")
            said = them.hear()
            other = them.start(0, "two/a.pth")  # while the victim holds its locks
            assert them.wait(victim) == (-signal.SIGKILL if said == "reached" else 0)
            assert them.wait(other) == 0
            them.finish("two/a.pth")
            them.finish("one/a.pth")
            # What the victim asked for may have come and not been written: once more, never twice.
            assert them.requested_bytes() <= 2 * missing, f"killed before operation {at}"
            them.forget()
            if said == "ended":
                break
    assert at > 20
