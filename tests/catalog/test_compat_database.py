"""Opening the database: at once when it is there, compiled when a checkout needs it, a clear error when broken."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from zoo_cli.catalog.compat import read_matrix
from zoo_cli.catalog.compiler import BrokenRow
from zoo_cli.catalog.database import CatalogUnusable, index_date, open_catalog
from zoo_cli.cli.messages import message_for

ROOT = Path(__file__).parent.parent.parent


def test_it_cannot_be_written(catalog: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        catalog.execute("DELETE FROM wall")
    assert index_date(catalog) == "2026-11-23"


def test_opening_and_reading_imports_neither_yaml_nor_packaging(compiled: Path) -> None:
    """Counted in modules, not in seconds: this is what keeps the fast commands fast."""
    code = (
        "import sys; from pathlib import Path\n"
        "from zoo_cli.catalog.database import open_catalog\n"
        "from zoo_cli.catalog.compat import read_matrix\n"
        f"catalog = open_catalog(Path({str(compiled)!r}))\n"
        "matrix = read_matrix(catalog, 'linux_x86_64'); catalog.close()\n"
        "heavy = {'yaml', 'packaging', 'click', 'http', 'ssl', 'tempfile', 'zoo_cli.catalog.compiler'}\n"
        "print(len(matrix.torch), *sorted(heavy & set(sys.modules)))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["178"]


def test_equal_lists_are_parsed_once(catalog: sqlite3.Connection) -> None:
    ops = read_matrix(catalog, "linux_x86_64").ops
    assert len(ops) == 2471
    assert len({id(row.python_tags) for row in ops}) < 120
    assert len({id(row.origin) for row in ops}) < 40


def test_a_platform_without_facts_has_an_empty_matrix(catalog: sqlite3.Connection) -> None:
    matrix = read_matrix(catalog, "linux_riscv64")
    assert (matrix.torch, matrix.ops) == ((), ())
    assert matrix.frameworks


class TestDirectory:
    @pytest.fixture
    def index(self, compiled: Path, tmp_path: Path) -> Path:
        shutil.copytree(compiled.parent / "index", tmp_path / "index")
        return tmp_path / "index"

    def test_it_is_compiled_once_and_again_when_a_source_changes(self, index: Path, tmp_path: Path) -> None:
        environ = {"ZOO_INDEX": str(index), "ZOO_CACHE": str(tmp_path / "cache")}
        count = len(yaml.safe_load((index / "compat/walls.yaml").read_text(encoding="utf-8"))["walls"])
        with closing(open_catalog(environ=environ)) as first:
            assert first.execute("SELECT count(*) FROM wall").fetchone() == (count,)
        (database,) = (tmp_path / "cache").glob("*.db")
        written = database.stat()
        open_catalog(environ=environ).close()
        assert database.stat().st_mtime_ns == written.st_mtime_ns
        walls = index / "compat/walls.yaml"
        text = walls.read_text(encoding="utf-8")
        last = text.rindex("- {id: ") if text.rindex("- {id: ") > text.rindex("- id: ") else text.rindex("- id: ")
        walls.write_text(text[:last], encoding="utf-8")
        with closing(open_catalog(environ=environ)) as second:
            assert second.execute("SELECT count(*) FROM wall").fetchone() == (count - 1,)

    def test_a_broken_row_is_told_and_nothing_is_left(self, index: Path, tmp_path: Path) -> None:
        gpus = index / "compat/gpus.yaml"
        gpus.write_text(gpus.read_text(encoding="utf-8").replace('"8.6"', "sm_86"), encoding="utf-8")
        with pytest.raises(BrokenRow) as caught:
            open_catalog(index, {"ZOO_CACHE": str(tmp_path / "cache")})
        message = message_for(caught.value)
        assert message.what.startswith("the index has a broken row in index/compat/gpus.yaml, line ")
        assert list((tmp_path / "cache").iterdir()) == []

    @pytest.mark.skipif(os.name == "nt", reason="a file stands where the directory should be on every system")
    def test_a_cache_that_cannot_be_made(self, index: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("", encoding="ascii")
        with pytest.raises(CatalogUnusable, match="cannot be written") as caught:
            open_catalog(index, {"ZOO_CACHE": str(tmp_path / "file" / "cache")})
        assert message_for(caught.value).ways_out[0].command == "export ZOO_CACHE=$HOME/zoo-cache"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "there is no such file"),
        (b"", "its tables are version 0"),
        (b"not a database at all, but long enough to have a header of a hundred bytes " * 4, "it is damaged"),
    ],
)
def test_a_file_that_is_no_database(tmp_path: Path, content: bytes | None, problem: str) -> None:
    path = tmp_path / "zoo.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CatalogUnusable) as caught:
        open_catalog(environ={"ZOO_INDEX": str(path)})
    assert problem in caught.value.problem
    message = message_for(caught.value)
    assert str(path) in message.facts
    assert message.ways_out[0].command == "unset ZOO_INDEX"
    with pytest.raises(CatalogUnusable) as given:
        open_catalog(path)
    assert "-m pip install --force-reinstall" in (message_for(given.value).ways_out[0].command or "")


def test_a_database_cut_short(compiled: Path, tmp_path: Path) -> None:
    path = tmp_path / "zoo.db"
    path.write_bytes(compiled.read_bytes()[:4096])
    with pytest.raises(CatalogUnusable, match="damaged"):
        open_catalog(path)
