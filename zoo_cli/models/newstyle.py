"""Configs of the new style: `with read_base():`, and names imported from packages that stay names.

Pure. Follows `Config._parse_lazy_import` of mmengine 0.10.7. Such a config imports its bases (`from .base import *`)
and the classes it is built from; here nothing is imported: a class is its dotted path (`Imported`), a base is another
file of the tree, and a module of the standard library is a name that can only be dropped.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zoo_cli.models.merge import BaseDict
from zoo_cli.models.syntax import is_base_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Attributes of mmengine's own LazyObject and LazyAttr, which are not those of what was imported.
_OWN = frozenset({"build", "module", "location", "name", "source"})


class Imported:
    """Something of a package that a config names: `from mmdet.models import RTMDet`, and what is below it.

    `str()` is its own name, as mmengine prints it in f-strings; `dotted` is what stands in the flattened config.
    """

    __slots__ = ("dotted", "name", "path")

    def __init__(self, path: str, name: str, dotted: str) -> None:
        self.path = path  # to which attributes are added
        self.name = name
        self.dotted = dotted

    __hash__ = None  # type: ignore[assignment]  # neither a key nor in a set: neither has a form in a file

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__

    def attribute(self, name: str) -> Imported | None:
        """What that attribute of it would be; None for those that mmengine keeps for itself."""
        if name.startswith("_") or name in _OWN:
            return None
        return Imported(f"{self.path}.{name}", name, f"{self.path}.{name}")


def imported_module(module: str) -> Imported:
    """A module imported whole. mmengine writes its name twice, should a config hold the module itself."""
    return Imported(module, module, f"{module}.{module}")


def imported_name(module: str, name: str) -> Imported:
    """A name imported from a module."""
    return Imported(f"{module}.{name}", name, f"{module}.{name}")


@dataclass
class NewStyle:
    """One evaluated file of the new style, as the files that import it see it."""

    settings: BaseDict = field(default_factory=BaseDict)  # with `Imported` values
    imported: set[str] = field(default_factory=set)  # names that the file and its bases imported: they are no settings


class WrongNewStyle(Exception):
    """A rule of the new style is broken; mmengine refuses it, too. `line` is where."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def is_library(module: str) -> bool:
    """Whether mmengine imports the module for real: the standard library and its own `mmengine.config`."""
    return module.startswith("mmengine.config") or module.split(".")[0] in sys.stdlib_module_names


def is_new_style(tree: ast.Module) -> bool:
    """Whether mmengine reads a config as one of the new style: by the first sign, breadth first."""
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and is_base_line(node):
            return False
        if isinstance(node, ast.With):
            if not _reads_base(node):
                raise WrongNewStyle(node.lineno, "only read_base() can stand after with")
            return True
        if isinstance(node, ast.ImportFrom) and _is_sign(node):
            return True
        if isinstance(node, ast.Import) and not all(is_library(alias.name) for alias in node.names):
            return True
    return False


def _is_sign(node: ast.ImportFrom) -> bool:
    if node.level:
        return True
    if node.module == "mmengine" and [alias.name for alias in node.names] == ["Config"]:
        return False
    return node.module is not None and not is_library(node.module)


def _reads_base(node: ast.With) -> bool:
    call = node.items[0].context_expr
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "read_base"


@dataclass
class Parts:
    """A file of the new style, its bases apart from its code."""

    bases: list[ast.ImportFrom]  # those inside `with read_base()`
    code: list[ast.stmt]  # all statements, those of the bases in the place of the `with`


def parts_of(tree: ast.Module) -> Parts:
    """Finds the bases of a file.

    Raises:
        WrongNewStyle: They are not written as mmengine wants them.
    """
    for at, node in enumerate(tree.body):
        if is_base_line(node):
            raise WrongNewStyle(node.lineno, "_base_ = ... does not go with the new style")
        if not isinstance(node, ast.With):
            continue
        if not _reads_base(node) or len(node.items) > 1:
            raise WrongNewStyle(node.lineno, "only read_base() can stand after with")
        bases = []
        for each in node.body:
            if not isinstance(each, ast.ImportFrom) or each.module is None:
                raise WrongNewStyle(each.lineno, "only `from module import name` can stand in read_base()")
            bases.append(each)
        return Parts(bases, [*tree.body[:at], *node.body, *tree.body[at + 1 :]])
    return Parts([], tree.body)


def module_of(node: ast.ImportFrom) -> str:
    """The module as mmengine's tables have it: dots for the level, then the name."""
    return "." * node.level + str(node.module)


def imports_in(statements: Iterable[ast.AST]) -> Iterator[ast.ImportFrom | ast.Import]:
    """Every import below the statements, in the order of the text."""
    for node in statements:
        if isinstance(node, ast.ImportFrom | ast.Import):
            yield node
            continue
        for name in ("body", "handlers", "orelse", "finalbody"):
            below = getattr(node, name, None)
            if isinstance(below, list):
                yield from imports_in(below)


def take_from_bases(code: list[ast.stmt], bases: dict[str, BaseDict]) -> dict[str, Any]:
    """The names that a file has from its bases before its own code begins.

    Raises:
        WrongNewStyle: A base lacks the name.
    """
    names: dict[str, Any] = {}
    for node in imports_in(code):
        if not isinstance(node, ast.ImportFrom) or module_of(node) not in bases or is_library(module_of(node)):
            continue
        base = bases[module_of(node)]
        for alias in node.names:
            if alias.name == "*":
                names.update(base)
                break
            if alias.name not in base:
                raise WrongNewStyle(node.lineno, f"the base has no '{alias.name}'")
            names[alias.asname or alias.name] = base[alias.name]
    return names


def imported_names(code: list[ast.stmt], bases: Iterable[str]) -> set[str]:
    """The names that a file's imports bind, which mmengine leaves out of the settings.

    Raises:
        WrongNewStyle: Two modules in one `import`, or `import *` of something that is no base.
    """
    bases = set(bases)
    found: set[str] = set()
    for node in imports_in(code):
        if isinstance(node, ast.Import):
            if len(node.names) != 1:
                raise WrongNewStyle(node.lineno, "import of several modules in one line")
            if node.names[0].asname:
                found.add(node.names[0].asname)
        elif module_of(node) not in bases or is_library(module_of(node)):
            for alias in node.names:
                if alias.name == "*":
                    raise WrongNewStyle(node.lineno, "import * of something that is no base")
                found.add(alias.asname or alias.name)
    return found | set(whole_modules(code))


def whole_modules(code: list[ast.stmt]) -> dict[str, Imported]:
    """What `import package.module` at the top binds: the package, before all other code; the last one first."""
    first = [
        alias.name.split(".")[0]
        for node in code
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.asname is None and not is_library(alias.name)
    ]
    return {name: imported_module(name) for name in reversed(dict.fromkeys(first))}
