"""`zoo list`: find models by what they reached, offline."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from zoo_cli.catalog.database import open_catalog
from zoo_cli.catalog.filters import FIELDS
from zoo_cli.catalog.listing import FACTS, Query, UnknownColumn, known_column, list_models
from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.text import human_bytes, width
from zoo_cli.cli.width import terminal_cells

if TYPE_CHECKING:
    import sqlite3

    from zoo_cli.catalog.listing import Listing, Row
    from zoo_cli.cli.console import Console

_NUMBERS = frozenset({"epochs", "iterations", "batch_size", "memory_gb", "params", "flops", "files", "size_bytes"})


@click.command(
    "list",
    epilog="Examples: zoo list mmdet --filter 'box_AP>=50 and dataset=COCO'; zoo list --name 'rtmdet*'. "
    "Filters: zoo help filters.",
)
@click.argument("package", required=False)
@click.option("-f", "--filter", "filter_", metavar="EXPR", help="Which models: zoo help filters.")
@click.option("--name", metavar="GLOB", help="Names like this one: 'rtmdet*'.")
@click.option("--sort", metavar="FIELD", help="Order: a metric is best first, a field smallest first; -FIELD turns it.")
@click.option("-n", "--limit", type=click.IntRange(min=0), metavar="N", help="At most so many.")
@click.option("--columns", "columns_", metavar="A,B", help="Which columns, in which order: fields and metrics.")
@click.option("--release", metavar="VERSION", help="Of this release of the package; the newest by default.")
@click.option("--metrics", "wants_metrics", is_flag=True, help="The metrics there are, with their ranges.")
@click.option("--fields", "wants_fields", is_flag=True, help="The fields there are.")
@common_options
@pass_console
def command(
    console: Console,
    package: str | None,
    filter_: str | None,
    name: str | None,
    sort: str | None,
    limit: int | None,
    columns_: str | None,
    release: str | None,
    wants_metrics: bool,
    wants_fields: bool,
) -> None:
    """Find models; nothing is fetched.

    PACKAGE is a package with models, such as mmdet; all of them by default.
    """
    if wants_fields:
        _show_fields(console)
        return
    chosen = tuple(filter(None, (each.strip() for each in (columns_ or "").split(","))))
    query = Query(package, release, filter_, name, sort, limit, tuple(each for each in chosen if not _is_fact(each)))
    catalog = open_catalog()
    try:
        if wants_metrics:
            _show_metrics(console, catalog, query)
        else:
            _show(console, query, list_models(catalog, query), chosen)
    finally:
        catalog.close()


def _is_fact(name: str) -> bool:
    try:
        known_column(name, ())
    except UnknownColumn:
        return False
    return True


def _show(console: Console, query: Query, listing: Listing, chosen: tuple[str, ...]) -> None:
    names = _columns(listing, chosen)
    if console.json:
        console.document(_document(listing))
    elif console.quiet:
        for row in listing.rows:
            console.data(str(row.facts["model"]))
    elif not listing.rows and not listing.matched:
        for line in why_empty(listing):
            console.say(line)
    else:
        _table(console, names, listing)
        if console.is_terminal:
            console.say()
            console.say(_closing(query, listing))


def _columns(listing: Listing, chosen: tuple[str, ...]) -> tuple[str, ...]:
    """The columns asked for, else: name, package where there are several, metrics, and what tells models apart."""
    if chosen:
        return tuple(known_column(name, tuple(listing.labels)) for name in chosen)
    packages = {row.facts["package"] for row in listing.rows}
    releases = {row.facts["release"] for row in listing.rows}
    told = (["package"] if len(packages) > 1 else []) + (["release"] if len(releases) > len(packages) else [])
    extra = [name for name in listing.compared if name not in ("model", "release", "license")]
    names = ("model", *told, *listing.metrics, "dataset", "collection", *extra, "checkpoint")
    return tuple(dict.fromkeys(names))


def cell(row: Row, name: str, *, is_terminal: bool) -> str:
    """What stands in a row under a column: rounded for people, whole for programs."""
    if name in row.metrics:
        return row.metrics[name].shown
    if name == "checkpoint":
        size = row.facts["size_bytes"]
        if isinstance(size, int):
            return human_bytes(size) if is_terminal else str(size)
        return "yes" if row.facts["files"] else "no"
    value = row.facts.get(name)
    if value is None:
        return "-" if is_terminal else ""
    return f"{value:g}" if isinstance(value, float) and abs(value) < 1e6 else str(value)


def _table(console: Console, names: tuple[str, ...], listing: Listing) -> None:
    header = tuple(listing.labels.get(name, name.replace("_", " ")) for name in names)
    rows = [tuple(cell(row, name, is_terminal=console.is_terminal) for name in names) for row in listing.rows]
    right = frozenset(at for at, name in enumerate(names) if name in listing.metrics or name in _NUMBERS)
    kept = fitting(header, rows, terminal_cells(console.out)) if console.is_terminal else len(names)
    console.table(header[:kept], [row[:kept] for row in rows], right=right)


def fitting(header: tuple[str, ...], rows: list[tuple[str, ...]], cells: int | None) -> int:
    """How many columns from the left fit into so many cells; the first always stays, whole."""
    if cells is None:
        return len(header)
    used = 0
    for at in range(len(header)):
        used += max(width(row[at]) for row in (header, *rows)) + (2 if at else 0)
        if used > cells and at:
            return at
    return len(header)


def _closing(query: Query, listing: Listing) -> str:
    count = f"{listing.matched} of {listing.total} models"
    if len(listing.rows) < listing.matched:
        count = f"{len(listing.rows)} shown, {count}"
    with_files = next((row for row in listing.rows if row.facts["files"]), None)
    if with_files is None:
        return f"{count}."
    name = str(with_files.facts["model"])
    if query.release is not None:
        name = f"{with_files.facts['package']}/{with_files.facts['release']}/{name}"
    return f"{count}. Download one: zoo download {shlex.quote(name)} --dest ."


def why_empty(listing: Listing) -> list[str]:
    """The lines that explain an empty list."""
    lines = ["No model matches."]
    for each in listing.unknown:
        near = f"; near: {', '.join(each.near)}" if each.near else ""
        lines.append(f"There is no {each.field} {each.value}{near}.")
    if found := listing.nearest:
        rest = f" with {found.rest}" if found.rest else ""
        lines[0] += f" The {found.best} {found.metric}{rest} is {found.value:g} ({found.model})."
    return lines


def _document(listing: Listing) -> dict[str, object]:
    document: dict[str, object] = {
        "ok": True,
        "command": "list",
        "matched": listing.matched,
        "of": listing.total,
        "models": [_model(row) for row in listing.rows],
    }
    if found := listing.nearest:
        document["nearest"] = {
            "metric": found.metric, found.best: found.value, "model": found.model, "with": found.rest or None,
        }  # fmt: skip
    return document


def _model(row: Row) -> dict[str, object]:
    metrics = {
        name: {
            "value": each.value, "unit": each.unit, "dataset": each.dataset, "task": each.task,
            **({"text": each.text} if each.text is not None else {}),
        }
        for name, each in row.metrics.items()
    }  # fmt: skip
    facts = {name: row.facts.get(name) for name in (*FACTS, "dataset", "task")}
    return {"name": facts.pop("model"), **facts, "metrics": metrics}


def _show_metrics(console: Console, catalog: sqlite3.Connection, query: Query) -> None:
    from zoo_cli.catalog.contents import metric_ranges

    found = metric_ranges(catalog, query)
    if console.json:
        keys = ("name", "label", "models", "lowest", "highest", "unit")
        rows = [(each.name, each.label, each.models, each.lowest, each.highest, each.units) for each in found]
        metrics = [dict(zip(keys, row, strict=True)) for row in rows]
        console.document({"ok": True, "command": "list", "metrics": metrics})
    elif console.quiet:
        for each in found:
            console.data(each.name)
    else:
        cells: list[tuple[str, ...]] = [
            (each.name, str(each.models), _bound(each.lowest), _bound(each.highest), each.units) for each in found
        ]
        console.table(("metric", "models", "lowest", "highest", "unit"), cells, right=frozenset({1, 2, 3}))


def _bound(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _show_fields(console: Console) -> None:
    if console.json:
        fields = [{"name": each.name, "kind": each.kind, "description": each.description} for each in FIELDS]
        console.document({"ok": True, "command": "list", "fields": fields})
    elif console.quiet:
        for each in FIELDS:
            console.data(each.name)
    else:
        rows: list[tuple[str, ...]] = [(each.name, each.kind, each.description) for each in FIELDS]
        console.table(("field", "kind", "meaning"), rows)
