"""The filter fuzzer's short run; `make fuzz` is the long one."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.filter_target import check_filter, check_sql, written_words
from tests.fuzz.filter_texts import GLUE, HOSTILE, VALUES, WORDS, a_text, mutated
from zoo_cli.catalog.filter_sql import Compiled, Sql
from zoo_cli.catalog.filters import DEEPEST


@settings(max_examples=150)
@given(st.lists(st.sampled_from(WORDS) | st.sampled_from(HOSTILE), min_size=1, max_size=12).map(" ".join))
def test_any_words(text: str) -> None:
    check_filter(text)


@settings(max_examples=100)
@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    check_filter(text)


def test_texts_of_the_grammar_and_their_mutations() -> None:
    chance = random.Random(20261123)
    filters = 0
    for _ in range(400):
        text = a_text(chance)
        filters += check_filter(text)
        check_filter(mutated(chance, text))
    assert filters > 40  # the generator reaches what is behind the parser


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_foreign_text_in_every_place(hostile: str) -> None:
    for text in (hostile, f"{hostile}=1", f"name={hostile}", f"name='{hostile}'", f'name="{hostile}"', f"a {hostile} 1",
                 f"box_AP>{hostile}", f"dataset in ('{hostile}', \"{hostile}\")", f"name~'*{hostile}*'"):  # fmt: skip
        check_filter(text)


def test_limits() -> None:
    for text in ("(" * 2000, "not " * 500 + "box_AP", "box_AP>1 and " * 150 + "box_AP", "name in (" + "a," * 500 + "a)",
                 "name~" + "*a" * 900 + "b", "'" * 1999, "((((" + "box_AP>1 or (" * 30 + "mIoU" + ")" * 34,
                 "not " * 7 + "box_AP>3", "x" * 2001, ",".join(["dataset=COCO"] * 100)):  # fmt: skip
        check_filter(text)


DEEPENINGS = {  # what costs SQLite's parser, which has a stack of 100, the most a level
    "or": "name=a, box_AP or dataset=b and ({})",
    "not": "name=a, box_AP or dataset=b and not ({})",
    "binding": "dataset=a, task=c or dataset=b and ({})",
    "nots": "not {}",
}


@pytest.mark.parametrize("pattern", DEEPENINGS.values(), ids=DEEPENINGS.keys())
@pytest.mark.parametrize("inner", ["box_AP!=3", "dataset=c", "checkpoint!=x", "inference_ms"])
def test_every_depth_is_a_list_or_an_error(pattern: str, inner: str) -> None:
    text, understood = inner, True
    while understood:
        understood = check_filter(f"box_AP>1 and ({text})")
        text = pattern.format(text)
    assert text.count("(") + text.count("not") > DEEPEST


def test_the_check_would_see_a_foreign_word() -> None:
    assert {"SELECT", "GLOB", "m", "p"} <= written_words()
    assert not {"zq7x", "DROP", "UNION", "sqlite_master"} & written_words()
    with pytest.raises(AssertionError):
        check_sql(Compiled(Sql("(m.name = 'zq7x')")))
    with pytest.raises(AssertionError):
        check_sql(Compiled(Sql("m.name = ?")))


def test_the_generator_has_every_kind_of_word() -> None:
    assert set(GLUE) <= set(WORDS)
    assert len(VALUES) > 20
