"""Trusted roots: what came with zoo goes first, nothing is replaced silently, a damaged record is one error."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo_cli.trust.refusals import BadRoot, NoRoot, RootKnown
from zoo_cli.trust.roots import TrustedRoot, add_root, named_roots, read_roots, remove_root

ADDRESSES = ("https://index.example/zoo",)


def root(body: bytes, name: str = "zoo") -> TrustedRoot:
    return TrustedRoot(name, body, ADDRESSES, is_shipped=False)


def test_what_is_added_is_read_back(tmp_path: Path) -> None:
    assert add_root(tmp_path, root(b"one"), tmp_path / "none")
    assert not add_root(tmp_path, root(b"one"), tmp_path / "none")
    assert named_roots(tmp_path, ["zoo"], tmp_path / "none")[0] == root(b"one")
    remove_root(tmp_path, "zoo", tmp_path / "none")
    with pytest.raises(NoRoot):
        named_roots(tmp_path, ["zoo"], tmp_path / "none")[0]


def test_another_root_of_that_name_is_refused(tmp_path: Path) -> None:
    add_root(tmp_path, root(b"one"), tmp_path / "none")
    with pytest.raises(RootKnown):
        add_root(tmp_path, root(b"two"), tmp_path / "none")
    assert named_roots(tmp_path, ["zoo"], tmp_path / "none")[0].root == b"one"


def test_the_root_that_came_with_zoo_goes_before_one_that_was_added(tmp_path: Path) -> None:
    add_root(tmp_path, root(b"added"), tmp_path / "none")
    package = tmp_path / "package"
    add_root(package, root(b"shipped"), tmp_path / "none")
    shipped = package / "roots"
    assert [(each.root, each.is_shipped) for each in read_roots(tmp_path, shipped)] == [(b"shipped", True)]
    for change in (lambda: add_root(tmp_path, root(b"added"), shipped), lambda: remove_root(tmp_path, "zoo", shipped)):
        with pytest.raises(RootKnown) as caught:
            change()
        assert caught.value.is_shipped


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"root": 1, "addresses": []}', b"[" * 100_000, b"\xff"])
def test_a_damaged_record_is_one_error(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "roots").mkdir()
    (tmp_path / "roots" / "zoo.json").write_bytes(body)
    with pytest.raises(BadRoot):
        named_roots(tmp_path, ["zoo"], tmp_path / "none")[0]
