"""The models' tables of `zoo.db`, filled from the documents in `index/models/`.

Works on an open connection; `releases` reads the files. Rows get their numbers in one fixed order (project, newest
release first, name), so the same documents give the same database. A model without a paper, README, code or training
fact of its own takes its collection's, as upstream means it. What several releases say alike is one row of `model`,
`collection` or `issue`; the releases are links to it (docs/adr/0010).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zoo_cli.catalog.compiler.aliases import KnownModel, find_aliases
from zoo_cli.catalog.compiler.derived import cpu_answers, load_derived
from zoo_cli.catalog.compiler.readmes import (
    load_logs,
    mark_readme_models,
    read_readme_checkpoints,
    with_readme_models,
)
from zoo_cli.catalog.compiler.releases import ReleaseDocument, read_releases
from zoo_cli.catalog.compiler.search import load_search
from zoo_cli.catalog.names import query_name

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from pathlib import Path

    from zoo_cli.catalog.compiler.derived import CpuAnswers

# package: one release of a project. model: what a metafile says of a model, once however many releases say it.
# entry: a model in a release; the key is (package, the model's name, ordinal). Where upstream says it is the metafile
# of the model and the line of the entry; so with collections and issues. cpu_ok: yes | no | NULL for unknown.
# file: one checkpoint file wherever it is kept; file_url: its addresses. metric_name: one row a name whatever its
# spelling; a share's value is in percent, `published` is the fraction where upstream writes one. rank: 0 is the newest
# release of a project. Texts that people compare fold ASCII case.
SCHEMA = """
CREATE TABLE package (
  id INTEGER PRIMARY KEY, project TEXT NOT NULL, version TEXT NOT NULL, rank INTEGER NOT NULL, file TEXT NOT NULL,
  url TEXT NOT NULL, sha256 TEXT NOT NULL, size_bytes INTEGER, date TEXT NOT NULL, source TEXT NOT NULL,
  evidence TEXT NOT NULL, config_root TEXT NOT NULL, record_sha256 TEXT, main_metric INTEGER,
  models INTEGER NOT NULL, UNIQUE (project, rank));
CREATE TABLE collection (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL COLLATE NOCASE, metafile TEXT NOT NULL,
  paper_title TEXT, paper_url TEXT, readme TEXT, code TEXT, license TEXT);
CREATE TABLE collection_entry (package INTEGER NOT NULL, collection INTEGER NOT NULL, line INTEGER);
CREATE INDEX collection_entry_package ON collection_entry (package);
CREATE TABLE model (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL COLLATE NOCASE,
  metafile TEXT NOT NULL, collection TEXT COLLATE NOCASE, config TEXT COLLATE NOCASE, config_state TEXT NOT NULL,
  files INTEGER NOT NULL, training_data TEXT NOT NULL, epochs REAL, iterations REAL, batch_size REAL, memory_gb REAL,
  params REAL, flops REAL, resources TEXT, extra TEXT NOT NULL, paper_title TEXT, paper_url TEXT, readme TEXT,
  code TEXT, license TEXT COLLATE NOCASE, converted_from TEXT);
CREATE INDEX model_name ON model (name);
CREATE INDEX model_config ON model (config);
CREATE INDEX model_collection ON model (collection);
CREATE INDEX model_params ON model (params) WHERE params IS NOT NULL;
CREATE INDEX model_flops ON model (flops) WHERE flops IS NOT NULL;
CREATE INDEX model_memory ON model (memory_gb) WHERE memory_gb IS NOT NULL;
CREATE TABLE entry (
  id INTEGER PRIMARY KEY, package INTEGER NOT NULL, model INTEGER NOT NULL, ordinal INTEGER NOT NULL, line INTEGER,
  cpu_ok TEXT);
CREATE INDEX entry_package ON entry (package);
CREATE INDEX entry_model ON entry (model);
CREATE TABLE file (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, size_bytes INTEGER, sha256 TEXT, prefix TEXT, prefix_algorithm TEXT,
  prefix_state TEXT NOT NULL, license TEXT, license_source TEXT);
CREATE INDEX file_name ON file (name);
CREATE TABLE file_url (
  url TEXT NOT NULL, file INTEGER NOT NULL, rank INTEGER NOT NULL, PRIMARY KEY (url, file)) WITHOUT ROWID;
CREATE INDEX file_url_file ON file_url (file);
CREATE TABLE model_file (
  model INTEGER NOT NULL, ordinal INTEGER NOT NULL, role TEXT NOT NULL, file INTEGER NOT NULL,
  PRIMARY KEY (model, ordinal)) WITHOUT ROWID;
CREATE INDEX model_file_file ON model_file (file);
CREATE TABLE result (
  id INTEGER PRIMARY KEY, model INTEGER NOT NULL, task TEXT COLLATE NOCASE, dataset TEXT COLLATE NOCASE,
  dataset_raw TEXT);
CREATE INDEX result_model ON result (model);
CREATE INDEX result_dataset ON result (dataset);
CREATE INDEX result_task ON result (task);
CREATE TABLE metric_name (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE, label TEXT NOT NULL);
CREATE TABLE metric (
  id INTEGER PRIMARY KEY, model INTEGER NOT NULL, result INTEGER NOT NULL, name INTEGER NOT NULL, value REAL,
  unit TEXT NOT NULL, text TEXT, published REAL);
CREATE INDEX metric_value ON metric (name, value, model, result);
CREATE INDEX metric_model ON metric (model);
CREATE TABLE inference (
  model INTEGER NOT NULL, value_ms REAL NOT NULL, hardware TEXT, backend TEXT, batch_size INTEGER, mode TEXT,
  resolution TEXT);
CREATE INDEX inference_model ON inference (model);
CREATE TABLE log (model INTEGER NOT NULL, url TEXT NOT NULL, source TEXT NOT NULL);
CREATE INDEX log_model ON log (model);
CREATE TABLE alias (name TEXT NOT NULL COLLATE NOCASE, model INTEGER NOT NULL, via TEXT NOT NULL,
  PRIMARY KEY (name, model)) WITHOUT ROWID;
CREATE TABLE issue (
  id INTEGER PRIMARY KEY, kind TEXT NOT NULL, metafile TEXT NOT NULL, subject TEXT NOT NULL, detail TEXT NOT NULL,
  blocks INTEGER NOT NULL);
CREATE TABLE issue_entry (package INTEGER NOT NULL, issue INTEGER NOT NULL, line INTEGER);
CREATE INDEX issue_entry_package ON issue_entry (package)
"""


def load_models(connection: sqlite3.Connection, index_directory: Path) -> None:
    """Creates and fills the models' tables.

    Raises:
        BrokenRow: A document breaks its schema.
    """
    readme = read_readme_checkpoints(index_directory)
    fill_models(connection, with_readme_models(list(read_releases(index_directory)), readme))
    mark_readme_models(connection, readme)
    load_logs(connection, index_directory)


def fill_models(connection: sqlite3.Connection, documents: list[ReleaseDocument]) -> None:
    """Creates the models' tables and fills them with what documents say."""
    for statement in SCHEMA.split(";"):
        connection.execute(statement)
    tables = _fill(documents, cpu_answers(connection))
    for name, rows in tables.rows.items():
        places = ",".join("?" * len(rows[0]))
        connection.executemany(f"INSERT INTO {name} VALUES ({places})", rows)  # noqa: S608 - names are ours
    for name in tables.rows:
        connection.execute(f"ANALYZE {name}")  # how selective each index is: a search begins at the right one
    load_derived(connection)
    load_search(connection)


@dataclass
class _Tables:
    """Rows by table, numbered from 1 in the order they come."""

    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=lambda: defaultdict(list))
    known: dict[bytes, int] = field(default_factory=dict)  # digest of what a row says -> its number
    files: dict[str, int] = field(default_factory=dict)  # address -> file
    metrics: dict[str, int] = field(default_factory=dict)  # folded query name -> metric_name

    def add(self, table: str, *values: object) -> int:
        """Adds a row with the next number of its table before the values, and returns the number."""
        rows = self.rows[table]
        rows.append((len(rows) + 1, *values))
        return len(rows)

    def once(self, table: str, values: tuple[object, ...], *, more: object = None) -> tuple[int, bool]:
        """The number of the row that says this (`more`: in other tables, too), and whether it is new."""
        digest = hashlib.blake2b(repr((table, values, more)).encode(), digest_size=16).digest()
        number = self.known.get(digest)
        if number is not None:
            return number, False
        self.known[digest] = number = self.add(table, *values)
        return number, True


def _fill(documents: list[ReleaseDocument], cpu: CpuAnswers) -> _Tables:
    tables = _Tables()
    _name_metrics(tables, documents)
    known: list[KnownModel] = []
    for rank, document in _ranked(documents):
        release = document.release
        package = tables.add(
            "package", release["project"], release["version"], rank, release["file"], release["url"],
            release.get("sha256", ""), release.get("size_bytes"), release["date"], release["source"],
            release["evidence"], release.get("config_root", ""), release.get("record_sha256"),
            _main_metric(tables, document), len(document.models),
        )  # fmt: skip
        collections = _collections(tables, package, document)
        for row in document.models:
            number = _model(tables, row, _collection_of(row, collections))
            answer = cpu(release["project"], release["version"], row.get("config"))
            tables.add("entry", package, number, row.get("ordinal", 1), _line(row), answer)
            urls = tuple(each["url"] for each in row.get("weights", []))
            aliases = tuple(row.get("aliases", []))
            known.append(KnownModel(number, release["project"], rank, row["name"], urls, aliases, release["date"]))
        for row in document.issues:
            said = (row["kind"], _metafile(row), row.get("subject", ""), row["detail"], row.get("blocks", False))
            tables.rows["issue_entry"].append((package, tables.once("issue", said)[0], _line(row)))
    tables.rows["alias"] = [(each.name, each.model, each.via) for each in find_aliases(known)]
    return _Tables({name: rows for name, rows in tables.rows.items() if rows})


def _ranked(documents: list[ReleaseDocument]) -> Iterable[tuple[int, ReleaseDocument]]:
    """Documents by project, the newest release first, each with its rank."""
    from packaging.version import Version

    projects: defaultdict[str, list[ReleaseDocument]] = defaultdict(list)
    for document in documents:
        projects[document.release["project"]].append(document)
    for _project, releases in sorted(projects.items()):
        newest_first = sorted(releases, key=lambda each: Version(each.release["version"]), reverse=True)
        # A pre-release is the newest only where there is nothing else.
        yield from enumerate(sorted(newest_first, key=lambda each: Version(each.release["version"]).is_prerelease))


def _values(documents: Iterable[ReleaseDocument]) -> Iterable[str]:
    for document in documents:
        for model in document.models:
            for result in model.get("results", []):
                yield from (metric["name"] for metric in result.get("metrics", []))


def _name_metrics(tables: _Tables, documents: list[ReleaseDocument]) -> None:
    """One row a metric, whatever its spelling: the most frequent one is shown."""
    spellings: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for label in _values(documents):
        spellings[query_name(label).casefold()][label] += 1
    for folded, counts in sorted(spellings.items()):
        label = min(counts, key=lambda each: (-counts[each], each))
        tables.metrics[folded] = tables.add("metric_name", query_name(label), label)


def _main_metric(tables: _Tables, document: ReleaseDocument) -> int | None:
    """The metric that most of the release's values are of."""
    counts = Counter(tables.metrics[query_name(label).casefold()] for label in _values([document]))
    return min(counts, key=lambda each: (-counts[each], each), default=None)


def _collections(tables: _Tables, package: int, document: ReleaseDocument) -> dict[tuple[str, str], dict[str, Any]]:
    """Writes the release's collections; returns them by name and metafile, and by name and ""."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in document.collections:
        paper = row.get("paper", {})
        said = (
            row["name"], _metafile(row), paper.get("title"), paper.get("url"), row.get("readme"), row.get("code"),
            row.get("license"),
        )  # fmt: skip
        tables.rows["collection_entry"].append((package, tables.once("collection", said)[0], _line(row)))
        found.setdefault((row["name"], _metafile(row)), row)
        found.setdefault((row["name"], ""), row)
    return found


def _collection_of(model: dict[str, Any], collections: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    name = model.get("collection", "")
    own = collections.get((name, _metafile(model)))
    return own or collections.get((name, ""), {})


def _metafile(row: dict[str, Any]) -> str:
    """The file that a record stands in: what is before the line of its `at`."""
    return re.sub(r":\d+$", "", str(row["at"]))


def _line(row: dict[str, Any]) -> int | None:
    line = str(row["at"])[len(_metafile(row)) + 1 :]
    return int(line) if line else None


def _model(tables: _Tables, row: dict[str, Any], collection: dict[str, Any]) -> int:
    """The number of what is said of a model; written when no release before says the same."""
    inherited, own = collection.get("training", {}), row.get("training", {})
    training = {**inherited, **own, "extra": {**inherited.get("extra", {}), **own.get("extra", {})}}
    paper = row.get("paper") or collection.get("paper", {})
    numbers = (training.get(key) for key in ("epochs", "iterations", "batch_size", "memory_gb", "params", "flops"))
    said = (
        row["name"], _metafile(row), row.get("collection"), row.get("config"), row["config_state"],
        len(row.get("weights", [])), json.dumps(training.get("data", []), ensure_ascii=False), *numbers,
        training.get("resources"), json.dumps(training["extra"], ensure_ascii=False, sort_keys=True),
        paper.get("title"), paper.get("url"), row.get("readme") or collection.get("readme"),
        row.get("code") or collection.get("code"), row.get("license"), row.get("converted_from"),
    )  # fmt: skip
    lists = (row.get("weights"), training.get("inference"), row.get("logs"), row.get("results"))
    model, is_new = tables.once("model", said, more=lists)
    if not is_new:
        return model
    for ordinal, weights in enumerate(row.get("weights", []), 1):
        tables.rows["model_file"].append((model, ordinal, "checkpoint", _file(tables, weights)))
    for time in training.get("inference", []):
        keys = ("value_ms", "hardware", "backend", "batch_size", "mode", "resolution")
        tables.rows["inference"].append((model, *(time.get(key) for key in keys)))
    tables.rows["log"] += [(model, url, "metafile") for url in row.get("logs", [])]
    _results(tables, model, row)
    return model


def _file(tables: _Tables, weights: dict[str, Any]) -> int:
    """The file at an address, written when it is new; its digest prefix is the one its own name carries."""
    url = weights["url"]
    if url not in tables.files:
        prefix, size, sha256 = weights.get("prefix"), weights.get("size_bytes"), weights.get("sha256")
        algorithm = weights.get("prefix_algorithm", "sha256") if prefix else None
        number = tables.add("file", weights["name"], size, sha256, prefix, algorithm, "unknown", None, None)
        tables.files[url] = number
        tables.rows["file_url"].append((url, number, 0))
    return tables.files[url]


def _results(tables: _Tables, model: int, row: dict[str, Any]) -> None:
    for result in row.get("results", []):
        number = tables.add("result", model, result.get("task"), result.get("dataset"), None)
        for metric in result.get("metrics", []):
            name = tables.metrics[query_name(metric["name"]).casefold()]
            value, published = _in_percent(metric)
            tables.add("metric", model, number, name, value, metric["unit"], metric.get("text"), published)


def _in_percent(metric: dict[str, Any]) -> tuple[float | None, float | None]:
    """The value as it is compared, and as it was published where that differs: fractions are compared in percent."""
    value = metric.get("value")
    if value is None or metric["unit"] != "fraction":
        return value, None
    return round(value * 100, 6), value
