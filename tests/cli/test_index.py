"""`zoo index stats` and `zoo index problems`: what the index holds, in all three forms."""

from __future__ import annotations

import json

import pytest

from tests.support.cli import run_here


def zoo(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    return run_here(capsys, "index", *arguments)


def test_stats(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = zoo(capsys, "stats")
    lines = [line.split("\t") for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert lines[0][:7] == ["package", "release", "date", "collections", "models", "names", "with_weights"]
    newest = next(line for line in lines if line[:2] == ["mmdet", "3.3.0"])
    assert newest[2:11] == ["2024-01-05", "88", "583", "582", "580", "566", "17", "0", "580"]


def test_stats_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(zoo(capsys, "stats", "--json")[1])
    release = next(each for each in document["releases"] if each["version"] == "2.28.2")
    assert (release["models"], release["names"], release["with_weights"]) == (476, 475, 476)
    assert (release["configs_found"], release["files"]) == (476, 474)


def test_problems(capsys: pytest.CaptureFixture[str]) -> None:
    out = zoo(capsys, "problems", "mmdet", "--release", "3.3.0", "--kind", "config-repaired")[1]
    lines = [line.split("\t") for line in out.splitlines()]
    assert lines[0] == ["package", "release", "kind", "at", "subject", "detail"]
    assert len(lines) == 18
    assert [
        "mmdet", "3.3.0", "config-repaired", "configs/ddq/metafile.yml:34", "ddq-detr-5scale_r50_8xb2-12e_coco",
        "config configs/dino/ddq-detr-5scale_r50_8xb2-12e_coco.py does not exist; "
        "found configs/ddq/ddq-detr-5scale_r50_8xb2-12e_coco.py",
    ] in lines  # fmt: skip


def test_problems_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(zoo(capsys, "problems", "mmdet", "--release", "2.28.2", "--json")[1])["problems"]
    assert {row["kind"] for row in rows} == {"duplicate-name", "metric-text", "misplaced", "not-imported"}
    assert len(rows) == 15


@pytest.mark.parametrize("arguments", [("problems", "mmdett"), ("problems", "mmdet", "--release", "9")])
def test_problems_of_what_is_not_there(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    code, out, err = zoo(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error[unknown-package]")


def test_help_names_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _err = zoo(capsys, "--help")
    assert code == 0
    assert all(name in out for name in ("build", "stats", "problems"))
