"""`zoo index update` against a real mirror that lies, withholds and mixes: refused, and the index in use stays."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from tests.support.server import Exchange, Server, Status
from tests.support.signed import Publisher
from zoo_cli.catalog.current import Current, read_current
from zoo_cli.catalog.database import index_date, open_catalog
from zoo_cli.errors import ZooError
from zoo_cli.transfer.failures import DestinationUnusable, Failed
from zoo_cli.transfer.settings import Settings
from zoo_cli.trust.refusals import ClockBehind, IndexBusy, IndexRefused, SignaturesMissing
from zoo_cli.updates.updating import TARGET, Updated, update

FLOOR = "2026-01-01"
QUICK = Settings(retries=0, connect_seconds=2, stall_seconds=2, sync=False)


class World:
    """A publisher, its mirror on loopback, and a client with a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.publisher = Publisher(directory / "maintainers")
        self.home = directory / "state"
        self.publisher.index("2026-02-01")
        self.root = self.publisher.trusted

    def update(self, address: str, **more: Any) -> Updated:
        return update(self.home, self.root, (address,), more.pop("floor", FLOOR), QUICK, **more)

    def refused(self, address: str, fault: str) -> IndexRefused:
        """Tries an update that must be refused, and checks that nothing changed and nothing is left behind."""
        before = self.state()
        with pytest.raises(IndexRefused) as caught:
            self.update(address)
        assert caught.value.fault == fault, caught.value
        assert self.state() == before
        return caught.value

    def state(self) -> tuple[str, list[str]]:
        """The date of the index in use, read from it, and the names in the directory of the index."""
        current = (read_current(self.home) or Current()).of("zoo")
        names = sorted(each.name for each in self.home.iterdir()) if self.home.is_dir() else []
        if current is None:
            return "", names
        catalog = open_catalog(self.home / current.file)
        try:
            assert index_date(catalog) == current.date
        finally:
            catalog.close()
        return current.date, names


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def mirror(world: World) -> Iterator[Server]:
    with Server(root=world.publisher.repository) as server:
        yield server


def test_the_newest_index_is_verified_and_put_in_use(world: World, mirror: Server) -> None:
    first = world.update(mirror.url("/"))
    assert (first.signed.date, first.before, first.is_new) == ("2026-02-01", FLOOR, True)
    world.publisher.index("2026-03-01")
    second = world.update(mirror.url("/"))
    assert (second.signed.date, second.before, second.is_new) == ("2026-03-01", "2026-02-01", True)
    assert second.signed.versions == "root=1 snapshot=2 targets=2 timestamp=2"
    date, names = world.state()
    assert date == "2026-03-01"
    assert names == ["current", "lock", "metadata", second.signed.file]  # the former one is gone
    asked = [each.path for each in mirror.requests]
    third = world.update(mirror.url("/"))
    assert not third.is_new
    again = [each.path for each in mirror.requests][len(asked) :]
    assert again == ["/metadata/2.root.json", "/metadata/timestamp.json"]  # nothing new costs two small questions


def test_a_repository_in_a_directory_works_the_same(world: World) -> None:
    assert world.update(world.publisher.repository.as_uri()).signed.date == "2026-02-01"


def test_rollback_is_refused(world: World, mirror: Server) -> None:
    old = world.publisher.files()
    world.publisher.index("2026-03-01")
    world.update(mirror.url("/"))
    world.publisher.put(old)  # everything as it was: validly signed, and not over
    refusal = world.refused(mirror.url("/"), "older")
    assert refusal.mirror == mirror.url("/")
    assert world.state()[0] == "2026-03-01"


def test_freeze_is_refused(world: World, mirror: Server) -> None:
    world.update(mirror.url("/"))
    world.publisher.index("2026-03-01", days_ago=91)  # what a mirror has that stopped following 91 days ago
    world.refused(mirror.url("/"), "expired")


def test_mix_and_match_is_refused(world: World, mirror: Server) -> None:
    old = world.publisher.files()
    world.update(mirror.url("/"))
    world.publisher.index("2026-03-01")
    new = world.publisher.files()
    # The new timestamp and snapshot with the old list of targets under the new one's name.
    world.publisher.put({"metadata/2.targets.json": old["metadata/1.targets.json"]})
    world.refused(mirror.url("/"), "other-bytes")
    world.publisher.put(new)
    assert world.update(mirror.url("/")).signed.date == "2026-03-01"
    # The newest timestamp with an old snapshot under the new one's name.
    world.publisher.index("2026-04-01")
    world.publisher.put({"metadata/3.snapshot.json": new["metadata/2.snapshot.json"]})
    world.refused(mirror.url("/"), "other-bytes")


def endless(exchange: Exchange) -> None:
    """A body without a length and without an end."""
    exchange.head(200)
    block = bytes(1 << 16)
    try:
        while not exchange.stopping.is_set():
            exchange.send(block)
    except OSError:
        pass
    exchange.close()


@pytest.mark.parametrize(
    ("what", "fault"),
    [
        ("timestamp.json", "endless"),
        ("2.snapshot.json", "endless"),
        ("2.targets.json", "endless"),
        ("target", "other-bytes"),  # its length is signed: no more than that is read
    ],
)
def test_endless_data_is_refused(world: World, mirror: Server, what: str, fault: str) -> None:
    world.update(mirror.url("/"))
    world.publisher.index("2026-03-01")
    target = next(each for each in (world.publisher.repository / "targets").glob("*") if _is_newest(world, each))
    mirror.always(f"/targets/{target.name}" if what == "target" else f"/metadata/{what}", endless)
    begun = time.monotonic()
    world.refused(mirror.url("/"), fault)
    assert time.monotonic() - begun < 5


def _is_newest(world: World, target: Path) -> bool:
    text = (world.publisher.repository / "metadata" / "2.targets.json").read_text(encoding="utf-8")
    return target.name.partition(".")[0] in text


@pytest.mark.parametrize("change", [b"", b"x"], ids=["as long, other bytes", "longer"])
def test_a_target_of_another_length_or_digest_is_refused(world: World, mirror: Server, change: bytes) -> None:
    world.update(mirror.url("/"))
    world.publisher.index("2026-03-01")
    (target,) = (each for each in (world.publisher.repository / "targets").glob("*") if _is_newest(world, each))
    body = target.read_bytes()
    target.write_bytes(body + change if change else bytes([body[0] ^ 1]) + body[1:])
    world.refused(mirror.url("/"), "other-bytes")


def test_a_stolen_online_key_cannot_change_the_index(world: World, mirror: Server) -> None:
    world.update(mirror.url("/"))
    world.publisher.index("2026-03-01")
    online = world.publisher.online_key
    world.publisher.forge(
        "2.targets.json", [online], lambda signed: signed.targets[TARGET].hashes.update(sha256="0" * 64)
    )
    body = (world.publisher.repository / "metadata" / "2.targets.json").read_bytes()
    from hashlib import sha256

    def point(signed: Any) -> None:
        signed.meta["targets.json"].hashes["sha256"] = sha256(body).hexdigest()
        signed.meta["targets.json"].length = len(body)

    world.publisher.forge("2.snapshot.json", [online], point)
    snapshot = (world.publisher.repository / "metadata" / "2.snapshot.json").read_bytes()

    def point_at_snapshot(signed: Any) -> None:
        signed.snapshot_meta.hashes["sha256"] = sha256(snapshot).hexdigest()
        signed.snapshot_meta.length = len(snapshot)

    world.publisher.forge("timestamp.json", [online], point_at_snapshot)
    world.refused(mirror.url("/"), "unsigned")


def test_one_stolen_root_key_cannot_replace_the_keys(world: World, mirror: Server) -> None:
    world.update(mirror.url("/"))
    thief = CryptoSigner.generate_ed25519()
    path = world.publisher.rotate([world.publisher.root_keys[0], thief], {"root": [thief]}, {"root": 1})
    with pytest.raises(SignaturesMissing) as caught:  # our own tool does not publish it
        world.publisher.publish()
    assert (caught.value.role, caught.value.valid, caught.value.needed) == ("root", 1, 2)
    world.publisher.put({"metadata/2.root.json": path.read_bytes()})  # so the thief puts it there
    world.refused(mirror.url("/"), "unsigned")


def test_keys_are_rotated_and_the_old_ones_count_no_more(world: World, mirror: Server) -> None:
    world.update(mirror.url("/"))
    stolen, publisher = world.publisher.online_key, world.publisher
    publisher.online_key = CryptoSigner.generate_ed25519()
    new_roots = [CryptoSigner.generate_ed25519() for _ in range(3)]
    path = publisher.rotate(publisher.root_keys[:2], {
        "root": new_roots, "snapshot": [publisher.online_key], "timestamp": [publisher.online_key],
    })  # fmt: skip
    with pytest.raises(SignaturesMissing):  # the old keys agree, the new ones do not yet
        publisher.publish()
    from zoo_cli.trust.signing import sign_file

    sign_file(path, new_roots[1:])
    publisher.index("2026-03-01")
    assert world.update(mirror.url("/")).signed.versions.startswith("root=2 ")
    fresh = World.__new__(World)
    fresh.home, fresh.root, fresh.publisher = world.home.with_name("fresh"), world.root, publisher
    assert fresh.update(mirror.url("/")).signed.date == "2026-03-01"  # from the first root, as a package ships it
    publisher.forge("timestamp.json", [stolen], lambda signed: setattr(signed, "version", signed.version + 1))
    world.refused(mirror.url("/"), "unsigned")


def test_fast_forward_is_undone_by_rotation(world: World, mirror: Server) -> None:
    publisher, before = world.publisher, world.publisher.files()
    publisher.forge("timestamp.json", [publisher.online_key], lambda signed: setattr(signed, "version", 2**31 - 1))
    world.update(mirror.url("/"))
    publisher.put(before)
    publisher.index("2026-03-01")
    world.refused(mirror.url("/"), "older")  # the honest timestamp looks like a rollback now
    publisher.online_key = CryptoSigner.generate_ed25519()
    publisher.rotate(publisher.root_keys[1:], {
        "snapshot": [publisher.online_key], "timestamp": [publisher.online_key],
    })  # fmt: skip
    publisher.publish()
    assert world.update(mirror.url("/")).signed.date == "2026-03-01"


def test_an_index_older_than_the_one_that_came_with_zoo_is_refused(world: World, mirror: Server) -> None:
    with pytest.raises(IndexRefused) as caught:
        world.update(mirror.url("/"), floor="2026-02-02")
    assert caught.value.fault == "older"
    assert read_current(world.home) is None


def test_a_wrong_clock_is_told_as_that(world: World, mirror: Server) -> None:
    with pytest.raises(ClockBehind) as caught:
        world.update(mirror.url("/"), now=0.0)
    assert (caught.value.today, caught.value.known) == ("1970-01-01", FLOOR)
    assert not mirror.requests
    world.update(mirror.url("/"))
    world.publisher.index("2026-03-01", days_ago=400)  # a clock that is ahead sees everything as over, and is named
    refusal = world.refused(mirror.url("/"), "expired")
    assert refusal.today == time.strftime("%Y-%m-%d", time.gmtime())


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"[" * 10_000, b'{"signed": {"_type": "root"}, "signatures": []}', b"\xff" * 100],
    ids=["empty", "cut off", "a list", "null", "deep", "another role", "no text"],
)
def test_metadata_that_is_none_is_refused(world: World, mirror: Server, body: bytes) -> None:
    world.update(mirror.url("/"))
    world.publisher.put({"metadata/timestamp.json": body})
    world.refused(mirror.url("/"), "malformed")


def test_a_signed_file_that_is_no_database_is_refused(world: World, mirror: Server, tmp_path: Path) -> None:
    from zoo_cli.trust.signing import stage_index

    world.update(mirror.url("/"))
    for number, body in enumerate((b"no gzip", b"\x1f\x8b\x08\x00" + bytes(20))):
        wrong = tmp_path / f"wrong{number}"
        wrong.write_bytes(body)
        stage_index(world.publisher.repository, wrong, TARGET, [world.publisher.targets_key], world.publisher.now)
        world.publisher.publish()
        world.refused(mirror.url("/"), "malformed")


def test_a_dead_mirror_is_passed_over_and_a_refused_one_is_named(world: World, mirror: Server) -> None:
    dead = "http://127.0.0.1:9/index"
    lying = Server(root=world.publisher.repository)
    with lying:
        lying.always("/metadata/timestamp.json", endless)
        found = update(world.home, world.root, (dead, lying.url("/"), mirror.url("/")), FLOOR, QUICK)
        codes = [each.code for each in found.passed_over]
        assert codes == ["network", "index-refused"]
        with pytest.raises(IndexRefused):  # a refusal weighs more than a dead host
            update(world.home, world.root, (dead, lying.url("/")), FLOOR, QUICK)
    with pytest.raises(Failed):
        world.update(dead)
    assert world.state()[0] == "2026-02-01"


def test_a_directory_that_cannot_be_written_is_told(world: World, mirror: Server) -> None:
    world.home.write_text("a file")
    with pytest.raises(DestinationUnusable):
        world.update(mirror.url("/"))


def _hold(home: Path, held: Any, done: Any) -> None:
    from zoo_cli.updates.updating import _locked

    with _locked(home, lambda _event: None, 1.0):
        held.set()
        done.wait(20)


def test_two_processes_exclude_each_other(world: World, mirror: Server) -> None:
    context = multiprocessing.get_context("fork")
    held, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(world.home, held, done))
    other.start()
    try:
        assert held.wait(20)
        with pytest.raises(IndexBusy) as caught:
            world.update(mirror.url("/"), wait_seconds=0.2)
        assert caught.value.holder == f"process {other.pid}"
        assert not mirror.requests
    finally:
        done.set()
        other.join(20)
    assert world.update(mirror.url("/")).is_new


def test_every_error_has_a_sentence(world: World, mirror: Server) -> None:
    from zoo_cli.cli.messages import message_for

    world.update(mirror.url("/"))
    world.publisher.index("2026-03-01", days_ago=91)
    errors: list[ZooError] = [
        world.refused(mirror.url("/"), "expired"),
        ClockBehind("2020-01-01", FLOOR),
        IndexBusy("x", 1, ""),
    ]
    for each in errors:
        message = message_for(each)
        assert message.what != each.code.replace("-", " ")
        assert message.ways_out


def test_a_password_in_an_address_is_written_nowhere(world: World, mirror: Server) -> None:
    address = mirror.url("/").replace("http://", "http://someone:hunter2@")
    assert world.update(address).signed.date == "2026-02-01"
    assert {each.headers.get("authorization") for each in mirror.requests} == {"Basic c29tZW9uZTpodW50ZXIy"}
    world.publisher.index("2026-03-01")
    mirror.always("/metadata/timestamp.json", Status(500))
    with pytest.raises(ZooError) as caught:
        world.update(address)
    said = [str(caught.value), repr(caught.value.fields()), repr(caught.value.__cause__)]
    kept = [each.read_bytes().decode("utf-8", "replace") for each in world.home.rglob("*") if each.is_file()]
    assert any("2026-02-01" in each for each in kept)
    for text in (*said, *kept):
        assert "hunter2" not in text and "c29tZW9uZTpodW50ZXIy" not in text
