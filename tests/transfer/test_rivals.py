"""A slow address is left for a much faster one in the middle of a file, and only then."""

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
from pathlib import Path

import pytest

from tests.support.server import Behaviour, Exchange, Server, Stall, Status, Uplink, ignores_range
from tests.transfer.conftest import QUICK, Heard, nothing_but
from zoo_cli.transfer.events import SourceFailed, Started
from zoo_cli.transfer.fetch import Received, Settings, Wanted, fetch
from zoo_cli.transfer.hashes import Sha256
from zoo_cli.transfer.health import Health
from zoo_cli.transfer.rivals import SAMPLE_BYTES
from zoo_cli.transfer.store import Store
from zoo_cli.transfer.throttle import Throttle

BODY = random.Random(11).randbytes(6 << 20)
DIGEST = Sha256(hashlib.sha256(BODY).hexdigest())
SLOW, FAST = 2_500_000, 60_000_000  # bytes a second of a whole host
WATCHFUL = QUICK._replace(rival_seconds=0.2, stall_seconds=5)


class Two:
    """A slow host and another one, each with the file; what they sent is counted."""

    def __init__(self, slow: Server, other: Server) -> None:
        self.slow, self.other = slow, other
        self.sent = {slow: 0, other: 0}
        self._lock = threading.Lock()
        self.line = Uplink(SLOW)
        self.behave(slow, self.line)
        self.behave(other, Uplink(FAST))

    def behave(self, server: Server, behaviour: Behaviour) -> None:
        def counted(exchange: Exchange) -> None:
            before = exchange.send

            def send(data: bytes | memoryview) -> None:
                before(data)
                with self._lock:
                    self.sent[server] += len(data)

            exchange.send = send  # type: ignore[method-assign]
            behaviour(exchange)

        server.always("/x.bin", counted)

    @property
    def urls(self) -> tuple[str, str]:
        return self.slow.url("/x.bin"), self.other.url("/x.bin")

    def get(self, folder: Path, settings: Settings = WATCHFUL, heard: Heard | None = None, **facts: object) -> Received:
        wanted = Wanted("x.bin", self.urls, **{"sha256": DIGEST, **facts})  # type: ignore[arg-type]
        received = fetch(wanted, folder / "x.bin", settings, heard or Heard())
        assert received.path.read_bytes() == BODY
        nothing_but(folder, "x.bin")
        return received


@pytest.fixture
def two() -> Iterator[Two]:
    with Server({"/x.bin": BODY}) as slow, Server({"/x.bin": BODY}) as other:
        yield Two(slow, other)


def test_the_faster_one_goes_on_where_the_slow_one_stands(two: Two, tmp_path: Path) -> None:
    heard = Heard()
    began = time.monotonic()
    received = two.get(tmp_path, heard=heard)
    assert time.monotonic() - began < len(BODY) / SLOW / 2
    assert received.url == two.urls[1] and received.is_mixed
    (left,) = (event for event in heard.events if isinstance(event, SourceFailed))
    assert "MB/s, the next address" in left.reason
    assert two.sent[two.other] <= len(BODY) + SAMPLE_BYTES  # what the slow one brought is not fetched again
    asked = [each.range for each in two.other.requests]
    assert asked[0] and asked[1] and not asked[1].startswith("bytes=0-")


@pytest.mark.parametrize("as_address", [False, True], ids=["path", "file address"])
def test_a_local_file_goes_on_where_a_slow_host_stands(two: Two, tmp_path: Path, as_address: bool) -> None:
    source = tmp_path / "share" / "x.bin"
    source.parent.mkdir()
    source.write_bytes(BODY)
    urls = (two.urls[0], source.as_uri() if as_address else str(source))
    heard = Heard()
    received = fetch(Wanted("x.bin", urls, sha256=DIGEST), tmp_path / "here" / "x.bin", WATCHFUL, heard)
    assert received.is_mixed and received.url == urls[1] and received.path.read_bytes() == BODY
    started = [event for event in heard.events if isinstance(event, Started)]
    assert started[-1].source == "file:" and started[-1].have_bytes > 0 and two.sent[two.slow] < len(BODY)
    nothing_but(tmp_path / "here", "x.bin")


def test_a_slow_host_with_wrong_bytes_before_a_local_file(two: Two, tmp_path: Path) -> None:
    line = two.line

    def spoiled(exchange: Exchange) -> None:
        exchange.body = b"\0" * 16 + exchange.body[16:]
        line(exchange)

    two.behave(two.slow, spoiled)
    source = tmp_path / "share.bin"
    source.write_bytes(BODY)
    wanted = Wanted("x.bin", (two.urls[0], str(source)), sha256=DIGEST)
    received = fetch(wanted, tmp_path / "x.bin", WATCHFUL)
    assert received.path.read_bytes() == BODY and not received.is_mixed


def test_a_local_file_of_another_size_is_not_gone_to(two: Two, tmp_path: Path) -> None:
    source = tmp_path / "share.bin"
    source.write_bytes(BODY + b"x")
    wanted = Wanted("x.bin", (two.urls[0], str(source)), sha256=DIGEST)
    assert fetch(wanted, tmp_path / "x.bin", WATCHFUL).url == two.urls[0]


def test_eight_digits_are_enough_and_nothing_is_not(two: Two, tmp_path: Path) -> None:
    assert two.get(tmp_path, sha256=None, prefix=DIGEST[:8]).url == two.urls[1]
    (tmp_path / "x.bin").unlink()
    two.other.requests.clear()
    assert two.get(tmp_path, sha256=None).url == two.urls[0]
    assert not two.other.requests


@pytest.mark.parametrize(
    "behaviour",
    [ignores_range, Status(404), Status(503), Stall(0, 20), Uplink(SLOW)],
    ids=["ranges ignored", "not there", "in trouble", "hangs", "as slow"],
)
def test_the_slow_one_goes_on_when_the_other_is_no_better(two: Two, tmp_path: Path, behaviour: Behaviour) -> None:
    two.behave(two.other, behaviour)
    received = two.get(tmp_path)
    assert received.url == two.urls[0] and not received.is_mixed
    assert 1 <= len(two.other.requests) <= 12
    assert all(each.range for each in two.other.requests)


def test_another_size_is_another_file(two: Two, tmp_path: Path) -> None:
    two.other.files["/x.bin"] = BODY + b"x"
    assert two.get(tmp_path).url == two.urls[0]
    assert two.other.requests


def test_wrong_bytes_of_the_faster_one_are_healed(two: Two, tmp_path: Path) -> None:
    two.other.files["/x.bin"] = BODY[:-5] + b"wrong"
    heard = Heard()
    received = two.get(tmp_path, heard=heard)
    assert received.url == two.urls[0] and not received.is_mixed
    reasons = [event.reason for event in heard.events if isinstance(event, SourceFailed)]
    assert len(reasons) == 3 and all("other bytes" in each for each in reasons[1:])  # mixed, then the faster one's own


def test_wrong_bytes_of_the_slow_one_cost_one_more_fetch_from_the_faster(two: Two, tmp_path: Path) -> None:
    line = two.line

    def spoiled(exchange: Exchange) -> None:
        exchange.body = b"\0" * 16 + exchange.body[16:]
        line(exchange)

    two.behave(two.slow, spoiled)
    received = two.get(tmp_path)
    assert received.url == two.urls[1] and not received.is_mixed
    assert len({each.client for each in two.slow.requests}) == len(two.slow.requests) and two.sent[two.slow] < len(BODY)


def test_who_was_slow_for_a_moment_is_not_left(two: Two, tmp_path: Path) -> None:
    fast = Uplink(FAST)

    def recovers(exchange: Exchange) -> None:
        two.line.bytes_per_second = 40 * FAST
        exchange.wait(0.2)  # the answer to the question comes a moment later
        fast(exchange)

    two.behave(two.other, recovers)
    received = two.get(tmp_path)
    assert received.url == two.urls[0] and not received.is_mixed
    assert len(two.other.requests) == 1


def test_back_to_the_first_when_the_other_gets_slow(two: Two, tmp_path: Path) -> None:
    other = Uplink(FAST)

    def tires(exchange: Exchange) -> None:
        if len(two.other.requests) > 1:
            other.bytes_per_second = SLOW // 2
            two.line.bytes_per_second = FAST
        other(exchange)

    two.behave(two.other, tires)
    heard = Heard()
    received = two.get(tmp_path, heard=heard)
    assert received.url == two.urls[0] and received.is_mixed
    assert len([event for event in heard.events if isinstance(event, SourceFailed)]) == 2


def test_a_limit_that_explains_the_rate_is_no_reason(two: Two, tmp_path: Path) -> None:
    two.line.bytes_per_second = FAST
    small = WATCHFUL._replace(rival_seconds=0.1, throttle=Throttle(4_000_000))
    assert two.get(tmp_path, small).url == two.urls[0]
    assert not two.other.requests
    (tmp_path / "x.bin").unlink()
    two.line.bytes_per_second = SLOW
    assert two.get(tmp_path, WATCHFUL._replace(throttle=Throttle(20_000_000))).url == two.urls[1]


def test_the_next_file_begins_with_the_faster_one(two: Two, tmp_path: Path) -> None:
    health = Health(tmp_path / "hosts.json")
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    two.get(tmp_path / "one", WATCHFUL._replace(health=health))
    assert health.ranked(two.urls) == two.urls[::-1]
    rates = dict(health.rates())
    slow, other = (f"127.0.0.1:{each.port}" for each in (two.slow, two.other))
    assert rates[slow] * 4 < rates[other]
    two.slow.requests.clear()
    two.get(tmp_path / "two", WATCHFUL._replace(health=Health(tmp_path / "hosts.json")))
    assert not two.slow.requests


def test_a_kill_after_the_change_keeps_the_bytes_of_both(two: Two, tmp_path: Path) -> None:
    two.line.bytes_per_second = 250_000
    two.behave(two.other, Uplink(2_000_000))
    environ = {**os.environ, "ZOO_CACHE": str(tmp_path / "cache"), "NO_PROXY": "*"}
    environ["XDG_STATE_HOME"] = str(tmp_path / "state")
    words = ["fetch", two.urls[0], "--mirror", two.urls[1], "-o", str(tmp_path / "x.bin"), "--sha256", DIGEST, "-q"]
    process = subprocess.Popen([sys.executable, "-m", "zoo_cli", *words], env=environ)
    two.other.wait_for_request("/x.bin", 2, 120)
    time.sleep(0.7)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = sum(two.sent.values())
    assert before < len(BODY)
    assert subprocess.run([sys.executable, "-m", "zoo_cli", *words], env=environ, check=False).returncode == 0
    assert (tmp_path / "x.bin").read_bytes() == BODY
    # Twice a sample, and what the sockets of the killed process had.
    assert sum(two.sent.values()) < len(BODY) + 2 * SAMPLE_BYTES + (1 << 20)
    nothing_but(Store(tmp_path / "cache").path_of(DIGEST).parent, DIGEST)
