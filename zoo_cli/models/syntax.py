"""Names for the parts of a config's syntax tree: signs of operators, words for what is refused.

Pure.
"""

from __future__ import annotations

import ast

BASE = "_base_"  # the name under which a config sees its bases

SIGNS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.LShift: "<<", ast.RShift: ">>", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^",
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip

_WORDS: dict[type[ast.AST], str] = {
    ast.FunctionDef: "def", ast.AsyncFunctionDef: "async def", ast.ClassDef: "class", ast.Lambda: "lambda",
    ast.With: "with", ast.While: "while", ast.Try: "try", ast.Raise: "raise", ast.Assert: "assert",
    ast.Global: "global", ast.Nonlocal: "nonlocal", ast.NamedExpr: ":=", ast.Yield: "yield", ast.Await: "await",
    ast.Starred: "*", ast.AsyncFor: "async for", ast.AsyncWith: "async with", ast.Return: "return",
}  # fmt: skip


def name_of(node: ast.AST) -> str:
    """The construct in words of the language: `lambda`, `def`, `with`, or the node's class."""
    return _WORDS.get(type(node), type(node).__name__)


def is_base_line(node: ast.stmt) -> bool:
    """Whether the statement names the bases: `_base_ = ...`."""
    return isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == BASE
