"""Every model of mmdet 3.3.0, from its released wheel: the config comes, or the true reason is said."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from tests.support.cli import zoo
from zoo_cli.catalog.database import open_catalog

pytestmark = [pytest.mark.slow, pytest.mark.network]

# Its base is named with the folder twice; mmengine fails on it in the same way.
BROKEN = {"bytetrack_yolox_x_8xb4-amp-80e_crowdhuman-mot17halftrain_test-mot17test": "config-missing"}


def test_every_model_by_a_glob(tmp_path: Path) -> None:
    ran = zoo(tmp_path, "download", "mmdet@3.3.0/*", "--config-only", "--json", "--dest", "all", timeout=600)
    assert ran.code == 1
    document = ran.document
    assert {each["name"]: each["code"] for each in document["failures"]} == BROKEN
    (failure,) = document["failures"]
    assert failure["facts"]["base"].startswith("configs/bytetrack/bytetrack/"), "upstream's own slip"
    for model in document["models"]:
        ast.parse((tmp_path / model["config"]["path"]).read_text(encoding="utf-8"))
    query = "SELECT m.name FROM entry e JOIN model m ON m.id = e.model JOIN package p ON p.id = e.package "
    entries = [
        name
        for (name,) in open_catalog().execute(query + "WHERE p.project = 'mmdet' AND p.version = '3.3.0'").fetchall()
    ]
    assert len(entries) == 583
    assert {each["name"] for each in document["models"]} | set(BROKEN) == set(entries)
    assert zoo(tmp_path, "verify", "all", timeout=300).code == 0

    # Each by its own name, as a user types it: the same file, now without any connection.
    for start in range(0, len(entries), 100):
        names = sorted({f"mmdet/3.3.0/{name}" for name in entries if name not in BROKEN})[start : start + 100]
        if names:
            single = zoo(tmp_path, "download", *names, "--config-only", "--offline", "--dest", "named", timeout=600)
            assert single.code == 0, single.err
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / folder).glob("*.py")} for folder in ("all", "named")
    )
    assert first == second
    assert json.loads((tmp_path / "all" / "rtmdet_tiny_8xb32-300e_coco.zoo.json").read_text())["release"] == "3.3.0"
