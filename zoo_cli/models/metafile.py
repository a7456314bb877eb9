"""Metafiles of a release -> records and issues.

Pure: parsed documents in, values out. Two rules: nothing upstream wrote is repaired silently (each repair is an
`Issue`), and nothing is fatal (one bad entry is left out, the release stays). Format: OpenMMLab's model-index, in
all the variants its 33 released indexes use.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from zoo_cli.catalog.compiler.deltas import place_of
from zoo_cli.models.entry import Entry, Notes
from zoo_cli.models.labels import correct_labels, is_heading, name_headings
from zoo_cli.models.measures import flops_in_name, quantity, unit_of
from zoo_cli.models.records import (
    Collection,
    Inference,
    Issue,
    Metric,
    ModelEntry,
    ReleaseRecords,
    Result,
    Training,
)
from zoo_cli.models.results import read_results
from zoo_cli.models.weights import read_weights, shared_digests

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zoo_cli.models.configpaths import ConfigPaths
    from zoo_cli.models.safe_yaml import Document, Value

MOST_MODELS = 20_000
_LOGS = ("Training Log", "Training log", "Training Json Log")  # upstream's packages differ
_INFERENCE = "inference time (ms/im)"


@dataclass(frozen=True, slots=True)
class Metafile:
    """One parsed metafile: `path` in the release's tree."""

    path: str
    document: Document


def read_metafiles(metafiles: Iterable[Metafile], tree: ConfigPaths) -> ReleaseRecords:
    """All records of a release."""
    collections: list[Collection] = []
    models: list[ModelEntry] = []
    issues: list[Issue] = []
    count = 0
    for count, metafile in enumerate(metafiles, 1):  # noqa: B007 (the last number is the count)
        for key, value, notes in _entries(metafile):
            if isinstance(value, dict) and len(models) < MOST_MODELS:
                if key == "Collections":
                    collections += _collection(Entry(value, notes), notes)
                else:
                    models += _model(Entry(value, notes), notes, metafile.path, tree)
            else:
                notes.add("bad-entry", f"an entry of {key} is left out: no mapping, or too many", blocks=True)
            issues += notes.issues
    models, among = _order(models)
    models, renamed = name_headings(models)
    models, corrected = correct_labels(models, collections)
    return ReleaseRecords(
        collections=tuple(sorted(collections, key=lambda each: (each.name, each.at))),
        models=tuple(_with_units(models)),
        issues=tuple(
            sorted(
                [*issues, *among, *renamed, *corrected, *_dangling(models, collections), *shared_digests(models)],
                key=by_place,
            )
        ),
        metafiles=count,
    )


def by_place(issue: Issue) -> tuple[object, ...]:
    """The key that issues are sorted by."""
    return (*place_of(issue.at), issue.kind, issue.detail, issue.subject)


def _entries(metafile: Metafile) -> Iterable[tuple[str, Value, Notes]]:
    """Every entry of a metafile with its section; a metafile may also be a plain list of models."""
    document = metafile.document
    value: Value = {"Models": document.value} if isinstance(document.value, list) else document.value
    for section in ("Collections", "Models"):
        items = value.get(section) if isinstance(value, dict) else None
        for at, item in enumerate(items if isinstance(items, list) else [] if items is None else [None]):
            line = document.lines.get((section, at), document.lines.get(("", at), 1))
            yield section, item, Notes(f"{metafile.path}:{line}")
    if value is not None and not isinstance(value, dict):
        yield "Models", None, Notes(f"{metafile.path}:1")


def _collection(entry: Entry, notes: Notes) -> list[Collection]:
    name = entry.text("Name")
    if name is None:
        notes.add("no-name", "a collection without a name is left out", blocks=True)
        return []
    notes.subject = name
    return [
        Collection(
            name=name,
            at=notes.at,
            paper=entry.paper("Paper"),
            readme=entry.text("README"),
            code=entry.address("Code"),
            license=entry.text("License"),
            training=_training(entry, notes),
        )
    ]


def _model(entry: Entry, notes: Notes, metafile: str, tree: ConfigPaths) -> list[ModelEntry]:
    name = _name(entry, notes)
    if name is None:
        return []
    training = _with_flops(name, _training(entry, notes), notes)
    results, misplaced = read_results(entry, notes, training.data)
    addresses = read_weights((*entry.texts("Weights"), *misplaced), notes)
    logs = (url for key in _LOGS if entry.has(key) for url in entry.texts(key))
    config, state = _config(entry, notes, metafile, tree)
    return [
        ModelEntry(
            name=name,
            ordinal=None,
            at=notes.at,
            collection=entry.text("In Collection", "In Collections"),
            config=config,
            config_state=state,
            weights=addresses.weights,
            aliases=entry.texts("Alias"),
            results=results,
            training=training,
            paper=entry.paper("Paper"),
            readme=entry.text("README"),
            code=entry.address("Code"),
            license=entry.text("License"),
            converted_from=entry.address("Converted From"),
            logs=(*logs, *addresses.logs),
        )
    ]


def _name(entry: Entry, notes: Notes) -> str | None:
    asked = entry.text("Name")
    name = unquote(re.sub(r"(\.py)+$", "", asked or "")).strip()
    if not name:
        notes.add("no-name", "a model without a name is left out", blocks=True)
        return None
    notes.subject = name
    if name != asked:
        notes.add("odd-name", f"name {asked!r} read as {name!r}")
    return name


def _config(entry: Entry, notes: Notes, metafile: str, tree: ConfigPaths) -> tuple[str | None, str]:
    asked = entry.texts("Config")
    if not asked:
        notes.add("no-config", "names no config")
        return None, "none"
    if len(asked) > 1:
        notes.add("several-configs", f"the first of {len(asked)} is taken; the others: {', '.join(asked[1:])}")
    found = tree.find(asked[0], metafile)
    if found.state == "repaired":
        notes.add("config-repaired", f"config {asked[0]} does not exist; found {found.path}")
    elif found.state == "missing":
        notes.add("config-missing", f"config {asked[0]} is not in the release")
    return found.path, found.state


def _training(entry: Entry, notes: Notes) -> Training:
    metadata = entry.entry("Metadata")
    times = metadata.get(_INFERENCE)
    if times is None and (times := entry.get(_INFERENCE)) is not None:
        notes.add("misplaced", f"{_INFERENCE} stood beside Metadata")
    data = metadata.texts("Training Data")
    if headings := [each for each in data if is_heading(each)]:
        notes.add("dataset-repaired", f"Training Data: {', '.join(map(repr, headings))} left out, no dataset")
    return Training(
        data=tuple(each for each in data if not is_heading(each)),
        epochs=metadata.number("Epochs"),
        iterations=metadata.number("Iterations"),
        batch_size=metadata.number("Batch Size"),
        memory_gb=_first(metadata.number(key) for key in ("Training Memory (GB)", "Memory (GB)")),
        params=metadata.number("Parameters"),
        flops=metadata.number("FLOPs"),
        resources=metadata.text("Training Resources"),
        inference=tuple(_inference(times, notes)),
        extra={key: value for key, value in metadata.rest().items() if value is not None},
    )


def _with_flops(name: str, training: Training, notes: Notes) -> Training:
    """The training facts; where the FLOPs that the name tells stand as Parameters, they are put right.

    What then stands as FLOPs is no count of parameters in any unit, so these are unknown.
    """
    said, params, flops = flops_in_name(name), training.params, training.flops
    if said is None or params is None or flops is None:
        return training
    if not _is_about(params * 1000, said) or _is_about(flops, said):
        return training
    read = f"Parameters {params:g} read as FLOPs {params * 1000:g}, as the name says; FLOPs {flops:g} left out"
    notes.add("values-swapped", read)
    return replace(training, params=None, flops=params * 1000)


def _is_about(value: float, wanted: float) -> bool:
    return abs(value - wanted) <= 0.25 * wanted


def _first(values: Iterable[float | None]) -> float | None:
    return next((value for value in values if value is not None), None)


def _inference(raw: Value, notes: Notes) -> Iterable[Inference]:
    for item in raw if isinstance(raw, list) else [] if raw is None else [raw]:
        entry = Entry(item if isinstance(item, dict) else {"value": item}, notes)
        value = entry.number("value")
        batch_size = quantity(entry.get("batch size"))
        if value is not None:
            yield Inference(
                value_ms=value,
                hardware=entry.text("hardware"),
                backend=entry.text("backend"),
                batch_size=None if batch_size is None else int(batch_size),
                mode=entry.text("mode"),
                resolution=entry.text("resolution"),
            )


def _order(models: list[ModelEntry]) -> tuple[list[ModelEntry], list[Issue]]:
    """Models by name, in upstream's order within one; the second and later of a name get ordinals and an issue."""
    seen: Counter[str] = Counter()
    issues: list[Issue] = []
    numbered: list[ModelEntry] = []
    for model in models:
        seen[model.name] += 1
        ordinal = seen[model.name]
        numbered.append(model if ordinal == 1 else replace(model, ordinal=ordinal))
        if ordinal > 1:
            issues.append(Issue("duplicate-name", model.at, model.name, f"entry {ordinal} of this name"))
    return sorted(numbered, key=lambda each: (each.name, each.ordinal or 1)), issues


def _dangling(models: list[ModelEntry], collections: list[Collection]) -> Iterable[Issue]:
    known = Counter(each.name for each in collections)
    for model in models:
        if model.collection is not None and model.collection not in known:
            detail = f"collection {model.collection!r} is not defined in this release"
            yield Issue("unknown-collection", model.at, model.name, detail)
    seen: set[str] = set()
    for collection in collections:
        if collection.name in seen:
            yield Issue("duplicate-collection", collection.at, collection.name, "defined before in this release")
        seen.add(collection.name)


def _with_units(models: list[ModelEntry]) -> Iterable[ModelEntry]:
    """The models with the unit of every metric, decided by all values of a metric on a dataset together."""
    values: defaultdict[tuple[str, str | None], list[float]] = defaultdict(list)
    for model in models:
        for result in model.results:
            for metric in result.metrics:
                if metric.value is not None and not metric.unit:
                    values[metric.name, result.dataset].append(metric.value)
    units = {key: unit_of(key[0], found) for key, found in values.items()}

    def finish(result: Result) -> Result:
        unit = [each.unit or units.get((each.name, result.dataset), "none") for each in result.metrics]
        return replace(result, metrics=tuple(map(_set_unit, result.metrics, unit)))

    for model in models:
        yield replace(model, results=tuple(map(finish, model.results)))


def _set_unit(metric: Metric, unit: str) -> Metric:
    return replace(metric, unit=unit)
