"""Reads the places that a user or the index names: find-links pages, whole sites in upstream's layout, directories.

Edge: reads local directories, and pages through `zoo_cli.transfer`. A place that cannot be read is a value, `Skipped`,
with the error that says why: one dead page never hides the others, and never passes in silence.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.packages.findlinks import MAX_LINKS, MAX_PAGE, Link, is_file_name, is_site_root, page_address, read_links
from zoo_cli.transfer.addresses import file_name_of, local_path, parse_address

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zoo_cli.transfer.fetch import Settings
    from zoo_cli.transfer.sources import Mirrors

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_HAS_NONE = (404, 410)  # what the simple API (PEP 503) answers for a project that is not there
MAX_DEPTH = 4  # directories below a named one: dist/cu121/torch2.1.0 is two


class NoSuchPlace(ZooError):
    """A local place that was named is not there, or is neither a directory nor a page."""

    code = "no-such-place"
    exit_code = ExitCode.USAGE

    place: str
    reason: str


class Skipped(NamedTuple):
    """A place that gave nothing, and why."""

    place: str
    error: ZooError


class Listing(NamedTuple):
    """What all the places offer together, in their order, and the places that could not be read."""

    links: tuple[Link, ...]
    skipped: tuple[Skipped, ...]


def read_listing(
    places: Sequence[str],
    settings: Settings,
    wanted: Sequence[tuple[str, str]] = (),
    mirrors: Mirrors | None = None,
) -> Listing:
    """The files that the places offer.

    Args:
        places: addresses of pages, addresses of wheels, local directories or pages, or the root of a whole site
            (`https://host/mmcv/dist/`), whose pages are then named by `wanted`.
        settings: of the transfer.
        wanted: (variant, torch) pairs, such as ("cu121", "2.1.2"), to read on a whole site.
        mirrors: where a page may come from, too; links are relative to where it came from.

    Raises:
        BadAddress: One of the places is an address that cannot be read.
    """
    links: list[Link] = []
    skipped: list[Skipped] = []
    for place in places:
        for page in _pages_of(place, wanted):
            try:
                links.extend(_read(page, settings, mirrors))
            except ZooError as error:
                skipped.append(Skipped(page, error))
    return Listing(tuple(dict.fromkeys(links)), tuple(skipped))


def read_project(addresses: Sequence[str], settings: Settings) -> tuple[Link, ...] | None:
    """What a package index lists for a project; None when it says that it has no such project.

    Args:
        addresses: of the project's page: one of the index, or several equal ones of it and its mirrors.
        settings: of the transfer.

    Raises:
        Failed, AllSourcesFailed, TookTooLong, BadAddress: The index did not answer; that is not "it has none".
        NotAListing: It is no list.
    """
    from zoo_cli.transfer.failures import AllSourcesFailed, HttpFailed
    from zoo_cli.transfer.fetch import read_document

    path = local_path(addresses[0])
    if path is not None:
        return tuple(_read_local(Path(path))) if Path(path).exists() else None
    try:
        document = read_document(tuple(addresses), MAX_PAGE, settings, accept=ACCEPT)
    except (HttpFailed, AllSourcesFailed) as error:
        failures = error.failures if isinstance(error, AllSourcesFailed) else (error,)
        if all(isinstance(each, HttpFailed) and each.status in _HAS_NONE for each in failures):
            return None
        raise
    return read_links(document.body, document.url, document.content_type or "")


def local_directories(places: Sequence[str]) -> tuple[str, ...]:
    """Those of the places that are directories of this computer, as absolute paths."""
    found = [_local_path(place) for place in places if not _is_address(place)]
    return tuple(dict.fromkeys(str(path.resolve()) for path in found if path.is_dir()))


def _pages_of(place: str, wanted: Sequence[tuple[str, str]]) -> Iterator[str]:
    if _is_address(place):
        parse_address(place)  # one that cannot be read is the user's slip, no dead page
        if is_site_root(place) and wanted:
            yield from dict.fromkeys(page_address(place, variant, torch) for variant, torch in wanted)
            return
    yield place


def _is_address(place: str) -> bool:
    return re.match(r"https?://", place, re.IGNORECASE) is not None


def _read(place: str, settings: Settings, mirrors: Mirrors | None) -> Sequence[Link]:
    if not _is_address(place):
        return _read_local(_local_path(place))
    filename = file_name_of(place)
    if is_file_name(filename):
        return (Link(filename, place.partition("#")[0], page=place),)
    from zoo_cli.transfer.fetch import read_document

    addresses = (place,) if mirrors is None else mirrors.addresses(place, "wheels")
    document = read_document(addresses, MAX_PAGE, settings, accept=ACCEPT)
    return read_links(document.body, document.url, document.content_type or "")


def _local_path(place: str) -> Path:
    path = local_path(place)
    return Path(place).expanduser() if path in (None, place) else Path(path)


def _read_local(path: Path) -> list[Link]:
    try:
        if path.is_dir():
            return list(_walk(path.resolve(), MAX_DEPTH))[:MAX_LINKS]
        if not path.is_file():
            raise NoSuchPlace(str(path), "there is no such directory or file")
        if is_file_name(path.name):
            return [_file_link(path.resolve())]
        return list(_read_page(path.resolve()))
    except OSError as exc:
        raise NoSuchPlace(str(path), exc.strerror or type(exc).__name__) from exc


def _read_page(page: Path) -> Sequence[Link]:
    with page.open("rb") as stream:
        return read_links(stream.read(MAX_PAGE + 1), page.as_uri())


def _walk(directory: Path, depth: int) -> Iterator[Link]:
    """The page of a directory where it has one (it knows what is yanked), else its files; and what lies below."""
    page = directory / "index.html"
    if page.is_file():
        yield from _read_page(page)
    for entry in sorted(directory.iterdir()):
        if entry.is_dir() and depth and not entry.name.startswith("."):
            yield from _walk(entry, depth - 1)
        elif not page.is_file() and is_file_name(entry.name) and entry.is_file():
            yield _file_link(entry)


def _file_link(path: Path) -> Link:
    return Link(path.name, path.as_uri(), size_bytes=path.stat().st_size, page=path.parent.as_uri() + "/")
