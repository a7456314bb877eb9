"""Releases as deltas of older ones: laws, what stands in the files, what a broken one says; and which belong."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models.test_build import HOSTS, page, row, whl
from tests.support.modelsdb import document, model, models_db, write_index
from tests.support.server import Server
from zoo_cli.catalog.compiler.deltas import Document, digest_of, expanded, shortened, text_of
from zoo_cli.catalog.compiler.releases import read_project, read_releases
from zoo_cli.catalog.compiler.rows import BrokenRow
from zoo_cli.cli.app import run
from zoo_cli.models.indexfiles import current

NAMES = st.sampled_from(["a", "b", "c", "dd"])
PLACES = st.tuples(st.sampled_from(["x/metafile.yml", "y/metafile.yml"]), st.integers(1, 60))
RECORDS = st.lists(st.tuples(NAMES, PLACES, st.integers(0, 2)), max_size=8)


def whole(version: str, rows: list[tuple[str, tuple[str, int], int]]) -> Document:
    """A document as the builder sorts it: each row is a collection, an issue and an entry."""
    made = document(version)
    ordinals: dict[str, int] = {}
    for name, (path, line), what in rows:
        at = f"{path}:{line}"
        ordinals[name] = ordinals.get(name, 0) + 1
        number = {"ordinal": ordinals[name]} if ordinals[name] > 1 else {}
        made["models"].append({"name": name, **number, "at": at, "config_state": "none", "readme": f"r{what}"})
        made["collections"].append({"name": name, "at": at, "readme": f"c{what}"})
        made["issues"].append({"kind": "odd-key", "at": at, "subject": name, "detail": f"d{what}"})
    made["collections"].sort(key=lambda each: (each["name"], each["at"]))
    made["models"].sort(key=lambda each: (each["name"], each.get("ordinal", 1)))
    made["issues"].sort(key=lambda each: (each["at"].split(":")[0], int(each["at"].split(":")[1]), each["kind"],
                                          each["detail"], each["subject"]))  # fmt: skip
    return made


@given(RECORDS, RECORDS)
def test_a_delta_gives_the_release_again(before: list[Any], now: list[Any]) -> None:
    base, release = whole("1.0", before), whole("1.1", now)
    delta = shortened(release, base)
    assert len(text_of(delta)) <= len(text_of(release))
    assert (expanded(delta, base) if "like" in delta else delta) == release
    assert json.loads(text_of(delta)) == delta


def versions() -> tuple[Document, Document]:
    """A release, and the next: one entry is new, one gone, one has another checkpoint; the others moved by three."""
    u = "https://x.example/"
    rows = [model(f"m{number:02}", f"{u}{number}.pth", at=f"x/metafile.yml:{number * 10}") for number in range(1, 9)]
    base = document("1.0", models=rows, issues=[
        {"kind": "odd-key", "at": "x/metafile.yml:20", "subject": "m02", "detail": "one"},
        {"kind": "odd-key", "at": "x/metafile.yml:80", "subject": "m08", "detail": "two"}])  # fmt: skip
    now = copy.deepcopy(base)
    now["release"]["version"] = "1.1"
    now["release"]["file"] = "zoolet-1.1-py3-none-any.whl"
    for each in [*now["models"][4:], now["issues"][1]]:
        path, _, line = each["at"].rpartition(":")
        each["at"] = f"{path}:{int(line) + 3}"
    now["models"][1] = model("m02", f"{u}new.pth", at="x/metafile.yml:20")
    del now["models"][3]
    now["models"].append(model("m09", f"{u}9.pth", at="x/metafile.yml:93"))
    return base, now


def test_a_delta_says_what_is_new() -> None:
    base, now = versions()
    delta = shortened(now, base)
    assert delta["like"] == {"version": "1.0", "sha256": digest_of(base)}
    assert delta["moved"] == {"x/metafile.yml": [[50, 3]]}
    assert delta["without"] == {"models": ["m04"]}
    assert [each["name"] for each in delta["models"]] == ["m02", "m09"]
    assert (delta["collections"], delta["issues"]) == ([], [])
    assert text_of(delta).count("\n") == 17  # a record or metafile a line


def test_a_broken_delta_is_one_clear_error(tmp_path: Path) -> None:
    base, now = versions()
    delta = shortened(now, base)
    folder = write_index(tmp_path, base, delta) / "models/zoolet"
    assert [each.release["version"] for each in read_releases(tmp_path)] == ["1.0", "1.1"]
    assert read_project(folder)["1.1"] == now
    for change, problem in (
        ({"like": {"version": "0.9", "sha256": "0" * 64}}, "a delta of '0.9', which is not there"),
        ({"like": {"version": "1.1", "sha256": "0" * 64}}, "a delta of '1.1', which is not there"),
        ({"like": {"version": "1.0", "sha256": "0" * 64}}, "1.0 is another text now; build this release again"),
        ({"like": {"version": 1}}, "sha256 is missing"),
        ({"moved": {"x": [[1]]}}, "must have lists of [line, shift] by metafile"),
        ({"moved": {"x": [[1, 1e99]]}}, "must have lists of [line, shift] by metafile"),
        ({"moved": []}, "must have lists of [line, shift] by metafile"),
        ({"without": {"nothing": []}}, "unknown key nothing"),
    ):
        write_index(tmp_path, {**delta, **change})
        with pytest.raises(BrokenRow) as caught:
            list(read_releases(tmp_path))
        assert (caught.value.file, caught.value.problem) == ("models/zoolet/1.1.json", problem)
        assert current(tmp_path, "zoolet", "1.1") is None  # and is built again
        assert current(tmp_path, "zoolet", "1.0") == base


# -- the commands --------------------------------------------------------------------------------------------------


def entry(name: str, weights: str, remark: str = "") -> str:
    return f"- {{Name: {name}, Config: configs/{name}.py, Weights: 'https://x.example/{weights}.pth'{remark}}}\n"


MANY = "".join(entry(f"net{number}", f"net{number}") for number in range(20))
RELEASES = {
    "0.9": None,  # without a model index
    "1.0": MANY + entry("old", "a"),
    "1.1": MANY + entry("old", "a", ", README: r.md"),  # the same names and checkpoints as 1.2
    "1.2": MANY + entry("old", "a", ", README: s.md"),
    "2.0": MANY + entry("new", "a"),
    "2.1": MANY + entry("new", "b"),
}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty index beside a package index that has six releases, and one withdrawn."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ZOO_MIRRORS", str(tmp_path / "mirrors.yaml"))
    (tmp_path / "index").mkdir()
    with Server() as server:
        rules = [f"- {{from: '{host}', to: ['{server.url('')}'], order: instead}}\n" for host in HOSTS]
        (tmp_path / "mirrors.yaml").write_text("version: '1'\nmirrors:\n" + "".join(rules), encoding="utf-8")
        rows: list[dict[str, Any]] = []
        for version, models in RELEASES.items():
            tree = {"configs/net0.py": "x = 1\n"}
            if models is not None:
                tree |= {"model-index.yml": "Import:\n  - configs/metafile.yml\n"}
                tree |= {"configs/metafile.yml": "Models:\n" + models}
            name = f"zoolet-{version}-py3-none-any.whl"
            body = whl(tmp_path / version, tree, version)
            server.files[f"/packages/{name}"] = body
            rows.append(row(body, name))
        rows.append(row(b"", "zoolet-3.0-py3-none-any.whl", yanked="broken"))
        server.files["/simple/zoolet/"] = page(*rows)
        yield tmp_path / "index"


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_the_releases_that_belong(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["index", "releases", "zoolet", "--index", str(index)]
    assert run([*asked, "-q"]) == 1
    assert told(capsys).split() == ["zoolet==2.1", "zoolet==2.0", "zoolet==1.2"]
    assert run(["index", "build", "zoolet==2.1", "zoolet==1.2", "zoolet==1.0", "--index", str(index), "-q"]) == 0
    told(capsys)
    assert run([*asked, "--json"]) == 1
    rows = json.loads(told(capsys))["releases"]
    assert [(each["version"], each["models"], each["state"]) for each in rows] == [
        ("2.1", 21, "in the index"), ("2.0", 21, "missing"), ("1.2", 21, "in the index"),
        ("1.1", 21, "names and checkpoints of 1.2"), ("1.0", 21, "in the index, names and checkpoints of 1.2"),
        ("0.9", None, "no model index"),
    ]  # fmt: skip
    assert run(["index", "build", "zoolet==2.0", "--index", str(index), "-q"]) == 0
    told(capsys)
    assert run([*asked, "--missing"]) == 0
    assert told(capsys) == "package\trelease\tdate\tmodels\tstate\n"


def test_a_release_in_the_middle_is_linked(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """However the releases come in, the files are the same, and each says what is new in it."""
    folder = index / "models/zoolet"

    def like() -> dict[str, str | None]:
        texts = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
        return {version: text.get("like", {}).get("version") for version, text in texts.items()}

    for version in ("2.1", "1.2", "2.0"):
        assert run(["index", "build", f"zoolet=={version}", "--index", str(index), "-q"]) == 0
    assert like() == {"1.2": None, "2.0": "1.2", "2.1": "2.0"}
    written = {path.name: path.read_bytes() for path in folder.iterdir()}
    news = json.loads(written["2.0.json"])
    assert (news["without"], [each["name"] for each in news["models"]]) == (
        {"models": ["old"], "issues": ["config-missing in configs/metafile.yml: old: config configs/old.py is not in "
                                       "the release"]}, ["new"])  # fmt: skip
    with models_db(index) as connection:
        assert connection.execute("SELECT (SELECT count(*) FROM entry), (SELECT count(*) FROM model)").fetchone() == (
            63, 23)  # fmt: skip
    assert run(["index", "verify", "zoolet==2.0", "zoolet==2.1", "zoolet==1.2", "--index", str(index), "-q"]) == 0
    assert run(["index", "build", "zoolet==2.0", "--again", "--index", str(index), "-q"]) == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == written
    news["models"][0]["readme"] = "forged.md"
    (folder / "2.0.json").write_text(text_of(news), encoding="utf-8")
    capsys.readouterr()
    assert run(["index", "verify", "zoolet==2.0", "--index", str(index)]) == 1
    assert "zoolet==2.0\tdiffers" in told(capsys)
    assert run(["index", "build", "zoolet==2.0", "--again", "--index", str(index), "-q"]) == 0
    assert run(["index", "build", "zoolet==2.1", "--index", str(index), "-q"]) == 0  # was a delta of the forged one
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == written
