"""Datasets of results, seen over a whole release: what is no dataset, and what is another than the names say.

Pure; general rules. Names of models end in a word for their dataset (`..._hrsc`, `..._sthv2-rgb`); what that word
means is told by the other models of the release whose names end so.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, TypeGuard

from zoo_cli.models.records import Issue

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zoo_cli.models.records import Collection, ModelEntry, Result

# What endings mean that no result of their release may tell: names of datasets as the field writes them.
ENDINGS = {"voc": "Pascal VOC"}
_SHORTEST = 3  # letters of an ending that names a dataset


def is_heading(label: str) -> bool:
    """Whether a dataset's label is a heading of the page that upstream made it from: `# HRNet backbone`."""
    return label.startswith("# ") or label.endswith(" backbone")


def name_headings(models: Iterable[ModelEntry]) -> tuple[list[ModelEntry], list[Issue]]:
    """Puts the dataset where a heading stands: the one that all other models of the release have whose names end so.

    `ocrnet_hr18_4xb2-40k_cityscapes-512x1024` is of the dataset of the other names that end in `_cityscapes-...`.
    """
    models = list(models)
    votes: defaultdict[str, set[str]] = defaultdict(set)
    for model in models:
        votes[_ending(model.name)] |= {each.dataset for each in model.results if _is_dataset(each.dataset)}
    issues: list[Issue] = []

    def named(model: ModelEntry, result: Result) -> Result:
        if result.dataset is None or _is_dataset(result.dataset):
            return result
        found = votes[_ending(model.name)]
        label = next(iter(found)) if len(found) == 1 else None
        why = f"as in the other names ending in {_ending(model.name)}" if label else "the names do not tell"
        detail = f"{result.dataset!r} is no dataset; read as {label or 'unknown'}, {why}"
        issues.append(Issue("dataset-repaired", model.at, model.name, detail))
        return replace(result, dataset=label)

    named_models = [replace(each, results=tuple(named(each, result) for result in each.results)) for each in models]
    return named_models, issues


def correct_labels(
    models: Iterable[ModelEntry], collections: Iterable[Collection]
) -> tuple[list[ModelEntry], list[Issue]]:
    """Puts another dataset where a model's name ends in its word and the label given is one that other names end in.

    So a label copied from a neighbour is found (`..._hrsc` on DOTA where `..._dota` is), and a model that is measured
    elsewhere than its name says is let alone, unless every sign is against it.
    """
    models = list(models)
    meant = _meanings(models)
    inherited = {each.name: each.training.data for each in collections}
    corrected: list[ModelEntry] = []
    issues: list[Issue] = []
    for model in models:
        label = _only_label(model)
        right = label and _right_label(model.name, label, meant)
        if label is None or not right:
            corrected.append(model)
            continue
        detail = f"dataset {label!r} read as {right}: the name ends in {_ending(model.name)}"
        issues.append(Issue("dataset-repaired", model.at, model.name, detail))
        data = model.training.data or inherited.get(model.collection or "", ())
        training = replace(model.training, data=(right,)) if data == (label,) else model.training
        results = tuple(replace(each, dataset=right) for each in model.results)
        corrected.append(replace(model, results=results, training=training))
    return corrected, issues


def _meanings(models: Iterable[ModelEntry]) -> Mapping[str, str]:
    """Endings of names and the one dataset whose label begins like them: `hrsc` is HRSC2016."""
    labels: defaultdict[str, set[str]] = defaultdict(set)
    for model in models:
        label, ending = _only_label(model), _ending(model.name)
        if label and len(ending) >= _SHORTEST and _letters(label).startswith(_letters(ending)):
            labels[ending].add(label)
    return {**ENDINGS, **{ending: next(iter(found)) for ending, found in labels.items() if len(found) == 1}}


def _right_label(name: str, label: str, meant: Mapping[str, str]) -> str | None:
    """The dataset that a name means where the label is another one; None where the label may be right."""
    right = meant.get(_ending(name))
    words = [ending for ending, dataset in meant.items() if dataset == label]
    if right is None or right == label or not words or any(word in name.casefold() for word in words):
        return None
    is_part = _letters(label) in _letters(right) or _letters(right) in _letters(label)
    return None if is_part or _letters(label) in _letters(name) else right


def _only_label(model: ModelEntry) -> str | None:
    labels = {each.dataset for each in model.results}
    return next(iter(labels)) if len(labels) == 1 else None


def _is_dataset(label: str | None) -> TypeGuard[str]:
    return label is not None and not is_heading(label)


def _ending(name: str) -> str:
    return name.rpartition("_")[2].partition("-")[0].casefold()


def _letters(text: str) -> str:
    return re.sub(r"[^0-9a-z]", "", text.casefold())
