"""What only READMEs say of models: checkpoints that no metafile has, and training logs.

An edge: reads `index/extras/readme_checkpoints.json` and `training_logs.json`, strictly. A checkpoint of a README
becomes a model like any other, of a package of its own beside the release (`mmdet-readmes`); the table
`readme_checkpoint` says where each stands. A log belongs to a file name; it is given to the models
of that project which have the file, as the README of one of their own releases says, else as another release's does.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from zoo_cli.catalog.compiler.releases import MODEL, Fields, Form, Many, ReleaseDocument, Words, problem_of
from zoo_cli.catalog.compiler.rows import DATE, EVIDENCE, BrokenRow

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

SCHEMA_OF_SOURCES = 1
README_CHECKPOINTS = "extras/readme_checkpoints.json"
TRAINING_LOGS = "extras/training_logs.json"
SUFFIX = "-readmes"  # of the project that a README's models stand under
MAX_FILE_BYTES = 16 * 2**20
SCHEMA = """
CREATE TABLE readme_checkpoint (
  entry INTEGER PRIMARY KEY, kind TEXT NOT NULL, why TEXT NOT NULL, remark TEXT, source TEXT NOT NULL,
  date TEXT NOT NULL, evidence TEXT NOT NULL)
"""

_ADDRESS = re.compile(r"https?://[^\s<>\"]+")  # a log is read and not run: upstream's few http addresses stay
_RELEASE = re.compile(r"[a-z0-9][a-z0-9._-]*/[0-9][0-9A-Za-z.]*")
_ORIGIN = Fields({"source": str, "date": DATE, "evidence": Words(EVIDENCE)}, ("source", "date", "evidence"))
_CHECKPOINT = Fields(
    {
        "release": _RELEASE,
        "kind": Words(("detector", "proposal", "backbone", "other_package", "project", "original")),
        "why": Words(("readme_only", "not_imported", "old_release_only")),
        "in_index": Many(str),
        "remark": str,
        "model": MODEL,
    },
    ("release", "kind", "why", "model"),
)
_WITHOUT = Fields({"release": _RELEASE, "config": str, "dataset": str, "readme": str}, ("release", "config", "readme"))
_LOG = Fields(
    {"project": str, "file": str, "logs": Many(_ADDRESS), "releases": Many(str), "in_index": Many(str)},
    ("project", "file", "logs", "releases"),
)


def read_readme_checkpoints(index_directory: Path) -> list[dict[str, Any]]:
    """What only READMEs have, each with its `origin`: checkpoints, and rows without one; none without such a file.

    Raises:
        BrokenRow: The file does not follow its schema.
    """
    whole = _read(index_directory, README_CHECKPOINTS, {"checkpoints": _CHECKPOINT, "without_checkpoint": _WITHOUT})
    rows = [*whole["checkpoints"], *map(_without_checkpoint, whole["without_checkpoint"])]
    for row in rows:
        origin = whole["sources"].get(row["release"])
        problem = problem_of(origin, _ORIGIN)
        if problem:
            raise BrokenRow(README_CHECKPOINTS, 0, f"sources: {row['release']}", problem)
        row["origin"] = origin
    return rows


def _without_checkpoint(row: dict[str, Any]) -> dict[str, Any]:
    """A README's table row without a link, as a model that has a config and no checkpoint."""
    results = [{"dataset": row["dataset"]}] if "dataset" in row else []
    model = {
        "name": row["config"].rpartition("/")[2].removesuffix(".py"), "at": row["readme"], "config": row["config"],
        "config_state": "found", "results": results,
    }  # fmt: skip
    return {"release": row["release"], "kind": "detector", "why": "no_checkpoint", "model": model}


def _read(index_directory: Path, file: str, sections: dict[str, Form]) -> dict[str, Any]:
    path = index_directory / file
    if not path.is_file():
        return {"sources": {}, **{name: [] for name in sections}}
    try:
        content = path.read_bytes()
        whole = json.loads(content) if len(content) <= MAX_FILE_BYTES else None
    except (OSError, ValueError, RecursionError) as exc:
        raise BrokenRow(file, 0, "", f"cannot be read: {str(exc)[:100]}") from exc
    if not isinstance(whole, dict) or whole.get("schema") != SCHEMA_OF_SOURCES:
        raise BrokenRow(file, 0, "schema", f"must be {SCHEMA_OF_SOURCES}")
    if not isinstance(whole.get("sources"), dict):
        raise BrokenRow(file, 0, "sources", "must be a mapping")
    unknown = sorted(whole.keys() - {"schema", "sources", "counts", *sections})
    for name, form in sections.items():
        rows = whole.get(name)
        problem = problem_of(rows, Many(form))
        if problem or unknown:
            row = next((each for each in rows if problem_of(each, form)), None) if isinstance(rows, list) else None
            raise BrokenRow(file, _line_of(content, row), name, problem or f"unknown key {unknown[0]}")
    return whole


def _line_of(content: bytes, row: object) -> int:
    wanted = json.dumps(row, ensure_ascii=False).encode()
    lines = enumerate(content.split(b"\n"), 1)
    return next((number for number, line in lines if line.rstrip(b",") == wanted), 0)


def with_readme_models(
    documents: Sequence[ReleaseDocument], checkpoints: Sequence[dict[str, Any]]
) -> list[ReleaseDocument]:
    """The documents, and one more for each release whose READMEs have checkpoints of their own.

    Its project is `mmdet-readmes` beside `mmdet`, so counts and lists of a release stay what its metafiles say. A name
    that stands twice gets numbers. A release that the index has no document of is left out.
    """
    by_release: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in checkpoints:
        by_release[row["release"]].append(row)
    found = list(documents)
    for document in documents:
        project, version = document.release["project"], document.release["version"]
        names: Counter[str] = Counter()
        models: list[dict[str, Any]] = []
        for row in by_release[f"{project}/{version}"]:
            names[row["model"]["name"]] += 1
            row["model"]["ordinal"] = names[row["model"]["name"]]
            models.append(row["model"])
        if models:
            release = {**document.release, "project": project + SUFFIX}
            found.append(ReleaseDocument(README_CHECKPOINTS, release, models=models))
    return found


def mark_readme_models(connection: sqlite3.Connection, checkpoints: Sequence[dict[str, Any]]) -> None:
    """Writes which models come from a README, and where that stands."""
    connection.execute(SCHEMA)
    query = (
        "INSERT INTO readme_checkpoint SELECT e.id, ?, ?, ?, ?, ?, ? FROM entry e JOIN model m ON m.id = e.model "
        "JOIN package p ON p.id = e.package WHERE p.project = ? AND p.version = ? AND m.name = ? AND e.ordinal = ?"
    )
    for row in checkpoints:
        origin, model = row["origin"], row["model"]
        if "ordinal" in model:
            source = f"{origin['source']}/{model['at']}"
            project, _, version = row["release"].partition("/")
            facts = (row["kind"], row["why"], row.get("remark"), source, origin["date"], origin["evidence"])
            connection.execute(query, (*facts, project + SUFFIX, version, model["name"], model["ordinal"]))


def load_logs(connection: sqlite3.Connection, index_directory: Path) -> None:
    """Training logs that READMEs name, for every model with the file; a log that is known already is not added.

    Raises:
        BrokenRow: The file does not follow its schema.
    """
    whole = _read(index_directory, TRAINING_LOGS, {"logs": _LOG})
    by_file: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in whole["logs"]:
        by_file[row["project"], row["file"]].append(row)
    known = set(connection.execute("SELECT model, url FROM log"))
    query = (
        "SELECT e.model, p.project, json_group_array(DISTINCT p.version), f.name FROM entry e "
        "JOIN package p ON p.id = e.package JOIN model_file x ON x.model = e.model JOIN file f ON f.id = x.file "
        "GROUP BY e.model, p.project, x.ordinal ORDER BY e.model, p.project, x.ordinal"
    )
    for model, project, versions, name in connection.execute(query).fetchall():
        rows = by_file.get((project, name), [])
        said = set(json.loads(versions))
        own = next((row for row in rows if said.intersection(row["releases"])), rows[0] if rows else {"logs": []})
        for url in own["logs"]:
            if (model, url) not in known:
                known.add((model, url))
                connection.execute("INSERT INTO log VALUES (?, ?, 'readme')", (model, url))
