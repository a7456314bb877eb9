"""What a source imports, by its text alone, beside what Python's own grammar says."""

from __future__ import annotations

import ast
import email
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_cli.packages.importing import imported

CASES = {
    "import a": ["a"],
    "import a.b as c, d": ["a.b", "d"],
    "from a.b import c": ["a.b", "a.b.c"],
    "from a import (b as x,  # why, oh\n    c,\n)": ["a", "a.b", "a.c"],
    "from a import b, \\\n    c": ["a", "a.b", "a.c"],
    "from . import b": ["top.sub", "top.sub.b"],
    "from .a import b": ["top.sub.a", "top.sub.a.b"],
    "from ..a import b": ["top.a", "top.a.b"],
    "from ...a import b": [],
    "from a import *": ["a"],
    "import a # b, c": ["a"],
    "try:\n    import a\nexcept ImportError:\n    import b": ["a"],
    "if TYPE_CHECKING:\n    import a": [],
    "def f():\n    import a": [],
    "important = 1\nfrom_a = 2\nfrom a import": ["a"],
    "import ": [],
}


@pytest.mark.parametrize("text", CASES)
def test_the_names_of_a_statement(text: str) -> None:
    for each in (text, text.replace("\n", "\r\n")):
        assert list(imported(each.encode(), "top.sub")) == CASES[text]


def statements(tree: ast.Module, package: str) -> Iterator[str]:
    """The names of the statements at the left margin, as Python reads them."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, [package if node.level else "", node.module or ""]))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")


@pytest.mark.parametrize("package", ["email", "json", "importlib", "xml/dom", "unittest"])
def test_the_standard_library_imports_what_is_named(package: str) -> None:
    for path in (Path(email.__file__).parent.parent / package).glob("*.py"):
        text, name = path.read_bytes(), package.replace("/", ".")
        one_level = [node for node in ast.parse(text).body if not isinstance(node, ast.ImportFrom) or node.level < 2]
        expected = set(statements(ast.Module(one_level, []), name))
        assert expected <= set(imported(text, name)), path


@given(st.binary(max_size=400), st.sampled_from([b"from ", b"import ", b"try:\n import ", b"from . import ("]))
def test_any_bytes_give_plain_names(text: bytes, start: bytes) -> None:
    for name in imported(start + text, "top"):
        assert re.fullmatch(r"[\w.]*", name, re.ASCII)
