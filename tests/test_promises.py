"""SECURITY.md: every promise is there, says honestly how far it goes, and names tests that exist."""

from __future__ import annotations

import ast

import pytest

from tests.promises import ROOT, STATES, Promise, promises, table


def test_every_promise_has_its_row() -> None:
    assert [each.number for each in promises()] == [f"P{number}" for number in range(1, 21)]


@pytest.mark.parametrize("promise", promises(), ids=lambda promise: promise.number)
def test_its_tests_exist(promise: Promise) -> None:
    assert promise.state in STATES
    assert promise.tests or promise.state == "not yet"
    for test in promise.tests:
        file, _, name = test.partition("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, test


def test_the_table_tells_results() -> None:
    first = promises()[0]
    lines = table({first.tests[0]: ["passed", "passed", "failed"]})
    assert lines[0].startswith("P1   kept")
    assert lines[1].split() == ["2", "passed,", "1", "failed", first.tests[0]]
    assert "not run" in lines[2]
