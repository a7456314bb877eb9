"""The filter language: text <-> tree, what each form means, and one clear error for each way it can be wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.modelsdb import document, model, models_db, result, write_index
from zoo_cli.catalog.compiler.derived import checkpoint_year, lr_schedule, paper_year
from zoo_cli.catalog.filter_sql import comparisons, compile_filter, without
from zoo_cli.catalog.filters import FIELDS, And, BadFilter, Comparison, Node, Not, Or, parse
from zoo_cli.catalog.listing import Query, list_models
from zoo_cli.catalog.scope import metric_names

U = "https://x.example/"
MODELS = [
    model("alpha_r50", U + "alpha_1-00000001.pth", collection="Alpha", training={"epochs": 12, "memory_gb": 3.5},
          results=[result(box_AP=40.9), result(task="Instance Segmentation", mask_AP=37.1)]),
    model("alpha_r101", U + "alpha_2-00000002.pth", collection="Alpha", training={"epochs": 24, "memory_gb": 12},
          results=[result(box_AP=52.5, mask_AP=45.0)]),
    model("beta-lvis", U + "beta.pth", collection="Beta", training={"data": ["LVIS v1", "COCO"], "params": 30e6},
          results=[result("LVIS v1", box_AP=55.0), result("COCO", box_AP=30.0)]),
    model("beta-none", collection="Beta", results=[result()]),
    model("gamma", U + "gamma.pth", results=[result("ADE20K", "Semantic Segmentation", mIoU=50.0)]),
    model("delta", U + "delta.pth", collection="Delta R-CNN", license="Apache-2.0",
          results=[result(box_AP="40/41/42")]),
    model("epsilon", U + "e1.pth", U + "e2.pth", results=[]),
    model("Zeta_Swin", U + "z.pth", collection="alpha", training={"inference": [{"value_ms": 20.0}]}),
]  # fmt: skip


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    index = write_index(
        tmp_path_factory.mktemp("index"), document("2.0", models=MODELS), document("1.0", models=[MODELS[0]])
    )
    connection = models_db(index)
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def real() -> Iterator[sqlite3.Connection]:
    connection = models_db()
    yield connection
    connection.close()


def names(db: sqlite3.Connection, text: str, package: str | None = "zoolet") -> list[str]:
    return sorted(str(row.facts["model"]) for row in list_models(db, Query(package, filter=text)).rows)


EVERY = sorted(str(row["name"]) for row in MODELS)

MEANINGS = {
    "box_AP>=40": ["alpha_r101", "alpha_r50", "beta-lvis"],
    "BOX_ap >= 40.9": ["alpha_r101", "alpha_r50", "beta-lvis"],
    "box AP > 52": ["alpha_r101", "beta-lvis"],
    "'box AP' > 52": ["alpha_r101", "beta-lvis"],
    "box_AP=52.5": ["alpha_r101"],
    "box_AP==52.5": ["alpha_r101"],
    "box_AP in (52.5, 30)": ["alpha_r101", "beta-lvis"],
    "box_AP!=52.5": ["alpha_r50", "beta-lvis"],  # delta has text only, the others no box AP
    "box_AP": ["alpha_r101", "alpha_r50", "beta-lvis"],  # known
    "not box_AP": ["Zeta_Swin", "beta-none", "delta", "epsilon", "gamma"],
    "box_AP>50 and dataset=COCO": ["alpha_r101"],  # beta-lvis has 55 on LVIS and 30 on COCO
    "box_AP>50, dataset=COCO": ["alpha_r101"],
    "dataset=COCO and (box_AP>50 or box_AP<31)": ["alpha_r101", "beta-lvis"],
    "(dataset=COCO or dataset=ADE20K) and box_AP>=30": ["alpha_r101", "alpha_r50", "beta-lvis"],
    "box_AP>50 and not dataset=COCO": [],  # no model without COCO reaches it
    "box_AP>30 and task='Instance Segmentation'": [],
    "mask_AP>30 and task='instance segmentation'": ["alpha_r50"],
    "mask_AP>30 and task=segmentation": ["alpha_r50"],
    "mask_AP>30 and task='segmentation detection'": [],
    "task=segment": [],
    "box_AP>40 and task in (pose, detection)": ["alpha_r101", "alpha_r50", "beta-lvis"],
    "task!=detection and mask_AP": [],
    "dataset=coco": ["alpha_r101", "alpha_r50", "beta-lvis", "beta-none", "delta"],
    "dataset!=COCO": ["gamma"],  # known, and none is equal
    "not dataset=COCO": ["Zeta_Swin", "epsilon", "gamma"],
    "dataset in ('LVIS v1', ADE20K)": ["beta-lvis", "gamma"],
    "dataset~*20k": ["gamma"],
    "collection=alpha": ["Zeta_Swin", "alpha_r101", "alpha_r50"],
    "collection!=alpha": ["beta-lvis", "beta-none", "delta"],
    "collection='Delta R-CNN'": ["delta"],
    "name~alpha_*": ["alpha_r101", "alpha_r50"],
    "name ~ *SWIN": ["Zeta_Swin"],
    "model=gamma": ["gamma"],
    "training_data='lvis V1'": ["beta-lvis"],
    "memory_gb<12": ["alpha_r50"],
    "memory<=12": ["alpha_r101", "alpha_r50"],
    "not memory_gb<12": sorted(set(EVERY) - {"alpha_r50"}),
    "epochs>=12 and epochs<24": ["alpha_r50"],
    "params>=30M": ["beta-lvis"],
    "params<0.03G or epochs=24": ["alpha_r101"],
    "inference_ms<25": ["Zeta_Swin"],
    "has_checkpoint": sorted(set(EVERY) - {"beta-none"}),
    "has_checkpoint=no": ["beta-none"],
    "has_checkpoint!=yes": ["beta-none"],
    "not has_checkpoint": ["beta-none"],
    "checkpoint~*-00000002.pth": ["alpha_r101"],
    "license=unknown": sorted(set(EVERY) - {"delta"}),
    "not license=unknown": ["delta"],
    "config~configs/a/*": EVERY,
    "package=zoolet": EVERY,
    "mIoU>1 or mask_AP>40 or name=epsilon": ["alpha_r101", "epsilon", "gamma"],
    "mIoU>1 or mask_AP>40 and name=epsilon": ["gamma"],  # and binds tighter
    "not mIoU>1 and not box_AP and not dataset=COCO": ["Zeta_Swin", "epsilon"],
    "not not mIoU>1": ["gamma"],
    "release=1.0": ["alpha_r50"],  # naming the release searches all of them
    "name=alpha_r50 and release~*": ["alpha_r50", "alpha_r50"],
}


@pytest.mark.parametrize(("text", "expected"), MEANINGS.items(), ids=MEANINGS.keys())
def test_meaning(db: sqlite3.Connection, text: str, expected: list[str]) -> None:
    assert names(db, text) == expected


def test_the_36_of_mmdet_3_3_0(real: sqlite3.Connection) -> None:
    found = list_models(real, Query("mmdet", filter="box_AP>=50 and dataset=COCO"))
    assert (found.matched, found.total) == (36, 583)
    assert all(row.facts["dataset"] == "COCO" for row in found.rows)
    values = [row.metrics["box_AP"].value or 0.0 for row in found.rows]
    assert values == sorted(values, reverse=True)
    assert min(values) >= 50


ERRORS: dict[str, tuple[int, int, str]] = {  # text -> column, length, part of the problem
    "": (0, 1, "empty"),
    "   ": (0, 1, "empty"),
    "box_AP >> 50": (7, 2, "expected one of  =  !=  <  <=  >  >=  ~  in"),
    "box_AP =< 50": (7, 2, "expected one of"),
    "box_AP >": (8, 1, "expected a value"),
    "box_AP > and": (9, 3, "needs a number"),
    "box_AP > fifty": (9, 5, "needs a number"),
    "box_AP > nan": (9, 3, "needs a number"),
    "box_AP > 1e999": (9, 5, "needs a number"),
    "box_AP in (1, x)": (14, 1, "needs a number"),
    "box_AP in 1": (10, 1, "expected ("),
    "box_AP in (1 2)": (13, 1, "expected , or )"),
    "box_AP in ()": (11, 1, "expected a value"),
    "box_AP ~ 5*": (7, 1, "is a number"),
    "> 50": (0, 1, "expected a field"),
    "'' = 3": (0, 2, "expected a field"),
    "box_AP > 50 and": (15, 1, "expected a field"),
    "box_AP > 50 dataset=COCO": (12, 7, "expected and, or"),
    "dataset=LVIS v1": (13, 2, "quote a text with blanks"),
    "(box_AP > 50": (12, 1, "expected )"),
    "box_AP > 50)": (11, 1, "expected and, or"),
    "name < 5": (5, 1, "name is a text"),
    "has_checkpoint=maybe": (14, 1, "=yes or =no"),
    "has_checkpoint~y": (14, 1, "=yes or =no"),
    "dataset='COCO": (8, 1, "not closed"),
    "a" * 3000: (0, 1, "longer than"),
    "(" * 41 + "box_AP>1" + ")" * 41: (8, 1, "levels deep"),
    "not " * 9 + "box_AP": (32, 3, "levels deep"),
    " or ".join(["box_AP>1"] * 101): (1200, 6, "more than 100"),
    "name=\udcff": (5, 1, "no text"),
}


@pytest.mark.parametrize(("text", "expected"), ERRORS.items(), ids=[ascii(text[:30]) for text in ERRORS])
def test_errors_point_at_the_fault(db: sqlite3.Connection, text: str, expected: tuple[int, int, str]) -> None:
    with pytest.raises(BadFilter) as caught:
        compile_filter(text, metric_names(db))
    column, length, problem = expected
    assert (caught.value.column, caught.value.length) == (column, length)
    assert problem in caught.value.problem


@pytest.mark.parametrize(
    ("text", "field", "near"),
    [("boxAP > 50", "boxAP", ("box_AP",)), ("boxAP >> 50", "boxAP", ("box_AP",)),
     ("memory_g<3", "memory_g", ("memory_gb",)),
     ("collecton=A", "collecton", ("collection",)), ("qwertz=1", "qwertz", ()), ("a b c", "a_b_c", ())],
)  # fmt: skip
def test_unknown_fields_have_near_names(db: sqlite3.Connection, text: str, field: str, near: tuple[str, ...]) -> None:
    with pytest.raises(BadFilter) as caught:
        compile_filter(text, metric_names(db))
    assert caught.value.is_unknown
    assert (caught.value.field, caught.value.near) == (field, near)


def test_a_fault_in_a_known_field_does_not_guess(db: sqlite3.Connection) -> None:
    with pytest.raises(BadFilter) as caught:
        compile_filter("epochs >> 3", metric_names(db))
    assert not caught.value.is_unknown


def test_values_never_become_sql(db: sqlite3.Connection) -> None:
    for evil in ("x' OR 1=1 --", 'x" OR "1"="1', "x); DROP TABLE model; --", "%", "_", "?"):
        quote = '"' if "'" in evil else "'"
        if quote not in evil:
            assert names(db, f"name={quote}{evil}{quote}") == []
    assert len(names(db, "has_config")) == len(EVERY)


def test_hostile_globs_end(db: sqlite3.Connection) -> None:
    assert names(db, f"name~{'*a' * 500}b") == []
    assert names(db, "name~[") == []


def test_every_field_is_understood(db: sqlite3.Connection) -> None:
    for field in FIELDS:
        for name in (field.name, *field.aliases):
            value = {"text": "x", "number": "1", "flag": "yes"}[field.kind]
            names(db, f"{name}={value} or {name}")
        assert field.description


# -- laws ------------------------------------------------------------------------------------------------------------

TEXTS = ["COCO", "LVIS v1", "alpha", "Beta", "x y", "it's", "ADE20K", "Object Detection", "alpha_r50"]
NUMBERS = ["0", "12", "30", "40.9", "52.5", "-1", "1e2", "30M"]


def _comparison(field: str, op: str, *values: str) -> Comparison:
    return Comparison(field, op, values, 0, 0)


COMPARISONS = st.one_of(
    st.builds(_comparison, st.sampled_from(["box_AP", "mask_AP", "mIoU", "epochs", "memory_gb", "params"]),
              st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "in"]), st.sampled_from(NUMBERS)),
    st.builds(_comparison, st.sampled_from(["dataset", "task", "collection", "name"]),
              st.sampled_from(["=", "!=", "in"]), st.sampled_from(TEXTS)),
    st.builds(_comparison, st.sampled_from(["dataset", "collection", "name"]), st.just("~"),
              st.sampled_from(["*", "a*", "*O", "alpha_*", "?eta*"])),
    st.builds(_comparison, st.sampled_from(["has_checkpoint", "box_AP", "dataset"]), st.just("is")),
)  # fmt: skip
TREES: st.SearchStrategy[Node] = st.recursive(
    COMPARISONS,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=8,
)


def written(node: Node) -> str:
    """The tree as text, with parentheses around everything that has parts."""
    if isinstance(node, Comparison):
        values = [f'"{value}"' if " " in value or "'" in value else value for value in node.values]
        if node.op == "is":
            return node.field
        return f"{node.field} in ({', '.join(values)})" if node.op == "in" else f"{node.field}{node.op}{values[0]}"
    if isinstance(node, Not):
        return f"not {written(node.inner)}"
    word = " and " if isinstance(node, And) else " or "
    return f"({word.join(written(part) for part in node.parts)})"


def shape(node: Node) -> Any:
    """The tree without columns, with the kind of each node."""
    if isinstance(node, Comparison):
        return ("comparison", node.field, node.op, node.values)
    if isinstance(node, Not):
        return ("not", shape(node.inner))
    return (type(node).__name__, *(shape(part) for part in node.parts))


@given(TREES)
def test_parsing_is_the_inverse_of_writing(tree: Node) -> None:
    assert shape(parse(written(tree))) == shape(tree)


@given(TREES)
def test_columns_are_those_of_the_text(tree: Node) -> None:
    text = written(tree)
    for each in comparisons(parse(text)):
        assert text[each.start : each.end].startswith(each.field)
        assert shape(parse(text[each.start : each.end])) == shape(each)


@given(st.text(max_size=80) | st.text(alphabet="ab_AP()'\"<>=!~, andornti5\t", max_size=80))
def test_any_text_is_a_filter_or_one_error_inside_it(text: str) -> None:
    try:
        compile_filter(text, {"box_AP": 1, "a": 2})
    except BadFilter as error:
        assert 0 <= error.column <= len(text)
        assert error.length >= 1
        assert error.problem


@settings(max_examples=60)
@given(tree=TREES)
def test_a_filter_and_its_negation_split_the_list(db: sqlite3.Connection, tree: Node) -> None:
    text = written(tree)
    with_it, without_it = names(db, text), names(db, f"not ({text})")
    assert sorted(with_it + without_it) == EVERY


Rows = list[tuple[str | None, str | None, dict[str, float]]]


@settings(max_examples=100)
@given(tree=TREES)
def test_sql_means_what_the_rules_say(db: sqlite3.Connection, tree: Node) -> None:
    """Against a plain evaluation of the same tree in Python."""
    expected = sorted(str(row["name"]) for row in MODELS if holds(tree, row, lambda _dataset, _task: True))
    assert names(db, written(tree)) == expected


def holds(node: Node, row: dict[str, Any], bound: Callable[[str | None, str | None], bool]) -> bool:
    if isinstance(node, Comparison):
        return compared(node, row, bound)
    if isinstance(node, Not):
        return not holds(node.inner, row, bound)
    if isinstance(node, Or):
        return any(holds(part, row, bound) for part in node.parts)
    parts = flat(node)
    binding = [part for part in parts if all(each.field in ("dataset", "task") for each in comparisons(part))]

    def bound_here(dataset: str | None, task: str | None) -> bool:
        return bound(dataset, task) and all(row_holds(part, dataset, task) for part in binding)

    return all(holds(part, row, bound_here) for part in parts)


def flat(node: Node) -> list[Node]:
    return [each for part in node.parts for each in flat(part)] if isinstance(node, And) else [node]


def row_holds(node: Node, dataset: str | None, task: str | None) -> bool:
    if isinstance(node, Comparison):
        value = dataset if node.field == "dataset" else task
        return value is not None and (node.op == "is" or matches(node, value))
    if isinstance(node, Not):
        return not row_holds(node.inner, dataset, task)
    some = any if isinstance(node, Or) else all
    return some(row_holds(part, dataset, task) for part in node.parts)


def compared(node: Comparison, row: dict[str, Any], bound: Callable[[str | None, str | None], bool]) -> bool:
    values = [value for value in values_of(node.field, row, bound) if value is not None]
    if node.op == "is":
        return any(values) if node.field == "has_checkpoint" else bool(values)
    if node.op == "!=":
        return bool(values) and not any(matches(node._replace(op="="), value) for value in values)
    return any(matches(node, value) for value in values)


def values_of(field: str, row: dict[str, Any], bound: Callable[[str | None, str | None], bool]) -> list[Any]:
    results = row.get("results", [])
    training = row.get("training", {})
    if field in ("dataset", "task"):
        return [each.get(field) for each in results]
    if field in ("epochs", "memory_gb", "params"):
        return [training.get(field)]
    if field in ("collection", "name"):
        return [row.get(field)]
    if field == "has_checkpoint":
        return [bool(row.get("weights"))]
    return [
        metric.get("value")
        for each in results
        if bound(each["dataset"], each["task"])
        for metric in each["metrics"]
        if metric["name"].replace(" ", "_") == field
    ]


def matches(node: Comparison, value: Any) -> bool:
    if isinstance(value, str):
        wanted = [each.casefold() for each in node.values]
        if node.op == "~":
            return fnmatchcase(value.casefold(), wanted[0])
        return (value.casefold() in wanted) != (node.op == "!=")
    numbers = [float(each.removesuffix("M")) * (1e6 if each.endswith("M") else 1) for each in node.values]
    number = numbers[0]
    answers: dict[str, bool] = {
        "=": value == number, "in": value in numbers, "<": value < number, "<=": value <= number,
        ">": value > number, ">=": value >= number, "!=": value != number,
    }  # fmt: skip
    return answers[node.op]


def test_leaving_one_comparison_out() -> None:
    tree = parse("box_AP>=99 and (collection=DDQ and dataset=COCO)")
    first, *rest = comparisons(tree)
    remains = without(tree, first)
    assert remains is not None
    assert [shape(each) for each in comparisons(remains)] == [shape(each) for each in rest]
    assert without(first, first) is None


def test_documents_of_the_help_topic() -> None:
    """Every example in the help text is a filter."""
    for text in ("box_AP>=50 and collection=DDQ and not dataset='LVIS v1'", "memory_gb<12 and not license=unknown"):
        assert parse(text)


# -- facts that follow from others, times and their hardware, shares ---------------------------------------------------

STAMP = U + "eta_20210719_215349-00000003.pth"
TIMES = [{"value_ms": 20.0, "hardware": "V100", "mode": "FP32"}, {"value_ms": 9.0, "hardware": "A100", "mode": "FP16"}]
ARXIV = {"title": "Eta", "url": "https://arxiv.org/abs/2004.13621v2"}
FURTHER = [
    model("eta_r50_1x_coco", STAMP, paper=ARXIV, training={"inference": TIMES, "batch_size": 64}),
    model("theta_8xb2-300e_coco", STAMP, training={"inference": TIMES[:1], "batch_size": 200},
          results=[result(AP=71.0)]),
    model("iota_64x4d_4x4", U + "iota_20991399-x.pth", license="MIT",
          training={"extra": {"Architecture": ["ResNet", "FPN"], "lr schd": 40000, "backbone": "R-50"}}),
    model("kappa_3x", training={"extra": {"Architecture": "FPN"}}, results=[
        {"task": "Pose", "dataset": "COCO", "metrics": [{"name": "AP", "value": 0.57, "unit": "fraction"}]}]),
]  # fmt: skip

FURTHER_MEANINGS = {
    "inference_ms<10": ["eta_r50_1x_coco"],
    "inference_ms<10 and hardware=v100": [],
    "inference_ms<25 and hardware=V100": ["eta_r50_1x_coco", "theta_8xb2-300e_coco"],
    "inference_ms<25 and not hardware=V100": [],  # theta has no other; eta was measured on V100, too
    "inference_ms<10 and (mode=FP32 or mode=FP16)": ["eta_r50_1x_coco"],
    "inference_ms<10 and mode=FP32": [],
    "hardware~A*": ["eta_r50_1x_coco"],
    "inference_time<10": ["eta_r50_1x_coco"],
    "year=2020": ["eta_r50_1x_coco"],
    "year>=2020": ["eta_r50_1x_coco", "theta_8xb2-300e_coco"],
    "checkpoint_year=2021": ["eta_r50_1x_coco", "theta_8xb2-300e_coco"],
    "paper_year": ["eta_r50_1x_coco"],
    "lr_schedule in (1x, 300E)": ["eta_r50_1x_coco", "theta_8xb2-300e_coco"],
    "lr_schedule=40k": ["iota_64x4d_4x4"],
    "schedule=3x": ["kappa_3x"],
    "digest=prefix": ["eta_r50_1x_coco", "theta_8xb2-300e_coco"],
    "digest=none": ["iota_64x4d_4x4", "kappa_3x"],
    "backbone=r-50": ["iota_64x4d_4x4"],
    "architecture=fpn": ["iota_64x4d_4x4", "kappa_3x"],
    "architecture!=ResNet": ["kappa_3x"],
    "cpu_ok=unknown": sorted(str(row["name"]) for row in FURTHER),
    "licence=mit": ["iota_64x4d_4x4"],
    "AP=57": ["kappa_3x"],  # published as 0.57, compared in percent
    "AP>60": ["theta_8xb2-300e_coco"],
    "AP>50": ["kappa_3x", "theta_8xb2-300e_coco"],
    # MIM's habits
    "128<batch_size<=256": ["theta_8xb2-300e_coco"],
    "64<=batch_size": ["eta_r50_1x_coco", "theta_8xb2-300e_coco"],
    "100 > batch_size, year=2020": ["eta_r50_1x_coco"],
    "50 < AP < 60 or batch_size=64": ["eta_r50_1x_coco", "kappa_3x"],
    "not 50<AP<60 and AP": ["theta_8xb2-300e_coco"],
    "ap>60,batch_size>100": ["theta_8xb2-300e_coco"],
}


@pytest.fixture(scope="module")
def further(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    connection = models_db(write_index(tmp_path_factory.mktemp("index"), document(models=FURTHER)))
    yield connection
    connection.close()


@pytest.mark.parametrize(("text", "expected"), FURTHER_MEANINGS.items(), ids=FURTHER_MEANINGS.keys())
def test_meaning_of_further_fields(further: sqlite3.Connection, text: str, expected: list[str]) -> None:
    assert names(further, text) == expected


def test_a_time_comes_with_what_it_was_taken_on(further: sqlite3.Connection) -> None:
    for text, expected in {"hardware=A100": (9.0, "A100", "FP16"), "batch_size=64": (20.0, "V100", "FP32")}.items():
        (row,) = list_models(further, Query(filter=text)).rows
        assert (row.facts["inference_ms"], row.facts["hardware"], row.facts["mode"]) == expected


def test_a_fraction_is_shown_as_published(further: sqlite3.Connection) -> None:
    (row,) = list_models(further, Query(filter="AP=57")).rows
    reached = row.metrics["AP"]
    assert (reached.value, reached.raw, reached.shown, reached.unit) == (57.0, 0.57, "0.57", "fraction")


def test_a_turned_comparison_of_an_unknown_field_points_at_it(further: sqlite3.Connection) -> None:
    with pytest.raises(BadFilter) as caught:
        compile_filter("50 < boxes <= 60", metric_names(further))
    assert (caught.value.column, caught.value.length) == (5, 5)


def test_rules_of_derived_facts() -> None:
    assert paper_year("https://arxiv.org/pdf/1703.06870v3") == 2017
    assert paper_year("https://arxiv.org/abs/1713.06870") is None  # there is no thirteenth month
    assert paper_year("https://dx.doi.org/10.1109/2020.1234") is None
    assert checkpoint_year("a_20210719-d1edbe00.pth") == 2021
    assert checkpoint_year("a-8edcf0d7_20230127.pth") == 2023
    assert checkpoint_year("a_20211399-d1edbe00.pth") is None
    assert lr_schedule("faster-rcnn_x101-64x4d_fpn_1x_coco", {}) == "1x"
    assert lr_schedule("ssd300_8xb32-24e", {}) == "24e"
    assert lr_schedule("pspnet_r50-d8_4xb2-80k_cityscapes", {}) == "80k"
    assert lr_schedule("esrgan_x4c64b23g32", {}) is None
    assert lr_schedule("a_2x", {"lr schd": "1x"}) == "1x"
