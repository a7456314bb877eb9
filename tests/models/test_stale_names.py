"""Files that were published again under their old names: the index knows, and their names are not believed."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.models.site import CHECKPOINTS, NAME, Site, checkpoint
from tests.models.test_download import download
from zoo_cli.catalog.compiler import BrokenRow
from zoo_cli.catalog.compiler.extras import mark_stale
from zoo_cli.catalog.database import open_catalog
from zoo_cli.errors import ExitCode

AGAIN = checkpoint("published again")
DIGITS = hashlib.sha256(AGAIN).hexdigest()[:8]
SOURCE = "https://forge.example/issues/3273"


def _mark(site: Site, monkeypatch: pytest.MonkeyPatch, digits: str | None, file: str = NAME["net_r50"]) -> None:
    """Marks a file of the index, as `index/extras/stale_prefixes.yaml` does when it is compiled."""
    index = site.folder / "marked.db"
    shutil.copyfile(site.environ["ZOO_INDEX"], index)
    with closing(sqlite3.connect(index)) as connection:
        connection.execute("INSERT INTO origin VALUES (9999, ?, '2026-11-23', 'reported')", (SOURCE,))
        connection.execute("INSERT INTO stale_prefix VALUES (?, ?, 9999)", (f"{CHECKPOINTS}/zoo/{file}", digits))
        mark_stale(connection)
        connection.commit()
    monkeypatch.setenv("ZOO_INDEX", str(index))


def _serve_again(site: Site) -> None:
    site.server.files[site.path_of(NAME["net_r50"])] = AGAIN


def test_the_digits_that_are_known_are_compared(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _serve_again(site)
    assert download("net_r50", "--weights-only") == ExitCode.INTEGRITY  # the index does not know yet
    capsys.readouterr()
    _mark(site, monkeypatch, DIGITS)
    assert download("net_r50", "--weights-only") == 0
    told = capsys.readouterr().err
    assert f"the digits in its name are not the file's any more, compared with {DIGITS} instead ({SOURCE}" in told
    assert Path(NAME["net_r50"]).read_bytes() == AGAIN


def test_the_old_file_is_not_taken_for_the_new_one(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    _mark(site, monkeypatch, DIGITS)
    assert download("net_r50", "--weights-only") == ExitCode.INTEGRITY
    assert not Path(NAME["net_r50"]).exists()


def test_without_known_digits_there_is_no_evidence(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _serve_again(site)
    _mark(site, monkeypatch, None)
    assert download("net_r50", "--weights-only") == ExitCode.INTEGRITY
    assert "error[unverified]" in capsys.readouterr().err
    assert download("net_r50", "--weights-only", "--allow-unverified", "--json") == 0
    assert json.loads(capsys.readouterr().out)["models"][0]["checkpoints"][0]["evidence"] == "none"


def test_show_tells_where_it_is_known_from(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from zoo_cli.cli.app import run

    _mark(site, monkeypatch, DIGITS)
    assert run(["show", "net_r50"]) == 0
    shown = capsys.readouterr().out
    assert f"sha256 {DIGITS}" in shown
    assert f"its digits are not the file's any more\t{SOURCE}, 2026-11-23" in shown


def test_an_address_that_no_model_has_is_a_mistake(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BrokenRow):
        _mark(site, monkeypatch, None, "no-such-file.pth")


def test_the_index_marks_what_is_known() -> None:
    with closing(open_catalog()) as connection:
        query = "SELECT u.url, f.prefix FROM file f JOIN file_url u ON u.file = f.id WHERE f.prefix_state != 'unknown'"
        marked = connection.execute(query).fetchall()
    assert [(url.rpartition("/")[2][-25:], prefix) for url, prefix in marked] == [
        ("192-8edcf0d7_20230127.pth", "29dcacbb")
    ]
