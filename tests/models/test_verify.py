"""`zoo index verify`: the committed document against the release, and figures against those counted elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.models.test_build import Site, site  # noqa: F401 (a fixture)
from tests.support.modelsdb import INDEX
from zoo_cli.cli.app import run
from zoo_cli.models.figures import COLUMNS, BadExpectation, compare, read_expectation
from zoo_cli.models.indexfiles import current, read_expected
from zoo_cli.models.safe_yaml import read_yaml

FIGURES = "[1, 2, 2, 2, 1, 1, 2, 2, 1, 0]"  # of the site's release: net_r101 does not stand where it should


def expectation(figures: str = FIGURES, differences: str = "[]") -> str:
    return (
        f"schema: 1\nsource: counted by hand\ndate: 2026-11-23\ncolumns: [{', '.join(COLUMNS)}]\n"
        f"releases:\n  zoolet==1.0: {figures}\ndifferences: {differences}\n"
    )


def verify(site: Site, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:  # noqa: F811
    capsys.readouterr()
    code = run(["index", "verify", *arguments, "--index", str(site.index), "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def built(site: Site) -> Site:  # noqa: F811
    assert site.build("zoolet==1.0", "-q") == 0
    (site.index / "expected").mkdir()
    (site.index / "expected/openmmlab.yaml").write_text(expectation(), encoding="utf-8")
    return site


def test_the_same_release_gives_the_same_bytes_and_figures(built: Site, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = verify(built, capsys)
    (release,) = document["releases"]
    assert (code, document["ok"], release["document"]) == (0, True, "same bytes")
    assert list(release["figures"].values()) == json.loads(FIGURES)
    assert (release["repaired"], release["missing"], release["differences"]) == (1, 0, [])
    assert document["expected"]["source"] == "counted by hand"


def test_a_changed_document_is_told(built: Site, capsys: pytest.CaptureFixture[str]) -> None:
    text = built.document.read_text(encoding="utf-8").replace("40.9", "49.9")
    built.document.write_text(text, encoding="utf-8")
    code, document = verify(built, capsys, "zoolet==1.0")
    assert (code, document["ok"], document["releases"][0]["document"]) == (1, False, "differs")
    assert document["releases"][0]["changed"] == ["net_r50"]
    assert built.document.read_text(encoding="utf-8") == text  # it only looks
    built.document.unlink()
    assert verify(built, capsys)[1]["releases"][0]["document"] == "not in the index"


def test_a_difference_needs_an_explanation_that_fits(built: Site, capsys: pytest.CaptureFixture[str]) -> None:
    file = built.index / "mine.yaml"
    other = FIGURES.replace("[1, 2", "[1, 3")
    file.write_text(expectation(other), encoding="utf-8")
    code, document = verify(built, capsys, "--expected", str(file))
    assert (code, document["releases"][0]["differences"]) == (
        1, [{"column": "models", "expected": 3, "found": 2, "kind": "", "reason": ""}])  # fmt: skip
    why = "[{release: zoolet==1.0, column: models, expected: 3, found: 2, kind: miscounted, reason: 'one was twice'}]"
    file.write_text(expectation(other, why), encoding="utf-8")
    assert verify(built, capsys, "--expected", str(file))[0] == 0
    file.write_text(expectation(FIGURES, why), encoding="utf-8")  # nothing to explain
    assert verify(built, capsys, "--expected", str(file))[0] == 1


def test_as_a_table(built: Site, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["index", "verify", "--index", str(built.index)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("\t")[:3] == ["release", "document", "collections"]
    assert lines[1] == "zoolet==1.0\tsame bytes\t1\t2\t2\t2\t1\t1\t2\t2\t1\t0\t1\t0\tas expected"


def test_a_release_that_is_gone_does_not_hide_the_others(built: Site, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = verify(built, capsys, "zoolet==9.9", "zoolet==1.0")
    assert code == 2
    assert [each["ok"] for each in document["releases"]] == [False, True]
    assert document["releases"][0]["error"]["code"] == "no-release"


@pytest.mark.parametrize(
    "text",
    ["[]", "schema: 2", "{", expectation("[1, 2]"), expectation("[a, b, c, d, e, f, g, h, i, j]"), expectation("7"),
     expectation(differences="[{release: x}]"), expectation(differences="[7]"), expectation(differences="soon")],
)  # fmt: skip
def test_a_bad_expectation_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "e.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(BadExpectation):
        read_expected(tmp_path / "e.yaml")


def test_no_such_expectation(built: Site, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = verify(built, capsys, "--expected", str(built.index / "none.yaml"))
    assert (code, document["error"]["code"]) == (2, "bad-expectation")
    (built.index / "expected/openmmlab.yaml").unlink()
    assert verify(built, capsys, "zoolet==1.0")[0] == 0  # bytes alone
    code, document = verify(built, capsys)  # and without a name all that stand in the index
    assert (code, [each["version"] for each in document["releases"]]) == (0, ["1.0"])
    (built.index / "models/zoolet/1.0.json").unlink()
    assert run(["index", "verify", "--index", str(built.index)]) == 2
    assert "Name a release" in capsys.readouterr().err


# -- the committed expectation ---------------------------------------------------------------------------------------


def test_every_expected_release_is_in_the_index_and_every_difference_explained() -> None:
    text = (INDEX / "expected/openmmlab.yaml").read_bytes()
    found = read_expectation(read_yaml(text).value, "openmmlab.yaml")
    assert len(found.releases) == 33
    assert sum(each["models"] for each in found.releases.values()) == 8560
    assert all(each.reason and each.expected != each.found for each in found.differences.values())
    for release in found.releases:
        project, version = release.split("==")
        rows = current(INDEX, project, version)
        assert rows is not None
        figures = dict(found.releases[release])
        figures["models"] = len(rows["models"])
        figures["collections"] = len(rows["collections"])
        figures["weights"] = sum("weights" in row for row in rows["models"])
        assert not [
            each for each in compare(release, figures, found)
            if not each.reason and (release, each.column) not in found.differences
        ]  # fmt: skip


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("release", ["mmdet==2.25.0", "mmgen==0.7.3", "mmrazor==1.0.0"])
def test_real_releases(
    release: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    assert run(["index", "verify", release, "--json"]) == 0, capsys.readouterr()
