"""Directions of metrics, and the front against its definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_cli.catalog.listing import Row
from zoo_cli.catalog.ordering import Axis, axis_of, front, goal_of, sorted_rows


@pytest.mark.parametrize(
    ("name", "is_share", "goal"),
    [
        ("box_AP", True, "max"), ("mIoU_ms_flip", True, "max"), ("Top_1_Accuracy", True, "max"), ("PSNR", False, "max"),
        ("SSIM", False, "max"), ("FID", False, "min"), ("EPE", False, "min"), ("SAD", False, "min"),
        ("Set5_PSNR", False, "max"), ("FID50k", False, "min"), ("MPJPE", False, "min"), ("P_MPJPE", False, "min"),
        ("mATE", False, "min"), ("memory_gb", False, "min"), ("inference_ms", False, "min"), ("year", False, None),
        ("files", False, None), ("FID_Iter", False, None), ("something_new", False, None),
    ],
)  # fmt: skip
def test_what_is_better(name: str, is_share: bool, goal: str | None) -> None:
    assert goal_of(name, is_share) == goal


def test_axes_as_written() -> None:
    assert axis_of("box_AP") == Axis("box_AP")
    assert axis_of(" box AP : desc") == Axis("box AP", "max")
    assert axis_of("memory_gb:min") == Axis("memory_gb", "min")
    assert axis_of("a:b") == Axis("a:b")  # no known word: a name with a colon
    assert axis_of(":min") == Axis(":min")


VALUES = st.one_of(st.none(), st.integers(0, 6))


@given(
    st.lists(st.tuples(VALUES, VALUES), max_size=30), st.sampled_from(["min", "max"]), st.sampled_from(["min", "max"])
)
def test_the_front_by_its_definition(points: list[tuple[int | None, int | None]], one: str, two: str) -> None:
    rows = [Row(at, at, {"x": x, "y": y}) for at, (x, y) in enumerate(points)]
    signs = (1 if one == "min" else -1, 1 if two == "min" else -1)
    costs = {at: (x * signs[0], y * signs[1]) for at, (x, y) in enumerate(points) if x is not None and y is not None}
    expected = {
        at for at, mine in costs.items()
        if not any(his[0] <= mine[0] and his[1] <= mine[1] and his != mine for his in costs.values())
    }  # fmt: skip
    found = front(rows, Axis("x", one), Axis("y", two))
    assert {row.id for row in found} == expected
    assert [costs[row.id][0] for row in found] == sorted(costs[row.id][0] for row in found)


@given(st.lists(VALUES, max_size=30))
def test_sorting_puts_the_unknown_last(values: list[int | None]) -> None:
    rows = [Row(at, at, {"x": value}) for at, value in enumerate(values)]
    known = [value for value in values if value is not None]
    for goal in ("min", "max"):
        shown = [row.value("x") for row in sorted_rows(rows, "x", goal)]
        assert shown == sorted(known, reverse=goal == "max") + [None] * (len(values) - len(known))
