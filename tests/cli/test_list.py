"""`zoo list` as a user meets it: a table, a pipe, JSON, names; what it says when nothing fits or a name is wrong."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import run_here
from zoo_cli.cli.app import run
from zoo_cli.cli.list_view import fitting

ROOT = Path(__file__).parent.parent.parent
FILTER = "box_AP>=50 and dataset=COCO"


def zoo(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    return run_here(capsys, "list", *arguments)


def on_a_terminal(*arguments: str, cells: int = 100) -> str:
    """What stdout and stderr show on a terminal of that width."""
    master, slave = pty.openpty()
    environment = os.environ | {"COLUMNS": str(cells), "TERM": "xterm", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "zoo_cli", "list", *arguments]
    with subprocess.Popen(command, stdout=slave, stderr=slave, stdin=slave, env=environment, cwd=ROOT) as child:
        os.close(slave)
        chunks = []
        while True:
            try:
                chunk = os.read(master, 65536)
            except OSError:  # Linux says EIO when the child has closed its side
                break
            if not chunk:
                break
            chunks.append(chunk)
        os.close(master)
        child.wait()
    return b"".join(chunks).decode().replace("\r\n", "\n")


def test_a_table_on_a_terminal() -> None:
    assert on_a_terminal("mmdet", "--filter", "box_AP>=50 and collection=DDQ") == (
        "MODEL                                BOX AP  DATASET  COLLECTION  CHECKPOINT\n"
        "ddq-detr-4scale_swinl_8xb2-30e_coco    58.7  COCO     DDQ         yes\n"
        "ddq-detr-5scale_r50_8xb2-12e_coco      52.1  COCO     DDQ         yes\n"
        "ddq-detr-4scale_r50_8xb2-12e_coco      51.4  COCO     DDQ         yes\n"
        "\n"
        "3 of 583 models. Download one: zoo download ddq-detr-4scale_swinl_8xb2-30e_coco --dest .\n"
    )


def test_columns_drop_from_the_right_and_names_stay_whole() -> None:
    shown = on_a_terminal("mmdet", "--filter", "box_AP>=50 and collection=DDQ", cells=55)
    assert shown.splitlines()[:2] == [
        "MODEL                                BOX AP  DATASET",
        "ddq-detr-4scale_swinl_8xb2-30e_coco    58.7  COCO",
    ]
    narrow = on_a_terminal("mmdet", "--filter", "box_AP>=50 and collection=DDQ", cells=10)
    assert narrow.splitlines()[1] == "ddq-detr-4scale_swinl_8xb2-30e_coco"


@pytest.mark.parametrize(("cells", "columns"), [(None, 3), (100, 3), (9, 3), (8, 2), (5, 2), (4, 1), (1, 1)])
def test_how_many_columns_fit(cells: int | None, columns: int) -> None:
    assert fitting(("a", "b", "c"), [("xx", "y", "zz")], cells) == columns


def test_tab_separated_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = zoo(capsys, "mmdet", "--filter", FILTER)
    lines = out.splitlines()
    assert (code, err, len(lines)) == (0, "", 37)
    assert lines[0] == "model\tbox_ap\tdataset\tcollection\tcheckpoint"
    assert lines[1] == "grounding_dino_swin-b_finetune_16xb2_1x_coco\t59.7\tCOCO\tGrounding DINO\tyes"
    assert all(line.count("\t") == 4 for line in lines)


def test_names_only(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = zoo(capsys, "mmdet", "--filter", FILTER, "-q")
    assert (code, err, len(out.split())) == (0, "", 36)


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = zoo(capsys, "mmdet", "--filter", "name=rtmdet_l_8xb32-300e_coco", "--json")
    document = json.loads(out)
    (model,) = document.pop("models")
    assert (code, err, document) == (0, "", {"ok": True, "command": "list", "matched": 1, "of": 583})
    assert {key: model[key] for key in ("name", "package", "release", "config", "dataset", "files", "file")} == {
        "name": "rtmdet_l_8xb32-300e_coco", "package": "mmdet", "release": "3.3.0", "dataset": "COCO", "files": 1,
        "config": "configs/rtmdet/rtmdet_l_8xb32-300e_coco.py",
        "file": "rtmdet_l_8xb32-300e_coco_20220719_112030-5a0be7c4.pth",
    }  # fmt: skip
    assert model["url"].startswith("https://download.openmmlab.com/")
    assert model["metrics"] == {
        "box_AP": {"value": 51.3, "unit": "percent", "dataset": "COCO", "task": "Object Detection"}}  # fmt: skip


def test_all_of_a_package_and_of_a_release(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(zoo(capsys, "mmdet", "-q")[1].splitlines()) == 583
    assert len(zoo(capsys, "mmdet", "-q", "--release", "2.28.2")[1].splitlines()) == 476
    every = len(zoo(capsys, "mmdet", "-q", "--filter", "release~*")[1].splitlines())
    assert every >= 1059
    assert len(zoo(capsys, "mmdet", "-q", "--all-releases")[1].splitlines()) == every


def test_without_a_package_the_newest_release_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(zoo(capsys, "--json")[1])["models"]
    newest = {row["package"]: {each["release"] for each in rows if each["package"] == row["package"]} for row in rows}
    assert newest["mmdet"] == {"3.3.0"}
    assert all(len(releases) == 1 for releases in newest.values())


def test_metrics_of_the_filter_are_shown_with_the_values_it_means(capsys: pytest.CaptureFixture[str]) -> None:
    out = zoo(capsys, "mmdet", "--filter", "mask_AP>=45 and box_AP>0 and dataset=COCO", "-n", "1")[1]
    assert out.splitlines()[0] == "model\tmask_ap\tbox_ap\tdataset\tcollection\tcheckpoint"
    assert out.splitlines()[1].split("\t")[1:4] == ["48.5", "52.2", "COCO"]


def test_a_field_of_the_filter_becomes_a_column(capsys: pytest.CaptureFixture[str]) -> None:
    out = zoo(capsys, "mmdet", "--filter", "memory_gb<3 and epochs>=12", "-n", "1")[1]
    assert out.splitlines()[0].split("\t")[-3:] == ["memory_gb", "epochs", "checkpoint"]


def numbers(out: str, column: int) -> list[float]:
    return [float(line.split("\t")[column]) for line in out.splitlines()[1:] if line.split("\t")[column]]


def test_order(capsys: pytest.CaptureFixture[str]) -> None:
    best_first = numbers(zoo(capsys, "mmdet", "--filter", "box_AP>=50")[1], 1)
    assert best_first == sorted(best_first, reverse=True)
    worst_first = numbers(zoo(capsys, "mmdet", "--filter", "box_AP>=50", "--sort", "-box_AP")[1], 1)
    assert worst_first == sorted(worst_first)
    smallest_first = numbers(zoo(capsys, "mmdet", "--columns", "model,memory_gb", "--sort", "memory_gb")[1], 1)
    assert smallest_first == sorted(smallest_first)
    by_name = zoo(capsys, "mmdet", "--columns", "name", "--sort", "name")[1].splitlines()[1:]
    assert by_name == sorted(by_name, key=str.casefold)
    unknown_last = zoo(capsys, "mmdet", "--columns", "model,mask_AP", "--sort", "mask_AP")[1].splitlines()
    assert unknown_last[-1].endswith("\t")


def test_chosen_columns(capsys: pytest.CaptureFixture[str]) -> None:
    out = zoo(capsys, "mmdet", "--columns", "url, name,MASK AP,files,checkpoint", "--name", "solov2_r50_fpn_1x_COCO")[1]
    header, line = out.splitlines()
    assert header == "url\tmodel\tmask_ap\tfiles\tcheckpoint"
    assert line.split("\t")[1:] == ["solov2_r50_fpn_1x_coco", "34.8", "1", "yes"]


def test_limit(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(zoo(capsys, "mmdet", "-q", "-n", "5")[1].splitlines()) == 5
    assert zoo(capsys, "mmdet", "-q", "-n", "0")[1] == ""
    assert "2 shown, 36 of 583 models." in on_a_terminal("mmdet", "--filter", FILTER, "-n", "2")


def test_the_suggested_download_names_the_release_asked_for() -> None:
    shown = on_a_terminal("mmdet", "--release", "2.28.2", "--name", "detr_*", "-n", "1")
    assert "zoo download mmdet/2.28.2/detr_r50_8x2_150e_coco --dest ." in shown


def test_metrics_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    out = zoo(capsys, "mmdet", "--metrics")[1]
    assert out.splitlines()[:2] == ["metric\tmodels\tlowest\thighest\tunit", "box_AP\t531\t19.9\t90.32\tpercent"]
    assert json.loads(zoo(capsys, "mmdet", "--metrics", "--json")[1])["metrics"][0]["name"] == "box_AP"
    assert "memory_gb" in zoo(capsys, "--fields", "-q")[1].split()
    assert json.loads(zoo(capsys, "--fields", "--json")[1])["fields"][0] == {
        "name": "name", "kind": "text", "description": "the model's name"}  # fmt: skip
    assert "dataset\ttext\t" in zoo(capsys, "--fields")[1]


# -- nothing found, wrong names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("box_AP>=99 and collection=DDQ",
         "The highest box_AP with collection=DDQ is 58.7 (ddq-detr-4scale_swinl_8xb2-30e_coco)."),
        ("box_AP<1 and memory_gb<5",
         "The lowest box_AP with memory_gb<5 is 21.3 (ssdlite_mobilenetv2-scratch_8xb24-600e_coco)."),
        ("box_AP>=99", "The highest box_AP is 90.32 (crowddet-rcnn_refine_r50_fpn_8xb2-30e_crowdhuman)."),
        ("box_AP>=60 and dataset=COCO",
         "The highest box_AP with dataset=COCO is 59.7 (grounding_dino_swin-b_finetune_16xb2_1x_coco)."),
        ("collection='Cascade R-CN'", "There is no collection Cascade R-CN; near: Cascade R-CNN"),
        ("dataset=Qwertz-0", "There is no dataset Qwertz-0."),
        ("name=nothing", "No model matches.\n"),
    ],
)  # fmt: skip
def test_an_empty_list_says_what_is_near(capsys: pytest.CaptureFixture[str], text: str, said: str) -> None:
    code, out, err = zoo(capsys, "mmdet", "--filter", text)
    assert (code, out) == (0, "")
    assert said in err
    assert err.startswith("No model matches.")


def test_an_empty_list_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(zoo(capsys, "mmdet", "--filter", "box_AP>=99 and collection=DDQ", "--json")[1])
    assert (document["ok"], document["matched"], document["models"]) == (True, 0, [])
    assert document["nearest"] == {
        "metric": "box_AP", "highest": 58.7, "model": "ddq-detr-4scale_swinl_8xb2-30e_coco", "with": "collection=DDQ"
    }  # fmt: skip


def test_a_bad_filter_points_at_the_column(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = zoo(capsys, "mmdet", "--filter", "boxAP >> 50")
    assert (code, out) == (2, "")
    assert err.startswith(
        "error[bad-filter]: cannot read the filter\n"
        "  boxAP >> 50\n"
        "        ^^ expected one of  =  !=  <  <=  >  >=  ~  in\n"
        "  there is no field or metric boxAP; near: box_AP\n"
    )


def test_a_misspelt_field_comes_with_the_whole_command_mended(capsys: pytest.CaptureFixture[str]) -> None:
    err = zoo(capsys, "mmdet", "--filter", "boxAP > 50 and collection='DINO'")[2]
    mended = re.search(r"zoo (list --filter .*)\n", err)
    assert mended
    command = f"{sys.executable} -m zoo_cli {mended[1]} -q"
    child = subprocess.run(command, shell=True, cwd=ROOT, check=True, capture_output=True, text=True)
    assert "dino-5scale_swin-l_8xb2-12e_coco" in child.stdout.split()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("mmdetection",), "unknown-package", "zoo list mmdet"),
        (("mmdett",), "unknown-package", "zoo list mmdet"),
        (("nobody",), "unknown-package", "packages with models: "),
        (("mmdet", "--release", "3.2"), "unknown-package", "zoo list mmdet --release 3.3.0"),
        (("--sort", "boxap"), "unknown-column", "near: box_AP"),
        (("--columns", "model,qwertz"), "unknown-column", "zoo list --fields"),
        (("mmdet", "--filter", ""), "bad-filter", "it is empty"),
        (("mmdet", "--filter", "(" * 500), "bad-filter", "levels deep"),
        (("mmdet", "--filter", "x" * 5000), "bad-filter", "longer than 2000"),
        (("mmdet", "--filter", "name='\x1b[31m'  >>"), "bad-filter", r"\x1b[31m"),
    ],
)
def test_wrong_names_are_one_error_with_a_way_out(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: str, said: str
) -> None:
    exit_code, out, err = zoo(capsys, *arguments)
    assert (exit_code, out) == (2, "")
    assert err.startswith(f"error[{code}]: ")
    assert said in err
    assert "\x1b" not in err


def test_errors_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = zoo(capsys, "mmdet", "--filter", "boxAP>1", "--json")
    document = json.loads(out)
    assert (code, err, document["ok"], document["error"]["code"]) == (2, "", False, "bad-filter")
    facts = document["error"]["facts"]
    assert (facts["column"], facts["length"], facts["near"]) == (0, 5, ["box_AP"])


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        ((b"--name", b"\xff*"), 0, b"No model matches."),
        ((b"--release", b"\xff"), 0, b"No model matches."),
        ((b"\xff",), 2, b"error[unknown-package]"),
        ((b"mmdet", b"--release", b"\xff"), 2, b"error[unknown-package]"),
        ((b"--filter", b"name=\xff"), 2, b"error[bad-filter]"),
        ((b"--sort", b"\xff"), 2, b"error[unknown-column]"),
    ],
)
def test_bytes_that_are_no_text(arguments: tuple[bytes, ...], exit_code: int, said: bytes) -> None:
    command = [sys.executable.encode(), b"-m", b"zoo_cli", b"list", *arguments]
    child = subprocess.run(command, cwd=ROOT, check=False, capture_output=True)
    assert (child.returncode, child.stdout) == (exit_code, b"")
    assert said in child.stderr


# -- what it costs -----------------------------------------------------------------------------------------------------

HEAVY = {
    "yaml", "requests", "http", "ssl", "socket", "tqdm", "packaging", "urllib.request", "asyncio", "email", "tomllib",
    "zoo_cli.transfer", "zoo_cli.catalog.compiler", "zoo_cli.machine", "zoo_cli.packages", "zoo_cli.models",
    "zoo_cli.catalog.models", "zoo_cli.catalog.references",
}  # fmt: skip


def test_it_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from zoo_cli.cli.app import run\n"
        f"assert run(['list', 'mmdet', '--filter', {FILTER!r}, '-q']) == 0\n"
        "print(' '.join(sys.modules), file=sys.stderr)\n"
    )
    run(["list", "-q", "-n", "0"])  # the database of a checkout is compiled before, with all that this needs
    child = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    assert len(child.stdout.splitlines()) == 36
    assert not set(child.stderr.split()) & HEAVY


def test_a_search_tells_what_it_read(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = zoo(capsys, "mmdet", "--search", "ddqq swin", "--columns", "model")
    assert (code, out) == (0, "model\nddq-detr-4scale_swinl_8xb2-30e_coco\n")
    assert err == "note: no model has the word ddqq: searched for ddq.\n"
    document = json.loads(zoo(capsys, "mmdet", "--search", "ddqq swin", "--json")[1])
    assert document["search"] == {"words": ["ddqq", "swin"], "read_as": {"ddqq": ["ddq"]}, "alone": {}}
    assert document["matched"] == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ddq rtmdet", "No model has all of these words; each alone: ddq 3, rtmdet 14."),
        ("\uac80\ucd9c", "No model has the word \uac80\ucd9c."),
        ("\u76ee\u6807\u68c0\u6d4b coco", "No model has the word \u76ee\u6807\u68c0\u6d4b."),
    ],
)
def test_a_search_for_nothing_says_why(capsys: pytest.CaptureFixture[str], text: str, said: str) -> None:
    code, out, err = zoo(capsys, "mmdet", "--search", text)
    assert (code, out) == (0, "")
    assert said in err.splitlines()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("search", "swin", "coco"), "zoo list --search 'swin coco'"),
        (("search", "mmdet", "--model", "yolov3"), "zoo list --search 'mmdet yolov3'"),
        (("info", "ssd300_coco"), "zoo show ssd300_coco"),
    ],
)
def test_what_other_tools_call_it(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str) -> None:
    assert run(list(words)) == 2
    assert capsys.readouterr().err.endswith(f"No such command '{words[0]}'. That is: {said}\n")
