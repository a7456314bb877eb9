"""The client workflow of the TUF specification, section 5, step by step, by what clients keep and refuse."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata

from tests.support.server import Server
from tests.support.signed import Publisher
from zoo_cli.transfer.settings import Settings
from zoo_cli.trust.refusals import IndexRefused
from zoo_cli.trust.tufclient import SignedFile, signed_file
from zoo_cli.updates.updating import TARGET

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    made = Publisher(tmp_path / "maintainers")
    made.index("2026-02-01")
    return made


def refresh(publisher: Publisher, directory: Path) -> SignedFile:
    address = publisher.repository.as_uri()
    return signed_file(directory, "zoo", publisher.trusted.root, address, TARGET, Settings(retries=0))


def fault_of(publisher: Publisher, directory: Path) -> str:
    with pytest.raises(IndexRefused) as caught:
        refresh(publisher, directory)
    return caught.value.fault


def put_root(publisher: Publisher, version: int, signers: list[CryptoSigner], change: Callable[[Any], object]) -> None:
    """Lays a next root into the repository, whatever it says, signed by these keys."""
    folder = publisher.repository / "metadata"
    metadata: Metadata[Any] = Metadata.from_file(str(folder / "1.root.json"))
    metadata.signed.version = version
    change(metadata.signed)
    metadata.signatures.clear()
    for each in signers:
        metadata.sign(each, append=True)
    metadata.to_file(str(folder / f"{version}.root.json"))


def test_5_2_the_trusted_root_must_be_signed_by_itself(publisher: Publisher, tmp_path: Path) -> None:
    publisher.forge("1.root.json", publisher.root_keys[:1], lambda _signed: None)
    assert fault_of(publisher, tmp_path / "client") == "unsigned"


def test_5_3_4_a_root_needs_the_old_threshold_and_the_new_one(publisher: Publisher, tmp_path: Path) -> None:
    new = CryptoSigner.generate_ed25519()

    def give(signed: Any) -> None:
        for key in list(signed.roles["root"].keyids):
            signed.revoke_key(key, "root")
        signed.add_key(new.public_key, "root")
        signed.roles["root"].threshold = 1

    for signers in ([new], publisher.root_keys[:2], [new, publisher.root_keys[0]]):
        put_root(publisher, 2, signers, give)
        assert fault_of(publisher, tmp_path / "client") == "unsigned"
    put_root(publisher, 2, [new, *publisher.root_keys[:2]], give)
    assert refresh(publisher, tmp_path / "client").versions["root"] == 2


@pytest.mark.parametrize("said", [1, 3], ids=["again", "skipping one"])
def test_5_3_5_a_root_is_exactly_one_version_newer(publisher: Publisher, tmp_path: Path, said: int) -> None:
    put_root(publisher, 2, publisher.root_keys, lambda signed: setattr(signed, "version", said))
    assert fault_of(publisher, tmp_path / "client") == "older"


def test_5_3_8_an_expired_root_on_the_way_is_passed_and_a_final_one_refused(
    publisher: Publisher, tmp_path: Path
) -> None:
    over = publisher.now.replace(microsecond=0) - timedelta(days=1)
    put_root(publisher, 2, publisher.root_keys, lambda signed: setattr(signed, "expires", over))
    assert fault_of(publisher, tmp_path / "client") == "expired"
    put_root(publisher, 3, publisher.root_keys, lambda _signed: None)
    assert refresh(publisher, tmp_path / "client").versions["root"] == 3


@pytest.mark.parametrize("name", ["timestamp.json", "1.snapshot.json", "1.targets.json"])
def test_5_4_to_5_6_signatures_of_other_roles_count_nothing(publisher: Publisher, tmp_path: Path, name: str) -> None:
    publisher.forge(name, publisher.root_keys[:1], lambda _signed: None)
    # A changed snapshot or targets list is not what the level above names, which is found first.
    assert fault_of(publisher, tmp_path / "client") == ("unsigned" if name == "timestamp.json" else "other-bytes")


def test_6_1_one_key_counts_once_however_often_it_signs(publisher: Publisher, tmp_path: Path) -> None:
    put_root(publisher, 2, publisher.root_keys[:1], lambda _signed: None)
    path = publisher.repository / "metadata" / "2.root.json"
    import json

    document = json.loads(path.read_bytes())
    document["signatures"] *= 2
    path.write_text(json.dumps(document))
    assert fault_of(publisher, tmp_path / "client") == "malformed"  # the specification: identifiers are unique


def test_5_4_3_a_snapshot_version_in_the_timestamp_never_falls(publisher: Publisher, tmp_path: Path) -> None:
    publisher.index("2026-03-01")
    refresh(publisher, tmp_path / "client")

    def fall(signed: Any) -> None:
        signed.version += 1
        signed.snapshot_meta.version = 1

    publisher.forge("timestamp.json", [publisher.online_key], fall)
    assert fault_of(publisher, tmp_path / "client") == "older"


def test_no_target_of_that_name_is_told(publisher: Publisher, tmp_path: Path) -> None:
    with pytest.raises(IndexRefused) as caught:
        signed_file(
            tmp_path / "client", "zoo", publisher.trusted.root, publisher.repository.as_uri(), "zoo-0.db.gz", Settings()
        )
    assert caught.value.fault == "missing"


def test_the_shim_of_the_conformance_suite(publisher: Publisher, tmp_path: Path) -> None:
    """The protocol of its CLIENT-CLI.md: exit codes, and names without versions in the metadata directory."""

    def client(*words: str) -> int:
        argv = [sys.executable, "-m", "tests.support.tuf_client", "--metadata-dir", str(tmp_path / "client"), *words]
        return subprocess.run(argv, cwd=ROOT, check=False, capture_output=True).returncode

    assert client("init", str(publisher.repository / "metadata" / "1.root.json")) == 0
    with Server(root=publisher.repository) as server:
        assert client("--metadata-url", server.url("/metadata"), "refresh") == 0
        for role in ("root", "timestamp", "snapshot", "targets"):
            assert (tmp_path / "client" / f"{role}.json").is_file()
        publisher.forge("timestamp.json", publisher.root_keys, lambda _signed: None)
        assert client("--metadata-url", server.url("/metadata"), "refresh") == 1
