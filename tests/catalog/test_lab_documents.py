"""Documents of a lab, changed anywhere: refused with one error, or joined, and zoo's rows stay what they are."""

from __future__ import annotations

import copy
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo_cli.catalog.compiler.labs import join_labs, lab_text, read_lab, tables_of
from zoo_cli.catalog.compiler.models import fill_models
from zoo_cli.catalog.compiler.releases import ReleaseDocument
from zoo_cli.catalog.compiler.rows import BrokenRow

DOCUMENT: dict[str, Any] = {
    "schema": 1,
    "release": {
        "project": "vision", "version": "1.0", "file": "v.whl", "url": "https://acme.example/v.whl", "sha256": "0" * 64,
        "date": "2026-11-20", "source": "https://acme.example/v.whl", "evidence": "seen", "config_root": "vision/.mim/",
    },
    "collections": [{"name": "Net", "at": "metafile.yml:1", "training": {"epochs": 3, "extra": {"lr schd": 40000}}}],
    "models": [
        {
            "name": "net", "at": "metafile.yml:2", "collection": "Net", "config": "configs/net.py",
            "config_state": "found", "aliases": ["old_net"], "logs": ["https://acme.example/net.log"],
            "weights": [{"url": "https://acme.example/n.pth", "name": "n.pth", "sha256": "1" * 64, "size_bytes": 9}],
            "results": [{"dataset": "COCO", "metrics": [{"name": "box AP", "value": 50.0, "unit": "percent"}]}],
            "training": {"data": ["COCO"], "inference": [{"value_ms": 9.5, "batch_size": 1}], "extra": {"a": [1]}},
        },
    ],
    "issues": [{"kind": "odd-key", "at": "metafile.yml:3", "detail": "x", "subject": "net"}],
}  # fmt: skip
OWN = ReleaseDocument(
    "own", {**DOCUMENT["release"], "project": "mmnet"}, DOCUMENT["collections"], DOCUMENT["models"], DOCUMENT["issues"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from([10**400, -1, 2**63, 1e308, float("inf"), float("nan")])
    | st.sampled_from(["\ud800", "\0", "net", "acme/x", "1.0+x", "'); DROP TABLE x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*path, key))


PLACES = list(places(DOCUMENT))


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    found = copy.deepcopy(DOCUMENT)
    inner: Any = found
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base") / "base.db"
    with closing(sqlite3.connect(path)) as connection:
        fill_models(connection, [OWN])
        connection.commit()
    return path


def rows_of_zoo(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        query = (
            "SELECT p.*, m.*, f.*, u.* FROM package p JOIN entry e ON e.package = p.id JOIN model m ON m.id = e.model "
            "JOIN model_file x ON x.model = m.id JOIN file f ON f.id = x.file JOIN file_url u ON u.file = f.id "
            "WHERE p.project = 'mmnet'"
        )
        return connection.execute(query).fetchall()


def test_what_is_packed_is_read_and_joined(base: Path, tmp_path: Path) -> None:
    lab = read_lab(lab_text("acme", [DOCUMENT]), "acme")
    assert (lab.date, lab_text("acme", [DOCUMENT])) == ("2026-11-20", lab_text("acme", [copy.deepcopy(DOCUMENT)]))
    joined = tmp_path / "joined.db"
    join_labs(base, [lab], joined)
    assert rows_of_zoo(joined) == rows_of_zoo(base)
    with closing(sqlite3.connect(joined)) as connection:
        query = (
            "SELECT p.project, m.name, f.sha256, n.name, v.value, d.lr_schedule FROM package p "
            "JOIN entry e ON e.package = p.id JOIN model m ON m.id = e.model JOIN derived d ON d.model = m.id "
            "JOIN model_file x ON x.model = m.id JOIN file f ON f.id = x.file JOIN metric v ON v.model = m.id "
            "JOIN metric_name n ON n.id = v.name ORDER BY p.project"
        )
        assert connection.execute(query).fetchall() == [
            ("acme/vision", "net", "1" * 64, "box_AP", 50.0, "40k"),
            ("mmnet", "net", "1" * 64, "box_AP", 50.0, "40k"),
        ]
        words = connection.execute("SELECT rowid FROM model_word WHERE model_word MATCH 'net'").fetchall()
        assert len(words) == 2
        assert connection.execute("SELECT models FROM word WHERE word = 'coco'").fetchone() == (2,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(PLACES), value=VALUES)
def test_any_change_is_refused_or_joined(base: Path, tmp_path: Path, path: tuple[Any, ...], value: Any) -> None:
    document = changed(path, value)
    whole = {"schema": 1, "namespace": "acme", "documents": [document]}
    if isinstance(document["release"], dict) and isinstance(document["release"].get("project"), str):
        document["release"]["project"] = f"acme/{document['release']['project']}"
    try:
        lab = read_lab(json.dumps(whole).encode(), "acme")
        tables_of(lab).close()
    except BrokenRow:
        return
    join_labs(base, [lab], tmp_path / "joined.db")
    assert rows_of_zoo(tmp_path / "joined.db") == rows_of_zoo(base)


@pytest.mark.parametrize("schedule", [10**400, "\ud800", [[]] * 3, {"a": None}])
def test_what_no_table_holds_is_refused_before_it_is_in_use(schedule: object) -> None:
    document = changed(("collections", 0, "training", "extra", "lr schd"), schedule)
    lab = read_lab(lab_text_of(document), "acme")
    if schedule in ([[]] * 3, {"a": None}):
        tables_of(lab).close()  # upstream's own fields may hold anything that is JSON
    else:
        with pytest.raises(BrokenRow):
            tables_of(lab)


def lab_text_of(document: dict[str, Any]) -> bytes:
    """As a hostile lab writes it: half characters escaped."""
    release = {**document["release"], "project": f"acme/{document['release']['project']}"}
    return json.dumps({"schema": 1, "namespace": "acme", "documents": [{**document, "release": release}]}).encode()
