"""`zoo list`: find models by what they reached, offline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zoo_cli.catalog.database import open_catalog
from zoo_cli.catalog.filters import FIELDS
from zoo_cli.catalog.listing import Query, UnknownColumn, known_column, list_models
from zoo_cli.cli.freshness import heed_expiry
from zoo_cli.cli.list_view import (
    chosen_columns,
    closing,
    csv_lines,
    list_document,
    markdown_lines,
    notes,
    show_table,
    why_empty,
)
from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    import sqlite3

    from zoo_cli.catalog.listing import Listing
    from zoo_cli.cli.console import Console


@click.command(
    "list",
    epilog="Examples: zoo list mmdet --filter 'box_AP>=50 and dataset=COCO'; zoo list --search 'swin coco'; "
    "zoo list mmdet --filter dataset=COCO --pareto box_AP,inference_ms. Filters: zoo help filters.",
)
@click.argument("package", required=False)
@click.option("-f", "--filter", "filter_", metavar="EXPR", help="Which models: zoo help filters.")
@click.option("--condition", hidden=True, help="MIM's name for --filter.")
@click.option(
    "-s", "--search", metavar="WORDS", help="Words of names, papers, datasets, tasks: 'swin coco'; best fit first."
)
@click.option("--name", metavar="GLOB", help="Names like this one: 'rtmdet*'.")
@click.option(
    "--sort",
    metavar="FIELD",
    help="Order: a metric is best first, a field smallest first; FIELD:desc, FIELD:asc, -FIELD.",
)
@click.option("-n", "--limit", type=click.IntRange(min=0), metavar="N", help="At most so many.")
@click.option("--columns", "columns_", metavar="A,B", help="Which columns, in which order: fields and metrics.")
@click.option("--release", metavar="VERSION", help="Of this release of the package; the newest by default.")
@click.option("--all-releases", is_flag=True, help="Of every release in the index.")
@click.option("--installed", is_flag=True, help="Of the packages and releases that are installed in the target.")
@click.option("--python", metavar="PATH", help="The target of --installed: an interpreter or environment.")
@click.option(
    "--pareto", metavar="X,Y", help="Only the front: models that none beats in both; X:max or X:min says how."
)
@click.option("--plot", metavar="FILE", help="Draw --pareto into FILE.png, .svg or .pdf.")
@click.option("--csv", "form", flag_value="csv", help="As comma-separated values.")
@click.option("--markdown", "form", flag_value="markdown", help="As a Markdown table.")
@click.option("--metrics", "wants_metrics", is_flag=True, help="The metrics there are, with their ranges.")
@click.option("--backbones", "wants_backbones", is_flag=True, help="Pretrained backbones: what an alias means.")
@click.option("--benchmarks", "wants_benchmarks", is_flag=True, help="Published comparisons with other toolboxes.")
@click.option("--fields", "wants_fields", is_flag=True, help="The fields there are.")
@common_options
@pass_console
def command(
    console: Console,
    /,
    wants_metrics: bool,
    wants_fields: bool,
    wants_backbones: bool,
    wants_benchmarks: bool,
    **given: Any,
) -> None:
    """Find models; nothing is fetched.

    PACKAGE is a package with models, such as mmdet; all of them by default.
    """
    others = {"--fields": wants_fields, "--backbones": wants_backbones, "--benchmarks": wants_benchmarks}
    _check_others([name for name, wanted in (*others.items(), ("--metrics", wants_metrics)) if wanted], given)
    if wants_fields:
        _show_fields(console)
        return
    _check_options(console, given)
    chosen = _words(given["columns_"])
    catalog = open_catalog()
    heed_expiry(console)
    try:
        if wants_backbones:
            _show_backbones(console, catalog, given["name"])
            return
        if wants_benchmarks:
            _show_benchmarks(console, catalog)
            return
        query = _query(console, catalog, given, chosen)
        if wants_metrics:
            _show_metrics(console, catalog, query)
        else:
            _show(console, query, list_models(catalog, query), chosen, given)
    finally:
        catalog.close()


_WHICH = ("package", "filter_", "condition", "search", "release", "all_releases", "installed", "python")
_OPTIONS = {"filter_": "--filter", "columns_": "--columns", "form": "--csv or --markdown", "package": "a package"}


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(filter(None, (each.strip() for each in (text or "").split(","))))


def _check_others(others: list[str], given: dict[str, Any]) -> None:
    """Refuses two lists at once, and options that the list asked for would not heed."""
    if len(others) > 1:
        raise click.UsageError(f"{' and '.join(others)} are lists of their own: say one of them.")
    heeded = {"--metrics": (*_WHICH, "name"), "--backbones": ("name",)}.get(others[0], ()) if others else given
    for name in given:
        if name not in heeded and given[name] not in (None, False):
            raise click.UsageError(f"{others[0]} does not heed {_OPTIONS.get(name, f'--{name}'.replace('_', '-'))}.")


def _check_options(console: Console, given: dict[str, Any]) -> None:
    """Refuses options that contradict each other."""
    if given["form"] and (console.json or console.quiet):
        raise click.UsageError(f"--{given['form']} and {'--json' if console.json else '--quiet'}: say one of them.")
    if given["condition"] is not None and given["filter_"] is not None:
        raise click.UsageError("--condition is MIM's name for --filter: say one of them.")
    if given["all_releases"] and (given["release"] is not None or given["installed"]):
        raise click.UsageError("--all-releases leaves nothing for --release or --installed to choose.")
    if given["release"] is not None and given["installed"]:
        raise click.UsageError("--installed already says which release.")
    if given["python"] and not given["installed"]:
        raise click.UsageError("--python belongs to --installed.")
    if given["pareto"] is not None and len(_words(given["pareto"])) != 2:
        raise click.UsageError("--pareto takes two fields or metrics: --pareto box_AP,inference_ms")
    if given["pareto"] is not None and given["sort"] is not None:
        raise click.UsageError("--pareto has an order of its own: best of the first axis first.")
    if given["plot"] is not None and given["pareto"] is None:
        raise click.UsageError("--plot draws --pareto X,Y: say which two fields or metrics.")


def _query(console: Console, catalog: sqlite3.Connection, given: dict[str, Any], chosen: tuple[str, ...]) -> Query:
    axes = _words(given["pareto"])
    return Query(
        package=given["package"],
        release=given["release"],
        filter=given["filter_"] if given["condition"] is None else given["condition"],
        name=given["name"],
        search=given["search"],
        sort=given["sort"],
        limit=given["limit"],
        metrics=tuple(each for each in chosen if not _is_fact(each)),
        all_releases=given["all_releases"],
        only=_installed(console, catalog, given["python"]) if given["installed"] else None,
        pareto=(axes[0], axes[1]) if axes else None,
        is_bare=console.quiet and not axes and given["sort"] is None and given["search"] is None,
    )


def _installed(console: Console, catalog: sqlite3.Connection, python: str | None) -> tuple[tuple[str, str], ...]:
    """The packages of the target that have models in the index, in the release that is installed."""
    from zoo_cli.catalog.scope import packages, versions
    from zoo_cli.machine.interpreter import default_target, find_interpreter, read_interpreter

    executable = find_interpreter(python, console.environ) if python else default_target(console.environ).executable
    interpreter = read_interpreter(executable, environ=console.environ)
    known = frozenset(packages(catalog))
    there = {each.name: each.version for each in reversed(interpreter.distributions) if each.name in known}
    found: list[tuple[str, str]] = []
    for name, version in sorted(there.items()):
        releases = versions(catalog, name)
        if version in releases:
            found.append((name, version))
        else:
            console.warn(f"{name} {version} is installed; the index has models of {', '.join(releases)}, not of it")
    if not there:
        console.say(f"No package with models is installed in {printable(interpreter.executable)}.")
    return tuple(found)


def _is_fact(name: str) -> bool:
    try:
        known_column(name, ())
    except UnknownColumn:
        return False
    return True


def _show(console: Console, query: Query, listing: Listing, chosen: tuple[str, ...], given: dict[str, Any]) -> None:
    names = chosen_columns(listing, chosen)
    if given["plot"] is not None and listing.rows:
        _plot(console, listing, given["plot"])
    if console.json:
        signed = _signed(console)
        console.document({**list_document(listing), **({"signed": signed} if signed else {})})
    elif console.quiet:
        for row in listing.rows:
            console.data(str(row.facts["model"]))
    elif not listing.rows and not listing.matched:
        for line in why_empty(listing):
            console.say(line)
    elif given["form"]:
        lines = csv_lines if given["form"] == "csv" else markdown_lines
        for line in lines(names, listing):
            console.data(line)
    else:
        show_table(console, names, listing)
        if console.is_terminal:
            console.say()
            console.say(closing(query, listing))
    if not console.json:
        for line in notes(listing):
            console.say(f"note: {line}")


def _signed(console: Console) -> list[dict[str, object]]:
    """Whose signatures the rows rest on, by the namespace of their package."""
    from zoo_cli.catalog.database import signed_in_use

    current = signed_in_use(console.environ)
    if current is None:
        return []
    from zoo_cli.cli.model_view import signed_document  # only where something is signed

    return [signed_document(each) for each in current.used]


def _show_backbones(console: Console, catalog: sqlite3.Connection, glob: str | None) -> None:
    from zoo_cli.catalog.extras import backbones, backbones_like
    from zoo_cli.cli.backbones_view import show_backbones

    known = backbones(catalog)
    show_backbones(console, known if glob is None else backbones_like(catalog, glob), len(known))


def _show_benchmarks(console: Console, catalog: sqlite3.Connection) -> None:
    from zoo_cli.catalog.extras import benchmark_checkpoints, benchmarks
    from zoo_cli.cli.benchmarks_view import show_benchmarks

    show_benchmarks(console, benchmarks(catalog), benchmark_checkpoints(catalog))


def _plot(console: Console, listing: Listing, path: str) -> None:
    from zoo_cli.cli.plot import draw_front

    draw_front(listing, path)
    console.say(f"Wrote {printable(path)}.")


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
