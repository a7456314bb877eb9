"""Several connections for one file: where they help, where they are refused, and what stays of them after a kill -9."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.server import Exchange, Server, Slow, Stall, Status, ignores_range
from tests.transfer.conftest import QUICK, Heard, nothing_but
from zoo_cli.transfer.events import Advanced
from zoo_cli.transfer.fetch import Received, Wanted, fetch
from zoo_cli.transfer.hashes import Sha256
from zoo_cli.transfer.part import Part, part_path
from zoo_cli.transfer.ranges import gaps, merged, prefix, read_map
from zoo_cli.transfer.resume import State
from zoo_cli.transfer.split import Growth, Judge
from zoo_cli.transfer.store import Store
from zoo_cli.transfer.throttle import Throttle

LARGE = random.Random(7).randbytes(10 << 20)
LARGE_DIGEST = Sha256(hashlib.sha256(LARGE).hexdigest())
PATIENT = QUICK._replace(stall_seconds=2)
RATE = 6_000_000  # bytes a second of one connection


@pytest.fixture
def server() -> Iterator[Server]:
    with Server({"/x.bin": LARGE}) as server:
        server.always("/x.bin", Slow(RATE, 0.01))
        yield server


def get(server: Server, folder: Path, **facts: object) -> Received:
    wanted = Wanted("x.bin", (server.url("/x.bin"),), **{"sha256": LARGE_DIGEST, **facts})  # type: ignore[arg-type]
    return fetch(wanted, folder / "x.bin", PATIENT)


def test_a_server_that_limits_each_connection_gets_several(server: Server, tmp_path: Path) -> None:
    heard = Heard()
    wanted = Wanted("x.bin", (server.url("/x.bin"),), sha256=LARGE_DIGEST)
    assert fetch(wanted, tmp_path / "x.bin", PATIENT, heard).path.read_bytes() == LARGE
    ranges = [each.range for each in server.requests]
    assert ranges[0] is None and len(ranges) >= 4 and all(each is not None for each in ranges[1:])
    told = [event.have_bytes for event in heard.events if isinstance(event, Advanced)]
    assert told == sorted(told) and told[-1] <= len(LARGE)
    nothing_but(tmp_path, "x.bin")


MIB = 1 << 20


@pytest.mark.parametrize(
    ("have", "seconds", "connect", "limit", "wants"),
    [
        (1 * MIB, 0.05, 0.001, None, True),  # 21 MB/s, 9 s to go
        (1 * MIB, 0.04, 0.001, None, False),  # too early to tell
        (1 * MIB, 0.03, 0.050, None, True),  # a long way: what comes first is slow start
        (15 * MIB, 0.05, 0.001, None, False),  # this machine is the limit
        (197 * MIB, 9.0, 0.001, None, False),  # too little is left
        (150 * MIB, 1.0, 0.001, None, False),  # it will be over before others have begun
        (1 * MIB, 0.05, 0.001, 30_000_000, False),  # it is slow because it was told to be
    ],
)
def test_one_stream_becomes_several_only_where_that_helps(
    have: int, seconds: float, connect: float, limit: int | None, wants: bool
) -> None:
    assert Judge(200 * MIB, 0, connect, limit, 0.0).wants_more(have, seconds) is wants


def test_connections_are_added_as_long_as_they_bring_more() -> None:
    growth = Growth(24, 0.001)
    left = 200 * MIB
    assert growth.more(1.0, 1 * MIB, left, 1) == 7
    assert growth.more(1.01, 2 * MIB, left, 8) == 0  # too early to tell
    assert growth.more(1.1, 15 * MIB, left, 8) == 16
    settled = Growth(24, 0.001)
    assert settled.more(1.0, 0, left, 1) == 7
    assert settled.more(1.1, 1 * MIB, left, 8) == 16
    assert settled.more(1.2, 2 * MIB, left, 20) == 0
    assert settled.more(1.3, 20 * MIB, left, 20) == 0  # no further question
    assert Growth(24, 0.05).more(1.0, 0, left, 1) == 3  # a long way: few, since each of them starts slowly


@pytest.mark.parametrize("facts", [{}, {"sha256": None}, {"sha256": None, "prefix": LARGE_DIGEST[:8]}])
def test_what_ties_the_ranges_together(server: Server, tmp_path: Path, facts: dict[str, object]) -> None:
    assert get(server, tmp_path, **facts).path.read_bytes() == LARGE
    conditions = {each.headers.get("if-range") for each in server.requests[1:]}
    assert conditions == {f'"{LARGE_DIGEST[:16]}"'}


def refuses(status: int) -> object:
    """Serves whole files slowly and answers requests for ranges with a status."""

    def behave(exchange: Exchange) -> None:
        (Status(status) if exchange.request.range else Slow(4 * RATE, 0.01))(exchange)

    return behave


def ignores(exchange: Exchange) -> None:
    exchange.request = replace(exchange.request, headers={})
    Slow(4 * RATE, 0.01)(exchange)


class Alone:
    """Serves one connection; others get nothing while it lasts."""

    def __init__(self) -> None:
        self._busy = threading.Lock()

    def __call__(self, exchange: Exchange) -> None:
        if not self._busy.acquire(blocking=False):
            Stall(0, 20)(exchange)
            return
        try:
            Slow(4 * RATE, 0.01)(exchange)
        finally:
            self._busy.release()


def cuts(exchange: Exchange) -> None:
    """Further connections break off after a megabyte."""
    if not exchange.request.range:
        Slow(4 * RATE, 0.01)(exchange)
        return
    exchange.send(exchange.start()[: 1 << 20])
    exchange.close()


@pytest.mark.parametrize(
    "behaviour", [refuses(429), refuses(503), refuses(403), refuses(416), ignores, Alone(), cuts],
    ids=["429", "503", "403", "416", "ranges ignored", "further connections hang", "further connections break off"],
)  # fmt: skip
def test_a_server_that_refuses_costs_nothing_but_the_attempt(server: Server, tmp_path: Path, behaviour: object) -> None:
    server.always("/x.bin", behaviour)  # type: ignore[arg-type]
    assert get(server, tmp_path).path.read_bytes() == LARGE
    nothing_but(tmp_path, "x.bin")


def test_connections_that_hang_give_back_what_they_took(server: Server, tmp_path: Path) -> None:
    first = threading.Lock()

    def behave(exchange: Exchange) -> None:
        (Slow(RATE, 0.01) if first.acquire(blocking=False) else Stall(0, 60))(exchange)

    server.always("/x.bin", behave)
    began = time.monotonic()
    wanted = Wanted("x.bin", (server.url("/x.bin"),), sha256=LARGE_DIGEST)
    fetch(wanted, tmp_path / "x.bin", PATIENT._replace(stall_seconds=30))
    assert time.monotonic() - began < 20  # once each of them was waited for, one after the other
    assert (tmp_path / "x.bin").read_bytes() == LARGE
    assert len(server.requests) > 1 and len(server.requests) < 30
    nothing_but(tmp_path, "x.bin")


def test_wrong_bytes_in_ranges_are_noticed_and_the_file_comes_in_one_stream(server: Server, tmp_path: Path) -> None:
    def lies(exchange: Exchange) -> None:
        if exchange.request.range:
            etag = exchange.etag
            exchange.body = bytes(len(exchange.body))
            exchange.honest(extra={"ETag": etag})
        else:
            Slow(4 * RATE, 0.01)(exchange)

    def lies_plainly(exchange: Exchange) -> None:
        body, etag = exchange.body, exchange.etag
        if not exchange.request.range:
            Slow(4 * RATE, 0.01)(exchange)
            return
        first = int(exchange.request.range[6:].partition("-")[0])
        exchange.head(206, {
            "Content-Length": len(body) - first, "ETag": etag,
            "Content-Range": f"bytes {first}-{len(body) - 1}/{len(body)}",
        })  # fmt: skip
        exchange.send(bytes(len(body) - first))

    for behaviour in (lies, lies_plainly):
        server.always("/x.bin", behaviour)
        assert get(server, tmp_path).path.read_bytes() == LARGE
        (tmp_path / "x.bin").unlink()


def test_a_file_that_changes_in_between_is_no_mixture(server: Server, tmp_path: Path) -> None:
    other = random.Random(8).randbytes(len(LARGE))

    def changes(exchange: Exchange) -> None:
        if exchange.request.range:
            exchange.body = other
        Slow(4 * RATE, 0.01)(exchange)

    server.always("/x.bin", changes)
    # The other one whole is right, too, when the first stream broke off: the server has changed the file by then.
    assert get(server, tmp_path, sha256=None).path.read_bytes() in (LARGE, other)


def test_a_kill_loses_what_was_on_its_way_and_no_more(server: Server, tmp_path: Path) -> None:
    sent = 0
    lock = threading.Lock()

    def counted(exchange: Exchange) -> None:
        nonlocal sent
        before = exchange.send

        def send(data: bytes | memoryview) -> None:
            nonlocal sent
            before(data)
            with lock:
                sent += len(data)

        exchange.send = send  # type: ignore[method-assign]
        Slow(RATE, 0.01)(exchange)

    server.always("/x.bin", counted)
    environ = {**os.environ, "ZOO_CACHE": str(tmp_path / "cache"), "NO_PROXY": "*"}
    words = ["fetch", server.url("/x.bin"), "-o", str(tmp_path / "x.bin"), "--sha256", LARGE_DIGEST, "-q"]
    kills = 0
    for seconds in (0.5, 0.7, 0.6, 30.0):
        process = subprocess.Popen([sys.executable, "-m", "zoo_cli", *words], env=environ)
        try:
            process.wait(seconds)
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
    assert process.returncode == 0 and kills >= 1
    assert (tmp_path / "x.bin").read_bytes() == LARGE
    # What a killed process had not read yet stood in the buffers of its sockets.
    assert sent < len(LARGE) + kills * 24 * (1 << 20) / 4
    nothing_but(Store(tmp_path / "cache").path_of(LARGE_DIGEST).parent, LARGE_DIGEST)


def test_holes_are_filled_and_nothing_else_is_asked_for(server: Server, tmp_path: Path) -> None:
    destination = tmp_path / "x.bin"
    path = part_path(destination)
    with Part(destination, lambda: None) as part:  # as a killed process leaves it
        part.start(State(server.url("/x.bin"), f'"{LARGE_DIGEST[:16]}"', None, len(LARGE), LARGE_DIGEST))
        mapped = part.begin_map(())
        mapped.write(memoryview(LARGE)[: 1 << 20], 0, 0, 0)
        mapped.write(memoryview(LARGE)[3 << 20 : 9 << 20], 1, 3 << 20, 3 << 20)
        mapped.release()
        part.keep_ranges(((0, 1 << 20), (3 << 20, 9 << 20)))
    assert path.exists()
    server.requests.clear()
    server.always("/x.bin", Exchange.honest)
    assert get(server, tmp_path).path.read_bytes() == LARGE
    asked = [each.range for each in server.requests]
    assert asked[0] == f"bytes={1 << 20}-{(3 << 20) - 1}"
    assert asked[1:] == [f"bytes={9 << 20}-{len(LARGE) - 1}"]
    nothing_but(tmp_path, "x.bin")


def test_a_torn_or_foreign_map_is_not_believed(server: Server, tmp_path: Path) -> None:
    server.always("/x.bin", Exchange.honest)
    path = part_path(tmp_path / "x.bin")
    path.write_bytes(bytes(1000))
    path.with_name(path.name + ".map").write_bytes(os.urandom(1000))
    assert get(server, tmp_path).path.read_bytes() == LARGE
    nothing_but(tmp_path, "x.bin")


def test_the_bandwidth_limit_holds_for_all_connections(server: Server, tmp_path: Path) -> None:
    server.always("/x.bin", ignores_range)
    began = time.monotonic()
    settings = PATIENT._replace(throttle=Throttle(12_000_000))  # a machine with other work brings half of that, too
    fetch(Wanted("x.bin", (server.url("/x.bin"),), sha256=LARGE_DIGEST), tmp_path / "x.bin", settings)
    assert time.monotonic() - began > 0.8 * len(LARGE) / 12_000_000
    assert len(server.requests) == 1


RANGES = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=8)


@given(RANGES, st.integers(1, 60))
def test_law_ranges_and_gaps_are_the_whole(ranges: list[tuple[int, int]], size: int) -> None:
    have = {byte for first, after in ranges for byte in range(first, min(after, size))}
    missing = [byte for first, after in gaps(ranges, size) for byte in range(first, after)]
    assert sorted(missing) == missing and set(missing) == set(range(size)) - have
    assert prefix(ranges) >= min((byte for byte in range(size) if byte not in have), default=size)
    assert merged(merged(ranges)) == merged(ranges)


@given(st.binary(max_size=200), st.integers(0, 1000))
def test_law_any_map_can_be_read(data: bytes, size: int) -> None:
    assert all(0 <= first < after <= size for first, after in read_map(data, size))
