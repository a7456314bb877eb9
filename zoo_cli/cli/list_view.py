"""A list of models as lines: the columns worth showing, cells, tables, CSV, Markdown, JSON, and what to say beside.

Pure but for the console it writes to.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from zoo_cli.catalog.listing import FACTS, NUMBERS, RESULT_FACTS, TIME_FACTS, known_column
from zoo_cli.cli.text import human_bytes, pad, width
from zoo_cli.cli.width import terminal_cells
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zoo_cli.catalog.listing import Listing, Query, Row
    from zoo_cli.cli.console import Console

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_MOST_KINDS = 4  # of hardware or datasets named in a note


def chosen_columns(listing: Listing, chosen: tuple[str, ...]) -> tuple[str, ...]:
    """The columns asked for, else: name, package where there are several, metrics, and what tells models apart."""
    if chosen:
        names = tuple(known_column(name, tuple(listing.labels)) for name in chosen)
        return _with_hardware(names)
    packages = {row.facts["package"] for row in listing.rows}
    releases = {row.facts["release"] for row in listing.rows}
    told = (["package"] if len(packages) > 1 else []) + (["release"] if len(releases) > len(packages) else [])
    compared = [name for name in listing.compared if name not in ("model", "release", "license")]
    extra = [axis.name for axis in listing.axes if axis.name not in listing.metrics] + compared
    beside, family = _with_hardware(tuple(extra)), ("dataset", "collection")
    middle = (*beside, *family) if listing.axes else (*family, *beside)
    return tuple(dict.fromkeys(("model", *told, *listing.metrics, *middle, "checkpoint")))


def _with_hardware(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, with the hardware behind a time: a time means nothing without it."""
    if "inference_ms" not in names or "hardware" in names:
        return names
    at = names.index("inference_ms") + 1
    return (*names[:at], "hardware", *names[at:])


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


def show_table(console: Console, names: tuple[str, ...], listing: Listing) -> None:
    """Aligned columns on a terminal, as many as fit; tab-separated ones in a pipe."""
    header = tuple(listing.labels.get(name, name.replace("_", " ")) for name in names)
    rows = _cells(listing, names, is_terminal=console.is_terminal)
    right = frozenset(at for at, name in enumerate(names) if _is_number(name, listing))
    kept = fitting(header, rows, terminal_cells(console.out)) if console.is_terminal else len(names)
    console.table(header[:kept], [row[:kept] for row in rows], right=right)


def _is_number(name: str, listing: Listing) -> bool:
    return name in listing.metrics or name in NUMBERS


def _cells(listing: Listing, names: tuple[str, ...], *, is_terminal: bool) -> list[tuple[str, ...]]:
    return [tuple(cell(row, name, is_terminal=is_terminal) for name in names) for row in listing.rows]


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


def csv_lines(names: tuple[str, ...], listing: Listing) -> list[str]:
    """The list as CSV (RFC 4180). What a spreadsheet would take for a formula gets an apostrophe."""
    import csv  # rarely asked for, and not free
    from io import StringIO

    rows = [names, *_cells(listing, names, is_terminal=False)]
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows([_csv_cell(each) for each in row] for row in rows)
    return text.getvalue().splitlines()


def _csv_cell(text: str) -> str:
    if text.startswith(("=", "+", "-", "@", "\t", "\r")) and not _NUMBER.fullmatch(text):
        text = f"'{text}"
    return printable(text)


def markdown_lines(names: tuple[str, ...], listing: Listing) -> list[str]:
    """The list as a table of GitHub's Markdown, aligned also as plain text."""
    header = tuple(listing.labels.get(name, name.replace("_", " ")) for name in names)
    rows = [tuple(_markdown_cell(each) for each in row) for row in (header, *_cells(listing, names, is_terminal=False))]
    right = [_is_number(name, listing) for name in names]
    cells = [max(3, *(width(row[at]) for row in rows)) for at in range(len(names))]
    lines = [
        "| " + " | ".join(pad(row[at], cells[at], right=right[at]) for at in range(len(names))) + " |" for row in rows
    ]
    rule = "|".join("-" * (cells[at] + 1) + ":" if right[at] else "-" * (cells[at] + 2) for at in range(len(names)))
    return [lines[0], f"|{rule}|", *lines[1:]]


def _markdown_cell(text: str) -> str:
    return re.sub(r"([\\|*`<\[\]])", r"\\\1", printable(text))


def closing(query: Query, listing: Listing) -> str:
    """The line under a table: how many, of how many, and how to get one."""
    count = f"{listing.matched} of {listing.total} models"
    if listing.axes:
        goals = " and ".join(f"{axis.goal} {axis.name}" for axis in listing.axes)
        count = f"{len(listing.rows)} are the front of {goals}, {count}"
    elif len(listing.rows) < listing.matched:
        count = f"{len(listing.rows)} shown, {count}"
    with_files = next((row for row in listing.rows if row.facts["files"]), None)
    if with_files is None:
        return f"{count}."
    name = str(with_files.facts["model"])
    if query.release is not None:
        name = f"{with_files.facts['package']}/{with_files.facts['release']}/{name}"
    return f"{count}. Download one: zoo download {shlex.quote(name)} --dest ."


def notes(listing: Listing) -> list[str]:
    """What makes the compared values less comparable than they look, or left models out of a front."""
    lines = [
        f"{text}: shares are compared in percent; what upstream writes as 0.7 is 70 here." for text in listing.small
    ]
    for asked, near in (listing.search.read_as if listing.search else {}).items():
        if near:
            lines.append(f"no model has the word {asked}: searched for {' or '.join(near)}.")
    for axis in listing.axes:
        known = [row for row in listing.among if row.number(axis.name) is not None]
        if missing := len(listing.among) - len(known):
            lines.append(f"{missing} of {len(listing.among)} models have no {axis.name} and are in no front.")
        if axis.name == "inference_ms":
            for fact in TIME_FACTS[1:]:
                lines += _mixed(f"{axis.name} was taken with several kinds of {fact}", fact, known)
        elif axis.name not in NUMBERS:
            lines += _mixed(f"{axis.name} was measured on several datasets", "dataset", known)
    return list(dict.fromkeys(lines))


def _mixed(what: str, fact: str, rows: Iterable[Row]) -> list[str]:
    kinds = sorted({str(row.facts.get(fact)) for row in rows if row.facts.get(fact) is not None})
    if len(kinds) < 2:
        return []
    named = ", ".join(kinds[:_MOST_KINDS]) + (" ..." if len(kinds) > _MOST_KINDS else "")
    example = kinds[0] if kinds[0].isalnum() else f"'{kinds[0]}'"
    return [f'{what} ({named}); narrow it: --filter "{fact}={example}"']


def why_empty(listing: Listing) -> list[str]:
    """The lines that explain an empty list."""
    lines = ["No model matches."]
    if listing.search and listing.search.missing:
        lines.append(f"No model has the word {', '.join(map(printable, listing.search.missing))}.")
    elif len(listing.word_counts) > 1:
        alone = ", ".join(f"{printable(word)} {count}" for word, count in listing.word_counts)
        lines.append(f"No model has all of these words; each alone: {alone}.")
    for each in listing.unknown:
        near = f"; near: {', '.join(each.near)}" if each.near else ""
        lines.append(f"There is no {each.field} {each.value}{near}.")
    if found := listing.nearest:
        rest = f" with {found.rest}" if found.rest else ""
        lines[0] += f" The {found.best} {found.metric}{rest} is {found.value:g} ({found.model})."
    return lines


def list_document(listing: Listing) -> dict[str, object]:
    """The answer for programs."""
    document: dict[str, object] = {
        "ok": True,
        "command": "list",
        "matched": listing.matched,
        "of": listing.total,
        "models": [_model(row) for row in listing.rows],
    }
    if listing.search:
        document["search"] = {
            "words": [term.asked for term in listing.search.terms],
            "read_as": {asked: list(near) for asked, near in listing.search.read_as.items() if near},
            "alone": dict(listing.word_counts),
        }
    if lines := notes(listing):
        document["notes"] = lines
    if listing.axes:
        document["front"] = [{"field": axis.name, "better": axis.goal} for axis in listing.axes]
    if found := listing.nearest:
        document["nearest"] = {
            "metric": found.metric, found.best: found.value, "model": found.model, "with": found.rest or None,
        }  # fmt: skip
    return document


def _model(row: Row) -> dict[str, object]:
    metrics = {
        name: {
            "value": each.raw, "unit": each.unit, "dataset": each.dataset, "task": each.task,
            **({"percent": each.value} if each.published is not None else {}),
            **({"text": each.text} if each.text is not None else {}),
        }
        for name, each in row.metrics.items()
    }  # fmt: skip
    facts = {name: row.facts.get(name) for name in (*FACTS, *RESULT_FACTS, *TIME_FACTS)}
    return {"name": facts.pop("model"), **facts, "metrics": metrics}
