"""Which releases of a project upstream has, and which of them belong in the index.

A flow: the package index's page, then each release's models (from the index where they stand there already, else from
the release's file), then the rule. The rule: a release belongs in the index when its names, or the checkpoints of a
name, are not those of the next newer release; so the newest always does, and of releases that say the same the last.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from zoo_cli.errors import ZooError
from zoo_cli.models.batch import Request, build_one, each_release
from zoo_cli.models.build import NoModelIndex
from zoo_cli.models.indexfiles import all_current, projects
from zoo_cli.models.upstream import find_releases
from zoo_cli.models.zoos import READERS
from zoo_cli.transfer.parallel import Shared

if TYPE_CHECKING:
    from pathlib import Path

    from zoo_cli.catalog.compiler.deltas import Document
    from zoo_cli.models.batch import Sources

Says: TypeAlias = "dict[tuple[str, int], tuple[str, ...]]"  # checkpoints by name and ordinal


@dataclass(frozen=True, slots=True)
class Surveyed:
    """One release upstream has; `models` is None where it has no model index or could not be read.

    `same_as` is the next newer release that says the same of names and checkpoints, if there is one.
    """

    project: str
    version: str
    date: str
    models: int | None
    in_index: bool
    same_as: str | None = None
    error: ZooError | None = None

    @property
    def belongs(self) -> bool:
        """Whether the rule wants it in the index."""
        return self.models is not None and self.same_as is None

    @property
    def is_missing(self) -> bool:
        """Whether it belongs in the index and is not there."""
        return self.belongs and not self.in_index


def surveyed_projects(index: Path) -> tuple[str, ...]:
    """The projects of the index that publish metafiles in their releases."""
    found = (project for project in projects(index) if project not in READERS)
    return tuple(
        project
        for project in found
        if any(each["release"].get("metafiles") for each in all_current(index, project).values())
    )


def survey(project: str, index: Path, sources: Sources, jobs: int = 4) -> tuple[Surveyed, ...]:
    """Every release of a project with what becomes of it, the newest first.

    Raises:
        NoRelease: The package index has no such project.
        BadRelease: Its page cannot be read.
    """
    found = {each.version: each for each in find_releases(project, sources.mirrors, sources.settings)}
    known = {
        version: document
        for version, document in all_current(index, project).items()
        if version in found and document["release"].get("sha256") == found[version].sha256
    }
    calm = replace(sources, listen=Shared(sources.listen))

    def read(request: Request) -> Document:
        there = known.get(request.version)
        return there if there is not None else build_one(found[request.version], None, calm).document

    rows: list[Surveyed] = []
    newer: tuple[str, Says] | None = None
    requests = [Request(project, version) for version in reversed(found)]
    for request, result in each_release(requests, read, jobs):
        head = (project, request.version, found[request.version].date)
        in_index = request.version in known
        if isinstance(result, ZooError):
            rows.append(Surveyed(*head, None, in_index, error=None if isinstance(result, NoModelIndex) else result))
            continue
        said = says(result)
        same_as = newer[0] if newer and newer[1] == said else None
        rows.append(Surveyed(*head, len(result["models"]), in_index, same_as))
        newer = (same_as or request.version, said)
    return tuple(rows)


def says(document: Document) -> Says:
    """What the rule compares: the checkpoints of each entry, by name."""
    return {(each["name"], each.get("ordinal", 1)): _urls(each) for each in document["models"]}


def _urls(model: dict[str, Any]) -> tuple[str, ...]:
    return tuple(each["url"] for each in model.get("weights", []))
