"""`zoo list --backbones` and `zoo show SCHEME://NAME`: what an alias of a pretrained backbone means."""

from __future__ import annotations

import json

import pytest

from tests.support.cli import run_here as zoo


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    every = zoo(capsys, "list", "--backbones", "-q")[1].splitlines()
    assert len(every) > 150
    assert {each.partition("://")[0] for each in every} >= {"open-mmlab", "torchvision", "mmcls"}
    _code, out, _err = zoo(capsys, "list", "--backbones", "--name", "RESNET50")
    header, *lines = out.splitlines()
    assert header == "backbone\tfamily\tnormalisation\turl"
    assert "torchvision://resnet50" in {line.split("\t")[0] for line in lines}
    found = json.loads(zoo(capsys, "list", "--backbones", "--name", "torchvision://*", "--json")[1])
    assert {each["scheme"] for each in found["backbones"]} == {"torchvision"}
    assert found["matched"] == len(found["backbones"]) < found["of"]
    assert zoo(capsys, "list", "--backbones", "--name", "nothing*")[1:] == ("", "No backbone matches.\n")


def test_one_with_its_norms(capsys: pytest.CaptureFixture[str]) -> None:
    """The page's norm and what configs really have beside it differ; both are told."""
    code, out, err = zoo(capsys, "show", "open-mmlab://resnet50_caffe")
    rows = [line.split("\t") for line in out.splitlines()]
    assert code == 0
    assert "is deprecated: it is open-mmlab://detectron/resnet50_caffe now" in err
    assert rows[0] == ["field", "value", "from"]
    norms = {row[0]: row[1] for row in rows if row[0] in ("normalisation", "used_with")}
    assert norms["normalisation"] == "mean [103.53, 116.28, 123.675] std [1, 1, 1] to_rgb False"
    assert [row[2] for row in rows if row[0] == "used_with"] == ["in 6 configs", "in 2 configs"]
    assert json.loads(zoo(capsys, "show", "torchvision://resnet50", "--json")[1])["backbone"]["date"]


def test_an_unknown_one(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = zoo(capsys, "show", "torchvision://resnet5")
    assert (code, out) == (2, "")
    assert "error[unknown-backbone]" in err
