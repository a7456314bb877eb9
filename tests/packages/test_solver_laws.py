"""The solver against brute force on small random worlds: optimum, minimal conflicts, cheapest ways out."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proof.brute_force import compare
from tests.support.worlds import OPS, ORIGIN, TAGS, TORCHES, VARIANTS, World, worlds
from zoo_cli.catalog.entries import OpsWheels
from zoo_cli.packages.solve import search


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_the_solver_agrees_with_brute_force(world: World) -> None:
    compare(world)


@settings(max_examples=150, deadline=None)
@given(worlds(), st.sampled_from(OPS), st.sampled_from(TORCHES), st.sampled_from(tuple(VARIANTS)))
def test_another_wheel_never_turns_a_solution_into_none(world: World, ops: str, torch: str, variant: str) -> None:
    if search(world.problem) is None:
        return
    minor = ".".join(torch.split(".")[:2])
    wheel = OpsWheels(
        "mmcv", "openmmlab", "mmcv", ops, minor, variant, "linux_x86_64", dict.fromkeys(TAGS, "seen"), None,
        "https://page", None, ORIGIN,
    )  # fmt: skip
    facts = world.problem.facts
    richer = replace(facts, matrix=facts.matrix._replace(ops=(*facts.matrix.ops, wheel)))
    assert search(replace(world.problem, facts=richer)) is not None


@settings(max_examples=50, deadline=None)
@given(worlds())
def test_the_same_input_gives_the_same_stack(world: World) -> None:
    again = replace(world.problem, facts=replace(world.problem.facts))
    assert search(world.problem) == search(again)
