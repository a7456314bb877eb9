from __future__ import annotations

from pathlib import Path

import pytest

from zoo_cli.directories import CacheUnusable, cache_directory, state_directory


def test_where_the_cache_is(tmp_path: Path) -> None:
    assert cache_directory({"ZOO_CACHE": str(tmp_path / "z"), "XDG_CACHE_HOME": "/none"}) == tmp_path / "z"
    assert cache_directory({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "zoo"
    assert (tmp_path / "zoo").is_dir()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CacheUnusable):
        cache_directory({"ZOO_CACHE": str(tmp_path / "file" / "x")})


def test_where_the_state_is(tmp_path: Path) -> None:
    assert state_directory({"ZOO_STATE": str(tmp_path / "z"), "XDG_STATE_HOME": "/none"}) == tmp_path / "z"
    assert state_directory({"XDG_STATE_HOME": str(tmp_path)}) == tmp_path / "zoo"
    assert state_directory({"HOME": str(tmp_path)}) == tmp_path / ".local/state/zoo"
    assert not (tmp_path / ".local").exists(), "it is made by who writes there"
