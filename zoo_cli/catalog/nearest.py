"""Why nothing matched: the nearest value of a metric, and values that do not occur at all.

The reader gets an open connection. Asked only when a list is empty.
"""

# ruff: noqa: S608 (conditions are written in this room, a user's values are bound)

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_cli.catalog.filter_sql import Compiled, Sql, comparisons, compile_tree, metric_bounds, without
from zoo_cli.catalog.names import near, query_name

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Nearest:
    """The best value of a metric under a filter's other conditions."""

    metric: str
    best: str  # highest | lowest
    value: float
    model: str
    rest: str  # the other conditions as written; "" when there are none


@dataclass(frozen=True, slots=True)
class UnknownValue:
    """A value that a filter compares with and no model has; `near` are values that are there."""

    field: str
    value: str
    near: tuple[str, ...]


def nearest(
    connection: sqlite3.Connection, text: str, compiled: Compiled, scope: Sql, names: Mapping[str, int]
) -> Nearest | None:
    """The best value of the first bounded metric among the models that meet all other conditions."""
    bounds = metric_bounds(compiled)
    if not bounds or compiled.tree is None:
        return None
    bound = bounds[0]
    rest = compile_tree(text, without(compiled.tree, bound), names)
    metric = next(name for name in compiled.metrics if name.casefold() == query_name(bound.field).casefold())
    is_highest = bound.op.startswith(">")
    query = (
        "SELECT v.value, m.name FROM metric v JOIN entry e ON e.model = v.model "
        "JOIN model m ON m.id = e.model JOIN package p ON p.id = e.package "
        f"JOIN result r ON r.id = v.result WHERE v.name = ? AND v.value IS NOT NULL AND {rest.binding.text} "
        f"AND {scope.text} AND {rest.where.text} ORDER BY v.value {'DESC' if is_highest else 'ASC'}, m.name LIMIT 1"
    )
    parameters = (names[metric], *rest.binding.parameters, *scope.parameters, *rest.where.parameters)
    found = connection.execute(query, parameters).fetchone()
    if found is None:
        return None
    written = " and ".join(text[each.start : each.end] for each in rest.chain)
    return Nearest(metric, "highest" if is_highest else "lowest", found[0], found[1], written)


def unknown_values(connection: sqlite3.Connection, compiled: Compiled) -> tuple[UnknownValue, ...]:
    """Each `field = value` that no model has."""
    queries = {
        "collection": "SELECT DISTINCT collection FROM model WHERE collection IS NOT NULL",
        "dataset": "SELECT DISTINCT dataset FROM result WHERE dataset IS NOT NULL",
        "task": "SELECT DISTINCT task FROM result WHERE task IS NOT NULL",
    }
    found: list[UnknownValue] = []
    for each in comparisons(compiled.tree) if compiled.tree else ():
        name = each.field.casefold()
        if each.op not in ("=", "in") or name not in queries:
            continue
        known = [value for (value,) in connection.execute(queries[name])]
        missing = [value for value in each.values if value.casefold() not in {one.casefold() for one in known}]
        found += [UnknownValue(name, value, near(value, known)) for value in missing]
    return tuple(found)
