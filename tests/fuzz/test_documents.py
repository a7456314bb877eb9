"""The short run of the fuzzers of documents; `make fuzz` is the long one."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.document_targets import TARGETS
from tests.fuzz.document_texts import an_input, seeds

# Each costs a verification of signatures, or a whole environment.
_FEW = {"metadata": 25, "journal": 100}


@pytest.mark.parametrize("kind", sorted(TARGETS))
def test_inputs_of_the_generator(kind: str) -> None:
    chance = random.Random(20261123)
    assert sum(TARGETS[kind](data) for data in seeds(kind)), "the ordinary ones are understood"
    for _ in range(_FEW.get(kind, 300)):
        TARGETS[kind](an_input(chance, kind))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(set(TARGETS) - {"metadata"})), st.binary(max_size=200) | st.text().map(str.encode))
def test_any_bytes(kind: str, data: bytes) -> None:
    TARGETS[kind](data)
