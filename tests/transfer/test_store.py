from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from zoo_cli.transfer.failures import DestinationUnusable
from zoo_cli.transfer.hashes import BadDigest, Sha256
from zoo_cli.transfer.store import CacheUnusable, Store, cache_directory

BYTES = b"weights" * 1000
DIGEST = Sha256(hashlib.sha256(BYTES).hexdigest())


@pytest.fixture
def stored(tmp_path: Path) -> Store:
    store = Store(tmp_path / "cache")
    (tmp_path / "file").write_bytes(BYTES)
    store.put(tmp_path / "file", DIGEST)
    return store


def test_a_file_is_kept_under_its_digest_and_read_only(stored: Store, tmp_path: Path) -> None:
    path = stored.get(DIGEST)
    assert path == tmp_path / "cache" / "sha256" / DIGEST[:2] / DIGEST
    assert path.read_bytes() == BYTES and stat.S_IMODE(path.stat().st_mode) == 0o444
    (tmp_path / "file").write_bytes(b"edited afterwards")
    assert path.read_bytes() == BYTES
    assert [each.name for each in path.parent.iterdir()] == [DIGEST]
    assert stored.put(tmp_path / "file", DIGEST) == path  # stored once


def test_placing_copies_or_links(stored: Store, tmp_path: Path) -> None:
    assert stored.place(DIGEST, tmp_path / "copy") and stored.place(DIGEST, tmp_path / "link", link=True)
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "link").read_bytes() == BYTES
    assert os.access(tmp_path / "copy", os.W_OK) and (tmp_path / "copy").stat().st_nlink == 1
    assert (tmp_path / "link").stat().st_ino == (stored.get(DIGEST) or tmp_path).stat().st_ino
    assert sorted(each.name for each in tmp_path.iterdir()) == ["cache", "copy", "file", "link"]
    assert not stored.place(Sha256("0" * 64), tmp_path / "none")
    with pytest.raises(DestinationUnusable):
        stored.place(DIGEST, tmp_path / "none" / "x")


def test_a_stored_file_that_somebody_made_writable_is_hashed_again(stored: Store) -> None:
    path = stored.path_of(DIGEST)
    path.chmod(0o644)
    assert stored.get(DIGEST) == path and stat.S_IMODE(path.stat().st_mode) == 0o444
    path.chmod(0o644)
    path.write_bytes(b"other")
    assert stored.get(DIGEST) is None and not path.exists()


def test_a_link_in_the_store_is_not_followed(stored: Store, tmp_path: Path) -> None:
    path = stored.path_of(DIGEST)
    path.unlink()
    path.symlink_to(tmp_path / "file")
    assert stored.get(DIGEST) is None and (tmp_path / "file").exists()


def test_no_text_becomes_a_path(tmp_path: Path) -> None:
    with pytest.raises(BadDigest):
        Store(tmp_path).get(Sha256("../../etc/passwd"))


def test_where_the_cache_is(tmp_path: Path) -> None:
    assert cache_directory({"ZOO_CACHE": str(tmp_path / "z"), "XDG_CACHE_HOME": "/none"}) == tmp_path / "z"
    assert cache_directory({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "zoo"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CacheUnusable):
        cache_directory({"ZOO_CACHE": str(tmp_path / "file" / "x")})
    with pytest.raises(CacheUnusable):
        Store(tmp_path / "file").put(tmp_path / "file", DIGEST)
