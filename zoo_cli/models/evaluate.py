"""The syntax tree of a config, evaluated: nothing is compiled, executed or imported.

Pure. What real configs use is understood (assignments, literals, arithmetic, dict(...), comprehensions, if/for,
f-strings, a few functions and methods, `del`); everything else is refused by its place: `CannotEvaluate`.
"""

from __future__ import annotations

import ast
import contextlib
from typing import TYPE_CHECKING, Any

from zoo_cli.models.bounded import Budget, Exhausted, Refused, binary
from zoo_cli.models.config_errors import BrokenConfig, CannotEvaluate, ConfigTooLarge
from zoo_cli.models.expressions import FROM_COPY, Expressions, Function
from zoo_cli.models.merge import BaseDict, fresh
from zoo_cli.models.newstyle import (
    NewStyle,
    Parts,
    WrongNewStyle,
    imported_module,
    imported_name,
    imported_names,
    is_library,
    module_of,
    take_from_bases,
    whole_modules,
)
from zoo_cli.models.syntax import SIGNS, is_base_line, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# What Python's own operators raise on values that do not fit.
_MISTAKES = (NameError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RuntimeError)


class _Break(Exception):
    """`break` on its way to its loop."""


class _Continue(Exception):
    """`continue` on its way to its loop."""


@contextlib.contextmanager
def placed(file: str, line: Callable[[], int]) -> Iterator[None]:
    """Gives whatever goes wrong inside its place in a file."""
    try:
        yield
    except Refused as error:
        raise CannotEvaluate(file, line(), str(error)) from error
    except Exhausted as error:
        raise ConfigTooLarge(file, line(), error.what, error.limit) from error
    except WrongNewStyle as error:
        raise BrokenConfig(file, error.line, str(error)) from error
    except (RecursionError, MemoryError) as error:
        raise ConfigTooLarge(file, line(), "depth of nested expressions", 0) from error
    except _MISTAKES as error:
        raise BrokenConfig(file, line(), f"{type(error).__name__}: {error}"[:300]) from error


def evaluate(tree: ast.Module, file: str, base: BaseDict, budget: Budget) -> dict[str, Any]:
    """The top-level names of a config after evaluating its tree, in order; `_base_` lines are passed over.

    Raises:
        CannotEvaluate, ConfigTooLarge, BrokenConfig: With the file and the line.
    """
    evaluator = _Statements(base, budget)
    with placed(file, lambda: evaluator.line):
        evaluator.run(tree.body)
    return {
        name: value
        for name, value in evaluator.names.items()
        if not name.startswith("__") and type(value) is not Function
    }


def evaluate_new_style(parts: Parts, file: str, bases: Mapping[str, NewStyle], budget: Budget) -> NewStyle:
    """A config of the new style after evaluating it; `bases` are those it imports, by module as it writes them.

    Raises:
        CannotEvaluate, ConfigTooLarge, BrokenConfig: With the file and the line.
    """
    evaluator = _Statements(None, budget)
    evaluator.bases = frozenset(bases)
    with placed(file, lambda: evaluator.line):
        imported = imported_names(parts.code, bases).union(*(base.imported for base in bases.values()))
        evaluator.names = take_from_bases(parts.code, {module: base.settings for module, base in bases.items()})
        evaluator.names |= whole_modules(parts.code)
        evaluator.run([node for node in parts.code if not _is_whole_module(node)])
        settings = {name: value for name, value in evaluator.names.items() if not name.startswith("__")}
        return NewStyle(fresh(settings, budget, BaseDict, names=lambda name: name), imported)


def _is_whole_module(node: ast.stmt) -> bool:
    """Whether it is an import that `whole_modules` has done."""
    return isinstance(node, ast.Import) and not node.names[0].asname and not is_library(node.names[0].name)


def evaluate_expression(node: ast.expr, file: str, budget: Budget) -> Any:
    """The value of one expression without any names, such as the list after `_base_ =`."""
    evaluator = _Statements(BaseDict(), budget)
    evaluator.line = node.lineno
    with placed(file, lambda: evaluator.line):
        return evaluator.value(node)


class _Statements(Expressions):
    """Evaluates the statements of one file."""

    loops = 0  # how many loops are open here
    bases: frozenset[str] | None = None  # in the new style: the modules that are bases

    def run(self, statements: list[ast.stmt]) -> None:
        """Evaluates the statements in order."""
        for statement in statements:
            self.line = statement.lineno
            self.budget.spend(1)
            method = _STATEMENTS.get(type(statement))
            if method is None:
                raise Refused(name_of(statement))
            method(self, statement)

    def _assign(self, node: ast.Assign) -> None:
        if is_base_line(node):
            return
        value = self.value(node.value)
        for target in node.targets:
            self.store(target, value)

    def _annotated(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.store(node.target, self.value(node.value))

    def _augmented(self, node: ast.AugAssign) -> None:
        old = self.value(node.target)
        new = binary(self.budget, SIGNS[type(node.op)], old, self.value(node.value), in_place=True)
        self.store(node.target, new)

    def _delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                if target.id not in self.names:
                    raise NameError(f"name '{target.id}' is not defined")
                del self.names[target.id]
            elif isinstance(target, ast.Subscript):
                box = self.value(target.value)
                del box[self.key(target.slice)]
            elif isinstance(target, ast.Attribute):
                box = self.with_attributes(target)
                del box[target.attr]
            else:
                raise Refused("del of several targets in brackets")

    def _expression(self, node: ast.Expr) -> None:
        self.value(node.value)

    def _assertion(self, node: ast.Assert) -> None:
        if not self.value(node.test):
            raise ValueError("an assertion of the config fails")

    def _branch(self, node: ast.If) -> None:
        self.run(node.body if self.value(node.test) else node.orelse)

    def _loop(self, node: ast.For) -> None:
        for item in self.items(node.iter):
            self.budget.spend(1)
            self.store(node.target, item)
            self.loops += 1
            try:
                self.run(node.body)
            except _Continue:
                continue
            except _Break:
                return
            finally:
                self.loops -= 1
        self.run(node.orelse)

    def _leave(self, node: ast.stmt) -> None:
        if not self.loops:
            raise ValueError("break or continue outside a loop")
        raise _Break if isinstance(node, ast.Break) else _Continue

    def _nothing(self, node: ast.stmt) -> None:
        """`pass`."""

    def _definition(self, node: ast.FunctionDef) -> None:
        """A function is a name that mmengine drops; calling it is refused."""
        if node.decorator_list:
            raise Refused("a decorator")
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.value(default)
        self.names[node.name] = Function({})

    def _imports(self, node: ast.Import) -> None:
        for alias in node.names:
            if is_library(alias.name):
                functions = dict(FROM_COPY) if alias.name == "copy" else {}
                self.names[alias.asname or alias.name.split(".")[0]] = Function(functions)
            elif self.bases is not None and alias.asname:
                self.names[alias.asname] = imported_module(alias.name)
            else:
                raise Refused(f"import {alias.name}")

    def _imports_from(self, node: ast.ImportFrom) -> None:
        module = module_of(node)
        if self.bases is not None and module in self.bases and not is_library(module):
            return  # done before the code began
        for alias in node.names:
            name = alias.asname or alias.name
            if module == "copy" and alias.name in FROM_COPY:
                self.names[name] = Function({"": FROM_COPY[alias.name]})
            elif self.bases is None:
                raise Refused(f"from {module.removesuffix('None')} import {alias.name}")
            else:
                self.names[name] = Function({}) if is_library(module) else imported_name(module, alias.name)


_STATEMENTS: dict[type[ast.stmt], Callable[..., None]] = {
    ast.Assign: _Statements._assign,
    ast.AnnAssign: _Statements._annotated,
    ast.AugAssign: _Statements._augmented,
    ast.Delete: _Statements._delete,
    ast.Expr: _Statements._expression,
    ast.Assert: _Statements._assertion,
    ast.If: _Statements._branch,
    ast.For: _Statements._loop,
    ast.Break: _Statements._leave,
    ast.Continue: _Statements._leave,
    ast.Pass: _Statements._nothing,
    ast.Import: _Statements._imports,
    ast.ImportFrom: _Statements._imports_from,
    ast.FunctionDef: _Statements._definition,
}
