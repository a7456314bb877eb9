"""Sentences for the errors of the catalog: the database of facts and the index it is compiled from."""

from __future__ import annotations

from zoo_cli.catalog.compiler.rows import BrokenRow
from zoo_cli.catalog.database import CatalogUnusable
from zoo_cli.cli.messages import Message, WayOut, describe


@describe.register
def _catalog_unusable(error: CatalogUnusable) -> Message:
    what = "zoo's database of facts cannot be used"
    facts = (f"{error.path}", error.problem)
    if error.variable:
        ways = (WayOut(f"{error.variable} names it; the facts that came with zoo:", f"unset {error.variable}"),)
    elif error.is_checkout:
        ways = (WayOut("Give it a place that can be written:", "export ZOO_CACHE=$HOME/zoo-cache"),)
    else:
        command = f"{error.python} -m pip install --force-reinstall --no-deps zoo-cli"
        ways = (WayOut("Install zoo's files again:", command),)
    return Message(what, facts, ways)


@describe.register
def _broken_row(error: BrokenRow) -> Message:
    place = f"index/{error.file}" + (f", line {error.line}" if error.line else "")
    facts = tuple(text for text in (error.row, error.problem) if text)
    ways = (WayOut("See what changed there:", f"git diff -- index/{error.file}"),)
    return Message(f"the index has a broken row in {place}", facts, ways)
