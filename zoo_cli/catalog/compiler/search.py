"""What finds models by their words and by parts of their names: the full-text tables of `zoo.db`.

Works on an open connection, after the models' tables are filled. Two FTS5 tables hold an index and no text:
`model_word` has the words of a model's names and of what belongs to it, `model_gram` the trigrams of its names. `word`
and `gram` count in how many models each stands, so that a search begins at the rarest. An older name of a model is one
of its names.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from zoo_cli.catalog.names import normalised
from zoo_cli.catalog.words import joined

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

# content='': the texts stand in other tables. detail: in which column a word stands, not where in it.
SCHEMA = """
CREATE VIRTUAL TABLE model_word USING fts5(
  name, other, content='', columnsize=0, detail=column, tokenize='unicode61 remove_diacritics 0');
CREATE VIRTUAL TABLE model_gram USING fts5(
  name, content='', columnsize=0, detail=none, tokenize='trigram');
CREATE TABLE word (word TEXT PRIMARY KEY, models INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE gram (gram TEXT PRIMARY KEY, models INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX alias_model ON alias (model)
"""


def load_search(connection: sqlite3.Connection) -> None:
    """Creates and fills the tables of words and trigrams."""
    for statement in SCHEMA.split(";"):
        connection.execute(statement)
    names = _names(connection)
    connection.executemany("INSERT INTO model_word (rowid, name, other) VALUES (?, ?, ?)", _words(connection, names))
    grams = ((model, "|".join(map(normalised, own))) for model, own in names.items())
    connection.executemany("INSERT INTO model_gram (rowid, name) VALUES (?, ?)", grams)
    for table, counts in (("model_word", "word"), ("model_gram", "gram")):
        connection.execute(f"INSERT INTO {table} ({table}) VALUES ('optimize')")  # noqa: S608 - names are ours
        connection.execute(f"CREATE VIRTUAL TABLE temp.{table}_terms USING fts5vocab(main, {table}, row)")
        connection.execute(f"INSERT INTO {counts} SELECT term, doc FROM temp.{table}_terms")  # noqa: S608
        connection.execute(f"DROP TABLE temp.{table}_terms")


def add_search(connection: sqlite3.Connection, own: sqlite3.Connection, start: int) -> None:
    """Adds the words and trigrams of another database's models, their numbers moved by `start`."""
    names = _names(own)
    rows = ((number + start, *texts) for number, *texts in _words(own, names))
    connection.executemany("INSERT INTO model_word (rowid, name, other) VALUES (?, ?, ?)", rows)
    grams = ((number + start, "|".join(map(normalised, each))) for number, each in names.items())
    connection.executemany("INSERT INTO model_gram (rowid, name) VALUES (?, ?)", grams)
    for table, column in (("word", "word"), ("gram", "gram")):
        counted = own.execute(f"SELECT {column}, models FROM {table}").fetchall()  # noqa: S608 - names are ours
        connection.executemany(
            f"INSERT INTO {table} VALUES (?, ?) ON CONFLICT ({column}) "  # noqa: S608 - names are ours
            "DO UPDATE SET models = models + excluded.models",
            counted,
        )


def _names(connection: sqlite3.Connection) -> dict[int, list[str]]:
    """Every model's name and then its older ones."""
    found = {number: [name] for number, name in connection.execute("SELECT id, name FROM model ORDER BY id")}
    for number, name in connection.execute("SELECT model, name FROM alias ORDER BY model, name"):
        found[number].append(name)
    return found


def _words(connection: sqlite3.Connection, names: dict[int, list[str]]) -> Iterator[tuple[int, str, str]]:
    measured: defaultdict[int, list[str | None]] = defaultdict(list)
    for model, task, dataset in connection.execute("SELECT model, task, dataset FROM result ORDER BY id"):
        measured[model] += (task, dataset)
    query = (
        "SELECT m.id, (SELECT group_concat(DISTINCT p.project) FROM entry e JOIN package p ON p.id = e.package "
        "WHERE e.model = m.id), m.collection, m.paper_title, m.training_data, m.extra FROM model m ORDER BY m.id"
    )
    for number, projects, collection, paper, data, extra in connection.execute(query):
        built = _built_of(json.loads(extra))
        other = (projects, collection, paper, *measured[number], *json.loads(data), *built)
        yield number, joined(names[number]), joined(other)


def _built_of(extra: dict[str, Any]) -> Iterator[str]:
    """What upstream says the model is built of."""
    for key in ("Architecture", "backbone"):
        value = extra.get(key)
        yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str))
