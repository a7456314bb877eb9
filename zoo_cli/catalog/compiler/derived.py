"""What follows from other facts of a model: years, learning-rate schedule, digest level, whether it runs on the CPU.

Works on an open connection, after the models' tables are filled; only whether an entry of a release runs on the CPU is
asked before. Every value is derived by a rule that stands here and
is told beside the value (`zoo show`); nothing is guessed where a rule does not apply.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, TypeAlias

from zoo_cli.catalog.cpu import answer_of, folder_of, is_surely_free

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

    Folders: TypeAlias = "dict[tuple[str, str], defaultdict[str, list[tuple[str, int, int]]]]"
    CpuAnswers: TypeAlias = "Callable[[str, str, str | None], str | None]"

# year is the paper's, else the checkpoint's. digest: full | prefix | none.
SCHEMA = """
CREATE TABLE derived (
  model INTEGER PRIMARY KEY, year INTEGER, paper_year INTEGER, checkpoint_year INTEGER,
  lr_schedule TEXT COLLATE NOCASE, backbone TEXT COLLATE NOCASE, digest TEXT NOT NULL)
"""

_ARXIV = re.compile(r"arxiv\.org/(?:abs|pdf)/(\d\d)(?:0[1-9]|1[0-2])\.\d{4,5}", re.IGNORECASE)
_STAMP = re.compile(r"(?:^|[_-])(20[12]\d)(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?=[_.-])")
_TIMES = re.compile(r"(?:^|[_-])(\d{1,2}x)(?=[_-]|$)")
_LENGTH = re.compile(r"(?:^|[_-])(\d{1,4}(?:e|k))(?=[_-]|$)")


def load_derived(connection: sqlite3.Connection) -> None:
    """Creates and fills the table `derived`, one row a model."""
    connection.execute(SCHEMA)
    rows = list(_rows(connection))
    connection.executemany("INSERT INTO derived VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    connection.execute("ANALYZE derived")


def paper_year(url: str | None) -> int | None:
    """The year in which an arXiv number was given: 2020 for `https://arxiv.org/abs/2004.13621`."""
    found = _ARXIV.search(url or "")
    return 2000 + int(found[1]) if found else None


def checkpoint_year(file: str | None) -> int | None:
    """The year of the time stamp in a checkpoint's name: 2021 for `x_20210719_215349-d1edbe00.pth`."""
    found = _STAMP.search(file or "")
    return int(found[1]) if found else None


def lr_schedule(name: str, extra: dict[str, Any]) -> str | None:
    """The schedule: as upstream's `lr schd` says (40000 is 40k), else as the name does: 1x, 3x, 100e, 160k."""
    said = extra.get("lr schd")
    if isinstance(said, (int, float)) and not isinstance(said, bool) and said > 0:
        return f"{said / 1000:g}k" if said >= 1000 else f"{said:g}"
    if isinstance(said, str) and said.strip():
        return said.strip()[:40]
    found = _TIMES.search(name) or _LENGTH.search(name)
    return found[1] if found else None


def _rows(connection: sqlite3.Connection) -> Iterator[tuple[object, ...]]:
    digests = _digests(connection)
    query = (
        "SELECT m.id, m.name, m.extra, m.paper_url, (SELECT f.name FROM model_file x "
        "JOIN file f ON f.id = x.file WHERE x.model = m.id ORDER BY x.ordinal LIMIT 1) FROM model m ORDER BY m.id"
    )
    for number, name, text, paper_url, file in connection.execute(query):
        extra = json.loads(text)
        backbone = extra.get("backbone")
        years = paper_year(paper_url), checkpoint_year(file)
        yield (
            number, years[0] or years[1], *years, lr_schedule(name, extra),
            backbone[:100] if isinstance(backbone, str) else None, digests.get(number, "none"),
        )  # fmt: skip


def _digests(connection: sqlite3.Connection) -> dict[int, str]:
    """What is known of the digests of each model's files: the least of them."""
    query = (
        "SELECT x.model, min(CASE WHEN f.sha256 IS NOT NULL THEN 2 WHEN f.prefix IS NOT NULL THEN 1 ELSE 0 END) "
        "FROM model_file x JOIN file f ON f.id = x.file GROUP BY x.model"
    )
    return {model: ("none", "prefix", "full")[level] for model, level in connection.execute(query)}


def cpu_answers(connection: sqlite3.Connection) -> CpuAnswers:
    """Whether a config of a release runs on the CPU: yes or no; None when that is not known."""
    folders, whole = _folders(connection), _whole_releases(connection)

    def answer(project: str, version: str, config: str | None) -> str | None:
        if (project, version) in whole:
            return "yes" if is_surely_free(config, whole[project, version]) else None
        read, folder = folders.get((project, version)), folder_of(config)
        found = answer_of(read.get(folder, [])) if read is not None and folder else "unknown"
        return None if found == "unknown" else found

    return answer


def _folders(connection: sqlite3.Connection) -> Folders:
    """Ops by release and folder, of the releases whose configs were read."""
    found: Folders = {}
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'cpu_use'").fetchone():
        return found  # a database of models alone
    query = "SELECT project, version, folder, effect, configs, of_configs FROM cpu_use"
    for project, version, folder, *use in connection.execute(query):
        found.setdefault((project, version), defaultdict(list))[folder].append(tuple(use))
    return found


def _whole_releases(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """Releases whose code needs no op without a CPU version, each with the folders of which that is not sure."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'cpu_release'").fetchone():
        return {}  # a database of models alone
    query = "SELECT project, version, but FROM cpu_release"
    return {(project, version): but for project, version, but in connection.execute(query)}
