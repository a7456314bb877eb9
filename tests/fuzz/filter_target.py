"""What must hold for any text given to `zoo list --filter`, as one function for every fuzzer.

The text is a tree or one error that lies inside it; its sentence can be written; the SQL consists of nothing but words
that stand in the compiler's own source, with every value bound; the database is only read; the work is bounded; and a
filter and its negation split the list.
"""

from __future__ import annotations

import ast
import functools
import io
import re
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tests.support.modelsdb import document, model, models_db, result, write_index
from zoo_cli.catalog.filter_sql import Compiled, comparisons, compile_filter
from zoo_cli.catalog.filters import BadFilter
from zoo_cli.catalog.listing import Listing, Query, list_models
from zoo_cli.catalog.scope import metric_names
from zoo_cli.cli.app import error_lines
from zoo_cli.cli.console import Console
from zoo_cli.cli.messages import message_for

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = TypeVar("Answer")
CATALOG = Path(__file__).parent.parent.parent / "zoo_cli" / "catalog"
_ENTRIES = "entry e JOIN model m ON m.id = e.model JOIN package p ON p.id = e.package"
MOST_STEPS = 2_000_000  # of SQLite's virtual machine for one list of a handful of models
MOST_SQL = 100_000  # characters of a condition
_READING = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)
_WORD = re.compile(r"\w+|[^\w\s]")

U = "https://x.example/"
MODELS = [
    model("alpha_r50", U + "alpha_20200101_000000-00000001.pth", collection="Alpha",
          training={"epochs": 12, "memory_gb": 3.5, "data": ["COCO"]}, license="Apache-2.0",
          results=[result(box_AP=40.9), result(task="Instance Segmentation", mask_AP=37.1)]),
    model("Beta-LVIS", U + "beta.pth", collection="Beta R-CNN",
          training={"params": 30e6, "flops": 1e9, "inference": [{"value_ms": 20.0, "hardware": "V100"}]},
          results=[result("LVIS v1", box_AP=55.0), result("COCO", box_AP=30.0)]),
    model("gamma", collection="Gamma", results=[result("ADE20K", "Semantic Segmentation", mIoU="40/41")]),
    model("delta", U + "d1.pth", U + "d2.pth", training={"iterations": 1000, "batch_size": 16}, results=[result()]),
]  # fmt: skip


@functools.cache
def database() -> sqlite3.Connection:
    """A small database that only lets itself be read, and stops a query that takes too many steps."""
    with tempfile.TemporaryDirectory() as folder:
        index = write_index(
            Path(folder), document("2.0", models=MODELS), document("1.0", models=[{**MODELS[0], "name": "alpha_old"}])
        )
        connection = models_db(index)
    connection.commit()
    connection.execute("PRAGMA query_only = 1")
    connection.execute("SELECT value FROM json_each('[]')").fetchall()  # made once, and making it is no reading
    connection.set_authorizer(_authorizer)
    return connection


def _authorizer(action: int, first: str | None, second: str | None, *_rest: object) -> int:
    """Reading is allowed, and what FTS5 asks to know whether the file has changed."""
    is_question = (action, first, second) == (sqlite3.SQLITE_PRAGMA, "data_version", None)
    return sqlite3.SQLITE_OK if action in _READING or is_question else sqlite3.SQLITE_DENY


@functools.cache
def console() -> Console:
    return Console(out=io.StringIO(), err=io.StringIO(), color="never", environ={})


@functools.cache
def written_words() -> frozenset[str]:
    """Every word and mark of the texts in the sources of the filter compiler."""
    found: set[str] = set()
    for path in CATALOG.glob("filter*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
                found.update(_WORD.findall(node.value))
    return frozenset(found)


def check_filter(text: str) -> bool:
    """Checks all of it for one text; returns whether it is a filter."""
    connection = database()
    names = metric_names(connection)
    try:
        compiled = compile_filter(text, names)
    except BadFilter as error:
        check_error(text, error)
        return False
    check_sql(compiled)
    with_indexes = compile_filter(text, names, has_grams=True, is_narrow=True)
    check_sql(with_indexes)
    assert _numbers(connection, compiled) == _numbers(connection, with_indexes)
    whole = _listed(connection, text)
    if not compiled.names_release:
        check_complement(connection, text, whole)
    return True


def check_error(text: str, error: BadFilter) -> None:
    """The fault lies inside the text, and it is told in lines that a terminal can show."""
    assert 0 <= error.column <= len(text)
    assert error.length >= 1
    assert error.problem
    lines = error_lines(console(), error.code, message_for(error))
    assert all(line == line.encode("utf-8").decode() and line.isprintable() for line in lines)


def check_sql(compiled: Compiled) -> None:
    """Words of the source only, and a place for each value."""
    for sql in (compiled.where, compiled.binding):
        assert len(sql.text) <= MOST_SQL
        strange = {word for word in _WORD.findall(sql.text) if word not in written_words()}
        assert not strange, strange
        assert sql.text.count("?") == len(sql.parameters)
        assert all(isinstance(value, (str, int, float)) for value in sql.parameters)


def _numbers(connection: sqlite3.Connection, compiled: Compiled) -> list[tuple[int]]:
    where = compiled.where
    entries = "entry e JOIN model m ON m.id = e.model JOIN package p ON p.id = e.package"
    query = f"SELECT e.id FROM {entries} WHERE {where.text} ORDER BY e.id"  # as the listing asks it
    return bounded(connection, lambda: connection.execute(query, where.parameters).fetchall())


def _listed(connection: sqlite3.Connection, text: str) -> Listing:
    return bounded(connection, lambda: list_models(connection, Query(filter=text)))


def bounded(connection: sqlite3.Connection, asked: Callable[[], Answer]) -> Answer:
    """What is asked, unless it takes SQLite too many steps: then an `OperationalError`."""
    steps = 0

    def one_thousand_more() -> bool:
        nonlocal steps
        steps += 1000
        return steps > MOST_STEPS

    connection.set_progress_handler(one_thousand_more, 1000)
    try:
        return asked()
    finally:
        connection.set_progress_handler(None, 0)


def check_complement(connection: sqlite3.Connection, text: str, whole: Listing) -> None:
    """`not (text)` matches all other models, unless it is over a limit that `text` just meets."""
    try:
        rest = _listed(connection, f"not ({text})")
    except BadFilter as error:
        assert "longer than" in error.problem or "levels deep" in error.problem, error.problem
        return
    ids: list[Any] = sorted([row.id for row in whole.rows] + [row.id for row in rest.rows])
    assert ids == sorted(set(ids))
    assert len(ids) == whole.total == len(MODELS)


def terms(text: str) -> int:
    """How many comparisons a filter has; 0 when it is none."""
    try:
        tree = compile_filter(text, metric_names(database())).tree
    except BadFilter:
        return 0
    return sum(1 for _each in comparisons(tree)) if tree else 0
