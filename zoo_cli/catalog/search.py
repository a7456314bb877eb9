"""Finding models by words: what `zoo list --search 'swin coco'` means, and which of the models found comes first.

The reader gets an open connection. Every word must be in a model's names, package, collection, paper, datasets, tasks
or what it is built of; the beginning of a word is enough. A word can also stand as a part of a longer one (former), as
two (fasterrcnn), or in the short form of names: resnet50 is also r50, large also l. For a word that is nowhere the
nearest ones are taken, and that is told. Of a user's text only runs of letters and digits get into a full-text query.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.catalog.filter_sql import Sql
from zoo_cli.catalog.names import near, normalised
from zoo_cli.catalog.words import other_forms, words_of
from zoo_cli.errors import ExitCode, ZooError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoo_cli.catalog.listing import Row

LONGEST = 200  # characters of a search
MOST_WORDS = 12
_MOST_PARTS = 40  # words that one asked for may be a part of
_MOST_NEAR = 6_000  # words compared for being near
_LAST = "\U0010ffff"

# How much a word found there counts; elsewhere (an older name, what it is built of, data it was trained on) it is 1.
_PLACES = (("model", 10.0), ("dataset", 10.0), ("collection", 6.0), ("task", 5.0), ("package", 3.0), ("paper", 2.0))
_ELSEWHERE = 1.0
_BEGINNING = 0.8  # of the whole word's weight
_WHOLE_NAME, _IN_A_ROW, _FIRST = 100.0, 1.0, 0.5  # more for a name that is, has, or begins with what was asked for


class BadSearch(ZooError):
    """A search has nothing that can be searched for, or is over a limit."""

    code = "bad-search"
    exit_code = ExitCode.USAGE

    text: str
    problem: str


class SearchUnavailable(ZooError):
    """The SQLite of this Python cannot read the full-text tables."""

    code = "search-unavailable"
    exit_code = ExitCode.FAILED

    sqlite_version: str
    problem: str


class Word(NamedTuple):
    """One word to find, or the beginning of one."""

    text: str
    is_beginning: bool = False

    @property
    def match(self) -> str:
        """The same as a full-text query."""
        return f'"{self.text}"' + "*" * self.is_beginning


class Term(NamedTuple):
    """One thing asked for: one of `forms` must be there, with all its words. Without any, no model has it."""

    asked: str
    forms: tuple[tuple[Word, ...], ...]
    is_near: bool = False  # the forms are only near what was asked

    @property
    def match(self) -> str:
        """The same as a full-text query."""
        return " OR ".join("(" + " AND ".join(word.match for word in form) + ")" for form in self.forms)


class Search(NamedTuple):
    """A search as it was understood."""

    text: str
    terms: tuple[Term, ...]

    @property
    def condition(self) -> Sql:
        """The models that have all terms, as a condition over `model m`."""
        return _having(self.terms)

    @property
    def missing(self) -> tuple[str, ...]:
        """What is in no model at all."""
        return tuple(term.asked for term in self.terms if not term.forms)

    @property
    def read_as(self) -> dict[str, tuple[str, ...]]:
        """What was asked and is nowhere, and the near words that were searched for instead."""
        return {term.asked: tuple(form[0].text for form in term.forms) for term in self.terms if term.is_near}


def can_search(connection: sqlite3.Connection) -> bool:
    """Whether this SQLite reads the full-text tables."""
    try:
        connection.execute("SELECT rowid FROM model_gram LIMIT 0")
        connection.execute("SELECT rowid FROM model_word LIMIT 0")
    except sqlite3.OperationalError:
        return False
    return True


def read_search(connection: sqlite3.Connection, text: str) -> Search:
    """What a text asks for.

    Raises:
        BadSearch: It has no word, or is over the limits.
        SearchUnavailable: This SQLite has no full-text search.
    """
    if len(text) > LONGEST:
        raise BadSearch(text[:80], f"longer than {LONGEST} characters")
    words = words_of(text)
    if not words:
        raise BadSearch(text, "no word of letters or digits is in it")
    if len(words) > MOST_WORDS:
        raise BadSearch(text, f"more than {MOST_WORDS} words")
    try:
        return Search(text, tuple(_terms(connection, words)))
    except sqlite3.OperationalError as missing:
        raise SearchUnavailable(sqlite3.sqlite_version, str(missing)) from missing


def counts(connection: sqlite3.Connection, search: Search, scope: Sql) -> tuple[tuple[str, int], ...]:
    """How many models of the scope have each term alone."""
    query = "SELECT count(*) FROM entry e JOIN model m ON m.id = e.model JOIN package p ON p.id = e.package WHERE "
    found: list[tuple[str, int]] = []
    for term in search.terms:
        having = _having((term,))
        (count,) = connection.execute(
            f"{query}{scope.text} AND {having.text}",
            scope.parameters + having.parameters,
        ).fetchone()
        found.append((term.asked, count))
    return tuple(found)


def relevance(row: Row, search: Search) -> float:
    """How well a model found fits: the sum over the terms, a word of the name counting most."""
    places = [(weight, words_of(str(row.facts.get(name) or ""))) for name, weight in _PLACES]
    name, asked = normalised(str(row.facts["model"])), normalised(search.text)
    written = _WHOLE_NAME if name == asked else _IN_A_ROW if asked in name else 0.0
    written += _FIRST if name.startswith(asked.partition("-")[0]) else 0.0
    return written + sum(
        max(sum(_weight(word, places) for word in form) / len(form) for form in term.forms) for term in search.terms
    )


def _weight(word: Word, places: list[tuple[float, tuple[str, ...]]]) -> float:
    found = [weight for weight, words in places if word.text in words]
    if not found and word.is_beginning:
        found = [weight * _BEGINNING for weight, words in places if any(each.startswith(word.text) for each in words)]
    return max(found, default=_ELSEWHERE)


def _having(terms: tuple[Term, ...]) -> Sql:
    if not all(term.forms for term in terms):
        return Sql("0")
    match = " AND ".join(f"({term.match})" for term in terms)
    return Sql("m.id IN (SELECT rowid FROM model_word WHERE model_word MATCH ?)", (match,))


def _terms(connection: sqlite3.Connection, words: tuple[str, ...]) -> Iterator[Term]:
    """The words as terms; two that are also written together (r cnn, yolo v3) are one."""
    at = 0
    while at < len(words):
        pair = words[at : at + 2]
        together = _known(connection, "".join(pair)) if len(pair) == 2 else []
        if together:
            apart = tuple(Word(word, _may_go_on(word)) for word in pair)
            yield Term(" ".join(pair), (apart, *((Word(form),) for form in together)))
            at += 2
        else:
            yield _term(connection, words[at])
            at += 1


def _term(connection: sqlite3.Connection, word: str) -> Term:
    is_there = _is_beginning(connection, word) if _may_go_on(word) else bool(_known(connection, word))
    forms: list[tuple[Word, ...]] = [(Word(word, _may_go_on(word)),)] if is_there else []
    forms += [(Word(other),) for other in _known(connection, word) if other != word]
    forms += _split(connection, word)
    if len(word) > 3 or (len(word) == 3 and not forms):
        forms += [(Word(longer),) for longer in _parts(connection, word)]
    if forms:
        return Term(word, tuple(forms))
    return Term(word, tuple((Word(other),) for other in _near(connection, word)), is_near=True)


def _may_go_on(word: str) -> bool:
    """Whether the beginning of a word tells enough: one letter does not."""
    return len(word) > 1


def _known(connection: sqlite3.Connection, word: str) -> list[str]:
    """The word and its other forms, as far as they are there."""
    forms = (word, *other_forms(word))
    return [each for each in forms if connection.execute("SELECT 1 FROM word WHERE word = ?", (each,)).fetchone()]


def _is_beginning(connection: sqlite3.Connection, word: str) -> bool:
    query = "SELECT 1 FROM word WHERE word >= ? AND word < ? LIMIT 1"
    return connection.execute(query, (word, word + _LAST)).fetchone() is not None


def _split(connection: sqlite3.Connection, word: str) -> list[tuple[Word, ...]]:
    """The word as two: fasterrcnn as faster and rcnn. The pair whose rarer word is most frequent, more so than this."""
    query = "SELECT min(a.models, b.models) FROM word a JOIN word b WHERE a.word = ? AND b.word = ?"
    itself = connection.execute("SELECT models FROM word WHERE word = ?", (word,)).fetchone()
    best, pair = itself[0] if itself else 0, list[tuple[Word, ...]]()
    for at in range(3, min(len(word), 60) - 2):
        found = connection.execute(query, (word[:at], word[at:])).fetchone()
        if found and found[0] > best:
            best, pair = found[0], [(Word(word[:at]), Word(word[at:]))]
    return pair


def _parts(connection: sqlite3.Connection, word: str) -> list[str]:
    """The most frequent words that have this one inside."""
    query = "SELECT word FROM word WHERE instr(word, ?) > 1 ORDER BY models DESC, word LIMIT ?"
    return [longer for (longer,) in connection.execute(query, (word, _MOST_PARTS))]


def _near(connection: sqlite3.Connection, word: str) -> tuple[str, ...]:
    """Words of about the same length that this one may have been meant for; none for short ones."""
    if len(word) < 4:
        return ()
    query = (
        "SELECT word FROM (SELECT word, models FROM word WHERE length(word) BETWEEN ? AND ?) "
        "ORDER BY models DESC, word LIMIT ?"
    )
    among = [each for (each,) in connection.execute(query, (len(word) - 2, len(word) + 2, _MOST_NEAR))]
    return near(word, among, limit=2)
