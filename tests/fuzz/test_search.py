"""The short run of the fuzzers of searches and of models' names; `make fuzz` is the long one."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.filter_texts import HOSTILE, WORDS, a_text, mutated
from tests.fuzz.search_target import check_name, check_search


@settings(max_examples=100)
@given(st.text(max_size=60) | st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join))
def test_any_text(text: str) -> None:
    check_search(text)
    check_name(text)


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_foreign_text(hostile: str) -> None:
    for text in (hostile, f"alpha {hostile}", f"{hostile}alpha_r50", hostile * 30):
        check_search(text)
        check_name(text)


def test_mutations_of_names() -> None:
    chance = random.Random(20261123)
    understood = 0
    for _ in range(150):
        understood += check_name(mutated(chance, "alpha_r50")) + check_search(mutated(chance, "alpha coco"))
        check_search(a_text(chance))
    assert understood > 20  # the texts reach what is behind the first look
