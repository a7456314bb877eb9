"""The promises of SECURITY.md and the tests that it names for each; the page is the only list of them."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
STATES = ("kept", "in part", "not yet")
_ROW = re.compile(r"\| (P\d+) \| (.+?) \| (.+?) \| (.+) \|\Z")
_TEST = re.compile(r"`(tests/[\w/]+\.py::\w+)`")


class Promise(NamedTuple):
    """One row of the table."""

    number: str  # P1
    text: str
    state: str
    tests: tuple[str, ...]  # tests/x/test_y.py::test_z


@lru_cache
def promises() -> tuple[Promise, ...]:
    """All of them, in the order of the page."""
    rows = map(_ROW.match, (ROOT / "SECURITY.md").read_text(encoding="utf-8").splitlines())
    return tuple(Promise(row[1], row[2], row[3], tuple(_TEST.findall(row[4]))) for row in rows if row)


def table(results: dict[str, list[str]]) -> list[str]:
    """The promises with what became of their tests, as lines.

    Args:
        results: of each test, without its parameters, the outcome of each of its cases.
    """
    lines = []
    for promise in promises():
        lines.append(f"{promise.number:<4} {promise.state:<8} {promise.text}")
        for test in promise.tests:
            outcomes = results.get(test, [])
            counts = ", ".join(f"{outcomes.count(each)} {each}" for each in dict.fromkeys(outcomes)) or "not run"
            lines.append(f"       {counts:<12} {test}")
    return lines
