"""Documents of models: `index/models/<project>/<version>.json`, read strictly.

An edge: reads the files. A document holds one release, whole or as a delta of an older one (see `deltas`); its records
stand one a line, and a record that does not follow the schema is a `BrokenRow` with that line. `zoo index build` writes
these files.
"""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from zoo_cli.catalog.compiler.deltas import digest_of, expanded
from zoo_cli.catalog.compiler.rows import DATE, EVIDENCE, SHA256, URL, BrokenRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from zoo_cli.catalog.compiler.deltas import Document

SCHEMA = 1  # of the documents
MAX_FILE_BYTES = 64 * 2**20
LONGEST_TEXT = 2000
MAX_MODELS = 20_000


@dataclass(frozen=True, slots=True)
class Words:
    """One of these texts."""

    allowed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Many:
    """A list of values of one form."""

    of: Form


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping with exactly these keys; those in `needed` must be there."""

    forms: dict[str, Form]
    needed: tuple[str, ...] = ()


Form: TypeAlias = "type | re.Pattern[str] | Words | Many | Fields"  # `object` is any JSON

_PAPER = Fields({"title": str, "url": str})
_INFERENCE = Fields(
    {"value_ms": float, "hardware": str, "backend": str, "batch_size": int, "mode": str, "resolution": str},
    ("value_ms",),
)
_TRAINING = Fields({
    "data": Many(str), "epochs": float, "iterations": float, "batch_size": float, "memory_gb": float,
    "params": float, "flops": float, "resources": str, "inference": Many(_INFERENCE), "extra": object,
})  # fmt: skip
_METRIC = Fields(
    {"name": str, "value": float, "unit": Words(("percent", "fraction", "none")), "text": str}, ("name", "unit")
)
_RESULT = Fields({"task": str, "dataset": str, "metrics": Many(_METRIC)})
_WEIGHTS = Fields(
    {
        "url": str, "name": str, "prefix": re.compile(r"[0-9a-f]{6,64}"),
        "prefix_algorithm": Words(("md5",)),  # else SHA-256
        "sha256": SHA256, "size_bytes": int,  # where whoever made the document read the file
    },
    ("url", "name"),
)  # fmt: skip
_SHARED: dict[str, Form] = {
    "name": str, "at": str, "paper": _PAPER, "readme": str, "code": str, "license": str, "training": _TRAINING,
}  # fmt: skip
_COLLECTION = Fields(_SHARED, ("name", "at"))
MODEL = Fields(
    {
        **_SHARED, "ordinal": int, "collection": str, "config": str,
        "config_state": Words(("found", "repaired", "missing", "none")), "weights": Many(_WEIGHTS),
        "aliases": Many(str), "results": Many(_RESULT), "converted_from": str, "logs": Many(str),
    },
    ("name", "at", "config_state"),
)  # fmt: skip
_ISSUE = Fields({"kind": str, "at": str, "subject": str, "detail": str, "blocks": bool}, ("kind", "at", "detail"))
_RELEASE = Fields(
    {
        "project": re.compile(r"[a-z0-9][a-z0-9._-]*"), "version": str, "file": str, "url": URL, "sha256": SHA256,
        "size_bytes": int, "date": DATE, "source": URL, "evidence": Words(EVIDENCE), "config_root": str,
        "metafiles": int, "record_sha256": SHA256, "builder": int,
    },
    ("project", "version", "file", "url", "date", "source", "evidence"),  # a page of a repository has no sha256
)  # fmt: skip
_SECTIONS: dict[str, Form] = {"collections": _COLLECTION, "models": MODEL, "issues": _ISSUE}
_LIKE = Fields({"version": str, "sha256": SHA256}, ("version", "sha256"))
_WITHOUT = Fields({section: Many(str) for section in _SECTIONS})
_OF_DELTA = ("like", "moved", "without")


@dataclass(frozen=True, slots=True)
class ReleaseDocument:
    """One checked document; rows are mappings as the schema above has them."""

    file: str  # relative to the index
    release: dict[str, Any]
    collections: list[dict[str, Any]] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)


def read_releases(index_directory: Path) -> Iterator[ReleaseDocument]:
    """Every document of models in the index, whole, by project and file name.

    Raises:
        BrokenRow: A file or record does not follow the schema.
    """
    for folder in sorted(each for each in (index_directory / "models").glob("*") if each.is_dir()):
        for version, whole in sorted(read_project(folder).items()):
            file = f"models/{folder.name}/{version}.json"
            yield ReleaseDocument(file, whole["release"], *(whole[section] for section in _SECTIONS))


def read_project(folder: Path, *, skip_broken: bool = False) -> dict[str, Document]:
    """The whole documents of one project's folder by version, each checked; on request without the broken ones.

    Raises:
        BrokenRow: A file or record does not follow the schema, or is a delta of a document that is not there.
    """
    whole: dict[str, Document] = {}
    deltas: dict[str, Document] = {}
    for path in sorted(folder.glob("*.json")):
        with suppress(*[BrokenRow] * skip_broken):
            one = _read(path, f"models/{folder.name}/{path.name}")
            (deltas if "like" in one else whole)[path.stem] = one
    while deltas:
        version = next((each for each in deltas if deltas[each]["like"]["version"] in whole), min(deltas))
        with suppress(*[BrokenRow] * skip_broken):
            whole[version] = _whole(deltas[version], whole, f"models/{folder.name}/{version}.json")
        del deltas[version]
    return whole


def _whole(delta: Document, others: dict[str, Document], file: str) -> Document:
    like = delta["like"]["version"]
    base = others.get(like)
    if base is None:
        raise BrokenRow(file, 0, "like", f"a delta of {like[:40]!r}, which is not there")
    if digest_of(base) != delta["like"]["sha256"]:
        raise BrokenRow(file, 0, "like", f"{like} is another text now; build this release again")
    whole = expanded(delta, base)
    _unique(whole["models"], "", file)
    return whole


def _read(path: Path, file: str) -> Document:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BrokenRow(file, 0, "", f"bigger than {MAX_FILE_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise BrokenRow(file, 0, "", f"cannot be read: {exc}") from exc
    return read_document(text, file)


def read_document(text: str, file: str) -> Document:
    """One document as it stands in its file, whole or a delta, checked.

    Raises:
        BrokenRow: It does not follow the schema; also when it stands under another name than its own.
    """
    try:
        whole = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        line = exc.lineno if isinstance(exc, json.JSONDecodeError) else 0
        raise BrokenRow(file, line, "", f"no JSON: {str(exc)[:100]}") from exc
    more = set(_OF_DELTA) if isinstance(whole, dict) and "like" in whole else set()
    if not isinstance(whole, dict) or whole.keys() != {"schema", "release", *_SECTIONS, *more}:
        words = f"schema, release, {', '.join(_SECTIONS)}; a delta also {', '.join(_OF_DELTA)}"
        raise BrokenRow(file, 0, "", f"must have exactly {words}")
    if whole["schema"] != SCHEMA:
        raise BrokenRow(file, 0, "schema", f"{str(whole['schema'])[:20]!r}: this zoo reads schema {SCHEMA}")
    release = whole["release"]
    _checked(release, _RELEASE, text, file, "release")
    if file != (expected := f"models/{release['project']}/{release['version']}.json"):
        raise BrokenRow(file, 0, "release", f"this release belongs in {expected}")
    for section, form in _SECTIONS.items():
        rows = whole[section]
        if not isinstance(rows, list) or len(rows) > MAX_MODELS:
            raise BrokenRow(file, 0, section, f"must be a list of at most {MAX_MODELS} rows")
        for row in rows:
            _checked(row, form, text, file, section)
    _unique(whole["models"], text, file)
    if more:
        _check_delta(whole, text, file)
    return whole


def _check_delta(delta: Document, text: str, file: str) -> None:
    _checked(delta["like"], _LIKE, text, file, "like")
    _checked(delta["without"], _WITHOUT, text, file, "without")
    moved = delta["moved"]
    steps: list[Any] = list(moved.values()) if isinstance(moved, dict) else [None]
    for each in steps:
        is_steps = isinstance(each, list) and all(isinstance(step, list) and len(step) == 2 for step in each)
        if not is_steps or any(type(number) is not int or abs(number) >= 2**31 for step in each for number in step):
            raise BrokenRow(file, 0, "moved", "must have lists of [line, shift] by metafile")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _checked(row: object, form: Form, text: str, file: str, section: str) -> None:
    problem = problem_of(row, form)
    if problem:
        name = str(row.get("name", row.get("at", ""))) if isinstance(row, dict) else ""
        raise BrokenRow(file, _line_of(text, row), f"{section}: {name[:80]}".rstrip(": "), problem)


def _line_of(text: str, row: object) -> int:
    """The line of a row that stands on a line of its own, as `zoo index build` writes it; 0 when it does not."""
    wanted = json.dumps(row, ensure_ascii=False)
    lines = enumerate(text.split("\n"), 1)
    return next((number for number, line in lines if line.rstrip(",").endswith(wanted)), 0)


def problem_of(value: object, form: Form) -> str | None:
    """What is wrong with a value; None when it has the form."""
    if isinstance(form, Fields):
        if not isinstance(value, dict):
            return "must be a mapping"
        unknown = sorted(value.keys() - form.forms.keys())
        missing = [key for key in form.needed if key not in value]
        if unknown or missing:
            return f"unknown key {unknown[0]}" if unknown else f"{missing[0]} is missing"
        return _first(f"{key}: {problem}" for key in value if (problem := problem_of(value[key], form.forms[key])))
    if isinstance(form, Many):
        if not isinstance(value, list):
            return "must be a list"
        return _first(problem for each in value if (problem := problem_of(each, form.of)))
    if isinstance(form, Words):
        return None if value in form.allowed else f"{str(value)[:40]!r} is none of {', '.join(form.allowed)}"
    if isinstance(form, re.Pattern):
        return None if isinstance(value, str) and form.fullmatch(value) else f"{str(value)[:80]!r} has the wrong form"
    return _plain_problem(value, form)


def _first(problems: Iterator[str]) -> str | None:
    return next(problems, None)


def _plain_problem(value: object, form: type) -> str | None:
    if form is object:
        return None
    if form is bool or isinstance(value, bool):
        return None if form is bool and isinstance(value, bool) else "must be true or false"
    if form is str:
        is_text = isinstance(value, str) and 0 < len(value) <= LONGEST_TEXT
        return None if is_text else f"must be a text of 1 to {LONGEST_TEXT} characters"
    if form is int:
        return None if isinstance(value, int) and 0 <= value < 2**62 else "must be a whole number"
    is_number = isinstance(value, (int, float)) and math.isfinite(value) and abs(value) < 2**62
    return None if is_number else "must be a number"


def _unique(models: list[dict[str, Any]], text: str, file: str) -> None:
    seen: set[tuple[str, int]] = set()
    for row in models:
        key = (row["name"], row.get("ordinal", 1))
        if key in seen:
            raise BrokenRow(file, _line_of(text, row), f"models: {row['name']}", f"entry {key[1]} stands twice")
        seen.add(key)
