"""`zoo show` and `zoo compare`: every value with its origin, what is unknown named, differences marked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.cli import run_here as zoo
from tests.support.modelsdb import document, model, result, write_index
from tests.test_docs import on_terminal
from zoo_cli.catalog.cpu import Verdict, answer_of, cpu_verdict, folder_of
from zoo_cli.catalog.database import open_catalog
from zoo_cli.catalog.details import details_of
from zoo_cli.catalog.references import find_models
from zoo_cli.cli.model_view import Compared, comparison_lines
from zoo_cli.cli.text import width

ROOT = Path(__file__).parent.parent.parent
YOLO = "yolov3_mobilenetv2_8xb24-320-300e_coco"
OLD = "yolov3_mobilenetv2_320_300e_coco"


def rows_of(out: str) -> list[tuple[str, ...]]:
    return [tuple(line.split("\t")) for line in out.splitlines()]


def test_every_value_has_its_origin(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = zoo(capsys, "show", YOLO)
    header, *rows = rows_of(out)
    assert (code, err, header) == (0, "", ("section", "field", "value", "from"))
    at = "configs/yolo/metafile.yml:100"
    for row in (
        ("Model", "name", YOLO, at),
        ("Model", "paper", "YOLOv3: An Incremental Improvement", "configs/yolo/metafile.yml:2"),
        ("Model", "memory_gb", "3.2", f"{at} or its collection"),
        ("Model", "lr_schedule", "300e", "the model's name"),
        ("Model", "year", "2018", "the paper's arXiv number"),
        ("Model", "year", "2021", "the time stamp in the checkpoint's name"),
        ("Results", "box AP (COCO, Object Detection)", "22.2", at),
        ("Other names", "alias", OLD, "known by url"),
        ("Get it", "", f"zoo download mmdet/{YOLO} --dest .", ""),
    ):
        assert row in rows
    origins = {row[1]: row[3] for row in rows if row[0] == "Model"}
    assert all(origins.values())
    assert ("Unknown", "fields") in {row[:2] for row in rows}
    assert any(row[:2] == ("Files", "digest") and row[3] == "prefix" for row in rows)


def test_an_old_name(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = zoo(capsys, "show", OLD)
    assert (code, err) == (0, f"{OLD} is now mmdet/3.3.0/{YOLO}\n")
    assert any(row[:2] == ("Other releases", "mmdet 2.28.2") for row in rows_of(out))
    old = zoo(capsys, "show", f"mmdet/2.28.2/{OLD}")[1]
    assert f"zoo download mmdet/2.28.2/{OLD} --dest ." in old


def test_problems_of_upstream_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    rows = rows_of(zoo(capsys, "show", "ddq-detr-4scale_swinl_8xb2-30e_coco")[1])
    (problem,) = (row for row in rows if row[0] == "Problems of upstream's data")
    assert problem[1] == "config-repaired"
    assert any(row[1] == "config" and row[3].endswith(", repaired") for row in rows)


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(zoo(capsys, "show", YOLO, "--json")[1])
    assert (found["ok"], found["command"], found["id"]) == (True, "show", f"mmdet/3.3.0/{YOLO}")
    assert found["release"]["evidence"] == "seen"
    assert all(fact["from"] for fact in found["facts"])
    assert found["metrics"][0]["value"] == 22.2
    assert (found["digest"], found["files"][0]["prefix"]) == ("prefix", "d18dff72")
    assert found["commands"][0] == f"zoo download mmdet/{YOLO} --dest ."
    assert zoo(capsys, "show", YOLO, "-q")[1] == f"mmdet/3.3.0/{YOLO}\n"


def test_on_a_terminal() -> None:
    shown = on_terminal(f"zoo show {YOLO}", 160)
    assert shown.startswith("Model\n  name")
    assert "\n\nResults\n  box AP (COCO, Object Detection)  22.2  configs/yolo/metafile.yml:100\n" in shown
    assert f"\n\nGet it\n  zoo download mmdet/{YOLO} --dest .\n" in shown


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("show", "no_such_model"), 2, "error[unknown-model]"),
        (("show",), 2, "MODEL"),
        (("compare", YOLO), 2, "2 to 20"),
        (("compare", YOLO, "no_such_model"), 2, "error[unknown-model]"),
        (("show", "mmdet/9.9/x"), 2, "error[unknown-package]"),
    ],
)
def test_refused(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, said: str) -> None:
    ended, out, err = zoo(capsys, *words)
    assert (ended, out) == (code, "")
    assert said in err


# -- the CPU -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uses", "answer"),
    [
        ([], "yes"),
        ([("kernel", 2, 3), ("fallback", 3, 3), ("sync-bn", 1, 3)], "yes"),
        ([("blocks", 2, 2)], "no"),
        ([("blocks", 1, 2)], "unknown"),
        ([("blocks", 1, 2), ("blocks", 2, 2)], "no"),
    ],
)
def test_a_verdict_says_no_more_than_is_known(uses: list[tuple[str, int, int]], answer: str) -> None:
    assert answer_of(uses) == answer


def test_folders() -> None:
    assert folder_of("configs/dcn/x.py") == "dcn"
    assert [folder_of(text) for text in (None, "", "x.py", "configs/x.py", "projects/a/configs/x.py")] == [None] * 5


def test_verdicts_of_the_index() -> None:
    catalog = open_catalog()
    try:
        carafe = cpu_verdict(catalog, "mmdet", "3.3.0", "configs/carafe/x.py")
        assert (carafe.answer, carafe.evidence) == ("no", "inferred")
        assert carafe.reasons == ("2 of 2 configs of carafe use CARAFE, which has no version for the CPU",)
        assert cpu_verdict(catalog, "mmdet", "2.28.2", "configs/dcnv2/x.py").answer == "unknown"
        assert cpu_verdict(catalog, "mmdet", "2.28.2", "configs/regnet/x.py").answer == "yes"
        assert cpu_verdict(catalog, "mmdet", "3.2.0", "configs/carafe/x.py").answer == "unknown"
        assert cpu_verdict(catalog, "mmdet", "3.3.0", None) == Verdict("unknown", ("its config is not known",))
        stored = catalog.execute(
            "SELECT m.config, p.project, p.version, coalesce(e.cpu_ok, 'unknown') FROM entry e "
            "JOIN model m ON m.id = e.model JOIN package p ON p.id = e.package WHERE p.project = 'mmdet'"
        ).fetchall()
        for config, project, version, answer in stored[::25]:
            assert cpu_verdict(catalog, project, version, config).answer == answer
    finally:
        catalog.close()


# -- side by side ------------------------------------------------------------------------------------------------------


def test_differences_are_marked(capsys: pytest.CaptureFixture[str]) -> None:
    header, *rows = rows_of(zoo(capsys, "compare", "rtmdet_tiny_8xb32-300e_coco", "rtmdet_s_8xb32-300e_coco")[1])
    assert header == ("differs", "field", "model_1", "model_2")
    assert ("*", "box AP (COCO)", "40.9", "44.5") in rows
    assert ("", "epochs", "300", "300") in rows
    assert all((row[0] == "*") == (row[2] != row[3]) for row in rows[1:])
    found = json.loads(zoo(capsys, "compare", YOLO, f"mmdet/2.28.2/{OLD}", "--json", "--differing")[1])
    assert found["models"] == [f"mmdet/3.3.0/{YOLO}", f"mmdet/2.28.2/{OLD}"]
    assert all(row["differs"] for row in found["rows"])


def test_wide_letters_align_and_long_names_stand_above() -> None:
    rows = [Compared("데이터", ("코코", "COCO")), Compared("epochs", ("12", "12")), Compared("params", ("", "30M"))]
    wide = comparison_lines(["모델", "model-b"], rows, 80)
    shown = ((wide[0], "model-b"), (wide[1], "COCO"), (wide[3], "30M"))
    assert len({width(line[: line.index(text)]) for line, text in shown}) == 1
    assert [line[0] for line in wide] == [" ", "*", " ", "*"]
    narrow = comparison_lines(["a" * 40, "b" * 40], rows, 60)
    assert narrow[:3] == [f"A  {'a' * 40}", f"B  {'b' * 40}", ""]
    assert max(map(width, narrow)) <= 60
    assert narrow[-1].split() == ["*", "params", "-", "30M"]


def test_hostile_names_stay_harmless(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = model("a\x1b[31m_r50", collection="x\ty", results=[result(AP=1.0)], license="=1+1")
    (tmp_path / "index/compat").mkdir(parents=True)
    for path in (ROOT / "index/compat").iterdir():
        (tmp_path / "index/compat" / path.name).write_bytes(path.read_bytes())
    write_index(tmp_path / "index", document(models=[evil, {**evil, "ordinal": 2, "config": "configs/a/b.py"}]))
    monkeypatch.setenv("ZOO_INDEX", str(tmp_path / "index"))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    code, out, err = zoo(capsys, "show", "a\x1b[31m_r50#2")
    assert code == 0
    assert "\x1b" not in out + err
    catalog = open_catalog()
    try:
        found = details_of(catalog, find_models(catalog, "a\x1b[31m_r50#2").models[0])
    finally:
        catalog.close()
    assert found.handle == "zoolet/a\x1b[31m_r50#2"
    assert found.namesakes == 2
