"""Old names of models: which entry of a newer release an older name now means.

Pure. Two entries are the same model when they have the same checkpoint files; that is how 461 of 476 entries of mmdet
2.28.2 find their 3.x name, and upstream's own renaming history agrees wherever both say something. Where no address is
equal the files' names, their digests and their time stamps are compared, in this order: files move to other folders
and hosts, are renamed, and are published again. Names that upstream itself declares as aliases count, too.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_TIME = re.compile(r"(.*20\d{6}_\d{6})")  # with the name before it: many trainings begin in one second
_DIGEST = re.compile(r"-([0-9a-f]{8})(?:_\d{8})?\.[a-z]+$")


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One entry as far as aliases need it; rank 0 is the newest release of its project, `date` that of its release.

    `number` is that of what is said of the model, which the entries of several releases may share.
    """

    number: int
    project: str
    rank: int
    name: str
    urls: tuple[str, ...]
    declared: tuple[str, ...]
    date: str = ""

    @property
    def said(self) -> Said:
        """What makes it the same entry in another release of the project."""
        return Said(self.project, self.name, self.urls)


class Said(NamedTuple):
    """A name and the files it stands for, in whatever releases of a project."""

    project: str
    name: str
    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True, order=True)
class Alias:
    """`name` stands for the model `model`; `via` is how that is known: declared | url | file | digest | time."""

    name: str
    model: int
    via: str


Key: TypeAlias = "tuple[str, ...]"


@lru_cache(maxsize=2**16)
def _file_names(urls: Key) -> Key:
    return tuple(unquote(url.partition("?")[0].rpartition("/")[2]) for url in urls)


def _parts(pattern: re.Pattern[str]) -> Callable[[Key], Key]:
    """What a pattern finds in each file's name; nothing at all unless it is in every one."""

    def key(urls: Key) -> Key:
        found = [pattern.search(name) for name in _file_names(urls)]
        return tuple(each[1] for each in found if each) if all(found) else ()

    return key


# In the order of their weight: the first that finds an entry decides.
_KEYS: tuple[tuple[str, Callable[[Key], Key]], ...] = (
    ("url", lambda urls: urls),
    ("file", _file_names),
    ("digest", _parts(_DIGEST)),
    ("time", _parts(_TIME)),
)
_WEIGHT = ("declared", *(via for via, _key in _KEYS))


def find_aliases(models: Iterable[KnownModel]) -> tuple[Alias, ...]:
    """Every alias, sorted; where several things tell, `via` is the one of most weight.

    An older entry points to the newest release that has its files; from there it may go on by another key, so that a
    name of any release leads to the newest one; an entry that its project has no more leads to the projects that took
    it over later. Where two entries there share the files, both are named: whoever resolves the alias says that
    it is ambiguous. A name that is itself an entry of that release is never an alias into it.
    """
    models = list(models)
    names: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    for model in models:
        names[model.project, model.rank].add(model.name.casefold())
    found: dict[tuple[str, int], str] = {}

    def note(name: str, new: KnownModel, via: str) -> None:
        if name.casefold() not in names[new.project, new.rank]:
            before = found.get((name, new.number), via)
            found[name, new.number] = min(before, via, key=_WEIGHT.index)

    for model in models:
        for text in model.declared:
            note(text, model, "declared")
    after = _successors(models)
    for start in after:
        reached = list(after[start])
        for via, new in reached:  # grows while it is walked; ends, for each step leads to a newer release
            note(start.name, new, via)
            further = ((max(via, step, key=_WEIGHT.index), newer) for step, newer in after.get(new.said, ()))
            reached += [each for each in further if each not in reached]
    return tuple(sorted(Alias(name, number, via) for (name, number), via in found.items()))


def _successors(models: list[KnownModel]) -> dict[Said, list[tuple[str, KnownModel]]]:
    """What each entry became: the newest ones with its files, and how that is known.

    Asked once for what several releases say alike, for the newest of them: what became of it became of all.
    """
    indexes = [(via, key, _by_key(models, key, sure=via in ("url", "file"))) for via, key in _KEYS]
    latest: dict[Said, KnownModel] = {}
    for model in models:
        if model.said not in latest or model.rank < latest[model.said].rank:
            latest[model.said] = model
    after: dict[Said, list[tuple[str, KnownModel]]] = {}
    for said, model in latest.items():
        for via, key, index in indexes:
            newer = _newer(model, index.get(key(model.urls), []) if model.urls else [], via)
            if newer:
                after[said] = [(via, each) for each in newer]
                break
    return after


def _newer(model: KnownModel, same: list[KnownModel], via: str) -> list[KnownModel]:
    """Of the entries with the same files those in the newest release after the model's, or in later projects."""
    newer = [each for each in same if each.project == model.project and each.rank < model.rank]
    if not newer and via == "url":
        newer = [each for each in same if each.project != model.project and each.date > model.date]
        newer = [each for each in newer if each.rank == 0]
    best = min((each.rank for each in newer), default=0)
    return [each for each in newer if each.rank == best]


def _by_key(models: Iterable[KnownModel], key: Callable[[Key], Key], *, sure: bool) -> dict[Key, list[KnownModel]]:
    """Entries by a key of their files. Unless it is `sure`, one that different files of a release have says nothing."""
    found: defaultdict[Key, list[KnownModel]] = defaultdict(list)
    for model in models:
        if model.urls and (value := key(model.urls)):
            found[value].append(model)
    return {value: group for value, group in found.items() if sure or _is_one_file_a_release(group)}


def _is_one_file_a_release(group: list[KnownModel]) -> bool:
    files = {(each.project, each.rank, _file_names(each.urls)) for each in group}
    return len(files) == len({(project, rank) for project, rank, _names in files})
