"""`zoo explain` and `zoo matrix`: every reason with its source, the wish that decided, the table of wheels."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Ran
from zoo_cli.cli.app import run

MACHINE = ("--machine", "gpu=RTX 3090,driver=535.183.01,python=3.10")


def run_zoo(*words: str) -> Ran:
    """One command in this process: many questions, one start."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(words)
    return Ran(code, out.getvalue(), err.getvalue())


def document(*words: str) -> dict[str, Any]:
    result = run_zoo(*words, "--json")
    assert result.code == 0, result.err
    return result.document


@cache
def explained() -> dict[str, Any]:
    return document("explain", "mmdet", *MACHINE)


class TestExplain:
    def test_each_version_has_a_reason_a_source_and_a_day(self) -> None:
        answer = explained()
        chosen = {pin["name"]: pin for pin in answer["chosen"]}
        assert chosen["torch"]["because"] == "newest torch with mmcv wheels that the rest accepts"
        assert set(chosen) == {"torch", "mmcv", "mmengine", "mmdet"}
        assert all(pin["source"] and pin["date"] for pin in chosen.values())

    def test_every_newer_torch_is_refused_with_facts(self) -> None:
        answer = explained()
        refused = [each for each in answer["not_taken"] if each["name"] == "torch"]
        versions = [version for each in refused for version in each["versions"]]
        assert (versions[0], versions[-1]) == ("2.15.0", "2.2.0")
        assert len(versions) == len(set(versions)) == 23
        assert all(each["reasons"] for each in refused)

    def test_facts_name_their_source(self) -> None:
        answer = explained()
        (mmcv,) = [each for each in answer["not_taken"] if each["name"] == "mmcv"]
        (reason,) = mmcv["reasons"]
        assert reason["fact"] == "mmdet 3.3.0 refuses mmcv outside >=2.0.0rc4,<2.2.0 when imported"
        assert reason["source"] == "https://pypi.org/project/mmdet/3.3.0/"

    def test_what_a_needed_framework_refuses_is_said_of_that_one(self) -> None:
        answer = document("explain", "mmpose", *MACHINE)
        facts = {each["name"]: [reason["fact"] for reason in each["reasons"]] for each in answer["not_taken"]}
        assert facts["mmcv"] == ["mmdet 3.2.0 refuses mmcv outside >=2.0.0rc4,<2.2.0 when imported"]
        assert facts["mmdet"] == ["mmpose 1.3.2 declares mmdet >=3.0.0,<3.3.0"]

    def test_for_people(self) -> None:
        result = run_zoo("explain", "mmdet", *MACHINE)
        assert "  torch 2.15.0 ... 2.5.0 (16 releases)\n    official mmcv wheels reach to torch 2.4" in result.out

    def test_without_a_plan_every_torch_is_refused_and_the_refusal_follows(self) -> None:
        result = run_zoo("explain", "mmdet", "--machine", "gpu=RTX 5090,driver=570.124.06,python=3.12")
        assert result.code == 3
        assert "torch 2.15.0 ... 1.5.0 (46 releases)" in result.out
        assert "error[no-solution]" in result.err


class TestWhyNot:
    def test_what_is_impossible_has_a_conflict_and_ways_that_keep_the_question(self) -> None:
        answer = document("explain", "mmdet", *MACHINE, "--why-not", "torch==2.6")
        assert answer["possible"] is False
        assert set(answer["conflict"]) >= {"torch", "wheels"}
        builds = [way["command"] for way in answer["ways_out"] if "--build mmcv" in (way["command"] or "")]
        assert len(builds) == 1
        assert "'torch==2.6.*'" in builds[0]

    def test_what_is_possible_names_the_wish_that_decided(self) -> None:
        answer = document("explain", "mmdet", *MACHINE, "--why-not", "cu118")
        assert (answer["possible"], answer["behind_in"]) == (True, "cuda")
        assert (answer["chosen"], answer["instead"]) == ("2.1.2+cu121", "2.1.2+cu118")

    def test_an_older_release_is_possible_and_behind(self) -> None:
        answer = document("explain", "mmdet", *MACHINE, "--why-not", "mmdet==3.2.0")
        assert (answer["behind_in"], answer["chosen"], answer["instead"]) == ("mmdet", "3.3.0", "3.2.0")

    def test_another_python(self) -> None:
        answer = document("explain", "mmdet", *MACHINE, "--why-not", "python==3.12")
        assert answer["possible"] is False
        assert any(way["command"] and "python=3.11" in way["command"] for way in answer["ways_out"])

    def test_what_is_chosen(self) -> None:
        assert document("explain", "mmdet", *MACHINE, "--why-not", "torch==2.1")["behind_in"] is None

    def test_nonsense_is_an_error(self) -> None:
        assert run_zoo("explain", "mmdet", *MACHINE, "--why-not", "no such thing").code == 2


class TestMatrix:
    def test_every_wheel_with_its_source(self) -> None:
        answer = document("matrix", "mmcv", "--python", "3.12")
        assert {wheel["torch"] for wheel in answer["wheels"]} == {"2.2", "2.3", "2.4"}
        assert all(each["source"] and each["date"] for wheel in answer["wheels"] for each in wheel["wheels"])
        assert answer["other_providers"] == ["astral", "biubushy", "comfy-forge", "miropsota", "neara-ai"]

    def test_the_table_in_a_pipe(self) -> None:
        lines = run_zoo("matrix", "mmcv").out.splitlines()
        table = {line.split("\t")[0]: line.split("\t") for line in lines}
        assert table["torch"][:3] == ["torch", "python", "cpu"]
        assert table["2.4"][1] == "3.8-3.12"
        assert table["2.4"][table["torch"].index("cu121")] == "2.2.0"
        assert table["1.5"][table["torch"].index("cu102")] == "2.0.0rc3?"
        assert table["2.4"][table["torch"].index("cu102")] == "-"

    def test_what_is_not_there_is_said(self) -> None:
        result = run_zoo("matrix", "mmcv", "--platform", "linux_aarch64")
        assert (result.code, result.out) == (0, "")
        assert "No wheels of mmcv for linux_aarch64" in result.err

    def test_frameworks_have_none(self) -> None:
        result = run_zoo("matrix", "mmdet")
        assert result.code == 2
        assert "no compiled ops" in result.err

    @pytest.mark.parametrize("form", ["svg", "png"])
    def test_the_picture(self, tmp_path: Path, form: str) -> None:
        path = tmp_path / f"mmcv.{form}"
        assert run_zoo("matrix", "mmcv", "--plot", str(path)).code == 0
        assert path.stat().st_size > 5000
        if form == "svg":
            assert path.read_text(encoding="utf-8").count("2.2.0") > 0
