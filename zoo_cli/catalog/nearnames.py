"""Which models a name that nothing is called may have been meant for, out of any number of them.

The reader gets an open connection. Comparing a name with a million others takes many seconds, so a few dozen are
chosen first: those that share the rarest of its trigrams, and those that begin with it. `names.near` decides among
them. When it finds none, models that have all the words of the name are taken, the shortest names first.
"""

# ruff: noqa: S608 (conditions are written in this room, a user's values are bound)

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from zoo_cli.catalog.names import near, normalised
from zoo_cli.catalog.scope import OWN, within
from zoo_cli.catalog.search import BadSearch, can_search, read_search
from zoo_cli.catalog.words import grams_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

_LONGEST = 200  # letters of a name that are compared
_MOST_LOOKED_UP = 30_000  # models looked up by trigrams, each time it is found counted
_MOST_NAMED = 1_000  # of them whose names are read
_MOST_COMPARED = 40  # of these names that are compared letter by letter
_MOST_FOUND = 5_000  # by words, of which the shortest are taken
_ENTRIES = "entry e JOIN model m ON m.id = e.model JOIN package p ON p.id = e.package"
_SURE_LETTERS = 4  # of the words that are there as they were asked for
_NEWEST = f"p.rank = 0 AND CASE WHEN ?1 IS NULL THEN {OWN} ELSE {within('?1')} END"


def near_names(connection: sqlite3.Connection, asked: str, project: str | None, limit: int = 3) -> tuple[str, ...]:
    """At most `limit` names of models (of the newest releases; older names of theirs, too), the nearest first."""
    asked = asked[:_LONGEST]
    if not can_search(connection):
        return near(asked, _all_names(connection, project), limit)
    among = {*_sharing_grams(connection, normalised(asked), project), *_beginning(connection, asked, project)}
    return near(asked, among, limit) or _with_words(connection, asked, project, limit)


def _all_names(connection: sqlite3.Connection, project: str | None) -> Iterator[str]:
    query = (
        f"SELECT m.name FROM {_ENTRIES} WHERE {_NEWEST} UNION "
        f"SELECT a.name FROM {_ENTRIES} JOIN alias a ON a.model = m.id WHERE {_NEWEST}"
    )
    return (name for (name,) in connection.execute(query, (project,)))


def _sharing_grams(connection: sqlite3.Connection, wanted: str, project: str | None) -> list[str]:
    """Names that have most trigrams in common with the one wanted."""
    grams = grams_of(wanted)
    found = Counter[int]()
    for gram, limit in _rarest(connection, grams):
        query = "SELECT rowid FROM model_gram WHERE model_gram MATCH ? LIMIT ?"
        found.update(number for (number,) in connection.execute(query, (f'"{gram}"', limit)))
    numbers = [number for number, _count in found.most_common(_MOST_NAMED)]
    shared = {name: _likeness(grams, grams_of(normalised(name))) for name in _names_of(connection, numbers, project)}
    return sorted(shared, key=lambda name: (-shared[name], len(name), name))[:_MOST_COMPARED]


def _rarest(connection: sqlite3.Connection, grams: frozenset[str]) -> Iterator[tuple[str, int]]:
    """The rarest trigrams first, as many as may be looked up, each with how many models of it."""
    query = "SELECT gram, models FROM gram WHERE gram IN (SELECT value FROM json_each(?)) ORDER BY models, gram"
    left = _MOST_LOOKED_UP
    for gram, models in connection.execute(query, (json.dumps(sorted(grams)),)).fetchall():
        if left > 0:
            yield gram, left
        left -= models


def _likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """Dice's coefficient: 1 when all trigrams are the same, 0 when none is."""
    return 2 * len(one & other) / (len(one) + len(other) or 1)


def _names_of(connection: sqlite3.Connection, numbers: list[int], project: str | None) -> Iterator[str]:
    query = (
        "SELECT m.name, a.name FROM json_each(?2) j JOIN model m ON m.id = j.value JOIN entry e ON e.model = m.id "
        f"JOIN package p ON p.id = e.package LEFT JOIN alias a ON a.model = m.id WHERE {_NEWEST}"
    )
    for name, other in connection.execute(query, (project, json.dumps(numbers))):
        yield name
        if other is not None:
            yield other


def _beginning(connection: sqlite3.Connection, asked: str, project: str | None) -> Iterator[str]:
    """The shortest names that begin with what was asked, as it was written."""
    if len(asked) < 2:
        return
    query = (
        f"SELECT DISTINCT m.name FROM {_ENTRIES} WHERE {_NEWEST} AND m.name >= ?2 AND m.name < ?3 "
        "ORDER BY length(m.name), m.name LIMIT ?4"
    )
    bounds = (project, asked, asked + "\U0010ffff", _MOST_COMPARED)
    yield from (name for (name,) in connection.execute(query, bounds))


def _with_words(connection: sqlite3.Connection, asked: str, project: str | None, limit: int) -> tuple[str, ...]:
    """Names of models that have all words asked for; none where hardly a letter of them is surely meant."""
    try:
        search = read_search(connection, asked)
    except BadSearch:
        return ()
    if sum(len(term.asked) for term in search.terms if not term.is_near) < _SURE_LETTERS:
        return ()
    having = search.condition
    condition = having.text.replace("?", "?2")
    some = f"SELECT m.name FROM {_ENTRIES} WHERE {_NEWEST} AND {condition} LIMIT {_MOST_FOUND}"
    query = f"SELECT DISTINCT name FROM ({some}) ORDER BY length(name), name LIMIT {limit}"
    return tuple(name for (name,) in connection.execute(query, (project, *having.parameters)))
