"""The generator behind benchmarks/bench_scale.py: same number, same files; the real compiler takes them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from benchmarks.bench_scale import SEARCHES, count
from benchmarks.synthetic import write_index
from tests.support.modelsdb import models_db
from zoo_cli.catalog.filter_sql import compile_filter
from zoo_cli.catalog.listing import Query, list_models
from zoo_cli.catalog.scope import metric_names


def content(directory: Path) -> dict[str, str]:
    return {path.relative_to(directory).as_posix(): path.read_text() for path in sorted(directory.rglob("*.json"))}


def test_the_same_number_gives_the_same_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_index(tmp_path / name, 300)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_all_models_are_compiled_and_every_search_runs(tmp_path: Path) -> None:
    write_index(tmp_path, 1000)
    with closing(models_db(tmp_path)) as connection:
        assert connection.execute("SELECT count(*) FROM model").fetchone() == (1000,)
        assert connection.execute("SELECT count(*) FROM alias").fetchone()[0] > 50
        for query in SEARCHES.values():
            assert count(connection, query) == list_models(connection, query).matched
        assert list_models(connection, Query(filter="box_AP>30 and dataset=COCO")).matched > 10


# A search over a million models stays below 50 ms only while SQLite uses these indexes (benchmarks/bench_scale.py).
PLANS = {
    "params<3M": "INDEX model_params",
    "flops<2G": "INDEX model_flops",
    "memory_gb<1.6": "INDEX model_memory",
    "collection=dino": "INDEX model_collection",
    "collection~dino1?": "INDEX model_collection",
    "name~rtmdet1*": "name>? AND name<?",
    "box_AP>=60": "metric_value",
    "box_AP>=60 and dataset=COCO": "metric_value",
}


def test_searches_use_their_indexes(tmp_path: Path) -> None:
    write_index(tmp_path, 3000)
    with closing(models_db(tmp_path)) as connection:
        for text, index in PLANS.items():
            assert index in plan(connection, text), text


def plan(connection: sqlite3.Connection, text: str) -> str:
    compiled = compile_filter(text, metric_names(connection))
    query = (
        "EXPLAIN QUERY PLAN SELECT count(*) FROM entry e JOIN model m ON m.id = e.model "
        "JOIN package p ON p.id = e.package "
        f"WHERE p.rank = 0 AND {compiled.where.text}"
    )
    return " | ".join(row[3] for row in connection.execute(query, compiled.where.parameters))
