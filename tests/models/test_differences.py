from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_cli.models.differences import differences, same, value_at


def told(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each.kind, each.key) for each in differences(before, after)]


def test_dicts_key_by_key() -> None:
    before = {"model": {"type": "A", "depth": 50, "old": 1}, "lr": 0.1}
    after = {"model": {"type": "A", "depth": 101, "new": 1}, "lr": 0.1}
    assert told(before, after) == [("changed", "model.depth"), ("removed", "model.old"), ("added", "model.new")]


def test_one_transform_more_is_one_difference() -> None:
    steps = [{"type": "Load"}, {"type": "Resize", "scale": (1, 2)}, {"type": "Flip"}, {"type": "Pack"}]
    more = [steps[0], {"type": "Crop"}, {"type": "Resize", "scale": (3, 4)}, *steps[2:]]
    assert told({"p": steps}, {"p": more}) == [("added", "p.1"), ("changed", "p.1.scale")]
    assert told({"p": more}, {"p": steps}) == [("removed", "p.1"), ("changed", "p.2.scale")]


def test_another_type_is_not_a_change_of_its_keys() -> None:
    assert told({"p": [{"type": "A", "x": 1}]}, {"p": [{"type": "B", "x": 1}]}) == [
        ("removed", "p.0"),
        ("added", "p.0"),
    ]


def test_short_lists_are_values_and_long_ones_are_not() -> None:
    assert told({"a": (1, 2)}, {"a": (1, 3, 4)}) == [("changed", "a")]
    names = [f"class{number}" for number in range(80)]
    assert told({"a": names}, {"a": [*names[:10], "new", *names[11:], "last"]}) == [
        ("changed", "a.10"),
        ("added", "a.80"),
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        ([1], (1,)),
        ({"a": 1}, {"a": True}),
        ("1", 1),
        (None, {}),
        ([], ()),
    ],
)
def test_values_that_python_takes_for_equal_or_nearly_are_not(one: Any, other: Any) -> None:
    assert not same(one, other)
    assert len(differences({"a": {"b": one}}, {"a": {"b": other}})) >= 1


def test_not_a_number_is_itself() -> None:
    assert differences({"a": [float("nan")]}, {"a": [float("nan")]}) == []


def test_very_long_lists_end_soon() -> None:
    before, after = list(range(100_000)), [number + number % 2 for number in range(100_000)]
    assert len(differences({"a": before}, {"a": after})) == 50_000


PLAIN = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["a", "b"]) | st.floats(allow_nan=False)
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=15)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from(["type", "x", "y"]), inner, max_size=3)
    ),
    max_leaves=20,
)
SETTINGS = st.dictionaries(st.sampled_from(["model", "p", "q"]), VALUES, max_size=3)


@given(SETTINGS)
def test_nothing_differs_from_itself(settings: dict[str, Any]) -> None:
    assert differences(settings, settings) == []


@given(SETTINGS, SETTINGS)
def test_what_is_told_is_there(before: dict[str, Any], after: dict[str, Any]) -> None:
    found = differences(before, after)
    assert bool(found) == (not same(before, after))
    for each in found:
        if each.kind != "added":
            assert same(value_at(before, each.key), each.before)
        if each.kind == "added":
            assert same(value_at(after, each.key), each.after)
        if each.kind == "changed":
            assert not same(each.before, each.after)


@given(SETTINGS, SETTINGS)
def test_the_other_way_round_tells_of_the_same_keys_of_dicts(before: dict[str, Any], after: dict[str, Any]) -> None:
    forth, back = differences(before, after), differences(after, before)
    turned = {"added": "removed", "removed": "added", "changed": "changed"}
    top = [(turned[each.kind], each.key) for each in forth if "." not in each.key]
    assert sorted(top) == sorted((each.kind, each.key) for each in back if "." not in each.key)


@pytest.mark.parametrize(
    ("key", "missing"), [("a.b.c", "a.b"), ("a.0.x", "a.0.x"), ("a.9", "a.9"), ("b", "b"), ("a.-1", "a.-1")]
)
def test_a_key_that_is_not_there(key: str, missing: str) -> None:
    with pytest.raises(LookupError) as caught:
        value_at({"a": [{"y": 1}]}, key)
    assert caught.value.args[0] == missing


def test_keys_that_are_numbers() -> None:
    assert value_at({"info": {0: {"name": "nose"}}}, "info.0.name") == "nose"
