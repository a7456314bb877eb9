"""Values that stand in a Python module: constants, containers, and calls of functions that only return a container.

Pure. The module is parsed and never compiled or run. What is not understood becomes `OPAQUE`, which is a value: one
field of an entry may be opaque (a transform, a class) while the others are read. Every step is paid for, so a hostile
module ends in `Unreadable` and not in a full memory.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_STEPS = 2_000_000
DEEPEST = 60
LARGEST = 200_000  # items of a container, letters of a text


class Unreadable(Exception):
    """The module, or a value in it, is no Python, or larger than anything real."""


class Opaque:
    """A value that this reader does not understand."""

    def __repr__(self) -> str:
        return "None"


OPAQUE = Opaque()


@dataclass(frozen=True, slots=True)
class Symbol:
    """A dotted name of something that is no plain value: `ResNet18_Weights.IMAGENET1K_V1`."""

    name: str


class Module:
    """One parsed module; `given` are names it imports, with their values."""

    def __init__(self, source: bytes, given: Mapping[str, Any] | None = None) -> None:
        """Parses the module.

        Raises:
            Unreadable: It is no Python of this interpreter.
        """
        try:
            self.tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
            raise Unreadable(f"no Python: {type(exc).__name__}: {exc}"[:200]) from exc
        self._known: dict[str, Any] = dict(given or {})
        self._assigned: dict[str, ast.expr] = {}
        self._functions: dict[str, ast.FunctionDef] = {}
        self._steps = 0
        for node in self.tree.body:
            self._take(node)

    def _take(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            self._assigned.setdefault(node.targets[0].id, node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            self._assigned.setdefault(node.target.id, node.value)
        elif isinstance(node, ast.FunctionDef):
            self._functions[node.name] = node

    def name(self, name: str) -> Any:
        """The value of a top-level name (its first assignment); OPAQUE when there is none."""
        return self._name(name, {}, 0)

    def names(self) -> dict[str, Any]:
        """Every top-level name with a readable value."""
        values = {name: self.name(name) for name in self._assigned}
        return {name: value for name, value in values.items() if not isinstance(value, (Opaque, Symbol))}

    def value(self, node: ast.expr, local: Mapping[str, Any] | None = None) -> Any:
        """The value of an expression of the module.

        Raises:
            Unreadable: It is larger than anything real.
        """
        return self._value(node, local or {}, 0)

    def _value(self, node: ast.expr, local: Mapping[str, Any], depth: int) -> Any:
        self._steps += 1
        if self._steps > MOST_STEPS or depth > DEEPEST:
            raise Unreadable("more expressions, or deeper nested ones, than any real module has")
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, (str, int, float, bool, type(None))) else OPAQUE
        if isinstance(node, ast.Name):
            return self._name(node.id, local, depth)
        if isinstance(node, ast.Dict):
            return self._dict(node, local, depth)
        if isinstance(node, (ast.List, ast.Tuple)):
            return self._items(node.elts, local, depth)
        if isinstance(node, ast.Call):
            return self._call(node, local, depth)
        if isinstance(node, ast.Attribute):
            inner = self._value(node.value, local, depth + 1)
            return Symbol(f"{inner.name}.{node.attr}") if isinstance(inner, Symbol) else OPAQUE
        if isinstance(node, (ast.BinOp, ast.UnaryOp)):
            return self._operation(node, local, depth)
        return OPAQUE

    def _name(self, name: str, local: Mapping[str, Any], depth: int) -> Any:
        if name in local:
            return local[name]
        if name not in self._known:
            node = self._assigned.get(name)
            self._known[name] = OPAQUE  # while it is being read: a name that needs itself has no value
            self._known[name] = self._value(node, {}, depth + 1) if node is not None else Symbol(name)
        return self._known[name]

    def _dict(self, node: ast.Dict, local: Mapping[str, Any], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            inner = self._value(value, local, depth + 1)
            if key is None:
                found.update(inner if isinstance(inner, dict) else {})
            elif isinstance(text := self._value(key, local, depth + 1), str):
                found[text] = inner
        return found

    def _items(self, nodes: list[ast.expr], local: Mapping[str, Any], depth: int) -> tuple[Any, ...]:
        found: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                inner = self._value(node.value, local, depth + 1)
                found += inner if isinstance(inner, tuple) else (OPAQUE,)
            else:
                found.append(self._value(node, local, depth + 1))
            _bounded(len(found))
        return tuple(found)

    def _call(self, node: ast.Call, local: Mapping[str, Any], depth: int) -> Any:
        if not isinstance(node.func, ast.Name):
            return OPAQUE
        if node.func.id == "dict":
            base = [self._value(each, local, depth + 1) for each in node.args[:1]]
            return {**(base[0] if base and isinstance(base[0], dict) else {}), **self._keywords(node, local, depth)}
        function = self._functions.get(node.func.id)
        if function is None or not isinstance(function.body[-1], ast.Return) or function.body[-1].value is None:
            return OPAQUE
        if not all(isinstance(each, ast.Expr) for each in function.body[:-1]):  # docstrings and nothing else
            return OPAQUE
        return self._value(function.body[-1].value, self._bound(function, node, local, depth), depth + 1)

    def _bound(self, function: ast.FunctionDef, call: ast.Call, local: Mapping[str, Any], depth: int) -> dict[str, Any]:
        """What the parameters of a function are in a call of it."""
        given = self._keywords(call, local, depth)
        spec = function.args
        plain, own = [each.arg for each in (*spec.posonlyargs, *spec.args)], [each.arg for each in spec.kwonlyargs]
        defaults = [*zip(plain[len(plain) - len(spec.defaults) :], spec.defaults, strict=True)]
        defaults += [(name, node) for name, node in zip(own, spec.kw_defaults, strict=True) if node is not None]
        bound = {name: self._value(node, {}, depth + 1) for name, node in defaults}
        bound |= zip(plain, (self._value(each, local, depth + 1) for each in call.args), strict=False)
        bound |= {name: value for name, value in given.items() if name in plain or name in own}
        if spec.kwarg:
            bound[spec.kwarg.arg] = {name: value for name, value in given.items() if name not in (*plain, *own)}
        return bound

    def _keywords(self, call: ast.Call, local: Mapping[str, Any], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for each in call.keywords:
            value = self._value(each.value, local, depth + 1)
            if each.arg is not None:
                found[each.arg] = value
            elif isinstance(value, dict):
                found.update(value)
        return found

    def _operation(self, node: ast.BinOp | ast.UnaryOp, local: Mapping[str, Any], depth: int) -> Any:
        if isinstance(node, ast.UnaryOp):
            inner = self._value(node.operand, local, depth + 1)
            return -inner if isinstance(node.op, ast.USub) and isinstance(inner, (int, float)) else OPAQUE
        left, right = self._value(node.left, local, depth + 1), self._value(node.right, local, depth + 1)
        if isinstance(node.op, ast.Add) and type(left) is type(right) and isinstance(left, (str, tuple)):
            _bounded(len(left) + len(right))
            return left + right
        return _arithmetic(node.op, left, right)


def _bounded(size: int) -> None:
    if size > LARGEST:
        raise Unreadable(f"a value of more than {LARGEST} parts")


def _arithmetic(sign: ast.operator, left: object, right: object) -> Any:
    """Two floats or small integers added, subtracted, multiplied or divided; OPAQUE for anything else."""
    if not all(type(each) in (int, float) and abs(each) < 2**62 for each in (left, right)):  # type: ignore[arg-type]
        return OPAQUE
    assert isinstance(left, (int, float)) and isinstance(right, (int, float))
    if isinstance(sign, ast.Add):
        return left + right
    if isinstance(sign, ast.Sub):
        return left - right
    if isinstance(sign, ast.Mult):
        return left * right
    return left / right if isinstance(sign, ast.Div) and right else OPAQUE
