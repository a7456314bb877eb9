"""Errors are sets of facts, made as dataclasses are."""

from __future__ import annotations

import copy
import pickle

import pytest

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.transfer.failures import CutShort, Stalled, Unreachable


class Base(ZooError):
    """Some fact."""

    code = "base"
    exit_code = ExitCode.NETWORK

    url: str


class Further(Base):
    """Facts of the base come first."""

    count: int
    why: str = "because"


def test_facts_by_order_and_by_name() -> None:
    one, other = Further("u", 3), Further(count=3, url="u", why="because")
    assert one.fields() == other.fields() == {"url": "u", "count": 3, "why": "because"}
    assert list(one.fields()) == ["url", "count", "why"]
    assert str(one) == "base(url='u', count=3, why='because')"
    assert one.exit_code is ExitCode.NETWORK
    assert one != other  # as exceptions are


@pytest.mark.parametrize(
    ("values", "named"), [(("u",), {}), (("u", 3, "w", 4), {}), (("u", 3), {"no": 1}), ((), {"count": 1})]
)
def test_wrong_facts_are_mistakes_of_the_program(values: tuple[object, ...], named: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="Further takes url, count, why"):
        Further(*values, **named)  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [Stalled("u", 30.0, 5, 0.1), CutShort("u", 1, None), Unreachable("u", "x", "y")])
def test_errors_travel(error: ZooError) -> None:
    for same in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(same) is type(error) and same.fields() == error.fields()
