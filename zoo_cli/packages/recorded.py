"""Installed files beside their RECORD: which were changed since, and which lie outside of their environment.

Edge: reads the files. uv and pip remove whatever a RECORD names, changed or not, also through a directory that became a
link; so zoo looks first. Follows the packaging standards' "Recording installed projects": a row has a path from the
directory of the packages and a digest, which RECORD itself and compiled modules do not have.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.machine.installed import read_record
from zoo_cli.machine.metadata import parse_digests, parse_record
from zoo_cli.transfer.failures import DestinationUnusable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from zoo_cli.machine.facts import Distribution

_ALGORITHMS = ("sha256", "sha384", "sha512")


class LeadsOutside(ZooError):
    """A file of a package that is to be removed lies outside of the environment."""

    code = "leads-outside"
    exit_code = ExitCode.ENVIRONMENT

    project: str
    files: tuple[str, ...]  # as recorded
    link: str  # the directory that leads there; empty: the record itself does


class Recorded(NamedTuple):
    """What became of the files of a distribution."""

    project: str
    changed: tuple[Path, ...]


def check_files(distribution: Distribution, roots: Iterable[Path]) -> Recorded:
    """Compares the files with what was installed; one that is gone is no matter.

    Args:
        distribution: An installed one.
        roots: The directories of its environment.

    Raises:
        LeadsOutside: Removing it would remove files of nobody knows whom.
    """
    text, location = read_record(distribution), Path(distribution.location)
    real = [os.path.realpath(root) for root in roots]
    places = [Path(os.path.normpath(location / path)) for path in parse_record(text)]  # links not followed
    outside = {folder for folder in {each.parent for each in places} if not _is_below(os.path.realpath(folder), real)}
    if files := [str(each) for each in places if each.parent in outside and os.path.lexists(each)]:
        raise LeadsOutside(distribution.name, tuple(files), _link_above(files[0], real))
    digests = {Path(os.path.normpath(location / path)): told for path, told in parse_digests(text).items()}
    return Recorded(distribution.name, tuple(path for path, told in digests.items() if _is_changed(path, *told)))


def _is_below(place: str, roots: Iterable[str]) -> bool:
    return any(place == root or place.startswith(root.rstrip(os.sep) + os.sep) for root in roots)


def _link_above(place: str, roots: list[str]) -> str:
    """The lowest directory above a place that is a link out of the roots."""
    above = Path(place).parent
    links = [each for each in (above, *above.parents) if each.is_symlink()]
    return next((str(each) for each in links if not _is_below(os.path.realpath(each), roots)), "")


def _is_changed(path: Path, algorithm: str, digest: str) -> bool:
    if algorithm not in _ALGORITHMS:
        return False
    found = hashlib.new(algorithm)
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                found.update(block)
    except OSError:  # gone, or nothing that can be compared
        return False
    return base64.urlsafe_b64encode(found.digest()).decode().rstrip("=") != digest.rstrip("=")


@contextmanager
def kept_in_place(files: Iterable[Path], aside: Path) -> Iterator[None]:
    """These files are there after what is done inside, whatever it does to them.

    Args:
        files: Absolute paths.
        aside: A new directory on the same file system.

    Raises:
        DestinationUnusable: One cannot be read or written.
    """
    numbered = list(enumerate(files))
    if not numbered:
        yield
        return
    try:
        with _telling(aside):
            shutil.rmtree(aside, ignore_errors=True)  # of a run that was killed
            aside.mkdir()
            for number, path in numbered:
                shutil.copy2(path, aside / str(number), follow_symlinks=False)
        yield
        for number, path in numbered:
            with _telling(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                (aside / str(number)).replace(path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise DestinationUnusable(str(exc.filename or path), exc.strerror or str(exc)) from exc
