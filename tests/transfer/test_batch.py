"""Many files at once: by list, over kept connections, each with an outcome of its own."""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.server import Server, Slow, Stall, Status, WrongBytes
from tests.transfer.conftest import BODY, DIGEST, QUICK
from zoo_cli.cli.app import run
from zoo_cli.transfer.batch import Job, SamePlace, fetch_many
from zoo_cli.transfer.events import Event, Finished
from zoo_cli.transfer.fetch import Wanted
from zoo_cli.transfer.hashes import Sha256
from zoo_cli.transfer.lists import BadList, parse_list
from zoo_cli.transfer.store import Store
from zoo_cli.transfer.throttle import Throttle

FILES = {f"/f{number}.bin": b"%d" % number * 1000 for number in range(40)}


def digest_of(path: str) -> Sha256:
    return Sha256(hashlib.sha256(FILES[path]).hexdigest())


@pytest.fixture
def many(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    server.files.update(FILES)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.chdir(tmp_path)
    return server


def list_of(server: Server, *more: str) -> str:
    lines = [f"{server.url(path)}\tdata{path}\t{digest_of(path)}" for path in FILES]
    Path("list.tsv").write_text("\n".join(["# a comment", "", *lines, *more]) + "\n")
    return "list.tsv"


def test_a_list_of_files(many: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fetch", "--from", list_of(many), "-o", "out", "--jobs", "4"]) == 0
    shown = capsys.readouterr()
    assert sorted(shown.out.split()) == sorted(f"out/data{path}" for path in FILES) and "40 files" in shown.err
    assert all((Path("out/data") / path[1:]).read_bytes() == body for path, body in FILES.items())
    assert len(many.requests) == 40
    assert run(["fetch", "--from", "list.tsv", "-o", "again", "-q"]) == 0
    assert len(many.requests) == 40  # from the cache


def test_connections_are_kept(many: Server, tmp_path: Path) -> None:
    jobs = [Job(Wanted(path, (many.url(path),), sha256=digest_of(path)), tmp_path / "out" / path[1:]) for path in FILES]
    assert all(outcome.error is None for outcome in fetch_many(jobs, QUICK, at_once=3))
    assert len({request.client for request in many.requests}) == 3


def test_one_failure_stops_no_other(many: Server, capsys: pytest.CaptureFixture[str]) -> None:
    many.always("/f3.bin", WrongBytes())
    many.always("/f4.bin", Status(404))
    assert run(["fetch", "--from", list_of(many), "--json"]) == 6
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert shown.err == "" and document["ok"] is False and len(document["files"]) == 40
    failed = {each["path"]: each["error"]["code"] for each in document["files"] if not each["ok"]}
    assert failed == {"data/f3.bin": "hash-mismatch", "data/f4.bin": "http-status"}
    assert run(["fetch", "--from", "list.tsv"]) == 6
    talk = capsys.readouterr().err
    assert "data/f4.bin: http-status" in talk and "38 of 40 files are here" in talk


def test_several_addresses_on_the_command_line(many: Server) -> None:
    assert run(["fetch", many.url("/f1.bin"), many.url("/f2.bin"), "-o", "dir", "-q"]) == 0
    assert {each.name for each in Path("dir").iterdir()} == {"f1.bin", "f2.bin"}
    assert not Path("cache").exists()  # without a digest nobody could ask for them again
    assert run(["fetch", many.url("/f1.bin"), many.url("/f2.bin"), "--sha256", DIGEST]) == 2
    assert run(["fetch"]) == 2
    assert run(["fetch", many.url("/f1.bin"), "--from", "x"]) == 2


def test_a_second_address_in_the_list(many: Server) -> None:
    Path("list.tsv").write_text(f"{many.url('/none')} {many.url('/a.pth')}\tx.pth\t{DIGEST}\n")
    assert run(["fetch", "--from", "list.tsv", "-q"]) == 0
    assert Path("x.pth").read_bytes() == BODY


def test_a_list_on_standard_input(many: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"\ufeff{many.url('/f7.bin')}\r\n".encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert run(["fetch", "--from", "-", "-q"]) == 0
    assert Path("f7.bin").read_bytes() == FILES["/f7.bin"]


def test_events_are_lines(many: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fetch", many.url("/f1.bin"), "--events", "--json", "--limit-rate", "1MB"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = [line.get("event") for line in lines]
    assert kinds[0] == "started" and kinds[-2:] == ["finished", None] and lines[-1]["command"] == "fetch"
    assert run(["fetch", many.url("/f3.bin"), many.url("/none"), "--events"]) == 5
    results = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [each["ok"] for each in sorted(results["files"], key=lambda each: str(each["path"]))] == [True, False]
    assert run(["fetch", many.url("/f1.bin"), "--limit-rate", "0"]) == 2


@pytest.mark.parametrize("count", [1, 3])
def test_a_host_gets_so_many_connections_and_no_more(many: Server, tmp_path: Path, count: int) -> None:
    """Also when files are many, and when one is large and slow enough for several."""
    paths = list(FILES)[:8]
    for path in paths:
        many.always(path, Slow(10_000))
    many.files["/large"] = bytes(300_000)
    many.always("/large", Slow(200_000))
    lines = "".join(f"{many.url(path)}\n" for path in ("/large", *paths))
    (tmp_path / "list.tsv").write_text(lines)
    assert run(["fetch", "--from", "list.tsv", "-o", "out", "--connections", str(count)]) == 0
    assert len({each.client for each in many.requests}) == count


def test_a_file_has_so_many_seconds(many: Server, capsys: pytest.CaptureFixture[str]) -> None:
    many.always("/f1.bin", Stall(10, 60))
    began = time.monotonic()
    assert run(["fetch", many.url("/f1.bin"), many.url("/f2.bin"), "--max-time", "1.5"]) == 5
    assert time.monotonic() - began < 5 and "took-too-long" in capsys.readouterr().err
    assert not Path("f1.bin").exists() and Path("f2.bin").read_bytes() == FILES["/f2.bin"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("ftp://x/y\ta", "only http"),
        ("http://x/y\t../a", "inside the directory"),
        ("http://x/y\t/etc/passwd", "inside the directory"),
        ("http://x/y\ta\tabc", "no SHA-256"),
        ("http://x/y\ta\t\tmore", "more than three"),
        ("\ta", "no address"),
        ("http://x/", "inside the directory"),
        ("http://x/y\tC:a", "drive"),
        ("http://x/y\ta\\b", "backslash"),
        ("http://x/y a.pth " + "0" * 64, "separated by tabs"),
        ("x" * 100_000, "more than 65536 letters"),
    ],
)
def test_a_bad_line_is_told_before_anything_is_fetched(
    many: Server, capsys: pytest.CaptureFixture[str], line: str, why: str
) -> None:
    assert run(["fetch", "--from", list_of(many, line)]) == 2
    talk = capsys.readouterr().err
    assert "list.tsv:43" in talk and why in talk and many.requests == []


def test_the_same_place_twice(many: Server, tmp_path: Path) -> None:
    jobs = [Job(Wanted("x", (many.url(path),)), tmp_path / "x") for path in ("/f1.bin", "/f2.bin")]
    with pytest.raises(SamePlace) as caught:
        fetch_many(jobs)
    assert many.requests == [] and caught.value.urls == (many.url("/f1.bin"), many.url("/f2.bin"))


def test_two_rows_with_one_place_are_told_by_their_addresses(many: Server, capsys: pytest.CaptureFixture[str]) -> None:
    Path("list.tsv").write_text(f"{many.url('/f1.bin')}\tx/\n{many.url('/f2.bin')}\tx/f1.bin\n")
    assert run(["fetch", "--from", "list.tsv", "-o", "out"]) == 2
    talk = capsys.readouterr().err
    assert "would become out/x/f1.bin" in talk and many.url("/f1.bin") in talk and many.url("/f2.bin") in talk


def test_a_limit_of_ones_own_is_no_stall(many: Server, tmp_path: Path) -> None:
    """Eight files share what one of them must bring at least."""
    limits = QUICK._replace(stall_seconds=0.3, min_bytes_per_second=8000, retries=0, throttle=Throttle(8000))
    jobs = [Job(Wanted(path, (many.url(path),)), tmp_path / path[1:]) for path in list(FILES)[:8]]
    assert [outcome.error for outcome in fetch_many(jobs, limits)] == [None] * 8
    many.always("/f0.bin", Stall(10, 20))
    (stalled,) = fetch_many([jobs[0]], limits, replace=True)
    assert stalled.error is not None and stalled.error.code == "stalled"


def test_who_waits_for_a_connection_has_not_failed(many: Server, tmp_path: Path) -> None:
    """One connection, and each file takes it for longer than a connection may take to be made."""
    limits = QUICK._replace(connections=1, connect_seconds=0.1, stall_seconds=0.1, min_bytes_per_second=1)
    for path in list(FILES)[:6]:
        many.always(path, Slow(3000 if len(FILES[path]) < 2000 else 6000))
    jobs = [Job(Wanted(path, (many.url(path),)), tmp_path / path[1:]) for path in list(FILES)[:6]]
    assert [outcome.error for outcome in fetch_many(jobs, limits)] == [None] * 6


@given(st.text(max_size=200))
def test_law_any_text_is_a_list_or_one_clear_error(text: str) -> None:
    try:
        lines = parse_list(text, "x")
    except BadList as error:
        assert error.line >= 1
        return
    assert all(not line.path.is_absolute() and ".." not in line.path.parts for line in lines)


@pytest.mark.skipif(os.name != "posix", reason="the calls are counted by their names")
def test_what_a_small_file_of_a_batch_costs(many: Server, tmp_path: Path) -> None:
    """Calls of the system for each file, the first ones aside, which make directories."""
    bodies = {f"/n/{number}": b"%d" % number * 10 for number in range(60)}
    many.files.update(bodies)
    jobs = [
        Job(Wanted(path, (many.url(path),), sha256=Sha256(hashlib.sha256(body).hexdigest())), tmp_path / "x" / path[3:])
        for path, body in bodies.items()
    ]
    store, counts = Store(tmp_path / "cache"), Counter[str]()
    for job in jobs:
        store.prepare(Sha256(str(job.wanted.sha256)))

    def saw(_frame: FrameType, event: str, function: object) -> None:
        name = getattr(function, "__name__", "")
        if event == "c_call" and getattr(function, "__module__", None) == "posix" and name != "fspath":
            counts[name] += 1

    assert all(each.received for each in fetch_many(jobs[:5], QUICK._replace(sync=True), store=store, at_once=1))
    sys.setprofile(saw)
    try:
        assert all(each.received for each in fetch_many(jobs[5:], QUICK._replace(sync=True), store=store, at_once=1))
    finally:
        sys.setprofile(None)
    each = {name: count / 55 for name, count in counts.items() if count >= 55}
    assert each["link"] == each["replace"] == 1 and 1 <= each["fsync"] < 1.1, each
    assert each["open"] < 2.1, "the file, and the line that says what it is called"
    assert sum(each.values()) < 23, each
    assert len(many.requests) == 60


@pytest.mark.slow
def test_ten_thousand_small_files(many: Server, tmp_path: Path) -> None:
    """From one server, over few connections, then all of them again from the store without a byte."""
    bodies = {f"/n/{number}": b"%d" % number * 10 for number in range(10_000)}
    many.files.update(bodies)
    store = Store(tmp_path / "cache")

    def jobs(folder: str) -> list[Job]:
        return [
            Job(
                Wanted(path, (many.url(path),), sha256=Sha256(hashlib.sha256(body).hexdigest())),
                tmp_path / folder / path[3:],
            )
            for path, body in bodies.items()
        ]

    events: list[Event] = []
    for folder in ("one", "two"):
        for outcome in fetch_many(jobs(folder), QUICK._replace(stall_seconds=30), events.append, store=store):
            assert outcome.error is None
        assert len(many.requests_for("/n/1")) == 1 and len(many.requests) == 10_000
        assert sorted(each.name for each in (tmp_path / folder).iterdir()) == sorted(path[3:] for path in bodies)
    assert sum(isinstance(event, Finished) for event in events) == 20_000
    with socket.socket() as probe:
        assert probe.fileno() < 500  # nothing was left open
