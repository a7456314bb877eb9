"""The two directories that zoo keeps things in: the cache, which may be deleted, and the state, which may not.

Edge: files and the environment.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.errors import ZooError

if TYPE_CHECKING:
    from collections.abc import Mapping


class CacheUnusable(ZooError):
    """The cache directory cannot be used."""

    code = "cache-unusable"

    path: str
    reason: str


def cache_path(environ: Mapping[str, str] | None = None) -> Path:
    """Where the cache is: ZOO_CACHE, else XDG_CACHE_HOME/zoo, else ~/.cache/zoo. Not made here."""
    values = os.environ if environ is None else environ
    if named := values.get("ZOO_CACHE"):
        return Path(named).absolute()
    base = values.get("XDG_CACHE_HOME")
    return (Path(base) if base else _home(values) / ".cache").absolute() / "zoo"


def cache_directory(environ: Mapping[str, str] | None = None) -> Path:
    """The cache directory, made if missing.

    Raises:
        CacheUnusable: It cannot be made or written.
    """
    import tempfile

    path = cache_path(environ)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):  # os.access does not know read-only file systems
            pass
    except OSError as exc:
        raise CacheUnusable(str(path), exc.strerror or str(exc)) from exc
    return path


def own_cache(cache: Path, environ: Mapping[str, str] | None = None) -> Path:
    """Where the cache keeps what no digest tells right: configs, compiled wheels, checkouts, what programs said.

    The cache directory itself, unless others may write in it (a group's, everybody's, another user's): what they put
    there would be believed, and run. Then it is a directory in the user's own state. Not made here.
    """
    try:
        about = cache.stat()
    except OSError:  # it will be ours
        return cache
    is_groups = about.st_mode & stat.S_IWGRP and about.st_mode & stat.S_ISGID
    is_anothers = hasattr(os, "getuid") and about.st_uid not in (os.getuid(), 0)
    if is_groups or is_anothers or about.st_mode & stat.S_IWOTH:
        return state_directory(environ) / "cache"
    return cache


def state_directory(environ: Mapping[str, str] | None = None) -> Path:
    """Where zoo keeps what it cannot make again: ZOO_STATE, else XDG_STATE_HOME/zoo, else ~/.local/state/zoo.

    Not made here.
    """
    values = os.environ if environ is None else environ
    if named := values.get("ZOO_STATE"):
        return Path(named).absolute()
    base = values.get("XDG_STATE_HOME")
    return (Path(base) if base else _home(values) / ".local" / "state").absolute() / "zoo"


def _home(values: Mapping[str, str]) -> Path:
    return Path(values.get("HOME") or Path("~").expanduser())
