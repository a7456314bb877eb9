"""Several releases into the index at once: fetched and read in parallel, told in the order asked, one failing alone.

Flow. What is done already is not done again: a release is kept as it stands in the index when the package
index still lists the same file and the document was made by this builder. So the same command goes on where an
interrupted one stopped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from zoo_cli.models.build import BUILDER, Built, build
from zoo_cli.models.indexfiles import current
from zoo_cli.models.upstream import Tree, fetch_release, find_release
from zoo_cli.transfer.events import Listener, nothing
from zoo_cli.transfer.parallel import Shared, together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from zoo_cli.catalog.compiler.deltas import Document
    from zoo_cli.errors import ZooError
    from zoo_cli.models.upstream import ReleaseFile
    from zoo_cli.transfer.settings import Settings
    from zoo_cli.transfer.sources import Mirrors

MOST_AT_ONCE = 8
_Done = TypeVar("_Done")


@dataclass(frozen=True, slots=True, order=True)
class Request:
    """One release that was asked for."""

    project: str
    version: str

    def __str__(self) -> str:
        return f"{self.project}=={self.version}"


@dataclass(frozen=True, slots=True)
class Kept:
    """A release whose document stands in the index already, made from the same file by the same builder."""

    path: str  # relative to the index
    models: int
    is_blocked: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request: a document, the one that was there, or an error."""

    request: Request
    result: Built | Kept | ZooError


@dataclass(frozen=True, slots=True)
class Sources:
    """Where releases come from and where they are kept."""

    cache: Path
    mirrors: Mirrors
    settings: Settings
    listen: Listener = nothing


def build_releases(
    requests: Sequence[Request], index: Path, sources: Sources, *, again: bool = False, jobs: int = 4
) -> Iterator[Outcome]:
    """Each release as it is done, in the order asked; `again` also builds what would be kept."""
    calm = replace(sources, listen=Shared(sources.listen))
    done = each_release(requests, lambda one: _build(one, index, calm, again=again), jobs)
    return (Outcome(request, result) for request, result in done)


def each_release(
    requests: Sequence[Request], work: Callable[[Request], _Done], jobs: int = 4
) -> Iterator[tuple[Request, _Done | ZooError]]:
    """Does some work for each release, several at once; an error of one is what comes of it."""
    return together(requests, work, min(jobs, MOST_AT_ONCE), in_order=True)


def _build(request: Request, index: Path, sources: Sources, *, again: bool) -> Built | Kept:
    release = find_release(request.project, request.version, sources.mirrors, sources.settings)
    before = current(index, release.project, request.version)
    if not again and before is not None and (kept := _kept(release, before)):
        return kept
    return build_one(release, before, sources)


def build_one(release: ReleaseFile, before: Document | None, sources: Sources) -> Built:
    """Fetches a release's file and builds its document."""
    path = fetch_release(release, sources.cache, sources.mirrors, sources.settings, sources.listen)
    with Tree(path, release) as tree:
        return build(tree.release, tree, before)


def _kept(release: ReleaseFile, before: Document) -> Kept | None:
    """The document that is there, if it was made from the same file by this builder."""
    head = before["release"]
    if (head.get("sha256"), head["file"], head.get("builder")) != (release.sha256, release.name, BUILDER):
        return None
    blocked = any(issue.get("blocks") for issue in before["issues"])
    return Kept(f"models/{release.project}/{release.version}.json", len(before["models"]), blocked)
