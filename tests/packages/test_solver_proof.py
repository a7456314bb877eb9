"""The solver against a SAT solver over the whole index; the long run is `python -m tests.proof.prove_solver`."""

from __future__ import annotations

from random import Random

import pytest

from tests.proof.agreement import compare
from tests.support.instances import random_problem


@pytest.mark.parametrize("seed", range(12))
def test_the_solver_agrees_with_the_oracle(seed: int) -> None:
    assert compare(random_problem(Random(seed))) in ("solved", "refused")
