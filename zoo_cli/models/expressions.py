"""Expressions of a config: each node of the syntax tree gives a plain value.

Pure. No attribute that starts with an underscore exists here, functions are no values, and every node is paid from
the budget. What is not understood is refused by name (`Refused`), which is always safe.
"""

from __future__ import annotations

import ast
import builtins
from typing import TYPE_CHECKING, Any

from zoo_cli.models.bounded import SCALARS, Budget, Refused, binary, compare, formatted, listed
from zoo_cli.models.merge import BaseDict, fresh
from zoo_cli.models.newstyle import Imported
from zoo_cli.models.offered import FUNCTIONS, METHODS
from zoo_cli.models.syntax import BASE, SIGNS, name_of

if TYPE_CHECKING:
    from collections.abc import Callable


_FREE = frozenset({str, float, bool, type(None), bytes})  # literals that need no look; integers may be huge
_BUILTINS = frozenset(dir(builtins))


class Function:
    """A name that is no value: what `import copy` gives, a module of the standard library, a function of the config.

    `functions` are those that may be called: by attribute, or "" for the name itself.
    """

    def __init__(self, functions: dict[str, Callable[..., Any]]) -> None:
        self.functions = functions


def _shallow(budget: Budget, value: Any) -> Any:
    budget.walk(value) if isinstance(value, BaseDict) else budget.sized(value)
    return value.copy() if isinstance(value, dict | list | set) else value


def _deep(budget: Budget, value: Any) -> Any:
    return fresh(value, budget, BaseDict if isinstance(value, BaseDict) else dict, names=lambda name: name)


FROM_COPY: dict[str, Callable[..., Any]] = {"copy": _shallow, "deepcopy": _deep}


class Expressions:
    """Evaluates the expressions of one file; `names` are its names so far, `line` is where it is."""

    def __init__(self, base: BaseDict | None, budget: Budget) -> None:
        self.base = base  # None in a config of the new style, where _base_ is no name
        self.budget = budget
        self.names: dict[str, Any] = {}
        self.line = 0

    # -- targets -----------------------------------------------------------------------------------------------------

    def store(self, target: ast.expr, value: Any) -> None:
        """Binds a target: a name, an item, an attribute of a base's dict, or several at once."""
        if isinstance(target, ast.Name):
            if target.id == BASE:
                raise Refused("binding _base_ in another way than `_base_ = ...`")
            self.names[target.id] = value
        elif isinstance(target, ast.Tuple | ast.List):
            self._unpack(target.elts, value)
        elif isinstance(target, ast.Subscript):
            self._store_item(self.value(target.value), self.key(target.slice), value)
        elif isinstance(target, ast.Attribute):
            self._store_item(self.with_attributes(target), target.attr, value)
        else:
            raise Refused(name_of(target))

    def _store_item(self, box: Any, key: Any, value: Any) -> None:
        if isinstance(key, slice):
            if type(box) is not list:
                raise TypeError("only a list takes a slice")
            value = listed(self.budget, value)
            self.budget.container(len(box) + len(value))
        if type(box) is BaseDict:
            self.budget.walk(value)
        elif type(box) not in (list, dict):
            raise TypeError(f"'{type(box).__name__}' object does not support item assignment")
        box[key] = value

    def _unpack(self, targets: list[ast.expr], value: Any) -> None:
        items = listed(self.budget, value)
        star = next((index for index, target in enumerate(targets) if isinstance(target, ast.Starred)), None)
        if star is not None:
            if sum(isinstance(target, ast.Starred) for target in targets) > 1:
                raise ValueError("two starred targets")
            after = len(targets) - star - 1
            if len(items) < len(targets) - 1:
                raise ValueError("not enough values to unpack")
            items = [*items[:star], items[star : len(items) - after], *items[len(items) - after :]]
        if len(items) != len(targets):
            raise ValueError(f"{len(items)} values to unpack into {len(targets)} names")
        for target, item in zip(targets, items, strict=True):
            self.store(target.value if isinstance(target, ast.Starred) else target, item)

    # -- expressions -------------------------------------------------------------------------------------------------

    def value(self, node: ast.expr) -> Any:
        """The value of an expression."""
        self.budget.spend(1)
        kind = type(node)
        if kind is ast.Constant and type(node.value) in _FREE:  # type: ignore[attr-defined]
            return node.value  # type: ignore[attr-defined]  # two thirds of all nodes: without another call
        method = _EXPRESSIONS.get(kind)
        if method is None:
            self.line = node.lineno
            raise Refused(name_of(node))
        return method(self, node)

    def items(self, node: ast.expr) -> Any:
        """What a loop goes through; a range stays lazy, its steps are paid one by one."""
        value = self.value(node)
        return value if type(value) is range else listed(self.budget, value)

    def _constant(self, node: ast.Constant) -> Any:
        value = node.value
        if type(value) is int:
            self.budget.integer(value.bit_length())
        elif type(value) not in SCALARS:
            raise Refused(f"the literal {value!r}")
        return value

    def _name(self, node: ast.Name) -> Any:
        if node.id in self.names:
            value = self.names[node.id]
            if type(value) is Function:
                raise Refused(f"the function {node.id} as a value")
            return value
        if node.id == BASE and self.base is not None:
            return self.base
        if node.id == "__name__":
            return "builtins"  # as mmengine's eval has it: a config is never the program
        self.line = node.lineno
        if node.id in FUNCTIONS or node.id in _BUILTINS:
            raise Refused(f"the name {node.id} as a value")
        raise NameError(f"name '{node.id}' is not defined")

    def _sequence(self, nodes: list[ast.expr]) -> list[Any]:
        made: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                made.extend(listed(self.budget, self.value(node.value)))
                self.budget.container(len(made))
            else:
                made.append(self.value(node))
        return made

    def _list(self, node: ast.List) -> list[Any]:
        return self._sequence(node.elts)

    def _tuple(self, node: ast.Tuple) -> tuple[Any, ...]:
        return tuple(self._sequence(node.elts))

    def _set(self, node: ast.Set) -> set[Any]:
        items = self._sequence(node.elts)
        self.budget.walk(items)
        return set(items)

    def _dict(self, node: ast.Dict) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        for key_node, value_node in zip(node.keys, node.values, strict=True):
            if key_node is None:
                made.update(self._mapping(value_node))
                self.budget.container(len(made))
            else:
                key = self._hashable(self.value(key_node))
                made[key] = self.value(value_node)
        return made

    def _mapping(self, node: ast.expr) -> dict[Any, Any]:
        value = self.value(node)
        if not isinstance(value, dict):
            raise TypeError(f"'{type(value).__name__}' object is not a mapping")
        self.budget.container(len(value))
        return value

    def _hashable(self, key: Any) -> Any:
        if type(key) not in SCALARS:
            self.budget.walk(key)
        return key

    def _binary(self, node: ast.BinOp) -> Any:
        sign = SIGNS.get(type(node.op))
        if sign is None:
            raise Refused("the operator @")
        left, right = self.value(node.left), self.value(node.right)
        self.line = node.lineno
        return self.budget.sized(binary(self.budget, sign, left, right))

    def _unary(self, node: ast.UnaryOp) -> Any:
        value = self.value(node.operand)
        if isinstance(node.op, ast.Not):
            return not value
        if isinstance(node.op, ast.USub):
            return -value
        return +value if isinstance(node.op, ast.UAdd) else ~value

    def _boolean(self, node: ast.BoolOp) -> Any:
        stop = isinstance(node.op, ast.Or)
        value: Any = None
        for operand in node.values:
            value = self.value(operand)
            if bool(value) is stop:
                break
        return value

    def _comparison(self, node: ast.Compare) -> Any:
        left = self.value(node.left)
        result: Any = True
        for operation, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.value(right_node)
            result = compare(self.budget, SIGNS[type(operation)], left, right)
            if not result:
                break
            left = right
        return result

    def _choice(self, node: ast.IfExp) -> Any:
        return self.value(node.body if self.value(node.test) else node.orelse)

    def key(self, node: ast.expr) -> Any:
        """The value between square brackets, or a slice."""
        if isinstance(node, ast.Slice):
            bounds = (node.lower, node.upper, node.step)
            return slice(*(None if bound is None else self.value(bound) for bound in bounds))
        return self._hashable(self.value(node))

    def _subscript(self, node: ast.Subscript) -> Any:
        box, key = self.value(node.value), self.key(node.slice)
        self.line = node.lineno
        if isinstance(box, dict | list | tuple | str | range | bytes):
            return self.budget.sized(box[key]) if isinstance(key, slice) else box[key]
        raise TypeError(f"'{type(box).__name__}' object is not subscriptable")

    def with_attributes(self, node: ast.Attribute) -> BaseDict:
        """The object whose attribute is meant: only a base's dict has any, and none with an underscore."""
        return self._with_attribute(self.value(node.value), node)

    def _with_attribute(self, box: Any, node: ast.Attribute) -> BaseDict:
        self.line = node.lineno
        if node.attr.startswith("_"):
            raise Refused(f"the attribute {node.attr}")
        if type(box) is not BaseDict:
            raise Refused(f"the attribute {node.attr} of a {type(box).__name__}")
        if hasattr(dict, node.attr):
            raise Refused(f"the method {node.attr} as a value")
        return box

    def _attribute(self, node: ast.Attribute) -> Any:
        value = self.value(node.value)
        if type(value) is Imported:
            self.line = node.lineno
            below = value.attribute(node.attr)
            if below is None:
                raise Refused(f"the attribute {node.attr} of an imported name")
            return below
        box = self._with_attribute(value, node)
        if node.attr not in box:
            raise AttributeError(f"the base has no '{node.attr}'")
        return box[node.attr]

    def _joined(self, node: ast.JoinedStr) -> str:
        parts = []
        for part in node.values:
            parts.append(self._formatted(part) if isinstance(part, ast.FormattedValue) else self.value(part))
        self.budget.text(sum(map(len, parts)))
        return "".join(parts)

    def _formatted(self, node: ast.FormattedValue) -> str:
        value = self.value(node.value)
        specification = self.value(node.format_spec) if node.format_spec else ""
        return formatted(self.budget, value, specification, chr(node.conversion) if node.conversion != -1 else None)

    # -- comprehensions ----------------------------------------------------------------------------------------------

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> Any:
        """All four kinds; a generator becomes a list, for it is only ever an argument."""
        names = {
            name.id
            for generator in node.generators
            for name in ast.walk(generator.target)
            if isinstance(name, ast.Name)
        }
        hidden = {name: self.names[name] for name in names if name in self.names}
        made: list[Any] = []
        try:
            self._generate(node, node.generators, made)
        finally:
            for name in names:
                if name in hidden:
                    self.names[name] = hidden[name]
                else:
                    self.names.pop(name, None)
        if isinstance(node, ast.DictComp):
            return dict(made)
        return set(made) if isinstance(node, ast.SetComp) else made

    def _generate(self, node: Any, generators: list[ast.comprehension], made: list[Any]) -> None:
        if not generators:
            if isinstance(node, ast.DictComp):
                made.append((self._hashable(self.value(node.key)), self.value(node.value)))
            elif isinstance(node, ast.SetComp):
                made.append(self._hashable(self.value(node.elt)))
            else:
                made.append(self.value(node.elt))
            return
        first, rest = generators[0], generators[1:]
        if first.is_async:
            raise Refused("an asynchronous comprehension")
        for item in self.items(first.iter):
            self.budget.spend(1)
            self.store(first.target, item)
            if all(self.value(test) for test in first.ifs):
                self._generate(node, rest, made)

    # -- calls -------------------------------------------------------------------------------------------------------

    def _call(self, node: ast.Call) -> Any:
        function = node.func
        if isinstance(function, ast.Name) and function.id == "dict" and not node.args and "dict" not in self.names:
            return self._named(node.keywords)
        made = self._function(function) if isinstance(function, ast.Name) else self._method(function)
        arguments = self._sequence(node.args)
        named = self._named(node.keywords)
        self.line = node.lineno
        return made(self.budget, *arguments, **named)

    def _named(self, keywords: list[ast.keyword]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for keyword in keywords:
            if keyword.arg is not None:
                if keyword.arg in made:
                    raise TypeError(f"keyword argument {keyword.arg} given twice")
                made[keyword.arg] = self.value(keyword.value)
                continue
            for key, value in self._mapping(keyword.value).items():
                if type(key) is not str or key in made:
                    raise TypeError(f"keyword argument {key!s:.80} given twice or not a string")
                made[key] = value
            self.budget.container(len(made))
        return made

    def _function(self, node: ast.Name) -> Callable[..., Any]:
        known = self.names.get(node.id)
        if type(known) is Function and "" in known.functions:
            return known.functions[""]
        if node.id in self.names or node.id not in FUNCTIONS:
            self.line = node.lineno
            raise Refused(f"calling {node.id}()")
        return FUNCTIONS[node.id]

    def _method(self, node: ast.expr) -> Callable[..., Any]:
        if not isinstance(node, ast.Attribute):
            raise Refused("calling something that is neither a name nor a method")
        if isinstance(node.value, ast.Name) and type(self.names.get(node.value.id)) is Function:
            functions: dict[str, Callable[..., Any]] = self.names[node.value.id].functions
            if node.attr in functions:
                return functions[node.attr]
            raise Refused(f"calling {node.value.id}.{node.attr}()")
        box = self.value(node.value)
        self.line = node.lineno
        method = METHODS.get(dict if type(box) is BaseDict else type(box), {}).get(node.attr)
        if method is None:
            whose = str(box.dotted) if type(box) is Imported else f"a {type(box).__name__}"
            raise Refused(f"calling .{node.attr}() of {whose}")
        return lambda budget, *arguments, **named: method(budget, box, *arguments, **named)


_EXPRESSIONS: dict[type[ast.expr], Callable[..., Any]] = {
    ast.Constant: Expressions._constant,
    ast.Name: Expressions._name,
    ast.List: Expressions._list,
    ast.Tuple: Expressions._tuple,
    ast.Set: Expressions._set,
    ast.Dict: Expressions._dict,
    ast.BinOp: Expressions._binary,
    ast.UnaryOp: Expressions._unary,
    ast.BoolOp: Expressions._boolean,
    ast.Compare: Expressions._comparison,
    ast.IfExp: Expressions._choice,
    ast.Subscript: Expressions._subscript,
    ast.Attribute: Expressions._attribute,
    ast.JoinedStr: Expressions._joined,
    ast.ListComp: Expressions._comprehension,
    ast.SetComp: Expressions._comprehension,
    ast.DictComp: Expressions._comprehension,
    ast.GeneratorExp: Expressions._comprehension,
    ast.Call: Expressions._call,
}
