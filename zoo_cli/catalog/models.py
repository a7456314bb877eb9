"""Models as typed values, and reading them: what is told of a model, a release, a file, a metric.

The reader gets an open connection (`zoo_cli.catalog.database`); it opens nothing itself. What a person calls a model is
understood in `zoo_cli.catalog.references`.
"""

# ruff: noqa: S608 (conditions are written in this room, a user's values are bound)

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_cli.catalog.scope import versions, within

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

_FORKS = ("onedl-",)  # packages that carry on the models of others
_RELEASE_COLUMNS = (  # as in Release
    "p.project, p.version, p.file, p.url, p.sha256, p.size_bytes, p.config_root, p.date, p.source, p.record_sha256"
)

_MODEL_COLUMNS = (
    "e.id, m.id, m.name, e.ordinal, m.collection, m.config, m.config_state, m.training_data, m.epochs, m.memory_gb, "
    "m.params, m.flops, m.paper_title, m.paper_url, m.readme, m.code, m.license, "
    "m.metafile || coalesce(':' || e.line, '')"
)


@dataclass(frozen=True, slots=True)
class Release:
    """One release of a model package and the file (a wheel, sometimes an sdist) that holds its configs.

    `config_root` is the folder in that file below which config paths stand: "mmdet/.mim/".
    """

    project: str
    version: str
    wheel_name: str
    wheel_url: str
    wheel_sha256: str
    wheel_size: int | None
    config_root: str
    date: str
    source: str
    record_sha256: str | None = None  # of the wheel's RECORD, against which single members are checked

    @property
    def precedence(self) -> tuple[bool, str]:
        """Of several packages that carry one model or config, the one with the greatest is meant: a fork last."""
        return (not self.project.startswith(_FORKS), self.date)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A checkpoint file; `prefix` is the part of its digest that is known where `sha256` is not.

    `stale` tells where it is known from that the digits in the name are not the file's any more.
    """

    role: str
    name: str
    urls: tuple[str, ...]
    size_bytes: int | None
    sha256: str | None
    prefix: str | None
    prefix_algorithm: str | None
    stale: str | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """One value; `name` is what a filter calls it (box_AP), `label` how upstream writes it (box AP)."""

    task: str | None
    dataset: str | None
    name: str
    label: str
    value: float | None
    unit: str  # percent | fraction | none
    text: str | None


@dataclass(frozen=True, slots=True)
class Model:
    """One model of one release; unknown facts are None, memory is GB a GPU.

    `id` is the number of the entry; `content` of what is said there, which other releases may say alike.
    """

    id: int
    content: int
    release: Release
    name: str
    ordinal: int
    collection: str | None
    config_path: str | None
    config_state: str  # found | repaired | missing | none
    files: tuple[ModelFile, ...]
    metrics: tuple[Metric, ...]
    training_data: tuple[str, ...]
    epochs: float | None
    memory_gb: float | None
    params: float | None
    flops: float | None
    paper_title: str | None
    paper_url: str | None
    readme: str | None
    code: str | None
    license: str | None
    at: str  # metafile and line it comes from

    @property
    def project(self) -> str:
        """The package it belongs to."""
        return self.release.project

    @property
    def identity(self) -> str:
        """A text that names this entry and no other release's: `mmdet/3.3.0/<name>`."""
        return f"{self.release.project}/{self.release.version}/{self.name}"


def releases(connection: sqlite3.Connection, project: str | None = None) -> tuple[Release, ...]:
    """The releases in the index, newest first within a project.

    Raises:
        UnknownPackage: There is none of that project.
    """
    if project is not None:
        versions(connection, project)
    query = f"SELECT {_RELEASE_COLUMNS} FROM package p WHERE ?1 IS NULL OR {within('?1')} ORDER BY project, rank"
    return tuple(Release(*row) for row in connection.execute(query, (project,)))


def newest_releases(connection: sqlite3.Connection) -> frozenset[Release]:
    """The newest release of each project in the index."""
    query = f"SELECT {_RELEASE_COLUMNS} FROM package p WHERE rank = 0"
    return frozenset(Release(*row) for row in connection.execute(query))


def models_by_number(connection: sqlite3.Connection, numbers: Iterable[int]) -> tuple[Model, ...]:
    """The models with these numbers (`listing.Row.id`), in the same order."""
    return tuple(model for number in numbers for model in models_where(connection, "WHERE e.id = ?", (number,)))


def models_where(connection: sqlite3.Connection, condition: str, parameters: Sequence[object]) -> list[Model]:
    """Models by a condition written in this room: newest release first, then by name.

    The condition is joins and a WHERE over `entry e JOIN model m JOIN package p`.
    """
    query = (
        f"SELECT DISTINCT {_MODEL_COLUMNS}, p.rank, {_RELEASE_COLUMNS} FROM entry e "
        f"JOIN model m ON m.id = e.model JOIN package p ON p.id = e.package {condition} "
        "ORDER BY p.rank, p.project, m.name, e.ordinal"
    )
    return [_model(connection, row) for row in connection.execute(query, tuple(parameters)).fetchall()]


def metrics_of(connection: sqlite3.Connection, model: object) -> tuple[Metric, ...]:
    """The metric values of a model, by its number, in upstream's order."""
    query = (
        "SELECT r.task, r.dataset, n.name, n.label, coalesce(v.published, v.value), v.unit, v.text FROM metric v "
        "JOIN metric_name n ON n.id = v.name JOIN result r ON r.id = v.result WHERE v.model = ? ORDER BY v.id"
    )
    return tuple(Metric(*row) for row in connection.execute(query, (model,)))


def _model(connection: sqlite3.Connection, row: tuple[object, ...]) -> Model:
    (entry, number, name, ordinal, collection, config, state, data, *facts) = row[:18]
    release = Release(*row[19:])  # type: ignore[arg-type]
    return Model(
        entry, number, release, name, ordinal, collection, config, state, _files(connection, number),  # type: ignore[arg-type]
        metrics_of(connection, number), tuple(json.loads(str(data))), *facts,  # type: ignore[arg-type]
    )  # fmt: skip


def _files(connection: sqlite3.Connection, model: object) -> tuple[ModelFile, ...]:
    query = (
        "SELECT x.role, f.name, (SELECT json_group_array(url) FROM (SELECT url FROM file_url u WHERE u.file = f.id "
        "ORDER BY u.rank, u.url)), f.size_bytes, f.sha256, f.prefix, f.prefix_algorithm, "
        "iif(f.prefix_state LIKE 'stale: %', substr(f.prefix_state, 8), NULL) "
        "FROM model_file x JOIN file f ON f.id = x.file WHERE x.model = ? ORDER BY x.ordinal"
    )
    rows = connection.execute(query, (model,)).fetchall()
    return tuple(ModelFile(role, name, tuple(json.loads(urls)), *rest) for role, name, urls, *rest in rows)
