"""The compatibility tables of `zoo.db`, and the collector that fills them in a fixed order.

Pure. Loaders `add` rows with a key and an order; the collector refuses a key it has, and gives the rows back sorted, so
the same index always gives the same bytes. Lists are stored as words separated by spaces, small mappings as JSON with
sorted keys; `zoo_cli.catalog.compat` reads both.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from zoo_cli.catalog.compiler.rows import DATE, EVIDENCE, Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Value = str | int | bytes | None

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE origin (id INTEGER PRIMARY KEY, source TEXT NOT NULL, date TEXT NOT NULL, evidence TEXT NOT NULL);
CREATE TABLE torch_build (
  platform TEXT NOT NULL, version TEXT NOT NULL, variant TEXT NOT NULL, python_tags TEXT NOT NULL, targets TEXT,
  targets_origin INTEGER, torchvision TEXT, torchaudio TEXT, released TEXT NOT NULL, requires_python TEXT,
  index_url TEXT NOT NULL, index_kind TEXT NOT NULL, file_url TEXT NOT NULL, local TEXT NOT NULL,
  platform_tag TEXT NOT NULL, on_pypi INTEGER NOT NULL, glibc TEXT, origin INTEGER NOT NULL);
CREATE INDEX torch_build_platform ON torch_build (platform);
CREATE TABLE ops_wheels (
  platform TEXT NOT NULL, project TEXT NOT NULL, provider TEXT NOT NULL, import_name TEXT NOT NULL,
  version TEXT NOT NULL, torch TEXT NOT NULL, variant TEXT NOT NULL, python_tags TEXT NOT NULL, targets TEXT,
  page_url TEXT NOT NULL, file_url TEXT, sha256 TEXT, origin INTEGER NOT NULL, glibc TEXT);
CREATE INDEX ops_wheels_platform ON ops_wheels (platform, project);
CREATE TABLE framework_release (
  project TEXT NOT NULL, version TEXT NOT NULL, import_name TEXT NOT NULL, provider TEXT NOT NULL,
  released TEXT NOT NULL, requires_python TEXT, declared TEXT NOT NULL, declared_in TEXT, asserted TEXT NOT NULL,
  pins TEXT NOT NULL, is_yanked INTEGER NOT NULL, origin INTEGER NOT NULL);
CREATE TABLE cpu_use (
  project TEXT NOT NULL, version TEXT NOT NULL, folder TEXT NOT NULL, op TEXT NOT NULL, effect TEXT NOT NULL,
  configs INTEGER NOT NULL, of_configs INTEGER NOT NULL, note TEXT, origin INTEGER NOT NULL,
  PRIMARY KEY (project, version, folder, op)) WITHOUT ROWID;
CREATE TABLE cpu_release (
  project TEXT NOT NULL, version TEXT NOT NULL, uses TEXT NOT NULL, but TEXT NOT NULL, sync_bn INTEGER NOT NULL,
  origin INTEGER NOT NULL, PRIMARY KEY (project, version)) WITHOUT ROWID;
CREATE TABLE wall (
  id TEXT PRIMARY KEY, affects TEXT NOT NULL, needs TEXT NOT NULL, severity TEXT NOT NULL, fact TEXT NOT NULL,
  platforms TEXT NOT NULL, python TEXT NOT NULL, origin INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE toolkit (
  cuda TEXT NOT NULL, native_linux TEXT, native_windows TEXT, floor_linux TEXT, floor_windows TEXT,
  origin INTEGER NOT NULL);
CREATE TABLE image (
  name TEXT PRIMARY KEY, cuda TEXT, python TEXT NOT NULL, glibc TEXT NOT NULL, apt TEXT NOT NULL, arches TEXT NOT NULL,
  origin INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE system_package (project TEXT PRIMARY KEY, apt TEXT NOT NULL, origin INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE gpu_model (
  name TEXT PRIMARY KEY, capability TEXT NOT NULL, architecture TEXT NOT NULL, is_jetson INTEGER NOT NULL,
  origin INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE gpu_report (
  project TEXT NOT NULL, versions TEXT NOT NULL, capability TEXT NOT NULL, gpu TEXT NOT NULL, platform TEXT,
  torch TEXT, variant TEXT, python_tag TEXT, works INTEGER NOT NULL, cure TEXT, origin INTEGER NOT NULL);
CREATE TABLE wheel_hash (address TEXT PRIMARY KEY, sha256 BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE provider (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, title TEXT NOT NULL, urls TEXT NOT NULL, note TEXT,
  origin INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE project (
  name TEXT PRIMARY KEY, import_name TEXT NOT NULL, provider TEXT NOT NULL, kind TEXT NOT NULL, urls TEXT NOT NULL,
  sdist_url TEXT, sdists TEXT NOT NULL, aliases TEXT NOT NULL, conflicts TEXT NOT NULL,
  origin INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE recipe (
  project TEXT PRIMARY KEY, requires TEXT NOT NULL, needs_torch INTEGER NOT NULL, folders TEXT NOT NULL,
  cuda_folders TEXT NOT NULL, variables TEXT NOT NULL, cuda_switch TEXT, seconds INTEGER, stock_seconds INTEGER,
  origin INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE project_alias (alias TEXT PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID;
"""


class Collector:
    """Rows for every table, without duplicates, given back in a fixed order."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[tuple[Value, ...], tuple[tuple[object, ...], tuple[Value, ...]]]] = {}
        self._lines: dict[tuple[str, tuple[Value, ...]], Row] = {}
        self._origins: dict[tuple[str, str, str], int] = {}

    def origin(self, source: str, date: str, evidence: str) -> int:
        """The number of that origin."""
        return self._origins.setdefault((source, date, evidence), len(self._origins) + 1)

    def add(
        self, table: str, row: Row, key: tuple[Value, ...], values: tuple[Value, ...], order: tuple[object, ...] = ()
    ) -> None:
        """Put a row into a table.

        Args:
            table: Its name in SCHEMA.
            row: The source row it comes from.
            key: What must be there once only.
            values: One for each column.
            order: What the table is sorted by, before `key`.

        Raises:
            BrokenRow: The key is there already.
        """
        rows = self._tables.setdefault(table, {})
        if key in rows:
            first = self._lines[table, key]
            row.broken(f"says again what {first.file}:{first.line} says ({' '.join(str(part) for part in key)})")
        rows[key] = ((*order, *(("",) if part is None else part for part in key)), values)
        self._lines[table, key] = row

    def tables(self) -> Iterator[tuple[str, list[tuple[Value, ...]]]]:
        """Every table with its rows, sorted."""
        yield "origin", [(number, *key) for key, number in self._origins.items()]
        for name, rows in sorted(self._tables.items()):
            yield name, [values for _, values in sorted(rows.values(), key=lambda pair: pair[0])]

    def keys(self, table: str) -> Iterable[tuple[Value, ...]]:
        """The keys a table has so far."""
        return self._tables.get(table, {}).keys()

    def newest_date(self) -> str:
        """The newest day on which a fact was read."""
        return max((date for _, date, _ in self._origins), default="")


class Origins:
    """The origins of one file: named ones, and rows that write their own."""

    def __init__(self, document: Row, collector: Collector) -> None:
        self._collector = collector
        self._named: dict[str, int] = {}
        if document.has("origins"):
            for name, row in document.fields("origins"):
                self._named[name] = self._read(row, {})

    def _read(self, row: Row, fill: Mapping[str, str]) -> int:
        source = filled(row.text("source"), fill)
        return self._collector.origin(source, row.text("date", DATE), row.choice("evidence", EVIDENCE))

    def of(self, row: Row, key: str = "origin", default: int | None = None, **fill: str) -> int:
        """The origin a row names or writes out; `default` is what it inherits.

        Raises:
            BrokenRow: There is none, or the name is not in `origins`.
        """
        if not row.has(key):
            if default is None:
                row.broken("no origin: every fact says where it stands")
            return default
        if row.is_row(key):
            inner = row.row(key)
            number = self._read(inner, fill)
            inner.done()
            return number
        return self.named(row, row.text(key))

    def named(self, row: Row, name: str) -> int:
        """The origin of that name in this file."""
        if name not in self._named:
            row.broken(f"no origin is named {name}")
        return self._named[name]


def filled(template: str, values: Mapping[str, str]) -> str:
    """The template with {name} replaced by its value; names without a value stay."""
    for name, value in values.items():
        template = template.replace("{" + name + "}", value)
    return template


def words(values: Iterable[str]) -> str:
    """A list as one text."""
    return " ".join(values)


def document(values: Mapping[str, str]) -> str:
    """A mapping as one text."""
    return json.dumps(dict(sorted(values.items())), ensure_ascii=False, separators=(",", ":"))
