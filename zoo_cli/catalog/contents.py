"""What the index holds of models: counts a release, and the oddities of upstream's data.

The reader gets an open connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3


@dataclass(frozen=True, slots=True)
class Counts:
    """One release in numbers; `with_weights` and the config states count models."""

    project: str
    version: str
    date: str
    collections: int
    models: int
    names: int
    with_weights: int
    configs_found: int
    configs_repaired: int
    configs_missing: int
    files: int
    metrics: int
    issues: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One oddity of upstream's data, as `zoo index build` met it."""

    project: str
    version: str
    kind: str
    at: str
    subject: str
    detail: str
    blocks: bool


def counts(connection: sqlite3.Connection) -> tuple[Counts, ...]:
    """The releases in numbers: by project, newest first."""
    query = """
        SELECT p.project, p.version, p.date, (SELECT count(DISTINCT name) FROM collection c WHERE c.package = p.id),
          count(*), count(DISTINCT m.name), sum(m.files > 0), sum(m.config_state = 'found'),
          sum(m.config_state = 'repaired'), sum(m.config_state = 'missing'),
          (SELECT count(DISTINCT x.file) FROM model_file x JOIN model o ON o.id = x.model WHERE o.package = p.id),
          (SELECT count(*) FROM metric v JOIN model o ON o.id = v.model WHERE o.package = p.id),
          (SELECT count(*) FROM issue i WHERE i.package = p.id)
        FROM package p JOIN model m ON m.package = p.id GROUP BY p.id ORDER BY p.project, p.rank"""
    return tuple(Counts(*row) for row in connection.execute(query))


def problems(
    connection: sqlite3.Connection, project: str | None = None, version: str | None = None, kind: str | None = None
) -> tuple[Problem, ...]:
    """The oddities of a project, a release, a kind; of everything when nothing is asked for."""
    query = """
        SELECT p.project, p.version, i.kind, i.at, i.subject, i.detail, i.blocks FROM issue i
        JOIN package p ON p.id = i.package WHERE (?1 IS NULL OR p.project = ?1) AND (?2 IS NULL OR p.version = ?2)
        AND (?3 IS NULL OR i.kind = ?3) ORDER BY p.project, p.rank, i.rowid"""
    rows = connection.execute(query, (project, version, kind))
    return tuple(
        Problem(project, version, kind, at, subject, detail, bool(blocks))
        for project, version, kind, at, subject, detail, blocks in rows
    )
