"""The engine against a server that behaves: what is fetched, what is not fetched again, what it rests on."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from tests.support.server import Chunked, Cut, Page, Raw, Redirect, Server, Slow, Status
from tests.transfer.conftest import BODY, DIGEST, QUICK, Heard, nothing_but, wanted
from zoo_cli.transfer.events import Advanced, Finished, Noted, SourceFailed, Started
from zoo_cli.transfer.failures import (
    AllSourcesFailed,
    BadAddress,
    DestinationExists,
    DestinationUnusable,
    HttpFailed,
    LocalFileFailed,
    NoSpace,
    OfflineRefused,
    TookTooLong,
)
from zoo_cli.transfer.fetch import Settings, Wanted, fetch
from zoo_cli.transfer.hashes import Sha256
from zoo_cli.transfer.part import Part, sweep
from zoo_cli.transfer.resume import State
from zoo_cli.transfer.store import Store


def test_a_file_arrives_and_is_told(server: Server, tmp_path: Path) -> None:
    heard = Heard()
    received = fetch(wanted(server.url("/a.pth"), size_bytes=len(BODY)), tmp_path / "x" / "a.pth", QUICK, heard)
    assert received.path.read_bytes() == BODY
    assert (received.size_bytes, received.sha256, received.evidence) == (len(BODY), DIGEST, "locked")
    assert received.url == server.url("/a.pth") and not received.already_here
    nothing_but(tmp_path / "x", "a.pth")
    assert isinstance(heard.events[0], Started) and isinstance(heard.events[-1], Finished)
    advanced = [event.have_bytes for event in heard.of(Advanced) if isinstance(event, Advanced)]
    assert advanced == sorted(advanced) and advanced[-1] == len(BODY)
    headers = server.requests[0].headers
    assert headers["accept-encoding"] == "identity" and headers["user-agent"].startswith("zoo/")


def test_a_right_file_that_is_here_costs_no_bytes(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(BODY)
    received = fetch(wanted(server.url("/a.pth")), path, QUICK)
    assert received.already_here and received.evidence == "locked"
    assert fetch(wanted(server.url("/a.pth"), sha256=None, prefix=DIGEST[:8]), path, QUICK).evidence == "prefix"
    assert server.requests == []


def test_what_a_file_rests_on(server: Server, tmp_path: Path) -> None:
    url = server.url("/a.pth")
    for facts, evidence in (
        ({"basis": "signed"}, "signed"),
        ({"basis": "given", "prefix": DIGEST[:8]}, "given"),
        ({"sha256": None, "prefix": DIGEST[:8]}, "prefix"),
        ({"sha256": None, "prefix": None}, "none"),
    ):
        assert fetch(wanted(url, **facts), tmp_path / evidence, QUICK).evidence == evidence


def test_another_file_at_the_destination_stays_unless_asked(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(b"mine")
    for facts in ({}, {"sha256": None}):
        with pytest.raises(DestinationExists):
            fetch(wanted(server.url("/a.pth"), **facts), path, QUICK)
    assert server.requests == [] and path.read_bytes() == b"mine"
    server.misbehave("/a.pth", Status(404))
    with pytest.raises(HttpFailed):
        fetch(wanted(server.url("/a.pth")), path, QUICK, replace=True)
    assert path.read_bytes() == b"mine"  # an old file survives a failure
    fetch(wanted(server.url("/a.pth")), path, QUICK, replace=True)
    assert path.read_bytes() == BODY
    nothing_but(tmp_path, "a.pth")


def test_a_link_at_the_destination_is_replaced_and_its_target_stays(server: Server, tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"mine")
    (tmp_path / "a.pth").symlink_to(tmp_path / "target")
    (tmp_path / "b.pth").symlink_to(tmp_path / "dangling")
    fetch(wanted(server.url("/a.pth")), tmp_path / "a.pth", QUICK, replace=True)
    fetch(wanted(server.url("/a.pth")), tmp_path / "b.pth", QUICK)
    assert (tmp_path / "target").read_bytes() == b"mine"
    assert not (tmp_path / "a.pth").is_symlink() and not (tmp_path / "b.pth").is_symlink()
    nothing_but(tmp_path, "a.pth", "b.pth", "target")


def test_a_file_has_ordinary_permissions(server: Server, tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        fetch(wanted(server.url("/a.pth")), tmp_path / "a.pth", QUICK)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a.pth").stat().st_mode) == 0o644


def test_destinations_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path, tmp_path / "file" / "x", tmp_path / ("n" * 300), Path("/proc/none/x")):
        with pytest.raises(DestinationUnusable):
            fetch(wanted(server.url("/a.pth")), path, QUICK)
    with pytest.raises(DestinationUnusable, match="does not exist"):
        fetch(wanted(server.url("/a.pth")), tmp_path / "none" / "x", QUICK, make_directory=False)
    assert server.requests == []


@pytest.mark.skipif(not Path("/sys").is_dir(), reason="needs a file system nobody can write, root included")
def test_a_read_only_directory_is_told(server: Server) -> None:
    with pytest.raises(DestinationUnusable, match=r"Permission denied|Read-only"):
        fetch(wanted(server.url("/a.pth")), Path("/sys/a.pth"), QUICK)
    assert server.requests == []


def test_a_file_larger_than_the_disk_is_not_begun(server: Server, tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 900000000000000\r\n\r\nxxxx"
    server.misbehave("/a.pth", Raw(head))
    with pytest.raises(NoSpace) as caught:
        fetch(wanted(server.url("/a.pth"), sha256=None, max_bytes=10**18), tmp_path / "a.pth", QUICK)
    assert (caught.value.needed_bytes or 0) > 10**14
    nothing_but(tmp_path)


def test_a_long_name_gets_a_part_file_all_the_same(server: Server, tmp_path: Path) -> None:
    name = "n" * 250
    fetch(wanted(server.url("/a.pth")), tmp_path / name, QUICK)
    nothing_but(tmp_path, name)


def test_a_local_file_and_a_file_address_are_sources_too(tmp_path: Path) -> None:
    source = tmp_path / "s+s.bin"
    source.write_bytes(BODY)
    for number, url in enumerate((str(source), source.as_uri())):
        received = fetch(wanted(url), tmp_path / f"out{number}", QUICK._replace(offline=True))
        assert received.path.read_bytes() == BODY
    with pytest.raises(LocalFileFailed, match="No such file"):
        fetch(wanted(str(tmp_path / "none")), tmp_path / "x", QUICK)
    with pytest.raises(LocalFileFailed, match="directory"):
        fetch(wanted(str(tmp_path)), tmp_path / "x", QUICK)


def test_what_has_no_size_of_its_own_is_no_source(tmp_path: Path) -> None:
    """Each of them says that it has 0 bytes."""
    os.mkfifo(tmp_path / "pipe")
    for source in filter(os.path.lexists, (str(tmp_path / "pipe"), "/dev/zero", "/proc/self/status")):
        with pytest.raises(LocalFileFailed, match=r"no plain file|more bytes than its size says"):
            fetch(Wanted("x", (source,)), tmp_path / "x", QUICK)
    nothing_but(tmp_path, "pipe")


def test_a_wait_in_vain_is_told_and_leaves_the_other_one_alone(server: Server, tmp_path: Path) -> None:
    """The part of the one who has the lock is empty still: nobody removes it under its feet."""
    impatient, store = QUICK._replace(total_seconds=0.3), Store(tmp_path / "cache")
    with Part(tmp_path / "a.pth", lambda: None) as other, Part(store.prepare(DIGEST), lambda: None) as storing:
        for destination in ("a.pth", "b.pth"):
            with pytest.raises(TookTooLong):
                fetch(wanted(server.url("/a.pth")), tmp_path / destination, impatient, store=store)
        sweep(tmp_path / "a.pth")
        fetch(wanted(server.url("/a.pth"), sha256=None), tmp_path / "c.pth", QUICK, store=store)
        for part in (other, storing):
            part.write(memoryview(BODY))
            assert part.publish(replace=False)
    assert (tmp_path / "a.pth").read_bytes() == BODY == store.path_of(DIGEST).read_bytes()
    nothing_but(tmp_path, "a.pth", "c.pth", "cache")


def test_a_copy_that_was_cut_off_is_gone_on_with(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(BODY)
    (tmp_path / "here").mkdir()
    with Part(tmp_path / "here" / "x", lambda: None) as part:
        part.start(State(str(source), None, None, len(BODY), DIGEST))
        part.write(memoryview(BODY)[:1000])
    heard = Heard()
    fetch(wanted(str(source)), tmp_path / "here" / "x", QUICK, heard)
    assert [event.have_bytes for event in heard.events if isinstance(event, Started)] == [1000]
    nothing_but(tmp_path / "here", "x")


def test_offline_makes_no_connection(server: Server, tmp_path: Path) -> None:
    with pytest.raises(OfflineRefused):
        fetch(wanted(server.url("/a.pth")), tmp_path / "a.pth", QUICK._replace(offline=True))
    assert server.requests == []
    nothing_but(tmp_path)


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    with Server({"/e": b""}) as server:
        empty = Sha256(hashlib.sha256(b"").hexdigest())
        assert fetch(Wanted("e", (server.url("/e"),), sha256=empty), tmp_path / "e", QUICK).size_bytes == 0
    assert (tmp_path / "e").read_bytes() == b""


def test_chunks_and_a_body_that_ends_with_the_connection(server: Server, tmp_path: Path) -> None:
    server.misbehave("/a.pth", Chunked(999), Raw(b"HTTP/1.0 200 OK\r\n\r\n" + BODY))
    for name in ("chunks", "close"):
        assert fetch(wanted(server.url("/a.pth")), tmp_path / name, QUICK).size_bytes == len(BODY)


def test_early_hints_are_not_the_answer(server: Server, tmp_path: Path) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 2
    server.misbehave("/a.pth", Raw(hints + b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY))
    assert fetch(wanted(server.url("/a.pth")), tmp_path / "a.pth", QUICK).sha256 == DIGEST


def test_the_next_address_takes_over_and_failures_are_told(server: Server, tmp_path: Path) -> None:
    heard = Heard()
    urls = (server.url("/none"), "http://127.0.0.1:1/x", server.url("/a.pth"))
    received = fetch(wanted(*urls), tmp_path / "a.pth", QUICK, heard)
    assert received.url == server.url("/a.pth")
    reasons = [event.reason for event in heard.of(SourceFailed) if isinstance(event, SourceFailed)]
    assert len(reasons) == 2 and "404" in reasons[0] and "refused" in reasons[1]
    with pytest.raises(AllSourcesFailed) as caught:
        fetch(wanted(*urls[:2]), tmp_path / "b.pth", QUICK._replace(retries=0))
    assert [each.code for each in caught.value.failures] == ["http-status", "network"]
    assert caught.value.exit_code == 5


def test_an_address_that_cannot_be_read_is_a_mistake(server: Server, tmp_path: Path) -> None:
    for urls in ((), ("ftp://x/y",), (server.url("/a.pth"), "http://")):
        with pytest.raises(BadAddress):
            fetch(wanted(*urls), tmp_path / "a.pth", QUICK)
    assert server.requests == []


def test_credentials_stay_at_their_origin(server: Server, tmp_path: Path) -> None:
    with Server({"/a.pth": BODY}) as other:
        server.misbehave("/a.pth", Redirect("/b.pth"))
        server.misbehave("/b.pth", Redirect(other.url("/a.pth")))
        url = server.url("/a.pth").replace("http://", "http://me:secret@")
        received = fetch(wanted(url), tmp_path / "a.pth", QUICK)
        assert ["authorization" in each.headers for each in server.requests] == [True, True]
        assert "authorization" not in other.requests[0].headers
    assert "secret" not in repr(received)


def test_two_threads_fetch_one_file_once(server: Server, tmp_path: Path) -> None:
    """Two processes do the same: the lock is on the open file, not on the process (see test_kill.py)."""
    server.always("/a.pth", Slow(1_500_000))
    heard, results = Heard(), []

    def run() -> None:
        results.append(fetch(wanted(server.url("/a.pth"), sha256=None), tmp_path / "a.pth", QUICK, heard))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.already_here for each in results) == [False, True, True]
    assert len(server.requests) == 1 and len(heard.of(Noted)) >= 2
    nothing_but(tmp_path, "a.pth")


def test_the_listener_and_the_limits_have_defaults(server: Server, tmp_path: Path) -> None:
    server.files["/r.pth"] = Page(BODY, "application/octet-stream")
    started = time.monotonic()
    assert fetch(wanted(server.url("/r.pth")), tmp_path / "r.pth").sha256 == DIGEST
    assert time.monotonic() - started < Settings().connect_seconds


def test_a_cut_body_with_nothing_to_check_it_against_is_not_kept(server: Server, tmp_path: Path) -> None:
    server.always("/a.pth", Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n" + BODY))
    with pytest.raises(Exception, match="cut-short"):
        fetch(wanted(server.url("/a.pth"), sha256=None), tmp_path / "a.pth", QUICK._replace(retries=1))
    nothing_but(tmp_path)


def test_a_cut_body_that_can_be_gone_on_from_is_kept_hidden(server: Server, tmp_path: Path) -> None:
    server.always("/a.pth", Cut(1000))
    with pytest.raises(Exception, match="cut-short"):
        fetch(wanted(server.url("/a.pth")), tmp_path / "a.pth", QUICK._replace(retries=0))
    nothing_but(tmp_path, ".a.pth.zoo-part", ".a.pth.zoo-part.json")


def test_a_file_that_appears_meanwhile_is_not_overwritten(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"

    def somebody(event: object) -> None:
        if isinstance(event, Started):
            path.write_bytes(b"mine")

    with pytest.raises(DestinationExists):
        fetch(wanted(server.url("/a.pth")), path, QUICK, somebody)
    assert path.read_bytes() == b"mine"
    fetch(wanted(server.url("/a.pth")), path, QUICK, somebody, replace=True)
    assert path.read_bytes() == BODY


def test_a_file_of_many_blocks_is_hashed_and_synced_while_it_arrives(tmp_path: Path) -> None:
    body = BODY * 100  # 38 MB: both threads are at work
    with Server({"/big": body}) as server:
        received = fetch(
            wanted(server.url("/big"), sha256=None), tmp_path / "big", QUICK._replace(sync=True, stall_seconds=20)
        )
    assert (
        received.sha256
        == hashlib.sha256(body).hexdigest()
        == hashlib.sha256((tmp_path / "big").read_bytes()).hexdigest()
    )


def test_a_crash_between_the_final_name_and_the_end_harms_nothing(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"finished before")
    (tmp_path / ".a.pth.zoo-part").hardlink_to(tmp_path / "a.pth")
    server.misbehave("/a.pth", Status(404))
    with pytest.raises(HttpFailed):
        fetch(wanted(server.url("/a.pth")), tmp_path / "a.pth", QUICK, replace=True)
    assert (tmp_path / "a.pth").read_bytes() == b"finished before"
    nothing_but(tmp_path, "a.pth")


def test_a_directory_in_the_place_of_the_part_file_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".a.pth.zoo-part").mkdir()
    with pytest.raises(DestinationUnusable) as caught:
        fetch(wanted(server.url("/a.pth")), tmp_path / "a.pth", QUICK)
    assert caught.value.reason == ".a.pth.zoo-part beside it is a directory"
    nothing_but(tmp_path, ".a.pth.zoo-part")
