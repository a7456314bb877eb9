"""Environments that zoo makes: whole when the work in them ends well, else not there at all.

Edge: makes and removes directories, holds a lock. A mark in the new environment, `.zoo/making`, stands from before the
first file until the work is done. Whoever finds it without a living owner (after `kill -9`) knows that nothing in the
environment is anybody's yet, and makes it anew. Removing touches what venv and uv make, and nothing else.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from zoo_cli import filelock
from zoo_cli.packages.executor import make_environment
from zoo_cli.packages.journal import EnvironmentBusy
from zoo_cli.packages.trees import OWN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from zoo_cli.packages.executor import LineListener

_MARK = "making"
# What venv, ensurepip and uv put into an environment, and wheels' data.
_PARTS = (
    *("bin", "Scripts", "lib", "lib64", "Lib", "include", "Include", "share", "etc", "man", "pyvenv.cfg"),
    *(".gitignore", "CACHEDIR.TAG", ".lock"),
)


def is_unfinished(directory: Path) -> bool:
    """Whether an environment was begun by zoo and never came to use."""
    return (directory / OWN / _MARK).is_file()


@contextmanager
def new_environment(
    directory: Path, python: str | None, listen: LineListener | None = None, *, keep_failed: bool = False
) -> Iterator[str]:
    """A virtual environment for the work inside; gone again when that fails.

    Args:
        directory: where; made if it is not there.
        python: the interpreter to make it from.
        listen: told each line of what makes it.
        keep_failed: leave it, whatever happens.

    Yields:
        Its interpreter's path.

    Raises:
        DirectoryInUse: something else is there.
        EnvironmentBusy: another zoo is making it.
        StepFailed: it could not be made.
    """
    was_there = directory.is_dir()
    if is_unfinished(directory):
        with _locked(directory):
            _remove_parts(directory)
    is_empty = not was_there or not any(each.name != OWN for each in directory.iterdir())
    if not is_empty:  # an environment that appeared meanwhile, or somebody's files: not ours to take away
        yield make_environment(directory, python, listen)
        return
    (directory / OWN).mkdir(parents=True, exist_ok=True)
    is_done = False
    try:
        with _locked(directory):
            yield make_environment(directory, python, listen)
            is_done = True
    finally:
        if is_done or keep_failed:
            (directory / OWN / _MARK).unlink(missing_ok=True)
        else:
            discard(directory, keep_directory=was_there)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Holds the mark, which says that the environment is being made."""
    try:
        with filelock.hold(directory / OWN / _MARK, "it is being made"):
            yield
    except filelock.HeldElsewhere as exc:
        raise EnvironmentBusy(str(directory), exc.holder) from exc


def discard(directory: Path, *, keep_directory: bool = False) -> None:
    """Removes an environment that was made in vain; a directory with anything else in it stays."""
    _remove_parts(directory)
    shutil.rmtree(directory / OWN, ignore_errors=True)
    if not keep_directory:
        with suppress(OSError):
            directory.rmdir()


def _remove_parts(directory: Path) -> None:
    for name in _PARTS:
        place = directory / name
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place, ignore_errors=True)
        else:
            with suppress(OSError):
                place.unlink(missing_ok=True)
    for inside in (directory / OWN).iterdir():
        if inside.name != _MARK:
            shutil.rmtree(inside, ignore_errors=True) if inside.is_dir() else inside.unlink(missing_ok=True)
