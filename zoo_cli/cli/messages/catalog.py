"""Sentences for the errors of the catalog: the database of facts and the index it is compiled from."""

from __future__ import annotations

import shlex

from zoo_cli.catalog.compiler.rows import BrokenRow
from zoo_cli.catalog.database import CatalogUnusable
from zoo_cli.catalog.extras import UnknownBackbone
from zoo_cli.catalog.filters import BadFilter
from zoo_cli.catalog.listing import UnknownColumn
from zoo_cli.catalog.ordering import BadAxes, UnknownGoal
from zoo_cli.catalog.references import AmbiguousModel, UnknownModel
from zoo_cli.catalog.scope import UnknownPackage
from zoo_cli.catalog.search import LONGEST, BadSearch, SearchUnavailable
from zoo_cli.catalog.words import words_of
from zoo_cli.cli.messages import Message, WayOut, describe
from zoo_cli.cli.text import width
from zoo_cli.plaintext import printable

_WORDS_KEPT = 3  # of a name that was not found, for a search


@describe.register
def _catalog_unusable(error: CatalogUnusable) -> Message:
    what = "zoo's database of facts cannot be used"
    facts = (f"{error.path}", error.problem)
    if error.variable:
        ways = (WayOut(f"{error.variable} names it; use the facts that came with zoo", f"unset {error.variable}"),)
    elif error.is_checkout:
        ways = (WayOut("Give it a place that can be written", "export ZOO_CACHE=$HOME/zoo-cache"),)
    else:
        command = f"{error.python} -m pip install --force-reinstall --no-deps zoo-cli"
        ways = (WayOut("Install zoo's files again", command),)
    return Message(what, facts, ways)


@describe.register
def _broken_row(error: BrokenRow) -> Message:
    place = f"index/{error.file}" + (f", line {error.line}" if error.line else "")
    facts = tuple(text for text in (error.row, error.problem) if text)
    ways = (WayOut("See what changed there", f"git diff -- index/{error.file}"),)
    return Message(f"the index has a broken row in {place}", facts, ways)


_WINDOW = 60  # characters of a filter shown on each side of the fault


@describe.register
def _bad_filter(error: BadFilter) -> Message:
    start = max(0, error.column - _WINDOW)
    before, fault = error.text[start : error.column], error.text[error.column : error.column + error.length]
    before = ("..." if start else "") + printable(before)
    after = error.text[error.column + error.length :]
    rest = printable(after[:_WINDOW]) + ("..." if len(after) > _WINDOW else "")
    fault = printable(fault, 4 * _WINDOW)
    pointer = " " * width(before) + "^" * max(1, min(_WINDOW, width(fault)))
    facts = [f"{before}{fault}{rest}", f"{pointer} {error.problem}"]
    ways: list[WayOut] = []
    if error.is_unknown:
        near = f"; near: {', '.join(error.near)}" if error.near else ""
        facts.append(f"there is no field or metric {error.field}{near}")
        ways += [WayOut("All metrics", "zoo list --metrics"), WayOut("All fields", "zoo list --fields")]
    if error.near and error.column == error.text.find(fault) and fault and fault.replace(" ", "_") == error.field:
        mended = error.text.replace(fault, error.near[0], 1)
        ways.insert(0, WayOut(f"With {error.near[0]}", f"zoo list --filter {shlex.quote(mended)}"))
    return Message("cannot read the filter", tuple(facts), (*ways, WayOut("The language", "zoo help filters")))


@describe.register
def _unknown_column(error: UnknownColumn) -> Message:
    facts = (f"near: {', '.join(error.near)}",) if error.near else ()
    ways = (WayOut("All fields", "zoo list --fields"), WayOut("All metrics", "zoo list --metrics"))
    return Message(f"no column is called {error.asked}", facts, ways)


@describe.register
def _unknown_goal(error: UnknownGoal) -> Message:
    ways = tuple(
        WayOut(f"{word} is better", f"zoo list --pareto {shlex.quote(_with_goal(error, goal))}")
        for word, goal in (("More", "max"), ("Less", "min"))
    )
    return Message(f"zoo does not know whether more or less {error.field} is better", (), ways)


def _with_goal(error: UnknownGoal, goal: str) -> str:
    """The axes with that goal behind the one that lacks it."""
    texts = error.asked.split(",")
    return ",".join(f"{text}:{goal}" if text.strip().casefold() == error.field.casefold() else text for text in texts)


@describe.register
def _bad_axes(error: BadAxes) -> Message:
    ways = (
        WayOut("A metric against a cost", "zoo list mmdet --filter dataset=COCO --pareto box_AP,inference_ms"),
        WayOut("All metrics", "zoo list --metrics"),
    )
    return Message("--pareto needs two different numbers", (f"asked: {error.asked}", error.problem), ways)


@describe.register
def _unknown_model(error: UnknownModel) -> Message:
    cells = max((width(each.name) for each in error.near), default=0)
    facts = tuple(
        f"{'near: ' if not at else '      '}{each.name}{' ' * (cells - width(each.name))}  {each.fact}".rstrip()
        for at, each in enumerate(error.near)
    )
    return Message(f"no model is named {error.asked}", facts, (_search(error.asked.rpartition("/")[2]),))


def _search(asked: str) -> WayOut:
    """The way to models with some of the words of what was asked, if it has any."""
    words = [word for word in words_of(asked[:LONGEST]) if word.isprintable()][:_WORDS_KEPT]
    return WayOut("Search", f"zoo list --search {shlex.quote(' '.join(words))}" if words else "zoo list")


@describe.register
def _bad_search(error: BadSearch) -> Message:
    ways = (WayOut("Words of a name, paper, dataset or task", "zoo list --search 'swin coco'"),)
    return Message("cannot search for that", (f"asked: {printable(error.text, 80)}", error.problem), ways)


@describe.register
def _search_unavailable(error: SearchUnavailable) -> Message:
    facts = (
        f"SQLite {error.sqlite_version}: {error.problem}",
        "searching for words needs FTS5 and SQLite 3.34 or newer",
    )
    return Message(
        "this Python's SQLite cannot search for words", facts, (WayOut("By name", "zoo list --name '*swin*'"),)
    )


@describe.register
def _ambiguous_model(error: AmbiguousModel) -> Message:
    ways = tuple(WayOut("This one", f"zoo download {shlex.quote(each)} --dest .") for each in error.choices[:10])
    return Message(f"{len(error.choices)} different models are called {error.asked}", (), ways)


@describe.register
def _unknown_package(error: UnknownPackage) -> Message:
    if error.release is not None:
        what = f"the index has no models of {error.asked} {error.release}"
        ways = tuple(WayOut(f"Of {each}", f"zoo list {error.asked} --release {each}") for each in error.known[:3])
        return Message(what, (f"releases with models: {', '.join(error.known[:20])}",), ways)
    ways = tuple(WayOut("Did you mean", f"zoo list {each}") for each in error.near[:3])
    ways += (_search(error.asked), WayOut("What the index holds", "zoo index stats"))
    what = f"the index has no models of a package {error.asked}"
    return Message(what, (f"packages with models: {', '.join(error.known) or 'none'}",), ways)


@describe.register
def _unknown_backbone(error: UnknownBackbone) -> Message:
    what = f"the index has no backbone {printable(error.asked, 120)}"
    facts = (f"near it: {', '.join(error.near)}",) if error.near else ()
    return Message(what, facts, (WayOut("All backbones", "zoo list --backbones"),))
