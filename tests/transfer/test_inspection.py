"""Files with an inspector: the beginning is looked at while the rest comes, the whole before it has its name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.live_payloads import SYSTEM
from tests.support.pickles import call, checkpoint, entries, lookup, mapping, pickle, tensor, text, torch_zip, zip_file
from tests.support.server import Server, Slow
from tests.transfer.conftest import QUICK, Heard, nothing_but
from zoo_cli.transfer.events import Advanced
from zoo_cli.transfer.fetch import Wanted, fetch
from zoo_cli.transfer.hashes import Sha256
from zoo_cli.transfer.inspection import BEGINNING_BYTES
from zoo_cli.transfer.store import Store
from zoo_cli.trust.screening import Screening
from zoo_cli.trust.verdict import CheckpointRefused, Policy

BYTES = 6_000_000
EVIL = torch_zip(mapping(a=SYSTEM, b=tensor("0", BYTES // 4)), {"0": bytes(BYTES)})
LATE = zip_file(entries(pickle(mapping(b=tensor("0", BYTES // 4))), {"0": bytes(BYTES)})[::-1], suffix=b"x")
UNKNOWN = torch_zip(mapping(a=call(lookup("lab.models", "Net"), text("x")), b=tensor("0", 2)), {"0": bytes(8)})
GOOD = checkpoint(bytes(BYTES))


def wanted(server: Server, body: bytes, policy: Policy | None = None, *, known: bool = True) -> Wanted:
    digest = Sha256(hashlib.sha256(body).hexdigest()) if known else None
    size = len(body) if known else None
    return Wanted("a.pth", (server.url("/a.pth"),), size, digest, inspector=Screening("a.pth", policy))


def refused(work: Callable[[], object]) -> CheckpointRefused:
    with pytest.raises(CheckpointRefused) as caught:
        work()
    return caught.value


@pytest.mark.parametrize("known", [True, False])
def test_a_good_file_is_judged_as_a_whole(tmp_path: Path, known: bool) -> None:
    with Server({"/a.pth": GOOD}) as server:
        asked = wanted(server, GOOD, known=known)
        fetch(asked, tmp_path / "a.pth", QUICK)
    assert isinstance(asked.inspector, Screening) and asked.inspector.verdict is not None
    assert asked.inspector.verdict.is_whole and asked.inspector.verdict.size_bytes == len(GOOD)


def test_code_at_the_beginning_stops_the_transfer(tmp_path: Path) -> None:
    heard = Heard()
    with Server({"/a.pth": EVIL}) as server:
        server.always("/a.pth", Slow(8_000_000))
        error = refused(lambda: fetch(wanted(server, EVIL), tmp_path / "a.pth", QUICK, heard))
    assert error.early and error.verdict.worst == "dangerous"
    most = max(event.have_bytes for event in heard.of(Advanced) if isinstance(event, Advanced))
    assert most < 2 * BEGINNING_BYTES < len(EVIL)
    nothing_but(tmp_path)


def test_a_bad_file_never_gets_its_name(tmp_path: Path) -> None:
    with Server({"/a.pth": LATE}) as server:
        error = refused(lambda: fetch(wanted(server, LATE), tmp_path / "a.pth", QUICK))
    assert not error.early and error.verdict.worst == "malformed"
    nothing_but(tmp_path)


def test_a_bad_file_that_is_here_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(EVIL)
    with Server({}) as server:
        refused(lambda: fetch(wanted(server, EVIL), tmp_path / "a.pth", QUICK))
        assert not server.requests
    assert (tmp_path / "a.pth").read_bytes() == EVIL


def test_bytes_wait_until_their_globals_are_trusted(tmp_path: Path) -> None:
    with Server({"/a.pth": UNKNOWN}) as server:
        error = refused(lambda: fetch(wanted(server, UNKNOWN), tmp_path / "a.pth", QUICK))
        assert error.may_be_kept
        assert not (tmp_path / "a.pth").exists()
        assert len(server.requests) == 1
        trusting = wanted(server, UNKNOWN, Policy(frozenset({"lab.models.Net"})))
        fetch(trusting, tmp_path / "a.pth", QUICK)
        assert len(server.requests) == 1
    assert (tmp_path / "a.pth").read_bytes() == UNKNOWN
    nothing_but(tmp_path, "a.pth")


def test_the_store_neither_keeps_nor_gives_a_bad_file(tmp_path: Path) -> None:
    store, out = Store(tmp_path / "cache"), tmp_path / "out"
    with Server({"/a.pth": EVIL}) as server:
        refused(lambda: fetch(wanted(server, EVIL), out / "a.pth", QUICK, store=store))
        assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
        blind = Wanted("a.pth", (server.url("/a.pth"),), len(EVIL), Sha256(hashlib.sha256(EVIL).hexdigest()))
        fetch(blind, tmp_path / "blind" / "a.pth", QUICK, store=store)
        before = len(server.requests)
        refused(lambda: fetch(wanted(server, EVIL), out / "a.pth", QUICK, store=store))
        assert len(server.requests) == before
    nothing_but(out)


def test_code_stops_several_connections_too(tmp_path: Path) -> None:
    heard = Heard()
    with Server({"/a.pth": EVIL}) as server:
        server.always("/a.pth", Slow(8_000_000))
        settings = QUICK._replace(connections=4)
        error = refused(lambda: fetch(wanted(server, EVIL), tmp_path / "a.pth", settings, heard))
    assert error.early
    assert max(event.have_bytes for event in heard.of(Advanced) if isinstance(event, Advanced)) < len(EVIL)
    nothing_but(tmp_path)
