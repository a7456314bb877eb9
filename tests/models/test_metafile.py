"""Metafiles -> records: each oddity of upstream's 33 releases, what is made of it, and the issue that says so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_cli.models.configpaths import ConfigPaths
from zoo_cli.models.measures import Measure, measure, quantity, unit_of
from zoo_cli.models.metafile import Metafile, read_metafiles
from zoo_cli.models.records import ModelEntry, ReleaseRecords, plain
from zoo_cli.models.safe_yaml import read_yaml

TREE = (
    "configs/a/plain.py",
    "configs/a/Cased_L.py",
    "configs/gn+ws/mask.py",
    "configs/ddq/ddq_r50.py",
    "configs/mix/sub/deep.py",
    "configs/b/twice.py",
    "configs/c/twice.py",
    "configs/_base_/x.py",
)
URL = "https://download.openmmlab.com/mmdetection/v3.0/a/a_20220719_112030-5a0be7c4.pth"


def read(text: str, path: str = "configs/a/metafile.yml") -> ReleaseRecords:
    return read_metafiles([Metafile(path, read_yaml(text.encode()))], ConfigPaths(TREE))


def kinds(records: ReleaseRecords) -> list[str]:
    return [issue.kind for issue in records.issues]


@dataclass
class Case:
    """Lines of one model after its name, and what must come out."""

    text: str
    kinds: tuple[str, ...] = ()
    expect: dict[str, Any] = field(default_factory=dict)


GOOD = f"Config: configs/a/plain.py\nWeights: {URL}\n"

CASES = {
    "nothing odd": Case(GOOD, (), {"config": "configs/a/plain.py", "config_state": "found"}),
    "no config": Case(f"Weights: {URL}", ("no-config",), {"config": None, "config_state": "none"}),
    "config is a list": Case(
        f"Config: [configs/a/plain.py, configs/b/twice.py]\nWeights: {URL}",
        ("several-configs",), {"config": "configs/a/plain.py", "config_state": "found"}),
    "config is not there": Case(
        f"Config: configs/a/gone.py\nWeights: {URL}", ("config-missing",), {"config": None, "config_state": "missing"}),
    "no weights": Case("Config: configs/a/plain.py", ("no-weights",), {"weights": ()}),
    "weights null": Case("Config: configs/a/plain.py\nWeights: null", ("no-weights",), {"weights": ()}),
    "weights in brackets": Case(
        "Config: configs/a/plain.py\nWeights: (https://x.example/a.pth", ("weights-repaired",)),
    "weights a folder": Case(
        "Config: configs/a/plain.py\nWeights: https://x.example/a/", ("bad-weights", "no-weights"), {"weights": ()}),
    "weights a blank": Case("Config: configs/a/plain.py\nWeights: <>", ("bad-weights", "no-weights"), {"weights": ()}),
    "weights a file address": Case(
        "Config: configs/a/plain.py\nWeights: file:///etc/passwd", ("bad-weights", "no-weights"), {"weights": ()}),
    "weights are JSON": Case(
        "Config: configs/a/plain.py\nWeights: https://x.example/a.json", ("misplaced", "no-weights"),
        {"weights": (), "logs": ("https://x.example/a.json",)}),
    "weights a web page": Case(
        "Config: configs/a/plain.py\nWeights: https://huggingface.co/a/b/tree/main", ("bad-weights", "no-weights")),
    "weights no address": Case("Config: configs/a/plain.py\nWeights: 'https://['", ("bad-weights", "no-weights")),
    "weights without an ending": Case("Config: configs/a/plain.py\nWeights: https://x.example/a", ("odd-weights",)),
    "weights in an empty folder": Case(
        "Config: configs/a/plain.py\nWeights: https://x.example/b//a.pth", ("odd-weights",)),
    "weights of no time": Case(
        "Config: configs/a/plain.py\nWeights: https://x.example/a_20211228_027553-d46d9bb0.pth", ("odd-weights",)),
    "dataset a heading": Case(
        GOOD + "Results: [{Dataset: '# R backbone', Metrics: {mIoU: 1}}]",
        ("dataset-repaired",)),
    "metric name with markup": Case(GOOD + "Results: [{Task: T, Metrics: {'PSNR<br/>(Y)': 30}}]", ("metric-name",)),
    "paper a list": Case(GOOD + "Paper: [https://a.example, https://b.example]", ("several-papers",)),
    "weights among metrics": Case(
        f"Config: configs/a/plain.py\nResults: [{{Task: T, Dataset: D, Metrics: {{Weights: '{URL}', box AP: 40}}}}]",
        ("misplaced",)),
    "In Collections": Case(GOOD + "In Collections: C", ("odd-key",), {"collection": "C"}),
    "unknown collection": Case(GOOD + "In Collection: Nobody", ("unknown-collection",), {"collection": "Nobody"}),
    "results a mapping": Case(GOOD + "Results: {Task: T, Dataset: D, Metrics: {mIoU: 40.1}}", ("results-no-list",)),
    "results null": Case(GOOD + "Results: null", (), {"results": ()}),
    "results text": Case(GOOD + "Results: soon", ("odd-value",), {"results": ()}),
    "task among metrics": Case(GOOD + "Results: [{Dataset: D, Metrics: {Task: T, Top 1: 80}}]", ("misplaced",)),
    "metric with a note": Case(
        GOOD + "Results: [{Task: T, Dataset: D, Metrics: {box AP: '39.3 (37.9)'}}]", ("metric-text",)),
    "metric list as text": Case(
        GOOD + "Results: [{Task: T, Dataset: D, Metrics: {AP: 58.17/87.00/69.30}}]", ("metric-text",)),
    "metric null": Case(GOOD + "Results: [{Task: T, Dataset: D, Metrics: {AP: null}}]", ("metric-empty",)),
    "metric nested": Case(GOOD + "Results: [{Task: T, Dataset: D, Metrics: {Set5: {PSNR: 30.1}}}]", ("metric-nested",)),
    "memory a dash": Case(GOOD + "Metadata: {Training Memory (GB): _}", ("not-a-number",)),
    "parameters with a letter": Case(GOOD + "Metadata: {Parameters: 24.3M}", ("number-as-text",)),
    "metadata in lower case": Case(GOOD + "metadata: {Epochs: 12}", ("odd-key",)),
    "time beside metadata": Case(GOOD + "inference time (ms/im): [{value: 5.5}]", ("misplaced",)),
    "collection a list": Case(GOOD + "In Collection: [A, B]", ("odd-value",), {"collection": None}),
}  # fmt: skip


def entry(text: str, name: str = "m") -> str:
    body = "\n".join(f"    {line}" for line in text.strip().splitlines())
    return f"Collections:\n  - Name: C\nModels:\n  - Name: '{name}'\n{body}\n"


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_one_oddity(case: Case) -> None:
    records = read(entry(case.text))
    (model,) = records.models
    assert tuple(kinds(records)) == case.kinds
    assert {name: getattr(model, name) for name in case.expect} == case.expect
    for issue in records.issues:
        assert issue.at == "configs/a/metafile.yml:4"
        assert issue.subject == "m"
        assert not issue.blocks


def only(text: str) -> ModelEntry:
    (model,) = read(entry(text)).models
    return model


def test_repaired_values() -> None:
    assert (
        only("Config: configs/a/plain.py\nWeights: (https://x.example/a.pth").weights[0].url
        == "https://x.example/a.pth"
    )
    misplaced = only(f"Results: [{{Task: T, Metrics: {{Weights: '{URL}', box AP: 40}}}}]")
    assert [each.url for each in misplaced.weights] == [URL]
    assert [each.name for each in misplaced.results[0].metrics] == ["box AP"]
    noted = only("Results: [{Task: T, Dataset: D, Metrics: {box AP: '39.3 (37.9)'}}]").results[0].metrics[0]
    assert (noted.value, noted.text, noted.unit) == (39.3, "39.3 (37.9)", "percent")
    several = only("Results: [{Task: T, Dataset: D, Metrics: {AP: 58.17/87.00/69.30}}]").results[0].metrics[0]
    assert (several.value, several.text) == (None, "58.17/87.00/69.30")
    nested = only("Results: [{Dataset: D, Metrics: {Set5: {PSNR: 30.1, SSIM: 0.9}}}]").results[0].metrics
    assert [(each.name, each.value, each.unit) for each in nested] == [
        ("Set5 PSNR", 30.1, "none"), ("Set5 SSIM", 0.9, "none")]  # fmt: skip
    assert only("Metadata: {Parameters: 24.3M, FLOPs: 33G}").training.params == 24.3e6
    assert only("inference time (ms/im): [{value: 5.5, hardware: V100}]").training.inference[0].value_ms == 5.5
    assert only("Metadata: {Memory (GB): 9.5}").training.memory_gb == 9.5


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("https://download.oz1z1penmmlab.com/a/b.pth", "https://download.openmmlab.com/a/b.pth"),
        ("https://xdownload.openmmlab.com/b.pth", "https://download.openmmlab.com/b.pth"),
        ("https://a.download.openmmlab.com/b.pth", "https://a.download.openmmlab.com/b.pth"),  # a host below it
        ("https://download.openmmlab.company/b.pth", "https://download.openmmlab.com/b.pth"),
        ("https://download.openmmlab.com.evil/b.pth", "https://download.openmmlab.com.evil/b.pth"),
        ("https://huggingface.co/a/b/blob/main/m.pth", "https://huggingface.co/a/b/resolve/main/m.pth"),
        ("https://x.example/a.pthh", "https://x.example/a.pth"),
        ("<https://x.example/a.pth>", "https://x.example/a.pth"),
        ("https://x.example/a.pth?versionId=C", "https://x.example/a.pth?versionId=C"),
    ],
)
def test_addresses(written: str, read_as: str) -> None:
    records = read(entry(f"Config: configs/a/plain.py\nWeights: '{written}'"))
    assert [each.url for each in records.models[0].weights] == [read_as]
    assert kinds(records) == ([] if written == read_as else ["weights-repaired"])


@pytest.mark.parametrize(
    ("dataset", "data", "label"),
    [
        ("# HRNet backbone", "Cityscapes", None),
        ("-", "A", "A"),
        ("[fish.jpg](https://x.example/fish.jpg)", "A", "fish.jpg"),
        ("C#", "A", "C#"),
    ],
)
def test_datasets(dataset: str, data: str, label: str | None) -> None:
    text = f"Metadata: {{Training Data: {data}}}\nResults:\n- Dataset: {dataset!r}\n  Metrics: {{mIoU: 1}}"
    assert only(text).results[0].dataset == label


def test_a_heading_is_the_dataset_of_the_other_names_that_end_so() -> None:
    def row(name: str, dataset: str) -> str:
        return f"- {{Name: {name}, Config: plain.py, Results: [{{Dataset: '{dataset}', Metrics: {{mIoU: 1}}}}]}}\n"

    rows = [row("a_x_city-512", "City"), row("b_city-768", "City"), row("c_ade-512", "A"), row("d_ade-512", "B")]
    odd = [row("odd_city-1024", "# HRNet backbone"), row("odd_ade-64", "# HRNet backbone")]
    records = read("Models:\n" + "".join(rows + odd))
    found = {each.name: each.results[0].dataset for each in records.models}
    assert (found["odd_city-1024"], found["odd_ade-64"]) == ("City", None)
    assert [each.subject for each in records.issues if each.kind == "dataset-repaired"] == [
        "odd_city-1024", "odd_ade-64"]  # fmt: skip


def test_metrics_of_a_listing_take_its_place() -> None:
    nested = only("Results: [{Metrics: {'REDS4 (BIx4)<br>PSNR/SSIM (RGB)': {PSNR: 31.4, SSIM: 0.89}}}]").results[0]
    assert [(each.name, each.value) for each in nested.metrics] == [
        ("REDS4 (BIx4) PSNR (RGB)", 31.4), ("REDS4 (BIx4) SSIM (RGB)", 0.89)]  # fmt: skip


def test_a_digest_in_two_names() -> None:
    rows = "".join(f"- {{Name: {n}, Config: plain.py, Weights: https://x.example/{n}-0123abcd.pth}}\n" for n in "ab")
    shared = [each for each in read("Models:\n" + rows).issues if each.kind == "shared-digest"]
    assert [(each.subject, each.detail) for each in shared] == [
        ("a", "a-0123abcd.pth carries the digest of b-0123abcd.pth"),
        ("b", "b-0123abcd.pth carries the digest of a-0123abcd.pth"),
    ]


def test_the_digits_in_a_file_name_are_kept() -> None:
    weights = only(f"Weights: [{URL}, 'https://x.example/gn%2Bws/b-0.386_a.pth', {URL}]").weights
    assert [(each.name, each.prefix) for each in weights] == [
        ("a_20220719_112030-5a0be7c4.pth", "5a0be7c4"), ("b-0.386_a.pth", None)]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("configs/a/plain.py", "configs/a/plain.py"),
        ("plain.py", "configs/a/plain.py"),  # the metafile's folder
        ("a/plain.py", "configs/a/plain.py"),  # without configs/
        ("./configs/a/plain.py", "configs/a/plain.py"),
        ("configs/a/plain", "configs/a/plain.py"),
        ("configs/a/plain.py.py.py", "configs/a/plain.py"),
        ("configs/gn%2Bws/mask.py", "configs/gn+ws/mask.py"),
        ("configs/dino/ddq_r50.py", "configs/ddq/ddq_r50.py"),  # the only one of that name
        ("configs/a/cased_l.py", "configs/a/Cased_L.py"),
        ("https://github.com/open-mmlab/mmgeneration/blob/master/configs/a/plain.py", "configs/a/plain.py"),
        ("https://github.com/open-mmlab/mmediting/tree/master/configs/mix/sub/deep.py", "configs/mix/sub/deep.py"),
        ("configs/old/twice.py", None),  # two of that name: not guessed
        ("../../etc/passwd", None),
        ("https://elsewhere.example/unknown.py", None),
    ],
)
def test_config_paths(asked: str, found: str | None) -> None:
    path = ConfigPaths(TREE).find(asked, "configs/a/metafile.yml")
    assert path.path == found
    assert path.state == ("missing" if found is None else "found" if asked == found else "repaired")


@given(st.text(max_size=60))
def test_any_config_text_finds_a_file_of_the_tree_or_nothing(asked: str) -> None:
    found = ConfigPaths(TREE).find(asked, "configs/a/metafile.yml")
    assert found.path is None or found.path in TREE


def test_a_name_with_py_and_escapes() -> None:
    records = read(entry(GOOD, "gn%2Bhead.py.py"))
    assert [model.name for model in records.models] == ["gn+head"]
    assert kinds(records) == ["odd-name"]
    assert "gn%2Bhead.py.py" in records.issues[0].detail


def test_one_name_for_several_entries() -> None:
    records = read("Models:\n" + "".join(f"- {{Name: x, Config: plain.py, Weights: '{URL}{n}'}}\n" for n in "abc"))
    assert [(model.name, model.ordinal) for model in records.models] == [("x", None), ("x", 2), ("x", 3)]
    assert [model.weights[0].url[-1] for model in records.models] == ["a", "b", "c"]
    assert [issue.at for issue in records.issues if issue.kind == "duplicate-name"] == [
        "configs/a/metafile.yml:3", "configs/a/metafile.yml:4"]  # fmt: skip


def test_a_bad_entry_does_not_touch_the_others() -> None:
    records = read(f"Models:\n- 7\n- {{Config: x}}\n- {{Name: good, Config: plain.py, Weights: '{URL}'}}\n- [a]\n")
    assert [model.name for model in records.models] == ["good"]
    assert [(issue.kind, issue.at) for issue in records.issues if issue.blocks] == [
        ("bad-entry", "configs/a/metafile.yml:2"),
        ("no-name", "configs/a/metafile.yml:3"),
        ("bad-entry", "configs/a/metafile.yml:5"),
    ]


@pytest.mark.parametrize("text", ["7", "soon", "Models: 7", "Models: {Name: x}", "Collections: soon"])
def test_a_metafile_of_another_form_is_an_issue(text: str) -> None:
    records = read(text)
    assert records.models == ()
    assert [issue.blocks for issue in records.issues] == [True]


def test_a_collection_defined_twice() -> None:
    records = read("Collections:\n- {Name: M, README: a.md}\n- {Name: M, README: b.md}\n")
    assert [each.readme for each in records.collections] == ["a.md", "b.md"]
    assert kinds(records) == ["duplicate-collection"]


def test_papers_and_code_in_both_forms() -> None:
    both = read(
        "Collections:\n- {Name: A, Paper: {URL: 'https://arxiv.org/abs/1', Title: T}, Code: {URL: u, Version: v}}\n"
        "- {Name: B, Paper: 'https://arxiv.org/abs/2', Code: c}\n- {Name: C, Paper: Only a title}\n"
    ).collections
    assert [(each.paper and (each.paper.title, each.paper.url), each.code) for each in both] == [
        (("T", "https://arxiv.org/abs/1"), "u"),
        ((None, "https://arxiv.org/abs/2"), "c"),
        (("Only a title", None), None),
    ]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (41, Measure(41.0)),
        ("41.5", Measure(41.5)),
        ("28.28%", Measure(28.28, "28.28%", is_percent=True)),
        ("39.3 (37.9)", Measure(39.3, "39.3 (37.9)")),
        ("42.79, 34.55", Measure(None, "42.79, 34.55")),
        (float("nan"), Measure(None, "nan")),
        (10**30, Measure(None, str(10**30))),
        (True, None), (None, None), ("", None),
    ],
)  # fmt: skip
def test_measures(raw: object, expected: Measure | None) -> None:
    assert measure(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [(12, 12.0), ("24.3M", 24.3e6), ("33G", 33e9), ("1.5 GFLOPs", 1.5e9), ("_", None), ("330 MB", None), (-1, None),
     (True, None), ("1e400", None), (float("inf"), None)],
)  # fmt: skip
def test_quantities(raw: object, expected: float | None) -> None:
    assert quantity(raw) == (expected if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("name", "values", "unit"),
    [("box AP", [50.0], "percent"), ("AP", [0.5, 0.99], "fraction"), ("mIoU(ms+flip)", [80.1], "percent"),
     ("PSNR", [30.0], "none"), ("FID", [3.0], "none"), ("Params", [3.0], "none"), ("AR@1000", [58.0], "percent"),
     ("Top 1 Accuracy", [0.3, 80.0], "percent")],
)  # fmt: skip
def test_units(name: str, values: list[float], unit: str) -> None:
    assert unit_of(name, values) == unit


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["Name", "Config", "Weights", "Results", "Metadata", "In Collection", "Paper", "Code", "README", "Alias", "License",
     "inference time (ms/im)", "Training Log", "Converted From", "name", "RESULTS"]
)  # fmt: skip


@given(st.lists(st.dictionaries(KEYS, JSON, max_size=8) | JSON, max_size=4))
def test_whatever_stands_in_a_metafile_ends_as_records_and_issues(entries: list[Any]) -> None:
    """Total: no exception, every entry is a model or a blocking issue, and the records can be written as JSON."""
    import json

    from zoo_cli.models.safe_yaml import Document

    records = read_metafiles([Metafile("configs/a/metafile.yml", Document({"Models": entries}, {}))], ConfigPaths(TREE))
    assert len(records.models) + sum(issue.blocks for issue in records.issues) == len(entries)
    for model in records.models:
        json.dumps(plain(model), allow_nan=False)
