"""`zoo list` in its other forms: fronts, plots, CSV, Markdown, what is installed, MIM's spelling."""

from __future__ import annotations

import csv
import errno
import io
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.support.cli import run_here
from tests.support.modelsdb import document, model, result, write_index

ROOT = Path(__file__).parent.parent.parent
V100 = "dataset=COCO and hardware=V100"


def zoo(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    return run_here(capsys, "list", *arguments)


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small index with names that a spreadsheet, a table or a picture could take for something else."""
    names = ("=cmd|' /C calc'!A0", "+1", "@SUM(A1)", "-x", "a,b", 'say "hi"', "pipe|star*<b>", "$x^2$", "한글 모델")
    models = [
        model(name, collection="=1+1", results=[result(AP=50.0 + at)], training={"memory_gb": -5.5 + at})
        for at, name in enumerate(names)
    ]
    (tmp_path / "index/compat").mkdir(parents=True)
    for path in (ROOT / "index/compat").iterdir():
        (tmp_path / "index/compat" / path.name).write_bytes(path.read_bytes())
    write_index(tmp_path / "index", document(models=models), document("0.9", models=models[:2]))
    monkeypatch.setenv("ZOO_INDEX", str(tmp_path / "index"))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))


# -- fronts ------------------------------------------------------------------------------------------------------------


def test_the_front_is_what_nobody_beats(capsys: pytest.CaptureFixture[str]) -> None:
    """Against the definition, over all pairs."""
    columns = "model,box_AP,inference_ms"
    rows = json.loads(zoo(capsys, "mmdet", "--filter", V100, "--columns", columns, "--json")[1])["models"]
    points = [
        (each["name"], each["metrics"]["box_AP"]["value"], each["inference_ms"])
        for each in rows
        if "box_AP" in each["metrics"] and each["inference_ms"] is not None
    ]
    expected = {
        name
        for name, ap, time in points
        if not any(a >= ap and t <= time and (a, t) != (ap, time) for _other, a, t in points)
    }
    front = zoo(capsys, "mmdet", "--filter", V100, "--pareto", "box_AP,inference_ms", "-q")[1].split()
    assert set(front) == expected
    assert len(front) == len(expected) > 5
    turned = zoo(capsys, "mmdet", "--filter", V100, "--pareto", "inference_time:min, box AP:desc", "-q")[1].split()
    assert turned == front[::-1]


def test_a_front_shows_both_axes_with_the_hardware(capsys: pytest.CaptureFixture[str]) -> None:
    _code, out, err = zoo(capsys, "mmdet", "--filter", "dataset=COCO", "--pareto", "box_AP,inference_ms")
    assert out.splitlines()[0].split("\t")[:4] == ["model", "box_ap", "inference_ms", "hardware"]
    assert "note: inference_ms was taken with several kinds of mode (FP16, FP32)" in err
    assert re.search(r"note: \d+ of \d+ models have no inference_ms and are in no front\.", err)


def test_a_front_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(zoo(capsys, "mmdet", "--filter", V100, "--pareto", "box_AP,memory_gb", "--json")[1])
    assert found["front"] == [{"field": "box_AP", "better": "max"}, {"field": "memory_gb", "better": "min"}]
    assert len(found["models"]) < found["matched"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--pareto", "box_AP,year"), "zoo list --pareto box_AP,year:max"),
        (("--pareto", "box_AP,box AP"), "named twice"),
        (("--pareto", "box_AP,collection"), "collection is no number"),
        (("--pareto", "box_AP,boxes"), "no column is called boxes"),
        (("--pareto", "box_AP"), "takes two"),
        (("--pareto", "box_AP,epochs", "--sort", "box_AP"), "order of its own"),
        (("--plot", "x.png"), "--pareto X,Y"),
        (("--pareto", "box_AP,epochs", "--plot", "x.jpg"), ".png, .svg, .pdf"),
        (("--csv", "-q"), "say one of them"),
        (("--condition", "epochs>1", "--filter", "epochs>1"), "say one of them"),
        (("--all-releases", "--release", "3.3.0"), "nothing for --release"),
        (("--installed", "--release", "3.3.0"), "already says"),
        (("--python", "python3"), "belongs to --installed"),
        (("--installed", "--python", "/nowhere/python"), "no-interpreter"),
    ],
)
def test_what_contradicts_is_refused(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str) -> None:
    code, out, err = zoo(capsys, "mmdet", *arguments)
    assert (code, out) in ((2, ""), (4, ""))
    assert said in err


# -- pictures ----------------------------------------------------------------------------------------------------------


def test_a_plot(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pictures = []
    for name in ("a.svg", "b.svg", "c.png"):
        arguments = ("mmdet", "--filter", V100, "--pareto", "box_AP,inference_ms", "-q", "--plot", str(tmp_path / name))
        assert zoo(capsys, *arguments)[0] == 0
        pictures.append((tmp_path / name).read_bytes())
    assert pictures[0] == pictures[1]
    assert ElementTree.fromstring(pictures[0]).tag.endswith("svg")
    assert pictures[2].startswith(b"\x89PNG")


@pytest.mark.usefixtures("evil")
def test_a_name_is_no_formula_in_a_plot(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    arguments = ("--pareto", "AP,memory_gb", "--name", "$*", "-q", "--plot", str(tmp_path / "a.svg"))
    assert zoo(capsys, *arguments)[0] == 0
    assert "$x^2$" in (tmp_path / "a.svg").read_text(encoding="utf-8")


def test_a_plot_that_cannot_be_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = str(tmp_path / "missing" / "a.png")
    code, _out, err = zoo(capsys, "mmdet", "--filter", V100, "--pareto", "box_AP,memory_gb", "--plot", path)
    assert code == 1
    assert "error[cannot-plot]" in err


def test_a_plot_that_breaks_off_leaves_the_old_picture(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    old = tmp_path / "a.png"
    old.write_bytes(b"old")

    def no_space(_self: Path, _target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", no_space)
    arguments = ("mmdet", "--filter", V100, "--pareto", "box_AP,memory_gb", "--plot", str(old))
    code, _out, err = zoo(capsys, *arguments)
    assert code == 1
    assert "No space left" in err
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("a.png", b"old")]


def test_without_matplotlib_a_plot_names_the_command(tmp_path: Path) -> None:
    script = (
        "import sys\nsys.modules['matplotlib'] = None\nfrom zoo_cli.cli.app import run\n"
        "sys.exit(run(['list', 'mmdet', '--pareto', 'box_AP,memory_gb', '--plot', 'x.png']))"
    )
    child = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False, capture_output=True, text=True)
    assert child.returncode == 2
    assert "error[needs-matplotlib]" in child.stderr
    assert "-m pip install matplotlib" in child.stderr


# -- CSV and Markdown --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("evil")
def test_csv_reads_back_and_holds_no_formula(capsys: pytest.CaptureFixture[str]) -> None:
    out = zoo(capsys, "--csv", "--columns", "model,AP,memory_gb,collection")[1]
    header, *rows = csv.reader(io.StringIO(out))
    assert header == ["model", "AP", "memory_gb", "collection"]
    assert len(rows) == 9
    for row in rows:
        for cell in row:
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")) or float(cell)
    names = {row[0].removeprefix("'") for row in rows}
    assert {"=cmd|' /C calc'!A0", "a,b", 'say "hi"', "한글 모델"} <= names
    assert {row[3] for row in rows} == {"'=1+1"}
    assert "-5.5" in {row[2] for row in rows}  # a number stays one


@pytest.mark.usefixtures("evil")
def test_markdown_keeps_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    lines = zoo(capsys, "--markdown", "--columns", "model,AP")[1].splitlines()
    assert re.fullmatch(r"\|-+\|-+:\|", lines[1])
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 3 for line in lines)
    assert any(r"pipe\|star\*\<b>" in line for line in lines)


def test_fractions_in_a_filter_are_asked_about(capsys: pytest.CaptureFixture[str]) -> None:
    note = "AP>0.7: shares are compared in percent; what upstream writes as 0.7 is 70 here."
    assert f"note: {note}\n" in zoo(capsys, "mmpose", "--filter", "AP>0.7", "-n", "1")[2]
    assert json.loads(zoo(capsys, "mmpose", "--filter", "ap > 0.7", "--json", "-n", "1")[1])["notes"] == [note]
    assert zoo(capsys, "mmpose", "--filter", "AP>70", "-n", "1")[2] == ""
    assert zoo(capsys, "mmdet", "--filter", "PQ>0.7", "-n", "1")[2] == ""  # upstream writes percent only


# -- releases and MIM --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("evil")
def test_all_releases(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(zoo(capsys, "-q")[1].splitlines()) == 9
    assert len(zoo(capsys, "-q", "--all-releases")[1].splitlines()) == 11


def test_what_is_installed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    (site,) = (tmp_path / "env").glob("lib/python*/site-packages")

    def install(name: str, version: str) -> None:
        (site / f"{name}-{version}.dist-info").mkdir()
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (site / f"{name}-{version}.dist-info/METADATA").write_text(text)

    python = str(tmp_path / "env")
    code, out, err = zoo(capsys, "--installed", "--python", python, "-n", "3")
    assert (code, out) == (0, "")
    assert "No package with models is installed" in err
    install("mmdet", "2.28.2")
    install("mmpose", "0.1.0")
    code, out, err = zoo(capsys, "--installed", "--python", python, "-q")
    assert (code, len(out.splitlines())) == (0, 476)
    assert "mmpose 0.1.0 is installed; the index has models of" in err


def test_mims_spelling(capsys: pytest.CaptureFixture[str]) -> None:
    ours = zoo(capsys, "mmdet", "--filter", "box_AP>50 and epochs>=24", "-q")[1]
    assert zoo(capsys, "mmdet", "--condition", "box_ap>50,epoch>=24", "-q")[1] == ours != ""


def test_the_order_can_be_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    for one, other in (("box_AP:asc", "-box_AP"), ("memory_gb:desc", "-memory_gb"), ("box_AP:desc", "box_AP")):
        first = zoo(capsys, "mmdet", "--sort", one, "-q", "-n", "20")[1]
        assert first == zoo(capsys, "mmdet", "--sort", other, "-q", "-n", "20")[1] != ""


# -- published comparisons ---------------------------------------------------------------------------------------------


def test_benchmarks_with_their_checkpoints(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _err = zoo(capsys, "--benchmarks")
    rows = [dict(zip(("subject", "implementation", "metric", "value"), line.split("\t"), strict=False))
            for line in out.splitlines()[1:]]  # fmt: skip
    assert code == 0
    assert {"subject": "RetinaNet 1x", "implementation": "MMDetection", "metric": "box AP", "value": "37"} in rows
    checkpoints = [row["value"] for row in rows if row["metric"] == "checkpoint"]
    assert len(checkpoints) == 4
    assert all(address.startswith("https://download.openmmlab.com/") for address in checkpoints)
    document = json.loads(zoo(capsys, "--benchmarks", "--json")[1])
    assert (len(document["benchmarks"]), len(document["checkpoints"])) == (len(rows) - 8, 4)


def test_models_that_have_a_config_and_no_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _err = zoo(capsys, "mmdet-readmes", "--filter", "not has_checkpoint and dataset='WIDER FACE'", "-q")
    assert (code, out) == (0, "retinanet_r50_fpn_1x_widerface\nssd300_8xb32-24e_widerface\n")


# -- other lists -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--fields", "--metrics"), "--fields and --metrics are lists of their own"),
        (("--backbones", "--filter", "box_AP"), "--backbones does not heed --filter."),
        (("mmdet", "--benchmarks"), "--benchmarks does not heed a package."),
        (("--metrics", "--csv"), "--metrics does not heed --csv or --markdown."),
        (("--fields", "--limit", "3"), "--fields does not heed --limit."),
    ],
)
def test_other_lists_refuse_what_they_do_not_heed(
    capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    code, out, err = zoo(capsys, *options)
    assert (code, out) == (2, "")
    assert said in err


def test_metrics_of_the_models_that_match(capsys: pytest.CaptureFixture[str]) -> None:
    assert zoo(capsys, "mmdet", "--metrics", "--filter", "collection=DDQ", "-q")[1] == "box_AP\n"
    assert "mask_AP" in zoo(capsys, "mmdet", "--metrics", "--search", "maskrcnn swin", "-q")[1].split()


@pytest.mark.parametrize("options", [("mmdet",), ("mmpose", "--filter", "AP>0.7"), ("--name", "*swin*", "-n", "40")])
def test_names_alone_come_in_the_same_order(capsys: pytest.CaptureFixture[str], options: tuple[str, ...]) -> None:
    rows = zoo(capsys, *options, "--columns", "model")[1].splitlines()[1:]
    assert zoo(capsys, *options, "-q")[1].splitlines() == rows
