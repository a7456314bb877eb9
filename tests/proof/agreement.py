"""One question to the solver and to an oracle; what they say must be the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.oracle import COSTS, Best, Oracle
from zoo_cli.catalog.entries import OpsWheels
from zoo_cli.packages.explain import minimal_conflict, ways_out
from zoo_cli.packages.solve import search

if TYPE_CHECKING:
    from zoo_cli.packages.problem import Problem
    from zoo_cli.packages.solve import Stack


def compare(problem: Problem) -> str:
    """Asks both; gives the kind of outcome: solved | refused.

    Raises:
        AssertionError: they disagree; the text says about what.
    """
    oracle = Oracle(problem)
    try:
        stack, best = search(problem), oracle.best()
        found = in_words(stack) if stack else None
        assert found == best, f"optimum: solver {found}, oracle {best}"
        if found:
            return "solved"
        _compare_conflict(problem, oracle)
        _compare_ways(problem, oracle)
        return "refused"
    finally:
        oracle.close()


def in_words(stack: Stack) -> Best:
    """A stack in the oracle's words."""
    torch = stack.cell.torch
    ops = {
        each.import_name: each.version if isinstance(each, OpsWheels) else f"build {each.version}" for each in stack.ops
    }
    frameworks = {project: release.version for project, release in stack.frameworks.items()}
    return Best(frameworks, f"{torch.version}+{torch.variant}", stack.cell.python, ops)


def _compare_conflict(problem: Problem, oracle: Oracle) -> None:
    conflict = minimal_conflict(problem)
    assert not oracle.holds(conflict), f"{conflict} is no conflict"
    for group in conflict:
        rest = [each for each in conflict if each != group]
        assert oracle.holds(rest), f"{group} is not needed for the conflict {conflict}"


def _compare_ways(problem: Problem, oracle: Oracle) -> None:
    every = {frozenset(_kinds(way.corrections)): way.cost for way in ways_out(problem, limit=99)}
    expected = oracle.cheapest()
    assert every == expected, f"ways: solver {_sorted(every)}, oracle {_sorted(expected)}"
    first = [sum(COSTS[name] for name in _kinds(way.corrections)) for way in ways_out(problem, limit=3)]
    assert first == sorted(expected.values())[:3], f"the three cheapest: {first} of {_sorted(expected)}"


def _kinds(corrections: tuple[str, ...]) -> list[str]:
    return [name.partition(":")[0] for name in corrections]


def _sorted(ways: dict[frozenset[str], int]) -> list[tuple[int, list[str]]]:
    return sorted((cost, sorted(names)) for names, cost in ways.items())
