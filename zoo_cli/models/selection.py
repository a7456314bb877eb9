"""What a command means by names, globs, filters and backbones: the models, and the files of each with their places.

Pure but for the database it asks. Foreign names become plain file names here and nowhere else. The layout `flat` puts
everything side by side; `by-model` gives each model a folder of its own.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

from zoo_cli.catalog.details import logs_of
from zoo_cli.catalog.extras import Backbone, backbones_like, find_backbone
from zoo_cli.catalog.listing import Query, list_models
from zoo_cli.catalog.models import Model, ModelFile, models_by_number
from zoo_cli.catalog.references import UnknownModel, distinct, find_models
from zoo_cli.catalog.scope import packages
from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.transfer.hashes import prefix_in_name

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

Layout = Literal["flat", "by-model"]
_WILDCARD = re.compile(r"[*?]|\[.+\]")


class NothingToFetch(ZooError):
    """The model has none of what was asked; `part` is "config", "checkpoint" or "config and no checkpoint"."""

    code = "nothing-to-fetch"

    model: str
    package: str
    part: str


class NothingMatches(ZooError):
    """No model of the index is like the glob, or passes the filter."""

    code = "nothing-matches"
    exit_code = ExitCode.USAGE

    package: str | None
    name: str | None
    filter: str | None


class NotInRelease(ZooError):
    """The model is in the index, but not in the release asked."""

    code = "not-in-release"
    exit_code = ExitCode.USAGE

    asked: str
    release: str
    package: str
    releases: tuple[str, ...]  # those that have it, newest first


class NotNarrowed(ZooError):
    """Beside --filter a word is neither a package nor a glob."""

    code = "not-narrowed"
    exit_code = ExitCode.USAGE

    asked: str


class SameDestination(ZooError):
    """Two different files of one command would get the same name."""

    code = "same-destination"
    exit_code = ExitCode.USAGE

    name: str
    asked: tuple[str, ...]
    is_flat: bool


@dataclass(frozen=True, slots=True)
class Wish:
    """What one command asks for: which models, which parts of them, laid out how."""

    names: tuple[str, ...]
    filter: str | None = None
    release: str | None = None
    config: bool = True
    weights: bool = True
    logs: bool = False
    layout: Layout = "flat"


@dataclass(frozen=True, slots=True)
class Pick:
    """One model or backbone to fetch: what for, and under which names."""

    subject: Model | Backbone
    asked_as: str
    via: str  # name | alias | config | file | url | glob | filter | backbone
    config_name: str | None  # file name; None: not wanted, or there is none
    files: tuple[ModelFile, ...]  # their names are safe here
    folder: str = ""  # below the destination

    @property
    def model(self) -> Model | None:
        """The model, where it is one."""
        return self.subject if isinstance(self.subject, Model) else None

    @property
    def name(self) -> str:
        """What upstream calls it."""
        return self.subject.name if isinstance(self.subject, Model) else self.subject.alias

    @property
    def stem(self) -> str:
        """A plain file name for what belongs to it."""
        return safe_name(self.asked_as.replace("://", "-").replace("/", "-"))

    def place(self, name: str) -> str:
        """Where a file of it goes, below the destination."""
        return f"{self.folder}/{name}" if self.folder else name

    @property
    def places(self) -> tuple[str, ...]:
        """All its files, the config first."""
        config = (self.config_name,) if self.config_name else ()
        return tuple(self.place(name) for name in (*config, *(file.name for file in self.files)))


@dataclass(frozen=True, slots=True)
class Passed:
    """A model that a glob or filter found and that has none of what was asked."""

    name: str
    part: str


@dataclass(frozen=True, slots=True)
class Selection:
    """All models of one command."""

    picks: tuple[Pick, ...]
    passed: tuple[Passed, ...] = ()


@dataclass(frozen=True, slots=True)
class _Asked:
    subject: Model | Backbone
    asked_as: str
    via: str


def select(connection: sqlite3.Connection, wish: Wish) -> Selection:
    """The models that the wish means, each once, with their files.

    Raises:
        UnknownModel, AmbiguousModel, UnknownPackage, UnknownBackbone, BadFilter: As the catalog finds them.
        NothingMatches, NotNarrowed, NotInRelease, NothingToFetch, SameDestination: See there.
    """
    picks: dict[tuple[object, str], Pick] = {}
    passed: list[Passed] = []
    for each in _asked(connection, wish):
        pick = _pick(connection, each, wish)
        if pick.config_name or any(file.role != "log" for file in pick.files):
            picks[(each.subject if isinstance(each.subject, Backbone) else each.subject.id, each.asked_as)] = pick
        elif each.via in ("glob", "filter"):
            passed.append(Passed(pick.name, _missing(wish)))
        else:
            package = each.subject.project if isinstance(each.subject, Model) else each.subject.scheme
            raise NothingToFetch(pick.name, package, _missing(wish))
    selection = Selection(tuple(picks.values()), tuple(passed))
    _check_places(selection, wish.layout)
    return selection


def _missing(wish: Wish) -> str:
    if wish.config and wish.weights:
        return "config and no checkpoint"
    return "config" if wish.config else "checkpoint"


# -- which models ----------------------------------------------------------------------------------------------------


def _asked(connection: sqlite3.Connection, wish: Wish) -> Iterator[_Asked]:
    if wish.filter is not None:
        for package, release, name in _scopes(connection, wish.names):
            yield from _listed(
                connection, Query(package, release or wish.release, wish.filter, name, is_own=True), "filter"
            )
        return
    for name in wish.names:
        if "://" in name and not name.startswith(("http://", "https://")):
            yield from _backbones(connection, name)
        elif _WILDCARD.search(name) and not name.startswith(("http://", "https://")):
            yield from _like(connection, name, wish.release)
        else:
            yield _named(connection, name, wish.release)


def _named(connection: sqlite3.Connection, name: str, release: str | None) -> _Asked:
    found = find_models(connection, name)
    model = _of_release(found.models, release, name) if release else found.models[0]
    return _Asked(model, found.asked_as, found.via)


def _of_release(models: tuple[Model, ...], release: str, asked: str) -> Model:
    for model in models:
        if model.release.version == release:
            return model
    versions = tuple(dict.fromkeys(model.release.version for model in models))
    raise NotInRelease(asked, release, models[0].project, versions)


def _backbones(connection: sqlite3.Connection, text: str) -> Iterator[_Asked]:
    if not _WILDCARD.search(text):
        backbone = find_backbone(connection, text)
        yield _Asked(backbone, backbone.alias, "backbone")
        return
    found = backbones_like(connection, text)
    if not found:
        raise NothingMatches(None, text, None)
    for backbone in found:
        if backbone.url:
            yield _Asked(backbone, backbone.alias, "backbone")


def _like(connection: sqlite3.Connection, text: str, release: str | None) -> Iterator[_Asked]:
    """A glob; what is a name with brackets as it stands is that name."""
    if not re.search(r"[*?]", text):
        try:
            yield _named(connection, text, release)
        except UnknownModel:
            pass
        else:
            return
    package, of, name = _split(text)
    yield from _listed(connection, Query(package, of or release, None, name, is_own=True), "glob")


def _split(text: str) -> tuple[str | None, str | None, str]:
    """Package, release and glob of `package/glob` and `package@release/glob`."""
    package, slash, name = text.rpartition("/")
    if not slash or _WILDCARD.search(package):
        return None, None, text
    package, _, release = package.partition("@")
    return package, release or None, name


def _scopes(
    connection: sqlite3.Connection, names: Sequence[str]
) -> Iterator[tuple[str | None, str | None, str | None]]:
    """Where a filter searches: in each package or glob named beside it, else everywhere."""
    known = packages(connection)
    for name in names:
        if name in known or any(each.startswith(f"{name}/") for each in known):
            yield name, None, None
        elif _WILDCARD.search(name):
            yield _split(name)
        else:
            raise NotNarrowed(name)
    if not names:
        yield None, None, None


def _listed(connection: sqlite3.Connection, query: Query, via: str) -> Iterator[_Asked]:
    numbers = [row.id for row in list_models(connection, query).rows]
    if not numbers:
        raise NothingMatches(query.package, query.name, query.filter)
    for model, name in distinct(models_by_number(connection, numbers)):
        yield _Asked(model, name, via)


# -- which files -----------------------------------------------------------------------------------------------------


def _pick(connection: sqlite3.Connection, asked: _Asked, wish: Wish) -> Pick:
    pick = Pick(asked.subject, asked.asked_as, asked.via, None, ())
    folder = pick.stem if wish.layout == "by-model" else ""
    if isinstance(asked.subject, Backbone):
        return replace(pick, files=_backbone_files(asked.subject) if wish.weights else (), folder=folder)
    model = asked.subject
    has_config = model.config_path is not None and model.config_state in ("found", "repaired")
    files = tuple(replace(file, name=safe_name(file.name)) for file in model.files) if wish.weights else ()
    logs = tuple(_log(url, pick.stem) for url in logs_of(connection, model)) if wish.logs else ()
    config = safe_name(f"{asked.asked_as}.py") if has_config and wish.config else None
    return replace(pick, config_name=config, files=files + logs, folder=folder)


def _backbone_files(backbone: Backbone) -> tuple[ModelFile, ...]:
    if not backbone.url:
        return ()
    name = safe_name(_file_name(backbone.url))
    return (ModelFile("checkpoint", name, (backbone.url,), None, None, prefix_in_name(name), "sha256"),)


def _log(url: str, stem: str) -> ModelFile:
    """A log; one that is called by its time alone gets the model's name.

    The digits in a log's name are those of its checkpoint, so they say nothing of the log.
    """
    name = _file_name(url)
    if not name[:1].isalpha():
        name = f"{stem}_{name}"
    return ModelFile("log", safe_name(name), (url,), None, None, None, None)


def _file_name(url: str) -> str:
    return posixpath.basename(unquote(urlsplit(url).path))


def safe_name(name: str) -> str:
    """The name as a plain file name: foreign text never becomes a path, a hidden file or an option."""
    return re.sub(r"[^\w.+@=,()\[\] -]", "_", name).lstrip(".- ")[-200:] or "model"


def _check_places(selection: Selection, layout: Layout) -> None:
    taken: dict[str, tuple[object, str]] = {}
    for pick in selection.picks:
        things: list[tuple[str, object]] = [(pick.place(file.name), file) for file in pick.files]
        if pick.config_name and pick.model:
            things.append((pick.place(pick.config_name), (pick.model.release, pick.model.config_path)))
        for place, thing in things:
            before = taken.setdefault(place.casefold(), (thing, pick.asked_as))
            if before[0] != thing:
                raise SameDestination(place, (before[1], pick.asked_as), layout == "flat")
