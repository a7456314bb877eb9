"""Old names of models: which entry of a newer release an older name now means.

Pure. Two entries are the same model when they have the same checkpoint files; that is how 461 of 476 entries of mmdet
2.28.2 find their 3.x name, and upstream's own renaming history agrees wherever both say something. Names that
upstream itself declares as aliases count, too.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One entry as far as aliases need it; rank 0 is the newest release of its project."""

    number: int
    project: str
    rank: int
    name: str
    urls: tuple[str, ...]
    declared: tuple[str, ...]


@dataclass(frozen=True, slots=True, order=True)
class Alias:
    """`name` stands for the entry `model`; `via` is how that is known: declared | url."""

    name: str
    model: int
    via: str


def find_aliases(models: Iterable[KnownModel]) -> tuple[Alias, ...]:
    """Every alias, sorted.

    An older entry points to the newest release that has its files. Where two entries there share the files, both are
    named: whoever resolves the alias says that it is ambiguous. A name that is itself an entry of that release is
    never an alias into it.
    """
    models = list(models)
    by_files: defaultdict[tuple[str, tuple[str, ...]], list[KnownModel]] = defaultdict(list)
    names: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    for model in models:
        names[model.project, model.rank].add(model.name.casefold())
        if model.urls:
            by_files[model.project, model.urls].append(model)
    found: dict[tuple[str, int], str] = {}
    for model in models:
        for text in model.declared:
            if text.casefold() not in names[model.project, model.rank]:
                found.setdefault((text, model.number), "declared")
        newer = [each for each in by_files.get((model.project, model.urls), []) if each.rank < model.rank]
        newest = min((each.rank for each in newer), default=0)
        if model.name.casefold() not in names[model.project, newest]:
            for each in newer:
                if each.rank == newest:
                    found.setdefault((model.name, each.number), "url")
    return tuple(sorted(Alias(name, number, via) for (name, number), via in found.items()))
