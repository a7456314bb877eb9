"""The models' tables alone, in memory: from the checkout's index, or from documents a test writes."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo_cli.catalog.compiler.models import load_models

INDEX = Path(__file__).parent.parent.parent / "index"


def models_db(index: Path = INDEX) -> sqlite3.Connection:
    """A database with the models of an index directory; the caller closes it."""
    connection = sqlite3.connect(":memory:")
    load_models(connection, index)
    return connection


def document(version: str = "1.0", project: str = "zoolet", **sections: Any) -> dict[str, Any]:
    """A valid document of the index; sections are `models`, `collections`, `issues`, `release`."""
    release = {
        "project": project, "version": version, "file": f"{project}-{version}-py3-none-any.whl",
        "url": f"https://wheels.example/{project}-{version}-py3-none-any.whl", "sha256": "0" * 64, "size_bytes": 1000,
        "date": "2024-01-05", "source": f"https://pypi.org/simple/{project}/", "evidence": "seen",
        "config_root": f"{project}/.mim/", "metafiles": 1,
    }  # fmt: skip
    release.update(sections.pop("release", {}))
    return {"schema": 1, "release": release, "collections": [], "models": [], "issues": [], **sections}


def model(name: str, *urls: str, **fields: Any) -> dict[str, Any]:
    """A valid model row with checkpoints at these addresses."""
    weights = [{"url": url, "name": url.rpartition("/")[2]} for url in urls]
    for each in weights:
        if found := re.search(r"-([0-9a-f]{8})\.pth$", each["name"]):
            each["prefix"] = found[1]
    row = {"name": name, "at": "configs/a/metafile.yml:1", "config": f"configs/a/{name}.py", "config_state": "found"}
    return {**row, **({"weights": weights} if weights else {}), **fields}


def result(dataset: str = "COCO", task: str = "Object Detection", **metrics: float | str) -> dict[str, Any]:
    """A result row; metric names are written with blanks for underscores, as upstream does."""
    rows: list[dict[str, Any]] = []
    for name, value in metrics.items():
        row: dict[str, Any] = {"name": name.replace("_", " "), "unit": "percent"}
        rows.append({**row, "text": value} if isinstance(value, str) else {**row, "value": value})
    return {"task": task, "dataset": dataset, "metrics": rows}


def write_index(directory: Path, *documents: Mapping[str, Any]) -> Path:
    """Writes documents where the index has them and returns the index directory."""
    for each in documents:
        path = directory / "models" / each["release"]["project"] / f"{each['release']['version']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(each), encoding="utf-8")
    return directory
