"""Documents of models -> tables: strict, reproducible, complete; and the counts of the committed index."""

from __future__ import annotations

import copy
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.modelsdb import INDEX, document, model, models_db, result, write_index
from zoo_cli.catalog.compiler import compile_index
from zoo_cli.catalog.compiler.deltas import text_of
from zoo_cli.catalog.compiler.releases import read_document, read_project, read_releases
from zoo_cli.catalog.compiler.rows import BrokenRow
from zoo_cli.catalog.contents import counts, metric_ranges, problems
from zoo_cli.catalog.listing import Query, list_models
from zoo_cli.catalog.references import find_models


@pytest.fixture(scope="module")
def real() -> Iterator[sqlite3.Connection]:
    connection = models_db()
    yield connection
    connection.close()


def test_counts_of_the_committed_index(real: sqlite3.Connection) -> None:
    """The numbers of study 1.1, found by another program."""
    keys = ("version", "collections", "models", "names", "with_weights", "configs_found", "configs_repaired",
            "configs_missing", "files")  # fmt: skip
    assert [
        tuple(getattr(each, key) for key in keys)
        for each in counts(real)
        if each.project == "mmdet" and each.version in ("3.3.0", "3.0.0", "2.28.2", "2.25.0")
    ] == [
        ("3.3.0", 88, 583, 582, 580, 566, 17, 0, 580),  # 89 collections, Mask2Former twice
        ("3.0.0", 76, 534, 532, 530, 520, 14, 0, 528),
        ("2.28.2", 64, 476, 475, 476, 476, 0, 0, 474),
        ("2.25.0", 62, 465, 464, 456, 433, 28, 4, 456),  # one checkpoint more: it stood among the metrics
    ]


def test_every_repair_is_an_issue(real: sqlite3.Connection) -> None:
    repaired = problems(real, "mmdet", "3.3.0", "config-repaired")
    assert len(repaired) == 17
    assert {(each.at, each.subject) for each in repaired} == {
        (at, name)
        for at, name in real.execute(
            "SELECT m.metafile || ':' || e.line, m.name FROM entry e JOIN model m ON m.id = e.model "
            "JOIN package p ON p.id = e.package "
            "WHERE config_state = 'repaired' AND p.project = 'mmdet' AND p.version = '3.3.0'")
    }  # fmt: skip
    newest = dict(real.execute("SELECT project, version FROM package WHERE rank = 0"))
    assert not [each for each in problems(real) if each.blocks and newest[each.project] == each.version]


def test_what_releases_say_alike_is_kept_once(tmp_path: Path) -> None:
    same = model("same", "https://x.example/same.pth", results=[result(box_AP=40.0)])
    other = model("other", "https://x.example/other.pth", results=[result(box_AP=41.0)])
    issue = {"kind": "odd-key", "at": "configs/metafile.yml:3", "subject": "same", "detail": "x"}
    documents = [document(version, models=[same, other]) for version in ("1.0", "1.1", "1.2")]
    for line, each in enumerate(documents, 7):
        each["issues"] = [{**issue, "at": f"configs/metafile.yml:{line}"}]
        each["models"][0] = {**same, "at": f"configs/metafile.yml:{line}"}
    documents[0]["models"][1] = {**other, "results": [result(box_AP=39.0)]}
    with closing(models_db(write_index(tmp_path, *documents))) as connection:
        numbers = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in
                   ("model", "entry", "metric", "model_file", "derived", "issue", "issue_entry")}  # fmt: skip
        assert numbers == {
            "model": 3, "entry": 6, "metric": 3, "model_file": 3, "derived": 3, "issue": 1, "issue_entry": 3,
        }  # fmt: skip
        assert [each.at for each in problems(connection)] == [f"configs/metafile.yml:{line}" for line in (9, 8, 7)]
        found = list_models(connection, Query(all_releases=True, filter="box_AP>=40"))
        assert [(row.facts["release"], row.facts["model"], row.metrics["box_AP"].value) for row in found.rows] == [
            ("1.2", "other", 41.0), ("1.1", "other", 41.0), ("1.2", "same", 40.0), ("1.1", "same", 40.0),
            ("1.0", "same", 40.0),
        ]  # fmt: skip
        assert find_models(connection, "zoolet/1.1/same").models[0].at == "configs/metafile.yml:8"


def test_ranges_of_metrics(real: sqlite3.Connection) -> None:
    found = {each.name: each for each in metric_ranges(real, Query("mmdet"))}
    assert (found["box_AP"].models, found["box_AP"].units) == (531, "percent")  # 532 values, 1 name twice
    assert (found["mask_AP"].models, found["PQ"].models, found["AR@1000"].models) == (221, 13, 12)


def _empty(document: dict[str, Any]) -> int:
    return sum(not document[key] for key in ("collections", "models", "issues"))


def test_every_document_is_as_the_builder_writes_it() -> None:
    """One record a line, sorted, and nothing of this machine in it."""
    for path in (INDEX / "models").glob("*/*.json"):
        text = path.read_text(encoding="utf-8")
        document = json.loads(text)
        names = [(row["name"], row.get("ordinal", 1)) for row in document["models"]]
        assert names == sorted(names)
        assert text == text_of(document)
        rows = sum(len(document[key]) for key in ("collections", "models", "issues"))
        links = sum(len(document[key]) + 2 - (not document[key]) for key in ("moved", "without") if key in document)
        assert len(text.splitlines()) == rows + 10 - _empty(document) + links + ("like" in document)


def dump(connection: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    """The rows of every table that can be read; those of a full-text index stand in its own tables."""
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name"
    names = [name for (name,) in connection.execute(query)]
    return {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in names}


def test_the_same_documents_give_the_same_tables(tmp_path: Path) -> None:
    documents = [
        document("2.0", models=[model("b"), model("a", "https://x.example/a.pth")]),
        document("1.0", models=[model("a")]),
    ]
    first = models_db(write_index(tmp_path / "one", *documents))
    second = models_db(write_index(tmp_path / "two", *reversed(documents)))
    assert dump(first) == dump(second)
    first.close()
    second.close()


def test_the_whole_index_compiles_to_the_same_bytes(tmp_path: Path) -> None:
    compile_index(INDEX, tmp_path / "one.db")
    compile_index(INDEX, tmp_path / "two.db")
    assert (tmp_path / "one.db").read_bytes() == (tmp_path / "two.db").read_bytes()


def test_facts_of_the_collection_hold_for_its_models(tmp_path: Path) -> None:
    training = {"data": ["COCO"], "epochs": 12, "extra": {"Architecture": ["ResNet"]}}
    mine = {"epochs": 24, "extra": {"Notes": "own"}}
    collections = [
        {"name": "C", "at": "configs/b/metafile.yml:1", "readme": "b.md"},
        {
            "name": "C",
            "at": "configs/a/metafile.yml:1",
            "readme": "a.md",
            "training": training,
            "paper": {"title": "T"},
        },
    ]
    rows = [model("m", collection="C", training=mine), model("n", collection="C", readme="n.md"), model("o")]
    connection = models_db(write_index(tmp_path, document(collections=collections, models=rows)))
    query = "SELECT name, readme, paper_title, epochs, training_data, extra FROM model ORDER BY name"
    assert connection.execute(query).fetchall() == [
        ("m", "a.md", "T", 24.0, '["COCO"]', '{"Architecture": ["ResNet"], "Notes": "own"}'),
        ("n", "n.md", "T", 12.0, '["COCO"]', '{"Architecture": ["ResNet"]}'),
        ("o", None, None, None, "[]", "{}"),
    ]
    connection.close()


def test_one_name_for_all_spellings_of_a_metric(tmp_path: Path) -> None:
    rows = [model("a", results=[result(box_AP=1.0)]), model("b", results=[result(box_AP=2.0)]),
            model("c", results=[result(Box_AP=3.0)])]  # fmt: skip
    connection = models_db(write_index(tmp_path, document(models=rows)))
    assert connection.execute("SELECT name, label FROM metric_name").fetchall() == [("box_AP", "box AP")]
    assert [row[0] for row in connection.execute("SELECT value FROM metric ORDER BY value")] == [1.0, 2.0, 3.0]
    connection.close()


def test_a_file_shared_by_models_is_stored_once(tmp_path: Path) -> None:
    url = "https://x.example/a-01234567.pth"
    releases = [document("1.0", models=[model("a", url)]), document("2.0", models=[model("b", url), model("c", url)])]
    connection = models_db(write_index(tmp_path, *releases))
    assert connection.execute("SELECT name, prefix, prefix_algorithm FROM file").fetchall() == [
        ("a-01234567.pth", "01234567", "sha256")
    ]
    assert connection.execute("SELECT count(*) FROM model_file").fetchone() == (3,)
    connection.close()


GOOD = document(models=[model("a", "https://x.example/a.pth", results=[result(box_AP=1.0)])])

BREAKS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another schema": (lambda d: d.update(schema=2), "reads schema 1"),
    "a section too much": (lambda d: d.update(extra=[]), "exactly schema, release"),
    "a section too few": (lambda d: d.pop("issues"), "exactly schema, release"),
    "unknown key": (lambda d: d["models"][0].update(colour="red"), "unknown key colour"),
    "no name": (lambda d: d["models"][0].pop("name"), "name is missing"),
    "no source": (lambda d: d["release"].pop("source"), "source is missing"),
    "no sha256": (lambda d: d["release"].update(sha256="abc"), "wrong form"),
    "a date that is none": (lambda d: d["release"].update(date="2024-13-01"), "wrong form"),
    "other evidence": (lambda d: d["release"].update(evidence="felt"), "none of seen"),
    "a state that is none": (lambda d: d["models"][0].update(config_state="lost"), "none of found"),
    "a number as text": (lambda d: d["models"][0]["results"][0]["metrics"][0].update(value="1"), "must be a number"),
    "a truth as number": (lambda d: d["models"][0].update(ordinal=True), "true or false"),
    "a huge number": (lambda d: d["models"][0].update(ordinal=2**63), "whole number"),
    "an endless text": (lambda d: d["models"][0].update(readme="x" * 3000), "must be a text"),
    "weights no list": (lambda d: d["models"][0].update(weights={}), "must be a list"),
    "weights no mapping": (lambda d: d["models"][0].update(weights=["x"]), "must be a mapping"),
    "a prefix that is none": (lambda d: d["models"][0]["weights"][0].update(prefix="xyz"), "wrong form"),
    "an entry twice": (lambda d: d["models"].append(d["models"][0]), "stands twice"),
    "another release": (lambda d: d["release"].update(version="9.9"), "belongs in models/zoolet/9.9.json"),
    "a path as project": (lambda d: d["release"].update(project="../x"), "wrong form"),
    "models no list": (lambda d: d.update(models={}), "must be a list"),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "problem"), BREAKS.values(), ids=BREAKS.keys())
def test_a_broken_document_is_one_error_with_its_place(
    damage: Callable[[dict[str, Any]], object], problem: str
) -> None:
    broken = copy.deepcopy(GOOD)
    damage(broken)
    with pytest.raises(BrokenRow) as caught:
        read_document(json.dumps(broken), "models/zoolet/1.0.json")
    assert caught.value.file == "models/zoolet/1.0.json"
    assert problem in caught.value.problem


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema": NaN}', "[" * 100_000, '{"schema": 1e999}'])
def test_no_json_is_one_error(text: str) -> None:
    with pytest.raises(BrokenRow):
        read_document(text, "models/zoolet/1.0.json")


def test_the_line_of_a_broken_row(tmp_path: Path) -> None:
    text = text_of(read_project(INDEX / "models/mmdet")["3.3.0"])
    lines = text.split("\n")
    at = next(number for number, line in enumerate(lines) if line.startswith('{"name": "rtmdet_l_8xb32-300e_coco"'))
    lines[at] = lines[at].replace('"config_state": "found"', '"config_state": "felt"')
    with pytest.raises(BrokenRow) as caught:
        read_document("\n".join(lines), "models/mmdet/3.3.0.json")
    assert (caught.value.line, caught.value.row) == (at + 1, "models: rtmdet_l_8xb32-300e_coco")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "zoolet"
    folder.mkdir(parents=True)
    (folder / "1.0.json").write_bytes(b"\xff\xfe")
    with pytest.raises(BrokenRow, match="cannot be read"):
        list(read_releases(tmp_path))
