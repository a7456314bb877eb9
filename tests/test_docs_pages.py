"""The pages in docs/ that show the index: each marked block is what the program prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_docs import on_terminal

DOCS = Path(__file__).parent.parent / "docs"
BLOCK = re.compile(r"<!-- tested -->\n```console\n\$ (zoo [^\n]*)\n(.*?)```", re.DOTALL)
TESTED = BLOCK.findall((DOCS / "questions.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("command", "shown"), TESTED, ids=[command[:80] for command, _shown in TESTED])
def test_an_answer_is_what_the_program_prints(command: str, shown: str) -> None:
    assert on_terminal(command) == shown, "after a change of the index: python docs/make_pages.py"


def test_there_are_twenty_questions() -> None:
    assert len(TESTED) == 20
