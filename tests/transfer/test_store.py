"""The store: second use costs no bytes, and nothing that befalls the cache makes a wrong file right."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.server import Cut, Page, Server, Slow, Status
from tests.transfer.conftest import BODY, DIGEST, QUICK, Heard, nothing_but, wanted
from zoo_cli.cli.app import run
from zoo_cli.transfer.cache import Item, give_up, read_items, to_give_up
from zoo_cli.transfer.events import CACHE, Finished, Noted
from zoo_cli.transfer.failures import DestinationExists, HttpFailed
from zoo_cli.transfer.fetch import Received, fetch
from zoo_cli.transfer.hashes import parse_sha256
from zoo_cli.transfer.part import Part, part_path
from zoo_cli.transfer.store import BadLinking, Store, users_store

DURABLE = QUICK._replace(sync=True)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def get(server: Server, store: Store, destination: Path, path: str = "/a.pth", **facts: object) -> Received:
    return fetch(wanted(server.url(path), **facts), destination, DURABLE, store=store)


def test_second_use_costs_no_bytes_whatever_the_name_or_host(server: Server, store: Store, tmp_path: Path) -> None:
    first = get(server, store, tmp_path / "x" / "a.pth")
    assert not first.from_cache and first.url == server.url("/a.pth")
    heard = Heard()
    second = fetch(wanted("http://127.0.0.1:1/other"), tmp_path / "y" / "b.pth", DURABLE, heard, store=store)
    assert second.from_cache and second.path.read_bytes() == BODY and second.evidence == "locked"
    assert len(server.requests) == 1
    finished = heard.events[-1]
    assert isinstance(finished, Finished) and finished.source == CACHE
    nothing_but(tmp_path / "x", "a.pth")
    nothing_but(tmp_path / "y", "b.pth")
    nothing_but(store.path_of(DIGEST).parent, DIGEST)
    assert store.noted()[DIGEST]["name"] == "a.pth"


def test_an_offline_run_has_what_the_store_has(server: Server, store: Store, tmp_path: Path) -> None:
    get(server, store, tmp_path / "a.pth")
    offline = DURABLE._replace(offline=True)
    assert fetch(wanted(server.url("/a.pth")), tmp_path / "b.pth", offline, store=store).from_cache


def test_a_digest_learnt_by_fetching_is_stored_too(server: Server, store: Store, tmp_path: Path) -> None:
    received = get(server, store, tmp_path / "a.pth", sha256=None)
    assert received.evidence == "none" and received.sha256 == DIGEST
    assert get(server, store, tmp_path / "b.pth").from_cache
    assert len(server.requests) == 1


def test_files_are_read_only_and_a_linked_one_need_not_be_read_again(
    server: Server, store: Store, tmp_path: Path
) -> None:
    placed = get(server, store, tmp_path / "a.pth").path
    kept = store.path_of(DIGEST)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o444
    stored = store.look(DIGEST)
    assert stored is not None and stored.is_sealed
    if placed.stat().st_ino == kept.stat().st_ino:  # a hard link; where blocks can be shared it is a file of its own
        assert store.is_same(DIGEST, placed.stat())
    assert get(server, store, placed).already_here


def test_copies_where_links_are_not_wanted(server: Server, tmp_path: Path) -> None:
    store = Store(tmp_path / "cache", linking="copy")
    for name, digest in (("a.pth", DIGEST), ("b.pth", None)):
        placed = get(server, store, tmp_path / name, sha256=digest).path
        assert placed.stat().st_nlink == 1 and placed.stat().st_ino != store.path_of(DIGEST).stat().st_ino
        assert placed.stat().st_mode & 0o200
    assert users_store({"ZOO_LINK": "copy", "HOME": str(tmp_path)}).linking == "copy"
    with pytest.raises(BadLinking):
        users_store({"ZOO_LINK": "symlink", "HOME": str(tmp_path)})


def test_an_edited_file_breaks_the_seal_and_is_fetched_again(server: Server, store: Store, tmp_path: Path) -> None:
    get(server, store, tmp_path / "a.pth")
    kept = store.path_of(DIGEST)
    kept.chmod(0o644)
    with kept.open("r+b") as file:
        file.write(b"X")
    kept.chmod(0o444)
    heard = Heard()
    again = fetch(wanted(server.url("/a.pth")), tmp_path / "b.pth", DURABLE, heard, store=store)
    assert not again.from_cache and again.path.read_bytes() == BODY and kept.read_bytes() == BODY
    assert any(isinstance(event, Noted) and "changed in the cache" in event.text for event in heard.events)
    assert len(server.requests) == 2


def test_a_link_in_a_directory_that_took_one_leaves_nothing_of_an_earlier_run(
    server: Server, store: Store, tmp_path: Path
) -> None:
    get(server, store, tmp_path / "x" / "a.pth")
    part_path(tmp_path / "x" / "b.pth").write_bytes(b"what a killed process had")
    again = get(server, store, tmp_path / "x" / "b.pth")
    assert again.from_cache and again.path.read_bytes() == BODY
    other = get(server, store, tmp_path / "x" / "c.pth")
    assert other.from_cache and other.path.read_bytes() == BODY and len(server.requests) == 1
    nothing_but(tmp_path / "x", "a.pth", "b.pth", "c.pth")


def test_what_is_there_is_not_replaced_by_a_link(server: Server, store: Store, tmp_path: Path) -> None:
    get(server, store, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(b"mine")
    with pytest.raises(DestinationExists):
        get(server, store, tmp_path / "b.pth")
    (tmp_path / "c.pth").symlink_to(tmp_path / "nowhere")
    assert get(server, store, tmp_path / "c.pth").path.read_bytes() == BODY
    assert (tmp_path / "b.pth").read_bytes() == b"mine" and not (tmp_path / "nowhere").exists()


def test_notes_outlive_what_a_full_disk_cut_off_and_go_with_their_files(store: Store) -> None:
    other = hashlib.sha256(b"other").hexdigest()
    kept = store.prepare(DIGEST)
    store.note(DIGEST, "a.pth", "https://host/a.pth")
    (notes,) = kept.parents[1].glob("notes-*")
    with notes.open("ab") as file:
        file.write(b'\n{"sha256": "' + other.encode())
    store.note(parse_sha256(other), "b.pth", "https://host/b.pth")
    store.note(DIGEST, "c.pth", "https://host/c.pth")
    assert {digest: note["name"] for digest, note in store.noted().items()} == {DIGEST: "a.pth", other: "b.pth"}
    kept.write_bytes(BODY)
    store.trim_notes()
    assert list(store.noted()) == [DIGEST] and other not in notes.read_text()


def test_a_file_costs_the_store_one_new_file(server: Server, store: Store, tmp_path: Path) -> None:
    get(server, store, tmp_path / "a.pth")
    assert [path.name for path in (store.root / "sha256").rglob("*") if path.is_file()].count(DIGEST) == 1
    nothing_but(store.path_of(DIGEST).parent, DIGEST)


def test_what_a_crash_leaves_unsealed_is_read_before_it_is_used(server: Server, store: Store, tmp_path: Path) -> None:
    kept = store.prepare(DIGEST)
    kept.write_bytes(BODY)  # whole, but nobody can know
    assert get(server, store, tmp_path / "a.pth").from_cache
    stored = store.look(DIGEST)
    assert stored is not None and stored.is_sealed
    kept.unlink()
    kept.write_bytes(BODY[:1000] + bytes(len(BODY) - 1000))  # the name was on the disk before the bytes
    assert get(server, store, tmp_path / "b.pth").path.read_bytes() == BODY
    assert kept.read_bytes() == BODY and len(server.requests) == 1


def test_a_file_is_sealed_only_when_the_disk_has_it(server: Server, store: Store, tmp_path: Path) -> None:
    fetch(wanted(server.url("/a.pth"), sha256=None), tmp_path / "a.pth", QUICK, store=store)  # no sync
    stored = store.look(DIGEST)
    assert stored is not None and not stored.is_sealed
    assert store.get(DIGEST) == stored.path
    stored = store.look(DIGEST)
    assert stored is not None and stored.is_sealed


def test_kept_bytes_serve_another_destination(server: Server, store: Store, tmp_path: Path) -> None:
    server.misbehave("/a.pth", Cut(100_000), Status(404))
    with pytest.raises(HttpFailed):
        get(server, store, tmp_path / "a.pth")
    assert not (tmp_path / "a.pth").exists()
    get(server, store, tmp_path / "elsewhere" / "b.pth")
    assert server.requests[-1].range == "bytes=100000-"
    nothing_but(store.path_of(DIGEST).parent, DIGEST)


def test_another_fetch_of_the_same_bytes_is_waited_for(server: Server, tmp_path: Path) -> None:
    server.always("/a.pth", Slow(800_000))
    environ = {**os.environ, "ZOO_CACHE": str(tmp_path / "cache"), "NO_PROXY": "*"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "zoo_cli", "fetch", server.url("/a.pth"), "-o", str(tmp_path / name / "a.pth"),
             "--sha256", DIGEST], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for name in "pq"
    ]  # fmt: skip
    talk = "".join(process.communicate(timeout=60)[1] for process in processes)
    assert [process.returncode for process in processes] == [0, 0]
    assert len(server.requests) == 1 and "waiting for it" in talk and "from the cache" in talk
    assert (tmp_path / "p" / "a.pth").read_bytes() == (tmp_path / "q" / "a.pth").read_bytes() == BODY


def test_a_cache_on_another_file_system(server: Server, tmp_path: Path) -> None:
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    root = shm / f"zoo-test-{os.getpid()}-{time.monotonic_ns()}"
    try:
        store = Store(root)
        get(server, store, tmp_path / "a.pth")
        get(server, store, tmp_path / "b.pth", sha256=None)
        assert get(server, store, tmp_path / "c.pth").from_cache
        for name in "abc":
            assert (tmp_path / f"{name}.pth").read_bytes() == BODY and (tmp_path / f"{name}.pth").stat().st_nlink == 1
        nothing_but(tmp_path, "a.pth", "b.pth", "c.pth")
        nothing_but(store.path_of(DIGEST).parent, DIGEST)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def bound(*words: str) -> list[str]:
    """A command that permissions bind, also when root runs the tests."""
    if os.geteuid() != 0:
        return list(words)
    if shutil.which("setpriv") is None:
        pytest.skip("root ignores permissions, and there is no setpriv")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner", *words]


def fetch_bound(server: Server, cache: Path, destination: Path) -> subprocess.CompletedProcess[str]:
    words = ["fetch", server.url("/a.pth"), "-o", str(destination), "--sha256", DIGEST]
    return subprocess.run(
        bound(sys.executable, "-m", "zoo_cli", *words),
        env={**os.environ, "ZOO_CACHE": str(cache), "NO_PROXY": "*"}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_read_only_cache_gives_and_does_not_take(server: Server, store: Store, tmp_path: Path) -> None:
    get(server, store, tmp_path / "a.pth")
    folder = store.path_of(DIGEST).parent
    folders = (folder, folder.parent, store.root)
    try:
        for each in folders:
            each.chmod(0o555)
        again = fetch_bound(server, store.root, tmp_path / "b.pth")
        assert again.returncode == 0 and "from the cache" in again.stderr and len(server.requests) == 1
        for each in folders:
            each.chmod(0o755)
        give_up(read_items(store.root))
        for each in folders:
            each.chmod(0o555)
        direct = fetch_bound(server, store.root, tmp_path / "c.pth")
        assert direct.returncode == 0 and "is not kept in the cache" in direct.stderr
        assert (tmp_path / "c.pth").read_bytes() == BODY and list(folder.iterdir()) == []
    finally:
        for each in folders:
            each.chmod(0o755)


def small_disk(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Runs a shell command where `folder` is a disk of 256 kB, in a mount namespace of its own."""
    folder.mkdir(exist_ok=True)
    script = f"mount -t tmpfs -o size=256k none '{folder}' && {command}"
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], env={**os.environ, "NO_PROXY": "*"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "unshare:" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no namespaces here: {done.stderr[:100]}")
    return done


def test_a_full_cache_disk_does_not_keep_a_file_from_its_place(server: Server, tmp_path: Path) -> None:
    cache = tmp_path / "small"
    zoo = f"ZOO_CACHE='{cache}' '{sys.executable}' -m zoo_cli fetch --sha256 {DIGEST}"
    done = small_disk(cache, f"{zoo} {server.url('/a.pth')} -o '{tmp_path}/a.pth' && find '{cache}' -type f -size +0")
    assert done.returncode == 0 and "is not kept in the cache" in done.stderr
    assert done.stdout == f"{tmp_path}/a.pth\n"  # and nothing is left on the full disk
    assert (tmp_path / "a.pth").read_bytes() == BODY


def test_a_full_disk_at_the_destination_is_told_and_the_bytes_are_kept(server: Server, tmp_path: Path) -> None:
    full, cache = tmp_path / "small", tmp_path / "cache"
    zoo = f"ZOO_CACHE='{cache}' '{sys.executable}' -m zoo_cli fetch --sha256 {DIGEST} {server.url('/a.pth')}"
    done = small_disk(full, f"{zoo} -o '{full}/a.pth'; echo code=$?; ls -A '{full}'; {zoo} -o '{tmp_path}/b.pth'")
    assert done.stdout == f"code=1\n{tmp_path}/b.pth\n"
    assert "error[no-space]" in done.stderr and str(full) in done.stderr and "from the cache" in done.stderr
    assert len(server.requests) == 1 and (tmp_path / "b.pth").read_bytes() == BODY


def test_a_clock_that_was_moved_back_changes_nothing(server: Server, store: Store, tmp_path: Path) -> None:
    get(server, store, tmp_path / "a.pth")
    kept = store.path_of(DIGEST)
    ahead = 10 * 365 * 86400 * 10**9  # stored when the clock was ten years ahead
    os.utime(kept, ns=(time.time_ns() + ahead, kept.stat().st_mtime_ns + ahead))
    assert get(server, store, tmp_path / "b.pth").from_cache
    stored = store.look(DIGEST)
    assert stored is not None and stored.is_sealed
    os.utime(kept, ns=(time.time_ns() + ahead, kept.stat().st_mtime_ns))
    for name in "ab":
        (tmp_path / f"{name}.pth").unlink()
    items = read_items(store.root)
    assert to_give_up(items, time.time(), older_than_seconds=1) == []
    assert to_give_up(items, time.time(), limit_bytes=0) == items  # it does not stay for ten years


def test_a_shared_cache_is_writable_by_its_group(server: Server, store: Store, tmp_path: Path) -> None:
    store.root.mkdir()
    store.root.chmod(0o3775)
    get(server, store, tmp_path / "a.pth")
    for folder in (store.path_of(DIGEST).parent, store.root / "sha256"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o3775
    assert stat.S_IMODE(store.path_of(DIGEST).stat().st_mode) == 0o444


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_another_users_file_is_read_before_it_is_used(server: Server, store: Store, tmp_path: Path) -> None:
    get(server, store, tmp_path / "a.pth")
    kept = store.path_of(DIGEST)
    sealed = kept.stat()
    os.chown(kept, 12345, 12345)
    stored = store.look(DIGEST)
    assert stored is not None and not stored.is_sealed
    assert get(server, store, tmp_path / "b.pth").from_cache
    kept.chmod(0o644)
    kept.write_bytes(bytes(len(BODY)))  # forged, with the seal of the right file
    kept.chmod(0o444)
    os.utime(kept, ns=(sealed.st_atime_ns, sealed.st_mtime_ns))
    assert get(server, store, tmp_path / "c.pth").path.read_bytes() == BODY


def test_a_store_never_writes_through_a_link(server: Server, store: Store, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    store.prepare(DIGEST).symlink_to(victim)
    assert store.look(DIGEST) is None
    assert get(server, store, tmp_path / "a.pth").path.read_bytes() == BODY
    assert victim.read_bytes() == b"mine"


# -- what the cache holds, and what it gives up --------------------------------------------------------------------


def test_items_and_their_links(server: Server, store: Store, tmp_path: Path) -> None:
    get(server, store, tmp_path / "a.pth")
    view = store.root / "wheels" / "host" / "x.whl"
    get(server, store, view)
    (store.root / "built" / "key").mkdir(parents=True)
    (store.root / "built" / "key" / "y.whl").write_bytes(bytes(1000))
    found = {item.kind: item for item in read_items(store.root)}
    assert set(found) == {"file", "built"} and found["built"].size_bytes == 1000
    item = found["file"]
    assert (item.name, item.sha256, item.size_bytes) == ("a.pth", DIGEST, len(BODY))
    if item.outside:  # by hard links, that is, not by shared blocks
        assert item.paths == (store.path_of(DIGEST), view) and item.outside == 1 and item.own_bytes == 0


def test_giving_up_removes_every_name_in_the_cache(server: Server, store: Store, tmp_path: Path) -> None:
    get(server, store, store.root / "wheels" / "host" / "x.whl")
    with Part(store.path_of(DIGEST), lambda: None) as busy:
        busy.write(memoryview(b"begun"))
        gone, stayed = give_up(read_items(store.root))
        assert [item.kind for item in stayed] == ["unfinished"]
        busy.restart()
    assert {item.kind for item in gone} <= {"file", "named"}
    assert [path for path in store.root.rglob("*") if path.is_file()] == []


def item(number: int, size: int, used: float, outside: int) -> Item:
    return Item("file", str(number), (Path(str(number)),), size, used, None, outside)


ITEMS = st.lists(st.tuples(st.integers(0, 100), st.floats(-1e6, 1e6), st.integers(0, 1)), max_size=12).map(
    lambda rows: [item(number, *row) for number, row in enumerate(rows)]
)


@given(ITEMS, st.integers(0, 500))
def test_law_the_oldest_go_until_the_rest_fits(items: list[Item], limit: int) -> None:
    chosen = to_give_up(items, 0.0, limit_bytes=limit)
    rest = [each for each in items if each not in chosen]
    movable = [each for each in rest if each.own_bytes and abs(each.used_at) > 600]
    assert sum(each.own_bytes for each in rest) <= limit or not movable
    assert all(each.own_bytes for each in chosen)
    assert not chosen or not movable or max(each.used_at for each in chosen) <= min(each.used_at for each in movable)


# -- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture
def filled(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    server.files["/b.whl"] = Page(b"b" * 5000, "application/zip")
    store = users_store()
    get(server, store, tmp_path / "a.pth")
    get(server, store, store.root / "wheels" / "host" / "b.whl", path="/b.whl", sha256=None)
    (tmp_path / "a.pth").unlink()
    return store


def zoo_json(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, object]]:
    code = run(["cache", *words, "--json"])
    document: dict[str, object] = json.loads(capsys.readouterr().out)
    return code, document


def test_info_list_and_path(filled: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cache", "path"]) == 0
    assert capsys.readouterr().out == f"{filled.root}\n"
    assert run(["cache", "info"]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[1] == "fetched files, by digest\t2\t389 kB" and "389 kB only here" in shown.err
    _code, document = zoo_json(capsys, "list")
    items = document["items"]
    assert isinstance(items, list) and {each["name"] for each in items} == {"a.pth"}  # b.whl was asked for as a.pth
    assert run(["cache", "list"]) == 0 and DIGEST in capsys.readouterr().out


def test_verify_finds_and_removes_damage(filled: Store, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = zoo_json(capsys, "verify")
    assert code == 0 and document["ok"] is True
    kept = filled.path_of(DIGEST)
    kept.chmod(0o644)
    with kept.open("r+b") as file:
        file.write(b"damage")
    assert run(["cache", "verify"]) == 6
    shown = capsys.readouterr()
    assert shown.out.startswith(f"damaged\t{DIGEST}") and "1 of 2 files are right" in shown.err
    assert not kept.exists()
    assert zoo_json(capsys, "verify")[0] == 0


def test_prune_by_size_and_age(filled: Store, capsys: pytest.CaptureFixture[str]) -> None:
    old = time.time() - 100 * 86400
    kept = filled.path_of(DIGEST)
    os.utime(kept, ns=(int(old * 1e9), kept.stat().st_mtime_ns))
    assert zoo_json(capsys, "prune")[1]["removed"] == []  # stored a moment ago, whatever its last use says
    os.utime(kept, (old, old))
    _code, document = zoo_json(capsys, "prune", "--max-size", "10kB", "--dry-run")
    assert document["freed_bytes"] == len(BODY) and kept.exists()
    assert zoo_json(capsys, "prune", "--older-than", "200")[1]["removed"] == []
    assert zoo_json(capsys, "prune", "--max-size", "10kB")[1]["freed_bytes"] == len(BODY)
    assert not kept.exists()
    assert run(["cache", "prune", "--all"]) == 0
    assert read_items(filled.root) == [] and "Removed 1 of 1" in capsys.readouterr().err
    assert run(["cache", "prune", "--max-size", "much"]) == 2


def test_a_cache_that_is_not_there_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "none"))
    for words in (["info"], ["list"], ["verify"], ["prune", "--all"]):
        assert run(["cache", *words]) == 0
    assert not (tmp_path / "none").exists()


def test_a_waiting_note_is_told_once(server: Server, store: Store, tmp_path: Path) -> None:
    heard = Heard()
    store.root.write_bytes(b"not a directory")
    received = fetch(wanted(server.url("/a.pth")), tmp_path / "a.pth", DURABLE, heard, store=store)
    notes = [event.text for event in heard.events if isinstance(event, Noted)]
    assert received.path.read_bytes() == BODY and len(notes) == 1 and "is not kept in the cache" in notes[0]
