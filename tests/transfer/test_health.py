"""A host that failed is asked last for a while, also by the next run; how fast hosts were is remembered for a while."""

from __future__ import annotations

import hashlib
import json
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.server import Server, Slow, Status, WrongBytes
from tests.transfer.conftest import BODY, QUICK, wanted
from zoo_cli.transfer.fetch import fetch
from zoo_cli.transfer.health import Health, Seen
from zoo_cli.transfer.sources import UNMEASURED, Mirrors, Rule
from zoo_cli.transfer.throttle import Throttle

DEAD = "http://127.0.0.1:1/a.pth"


def down_since(when: float, place: str) -> str:
    """A record of a host that failed at a time, as a run leaves it."""
    return json.dumps({place: Seen(failed=when, why="no answer", is_off=True)._asdict()})


def test_a_dead_host_is_asked_once(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "state" / "hosts.json"
    for number in range(3):
        heard: list[object] = []
        settings = QUICK._replace(health=Health(path))  # each time as a new process would
        received = fetch(wanted(DEAD, server.url("/a.pth")), tmp_path / f"{number}.pth", settings, heard.append)
        assert received.path.read_bytes() == BODY
        failed = [event for event in heard if type(event).__name__ == "SourceFailed"]
        assert len(failed) == (1 if number == 0 else 0)
    assert list(json.loads(path.read_text())) == ["127.0.0.1:1"]


@pytest.mark.parametrize(("behaviour", "is_down"), [(Status(503), True), (WrongBytes(), True), (Status(404), False)])
def test_what_says_something_about_a_host(server: Server, tmp_path: Path, behaviour: object, is_down: bool) -> None:
    health = Health(tmp_path / "hosts.json")
    with Server({"/a.pth": BODY}) as other:
        other.always("/a.pth", behaviour)  # type: ignore[arg-type]
        urls = (other.url("/a.pth"), server.url("/a.pth"))
        fetch(wanted(*urls), tmp_path / "a.pth", QUICK._replace(health=health))
        assert health.ranked(urls) == (urls[::-1] if is_down else urls)


def test_who_delivers_is_taken_back_and_time_heals(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "hosts.json"
    urls = (server.url("/a.pth"), DEAD)
    place = f"127.0.0.1:{server.port}"
    path.write_text(down_since(time.time() - 60, place))
    health = Health(path)
    assert health.ranked(urls) == urls[::-1]
    fetch(wanted(*urls), tmp_path / "a.pth", QUICK._replace(health=health))
    assert health.ranked(urls) == urls
    for when in (time.time() - 3600, time.time() + 10 * 365 * 86400):  # long ago; before the clock was moved back
        path.write_text(down_since(when, place))
        assert Health(path).ranked(urls) == urls


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"127.0.0.1:1": "x"}', '{"127.0.0.1:1": true}', "[" * 9999, '{"127.0.0.1:1": {"rate": -1}}',
     '{"127.0.0.1:1": {"failed": 1, "why": "", "is_off": true, "rate": 0.001, "measured": 1e999}}'],
)  # fmt: skip
def test_a_damaged_record_costs_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "hosts.json"
    path.write_text(text)
    assert Health(path).ranked((DEAD, "http://b/")) == (DEAD, "http://b/")
    assert Health(tmp_path / "none").ranked((DEAD,)) == (DEAD,)


FAST, SLOW = "https://fast.example/x", "https://slow.example/x"


def test_what_a_host_brought_is_remembered_and_forgotten(tmp_path: Path) -> None:
    path, now = tmp_path / "hosts.json", time.time()
    Health(path).brought(SLOW, 4 << 20, 40.0)
    seen = Health(path).of(SLOW)  # as the next run reads it
    assert seen.rate == pytest.approx((4 << 20) / 40, rel=0.01)
    assert seen.estimate(now) == pytest.approx(seen.rate, rel=0.01)
    days = [seen.estimate(now + day * 86400) for day in (0, 1, 2, 7, 30)]
    assert days == sorted(days) and days[-1] == pytest.approx(UNMEASURED, rel=0.01)
    assert seen.estimate(now - 30 * 86400) == pytest.approx(UNMEASURED, rel=0.01)  # the clock was moved back
    Health(path).brought(SLOW, 4 << 20, 0.4)  # it became a hundred times as fast: that counts half at once
    assert Health(path).of(SLOW).rate == pytest.approx(10 * seen.rate, rel=0.05)
    Health(path).brought(FAST, 1000, 0.0001)  # too little to tell
    assert Health(path).of(FAST).rate == 0


def test_a_small_change_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "hosts.json"
    health = Health(path)
    health.brought(FAST, 4 << 20, 1.0)
    before = path.stat().st_mtime_ns
    for _ in range(10_000):
        health.brought(FAST, 4 << 20, 1.05)
        health.worked(FAST)
    assert path.stat().st_mtime_ns == before


def test_transfers_are_measured_unless_they_are_held_back(server: Server, tmp_path: Path) -> None:
    body = BODY * 4
    digest = hashlib.sha256(body).hexdigest()
    with Server({"/a.pth": body}) as other:
        for throttle in (Throttle(100_000_000), None):
            health = Health(tmp_path / "hosts.json")
            urls = (other.url("/a.pth"), server.url("/none"))
            fetch(
                wanted(*urls, sha256=digest),
                tmp_path / f"{throttle}.pth",
                QUICK._replace(health=health, throttle=throttle),
            )
            assert (health.of(urls[0]).rate > 0) == (throttle is None)


def test_the_fastest_goes_first_only_where_the_user_said_so() -> None:
    rates = (("fast.example", 50e6), ("slow.example", 90e3), ("original.example", 1e6))
    start, url = "https://original.example", "https://original.example/x"
    rule = Rule(start, ("https://slow.example", "https://fast.example", "https://new.example"))
    listed = (SLOW, FAST, "https://new.example/x", url)
    assert Mirrors((rule,), rates=rates).addresses(url, "wheels") == listed
    ranked = (FAST, "https://new.example/x", url, SLOW)  # a host that nobody measured is tried before a slow one
    fastest = rule._replace(order="fastest")
    assert Mirrors((fastest,), rates=rates).addresses(url, "wheels") == ranked
    assert Mirrors((fastest,)).addresses(url, "wheels") == listed
    named = Rule(start, ("https://slow.example",), source="--mirror")
    assert Mirrors((named, fastest), rates=rates).addresses(url, "wheels") == (SLOW, *ranked[:-1])


@given(st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.floats(1, 1e12)))
def test_law_measuring_changes_the_order_and_nothing_else(rates: dict[str, float]) -> None:
    rule = Rule("https://d", ("https://a", "https://b", "https://c"), order="fastest")
    found = Mirrors((rule,), rates=tuple(rates.items())).addresses("https://d/x", "wheels")
    assert sorted(found) == [f"https://{host}/x" for host in "abcd"]
    speeds = [rates.get(url[8], UNMEASURED) for url in found]
    assert all(before * 2 > after for before, after in pairwise(speeds))


def test_a_mirror_that_became_slow_is_left_for_a_faster_one(tmp_path: Path) -> None:
    """Over three runs: the first of the list is slow, the second fast, and both are known after having been asked."""
    body = BODY * 4
    digest = hashlib.sha256(body).hexdigest()
    with Server({"/x": body}) as slow, Server({"/x": body}) as fast:
        slow.always("/x", Slow(1_600_000))
        rule = Rule("https://gone.example", (slow.url("").rstrip("/"), fast.url("").rstrip("/")), order="fastest")
        path = tmp_path / "hosts.json"
        for number in range(3):
            urls = Mirrors((rule,), rates=Health(path).rates()).addresses("https://gone.example/x", "wheels")
            settings = QUICK._replace(health=Health(path), connections=1, stall_seconds=5)
            fetch(wanted(*urls, sha256=digest), tmp_path / str(number), settings)
        assert (len(slow.requests), len(fast.requests)) == (1, 2)
