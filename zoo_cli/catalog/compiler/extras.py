"""Facts that stand in no released package: backbones, benchmark tables, the baselines of a page, stale digits.

Pure. Each row of `index/extras/*.yaml` names its origin, as in `index/compat`; `zoo_cli.catalog.extras` reads the
tables. What READMEs say of models is in `readmes`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from zoo_cli.catalog.compiler.rows import URL, BrokenRow, Row
from zoo_cli.catalog.compiler.tables import Collector, Origins, document

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

SCHEMA_OF_SOURCES = "1"
EXTRAS = ("backbones", "baselines", "benchmarks", "stale_prefixes")
EXTRAS_SCHEMA = """
CREATE TABLE backbone_norm (
  name TEXT PRIMARY KEY, mean TEXT NOT NULL, std TEXT NOT NULL, to_rgb INTEGER NOT NULL,
  origin INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE backbone_alias (
  alias TEXT PRIMARY KEY, scheme TEXT NOT NULL, url TEXT, family TEXT, norm TEXT, trained_on TEXT,
  replaced_by TEXT, origin INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE backbone_use (
  alias TEXT NOT NULL, mean TEXT NOT NULL, std TEXT NOT NULL, to_rgb INTEGER NOT NULL, configs INTEGER NOT NULL,
  origin INTEGER NOT NULL);
CREATE TABLE backbone_page (
  model TEXT PRIMARY KEY, publisher TEXT NOT NULL, url TEXT NOT NULL, norm TEXT NOT NULL, alias TEXT,
  converted_from TEXT, origin INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE benchmark (
  name TEXT NOT NULL, subject TEXT NOT NULL, implementation TEXT NOT NULL, metric TEXT NOT NULL, value REAL NOT NULL,
  unit TEXT NOT NULL, hardware TEXT NOT NULL, url TEXT, origin INTEGER NOT NULL);
CREATE TABLE benchmark_checkpoint (
  subject TEXT PRIMARY KEY, config_2x TEXT NOT NULL, config_3x TEXT NOT NULL, detectron2_config TEXT NOT NULL,
  url TEXT NOT NULL, log TEXT NOT NULL, origin INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE benchmark_difference (
  place TEXT PRIMARY KEY, page TEXT NOT NULL, translation TEXT NOT NULL, origin INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE baseline (
  position INTEGER PRIMARY KEY, section TEXT NOT NULL, name TEXT NOT NULL, translation TEXT, folders_2x TEXT NOT NULL,
  folders_3x TEXT NOT NULL, in_metafiles TEXT NOT NULL, readme_only TEXT NOT NULL, origin INTEGER NOT NULL);
CREATE TABLE stale_prefix (url TEXT PRIMARY KEY, prefix TEXT, origin INTEGER NOT NULL) WITHOUT ROWID;
"""
STALE = "stale: "  # in `file.prefix_state`, before where that is known from

_ALIAS = re.compile(r"(mmcls|open-mmlab|torchvision)://[A-Za-z0-9_./+-]{1,120}")
_NUMBER = re.compile(r"\d{1,6}(\.\d{1,6})?")
_DIGITS = re.compile(r"[0-9a-f]{8}")
_COUNT = re.compile(r"\d{1,6}")
_TRIPLE = re.compile(r"\d+(\.\d*)?( \d+(\.\d*)?){2}")


def load_extras(documents: Mapping[str, Row], collector: Collector) -> None:
    """The tables of `index/extras/*.yaml`, by the name of the file.

    Raises:
        BrokenRow: A row breaks the schema.
    """
    loaders = {
        "backbones": _backbones, "baselines": _baselines, "benchmarks": _benchmarks, "stale_prefixes": _stale_prefixes,
    }  # fmt: skip
    for name, source in sorted(documents.items()):
        if source.text("schema") != SCHEMA_OF_SOURCES:
            source.broken(f"schema must be {SCHEMA_OF_SOURCES}")
        loaders[name](source, collector)
        source.done()


def mark_stale(connection: sqlite3.Connection) -> None:
    """Files whose names carry digits that are no longer theirs get those that are known instead, or none.

    Raises:
        BrokenRow: An address is in no release.
    """
    query = "SELECT s.url, s.prefix, o.source, o.date FROM stale_prefix s JOIN origin o ON o.id = s.origin"
    for url, prefix, source, date in connection.execute(query).fetchall():
        changed = connection.execute(
            "UPDATE file SET prefix = ?, prefix_state = ? WHERE id IN (SELECT file FROM file_url WHERE url = ?)",
            (prefix, f"{STALE}{source}, {date}", url),
        )
        if not changed.rowcount:
            raise BrokenRow("extras/stale_prefixes.yaml", 0, url, "no model has this address")


def _stale_prefixes(source: Row, collector: Collector) -> None:
    origins = Origins(source, collector)
    for row in source.rows("files"):
        url, prefix = row.text("url", URL), row.text("prefix", _DIGITS) if row.has("prefix") else None
        collector.add("stale_prefix", row, (url,), (url, prefix, origins.of(row)))


def _norm(row: Row) -> tuple[str, str, int]:
    return row.text("mean", _TRIPLE), row.text("std", _TRIPLE), int(row.flag("to_rgb"))


def _backbones(source: Row, collector: Collector) -> None:
    origins = Origins(source, collector)
    norms: set[str] = set()
    for row in source.rows("norms"):
        name = row.text("name")
        norms.add(name)
        collector.add("backbone_norm", row, (name,), (name, *_norm(row), origins.of(row)))
    _aliases(source, collector, origins, norms)
    for row in source.rows("pages"):
        model, norm = row.text("model"), _named(row, norms)
        if norm is None:
            row.broken("norm is missing")
        facts = (row.text("source"), row.text("url", URL), norm, row.optional("alias", _ALIAS))
        origin = (row.optional("converted_from", URL), origins.of(row))
        collector.add("backbone_page", row, (model,), (model, *facts, *origin))
    for row in source.rows("notes"):
        row.text("fact")
        origins.of(row)


def _named(row: Row, norms: set[str]) -> str | None:
    name = row.optional("norm")
    if name is not None and name not in norms:
        row.broken(f"no norm is named {name}")
    return name


def _aliases(source: Row, collector: Collector, origins: Origins, norms: set[str]) -> None:
    """Aliases, what replaced the deprecated ones, and the normalisation found beside them."""
    aliases: set[str] = set()
    for row in source.rows("aliases"):
        alias = row.text("alias", _ALIAS)
        aliases.add(alias)
        facts = (row.optional("url", URL), row.optional("family"), _named(row, norms), row.optional("trained_on"))
        whole = (alias, alias.partition(":")[0], *facts, None, origins.of(row))
        collector.add("backbone_alias", row, (alias,), whole)
    for row in source.rows("deprecated"):
        alias, now = row.text("alias", _ALIAS), row.text("now", _ALIAS)  # upstream's `now` need not be there
        nothing = (None, None, None, None)
        ends = (now, origins.of(row))
        collector.add("backbone_alias", row, (alias,), (alias, alias.partition(":")[0], *nothing, *ends))
    for row in source.rows("used_with"):
        alias = row.text("alias", _ALIAS)
        if alias not in aliases:
            row.broken(f"{alias} is no alias")
        key = (alias, *_norm(row), int(row.text("configs", _COUNT)))
        collector.add("backbone_use", row, key, (*key, origins.of(row)))


def _benchmarks(source: Row, collector: Collector) -> None:
    origins = Origins(source, collector)
    for row in source.rows("rows"):
        key = (row.text("table"), row.text("subject"), row.text("implementation"), row.text("metric"))
        value, origin = row.text("value", _NUMBER), origins.of(row)  # a REAL column makes the number of it
        facts = (value, row.text("unit"), row.text("hardware"), row.optional("url", URL), origin)
        collector.add("benchmark", row, (*key, origin), (*key, *facts))
    for row in source.rows("checkpoints"):
        subject = row.text("subject")
        configs = (row.text("config_2x"), row.text("config_3x"), row.text("detectron2_config"))
        files = (row.text("url", URL), row.text("log", URL))
        collector.add("benchmark_checkpoint", row, (subject,), (subject, *configs, *files, origins.of(row)))
    for row in source.rows("differences"):
        place = row.text("where")
        whole = (place, row.text("page"), row.text("translation"), origins.of(row))
        collector.add("benchmark_difference", row, (place,), whole)


def _baselines(source: Row, collector: Collector) -> None:
    origins = Origins(source, collector)
    position = 0
    for section in ("baselines", "datasets"):
        for row in source.rows(section):
            position += 1
            folders = [json.dumps(row.texts(key)) for key in ("folders_2x", "folders_3x")]
            counted = [document(row.mapping(key, _check_count)) for key in ("in_metafiles", "readme_only")]
            values = (position, section, row.text("name"), row.optional("translation"), *folders, *counted)
            collector.add("baseline", row, (position,), (*values, origins.of(row)))


def _check_count(row: Row, text: str) -> None:
    if not _COUNT.fullmatch(text):
        row.broken(f"{text[:40]!r} is no count")
