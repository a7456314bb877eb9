"""A host that failed is asked last for a while, also by the next run."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.server import Server, Status, WrongBytes
from tests.transfer.conftest import BODY, QUICK, wanted
from zoo_cli.transfer.fetch import fetch
from zoo_cli.transfer.health import Health

DEAD = "http://127.0.0.1:1/a.pth"


def test_a_dead_host_is_asked_once(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "state" / "hosts.json"
    for number in range(3):
        heard: list[object] = []
        settings = replace(QUICK, health=Health(path))  # each time as a new process would
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
        fetch(wanted(*urls), tmp_path / "a.pth", replace(QUICK, health=health))
        assert health.ranked(urls) == (urls[::-1] if is_down else urls)


def test_who_delivers_is_taken_back_and_time_heals(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "hosts.json"
    urls = (server.url("/a.pth"), DEAD)
    place = f"127.0.0.1:{server.port}"
    path.write_text(json.dumps({place: time.time() - 60}))
    health = Health(path)
    assert health.ranked(urls) == urls[::-1]
    fetch(wanted(*urls), tmp_path / "a.pth", replace(QUICK, health=health))
    assert health.ranked(urls) == urls
    for when in (time.time() - 3600, time.time() + 10 * 365 * 86400):  # long ago; before the clock was moved back
        path.write_text(json.dumps({place: when}))
        assert Health(path).ranked(urls) == urls


@pytest.mark.parametrize("text", ["", "[]", "{", '{"127.0.0.1:1": "x"}', '{"127.0.0.1:1": true}', "[" * 9999])
def test_a_damaged_record_costs_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "hosts.json"
    path.write_text(text)
    assert Health(path).ranked((DEAD, "http://b/")) == (DEAD, "http://b/")
    assert Health(tmp_path / "none").ranked((DEAD,)) == (DEAD,)
