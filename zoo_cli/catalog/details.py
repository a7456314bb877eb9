"""Everything the index knows of one model, each value with where it comes from: what `zoo show` tells.

The reader gets an open connection. A value of a metafile comes with its line there; a value that zoo derived comes
with the rule. What is unknown is named, not left out.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from zoo_cli.catalog.cpu import Verdict, cpu_verdict
from zoo_cli.catalog.extras import readme_origin

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from zoo_cli.catalog.models import Model

Plain: TypeAlias = "str | float | int | list[str]"

# What upstream may say of the training of a model, in the order shown.
_TRAINING = (
    "epochs", "iterations", "lr_schedule", "batch_size", "memory_gb", "params", "flops", "resources", "backbone",
)  # fmt: skip
_RULES = {
    "paper": "the paper's arXiv number",
    "checkpoint": "the time stamp in the checkpoint's name",
}


class Fact(NamedTuple):
    """One value and its origin: a line of a metafile, or the rule it follows from."""

    field: str
    value: Plain
    origin: str


class Time(NamedTuple):
    """One inference time and what it was taken on."""

    value_ms: float
    hardware: str | None
    backend: str | None
    batch_size: int | None
    mode: str | None
    resolution: str | None


class Oddity(NamedTuple):
    """One problem of upstream's data with this model, as `zoo index build` met it."""

    kind: str
    at: str
    detail: str


class Details(NamedTuple):
    """A model with everything around it."""

    model: Model
    evidence: str  # of the release
    facts: tuple[Fact, ...]
    unknown: tuple[str, ...]  # fields without a value
    times: tuple[Time, ...]
    digest: str  # full | prefix | none
    cpu: Verdict
    problems: tuple[Oddity, ...]
    aliases: tuple[tuple[str, str], ...]  # another name, and how it is known
    logs: tuple[tuple[str, str], ...]  # address, and the kind of text it stands in: metafile | readme
    is_newest: bool
    namesakes: int  # entries of this release with this name, itself included

    @property
    def handle(self) -> str:
        """A text that commands take for this entry: `mmdet/NAME`, with the release where it is not the newest."""
        release = "" if self.is_newest else f"/{self.model.release.version}"
        number = f"#{self.model.ordinal}" if self.namesakes > 1 else ""
        return f"{self.model.project}{release}/{self.model.name}{number}"


def details_of(connection: sqlite3.Connection, model: Model) -> Details:
    """Everything known of a model that `find_models` found."""
    query = (
        "SELECT e.package, p.evidence, p.rank, m.iterations, m.batch_size, m.resources, m.extra, m.converted_from, "
        "d.paper_year, d.checkpoint_year, d.lr_schedule, d.backbone, d.digest FROM entry e "
        "JOIN model m ON m.id = e.model JOIN package p ON p.id = e.package LEFT JOIN derived d ON d.model = m.id "
        "WHERE e.id = ?"
    )
    package, evidence, rank, *rest = connection.execute(query, (model.id,)).fetchone()
    facts = tuple(_facts(connection, model, package, rest))
    there = {fact.field for fact in facts}
    wanted = ("config", "paper", "readme", "code", "license", "training_data", *_TRAINING, "year")
    release = model.release
    return Details(
        model=model,
        evidence=evidence,
        facts=facts,
        unknown=tuple(name for name in wanted if name not in there),
        times=_times(connection, model.content),
        digest=rest[-1] or "none",
        cpu=cpu_verdict(connection, release.project, release.version, model.config_path),
        problems=_problems(connection, package, model),
        aliases=tuple(
            connection.execute("SELECT name, via FROM alias WHERE model = ? ORDER BY name", (model.content,))
        ),
        logs=_logs(connection, model),
        is_newest=rank == 0,
        namesakes=_namesakes(connection, package, model.name),
    )


def logs_of(connection: sqlite3.Connection, model: Model) -> tuple[str, ...]:
    """The addresses of a model's training logs, each once."""
    return tuple(dict.fromkeys(url for url, _source in _logs(connection, model)))


def _logs(connection: sqlite3.Connection, model: Model) -> tuple[tuple[str, str], ...]:
    query = "SELECT url, source FROM log WHERE model = ? ORDER BY rowid"
    return tuple(connection.execute(query, (model.content,)))


def _facts(connection: sqlite3.Connection, model: Model, package: int, rest: list[object]) -> Iterator[Fact]:
    iterations, batch_size, resources, extra, converted_from, paper_year, stamp_year, schedule, backbone, _digest = rest
    at = model.at
    shared = _of_collection(connection, package, model)
    if readme := readme_origin(connection, model.id):
        words = f"{readme.why.replace('_', ' ')}, {readme.kind.replace('_', ' ')}"
        yield Fact(
            "known_from", words + (f": {readme.remark}" if readme.remark else ""), f"{readme.source}, {readme.date}"
        )
    if model.collection:
        yield Fact("collection", model.collection, at)
    if model.config_path:
        yield Fact("config", model.config_path, at if model.config_state == "found" else f"{at}, {model.config_state}")
    for field, value in (
        ("paper", model.paper_title), ("paper_url", model.paper_url), ("readme", model.readme), ("code", model.code),
        ("license", model.license),
    ):  # fmt: skip
        if value:
            yield Fact(field, value, shared.get(field, at) if shared.get(f"={field}") == value else at)
    # Training facts of a collection count for its models, so a line of either may hold them.
    trained_at = f"{at} or its collection" if model.collection else at
    more = json.loads(str(extra))
    values: dict[str, object] = {
        "training_data": list(model.training_data), "epochs": model.epochs, "iterations": iterations,
        "lr_schedule": schedule, "batch_size": batch_size, "memory_gb": model.memory_gb, "params": model.params,
        "flops": model.flops, "resources": resources, "backbone": backbone,
    }  # fmt: skip
    for field, trained in values.items():
        if trained:
            origin = "the model's name" if field == "lr_schedule" and "lr schd" not in more else trained_at
            yield Fact(field, trained, origin)  # type: ignore[arg-type]
    for rule, year in (("paper", paper_year), ("checkpoint", stamp_year)):
        if isinstance(year, int):
            yield Fact("year", year, _RULES[rule])
    if converted_from:
        yield Fact("converted_from", str(converted_from), at)
    for key, said in sorted(more.items()):
        text = [str(each) for each in said] if isinstance(said, list) else _text(said)
        if key not in ("lr schd", "backbone") and text:
            yield Fact(key, text, trained_at)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _of_collection(connection: sqlite3.Connection, package: int, model: Model) -> dict[str, str]:
    """The collection's line for each field that it may hand down, and the values under "=field"."""
    query = (
        "SELECT c.metafile || coalesce(':' || o.line, ''), c.paper_title, c.paper_url, c.readme, c.code, c.license "
        "FROM collection_entry o JOIN collection c ON c.id = o.collection WHERE o.package = ? AND c.name = ? "
        "ORDER BY c.metafile = ? DESC, o.rowid LIMIT 1"
    )
    found = connection.execute(query, (package, model.collection, model.at.rpartition(":")[0])).fetchone()
    if found is None:
        return {}
    names = ("paper", "paper_url", "readme", "code", "license")
    values = {f"={name}": value for name, value in zip(names, found[1:], strict=True) if value}
    return {**dict.fromkeys(names, str(found[0])), **values}


def _times(connection: sqlite3.Connection, model: int) -> tuple[Time, ...]:
    query = "SELECT value_ms, hardware, backend, batch_size, mode, resolution FROM inference WHERE model = ?"
    return tuple(Time(*row) for row in connection.execute(query, (model,)))


def _problems(connection: sqlite3.Connection, package: int, model: Model) -> tuple[Oddity, ...]:
    query = (
        "SELECT kind, at, detail FROM (SELECT i.kind, i.metafile || coalesce(':' || o.line, '') AS at, i.subject, "
        "i.detail, o.rowid AS number FROM issue_entry o JOIN issue i ON i.id = o.issue WHERE o.package = ?) "
        "WHERE subject = ? OR at = ? ORDER BY number"
    )
    return tuple(Oddity(*row) for row in connection.execute(query, (package, model.name, model.at)))


def _namesakes(connection: sqlite3.Connection, package: int, name: str) -> int:
    query = "SELECT count(*) FROM model m JOIN entry e ON e.model = m.id WHERE e.package = ? AND m.name = ?"
    (count,) = connection.execute(query, (package, name)).fetchone()
    return int(count)
