"""docs/questions.md: zoo's answers against those computed from upstream's own metafiles by other code.

That the page shows what zoo prints is checked in tests/test_docs_pages.py.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.cli import zoo
from tests.support.raw_metafiles import MEMORY, Entry, entries
from zoo_cli.catalog.database import open_catalog

PAGE = (Path(__file__).parent.parent.parent / "docs" / "questions.md").read_text(encoding="utf-8")
ASKED = dict(re.findall(r"### (\d+)\. [^\n]*\n\n<!-- tested -->\n```console\n\$ (zoo [^\n]*)\n", PAGE))

Answer = tuple[str, float | None]  # a model and the number shown beside it


class Question(NamedTuple):
    """The release that is asked, and how an entry answers: the number it is listed for, or that it is not listed."""

    project: str
    version: str
    answer: Callable[[Entry], Iterator[float | None]]


def reaching(
    metric: str,
    least: float,
    dataset: str | None = None,
    scale: float = 1,
    also: Callable[[Entry], bool] = lambda entry: True,
) -> Callable[[Entry], Iterator[float | None]]:
    """Entries with such a value, listed for their first value; `scale` turns upstream's numbers to percent."""

    def answer(entry: Entry) -> Iterator[float | None]:
        numbers = entry.numbers(metric, dataset)
        if any(number * scale >= least for number in numbers) and also(entry):
            yield numbers[0]

    return answer


def below(bound: float, *keys: str) -> Callable[[Entry], bool]:
    """Whether a fact is known and smaller."""
    return lambda entry: (number := entry.number(*keys)) is not None and number < bound


def first(metric: str, wanted: Callable[[Entry], bool]) -> Callable[[Entry], Iterator[float | None]]:
    """Entries that meet a condition, listed for their first value if they have one."""

    def answer(entry: Entry) -> Iterator[float | None]:
        if wanted(entry):
            yield next(iter(entry.numbers(metric)), None)

    return answer


def _small(entry: Entry) -> bool:
    """Below 5 million parameters; one entry has its FLOPs there (study 1.2), which the index puts right."""
    return entry.name != "regnetx-3.2gf_8xb64_in1k" and below(5e6, "Parameters")(entry)


def _no_transformer(entry: Entry) -> bool:
    name = entry.name.lower()
    return "r50" in name and "detr" not in name and "dino" not in name


TOP1 = "Top 1 Accuracy"
QUESTIONS = {
    "1": Question("mmdet", "3.3.0", reaching("box AP", 50, "COCO")),
    "2": Question("mmdet", "3.3.0", reaching("mask AP", 44, "COCO")),
    "3": Question("mmdet", "3.3.0", reaching("box AP", 40, "COCO", also=below(4, *MEMORY))),
    "4": Question(
        "mmdet", "3.3.0", reaching("box AP", 40, also=lambda each: min(each.milliseconds(), default=99) < 50)
    ),
    "5": Question("mmdet", "3.3.0", reaching("box AP", 50, "COCO", also=below(12.5, "Epochs"))),
    "6": Question("mmdet", "3.3.0", reaching("mask AP", 29, "LVIS v1")),
    "7": Question("mmdet", "3.3.0", reaching("PQ", 0)),
    "8": Question("mmdet", "3.3.0", reaching("box AP", 50, also=lambda entry: entry.collection == "RTMDet")),
    "9": Question("mmdet", "3.3.0", reaching("HOTA", 60.0001)),
    "10": Question("mmdet", "3.3.0", first("box AP", lambda entry: not entry.has_weights)),
    "11": Question("mmdet", "2.28.2", first("box AP", lambda entry: entry.collection == "SSD")),
    "12": Question("mmdet", "3.3.0", reaching("box AP", 48, "COCO", also=_no_transformer)),
    "13": Question("mmsegmentation", "1.2.2", reaching("mIoU", 53, "ADE20K")),
    "14": Question("mmsegmentation", "1.2.2", reaching("mIoU", 80, "Cityscapes", also=below(8, *MEMORY))),
    "15": Question("mmpretrain", "1.2.0", reaching(TOP1, 86, "ImageNet-1k", also=below(100e6, "Parameters"))),
    "16": Question("mmpretrain", "1.2.0", reaching(TOP1, 75, "ImageNet-1k", also=_small)),
    "17": Question("mmpretrain", "1.2.0", first(TOP1, lambda entry: entry.is_measured_on("CIFAR-10"))),
    "18": Question("mmpose", "1.3.2", reaching("AP", 78, "COCO", scale=100)),
    "19": Question("mmaction2", "1.2.0", reaching(TOP1, 86, "Kinetics-400")),
    "20": Question("mmdet3d", "1.4.0", reaching("NDS", 64, "nuScenes")),
}


def independent(question: Question) -> list[Answer]:
    """The answer from the metafiles, by name."""
    found = entries(question.project, question.version)
    return sorted(((entry.name, value) for entry in found for value in question.answer(entry)), key=str)


def of_zoo(home: Path, command: str) -> list[Answer]:
    """The answer of the command, whole, by name, without the models that no metafile has."""
    words = shlex.split(re.sub(r" --limit \d+", "", command))[1:]
    rows = zoo(home, *words, "--json").document["models"]
    readme = models_of_readmes()
    found = (row for row in rows if (row["package"], row["release"], row["name"]) not in readme)
    return sorted(((row["name"], _value(row["metrics"])) for row in found), key=str)


def models_of_readmes() -> frozenset[tuple[str, str, str]]:
    """The models that stand in READMEs alone."""
    with closing(open_catalog()) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'readme_checkpoint'").fetchone():
            return frozenset()
        query = (
            "SELECT p.project, p.version, m.name FROM readme_checkpoint r JOIN entry e ON e.id = r.entry "
            "JOIN model m ON m.id = e.model "
            "JOIN package p ON p.id = e.package"
        )
        return frozenset(connection.execute(query).fetchall())


def _value(metrics: dict[str, Any]) -> float | None:
    return next((float(each["value"]) for each in metrics.values()), None)


def test_every_question_has_another_computation() -> None:
    assert set(ASKED) == set(QUESTIONS)
    assert len(ASKED) == 20


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("number", QUESTIONS)
def test_the_answer_is_that_of_the_metafiles(tmp_path: Path, number: str) -> None:
    expected = independent(QUESTIONS[number])
    assert expected
    assert of_zoo(tmp_path, ASKED[number]) == expected
