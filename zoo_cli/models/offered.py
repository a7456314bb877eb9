"""The functions and methods that a config may call, each paid from the budget before it works.

Pure. Not offered, on purpose: methods that pad, functions that take functions, anything that reads or writes.
`str.format` takes plain fields only, for attributes and items in them would walk through objects. A function is
called with the budget first; a method with the budget and its object.
"""

from __future__ import annotations

import re
from string import Formatter
from typing import TYPE_CHECKING, Any

from zoo_cli.models.bounded import Budget, Refused, binary, formatted, listed
from zoo_cli.models.merge import BaseDict, fresh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

# -- functions -------------------------------------------------------------------------------------------------------


def _dict(budget: Budget, *pairs: Any, **named: Any) -> dict[Any, Any]:
    for pair in pairs:
        for item in () if isinstance(pair, dict) else listed(budget, pair):
            budget.walk(item)
        if isinstance(pair, dict):
            budget.container(len(pair))
    budget.container(len(named))
    return dict(*pairs, **named)


def _set(budget: Budget, items: Any = ()) -> set[Any]:
    budget.walk(items)
    return set(listed(budget, items))


def _frozenset(budget: Budget, items: Any = ()) -> frozenset[Any]:
    return frozenset(_set(budget, items))


def _sum(budget: Budget, items: Any, start: Any = 0) -> Any:
    if isinstance(start, str | bytes):
        raise TypeError("sum() can't sum strings")
    total = start
    for item in listed(budget, items):
        total = binary(budget, "+", total, item)
    return total


def _walked(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(budget: Budget, *arguments: Any, **named: Any) -> Any:
        for argument in (*arguments, *named.values()):
            if isinstance(argument, range):
                budget.container(len(argument))
            budget.walk(argument)
        return budget.sized(function(*arguments, **named))

    return call


def _enumerate(budget: Budget, items: Any, start: int = 0) -> list[Any]:
    return list(enumerate(listed(budget, items), start))


def _zip(budget: Budget, *columns: Any) -> list[Any]:
    return list(zip(*(listed(budget, column) for column in columns), strict=False))


def _round(budget: Budget, value: Any, digits: int | None = None) -> Any:
    if digits is not None and abs(digits) > 400:
        raise Refused("rounding to more than 400 digits")
    budget.spend(1)
    return round(value, digits)


def _pow(budget: Budget, base: Any, exponent: Any) -> Any:
    return binary(budget, "**", base, exponent)


def _range(budget: Budget, *bounds: Any) -> range:
    budget.spend(1)
    made = range(*bounds)
    len(made)  # OverflowError for one that no list could hold
    return made


def _str(budget: Budget, value: Any = "") -> str:
    budget.walk(value)
    return str(value)


def _hasattr(budget: Budget, box: Any, name: Any) -> bool:
    """Of a base's dict, whose keys are attributes; nothing else has any here."""
    budget.spend(1)
    if not isinstance(box, BaseDict) or not isinstance(name, str) or name.startswith("_"):
        raise Refused("hasattr() of something other than a base's setting")
    return name in box or hasattr(dict, name)


def _getattr(budget: Budget, box: Any, name: Any, *default: Any) -> Any:
    """As `_hasattr`: a setting of a base, or the default."""
    if not _hasattr(budget, box, name):
        if not default:
            raise AttributeError(f"the base has no '{name}'")
        return default[0]
    if hasattr(dict, name):
        raise Refused(f"the method {name} as a value")
    return box[name]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "dict": _dict,
    "list": lambda budget, items=(): listed(budget, items),
    "tuple": lambda budget, items=(): tuple(listed(budget, items)),
    "set": _set,
    "frozenset": _frozenset,
    "range": _range,
    "len": lambda budget, items: (budget.spend(1), len(items))[1],
    "sum": _sum,
    "str": _str,
    "enumerate": _enumerate,
    "zip": _zip,
    "reversed": lambda budget, items: listed(budget, items)[::-1],
    "hasattr": _hasattr,
    "getattr": _getattr,
    "pow": _pow,
    "round": _round,
    "abs": _walked(abs), "int": _walked(int), "float": _walked(float), "bool": _walked(bool), "min": _walked(min),
    "max": _walked(max), "sorted": _walked(sorted), "any": _walked(any), "all": _walked(all),
    "divmod": _walked(divmod),
}  # fmt: skip


# -- methods ---------------------------------------------------------------------------------------------------------


def _replace(budget: Budget, text: str, old: str, new: str, count: int = -1) -> str:
    found = text.count(old)
    budget.text(len(text) + found * len(new))
    return text.replace(old, new, count)


def _join(budget: Budget, glue: str, items: Iterable[str]) -> str:
    parts = listed(budget, items)
    budget.text(sum(len(part) for part in parts) + len(glue) * len(parts))
    return glue.join(parts)


def _format(budget: Budget, text: str, *arguments: Any, **named: Any) -> str:
    parts: list[str] = []
    count = length = 0
    for literal, name, specification, conversion in Formatter().parse(text):
        parts.append(literal)
        if name is None:
            continue
        if not re.fullmatch(r"\w*", name) or "{" in (specification or ""):
            raise Refused("str.format with attributes, items or nested fields")
        value = named[name] if name and not name.isdigit() else arguments[int(name) if name else count]
        count += 1
        parts.append(formatted(budget, value, specification or "", conversion))
        length += len(literal) + len(parts[-1])
        budget.text(length)
    return "".join(parts)


def _merge(budget: Budget, box: dict[Any, Any], other: Any) -> None:
    """`ConfigDict.merge`, which only the dicts of a base have."""
    if not isinstance(box, BaseDict):
        raise Refused("calling .merge() of a dict that is no base's")
    budget.walk(box)
    budget.walk(other)
    box.merge(fresh(other, budget, names=lambda name: name))


def _extend(budget: Budget, box: list[Any], items: Any) -> None:
    new = listed(budget, items)
    budget.container(len(box) + len(new))
    box.extend(new)


def _update(budget: Budget, box: dict[Any, Any], *other: Any, **named: Any) -> None:
    """`dict.update`; for a base's dict the recursive one that mmengine's ConfigDict has."""
    for each in (*other, named):
        if type(box) is dict and isinstance(each, dict):
            budget.container(len(each))
        else:
            budget.walk(each)
    box.update(*other, **named)


def _plain(name: str) -> Callable[..., Any]:
    """A method that makes nothing larger than the object and its arguments."""

    def call(budget: Budget, box: Any, *arguments: Any, **named: Any) -> Any:
        budget.walk((arguments, tuple(named.values())) if named else arguments)
        if isinstance(box, dict) and type(box) is not dict:
            budget.walk(box)  # a base's dict copies lists when it copies itself
        budget.sized(box)
        return getattr(box, name)(*arguments, **named)

    return call


def _searching(name: str) -> Callable[..., Any]:
    """A method that compares its argument with everything inside."""

    def call(budget: Budget, box: Any, *arguments: Any, **named: Any) -> Any:
        budget.walk(box)
        budget.walk(arguments)
        return getattr(box, name)(*arguments, **named)

    return call


def _listing(name: str) -> Callable[..., Any]:
    def call(budget: Budget, box: dict[Any, Any]) -> list[Any]:
        budget.container(len(box))
        return list(getattr(box, name)())

    return call


_TEXT_METHODS = (
    "split", "rsplit", "splitlines", "strip", "lstrip", "rstrip", "lower", "upper", "title", "capitalize",
    "startswith", "endswith", "removeprefix", "removesuffix", "partition", "rpartition", "isdigit", "count", "find",
    "index",
)  # fmt: skip

METHODS: Mapping[type, Mapping[str, Callable[..., Any]]] = {
    str: {"replace": _replace, "join": _join, "format": _format, **{name: _plain(name) for name in _TEXT_METHODS}},
    list: {
        "extend": _extend,
        **{name: _plain(name) for name in ("append", "insert", "pop", "copy", "clear", "reverse")},
        **{name: _searching(name) for name in ("index", "count", "remove", "sort")},
    },
    tuple: {name: _searching(name) for name in ("index", "count")},
    set: {name: _searching(name) for name in ("add", "union", "update", "discard", "difference", "intersection")},
    dict: {
        "update": _update,
        "merge": _merge,
        **{name: _plain(name) for name in ("get", "pop", "setdefault", "copy", "clear")},
        **{name: _listing(name) for name in ("keys", "values", "items")},
    },
}
