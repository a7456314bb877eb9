"""The entries of a lab: documents of its own models, packed for signing, read strictly, and joined to zoo's.

`lab_text` packs, `read_lab` reads; pure. `join_labs` is an edge: it copies a database and adds rows to it. A lab's
packages are called `<namespace>/<package>`; a document that names another one is refused as a whole, so that nothing
of zoo's or of another lab's can be changed by it. What a lab's documents can hold is models: no facts about wheels,
drivers or sources of packages.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

from zoo_cli.catalog.compiler.models import fill_models
from zoo_cli.catalog.compiler.releases import ReleaseDocument, read_document
from zoo_cli.catalog.compiler.rows import BrokenRow
from zoo_cli.catalog.compiler.search import add_search

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zoo_cli.catalog.compiler.deltas import Document

LAB_SCHEMA = 1  # of the packed documents, whatever the tables of a version of zoo
MAX_BYTES = 16 << 20  # unpacked: some thousand models
MAX_RELEASES = 2000
_KEYS = {"schema", "namespace", "documents"}
_ADDRESS = re.compile(r"https?://[^\s<>\"]+")

# Columns that hold the number of a row of that table; all other columns are copied as they are.
_NUMBERS: dict[str, dict[str, str]] = {
    "package": {"id": "package", "main_metric": "metric_name"},
    "collection": {"id": "collection"},
    "collection_entry": {"package": "package", "collection": "collection"},
    "model": {"id": "model"},
    "entry": {"id": "entry", "package": "package", "model": "model"},
    "file": {"id": "file"},
    "file_url": {"file": "file"},
    "model_file": {"model": "model", "file": "file"},
    "result": {"id": "result", "model": "model"},
    "metric": {"id": "metric", "model": "model", "result": "result", "name": "metric_name"},
    "inference": {"model": "model"},
    "log": {"model": "model"},
    "alias": {"model": "model"},
    "issue": {"id": "issue"},
    "issue_entry": {"package": "package", "issue": "issue"},
    "derived": {"model": "model"},
}


class OutsideNamespace(BrokenRow):
    """A lab's document names a package that is not the lab's."""


@dataclass(frozen=True, slots=True)
class Lab:
    """What a lab publishes; the packages of `documents` carry the namespace."""

    namespace: str
    documents: tuple[ReleaseDocument, ...]

    @property
    def date(self) -> str:
        """The newest day of a release; "" when there is none."""
        return max((each.release["date"] for each in self.documents), default="")


def lab_text(namespace: str, documents: Iterable[Document]) -> bytes:
    """Whole documents as they are signed: each package under the namespace, the same bytes for the same documents."""
    packed: list[dict[str, Any]] = []
    for each in documents:
        release = {**each["release"], "project": f"{namespace}/{each['release']['project']}"}
        packed.append({**each, "release": release})
    packed.sort(key=lambda each: (each["release"]["project"], each["release"]["version"]))
    whole = {"schema": LAB_SCHEMA, "namespace": namespace, "documents": packed}
    return json.dumps(whole, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def read_lab(body: bytes, namespace: str) -> Lab:
    """The documents of a lab.

    Raises:
        OutsideNamespace: One names a package that is not below the namespace.
        BrokenRow: They do not follow the schema.
    """
    file = f"the documents of {namespace}"
    try:
        whole = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise BrokenRow(file, 0, "", f"no JSON: {str(exc)[:100]}") from exc
    if not isinstance(whole, dict) or whole.keys() != _KEYS:
        raise BrokenRow(file, 0, "", f"must have exactly {', '.join(sorted(_KEYS))}")
    if whole["schema"] != LAB_SCHEMA:
        raise BrokenRow(file, 0, "schema", f"{str(whole['schema'])[:20]!r}: this zoo reads schema {LAB_SCHEMA}")
    if whole["namespace"] != namespace:
        raise OutsideNamespace(file, 0, "namespace", f"{str(whole['namespace'])[:40]!r} is not {namespace}")
    documents = whole["documents"]
    if not isinstance(documents, list) or len(documents) > MAX_RELEASES:
        raise BrokenRow(file, 0, "documents", f"must be a list of at most {MAX_RELEASES} releases")
    found = tuple(_document(each, namespace, file) for each in documents)
    if len({(each.release["project"], Version(each.release["version"])) for each in found}) < len(found):
        raise BrokenRow(file, 0, "documents", "a release stands twice")
    return Lab(namespace, found)


def _document(value: object, namespace: str, file: str) -> ReleaseDocument:
    release = value.get("release") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(release, dict) or "like" in value:
        raise BrokenRow(file, 0, "documents", "must be whole documents of releases")
    project, version = str(release.get("project"))[:200], str(release.get("version"))[:100]
    if not project.startswith(f"{namespace}/"):
        raise OutsideNamespace(file, 0, f"release: {project} {version}", f"is not below {namespace}/")
    bare = {**value, "release": {**release, "project": project.removeprefix(f"{namespace}/")}}
    plain = read_document(json.dumps(bare), f"models/{bare['release']['project']}/{version}.json")
    try:
        Version(version)
    except InvalidVersion as exc:
        raise BrokenRow(file, 0, f"release: {project}", f"{version!r} is no version (PEP 440)") from exc
    for model in plain["models"]:
        for address in (*(each["url"] for each in model.get("weights", [])), *model.get("logs", [])):
            if not _ADDRESS.fullmatch(address):
                raise BrokenRow(file, 0, f"models: {model['name'][:80]}", f"{address[:80]!r} is no http address")
    whole = ReleaseDocument(file, plain["release"], plain["collections"], plain["models"], plain["issues"])
    return replace(whole, release={**plain["release"], "project": project})


def tables_of(lab: Lab) -> sqlite3.Connection:
    """The lab's own tables, in memory: what follows every rule of the schema may still be nothing that can be stored.

    Raises:
        BrokenRow: Such as half a character, or a number that no table holds.
    """
    connection = sqlite3.connect(":memory:")
    try:
        fill_models(connection, list(lab.documents))
    except (ArithmeticError, ValueError, TypeError, RecursionError, sqlite3.Error) as exc:
        connection.close()
        problem = f"cannot be stored: {type(exc).__name__}: {str(exc)[:100]}"
        raise BrokenRow(f"the documents of {lab.namespace}", 0, "", problem) from exc
    return connection


def join_labs(base: Path, labs: Sequence[Lab], destination: Path) -> None:
    """A copy of a database of zoo's facts with the labs' entries added.

    Raises:
        BrokenRow: An entry cannot be stored.
        OSError: The destination cannot be written; then nothing is left of it.
    """
    handle, temporary = tempfile.mkstemp(dir=destination.parent, prefix=".joined-")
    os.close(handle)
    try:
        shutil.copyfile(base, temporary)
        with closing(sqlite3.connect(temporary, isolation_level=None)) as connection:
            connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF")
            connection.execute("BEGIN")
            for lab in labs:
                with closing(tables_of(lab)) as own:
                    _add(connection, own)
            connection.execute("COMMIT")
        Path(temporary).chmod(0o644)
        Path(temporary).replace(destination)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _add(connection: sqlite3.Connection, own: sqlite3.Connection) -> None:
    """Adds all rows of a lab's tables, their numbers moved behind those that are there."""
    metrics = _metrics(connection, own)
    tables = {table for table, columns in _NUMBERS.items() if "id" in columns}
    starts = {table: _highest(connection, table) for table in tables}
    model_start = starts["model"]
    for table, numbers in _NUMBERS.items():
        cursor = own.execute(f"SELECT * FROM {table}")  # noqa: S608 - names are ours
        names = [column[0] for column in cursor.description]
        moves = [(at, numbers[name]) for at, name in enumerate(names) if name in numbers]
        rows: list[list[Any]] = []
        for row in map(list, cursor):
            for at, target in moves:
                if row[at] is not None:
                    row[at] = metrics[row[at]] if target == "metric_name" else row[at] + starts[target]
            rows.append(row)
        places = ",".join("?" * len(names))
        connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows)  # noqa: S608 - names are ours
    add_search(connection, own, model_start)


def _metrics(connection: sqlite3.Connection, own: sqlite3.Connection) -> dict[int, int]:
    """The number in zoo's tables of each metric of the lab; a new name gets the next one."""
    found: dict[int, int] = {}
    for number, name, label in own.execute("SELECT id, name, label FROM metric_name").fetchall():
        known = connection.execute("SELECT id FROM metric_name WHERE name = ?", (name,)).fetchone()
        if known is None:
            connection.execute("INSERT INTO metric_name (name, label) VALUES (?, ?)", (name, label))
            known = connection.execute("SELECT id FROM metric_name WHERE name = ?", (name,)).fetchone()
        found[number] = known[0]
    return found


def _highest(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()[0])  # noqa: S608
