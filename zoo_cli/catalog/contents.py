"""What the index holds of models: counts a release, the range of each metric, the oddities of upstream's data.

The reader gets an open connection.
"""

from __future__ import annotations

# ruff: noqa: S608 (conditions are written in this room, a user's values are bound)
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_cli.catalog.listing import compile_query, search_scope
from zoo_cli.catalog.scope import metric_names
from zoo_cli.catalog.search import read_search

if TYPE_CHECKING:
    import sqlite3

    from zoo_cli.catalog.listing import Query


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


@dataclass(frozen=True, slots=True)
class MetricRange:
    """One metric over the models in scope."""

    name: str
    label: str
    models: int
    lowest: float | None
    highest: float | None
    units: str


def counts(connection: sqlite3.Connection) -> tuple[Counts, ...]:
    """The releases in numbers: by project, newest first."""
    query = """
        SELECT p.project, p.version, p.date,
          (SELECT count(DISTINCT c.name) FROM collection_entry o JOIN collection c ON c.id = o.collection
           WHERE o.package = p.id),
          count(*), count(DISTINCT m.name), sum(m.files > 0), sum(m.config_state = 'found'),
          sum(m.config_state = 'repaired'), sum(m.config_state = 'missing'),
          (SELECT count(DISTINCT x.file) FROM entry o JOIN model_file x ON x.model = o.model WHERE o.package = p.id),
          (SELECT count(*) FROM entry o JOIN metric v ON v.model = o.model WHERE o.package = p.id),
          (SELECT count(*) FROM issue_entry i WHERE i.package = p.id)
        FROM package p JOIN entry e ON e.package = p.id JOIN model m ON m.id = e.model
        GROUP BY p.id ORDER BY p.project, p.rank"""
    return tuple(Counts(*row) for row in connection.execute(query))


def problems(
    connection: sqlite3.Connection, project: str | None = None, version: str | None = None, kind: str | None = None
) -> tuple[Problem, ...]:
    """The oddities of a project, a release, a kind; of everything when nothing is asked for."""
    query = """
        SELECT p.project, p.version, i.kind, i.metafile || coalesce(':' || o.line, ''), i.subject, i.detail, i.blocks
        FROM issue_entry o JOIN issue i ON i.id = o.issue JOIN package p ON p.id = o.package
        WHERE (?1 IS NULL OR p.project = ?1) AND (?2 IS NULL OR p.version = ?2)
        AND (?3 IS NULL OR i.kind = ?3) ORDER BY p.project, p.rank, o.rowid"""
    rows = connection.execute(query, (project, version, kind))
    return tuple(
        Problem(project, version, kind, at, subject, detail, bool(blocks))
        for project, version, kind, at, subject, detail, blocks in rows
    )


def metric_ranges(connection: sqlite3.Connection, query: Query) -> tuple[MetricRange, ...]:
    """Every metric of the models that a query matches, the most frequent first.

    Raises:
        UnknownPackage: No models of that package or release are in the index.
        BadFilter: The filter cannot be understood.
        BadSearch: There is nothing to search for.
    """
    compiled = compile_query(connection, query, metric_names(connection))
    conditions = [search_scope(connection, query, compiled), compiled.where]
    if query.search is not None:
        conditions.append(read_search(connection, query.search).condition)
    text = (
        "SELECT n.name, n.label, count(DISTINCT e.id), min(v.value), max(v.value), group_concat(DISTINCT v.unit) "
        "FROM metric v JOIN metric_name n ON n.id = v.name JOIN entry e ON e.model = v.model "
        "JOIN model m ON m.id = e.model JOIN package p ON p.id = e.package "
        f"WHERE {' AND '.join(each.text for each in conditions)} GROUP BY n.id ORDER BY 3 DESC, 1"
    )
    values = [value for each in conditions for value in each.parameters]
    return tuple(MetricRange(*row) for row in connection.execute(text, values))
