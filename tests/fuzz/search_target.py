"""What must hold for any text given to `zoo list --search` or as a model's name, as functions for every fuzzer.

Both end with an answer or with one error that can be told; the database is only read, the work is bounded, a full-text
query holds nothing of the text but runs of letters and digits, and every name given as near is the name of a model.
"""

from __future__ import annotations

import functools
import json
import math
import re

from tests.fuzz.filter_target import bounded, console, database
from zoo_cli.catalog.listing import Query, list_models
from zoo_cli.catalog.references import AmbiguousModel, UnknownModel, find_models
from zoo_cli.catalog.scope import UnknownPackage
from zoo_cli.catalog.search import BadSearch, relevance
from zoo_cli.cli.app import error_lines
from zoo_cli.cli.list_view import list_document, notes, why_empty
from zoo_cli.cli.messages import message_for
from zoo_cli.errors import ZooError

_MATCH = re.compile(r'(?:[() ]|AND|OR|"[^\W_]+"\*?)*')


def check_search(text: str) -> bool:
    """Checks a search; returns whether there is something in it to search for."""
    connection = database()
    try:
        found = bounded(connection, lambda: list_models(connection, Query(search=text)))
    except BadSearch as error:
        _check_error(error)
        return False
    assert found.search is not None
    for match in found.search.condition.parameters:
        assert _MATCH.fullmatch(str(match)), match
    assert bool(found.rows) == (found.matched > 0)
    fits = [relevance(row, found.search) for row in found.rows]
    assert all(map(math.isfinite, fits))
    assert fits == sorted(fits, reverse=True)
    assert not found.rows or not found.search.missing
    json.dumps(list_document(found))
    assert all(line.isprintable() for line in (*notes(found), *why_empty(found)))
    return True


@functools.cache
def _names() -> frozenset[str]:
    query = "SELECT name FROM model UNION SELECT name FROM alias"
    return frozenset(name for (name,) in database().execute(query))


def check_name(text: str) -> bool:
    """Checks what a text names; returns whether there is a model of that name or one near it."""
    connection = database()
    try:
        found = bounded(connection, lambda: find_models(connection, text))
    except UnknownModel as error:
        _check_error(error)
        assert len(error.near) <= 3
        assert {each.name for each in error.near} <= _names()
        return bool(error.near)
    except (AmbiguousModel, UnknownPackage) as error:
        _check_error(error)
        return False
    assert {each.name for each in found.models} <= _names()
    return True


def _check_error(error: ZooError) -> None:
    lines = error_lines(console(), error.code, message_for(error))
    assert all(line == line.encode("utf-8").decode() and line.isprintable() for line in lines)
