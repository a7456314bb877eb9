"""The compiler: the same bytes from the same sources, and one clear error for each way a row can be wrong."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.catalog.conftest import INDEX
from zoo_cli.catalog.compiler import SCHEMA_VERSION, BrokenRow, compile_index, digest_of
from zoo_cli.catalog.compiler.compat import NEEDED, load_compat
from zoo_cli.catalog.compiler.facts import load_gpus, load_projects, load_walls
from zoo_cli.catalog.compiler.frameworks import load_frameworks
from zoo_cli.catalog.compiler.ops import load_ops
from zoo_cli.catalog.compiler.rows import Row
from zoo_cli.catalog.compiler.sources import read_source
from zoo_cli.catalog.compiler.tables import Collector
from zoo_cli.catalog.compiler.torch import load_hashes, load_torch

ORIGINS = "origins: {o: {source: 'https://example.org', date: 2026-01-02, evidence: listed}}\n"


def source(tmp_path: Path, text: str) -> Row:
    path = tmp_path / "part.yaml"
    path.write_text(text, encoding="utf-8")
    return read_source(path, "compat/part.yaml")


class TestReproducible:
    def test_same_sources_same_bytes(self, compiled: Path, tmp_path: Path) -> None:
        """In another directory, with other file times and another order of creation."""
        (tmp_path / "index/models").mkdir(parents=True)
        (tmp_path / "index/compat").mkdir()
        for path in sorted((INDEX / "compat").iterdir(), reverse=True):
            shutil.copyfile(path, tmp_path / "index/compat" / path.name)
        compile_index(tmp_path / "index", tmp_path / "again.db")
        assert (tmp_path / "again.db").read_bytes() == compiled.read_bytes()

    def test_the_file_names_neither_the_time_nor_the_library(self, compiled: Path) -> None:
        assert compiled.read_bytes()[96:100] == bytes(4)
        with closing(sqlite3.connect(compiled)) as connection:
            meta = dict(connection.execute("SELECT key, value FROM meta"))
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)
        assert meta == {
            "index_date": "2026-11-23",
            "schema": str(SCHEMA_VERSION),
            "sources": digest_of(compiled.parent / "index"),
        }

    def test_a_failed_compilation_leaves_the_old_file_and_nothing_else(self, compiled: Path, tmp_path: Path) -> None:
        shutil.copytree(compiled.parent / "index", tmp_path / "index")
        target = tmp_path / "out" / "zoo.db"
        target.parent.mkdir()
        target.write_bytes(b"old")
        walls = tmp_path / "index/compat/walls.yaml"
        walls.write_text(walls.read_text(encoding="utf-8").replace("severity: breaks,", "severity: bad,", 1), "utf-8")
        with pytest.raises(BrokenRow) as caught:
            compile_index(tmp_path / "index", target)
        assert caught.value.file == "compat/walls.yaml"
        assert caught.value.row == "walls: mmengine-pkg-resources"
        assert target.read_bytes() == b"old"
        assert list(target.parent.iterdir()) == [target]

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        row = source(tmp_path, "schema: 1\n")
        with pytest.raises(BrokenRow, match="the file is missing"):
            load_compat({name: row for name in NEEDED if name != "walls"})


class TestYaml:
    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("a: 1\na: 2\n", "key a stands twice"),
            ("a: [1, 2\n", "no YAML"),
            ("- 1\n- 2\n", "must be a mapping"),
            ("", "must be a mapping"),
            ("a: &x [1]\nb: *x\n", "aliases"),
            ("a: " + "[" * 50 + "]" * 50 + "\n", "nested deeper"),
            ("a: " + "[" * 1_000_000, "nested deeper"),
            ("? [1]\n: 2\n", "keys must be plain"),
            ("a: 1\n---\nb: 2\n", "one document"),
            ("a: !!python/object:os.system 1\n", None),
        ],
    )
    def test_only_plain_mappings(self, tmp_path: Path, text: str, problem: str | None) -> None:
        if problem is None:  # a tag is text like any other: nothing is constructed
            assert source(tmp_path, text).text("a") == "1"
            return
        with pytest.raises(BrokenRow, match=problem):
            source(tmp_path, text)

    def test_bytes_that_are_no_text(self, tmp_path: Path) -> None:
        path = tmp_path / "part.yaml"
        path.write_bytes(b"a: \xff\xfe\x00")
        with pytest.raises(BrokenRow, match="no YAML"):
            read_source(path, "compat/part.yaml")

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(BrokenRow, match="cannot be read"):
            read_source(tmp_path / "none.yaml", "compat/none.yaml")

    def test_numbers_stay_text(self, tmp_path: Path) -> None:
        assert source(tmp_path, "torch: 1.10\n").text("torch") == "1.10"

    def test_the_line_of_a_row_is_told(self, tmp_path: Path) -> None:
        text = "walls:\n- {id: a}\n\n- {id: b, colour: red}\n"
        rows = source(tmp_path, text).rows("walls")
        with pytest.raises(BrokenRow) as caught:
            for row in rows:
                row.text("id")
        assert (caught.value.file, caught.value.line, caught.value.row) == ("compat/part.yaml", 4, "walls: b")
        assert caught.value.problem == "unknown key colour"


WALL = "{id: w, affects: {torch: '<2'}, needs: {numpy: '<2'}, severity: breaks, fact: because, origin: o}"


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("severity: breaks", "severity: maybe", "none of breaks, some"),
        ("fact: because", "fact: ''", "fact is empty"),
        ("fact: because, ", "", "fact is missing"),
        ("origin: o", "origin: p", "no origin is named p"),
        (", origin: o", "", "no origin"),
        ("'<2'}, needs", "'two'}, needs", "no version specifier"),
        ("affects: {torch: '<2'}", "affects: {}", "affects and needs"),
        ("origin: o", "origin: o, platforms: [amiga]", "platforms"),
        ("origin: o", "origin: o, python: '3.10'", "no version specifier"),
        ("origin: o", "origin: o, colour: red", "unknown key colour"),
        ("origin: o", "origin: {source: here, date: 2026-13-01, evidence: seen}", "date"),
        ("origin: o", "origin: {source: here, date: yesterday, evidence: seen}", "date"),
        ("origin: o", "origin: {source: here, evidence: seen}", "date is missing"),
        ("origin: o", "origin: {date: 2026-01-01, evidence: seen}", "source is missing"),
        ("origin: o", "origin: {source: here, date: 2026-01-01, evidence: guessed}", "none of seen"),
        ("id: w", "id: [w]", "id must be one value"),
    ],
)
def test_a_wall_that_is_wrong(tmp_path: Path, before: str, after: str, problem: str) -> None:
    text = ORIGINS + f"walls:\n- {WALL}\n"
    load_walls(source(tmp_path, text), Collector())
    changed = text.replace(before, after)
    assert changed != text
    with pytest.raises(BrokenRow, match=problem):
        load_walls(source(tmp_path, changed), Collector())


def test_a_row_that_stands_twice_names_both_lines(tmp_path: Path) -> None:
    with pytest.raises(BrokenRow, match=r"says again what compat/part.yaml:3 says") as caught:
        load_walls(source(tmp_path, ORIGINS + f"walls:\n- {WALL}\n- {WALL}\n"), Collector())
    assert caught.value.line == 4


OPS = (
    ORIGINS
    + """provider: us
releases: {mmcv: ["1.0", "1.1", "1.2", "1.10"]}
layouts:
- {id: plain, page: "https://e.org/{variant}/{torch}/", file: "https://e.org/{name}-{version}-{python}-{platform_tag}.whl",
   platform_tags: {linux_x86_64: linux_x86_64}, origin: o}
python_tags:
- {project: mmcv, torch: "2.0", platform: linux_x86_64, tags: [cp38, cp39], origin: o}
wheels:
- {project: mmcv, platform: linux_x86_64, torch: "2.0", variant: cu118, versions: ["1.0 .. 1.10"], origin: o}
seen:
- {project: mmcv, platform: linux_x86_64, torch: "2.0", variant: cu118, version: "1.2", tags: [cp310],
   origin: {source: page, date: 2026-01-02, evidence: seen}}
"""
)


def ops_rows(tmp_path: Path, text: str) -> list[tuple[object, ...]]:
    collector = Collector()
    load_ops(source(tmp_path, text), collector, {"mmcv": "mmcv"})
    return dict(collector.tables())["ops_wheels"]  # type: ignore[return-value]


class TestOps:
    def test_ranges_follow_the_releases(self, tmp_path: Path) -> None:
        rows = ops_rows(tmp_path, OPS)
        assert [row[4] for row in rows] == ["1.0", "1.1", "1.2", "1.10"]
        assert [row[7] for row in rows][1:3] == ["cp38=1 cp39=1", "cp38=1 cp39=1 cp310=2"]
        assert {row[9] for row in rows} == {"https://e.org/cu118/2.0/"}

    @pytest.mark.parametrize(
        ("before", "after", "problem"),
        [
            ('"1.0 .. 1.10"', '"1.10 .. 1.0"', "runs backwards"),
            ('"1.0 .. 1.10"', '"1.0 .. 1.3"', "1.3 is not among the releases"),
            ('"1.0 .. 1.10"', '"1.0 .. 1.2", "1.1"', "versions holds a version twice"),
            ('torch: "2.0", variant', 'torch: "2.1", variant', "no Python tags for torch 2.1"),
            ("tags: [cp310]", "tags: [310]", "wrong form"),
            ('version: "1.2"', 'version: "1.3"', "no row of `wheels` or `extra` has this file"),
            ("{name}-{version}", "{name}-{release}", "a place nothing fills"),
            ("origin: o}\nseen", "origin: o, layout: other}\nseen", "no layout is named other"),
            ("platform: linux_x86_64, torch", "platform: linux, torch", "none of linux_x86_64"),
            ("project: mmcv, platform", "project: mmcw, platform", "not among the releases"),
            ("provider: us\n", "", "provider is missing"),
            ('"1.10"]', '"1.10", "1.1"]', "holds a value twice"),
            ('"1.10"]', '"one"]', "no version"),
            ("https://e.org/{variant}", "http://e.org/{variant}", "wrong form"),
        ],
    )
    def test_a_row_that_is_wrong(self, tmp_path: Path, before: str, after: str, problem: str) -> None:
        changed = OPS.replace(before, after, 1)
        assert changed != OPS
        with pytest.raises(BrokenRow, match=problem):
            ops_rows(tmp_path, changed)

    def test_a_project_nobody_described(self, tmp_path: Path) -> None:
        with pytest.raises(BrokenRow, match=r"projects.yaml knows no mmcv"):
            load_ops(source(tmp_path, OPS), Collector(), {})


TORCH = (
    ORIGINS
    + """files:
- {torch: "<3", platforms: [linux_x86_64], index: "https://e.org/{variant}", kind: simple, local: "+{variant}",
   file: "https://e.org/torch-{version}-{python}.whl", platform_tag: linux_x86_64, glibc: "2.17", origin: o}
releases:
- version: "2.1.0"
  released: 2023-10-04
  requires_python: ">=3.8"
  origin: o
  python: {linux_x86_64: [cp310]}
  pypi: {linux_x86_64: cu121}
  torchvision: "0.16.0"
  variants:
  - {variant: cu121, platforms: [linux_x86_64], targets: {linux_x86_64: {code: ["8.6", "9.0+PTX"], origin: o}}}
"""
)


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("platforms: [linux_x86_64], targets", "platforms: [win_amd64], targets", "no Python tags for win_amd64"),
        ('torch: "<3"', 'torch: "<2"', "no rule of `files` fits 2.1.0"),
        ('"8.6"', '"sm_86"', "wrong form"),
        ("released: 2023-10-04", "released: 4 October 2023", "wrong form"),
        ('">=3.8"', '"3.8 or newer"', "no version specifier"),
        ("kind: simple", "kind: page", "none of simple, find-links"),
        ('version: "2.1.0"', 'version: "2.1.x"', "no version"),
        ("linux_x86_64: [cp310]", "amiga: [cp310]", "unknown key amiga"),
        ('  torchvision: "0.16.0"\n', "", "torchvision is missing"),
    ],
)
def test_a_torch_release_that_is_wrong(tmp_path: Path, before: str, after: str, problem: str) -> None:
    load_torch(source(tmp_path, TORCH), Collector())
    changed = TORCH.replace(before, after, 1)
    assert changed != TORCH
    with pytest.raises(BrokenRow, match=problem):
        load_torch(source(tmp_path, changed), Collector())


@pytest.mark.parametrize("digest", ["0" * 63, "0" * 65, "Z" * 64, "sha256:" + "0" * 57])
def test_a_digest_that_is_none(tmp_path: Path, digest: str) -> None:
    text = (
        ORIGINS
        + f"pypi_origin: o\nfiles:\n- {{url: 'https://e.org/a.whl', sha256: '{digest}', origin: o}}\npypi: {{}}\n"
    )
    with pytest.raises(BrokenRow, match="wrong form"):
        load_hashes(source(tmp_path, text), Collector())


def test_a_framework_release_that_is_wrong(tmp_path: Path) -> None:
    row = "{version: '1.0', released: 2020-01-01, declared: {mmcv: '>=1'}}"
    group = "{project: mmdet, origin: {source: here, date: 2026-01-01, evidence: seen}, releases: [ROWS]}"
    text = f"projects:\n- {group}\n"
    known = {"mmdet": ("mmdet", "openmmlab"), "mmcv": ("mmcv", "openmmlab")}
    load_frameworks(source(tmp_path, text.replace("ROWS", row)), Collector(), known)
    for rows, problem in [
        (f"{row}, {row}", "says again"),
        (row.replace("mmcv", "mmcw"), "knows no mmcw"),
        (row.replace(">=1", "new"), "no version specifier"),
        (row.replace("declared", "needs"), "unknown key needs"),
        (row.replace("'1.0'", "'1.0.'"), "no version"),
    ]:
        with pytest.raises(BrokenRow, match=problem):
            load_frameworks(source(tmp_path, text.replace("ROWS", rows)), Collector(), known)


def test_projects_and_gpus_that_stand_twice(tmp_path: Path) -> None:
    gpus = ORIGINS + "gpus:\n- {capability: '8.6', architecture: Ampere, names: [A10], origin: o}\n"
    more = gpus + "- {capability: '8.0', architecture: Ampere, names: [A10], origin: o}\n"
    load_gpus(source(tmp_path, gpus), Collector())
    with pytest.raises(BrokenRow, match="says again"):
        load_gpus(source(tmp_path, more), Collector())
    head = (
        ORIGINS + "providers:\n- {id: us, kind: official, title: Us, urls: ['https://e.org/'], origin: o}\nprojects:\n"
    )
    row = "- {name: NAME, import_name: mmcv, provider: us, kind: ops, aliases: [cv], origin: o}\n"
    with pytest.raises(BrokenRow, match=r"says again .* \(cv\)"):
        load_projects(source(tmp_path, head + row.replace("NAME", "a") + row.replace("NAME", "b")), Collector())
    with pytest.raises(BrokenRow, match="no provider is named them"):
        load_projects(source(tmp_path, head + row.replace("us,", "them,")), Collector())


@given(
    st.lists(
        st.recursive(
            st.text(max_size=8),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
            max_leaves=6,
        ),
        max_size=3,
    )
)
def test_whatever_stands_in_a_section_it_is_a_row_or_a_broken_row(
    tmp_path_factory: pytest.TempPathFactory, found: object
) -> None:
    """Random nests of text, lists and mappings never escape as another error."""
    import json

    directory = tmp_path_factory.getbasetemp()
    for load in (load_walls, load_gpus):
        section = "walls" if load is load_walls else "gpus"
        text = json.dumps({"origins": {}, section: found})
        try:
            load(source(directory, text), Collector())
        except BrokenRow as broken:
            assert broken.file == "compat/part.yaml"
        else:
            assert found == []
