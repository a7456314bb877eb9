"""References: the texts that name a model, and the model they mean.

The reader gets an open connection (`zoo_cli.catalog.database`); it opens nothing itself. A name resolves to the newest
release that has it; an older name to what it is called now (see `compiler.aliases`); only then to an older release.
"""

# ruff: noqa: S608 (conditions are written in this module, a user's values are bound)

from __future__ import annotations

import posixpath
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from zoo_cli.catalog.models import Model, models_where, newest_releases
from zoo_cli.catalog.scope import OWN, namespace_of, namespaces, versions, within
from zoo_cli.errors import ExitCode, ZooError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

LONGEST_NAME = 2000


_CHECKPOINT = re.compile(r"\.(pth|pt|pkl|bin|zip|ckpt|safetensors|tar|onnx)$")


@dataclass(frozen=True, slots=True)
class Found:
    """What a text names: the model meant first, then the same one in older releases.

    `asked_as` is the name to keep it under: the one asked, when it was a name or a config. `via` says how it was
    found: name | alias | config | file | url.
    """

    models: tuple[Model, ...]
    asked_as: str
    via: str


@dataclass(frozen=True, slots=True)
class NearModel:
    """A model that may have been meant, with the fact that tells it apart ("box AP 51.3")."""

    name: str
    fact: str


class UnknownModel(ZooError):
    """Nothing in the index is called so."""

    code = "unknown-model"
    exit_code = ExitCode.USAGE

    asked: str
    near: tuple[NearModel, ...]


class AmbiguousModel(ZooError):
    """Several different models are called so; `choices` are texts that name one each."""

    code = "ambiguous-model"
    exit_code = ExitCode.USAGE

    asked: str
    choices: tuple[str, ...]


def find_models(connection: sqlite3.Connection, text: str) -> Found:
    """The model a text names.

    Understood are: a name, `package/name`, `package/release/name`, `package@release/name`; of several entries of one
    name `name@<8 hex>` (the one with that checkpoint) and `name#2` (the second); `package::configs/x.py`, a config
    path, a checkpoint's file name and its address. A trailing `.py` of a name is not minded. A name of another zoo may
    hold a slash: `COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml`. What is a lab's is found under its namespace only:
    `lab/name`, `lab/package/name`, `lab/package/release/name`.

    Raises:
        UnknownModel: Nothing is called so.
        AmbiguousModel: Different models are.
        UnknownPackage: The package or release before the name is not in the index.
    """
    asked = text.strip()
    if not asked or len(asked) > LONGEST_NAME or not _is_text(asked):
        raise UnknownModel(asked[:200].encode(errors="replace").decode(), ())
    if asked.startswith(("http://", "https://")):
        return _by_file(connection, asked, posixpath.basename(unquote(re.split(r"[?#]", asked)[0])))
    project, separator, path = asked.partition("::")
    if separator:
        return _by_config(connection, asked, _known_package(connection, project), path)
    if asked.endswith(".py") and "/" in asked:
        return _by_config(connection, asked, None, asked)
    if _CHECKPOINT.search(asked) and "/" not in asked:
        return _by_file(connection, None, asked)
    if found := _by_path(connection, asked):
        return found
    project, release, name = _split(connection, asked)
    if project:
        _known_package(connection, project, release or None)
    return _by_name(connection, asked, project or None, release or None, name.removesuffix(".py"))


def distinct(models: Iterable[Model]) -> tuple[tuple[Model, str], ...]:
    """Each model once, with a name that tells it apart from others of the same release.

    Equal entries under one name are one model, also in several packages: then the newest package's, a fork's last. Of
    different entries of one name in one release each gets its digest behind its name, or its number.
    """
    chosen: dict[tuple[object, ...], Model] = {}
    for model in models:
        key = (namespace_of(model.project), model.name.casefold(), _content(model))
        rival = chosen.get(key)
        if rival is None or (rival.release != model.release and model.release.precedence > rival.release.precedence):
            chosen[key] = model
    names = Counter((each.release, each.name.casefold()) for each in chosen.values())
    marks = Counter((each.release, _marked(each)) for each in chosen.values())
    return tuple(
        (each, each.name)
        if names[each.release, each.name.casefold()] == 1
        else (each, _marked(each) if marks[each.release, _marked(each)] == 1 else _numbered(each))
        for each in chosen.values()
    )


def _is_text(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" or letter == "\0" for letter in text)


def _split(connection: sqlite3.Connection, asked: str) -> tuple[str, str, str]:
    """Package, release and name of `package/name`, `package/release/name` or `package@release/name`; "" if not said.

    The package may be a namespace, or a package in one.
    """
    parts = asked.split("/")
    if len(parts) > 2 and parts[0] in namespaces(connection):
        inner, at, release = parts[1].partition("@")
        parts = [f"{parts[0]}/{inner}", *([release] if at else []), *parts[2:]]
    if len(parts) == 3:
        return parts[0], parts[1], parts[2]
    if len(parts) == 2:
        project, _, release = parts[0].partition("@")
        return project, release, parts[1]
    return "", "", asked


def _by_path(connection: sqlite3.Connection, asked: str) -> Found | None:
    """By another name that itself has a slash, alone or behind its package; None when there is none."""
    whole = asked.removesuffix(".yaml")
    project, _, rest = whole.partition("/")
    for owner, name in ((None, whole), (project, rest)):
        bare = _part(name)[0]
        query = (
            "SELECT 1 FROM alias a JOIN entry e ON e.model = a.model JOIN package p ON p.id = e.package "
            f"WHERE a.name = ? AND {OWN} LIMIT 1"
        )
        if "/" in bare and connection.execute(query, (bare,)).fetchone():
            return _by_name(connection, asked, owner and _known_package(connection, owner), None, name)
    return None


def _known_package(connection: sqlite3.Connection, project: str, release: str | None = None) -> str:
    versions(connection, project, release)
    return project


def _by_name(connection: sqlite3.Connection, asked: str, project: str | None, release: str | None, name: str) -> Found:
    bare, mark, which = _part(name)
    scope = f"AND {_scope('?2')} AND (?3 IS NULL OR p.version = ?3)"
    bound = (project, release)
    exact = models_where(connection, f"WHERE m.name = ?1 {scope}", (bare, *bound))
    renamed = models_where(connection, f"JOIN alias a ON a.model = m.id WHERE a.name = ?1 {scope}", (bare, *bound))
    if mark:
        exact, renamed = ([each for each in one if _is_that(each, which)] for one in (exact, renamed))
    newest = newest_releases(connection)
    current = [each for each in exact if release or each.release in newest]
    found, via = (current, "name") if current else (renamed, "alias") if renamed else (exact, "name")
    if not found:
        raise UnknownModel(asked, _near_models(connection, bare, project))
    return Found(_one(asked, found, exact), bare, via)


def _part(name: str) -> tuple[str, str, str]:
    """Name, mark and rest of `name@<8 hex>` and `name#2`; the last two empty when there is no such ending."""
    found = re.fullmatch(r"(.+)([@#])((?<=@)(?:[0-9a-f]{8}|[0-9a-f]{6})|(?<=#)[1-9][0-9]{0,3})", name)
    return (found[1], found[2], found[3]) if found else (name, "", "")


def _is_that(model: Model, which: str) -> bool:
    """Whether it is the entry of that number, or has a checkpoint with that digest."""
    digests = ((file.sha256 or file.prefix or "")[:8] for file in model.files)
    return which == str(model.ordinal) or (len(which) >= 6 and which in digests)


def _scope(place: str) -> str:
    """The condition that a package is the one a parameter names, or in that namespace; zoo's own where it is NULL."""
    return f"CASE WHEN {place} IS NULL THEN {OWN} ELSE {within(place)} END"


def _by_config(connection: sqlite3.Connection, asked: str, project: str | None, path: str) -> Found:
    path = posixpath.normpath(path.split(".mim/")[-1])
    found = models_where(connection, f"WHERE m.config = ?1 AND {_scope('?2')}", (path, project))
    if not found:
        raise UnknownModel(asked, _near_models(connection, posixpath.basename(path).removesuffix(".py"), project))
    return Found(_one(asked, found), posixpath.basename(path).removesuffix(".py"), "config")


def _by_file(connection: sqlite3.Connection, url: str | None, name: str) -> Found:
    """By the address, else by the file's name: a copy elsewhere is the same file."""
    join = "JOIN model_file x ON x.model = m.id JOIN file f ON f.id = x.file"
    via = "url" if url else "file"
    found = (
        models_where(connection, f"{join} JOIN file_url u ON u.file = f.id WHERE u.url = ? AND {OWN}", (url,))
        if url
        else []
    )
    found = found or models_where(connection, f"{join} WHERE f.name = ? AND {OWN}", (name,))
    if not found:
        raise UnknownModel(url or name, _near_models(connection, re.split(r"_\d{8}|-[0-9a-f]{8}", name)[0], None))
    models = _one(url or name, found)
    return Found(models, models[0].name, via)


def _one(asked: str, found: Sequence[Model], others: Iterable[Model] = ()) -> tuple[Model, ...]:
    """The model meant, then the others that were found in older releases.

    Entries of the same package and release with equal config and files are one model, however often upstream lists it;
    so are entries of several packages that carry the same one on: then the newest package's, a fork's last.
    """
    newest = {each.project: each.release for each in reversed(found)}
    rivals = [each for each in found if each.release == newest[each.project]]
    first = max(rivals, key=lambda each: each.release.precedence)
    first = next(each for each in rivals if each.release == first.release)
    different = {_content(each): each for each in reversed(rivals)}
    if len(different) > 1:
        raise AmbiguousModel(asked, _choices(different.values()))
    rest = [each for each in (*found, *others) if each.release not in newest.values()]
    return (first, *{each.id: each for each in rest}.values())


def _content(model: Model) -> tuple[object, ...]:
    """What two entries have in common that are one model, wherever a copy of a file is kept."""
    return (model.config_path, tuple((file.name, file.sha256 or file.prefix) for file in model.files))


def _choices(models: Iterable[Model]) -> tuple[str, ...]:
    """A text for each model that names it alone: with its digest, or its number where that is not enough."""
    models = list(models)
    texts = [f"{each.project}/{_marked(each)}" for each in models]
    return tuple(
        sorted(
            text if texts.count(text) == 1 else f"{each.project}/{_numbered(each)}"
            for each, text in zip(models, texts, strict=True)
        )
    )


def _marked(model: Model) -> str:
    digest = next((file.sha256 or file.prefix for file in model.files), None)
    return model.name + (f"@{digest[:8]}" if digest else "")


def _numbered(model: Model) -> str:
    return f"{model.name}#{model.ordinal}"


def _near_models(connection: sqlite3.Connection, asked: str, project: str | None) -> tuple[NearModel, ...]:
    """At most three names near the one asked, of the newest releases and their aliases, each with its main metric."""
    from zoo_cli.catalog.nearnames import near_names  # only where nothing was found

    labs = namespaces(connection)
    if project is not None and project.partition("/")[0] in labs:
        found: tuple[str, ...] = tuple(_in_labs(connection, near_names(connection, asked, project), project))
    else:
        found = (*near_names(connection, asked, project), *(_in_labs(connection, (asked,)) if labs else ()))
    return tuple(NearModel(name, _main_fact(connection, name.rpartition("/")[2])) for name in found)


def _in_labs(connection: sqlite3.Connection, names: Iterable[str], project: str | None = None) -> Iterator[str]:
    """Names with the package of a lab before them, of those that it has."""
    query = (
        "SELECT DISTINCT p.project FROM model m JOIN entry e ON e.model = m.id JOIN package p ON p.id = e.package "
        f"WHERE m.name = ?1 AND p.rank = 0 AND CASE WHEN ?2 IS NULL THEN NOT {OWN} ELSE {within('?2')} END "
        "ORDER BY p.project LIMIT 3"
    )
    for name in names:
        yield from (f"{package}/{name}" for (package,) in connection.execute(query, (name, project)))


def _main_fact(connection: sqlite3.Connection, name: str) -> str:
    query = (
        "SELECT n.label || ' ' || v.value FROM entry e JOIN package p ON p.id = e.package "
        "JOIN metric v ON v.model = e.model AND v.name = p.main_metric JOIN metric_name n ON n.id = v.name "
        "WHERE p.rank = 0 AND v.value IS NOT NULL AND e.model IN (SELECT id FROM model WHERE name = ?1 "
        "UNION SELECT model FROM alias WHERE name = ?1) ORDER BY e.id, v.id LIMIT 1"
    )
    found = connection.execute(query, (name,)).fetchone()
    return str(found[0]) if found else ""
