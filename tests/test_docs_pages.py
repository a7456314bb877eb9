"""The pages in docs/ that show the index: what they say is what the program prints and the database holds."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from docs.make_pages import COUNTED, baselines_page
from tests.test_docs import on_terminal
from zoo_cli.catalog.database import open_catalog

DOCS = Path(__file__).parent.parent / "docs"
BLOCK = re.compile(r"<!-- tested -->\n```console\n\$ (zoo [^\n]*)\n(.*?)```", re.DOTALL)
TESTED = BLOCK.findall((DOCS / "questions.md").read_text(encoding="utf-8"))
AGAIN = "after a change of the index: python docs/make_pages.py"


@pytest.mark.parametrize(("command", "shown"), TESTED, ids=[command[:80] for command, _shown in TESTED])
def test_an_answer_is_what_the_program_prints(command: str, shown: str) -> None:
    assert on_terminal(command) == shown, AGAIN


def test_there_are_twenty_questions() -> None:
    assert len(TESTED) == 20


def test_the_page_of_baselines_is_what_the_database_holds() -> None:
    with closing(open_catalog()) as connection:
        page = baselines_page(connection)
    assert (DOCS / "baselines.md").read_text(encoding="utf-8") == page, AGAIN


def test_every_baseline_and_dataset_of_the_model_zoo_page_is_there() -> None:
    known = yaml.safe_load(COUNTED.read_text(encoding="utf-8"))
    assert (len(known["baselines"]), len(known["datasets"])) == (57, 4)
    page = (DOCS / "baselines.md").read_text(encoding="utf-8")
    for each in (*known["baselines"], *known["datasets"]):
        assert f"| {each['name']} |" in page
    assert page.rstrip().endswith("182 of 183 counts are those of the independent one.")
