"""The cases of the tuf-conformance suite, by their names, against zoo's client on a loopback server.

The suite is not on the package index, so it cannot be run here. Its cases were read as text and each was written again
in our own words and code: `docs/tuf-conformance.md` names the few that are answered otherwise, and why. `refresh` and
`download` are the command line that the suite calls a client by (`tests/support/tuf_client.py`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import MetaFile, Root, TargetFile

from tests.support.server import Server
from tests.support.tuf_repository import BELOW, TOP, Client, Repository, days, quoted

ONE = dict.fromkeys(TOP, 1)
FIRST = ["2.root", "timestamp", "1.snapshot", "1.targets"]  # what a first refresh asks for


@pytest.fixture
def repository() -> Repository:
    return Repository()


@pytest.fixture
def client(repository: Repository, tmp_path: Path) -> Iterator[Client]:
    with Server() as server:
        server.files = repository.files
        made = Client(tmp_path / "client", repository, server)
        assert made.init() == 0
        yield made


# -- basic -----------------------------------------------------------------------------------------------------------


def test_basic_refresh_requests(client: Client) -> None:
    assert client.refresh() == 0
    assert client.asked == FIRST


def test_basic_refresh_trusted_data(client: Client) -> None:
    assert client.refresh() == 0
    assert {role: client.bytes_of(role) for role in TOP} == {
        role: client.repository.published[role][-1] for role in TOP
    }


def test_implicit_refresh(client: Client) -> None:
    assert client.download("no such file") == 1
    assert client.asked == FIRST
    assert client.trusted == ONE


def test_invalid_initial_root(client: Client) -> None:
    root = json.loads(client.repository.published["root"][0])
    del root["signed"]["version"]
    client.init(json.dumps(root).encode())
    assert client.refresh() == 1
    assert client.server.requests == []


def test_unsigned_initial_root(client: Client) -> None:
    root = json.loads(client.repository.published["root"][0])
    root["signatures"][0]["sig"] = "30" * 64
    client.init(json.dumps(root).encode())
    assert client.refresh() == 1
    assert client.server.requests == []


@pytest.mark.parametrize(
    ("role", "trusted"),
    [
        ("root", {"root": 1}),
        ("timestamp", {"root": 2}),
        ("snapshot", {"root": 2, "timestamp": 2}),
        ("targets", {"root": 2, "snapshot": 2, "timestamp": 2}),
    ],
)
def test_unsigned_metadata(client: Client, role: str, trusted: dict[str, int]) -> None:
    client.repository.signers[role].clear()
    client.repository.publish("root", *BELOW)
    assert client.refresh() == 1
    assert client.trusted == trusted


@pytest.mark.parametrize(
    ("role", "trusted"),
    [
        ("root", {"root": 1}),
        ("snapshot", {"root": 2, "timestamp": 2}),
        ("targets", {"root": 2, "snapshot": 2, "timestamp": 2}),
    ],
)
def test_url_and_metadata_version_mismatch(client: Client, role: str, trusted: dict[str, int]) -> None:
    repository = client.repository
    for each in ("root", *BELOW):
        repository[each].version += 1
        if each == role:
            repository[each].version += 1  # it says 3 where 2 is asked for
            body = repository.sign(each)
            repository[each].version -= 1
            repository.put(each, body)
        else:
            repository.put(each, repository.sign(each))
    assert client.refresh() == 1
    assert client.trusted == trusted


def test_timestamp_content_changes(client: Client) -> None:
    assert client.refresh() == 0
    client.repository["timestamp"].snapshot_meta.version = 100
    client.repository.put("timestamp", client.repository.sign("timestamp"))  # another one of the same version
    assert client.refresh() == 0
    assert client.asked[-1] == "timestamp"
    assert client.of("timestamp").snapshot_meta.version == 1


def test_basic_metadata_hash_support(client: Client) -> None:
    repository = client.repository
    repository.has_hashes = True
    repository.publish(*BELOW)
    assert client.refresh() == 0
    repository.publish("targets")
    repository["snapshot"].meta["targets.json"].hashes["sha256"] = "46" * 32
    repository.publish("snapshot", "timestamp")
    assert client.refresh() == 1
    assert (client.trusted["snapshot"], client.trusted["targets"]) == (3, 2)


def test_new_targets_hash_mismatch(client: Client) -> None:
    assert client.refresh() == 0
    repository = client.repository
    repository.has_hashes = True
    repository.publish(*BELOW)
    assert client.refresh() == 0
    repository["targets"].version += 1
    body = repository.sign("targets")
    repository.files["/metadata/3.targets.json"] = body  # new content; the snapshot has the digest of the former
    repository["snapshot"].meta["targets.json"].version = 3
    repository.publish("snapshot", "timestamp")
    assert client.refresh() == 1
    assert client.trusted["targets"] == 2


def test_new_targets_version_mismatch(client: Client) -> None:
    assert client.refresh() == 0
    client.repository.publish("targets")
    assert client.refresh() == 0
    assert client.trusted == ONE
    assert client.asked[-1] == "timestamp"


def test_metadata_bytes_match(client: Client) -> None:
    body = client.repository.published["timestamp"][-1] + b" "
    client.repository.files["/metadata/timestamp.json"] = body
    assert client.refresh() == 0
    assert client.bytes_of("timestamp") == body


def test_custom_fields(client: Client) -> None:
    assert client.refresh() == 0
    repository = client.repository
    repository["root"].unrecognized_fields["custom"] = "value"
    repository["root"].roles["root"].unrecognized_fields["another"] = {"a": [1, 2]}
    next(iter(repository["root"].keys.values())).unrecognized_fields["more"] = {"b": 2}
    repository.publish("root")
    assert client.refresh() == 0
    assert client.trusted["root"] == 2


@pytest.mark.parametrize("value", ["md5", ["md5"]])
def test_deprecated_keyid_hash_algorithms(client: Client, value: Any) -> None:
    repository = client.repository
    keyid = repository["root"].roles["snapshot"].keyids[0]
    repository["root"].keys[keyid].unrecognized_fields = {"keyid_hash_algorithms": value}
    repository.publish("root", "snapshot", "timestamp")
    assert client.refresh() == 0
    assert (client.trusted["root"], client.trusted["snapshot"]) == (2, 2)


def test_snapshot_404(client: Client) -> None:
    assert client.refresh() == 0
    client.repository["timestamp"].snapshot_meta.version += 1
    client.repository.publish("timestamp")
    assert client.refresh() == 1
    assert client.asked[-1] == "2.snapshot"
    assert client.trusted == {**ONE, "timestamp": 2}


def test_targets_404(client: Client) -> None:
    assert client.refresh() == 0
    client.repository["snapshot"].meta["targets.json"].version += 1
    client.repository.publish("snapshot", "timestamp")
    assert client.refresh() == 1
    assert client.asked[-1] == "2.targets"
    assert client.trusted == {**ONE, "timestamp": 2, "snapshot": 2}


def test_timestamp_404(client: Client) -> None:
    assert client.refresh() == 0
    del client.repository.files["/metadata/timestamp.json"]
    assert client.refresh() == 1
    assert client.asked[-1] == "timestamp"


def test_incorrect_metadata_type(client: Client) -> None:
    """A snapshot in every way valid as a timestamp, but for what it calls itself."""
    repository = client.repository
    repository.add_key("snapshot", repository.signers["timestamp"][0])
    repository["snapshot"].meta = {"snapshot.json": MetaFile(1)}
    repository["snapshot"].version = 2
    repository.publish("root")
    repository.files["/metadata/timestamp.json"] = repository.sign("snapshot")
    assert client.refresh() == 1
    assert client.trusted == {"root": 2}


# -- expiry ----------------------------------------------------------------------------------------------------------


def soon() -> datetime:
    """A moment that is over when `pass_by` comes back."""
    return datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=2)


def pass_by(moment: datetime) -> None:
    time.sleep(max(0.0, (moment - datetime.now(timezone.utc)).total_seconds()) + 0.05)


def test_faketime(client: Client) -> None:
    """The suite moves the clock; here time passes."""
    client.repository["root"].expires = moment = soon()
    client.repository.publish("root")
    assert client.refresh() == 0
    pass_by(moment)
    assert client.refresh() == 1


def test_root_expired(client: Client) -> None:
    assert client.refresh() == 0
    client.repository.publish("root")
    assert client.refresh() == 0
    client.repository["root"].expires = days(-1)
    client.repository.publish("root")
    assert client.refresh() == 1
    assert client.trusted == {**ONE, "root": 3}  # kept first, judged afterwards (5.3.10)


def test_timestamp_expired(client: Client) -> None:
    assert client.refresh() == 0
    client.repository["timestamp"].expires = days(-5)
    client.repository.publish("timestamp")
    assert client.refresh() == 1
    assert client.trusted == ONE


def test_snapshot_expired(client: Client) -> None:
    assert client.refresh() == 0
    client.repository["snapshot"].expires = days(-5)
    client.repository.publish("snapshot", "timestamp")
    assert client.refresh() == 1
    assert client.trusted == {**ONE, "timestamp": 2}


def test_targets_expired(client: Client) -> None:
    assert client.refresh() == 0
    client.repository["targets"].expires = days(-5)
    client.repository.publish(*BELOW)
    assert client.refresh() == 1
    assert client.trusted == {**ONE, "timestamp": 2, "snapshot": 2}


def test_expired_local_root(client: Client) -> None:
    client.repository["root"].expires = moment = soon()
    client.repository.publish("root")
    assert client.refresh() == 0
    client.repository["root"].expires = days(21)
    client.repository.publish("root")
    pass_by(moment)
    assert client.refresh() == 0
    assert client.trusted["root"] == 3


def test_expired_local_timestamp(client: Client) -> None:
    client.repository["timestamp"].expires = moment = soon()
    client.repository.publish("timestamp")
    assert client.refresh() == 0
    client.repository["timestamp"].expires = days(21)
    client.repository.publish(*BELOW)
    pass_by(moment)
    assert client.refresh() == 0
    assert client.trusted == {"root": 1, "timestamp": 3, "snapshot": 2, "targets": 2}


def test_delegated_targets_expired(client: Client) -> None:
    repository = client.repository
    repository.delegate("targets", "role", ["folder/*"], expires=days(-1))
    repository.add_file("folder/file", b"content", "role")
    repository.publish("role", *BELOW)
    assert client.refresh() == 0
    assert client.download("folder/file") == 1
    assert client.downloaded == set()
    assert "role" not in client.trusted


def test_expired_local_delegated_targets(client: Client) -> None:
    repository = client.repository
    repository.delegate("targets", "role", ["folder/*"], expires=(moment := soon()))
    repository.add_file("folder/one", b"one", "role")
    repository.add_file("folder/two", b"two", "role")
    repository.publish("role", *BELOW)
    assert client.download("folder/one") == 0
    pass_by(moment)
    assert client.download("folder/two") == 1
    assert client.downloaded == {b"one"}


def test_expired_local_delegated_targets_updates(client: Client) -> None:
    repository = client.repository
    repository.delegate("targets", "role", ["folder/*"], expires=(moment := soon()))
    repository.add_file("folder/one", b"one", "role")
    repository.add_file("folder/two", b"two", "role")
    repository.publish("role", *BELOW)
    assert client.download("folder/one") == 0
    repository["role"].expires = days(21)
    repository.publish("role", "snapshot", "timestamp")
    pass_by(moment)
    assert client.download("folder/two") == 0
    assert client.downloaded == {b"one", b"two"}


# -- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["file.txt", "path/to/a/file.txt"])
def test_client_downloads_expected_file(client: Client, path: str) -> None:
    client.repository.add_file(path, b"content")
    client.repository.publish(*BELOW)
    assert client.refresh() == 0
    assert client.downloaded == set()
    assert client.download(path) == 0
    assert client.downloaded == {b"content"}


def test_client_downloads_expected_file_in_sub_dir(client: Client) -> None:
    client.repository.add_file("a/b/file", b"content")
    client.repository.publish(*BELOW)
    assert client.download("a/b/file") == 0
    assert client.downloaded == {b"content"}


def test_repository_substitutes_target_file(client: Client) -> None:
    repository = client.repository
    repository.add_file("one", b"first")
    repository.add_file("two", b"second")
    repository.publish(*BELOW)
    assert client.download("one") == 0
    for name in ("one", "two"):
        repository.serve(name, b"something bad")
    assert client.download("one") == 0  # it is there already, so nothing is asked
    assert client.asked_files == 1
    assert client.download("two") == 1
    assert client.downloaded == {b"first"}


def test_multiple_changes_to_target(client: Client) -> None:
    repository = client.repository
    expected = set[bytes]()
    for number in range(11):
        repository.add_file("file", body := f"version {number}".encode())
        repository.add_file(f"new-{number}", more := f"new {number}".encode())
        repository.publish(*BELOW)
        if number % 5:
            continue  # the client sees every fifth version
        assert client.download("file") == client.download(f"new-{number}") == 0
        expected = {each for each in expected if not each.startswith(b"version")} | {body, more}
        assert client.downloaded == expected
        repository.serve("file", b"bad " + body)
        repository.publish(*BELOW)
        client.download("file")
        assert client.downloaded == expected


@pytest.mark.parametrize("hashes", [["sha256"], ["sha512"], ["sha256", "sha512"]], ids="+".join)
def test_download_with_hash_algorithms(client: Client, hashes: list[str]) -> None:
    """zoo names every file by its SHA-256; one that is signed by SHA-512 alone is refused (docs/signing.md)."""
    client.repository.add_file("file", b"content", hashes=hashes)
    client.repository.publish(*BELOW)
    assert client.download("file") == (0 if "sha256" in hashes else 1)
    assert client.downloaded == ({b"content"} if "sha256" in hashes else set())


def test_download_with_unknown_hash_algorithm(client: Client) -> None:
    file = TargetFile.from_data("file", b"content", ["sha512"])
    file.hashes = {"unknown-hash": file.hashes["sha512"]}
    client.repository["targets"].targets["file"] = file
    client.repository.serve("file", b"content")
    client.repository.publish(*BELOW)
    assert client.download("file") == 1
    assert client.downloaded == set()


# -- keys ------------------------------------------------------------------------------------------------------------


def test_snapshot_does_not_meet_threshold(client: Client) -> None:
    repository = client.repository
    repository["root"].roles["snapshot"].threshold = 3
    repository.add_key("snapshot")
    repository.add_key("snapshot")
    repository.publish("root", *BELOW)
    assert client.refresh() == 0
    repository.signers["snapshot"].pop()
    repository.publish(*BELOW)
    assert client.refresh() == 1
    assert client.trusted["snapshot"] == 2


def test_snapshot_has_too_few_keys(client: Client) -> None:
    repository = client.repository
    for _ in range(4):
        repository.add_key("snapshot")
    repository["root"].roles["snapshot"].threshold = 6
    repository.publish("root", "snapshot", "timestamp")
    assert client.refresh() == 1
    assert client.trusted == {"root": 2, "timestamp": 2}


def test_duplicate_keys(client: Client) -> None:
    """One key named and signing many times is one signature, or no valid metadata at all."""
    repository = client.repository
    signer = repository.add_key("snapshot")
    repository["root"].roles["snapshot"].threshold = 6
    repository.publish("root", "snapshot", "timestamp")

    def repeat(document: Any) -> None:
        (one,) = [each for each in document["signatures"] if each["keyid"] == signer.public_key.keyid]
        document["signatures"] += [one] * 8

    repository.reput("snapshot", repeat)
    assert client.refresh() == 1
    assert "snapshot" not in client.trusted


def test_duplicate_sig_keyids(client: Client) -> None:
    client.repository.reput("snapshot", lambda document: document["signatures"].append(document["signatures"][0]))
    assert client.refresh() == 1
    assert "snapshot" not in client.trusted


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_keytype_and_scheme(client: Client, kind: str) -> None:
    """Ed25519 is verified without compiled code; the other kinds need the package cryptography (extra `sign`)."""
    signer = getattr(CryptoSigner, f"generate_{kind}")()
    repository = client.repository
    repository.add_key("root", signer)
    repository["root"].roles["root"].threshold = 2
    repository.publish("root")
    assert client.refresh() == 0
    assert client.trusted["root"] == 2
    repository.publish("root")

    def spoil(document: Any) -> None:
        (one,) = [each for each in document["signatures"] if each["keyid"] == signer.public_key.keyid]
        one["sig"] = one["sig"][:-4] + ("0000" if one["sig"][-4:] != "0000" else "1111")

    repository.reput("root", spoil)
    assert client.refresh() == 1
    assert client.trusted["root"] == 2


@pytest.mark.parametrize("wrong", ["00" * 64, ""])
def test_invalid_sig_in_valid_metadata(client: Client, wrong: str) -> None:
    repository = client.repository
    other = repository.add_key("timestamp").public_key.keyid
    repository.publish("root", "timestamp")

    def spoil(document: Any) -> None:
        (one,) = [each for each in document["signatures"] if each["keyid"] == other]
        one["sig"] = wrong

    repository.reput("timestamp", spoil)
    assert client.refresh() == 0  # one right signature is enough where one is needed
    assert client.trusted["timestamp"] == 2


# -- rollback --------------------------------------------------------------------------------------------------------


def test_simple_snapshot_rollback(client: Client) -> None:
    repository = client.repository
    repository.publish("snapshot", "timestamp")
    assert client.refresh() == 0
    repository.files["/metadata/2.snapshot.json"] = repository.published["snapshot"][0]
    assert client.refresh() == 0  # the timestamp names what is here already
    assert client.trusted["snapshot"] == 2
    assert client.asked[-1] == "timestamp"


def test_new_timestamp_version_rollback(client: Client) -> None:
    repository = client.repository
    repository.publish("timestamp")
    assert client.refresh() == 0
    repository.files["/metadata/timestamp.json"] = repository.published["timestamp"][0]
    assert client.refresh() == 1
    assert client.trusted["timestamp"] == 2
    assert client.asked[-1] == "timestamp"


@pytest.mark.parametrize("has_hashes", [False, True], ids=["plain", "with hashes"])
def test_snapshot_rollback(client: Client, has_hashes: bool) -> None:
    repository = client.repository
    repository.has_hashes = has_hashes
    repository.publish(*BELOW)
    assert client.refresh() == 0
    first = repository.published["snapshot"][0]
    repository["timestamp"].snapshot_meta = MetaFile.from_data(1, first, ["sha256"]) if has_hashes else MetaFile(1)
    repository.publish("timestamp")
    assert client.refresh() == 1
    assert (client.trusted["timestamp"], client.trusted["snapshot"]) == (2, 2)
    assert client.asked[-1] == "timestamp"


@pytest.mark.parametrize("has_hashes", [False, True], ids=["plain", "with hashes"])
def test_targets_rollback(client: Client, has_hashes: bool) -> None:
    repository = client.repository
    repository.has_hashes = has_hashes
    repository.publish(*BELOW)
    assert client.refresh() == 0
    first = repository.published["targets"][0]
    repository["snapshot"].meta["targets.json"] = (
        MetaFile.from_data(1, first, ["sha256"]) if has_hashes else MetaFile(1)
    )
    repository.publish("snapshot", "timestamp")
    assert client.refresh() == 1
    assert client.trusted["targets"] == 2
    assert client.trusted["snapshot"] == 2


def test_new_snapshot_version_mismatch(client: Client) -> None:
    repository = client.repository
    repository["snapshot"].version = 2
    repository.files["/metadata/1.snapshot.json"] = repository.sign("snapshot")
    assert client.refresh() == 1
    assert client.trusted == {"root": 1, "timestamp": 1}
    assert client.asked[-1] == "1.snapshot"


@pytest.mark.parametrize(
    ("forwarded", "rotated"),
    [("targets", ("snapshot",)), ("snapshot", ("snapshot", "timestamp")), ("timestamp", ("timestamp",))],
)
def test_fast_forward_recovery(client: Client, forwarded: str, rotated: tuple[str, ...]) -> None:
    """test_new_targets_, test_new_snapshot_ and test_new_timestamp_fast_forward_recovery."""
    repository = client.repository
    repository[forwarded].version = 99_998
    repository.publish(*BELOW)
    assert client.refresh() == 0
    assert client.trusted[forwarded] == 99_999
    for role in rotated:
        repository.rotate(role)
    repository[forwarded].version = 0
    repository.publish("root", *BELOW)
    assert client.refresh() == 0
    assert client.trusted[forwarded] == 1


# -- delegations -----------------------------------------------------------------------------------------------------

Edge = tuple[Any, ...]  # delegator, role, and what is not by default: paths, terminating
GRAPHS: dict[str, tuple[list[Edge], str]] = {
    "basic delegation": ([("targets", "A")], "A"),
    "single level delegations": ([("targets", "A"), ("targets", "B")], "AB"),
    "two level delegations": ([("targets", "A"), ("targets", "B"), ("B", "C")], "ABC"),
    "two levels, depth first": ([("targets", "A"), ("targets", "B"), ("A", "C"), ("A", "D")], "ACDB"),
    "three levels, depth first": ([("targets", "A"), ("targets", "B"), ("A", "C"), ("C", "D")], "ACDB"),
    "two levels, terminating": ([("targets", "A"), ("targets", "B"), ("A", "C", ["*"], True), ("A", "D")], "AC"),
    "three levels, terminating": ([("targets", "A"), ("targets", "B"), ("A", "C", ["*"], True), ("C", "D")], "ACD"),
    "two levels, other paths": ([("targets", "A", ["*.py"]), ("targets", "B"), ("A", "C")], "B"),
    "three levels, other paths": ([("targets", "A"), ("targets", "B"), ("A", "C", ["*.py"]), ("C", "D")], "AB"),
    "cyclic graph": ([("targets", "A"), ("targets", "B"), ("B", "C"), ("C", "D"), ("D", "B")], "ABCD"),
    "two roles delegate to a third": ([("targets", "A"), ("targets", "B"), ("B", "C"), ("A", "C")], "ACB"),
    "two roles, other paths": ([("targets", "A"), ("targets", "B"), ("B", "C"), ("A", "C", ["*.py"])], "ABC"),
}


def delegate(repository: Repository, edges: list[Edge]) -> list[str]:
    """Makes a graph; returns its roles."""
    for delegator, role, *more in edges:
        repository.delegate(delegator, role, more[0] if more else ["*"], terminating=len(more) > 1)
    return list(dict.fromkeys(role for _delegator, role, *_more in edges))


@pytest.mark.parametrize("name", GRAPHS)
def test_graph_traversal(client: Client, name: str) -> None:
    edges, visited = GRAPHS[name]
    roles = delegate(client.repository, edges)
    client.repository.publish(*roles, *BELOW)
    assert client.download("missing path") == 1
    assert client.asked[4:] == [f"1.{role}" for role in visited]


TREE: list[Edge] = [
    ("targets", "A", ["*.doc", "*.md"]), ("targets", "B", ["releases/*/*"]), ("B", "C", ["releases/x/*"]),
    ("B", "D", ["releases/y/*.zip"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "role", "visited"),
    [
        ("file", "targets", ""),
        ("README.md", "A", "A"),
        ("releases/x/x_v1", "C", "BC"),
        ("releases/y/y_v1.zip", "D", "BD"),
        ("releases/z/z_v1.zip", "D", "B"),  # D says so, but B does not let it
    ],
)
def test_targetfile_search(client: Client, path: str, role: str, visited: str) -> None:
    roles = delegate(client.repository, TREE)
    client.repository.add_file(path, b"content", role)
    client.repository.publish(*roles, *BELOW)
    is_found = visited[-1:] == role or role == "targets"
    assert client.download(path) == (0 if is_found else 1)
    assert client.downloaded == ({b"content"} if is_found else set())
    assert client.asked[4:] == [f"1.{each}" for each in visited]


@pytest.mark.parametrize("role", ["?", "#", "/delegatedrole", "../delegatedrole"])
def test_unusual_role_name(client: Client, role: str) -> None:
    client.repository.delegate("targets", role)
    client.repository.publish(role, *BELOW)
    assert client.download("no such file") == 1
    assert client.asked[-1] == f"1.{quoted(role)}"
    assert client.trusted == {"root": 1, "timestamp": 2, "snapshot": 2, "targets": 2, role: 1}
    assert {path.parent for path in client.folder.rglob("*delegatedrole*")} <= {client.metadata_dir}


# -- rotation --------------------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """A version of metadata: the role's keys, how many must sign, who does."""

    keys: str
    threshold: int
    signers: str


ROOTS: dict[str, tuple[list[Step], bool]] = {
    "1 of 1 rotated": ([Step("1", 1, "1"), Step("2", 1, "21"), Step("2", 1, "2")], True),
    "1 of 1 rotated, more signatures": ([Step("1", 1, "314"), Step("2", 1, "3214"), Step("2", 1, "324")], True),
    "3 of 5, any three": ([Step("01234", 3, "024"), Step("01234", 3, "041"), Step("01234", 3, "013")], True),
    "3 of 5, one rotated": ([Step("01234", 3, "024"), Step("01345", 3, "041")], True),
    "3 of 5, one rotated by a step between": (
        [Step("01234", 3, "024"), Step("01345", 3, "0245"), Step("01345", 3, "045")], True,
    ),
    "3 of 5, all rotated by a step between": (
        [Step("01234", 3, "024"), Step("56789", 3, "024567"), Step("56789", 3, "567")], True,
    ),
    "1 of 3 becomes 2 of 3": ([Step("123", 1, "1"), Step("123", 2, "12")], True),
    "2 of 3 becomes 1 of 3": ([Step("123", 2, "12"), Step("123", 1, "12"), Step("123", 1, "1")], True),
    "1 of 1 becomes 2 of 2": ([Step("1", 1, "1"), Step("12", 2, "12")], True),
    "not signed by the old key": ([Step("1", 1, "1"), Step("2", 1, "234")], False),
    "not signed by the new key": ([Step("1", 1, "1"), Step("2", 1, "134")], False),
    "3 of 5, not by three new": ([Step("01234", 3, "024"), Step("01345", 3, "024")], False),
    "3 of 5, not by three old": ([Step("01234", 3, "024"), Step("01345", 3, "045")], False),
    "new threshold not reached": ([Step("123", 1, "1"), Step("123", 2, "2")], False),
    "old threshold not reached": ([Step("123", 2, "12"), Step("123", 1, "1")], False),
}  # fmt: skip


def holders() -> list[CryptoSigner]:
    return [CryptoSigner.generate_ed25519() for _ in range(10)]


def set_keys(repository: Repository, role: str, people: list[CryptoSigner], step: Step) -> None:
    root: Root = repository["root"]
    for keyid in list(root.roles[role].keyids):
        root.revoke_key(keyid, role)
    for number in step.keys:
        root.add_key(people[int(number)].public_key, role)
    root.roles[role].threshold = step.threshold
    repository.signers[role] = [people[int(number)] for number in step.signers]


@pytest.mark.parametrize("name", ROOTS)
def test_root_rotation(client: Client, name: str) -> None:
    steps, is_taken = ROOTS[name]
    people, repository = holders(), client.repository
    repository.published["root"].clear()
    repository["root"].version = 0
    for step in steps:
        set_keys(repository, "root", people, step)
        repository.publish("root")
    client.init()
    assert client.refresh() == (0 if is_taken else 1)
    assert client.bytes_of("root") == repository.published["root"][-1 if is_taken else -2]


OTHERS: dict[str, tuple[Step, bool]] = {
    "1 of 1 rotated": (Step("2", 1, "2"), True),
    "1 of 1, more signatures": (Step("1", 1, "314"), True),
    "not signed by the new key": (Step("2", 1, "134"), False),
    "3 of 5, a wrong one among three": (Step("01345", 3, "024"), False),
    "3 of 5, two sign": (Step("01345", 3, "04"), False),
    "3 of 5: 0 2 4": (Step("01234", 3, "024"), True),
    "3 of 5: 0 4 1": (Step("01234", 3, "041"), True),
    "3 of 5: 0 1 3": (Step("01234", 3, "013"), True),
    "3 of 5: 1 2 3": (Step("01234", 3, "123"), True),
    "3 of 5: 2 3 4": (Step("01234", 3, "234"), True),
}


@pytest.mark.parametrize("name", OTHERS)
def test_non_root_rotations(client: Client, name: str) -> None:
    step, is_taken = OTHERS[name]
    people, repository = holders(), client.repository
    for role in ("timestamp", "snapshot", "targets"):
        set_keys(repository, role, people, step)
        repository.publish("root", *BELOW)
        assert client.refresh() == (0 if is_taken else 1)
        if is_taken:
            assert client.bytes_of(role) == repository.published[role][-1]


def test_static_repo(tmp_path: Path) -> None:
    """A repository as another program left it in a directory: zoo's own publisher, on disk, with a file."""
    from tests.support.signed import Publisher
    from zoo_cli.updates.updating import TARGET

    publisher = Publisher(tmp_path / "maintainers")
    publisher.index("2026-02-01")
    with Server(root=publisher.repository) as server:
        made = Client(tmp_path / "client", Repository(), server)
        made.init(publisher.trusted.root)
        assert made.refresh() == 0
        assert made.download(TARGET) == 0
    (target,) = (publisher.repository / "targets").iterdir()
    assert made.downloaded == {target.read_bytes()}


def test_the_table_of_cases_names_these_tests() -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "tuf-conformance.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| test_")]
    named = {row[2].split()[0] for row in rows}
    ours = {name for name in globals() if name.startswith("test_")} - {"test_the_table_of_cases_names_these_tests"}
    assert named == ours
