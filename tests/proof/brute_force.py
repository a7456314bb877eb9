"""One small world solved by the solver and by trying everything; what they find must be the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.worlds import NATIVE, Found, World, cheapest_ways, every_stack
from zoo_cli.catalog.entries import OpsWheels
from zoo_cli.packages.explain import minimal_conflict, ways_out
from zoo_cli.packages.solve import search
from zoo_cli.packages.versions import version

if TYPE_CHECKING:
    from zoo_cli.packages.explain import Way
    from zoo_cli.packages.solve import Stack


def compare(world: World) -> str:
    """Asks both; gives the kind of outcome: solved | refused.

    Raises:
        AssertionError: they disagree; the text says about what.
    """
    every, stack = every_stack(world), search(world.problem)
    if every:
        assert stack is not None
        assert in_words(world, stack) == max(every)
        return "solved"
    assert stack is None
    _compare_conflict(world)
    ways = ways_out(world.problem, limit=99)
    assert {frozenset(way.corrections): way.cost for way in ways} == cheapest_ways(world)
    assert [way.cost for way in ways_out(world.problem)] == sorted(way.cost for way in ways)[:3]
    for way in ways:
        _compare_way(world, way)
    return "refused"


def in_words(world: World, stack: Stack) -> Found:
    """A stack in the values of brute force."""
    machine, torch, ops = world.problem.machine, stack.cell.torch, stack.ops[0]
    own = machine.python.tag if machine.python else ""
    native = machine.driver is None or torch.variant == "cpu" or float(machine.driver) >= NATIVE[torch.variant]
    tag = stack.cell.python
    return Found(
        version(stack.frameworks["mmdet"].version), version(torch.version), native, torch.variant, tag == own,
        int(tag[3:]), isinstance(ops, OpsWheels), version(ops.version),
    )  # fmt: skip


def _compare_conflict(world: World) -> None:
    conflict = frozenset(minimal_conflict(world.problem))
    others = frozenset(world.problem.groups) - conflict
    assert not every_stack(world, others), f"{sorted(conflict)} is no conflict"
    for group in conflict:
        assert every_stack(world, others | {group}), f"{group} is not needed for the conflict {sorted(conflict)}"


def _compare_way(world: World, way: Way) -> None:
    corrections = frozenset(way.corrections)
    every = every_stack(world, corrections - {"device"}, on_cpu="device" in corrections)
    assert in_words(world, way.stack) == max(every), f"the stack of the way {way.corrections} is not the best"
