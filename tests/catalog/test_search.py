"""Finding models by words, by parts of their names, and by names with mistakes."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.modelsdb import document, model, models_db, result, write_index
from zoo_cli.catalog.database import open_catalog
from zoo_cli.catalog.filter_sql import compile_filter, glob
from zoo_cli.catalog.listing import Query, list_models
from zoo_cli.catalog.names import normalised
from zoo_cli.catalog.nearnames import near_names
from zoo_cli.catalog.references import UnknownModel, find_models
from zoo_cli.catalog.scope import metric_names
from zoo_cli.catalog.search import BadSearch, SearchUnavailable, can_search, read_search
from zoo_cli.catalog.words import GRAM, grams_of, grams_of_glob, other_forms, words_of

TYPOS = Path(__file__).parent.parent / "cases" / "mistyped-names.tsv"


@pytest.fixture(scope="module")
def real() -> Iterator[sqlite3.Connection]:
    connection = open_catalog()
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    models = [
        model("faster-rcnn_swin-l_1x_coco", collection="Faster R-CNN", results=[result(box_AP=45.0)]),
        model("faster-rcnn_swin-t_1x_coco", collection="Faster R-CNN", results=[result(box_AP=50.0)]),
        model("upernet_swin-l_160k", results=[result("COCO-Stuff 10k", "Semantic Segmentation", mIoU=40.0)]),
        model("segformer_b0", paper={"title": "SegFormer: Simple", "url": "https://arxiv.org/abs/2105.15203"}),
        model("retinanet_r50", collection="RetinaNet", training={"data": ["LVIS"], "extra": {"Architecture": ["FPN"]}}),
    ]
    index = write_index(tmp_path_factory.mktemp("index"), document(models=models))
    connection = models_db(index)
    yield connection
    connection.close()


def found(connection: sqlite3.Connection, text: str, **more: str) -> list[str]:
    return [str(row.facts["model"]) for row in list_models(connection, Query(search=text, **more)).rows]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("swin coco", ["faster-rcnn_swin-t_1x_coco", "faster-rcnn_swin-l_1x_coco", "upernet_swin-l_160k"]),
        ("SWIN-L", ["faster-rcnn_swin-l_1x_coco", "upernet_swin-l_160k"]),
        ("swin large", ["faster-rcnn_swin-l_1x_coco", "upernet_swin-l_160k"]),  # a short form
        ("fasterrcnn tiny", ["faster-rcnn_swin-t_1x_coco"]),  # written together
        ("r-cnn swin-t", ["faster-rcnn_swin-t_1x_coco"]),  # written apart
        ("160k iterations", ["upernet_swin-l_160k"]),
        ("former", ["segformer_b0"]),  # a part of a word
        ("segf", ["segformer_b0"]),  # its beginning
        ("simple", ["segformer_b0"]),  # the paper
        ("semantic stuff", ["upernet_swin-l_160k"]),  # task and dataset
        ("resnet50", ["retinanet_r50"]), ("resnet 50", ["retinanet_r50"]),
        ("fpn lvis", ["retinanet_r50"]),  # what it is built of and trained on
        ("retinanett", ["retinanet_r50"]),  # a mistake
        ("zoolet swin 1x", ["faster-rcnn_swin-t_1x_coco", "faster-rcnn_swin-l_1x_coco"]),  # the package
        ("swin segformer", []), ("l50", []), ("\uac80\ucd9c", []), ("\u76ee\u6807\u68c0\u6d4b", []),
    ],
)  # fmt: skip
def test_words(small: sqlite3.Connection, asked: str, names: list[str]) -> None:
    assert found(small, asked) == names


def test_a_search_is_one_condition_among_others(small: sqlite3.Connection) -> None:
    assert found(small, "swin coco", filter="box_AP<48") == ["faster-rcnn_swin-l_1x_coco"]
    assert found(small, "swin", name="*_swin-t*") == ["faster-rcnn_swin-t_1x_coco"]
    assert found(small, "swin", sort="model") == sorted(found(small, "swin"))


def test_a_name_as_it_is_comes_first(real: sqlite3.Connection) -> None:
    names = [name for (name,) in real.execute("SELECT name FROM model JOIN entry e ON e.model = model.id LIMIT 400")]
    for name in random.Random(3).sample(sorted({each for each in names if len(words_of(each)) <= 12}), 8):
        rows = list_models(real, Query(search=name, all_releases=True)).rows
        assert rows[0].facts["model"] == name


def test_what_was_read_in_another_way_is_told(small: sqlite3.Connection) -> None:
    listing = list_models(small, Query(search="retinanett r50"))
    assert listing.search is not None
    assert listing.search.read_as == {"retinanett": ("retinanet",)}
    nothing = list_models(small, Query(search="swin xyzzy"))
    assert nothing.search is not None
    assert nothing.search.missing == ("xyzzy",)
    assert list_models(small, Query(search="swin segformer")).word_counts == (("swin", 3), ("segformer", 1))


@pytest.mark.parametrize("text", ["", "--- !", "_", "a" * 201, "a b c d e f g h i j k l m", "\U0001f600"])
def test_what_cannot_be_searched_for(small: sqlite3.Connection, text: str) -> None:
    with pytest.raises(BadSearch):
        read_search(small, text)


def test_a_sqlite_that_cannot_search_says_so_and_finds_names_all_the_same(tmp_path: Path) -> None:
    index = write_index(tmp_path, document(models=[model("alpha_r50"), model("beta")]))
    connection = models_db(index)
    for table in ("model_word", "model_gram", "word", "gram"):  # as where FTS5 is left out: the tables cannot be read
        connection.execute(f"DROP TABLE {table}")
    assert not can_search(connection)
    with pytest.raises(SearchUnavailable):
        list_models(connection, Query(search="alpha"))
    assert len(list_models(connection, Query(filter="name~*a_r5*")).rows) == 1
    assert len(list_models(connection, Query(name="*LPHA*")).rows) == 1
    with pytest.raises(UnknownModel) as caught:
        find_models(connection, "alhpa_r50")
    assert [each.name for each in caught.value.near] == ["alpha_r50"]


# -- parts of names ---------------------------------------------------------------------------------------------------

_LETTERS = st.text("ab-_. +R5\u212a\u00e9", min_size=1, max_size=14)


@given(_LETTERS, st.data())
def test_a_name_has_all_trigrams_of_a_pattern_that_it_matches(name: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(name)))
    end = data.draw(st.integers(start, len(name)))
    hole = data.draw(st.integers(start, end))
    piece = name[start:hole] + ("?" if hole < end else "") + name[hole + 1 : end]
    assert set(grams_of_glob(f"*{piece}*".casefold())) <= _grams_in_sqlite(name)


def _grams_in_sqlite(name: str) -> set[str]:
    """The trigrams that SQLite's own tokenizer makes of a name as it is indexed."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE t USING fts5(name, tokenize='trigram')")
    connection.execute("INSERT INTO t VALUES (?)", (normalised(name),))
    connection.execute("CREATE VIRTUAL TABLE v USING fts5vocab(t, row)")
    terms = {term for (term,) in connection.execute("SELECT term FROM v")}
    connection.close()
    return terms


def test_grams() -> None:
    assert grams_of("swin-l") == {"swi", "win", "in-", "n-l"}
    assert grams_of_glob("*_swin-l*[ab]xyz") == ("in-", "n-l", "swi", "win")
    assert grams_of_glob("*a?*") == ()
    assert grams_of_glob("*\0abc") == ()
    assert all(len(each) == GRAM for each in grams_of("a-very-long-name"))


@pytest.mark.parametrize(
    "pattern", ["*coco*", "*swin-l*ade20k*", "*r50_fpn?1x*", "re*50*", "*_x[12]*", "*", "*zzz*", "?aster*", "*.a1_in1k"]
)
def test_trigrams_find_what_a_scan_finds(real: sqlite3.Connection, pattern: str) -> None:
    query = "SELECT m.id FROM model m WHERE {} ORDER BY m.id"
    scanned, looked_up = glob("m.name", pattern), glob("m.name", pattern, has_grams=True)
    assert (
        real.execute(query.format(looked_up.text), looked_up.parameters).fetchall()
        == real.execute(query.format(scanned.text), scanned.parameters).fetchall()
    )


@pytest.mark.parametrize("text", ["collection=DDQ and box_AP>50", "name~rtmdet* and not box_AP", "config=x or box_AP"])
def test_values_looked_up_one_by_one_are_the_same(real: sqlite3.Connection, text: str) -> None:
    names = metric_names(real)
    query = (
        "SELECT e.id FROM entry e JOIN model m ON m.id = e.model JOIN package p ON p.id = e.package WHERE {} ORDER BY 1"
    )
    answers = []
    for is_narrow in (False, True):
        where = compile_filter(text, names, is_narrow=is_narrow).where
        answers.append(real.execute(query.format(where.text), where.parameters).fetchall())
    assert answers[0] == answers[1]
    assert answers[0]


@pytest.mark.parametrize(
    ("word", "others"),
    [("resnet50", ("r50",)), ("r101", ("resnet101",)), ("x101", ("resnext101",)), ("large", ("l",)), ("t", ("tiny",)),
     ("mobilenetv2", ("mbv2",)), ("50epochs", ("50e",)), ("resnet", ()), ("coco", ()), ("r1000000", ())],
)  # fmt: skip
def test_other_forms(word: str, others: tuple[str, ...]) -> None:
    assert other_forms(word) == others


# -- names with mistakes ----------------------------------------------------------------------------------------------


def test_mistyped_names_lead_to_the_one_meant(real: sqlite3.Connection) -> None:
    cases = [line.split("\t") for line in TYPOS.read_text(encoding="utf-8").splitlines()]
    assert len(cases) > 50
    wrong = {asked: (meant, _led_to(real, asked)) for asked, meant in cases if meant not in _led_to(real, asked)}
    assert not wrong


def _led_to(connection: sqlite3.Connection, asked: str) -> list[str]:
    try:
        return [find_models(connection, asked).models[0].name]
    except UnknownModel as error:
        return [each.name for each in error.near]


def test_one_wrong_letter_in_any_name(real: sqlite3.Connection) -> None:
    names = [name for (name,) in real.execute("SELECT DISTINCT m.name FROM model m JOIN entry e ON e.model = m.id JOIN "
             "package p ON p.id = e.package WHERE p.rank = 0 AND length(m.name) > 12 ORDER BY m.name")]  # fmt: skip
    chance = random.Random(20261123)
    missed = []
    for name in chance.sample(names, 60):
        at = chance.randrange(1, len(name))
        mistyped = chance.choice(
            (name[:at] + "q" + name[at:], name[:at] + "q" + name[at + 1 :], name[:at] + name[at + 1 :])
        )
        if mistyped not in names and name not in near_names(real, mistyped, None):
            missed.append((mistyped, name))
    assert len(missed) <= 3, missed  # among names that differ in one letter several are as near


def test_near_names_of_one_package(real: sqlite3.Connection) -> None:
    assert near_names(real, "resnet50_8xb23_in1k", "mmdet") == ()
    assert near_names(real, "resnet50_8xb23_in1k", "mmpretrain")[0] == "resnet50_8xb32_in1k"
