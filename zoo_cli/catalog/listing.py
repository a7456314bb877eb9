"""Many models at once: what `zoo list` asks, and the rows that answer it.

The reader gets an open connection. Rows hold what a table shows, so a list of thousands costs two queries; all facts
of one model are in `zoo_cli.catalog.models`.
"""

# ruff: noqa: S608 (conditions are written in this room, a user's values are bound)

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from zoo_cli.catalog.filter_sql import EVERYTHING, Compiled, Sql, comparisons, compile_filter, glob
from zoo_cli.catalog.filters import FIELDS
from zoo_cli.catalog.names import near, query_name, storable
from zoo_cli.catalog.ordering import Axis, BadAxes, UnknownGoal, axis_of, front, goal_of, sorted_rows
from zoo_cli.catalog.scope import OWN, metric_names, versions, within
from zoo_cli.errors import ExitCode, ZooError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from zoo_cli.catalog.filters import Comparison
    from zoo_cli.catalog.nearest import Nearest, UnknownValue
    from zoo_cli.catalog.search import Search

Scalar: TypeAlias = "str | float | int | None"

# Columns of a row that are not metrics; each is also what --sort and --columns may name.
FACTS = (
    "model", "package", "release", "collection", "config", "epochs", "iterations", "batch_size", "memory_gb", "params",
    "flops", "lr_schedule", "backbone", "year", "digest", "cpu_ok", "license", "paper", "files", "size_bytes", "file",
    "url",
)  # fmt: skip
RESULT_FACTS = ("dataset", "task")
TIME_FACTS = ("inference_ms", "hardware", "resolution", "mode")  # a time means nothing without what it was taken on
NUMBERS = frozenset({
    "epochs", "iterations", "batch_size", "memory_gb", "params", "flops", "files", "size_bytes", "year", "inference_ms",
})  # fmt: skip
_OTHER_NAMES = {
    "name": "model", "project": "package", "memory": "memory_gb", "size": "size_bytes", "licence": "license",
    "epoch": "epochs", "parameters": "params", "training_memory": "memory_gb", "inference_time": "inference_ms",
    "weight": "file", "weights": "file",
}  # fmt: skip
_NAMES = ("model", "package", "release")  # facts of a bare row
_FILE = "FROM model_file x JOIN file f ON f.id = x.file WHERE x.model = m.id"
_SELECT = {
    **{name: f"d.{name}" for name in ("lr_schedule", "backbone", "year", "digest")},
    "cpu_ok": "coalesce(e.cpu_ok, 'unknown')",
    "model": "m.name", "package": "p.project", "release": "p.version", "paper": "m.paper_title",
    "size_bytes": f"(SELECT CASE WHEN count(*) = count(f.size_bytes) THEN sum(f.size_bytes) END {_FILE})",
    "file": f"(SELECT f.name {_FILE} ORDER BY x.ordinal LIMIT 1)",
    "url": "(SELECT u.url FROM model_file x JOIN file_url u ON u.file = x.file WHERE x.model = m.id "
    "ORDER BY x.ordinal, u.rank, u.url LIMIT 1)",
}  # fmt: skip


class Query(NamedTuple):
    """What is asked for; everything left out does not limit.

    Without `release`, and unless the filter names one, only the newest release of each package is searched. `sort` is
    a column or metric, with "-" before it for the other direction, or ":asc" or ":desc" behind it. `metrics` are shown
    beside those of the filter. `pareto` leaves the front of two axes; each may end in ":max" or ":min". A list of
    what was searched for begins with what fits best, unless `sort` says otherwise.
    """

    package: str | None = None
    release: str | None = None
    filter: str | None = None
    name: str | None = None  # a glob; case does not matter
    sort: str | None = None
    limit: int | None = None
    metrics: tuple[str, ...] = ()
    all_releases: bool = False
    only: tuple[tuple[str, str], ...] | None = None  # these packages in these releases
    pareto: tuple[str, str] | None = None
    search: str | None = None  # words: see `zoo_cli.catalog.search`
    is_bare: bool = False  # names in their usual order are enough: rows without any other fact
    is_own: bool = False  # without `package`: zoo's own packages alone, no lab's


class Reached(NamedTuple):
    """One metric value with the dataset and task it was measured on; `value` of a share is in percent.

    `published` is the fraction that upstream wrote, where it did.
    """

    value: float | None
    text: str | None
    unit: str
    dataset: str | None
    task: str | None
    published: float | None = None

    @property
    def raw(self) -> float | None:
        """The number as upstream published it."""
        return self.value if self.published is None else self.published

    @property
    def shown(self) -> str:
        """The same as text, or upstream's text where there is no single number."""
        return str(self.text) if self.raw is None else repr(self.raw)


@dataclass(slots=True, eq=False, repr=False)
class Row:
    """One model of one release: facts by name (see `FACTS`), and the metrics asked for by query name.

    `id` is the number of the entry, `model` of what is said there, which other releases may say alike.
    """

    id: int
    model: int
    facts: dict[str, Scalar]
    metrics: dict[str, Reached] = field(default_factory=dict)

    def value(self, name: str) -> Scalar:
        """The metric's value (shares in percent) or the fact of that name; None when unknown."""
        return self.metrics[name].value if name in self.metrics else self.facts.get(name)

    def number(self, name: str) -> float | None:
        """The same where it is a number."""
        value = self.value(name)
        return float(value) if isinstance(value, (int, float)) else None


class Listing(NamedTuple):
    """The answer: rows in order, how many matched before the limit, out of how many."""

    rows: tuple[Row, ...]
    matched: int
    total: int
    metrics: tuple[str, ...]  # shown as columns, by query name
    labels: dict[str, str]  # query name -> upstream's spelling
    compared: tuple[str, ...]  # facts the filter compares, in its order
    nearest: Nearest | None = None
    unknown: tuple[UnknownValue, ...] = ()
    axes: tuple[Axis, ...] = ()  # of the front asked for
    among: tuple[Row, ...] = ()  # the rows of which these are the front
    search: Search | None = None
    word_counts: tuple[tuple[str, int], ...] = ()  # models with each word alone, when none has all
    small: tuple[str, ...] = ()  # shares compared with at most 1, as `AP>0.7`: fractions in place of percent?


class UnknownColumn(ZooError):
    """--sort or --columns names neither a fact nor a metric."""

    code = "unknown-column"
    exit_code = ExitCode.USAGE

    asked: str
    near: tuple[str, ...]
    columns: tuple[str, ...]


def list_models(connection: sqlite3.Connection, query: Query) -> Listing:
    """The models a query matches.

    Raises:
        UnknownPackage: No models of that package or release are in the index.
        BadFilter: The filter cannot be understood.
        UnknownColumn: `sort`, `metrics` or `pareto` names nothing.
        BadAxes: `pareto` names what is no number, or one thing twice.
        UnknownGoal: It is not known whether more or less of an axis of `pareto` is better.
        BadSearch: `search` has no words, or too many.
        SearchUnavailable: This Python's SQLite cannot search for words.
    """
    names = metric_names(connection)
    compiled = compile_query(connection, query, names)
    scope = search_scope(connection, query, compiled)
    search = _search(connection, query.search)
    rows = _rows(
        connection,
        _NAMES if query.is_bare else FACTS,
        scope,
        compiled.where,
        search.condition if search else EVERYTHING,
    )
    area = search_scope(connection, query._replace(name=None), compiled)
    shown = _metrics_to_show(connection, query, compiled, rows, names)[: 1 if query.is_bare else None]
    _add_metrics(connection, rows, [names[name] for name in shown], compiled.binding)
    if not query.is_bare:
        _add_results(connection, rows, compiled.binding)
        _add_times(connection, rows, compiled.measured)
    rows = _sorted(connection, rows, query.sort, shown, names)
    if search and not query.sort:
        rows = _best_fit_first(rows, search)
    answer = Listing(
        rows=tuple(rows[: query.limit]),
        matched=len(rows),
        total=_total(connection, area),
        metrics=shown,
        labels=dict(connection.execute("SELECT name, label FROM metric_name")),
        compared=_compared(compiled),
        search=search,
        small=_small_shares(connection, compiled, names),
    )
    if query.pareto:
        axes = _axes(connection, query.pareto, names)
        answer = answer._replace(rows=front(rows, *axes)[: query.limit], axes=axes, among=tuple(rows))
    if rows:
        return answer
    from zoo_cli.catalog.nearest import nearest, unknown_values  # an empty list is rare, and this import is not free

    if search and not search.missing:
        from zoo_cli.catalog.search import counts

        answer = answer._replace(word_counts=counts(connection, search, scope))
    found = nearest(connection, query.filter or "", compiled, scope, names)
    return answer._replace(nearest=found, unknown=unknown_values(connection, compiled))


def compile_query(connection: sqlite3.Connection, query: Query, names: dict[str, int]) -> Compiled:
    """The filter of a query, for the indexes that this database has.

    Raises:
        BadFilter: It cannot be understood.
    """
    if query.filter is None:
        return Compiled(EVERYTHING)
    is_narrow = query.name is not None or query.search is not None
    has_grams = "~" in query.filter and _has_grams(connection)
    return compile_filter(query.filter, names, has_grams=has_grams, is_narrow=is_narrow)


def _has_grams(connection: sqlite3.Connection) -> bool:
    from zoo_cli.catalog.search import can_search  # only where there is a pattern

    return can_search(connection)


def _search(connection: sqlite3.Connection, text: str | None) -> Search | None:
    if text is None:
        return None
    from zoo_cli.catalog.search import read_search

    return read_search(connection, text)


def _best_fit_first(rows: list[Row], search: Search) -> list[Row]:
    from zoo_cli.catalog.search import relevance

    return sorted(rows, key=lambda row: -relevance(row, search))


def known_column(name: str, metrics: Sequence[str]) -> str:
    """The fact or metric called so, in its own spelling.

    Raises:
        UnknownColumn: There is none.
    """
    columns = (*FACTS, *RESULT_FACTS, *TIME_FACTS, "checkpoint", *metrics)
    same = {column.casefold(): column for column in reversed(columns)}
    wanted = _OTHER_NAMES.get(name.casefold(), query_name(name)).casefold()
    if wanted not in same:
        raise UnknownColumn(name[:100], near(name, columns), columns)
    return same[wanted]


def search_scope(connection: sqlite3.Connection, query: Query, compiled: Compiled) -> Sql:
    """Package, release and name glob of a query as a condition over `entry e JOIN model m JOIN package p`.

    Raises:
        UnknownPackage: No models of that package or release are in the index.
    """
    parts, parameters = ["1"], list[str | float]()
    if query.package is not None:
        versions(connection, query.package, query.release)  # else the list would be empty without saying why
        is_package = connection.execute("SELECT 1 FROM package WHERE project = ?", (query.package,)).fetchone()
        condition = "p.project = ?" if is_package else within("?")  # the first leads straight to its models
        parts.append(condition)
        parameters += [query.package] * condition.count("?")
    elif query.is_own:
        parts.append(OWN)
    if query.release is not None:
        parts.append("p.version = ?")
        parameters.append(storable(query.release))
    elif query.only is not None:
        parts.append(f"(p.project, p.version) IN (VALUES {', '.join(['(?, ?)'] * len(query.only)) or '(NULL, NULL)'})")
        parameters += [text for pair in query.only for text in pair]
    elif not compiled.names_release and not query.all_releases:
        parts.append("p.rank = 0")
    if query.name is not None:
        named = glob("m.name", storable(query.name).casefold(), has_grams=_has_grams(connection))
        parts.append(named.text)
        parameters += named.parameters
    return Sql(" AND ".join(parts), tuple(parameters))


def _total(connection: sqlite3.Connection, area: Sql) -> int:
    """How many models there are in the packages and releases that are searched."""
    text = f"SELECT coalesce(sum(p.models), 0) FROM package p WHERE {area.text}"
    (total,) = connection.execute(text, area.parameters).fetchone()
    return int(total)


def _rows(connection: sqlite3.Connection, wanted: tuple[str, ...], *conditions: Sql) -> list[Row]:
    selected = ", ".join(_SELECT.get(name, f"m.{name}") for name in wanted)
    text = (
        f"SELECT e.id, m.id, {selected} FROM entry e JOIN model m ON m.id = e.model JOIN package p ON p.id = e.package "
        f"LEFT JOIN derived d ON d.model = m.id WHERE {' AND '.join(each.text for each in conditions)} "
        "ORDER BY p.project, p.rank, m.name, e.ordinal"
    )
    found = connection.execute(text, [value for each in conditions for value in each.parameters])
    return [Row(entry, model, dict(zip(wanted, facts, strict=True))) for entry, model, *facts in found]


def _metrics_to_show(
    connection: sqlite3.Connection, query: Query, compiled: Compiled, rows: list[Row], names: dict[str, int]
) -> tuple[str, ...]:
    """The metrics asked for, else those that most of the models found have."""
    asked = [*compiled.metrics, *(known_column(name, tuple(names)) for name in query.metrics)]
    if query.sort:
        asked.append(known_column(axis_of(query.sort.lstrip("-")).name, tuple(names)))
    asked += [known_column(axis_of(text).name, tuple(names)) for text in query.pareto or ()]
    wanted = tuple(dict.fromkeys(name for name in asked if name in names))
    return wanted or _usual_metrics(connection, rows)


def _usual_metrics(connection: sqlite3.Connection, rows: list[Row]) -> tuple[str, ...]:
    """The main metrics of the releases that the models are of, at most three, most frequent first.

    Where no model found has a main metric of its release, the most frequent one of all.
    """
    text = (
        "SELECT n.name, v.name = p.main_metric AS is_main, count(*) FROM entry e JOIN metric v ON v.model = e.model "
        "JOIN package p ON p.id = e.package JOIN metric_name n ON n.id = v.name "
        "WHERE e.id IN (SELECT value FROM json_each(?)) GROUP BY 1, 2 ORDER BY 2 DESC, 3 DESC, 1"
    )
    found = connection.execute(text, (json.dumps([row.id for row in rows]),)).fetchall()
    return tuple(name for name, is_main, _count in found if is_main)[:3] or tuple(name for name, *_rest in found[:1])


def _add_metrics(connection: sqlite3.Connection, rows: list[Row], numbers: list[int], binding: Sql) -> None:
    """Fills in each row's first value of each metric that meets the binding, in upstream's order."""
    by_model = _by_model(rows)
    ids = json.dumps(list(by_model))
    text = (
        "SELECT v.model, n.name, v.value, v.text, v.unit, r.dataset, r.task, v.published FROM metric v "
        "JOIN metric_name n ON n.id = v.name JOIN result r ON r.id = v.result "
        f"WHERE v.model IN (SELECT value FROM json_each(?)) AND +v.name = ? AND {binding.text} ORDER BY v.id"
    )
    for number in numbers:
        for model, name, *reached in connection.execute(text, (ids, number, *binding.parameters)):
            for row in by_model[model]:
                row.metrics.setdefault(name, Reached(*reached))


def _by_model(rows: list[Row]) -> defaultdict[int, list[Row]]:
    found: defaultdict[int, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.model].append(row)
    return found


def _add_results(connection: sqlite3.Connection, rows: list[Row], binding: Sql) -> None:
    """Dataset and task of each row: those of its first metric shown, else of its first result."""
    by_model = _by_model(rows)
    for row in rows:
        first = next(iter(row.metrics.values()), None)
        if first is not None:
            row.facts["dataset"], row.facts["task"] = first.dataset, first.task
    text = (
        "SELECT r.model, r.dataset, r.task FROM result r "
        f"WHERE r.model IN (SELECT value FROM json_each(?)) AND {binding.text} ORDER BY r.id"
    )
    for model, dataset, task in connection.execute(text, (json.dumps(list(by_model)), *binding.parameters)):
        for row in by_model[model]:
            row.facts.setdefault("dataset", dataset)
            row.facts.setdefault("task", task)


def _add_times(connection: sqlite3.Connection, rows: list[Row], measured: Sql) -> None:
    """The first inference time of each row that meets what the filter asks of hardware, with what it was taken on."""
    text = (
        "SELECT i.model, i.value_ms, i.hardware, i.resolution, i.mode FROM inference i "
        f"WHERE i.model IN (SELECT value FROM json_each(?)) AND {measured.text} ORDER BY i.rowid DESC"
    )
    by_model = _by_model(rows)
    for model, *time in connection.execute(text, (json.dumps(list(by_model)), *measured.parameters)):
        for row in by_model[model]:
            row.facts.update(zip(TIME_FACTS, time, strict=True))


def _sorted(
    connection: sqlite3.Connection, rows: list[Row], sort: str | None, shown: Sequence[str], names: dict[str, int]
) -> list[Row]:
    """By the first metric shown, best first, unless asked otherwise; the unknown last, equal ones by name."""
    asked = axis_of((sort or "").removeprefix("-"))
    column = known_column(asked.name, tuple(names)) if sort else shown[0] if shown else "model"
    goal = asked.goal or ("min" if column not in names else _goal(connection, column, names) or "max")
    if sort and sort.startswith("-"):
        goal = "min" if goal == "max" else "max"
    return sorted_rows(rows, "files" if column == "checkpoint" else column, goal)


def _goal(connection: sqlite3.Connection, name: str, names: dict[str, int]) -> str | None:
    """What is better of a fact or metric; None when that is not known."""
    query = "SELECT unit != 'none' FROM metric WHERE name = ? LIMIT 1"
    found = connection.execute(query, (names[name],)).fetchone() if name in names else None
    return goal_of(name, bool(found and found[0]))


def _axes(connection: sqlite3.Connection, asked: tuple[str, str], names: dict[str, int]) -> tuple[Axis, Axis]:
    written = ",".join(asked)
    axes: list[Axis] = []
    for axis in map(axis_of, asked):
        name = known_column(axis.name, tuple(names))
        if name not in names and name not in NUMBERS:
            raise BadAxes(written, f"{name} is no number")
        goal = axis.goal or _goal(connection, name, names)
        if goal is None:
            raise UnknownGoal(name, written)
        axes.append(Axis(name, goal))
    if axes[0].name == axes[1].name:
        raise BadAxes(written, f"{axes[0].name} is named twice")
    return axes[0], axes[1]


def _compared(compiled: Compiled) -> tuple[str, ...]:
    """The facts of a row that the filter compares, for columns beside the usual ones."""
    if compiled.tree is None:
        return ()
    names = (known.name for each in comparisons(compiled.tree) for known in FIELDS if _is(known.name, each))
    return tuple(
        dict.fromkeys(name for name in names if name in (*FACTS, *TIME_FACTS) and name not in ("package", "collection"))
    )


def _small_shares(connection: sqlite3.Connection, compiled: Compiled, names: dict[str, int]) -> tuple[str, ...]:
    """Comparisons as written, of a metric that upstream also publishes as a fraction, with a number above 0 up to 1."""
    found: list[str] = []
    folded = {name.casefold(): name for name in compiled.metrics}
    for each in comparisons(compiled.tree) if compiled.tree else ():
        name = folded.get(query_name(each.field).casefold())
        if name is None or each.op == "is" or not all(_is_at_most_one(value) for value in each.values):
            continue
        query = "SELECT 1 FROM metric WHERE name = ? AND published IS NOT NULL LIMIT 1"
        if connection.execute(query, (names[name],)).fetchone():
            found.append(f"{name}{each.op}{each.values[0]}")
    return tuple(dict.fromkeys(found))


def _is_at_most_one(text: str) -> bool:
    try:
        return 0 < float(text) <= 1
    except ValueError:  # 1k, 5%
        return False


def _is(name: str, comparison: Comparison) -> bool:
    known = next(each for each in FIELDS if each.name == name)
    return comparison.field.casefold() in (known.name, *known.aliases)
