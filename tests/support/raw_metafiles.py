"""The metafiles of a release as upstream wrote them, read from its wheel with PyYAML and nothing of zoo.

An answer of zoo is compared with one computed from these: two ways that share no code.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

import yaml

from tests.support.pypi import wheel

MEMORY = ("Training Memory (GB)", "Memory (GB)")


@dataclass(frozen=True)
class Entry:
    """One model: metadata is its own over its collection's; values are (task, dataset, metric, value)."""

    name: str
    collection: str | None
    has_weights: bool
    metadata: dict[str, Any] = field(repr=False)
    values: tuple[tuple[str | None, str | None, str, Any], ...] = field(repr=False)

    def numbers(self, metric: str, dataset: str | None = None) -> list[float]:
        """The plain numbers of a metric, of one dataset or of any, in upstream's order."""
        rows = ((data, value) for _task, data, name, value in self.values if name == metric)
        found = [(data, value) for data, value in rows if dataset is None or data == dataset]
        return [float(value) for _data, value in found if isinstance(value, (int, float))]

    def number(self, *keys: str) -> float | None:
        """The first of these facts that is a plain number."""
        found = [self.metadata.get(key) for key in keys]
        return next((float(each) for each in found if isinstance(each, (int, float))), None)

    def milliseconds(self) -> list[float]:
        """The inference times, in ms an image."""
        rows = self.metadata.get("inference time (ms/im)") or []
        return [float(row["value"]) for row in (rows if isinstance(rows, list) else [rows])]

    def is_measured_on(self, dataset: str) -> bool:
        """Whether a result names the dataset."""
        return any(data == dataset for _task, data, _name, _value in self.values)


@lru_cache(maxsize=16)
def entries(project: str, version: str) -> tuple[Entry, ...]:
    """Every model of the files that the release's model-index.yml imports."""
    with zipfile.ZipFile(wheel(project, version)) as archive:
        index = min((name for name in archive.namelist() if name.endswith("/model-index.yml")), key=len)
        root = PurePosixPath(index).parent
        imports = yaml.load(archive.read(index), yaml.CSafeLoader)["Import"]
        documents = [yaml.load(archive.read(str(root / path)), yaml.CSafeLoader) for path in imports]
    collections: dict[str, dict[str, Any]] = {}
    for document in documents:
        for each in _items(document, "Collections"):
            collections.setdefault(each["Name"], each)
    models = [each for document in documents for each in _items(document, "Models")]
    return tuple(_entry(each, collections.get(each.get("In Collection") or "", {})) for each in models)


def _items(document: Any, key: str) -> list[dict[str, Any]]:
    found = document.get(key, []) if isinstance(document, dict) else document if key == "Models" else []
    return list(found or [])


def _entry(model: dict[str, Any], collection: dict[str, Any]) -> Entry:
    metadata = {**(collection.get("Metadata") or {}), **(model.get("Metadata") or {})}
    name, weights = str(model["Name"]), model.get("Weights")
    return Entry(name, model.get("In Collection"), bool(weights), metadata, tuple(_values(model.get("Results"))))


def _values(results: Any) -> Iterator[tuple[str | None, str | None, str, Any]]:
    for result in results if isinstance(results, list) else [results] if results else []:
        for name, value in (result.get("Metrics") or {"": None}).items():
            yield result.get("Task"), result.get("Dataset"), name, value
