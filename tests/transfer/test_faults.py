"""Servers that misbehave: the right file or one clean error, in bounded time, nothing wrong under the final name."""

from __future__ import annotations

import time
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.support.server import (
    Behaviour,
    Chunked,
    Cut,
    Endless,
    HtmlPage,
    OtherFile,
    Raw,
    Redirect,
    Server,
    Stall,
    Status,
    Trickle,
    TrickleHead,
    WrongBytes,
    WrongContentRange,
    honest,
    ignores_range,
)
from tests.transfer.conftest import BODY, DIGEST, QUICK, Heard, nothing_but, wanted
from zoo_cli.errors import ZooError
from zoo_cli.transfer.events import Started
from zoo_cli.transfer.failures import (
    AllSourcesFailed,
    BadAnswer,
    CutShort,
    HashMismatch,
    HttpFailed,
    NotTheFile,
    RedirectRefused,
    SizeMismatch,
    Stalled,
    TookTooLong,
    TooLarge,
    Unreachable,
)
from zoo_cli.transfer.fetch import fetch
from zoo_cli.transfer.http import retry_after
from zoo_cli.transfer.part import part_path
from zoo_cli.transfer.resume import State

ONCE = QUICK._replace(retries=0)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"

# What each does once, before the server is honest again: the right file must come out.
HEALED: dict[str, tuple[Behaviour, ...]] = {
    "cut": (Cut(100_000),),
    "cut at once": (Cut(0),),
    "cut three times": (Cut(100_000), Cut(100_000), Cut(100_000)),
    "reset": (Cut(100_000, reset=True),),
    "stall": (Stall(100_000),),
    "stall before the body": (Stall(0),),
    "trickle": (Trickle(after=100_000),),
    "trickling head": (TrickleHead(),),
    "closed without an answer": (Raw(b""),),
    "no HTTP": (Raw(b"SSH-2.0-OpenSSH\r\n"),),
    "endless head": (Raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500),),
    "chunks cut": (Chunked(1000, cut_after=50),),
    "broken chunks": (Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc"),),
    "close-delimited and cut": (Raw(b"HTTP/1.0 200 OK\r\n\r\n" + BODY[:1000]),),
    "wrong length, too long": (Raw(HEAD % (len(BODY) - 5) + BODY),),
    "negative length": (Raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n" + BODY),),
    "two lengths": (Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n" + BODY),),
    "encoded though not asked": (Raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"),),
    "one byte flipped": (WrongBytes(5),),
    "503 with a wait": (Status(503, {"Retry-After": "0"}),),
    "503, 500, 429": (Status(503), Status(500), Status(429)),
    "206 though the whole was asked": (WrongContentRange(),),
    "cut, then range ignored": (Cut(100_000), ignores_range),
    "cut, then wrong range": (Cut(100_000), WrongContentRange()),
    "cut, then a range of nothing": (Cut(100_000), WrongContentRange("bytes */*")),
    "cut, then no range possible": (Cut(100_000), Status(416)),
    "cut, then another file": (Cut(100_000), OtherFile(BODY[::-1])),
    "cut, then a flipped byte in the rest": (Cut(100_000), WrongBytes(200_000)),
}


@pytest.mark.parametrize("name", HEALED)
def test_a_fault_that_passes_is_healed(name: str, server: Server, tmp_path: Path) -> None:
    server.misbehave("/a.pth", *HEALED[name])
    received = fetch(wanted(server.url("/a.pth")), tmp_path / "a.pth", QUICK)
    assert received.path.read_bytes() == BODY and received.sha256 == DIGEST
    nothing_but(tmp_path, "a.pth")


# What each does always: one clean error, and with another address the right file all the same.
LASTING: dict[str, tuple[Behaviour, type[ZooError]]] = {
    "404": (Status(404), HttpFailed),
    "403": (Status(403), HttpFailed),
    "503": (Status(503), HttpFailed),
    "503 for an hour": (Status(503, {"Retry-After": "3600"}), HttpFailed),
    "html page": (HtmlPage(), NotTheFile),
    "html page under another type": (HtmlPage("application/octet-stream"), NotTheFile),
    "stall": (Stall(10), Stalled),
    "trickle": (Trickle(), Stalled),
    "trickling head": (TrickleHead(), ZooError),
    "empty answer": (Raw(b""), CutShort),
    "garbage": (Raw(b"\x00\xff" * 50), BadAnswer),
    "cut at once": (Cut(0), CutShort),
    "wrong bytes": (WrongBytes(1000), HashMismatch),
    "another file": (OtherFile(b"x" * len(BODY)), HashMismatch),
    "declared too long": (Raw(HEAD % (len(BODY) + 1) + BODY + b"x"), SizeMismatch),
    "declared too short": (Raw(HEAD % 10 + BODY[:10]), SizeMismatch),
    "endless with a length": (Endless(10**17), SizeMismatch),
    "redirect loop": (Redirect("/a.pth"), RedirectRefused),
    "redirect to a file": (Redirect("file:///etc/hostname"), RedirectRefused),
    "redirect to metadata": (Redirect("http://169.254.169.254/latest"), ZooError),
    "redirect to nowhere": (Redirect("http://:0/"), RedirectRefused),
    "encoded": (Raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\nabc"), BadAnswer),
}


@pytest.mark.parametrize("name", LASTING)
def test_a_lasting_fault_is_one_clean_error(name: str, server: Server, tmp_path: Path) -> None:
    behaviour, kind = LASTING[name]
    server.always("/a.pth", behaviour)
    started = time.monotonic()
    with pytest.raises(kind):
        fetch(wanted(server.url("/a.pth"), size_bytes=len(BODY)), tmp_path / "a.pth", QUICK._replace(retries=1))
    assert time.monotonic() - started < 10
    assert not (tmp_path / "a.pth").exists()


@pytest.mark.parametrize("name", LASTING)
def test_another_address_takes_over(name: str, server: Server, tmp_path: Path) -> None:
    server.always("/a.pth", LASTING[name][0])
    urls = (server.url("/a.pth"), server.url("/b.pth"))
    received = fetch(wanted(*urls, size_bytes=len(BODY)), tmp_path / "a.pth", QUICK)
    assert received.path.read_bytes() == BODY and received.url == urls[1]
    nothing_but(tmp_path, "a.pth")


def test_only_the_rest_is_fetched_after_a_cut(server: Server, tmp_path: Path) -> None:
    server.misbehave("/a.pth", Cut(300_000))
    heard = Heard()
    fetch(wanted(server.url("/a.pth"), sha256=None), tmp_path / "a.pth", QUICK, heard)
    first, second = server.requests_for("/a.pth")
    assert first.range is None and second.range == "bytes=300000-"
    assert second.headers["if-range"].startswith('"')
    assert [event.have_bytes for event in heard.of(Started) if isinstance(event, Started)] == [0, 300_000]


def test_another_host_sends_the_rest_when_a_digest_decides(server: Server, tmp_path: Path) -> None:
    server.misbehave("/a.pth", Cut(300_000))
    fetch(wanted(server.url("/a.pth"), server.url("/b.pth")), tmp_path / "a.pth", QUICK)
    other = server.requests_for("/b.pth")[0]
    assert other.range == "bytes=300000-" and "if-range" not in other.headers


def test_without_a_digest_another_host_starts_from_zero(server: Server, tmp_path: Path) -> None:
    server.files["/b.pth"] = BODY[::-1]
    server.misbehave("/a.pth", Cut(300_000))
    fetch(wanted(server.url("/a.pth"), server.url("/b.pth"), sha256=None), tmp_path / "a.pth", QUICK)
    assert server.requests_for("/b.pth")[0].range is None
    assert (tmp_path / "a.pth").read_bytes() == BODY[::-1]  # one version, never a mixture


def test_a_file_that_changed_between_two_tries_is_fetched_whole(server: Server, tmp_path: Path) -> None:
    server.misbehave("/a.pth", Cut(300_000))
    other = BODY[::-1]
    server.misbehave("/a.pth", OtherFile(other))
    fetch(wanted(server.url("/a.pth"), sha256=None), tmp_path / "a.pth", QUICK)
    assert (tmp_path / "a.pth").read_bytes() == other


def test_kept_bytes_that_somebody_changed_are_found_and_dropped(server: Server, tmp_path: Path) -> None:
    server.misbehave("/a.pth", Cut(300_000))
    with pytest.raises(CutShort):
        fetch(wanted(server.url("/a.pth")), tmp_path / "a.pth", ONCE)
    part = part_path(tmp_path / "a.pth")
    part.write_bytes(b"?" + part.read_bytes()[1:])
    fetch(wanted(server.url("/a.pth")), tmp_path / "a.pth", QUICK)
    assert (tmp_path / "a.pth").read_bytes() == BODY
    assert [each.range for each in server.requests] == [None, "bytes=300000-", None]


@pytest.mark.parametrize("state", [b"", b"[]", b"{", b'{"url": 1}', b"\xff", b'{"url":"x","more":1}', b"[" * 100_000])
def test_a_part_of_unknown_origin_is_started_over(state: bytes, server: Server, tmp_path: Path) -> None:
    part = part_path(tmp_path / "a.pth")
    part.write_bytes(b"unknown" * 1000)
    part.with_name(part.name + ".json").write_bytes(state)
    fetch(wanted(server.url("/a.pth"), sha256=None), tmp_path / "a.pth", QUICK)
    assert (tmp_path / "a.pth").read_bytes() == BODY and server.requests[0].range is None
    nothing_but(tmp_path, "a.pth")


def test_a_link_in_place_of_the_part_is_not_followed(server: Server, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    part_path(tmp_path / "a.pth").symlink_to(victim)
    fetch(wanted(server.url("/a.pth")), tmp_path / "a.pth", QUICK)
    assert victim.read_bytes() == b"mine"
    part_path(tmp_path / "b.pth").hardlink_to(victim)
    fetch(wanted(server.url("/a.pth")), tmp_path / "b.pth", QUICK)
    assert victim.read_bytes() == b"mine"


def test_a_complete_part_needs_no_bytes(server: Server, tmp_path: Path) -> None:
    part = part_path(tmp_path / "a.pth")
    part.write_bytes(BODY)
    part.with_name(part.name + ".json").write_bytes(State(server.url("/a.pth"), digest=DIGEST).to_json())
    fetch(wanted(server.url("/a.pth")), tmp_path / "a.pth", QUICK)
    assert [each.range for each in server.requests] == [f"bytes={len(BODY)}-"]  # answered 416: it is complete
    part.write_bytes(BODY)
    part.with_name(part.name + ".json").write_bytes(State(server.url("/a.pth"), digest=DIGEST).to_json())
    fetch(wanted(server.url("/a.pth"), size_bytes=len(BODY)), tmp_path / "b.pth", QUICK)
    part.rename(part_path(tmp_path / "c.pth"))
    part.with_name(part.name + ".json").rename(part_path(tmp_path / "c.pth").with_suffix(".zoo-part.json"))
    before = len(server.requests)
    fetch(wanted(server.url("/a.pth"), size_bytes=len(BODY)), tmp_path / "c.pth", QUICK)
    assert len(server.requests) == before  # killed between the last byte and the final name


@pytest.mark.parametrize("kept", [BODY, BODY[::-1]], ids=["right", "damaged"])
def test_a_complete_part_is_known_by_the_size_that_the_server_said(server: Server, tmp_path: Path, kept: bytes) -> None:
    part = part_path(tmp_path / "a.pth")
    part.write_bytes(kept)
    state = State(server.url("/a.pth"), size_bytes=len(BODY), digest=DIGEST)
    part.with_name(part.name + ".json").write_bytes(state.to_json())
    once = QUICK._replace(retries=0)
    assert fetch(wanted(server.url("/a.pth")), tmp_path / "a.pth", once).sha256 == DIGEST
    assert [each.range for each in server.requests] == ([] if kept == BODY else [None])
    nothing_but(tmp_path, "a.pth")


def test_the_same_wrong_bytes_are_not_fetched_for_ever(server: Server, tmp_path: Path) -> None:
    server.files["/a.pth"] = server.files["/b.pth"] = BODY[::-1]
    with pytest.raises(HashMismatch) as single:
        fetch(wanted(server.url("/a.pth")), tmp_path / "a.pth", QUICK)
    assert len(server.requests) == 2 and single.value.exit_code == 6
    with pytest.raises(AllSourcesFailed) as both:
        fetch(wanted(server.url("/a.pth"), server.url("/b.pth")), tmp_path / "a.pth", QUICK)
    assert len(server.requests) == 4 and both.value.exit_code == 6
    nothing_but(tmp_path)


def test_a_prefix_that_differs_is_a_mismatch(server: Server, tmp_path: Path) -> None:
    with pytest.raises(HashMismatch) as caught:
        fetch(wanted(server.url("/a.pth"), sha256=None, prefix="00000000"), tmp_path / "a.pth", QUICK)
    assert caught.value.basis == "prefix" and caught.value.received == DIGEST
    nothing_but(tmp_path)


def test_an_endless_body_is_stopped(server: Server, tmp_path: Path) -> None:
    server.always("/a.pth", Endless())
    with pytest.raises(TooLarge):
        fetch(wanted(server.url("/a.pth"), sha256=None, max_bytes=3_000_000), tmp_path / "a.pth", QUICK)
    with pytest.raises(SizeMismatch):
        fetch(wanted(server.url("/a.pth"), sha256=None, size_bytes=1000), tmp_path / "a.pth", QUICK)
    nothing_but(tmp_path)
    # Up to the known size it is the right file: the digest says so, the rest is not read.
    fetch(wanted(server.url("/a.pth"), size_bytes=len(BODY)), tmp_path / "a.pth", QUICK)
    assert (tmp_path / "a.pth").read_bytes() == BODY


def test_an_html_page_may_be_what_is_wanted(server: Server, tmp_path: Path) -> None:
    server.always("/a.pth", HtmlPage())
    page = wanted(server.url("/a.pth"), sha256=None)._replace(name="index.html")
    assert fetch(page, tmp_path / "index.html", QUICK).size_bytes == len(HtmlPage().body)


def test_the_total_time_is_a_limit(server: Server, tmp_path: Path) -> None:
    server.always("/a.pth", Trickle(piece=2000, every=0.05))
    started = time.monotonic()
    with pytest.raises(TookTooLong):
        fetch(wanted(server.url("/a.pth")), tmp_path / "a.pth", QUICK._replace(total_seconds=0.5))
    assert time.monotonic() - started < 3
    server.always("/a.pth", Status(503, {"Retry-After": "30"}))
    with pytest.raises(TookTooLong):
        fetch(wanted(server.url("/a.pth")), tmp_path / "b.pth", QUICK._replace(total_seconds=1))
    assert time.monotonic() - started < 4


def test_what_a_server_may_say_of_waiting() -> None:
    date = "Mon, 23 Nov 2026 20:00:00 GMT"
    assert [retry_after(text, date) for text in ("0", "7", "Mon, 23 Nov 2026 20:01:00 GMT")] == [0, 7, 60]
    assert (retry_after("9" * 30) or 0) > 1e9 and retry_after("Mon, 23 Nov 2015 20:01:00 GMT", date) == 0
    assert [retry_after(text, date) for text in (None, "", "-5", "1.5", "soon", "9" * 5000)] == [None] * 6


def test_retry_after_is_waited_for(server: Server, tmp_path: Path) -> None:
    date = formatdate(time.time() + 1.5, usegmt=True)
    server.misbehave("/a.pth", Status(503, {"Retry-After": "1"}), Status(429, {"Retry-After": date}))
    started = time.monotonic()
    fetch(wanted(server.url("/a.pth")), tmp_path / "a.pth", QUICK)
    assert 1.0 < time.monotonic() - started < 8


def test_a_large_file_that_is_cut_again_and_again_arrives(tmp_path: Path) -> None:
    """Progress is not counted as failure: with one retry, six cuts are survived."""
    body = BODY * 28  # 10.7 MB
    with Server({"/big": body}) as server:
        server.misbehave("/big", *[Cut(1_600_000)] * 6)
        received = fetch(wanted(server.url("/big"), sha256=None), tmp_path / "big", ONCE)
    assert received.path.read_bytes() == body
    assert len(server.requests) == 7


def test_a_name_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(Unreachable) as caught:
        fetch(wanted("http://no-such-host.invalid/x"), tmp_path / "a.pth", ONCE)
    assert "look up" in caught.value.doing


@pytest.mark.parametrize("behaviour", [honest, Chunked(700), Trickle(piece=40_000, every=0)])
def test_every_way_of_sending_gives_the_same_file(behaviour: Behaviour, server: Server, tmp_path: Path) -> None:
    server.always("/a.pth", behaviour)
    assert fetch(wanted(server.url("/a.pth"), sha256=None), tmp_path / "a.pth", QUICK).sha256 == DIGEST
