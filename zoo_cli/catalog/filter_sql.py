"""The filter language: what its fields mean, and a tree as one SQL condition with bound parameters.

Pure. No text of the user ever becomes SQL: fields choose fragments written here, values are parameters. Meaning:

- A comparison holds when the value is known and compares so; `not` is the complement of all of that. So
  `memory_gb<12` leaves out models of unknown memory, `not memory_gb>=12` keeps them.
- Texts compare without case; `!=` on a field with several values (dataset, task) means that none is equal.
- A task is named by its label or by one word of it: `task=detection`.
- Within one `and`, conditions on dataset and task bind the metrics: `box_AP>=50 and dataset=COCO` wants a box_AP of 50
  that was measured on COCO. In the same way hardware, resolution and mode bind inference_ms.
- Shares are compared in percent, also those that upstream publishes as fractions: an AP of 0.723 is 72.3.
"""

# ruff: noqa: S608 (fragments are written here, a user's values are bound)

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from zoo_cli.catalog.filters import FIELDS, And, BadFilter, Comparison, Field, Node, Not, parse
from zoo_cli.catalog.names import near, query_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Value: TypeAlias = "str | float"

_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)([kKMGBT%]?)")
_POWERS = {"": 1.0, "%": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12}
_FLAGS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_BINDING = ("dataset", "task")  # columns of result r, on which metrics depend
_MEASURED = ("hardware", "resolution", "mode")  # columns of inference i, on which inference_ms depends

_FIELDS = {name: field for field in FIELDS for name in (field.name, *field.aliases)}

# A field of one value is an expression over model m, entry e and package p; NULL is unknown.
_SINGLE = {
    "name": "m.name",
    "package": "p.project COLLATE NOCASE",
    "release": "p.version COLLATE NOCASE",
    "collection": "m.collection",
    "config": "m.config",
    "paper": "m.paper_title COLLATE NOCASE",
    "license": "coalesce(m.license, 'unknown') COLLATE NOCASE",
    "epochs": "m.epochs",
    "iterations": "m.iterations",
    "batch_size": "m.batch_size",
    "memory_gb": "m.memory_gb",
    "params": "m.params",
    "flops": "m.flops",
    "has_checkpoint": "m.files > 0",
    "has_config": "m.config IS NOT NULL",
    "cpu_ok": "coalesce(e.cpu_ok, 'unknown') COLLATE NOCASE",
}
_NAME = "m.name"
_INDEXED = (_NAME, "m.collection", "m.config")  # without case
_SELECTIVE = 4  # letters of a name's beginning that leave few models
# A field of several values is a query of (model, value).
_SEVERAL = {
    "dataset": "SELECT r.model, r.dataset AS value FROM result r WHERE r.dataset IS NOT NULL",
    "task": "SELECT r.model, r.task AS value FROM result r WHERE r.task IS NOT NULL",
    "training_data": "SELECT t.id AS model, j.value COLLATE NOCASE AS value FROM model t, json_each(t.training_data) j",
    "checkpoint": "SELECT x.model, f.name COLLATE NOCASE AS value FROM model_file x JOIN file f ON f.id = x.file",
    "inference_ms": "SELECT i.model, i.value_ms AS value FROM inference i",
    "architecture": "SELECT t.id AS model, j.value COLLATE NOCASE AS value "
    "FROM model t, json_each(t.extra, '$.Architecture') j WHERE j.type = 'text'",
    **{
        column: f"SELECT i.model, i.{column} COLLATE NOCASE AS value FROM inference i WHERE i.{column} IS NOT NULL"
        for column in _MEASURED
    },
    **{
        column: f"SELECT d.model, d.{column} COLLATE NOCASE AS value FROM derived d"
        for column in ("backbone", "lr_schedule", "digest", "year", "paper_year", "checkpoint_year")
    },
}


class Sql(NamedTuple):
    """A condition or query, and its parameters in order."""

    text: str
    parameters: tuple[Value, ...] = ()


EVERYTHING = Sql("1")


class Binding(NamedTuple):
    """What a row must meet to count: `result` speaks of result r (for metrics), `measured` of inference i.

    `is_narrow`: an index leaves few models, so their values are looked up one by one instead of all being collected.
    """

    result: Sql = EVERYTHING
    measured: Sql = EVERYTHING
    is_narrow: bool = False


class Compiled(NamedTuple):
    """A filter ready to run: `where` is a condition over `entry e JOIN model m JOIN package p`.

    `metrics` are the metrics it names, in order, as query names; `binding` is a condition over `result r` that a
    value shown beside the model must meet: the dataset and task conditions of the outermost `and`. `measured` is the
    same over `inference i`, for the time shown.
    """

    where: Sql
    metrics: tuple[str, ...] = ()
    binding: Sql = EVERYTHING
    measured: Sql = EVERYTHING
    names_release: bool = False
    tree: Node | None = None

    @property
    def chain(self) -> tuple[Comparison, ...]:
        """The comparisons of a filter that is nothing but comparisons joined by `and`; else none."""
        parts = _conjuncts(self.tree) if self.tree else ()
        found = tuple(part for part in parts if isinstance(part, Comparison))
        return found if len(found) == len(parts) else ()


def compile_filter(
    text: str, metrics: Mapping[str, int], *, has_grams: bool = False, is_narrow: bool = False
) -> Compiled:
    """The filter as SQL; `metrics` are the query names that exist, with their numbers.

    `has_grams` says that names can be looked up by their trigrams in the database that will be asked, `is_narrow`
    that something beside the filter leaves few models.

    Raises:
        BadFilter: It cannot be read, names no known field or metric, or compares it with the wrong kind of value.
    """
    compiler = _Compiler(text, metrics, has_grams=has_grams, is_narrow=is_narrow)
    try:
        return compiler.compile(parse(text))
    except BadFilter as error:
        if error.field is None or error.is_unknown or compiler.knows(error.field):
            raise
        raise compiler.with_near(error) from None


def compile_tree(text: str, tree: Node | None, metrics: Mapping[str, int]) -> Compiled:
    """The same for a tree that `parse` or `without` made of the text; None matches everything."""
    return Compiled(EVERYTHING) if tree is None else _Compiler(text, metrics).compile(tree)


def without(tree: Node, comparison: Comparison) -> Node | None:
    """The tree with one comparison left out of its outermost `and`; None when nothing remains."""
    if tree is comparison:
        return None
    parts = tuple(part for part in _conjuncts(tree) if part is not comparison)
    return parts[0] if len(parts) == 1 else And(parts)


def _conjuncts(tree: Node) -> tuple[Node, ...]:
    """The parts of the outermost `and`, through the ands in it."""
    return tuple(each for part in tree.parts for each in _conjuncts(part)) if isinstance(tree, And) else (tree,)


def metric_bounds(compiled: Compiled) -> tuple[Comparison, ...]:
    """The comparisons of a metric with a bound that stand in the outermost `and`."""
    folded = {name.casefold() for name in compiled.metrics}
    return tuple(
        part
        for part in (_conjuncts(compiled.tree) if compiled.tree else ())
        if isinstance(part, Comparison) and query_name(part.field).casefold() in folded and part.op[0] in "<>"
    )


def comparisons(tree: Node) -> Iterator[Comparison]:
    """Every comparison in the tree, in the order of the text."""
    if isinstance(tree, Comparison):
        yield tree
    elif isinstance(tree, Not):
        yield from comparisons(tree.inner)
    else:
        for part in tree.parts:
            yield from comparisons(part)


class _Compiler:
    def __init__(
        self, text: str, metrics: Mapping[str, int], *, has_grams: bool = False, is_narrow: bool = False
    ) -> None:
        self._text = text
        self._has_grams = has_grams
        self._outermost = Binding(is_narrow=is_narrow)
        self._metrics = {name.casefold(): (name, number) for name, number in metrics.items()}

    def knows(self, field: str) -> bool:
        return field.casefold() in _FIELDS or query_name(field).casefold() in self._metrics

    def with_near(self, error: BadFilter) -> BadFilter:
        """The error with the names that its unknown field may have meant."""
        assert error.field is not None
        names = [*(field.name for field in FIELDS), *(name for name, _number in self._metrics.values())]
        words = error.field.replace("_", "").casefold()
        same = tuple(name for name in names if name.replace("_", "").casefold() == words)
        similar = () if same else near(error.field, names)
        return BadFilter(error.text, error.column, error.length, error.problem, error.field, True, (same + similar)[:3])

    def compile(self, tree: Node) -> Compiled:
        named: dict[str, None] = {}
        fields: set[str] = set()
        for each in comparisons(tree):
            found = self._metrics.get(query_name(each.field).casefold())
            if each.field.casefold() not in _FIELDS and found:
                named[found[0]] = None
            fields.add(each.field.casefold())
        binding = self._binding(_conjuncts(tree), self._outermost)
        return Compiled(
            where=self._node(tree, self._outermost),
            metrics=tuple(named),
            binding=binding.result,
            measured=binding.measured,
            names_release="release" in fields,
            tree=tree,
        )

    def _node(self, node: Node, binding: Binding) -> Sql:
        if isinstance(node, Comparison):
            return self._comparison(node, binding)
        if isinstance(node, Not):
            inner = self._node(node.inner, binding)
            return inner._replace(text=f"NOT {inner.text}")
        if isinstance(node, And):
            parts = _conjuncts(node)
            binding = self._binding(parts, binding)
            return _joined(" AND ", [self._node(part, binding) for part in self._telling(parts)])
        return _joined(" OR ", [self._node(part, binding) for part in node.parts])

    def _telling(self, parts: tuple[Node, ...]) -> list[Node]:
        """The parts without those that others imply: a metric that is bound to a dataset was measured on it."""
        simple = [part for part in parts if isinstance(part, Comparison) and part.op != "!="]
        if not any(part.field.casefold() not in _FIELDS for part in simple):
            return list(parts)
        return [part for part in parts if not (part in simple and part.field.casefold() in _BINDING)]

    def _binding(self, parts: tuple[Node, ...], outer: Binding) -> Binding:
        """What the parts that speak of nothing but dataset and task (or hardware ...) ask of one row."""
        return Binding(
            self._bound(parts, outer.result, "r", _BINDING),
            self._bound(parts, outer.measured, "i", _MEASURED),
            outer.is_narrow or any(isinstance(part, Comparison) and _is_selective(part) for part in parts),
        )

    def _bound(self, parts: tuple[Node, ...], outer: Sql, table: str, fields: tuple[str, ...]) -> Sql:
        own = [part for part in parts if all(each.field.casefold() in fields for each in comparisons(part))]
        found = [each for each in (outer, *(self._of_row(part, table) for part in own)) if each.text != EVERYTHING.text]
        return _joined(" AND ", found) if found else EVERYTHING

    def _of_row(self, node: Node, table: str) -> Sql:
        if isinstance(node, Comparison):
            name = node.field.casefold()
            folded = "" if table == "r" else " COLLATE NOCASE"  # columns of result fold case by themselves
            condition = self._compared(f"{table}.{name}{folded}", node, _FIELDS[name])
            return condition._replace(text=f"coalesce({condition.text}, 0)")
        if isinstance(node, Not):
            inner = self._of_row(node.inner, table)
            return inner._replace(text=f"NOT {inner.text}")
        word = " AND " if isinstance(node, And) else " OR "
        return _joined(word, [self._of_row(part, table) for part in node.parts])

    def _comparison(self, node: Comparison, binding: Binding) -> Sql:
        field = _FIELDS.get(node.field.casefold())
        if field is None:
            return self._metric(node, binding)
        if field.name in _SINGLE:
            # Never NULL, so that `not` is the complement; and still open to an index, unlike coalesce().
            expression = _SINGLE[field.name]
            condition = self._compared(expression, node, field)
            return condition._replace(text=f"({expression} IS NOT NULL AND {condition.text})")
        rows = Sql(_SEVERAL[field.name])
        if field.name == "inference_ms" and binding.measured.text != EVERYTHING.text:
            rows = Sql(f"{rows.text} WHERE {binding.measured.text}", binding.measured.parameters)
        return self._among(rows, node, field, is_narrow=binding.is_narrow)

    def _metric(self, node: Comparison, binding: Binding) -> Sql:
        found = self._metrics.get(query_name(node.field).casefold())
        if found is None:
            length = max(1, min(len(node.field), node.end - node.start))
            column = max(node.start, self._text.find(node.field.partition("_")[0], node.start, node.end))
            error = BadFilter(self._text, column, length, "no field or metric is called so", node.field)
            raise self.with_near(error)
        rows = "SELECT v.model, v.value FROM metric v WHERE v.name = ?"
        parameters: tuple[Value, ...] = (found[1],)
        if binding.result.text != EVERYTHING.text:
            join = "FROM metric v JOIN result r ON r.id = v.result"
            rows = f"SELECT v.model, v.value {join} WHERE v.name = ? AND {binding.result.text}"
            parameters += binding.result.parameters
        own = Field(found[0], "number", "")
        return self._among(Sql(rows, parameters), node, own, is_narrow=binding.is_narrow)

    def _among(self, rows: Sql, node: Comparison, field: Field, *, is_narrow: bool) -> Sql:
        """A condition on the values of a model in `rows`: one matches; for `!=` there are some and none is equal."""
        start = "EXISTS (SELECT 1 FROM" if is_narrow else "m.id IN (SELECT model FROM"
        which = "model = m.id AND " if is_narrow else ""
        known = f"{start} ({rows.text}) WHERE {which}value IS NOT NULL)"
        if node.op == "is":
            return Sql(known, rows.parameters)
        positive = node._replace(op="=") if node.op == "!=" else node
        condition = self._compared("value", positive, field)
        some = f"{start} ({rows.text}) WHERE {which}{condition.text})"
        parameters = rows.parameters + condition.parameters
        if node.op != "!=":
            return Sql(some, parameters)
        return Sql(f"({known} AND NOT {some})", rows.parameters + parameters)

    def _compared(self, expression: str, node: Comparison, field: Field) -> Sql:
        """`expression op values`; NULL where the expression is unknown."""
        if field.kind == "flag":
            wanted = node.op == "is" or self._flag(node)
            return Sql(f"({expression})" if wanted else f"NOT ({expression})")
        if node.op == "is":
            return Sql(f"{expression} IS NOT NULL")
        self._check_operator(node, field)
        if field.kind == "number":
            values: tuple[Value, ...] = tuple(self._number(node, text) for text in node.values)
        else:
            values = node.values
        if field.name == "task" and node.op != "~":
            return _names_task(expression, node)
        if node.op == "in":
            return Sql(f"{expression} IN ({', '.join('?' * len(values))})", values)
        if node.op == "~":
            pattern = re.sub(r"[^\x00-\x7f]|[A-Z]", lambda found: found[0].lower(), node.values[0])
            return glob(expression, pattern, has_grams=self._has_grams)
        return Sql(f"{expression} {node.op} ?", values)

    def _check_operator(self, node: Comparison, field: Field) -> None:
        allowed = ("=", "!=", "~", "in") if field.kind == "text" else ("=", "!=", "<", "<=", ">", ">=", "in")
        if node.op not in allowed:
            problem = f"{field.name} is a {field.kind}; expected one of  {'  '.join(allowed)}"
            raise BadFilter(self._text, node.op_at, len(node.op), problem, node.field)

    def _number(self, node: Comparison, text: str) -> float:
        match = _NUMBER.fullmatch(text)
        value = float(match[1]) * _POWERS[match[2]] if match else math.nan
        if not math.isfinite(value):
            column = max(node.value_at, self._text.find(text, node.value_at, node.end))
            raise BadFilter(self._text, column, max(1, len(text)), f"{node.field} needs a number", node.field)
        return value

    def _flag(self, node: Comparison) -> bool:
        value = _FLAGS.get(node.values[0].casefold()) if node.op in ("=", "!=") else None
        if value is None:
            raise BadFilter(self._text, node.op_at, len(node.op), f"{node.field} is =yes or =no", node.field)
        return value == (node.op == "=")


def _names_task(expression: str, node: Comparison) -> Sql:
    """Whether a task is one of those named: by its label, or by one word of it.

    So `detection` is Object Detection, 3D Object Detection and Text Detection, and `'object detection'` the first only.
    """
    is_not = node.op == "!="
    with_word = f"instr(' ' || lower({expression}) || ' ', ?) {'=' if is_not else '>'} 0"
    parts = [
        Sql(with_word, (f" {value.lower()} ",))
        if value.isalnum()
        else Sql(f"{expression} {'!=' if is_not else '='} ?", (value,))
        for value in node.values
    ]
    return parts[0] if len(parts) == 1 else _joined(" OR ", parts)


def glob(expression: str, pattern: str, *, has_grams: bool = False) -> Sql:
    """Whether a text matches a pattern of small letters.

    An index serves what is before its first wildcard; a name that begins with one is looked up by the trigrams in it,
    where the database can (`has_grams`).
    """
    condition = f"lower({expression}) GLOB ?"
    start = re.match(r"[^*?\[]*", pattern)
    known = start[0] if start and expression in _INDEXED else ""
    if len(known) < _SELECTIVE and has_grams and expression == _NAME:
        from zoo_cli.catalog.words import grams_of_glob  # only for such a pattern

        if grams := grams_of_glob(pattern):
            having = "m.id IN (SELECT rowid FROM model_gram WHERE model_gram MATCH ?)"
            return Sql(f"({condition} AND {having})", (pattern, every_one(grams)))
    if not known:
        return Sql(condition, (pattern,))
    text = f"({condition} AND {expression} >= ? AND {expression} < ?)"
    return Sql(text, (pattern, known, known + "\U0010ffff"))


def _is_selective(node: Comparison) -> bool:
    """Whether an index finds the few models that meet a comparison of one value."""
    field = _FIELDS.get(node.field.casefold())
    if field is None or _SINGLE.get(field.name) not in _INDEXED:
        return False
    return node.op in ("=", "in") or (node.op == "~" and len(re.split(r"[*?\[]", node.values[0])[0]) >= _SELECTIVE)


def every_one(terms: Iterable[str]) -> str:
    """A full-text query for all of these terms, which are letters, digits and dashes."""
    return " AND ".join(f'"{term}"' for term in terms)


def _joined(word: str, parts: list[Sql]) -> Sql:
    text = word.join(part.text for part in parts)
    return Sql(f"({text})", tuple(value for part in parts for value in part.parameters))
