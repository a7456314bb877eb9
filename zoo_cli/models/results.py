"""`Results` of a metafile's entry -> datasets and metric values, and an issue for everything odd.

Pure; general rules. A metric that upstream nested under another becomes one of its own, a heading in place of a
dataset is not taken for one, and what is no single number keeps its text.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from zoo_cli.models.entry import Entry, Notes
from zoo_cli.models.labels import is_heading
from zoo_cli.models.measures import measure
from zoo_cli.models.records import Metric, Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def read_results(entry: Entry, notes: Notes, data: tuple[str, ...]) -> tuple[tuple[Result, ...], tuple[str, ...]]:
    """Results, and checkpoint addresses that stood among the metrics."""
    raw = entry.get("Results")
    if isinstance(raw, dict):
        notes.add("results-no-list", "Results is one mapping, read as a list of one")
        raw = [raw]
    if raw is not None and not isinstance(raw, list):
        notes.add("odd-value", f"Results: expected a list, found a {type(raw).__name__}")
        raw = []
    results: list[Result] = []
    misplaced: list[str] = []
    for item in raw or []:
        if not isinstance(item, dict):
            notes.add("odd-value", "a result that is no mapping is left out")
            continue
        one = Entry(item, notes)
        metrics = one.entry("Metrics")
        if stray := metrics.texts("Weights"):
            notes.add("misplaced", "Weights stood among the metrics")
            misplaced += stray
        task = one.text("Task")
        if task is None and (task := metrics.text("Task")):
            notes.add("misplaced", "Task stood among the metrics")
        values = _unswapped(tuple(_metrics(metrics.rest(), notes)), notes)
        results.append(Result(task, _dataset(one, notes, data), values))
    return tuple(results), tuple(misplaced)


def _dataset(result: Entry, notes: Notes, data: tuple[str, ...]) -> str | None:
    """The dataset of a result. A dash is none: then it is the one that the model was trained on, where that is one.

    A heading (`# HRNet backbone`) stays for now: `labels` sees the whole release.
    """
    written = result.text("Dataset")
    if written is None or is_heading(written):
        return written
    if not any(letter.isalnum() for letter in written):
        label = data[0] if len(data) == 1 else None
        notes.add("dataset-repaired", f"{written!r} is no dataset; read as {label or 'unknown'}")
        return label
    label = re.sub(r"^\[([^\]]+)\]\([^()]*\)$", r"\1", written)
    if label != written:
        notes.add("dataset-repaired", f"{written!r} read as {label!r}")
    return label


def _metrics(raw: Mapping[str, object], notes: Notes) -> Iterable[Metric]:
    """Metric values; nested ones are split. The unit follows when all are known."""
    for key, value in raw.items():
        name = " ".join(re.sub(r"<[a-zA-Z]+ */?>", " ", key).replace("\\", "").split())[:200] or "unnamed"
        if isinstance(value, dict):
            inner = {_inner_name(name, each, value): number for each, number in value.items()}
            notes.add("metric-nested", f"{key}: a mapping, split into {', '.join(inner)}")
        else:
            inner = {name: value}
            if name != key:
                notes.add("metric-name", f"{key!r} read as {name!r}")
        for each, number in inner.items():
            yield from _metric(each, number, notes)


def _inner_name(outer: str, key: str, keys: Iterable[str]) -> str:
    """`PSNR/SSIM (RGB)` over PSNR and SSIM gives `PSNR (RGB)` and `SSIM (RGB)`; any other name stands before theirs."""
    listing = re.compile(" ?/ ?".join(map(re.escape, keys)))
    named = listing.sub(lambda _found: key, outer, count=1)
    return (named if named != outer else f"{outer} {key}")[:200]


def _metric(name: str, value: object, notes: Notes) -> Iterable[Metric]:
    found = measure(value)
    if found is None:
        notes.add("metric-empty", f"{name}: {value!r}")
        return
    if found.value is None:
        notes.add("metric-text", f"{name}: {found.text!r} is no single number")
    elif found.text is not None:
        notes.add("metric-text", f"{name}: {found.text!r} read as {found.value:g}")
    yield Metric(name, found.value, "percent" if found.is_percent else "", found.text)


def _unswapped(metrics: tuple[Metric, ...], notes: Notes) -> tuple[Metric, ...]:
    """The metrics, with PSNR and SSIM in their places: an SSIM is at most 1, a PSNR of at most 1 dB is none."""
    by_name = {each.name: each for each in metrics}
    placed = dict(by_name)
    for name, one in by_name.items():
        other = by_name.get(name.replace("PSNR", "SSIM")) if "PSNR" in name else None
        if other and one.value is not None and other.value is not None and one.value <= 1 < other.value:
            placed[name] = replace(other, name=name)
            placed[other.name] = replace(one, name=other.name)
            notes.add(
                "values-swapped", f"{name} {one.value:g} and {other.name} {other.value:g} read the other way round"
            )
    return tuple(placed[each.name] for each in metrics)
