"""docs/signing.md as its readers type it: every marked block is run, in the page's order of work."""

from __future__ import annotations

import io
import re
import shlex
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from tests.support.cli import Ran
from tests.support.signed import database
from tests.updates.test_labs import NET, NET_FILE, lab_document
from zoo_cli.cli.app import run

PAGE = Path(__file__).parent.parent.parent / "docs" / "signing.md"
DATE = "2099-01-01"  # newer than the index of the checkout
_BLOCK = re.compile(r"<!-- run: (.+?) -->\n\n((?:    .*\n|\n)+)")


def blocks() -> dict[str, list[str]]:
    """The commands of each marked block; a backslash goes on in the next line."""
    found = {}
    for name, text in _BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        lines = re.sub(r"\\\n\s*", "", text).splitlines()
        found[name] = [line.strip() for line in lines if line.strip()]
    return found


def typed(command: str) -> Ran:
    """A command of the page, in this process: a child for each would cost a second."""
    program, *words = shlex.split(command)
    assert program == "zoo", command
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(words)
    assert code == 0, f"{command}\n{err.getvalue()}"
    return Ran(code, out.getvalue(), err.getvalue())


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, part in (("ZOO_STATE", "state"), ("ZOO_CACHE", "cache"), ("XDG_CONFIG_HOME", "config")):
        monkeypatch.setenv(name, str(tmp_path / part))
    monkeypatch.setenv("ZOO_SIGNING_PASSPHRASE", "correct horse battery staple")
    monkeypatch.delenv("ZOO_INDEX", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_has_these_blocks() -> None:
    assert list(blocks()) == ["lab", "lab user", "ceremony", "regular work", "a stolen online key"]


def test_the_ceremony_the_regular_work_and_a_stolen_key(desk: Path) -> None:
    address = (desk / "repository").as_uri()
    database(desk / "zoo.db", DATE)
    versions = []
    for name in ("ceremony", "regular work", "a stolen online key"):
        for command in blocks()[name]:
            typed(command)
        if name == "ceremony":
            typed(f"zoo index trust add zoo repository/metadata/1.root.json --from {address} --yes")
        typed("zoo index update")
        status = typed("zoo index status --json").document
        versions.append(status["roots"][0]["versions"])
        assert status["index"] == DATE
    assert versions == [
        "root=1 snapshot=1 targets=1 timestamp=1",
        "root=2 snapshot=2 targets=2 timestamp=4",
        "root=3 snapshot=3 targets=2 timestamp=5",
    ]
    assert not list((desk / "repository" / "staged").iterdir())


def test_a_lab_publishes_and_its_user_reads(desk: Path) -> None:
    _document, wheel = lab_document(desk / "made")
    (desk / wheel.name).write_bytes(wheel.read_bytes())
    (desk / "checkpoints").mkdir()
    (desk / "checkpoints" / NET_FILE).write_bytes(NET)
    for command in blocks()["lab"]:
        typed(command)
    *others, listed = blocks()["lab user"]
    for command in others:  # the copy on the lab's host is the directory itself here
        typed(command.replace("https://zoo.acme.example/index", (desk / "acme-index").as_uri()))
    assert typed(listed).out.split() == ["acme_net", "net_r50"]
    (root,) = typed("zoo index status --json").document["roots"]
    assert (root["name"], root["namespace"], root["state"], root["index"]) == ("acme", "acme", "used", "2026-11-20")
