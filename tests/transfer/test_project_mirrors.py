"""mirrors.yaml of the project in the working directory: it counts once it was accepted, until it changes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.server import Server
from zoo_cli.cli.app import run
from zoo_cli.transfer.mirrors import load_mirrors

UPSTREAM = "https://download.openmmlab.com"
URL = f"{UPSTREAM}/a.pth"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project directory, which is the working directory of a user with nothing of their own."""
    for name in ("ZOO_MIRRORS", "ZOO_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("CONFIG", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
        monkeypatch.delenv(f"ZOO_{name}", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def write(project: Path, to: str, more: str = "") -> Path:
    path = project / "mirrors.yaml"
    path.write_text(f"version: 1\nmirrors: [{{from: '{UPSTREAM}', to: '{to}', order: instead}}]\n{more}")
    return path


def addresses() -> tuple[str, ...]:
    return load_mirrors().addresses(URL, "checkpoints")


def test_a_file_that_is_only_there_changes_nothing_and_is_mentioned_once(
    project: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(project, "http://evil.example")
    assert addresses() == (URL,) and load_mirrors().unaccepted == str(path)
    for number in range(3):
        assert run(["fetch", server.url("/a.pth"), "-o", f"{number}.pth"]) == 0
        talk = capsys.readouterr().err
        assert (talk.count(f"{path} is not used") == 1) == (number == 0), talk
        assert "zoo mirror use --project" in talk or number
    path.write_text("version: [not, even, a file, of: zoo\n")  # it is not parsed
    assert addresses() == (URL,)
    assert run(["fetch", server.url("/b.pth")]) == 0
    assert "is not used" in capsys.readouterr().err  # other content is other news
    assert run(["mirror", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["project_not_used"] == str(path)


def test_what_was_accepted_counts_until_it_changes(
    project: Path, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(project, server.url("").rstrip("/"))
    assert run(["mirror", "use", "--project"]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{path}\n" and f"instead of the original: {UPSTREAM}={server.url('').rstrip('/')}" in shown.err
    assert addresses() == (server.url("/a.pth"),)
    assert run(["fetch", URL]) == 0 and "is not used" not in capsys.readouterr().err
    assert len(server.requests) == 1
    old = path.read_text()
    path.write_text(old + "# a later commit\n")
    assert addresses() == (URL,)
    path.write_text(old)  # back to what was accepted
    assert addresses() == (server.url("/a.pth"),)
    copied = tmp_path / "copied"
    copied.mkdir()
    os.chdir(copied)
    write(copied, server.url("").rstrip("/"))
    assert addresses() == (URL,)  # consent is to a path, too
    os.chdir(project)
    assert run(["mirror", "remove", "mirrors.yaml"]) == 0 and addresses() == (URL,)
    assert run(["mirror", "remove", "mirrors.yaml"]) == 2


def test_order_and_what_a_project_may_not_say(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project / "mirrors.yaml"
    path.write_text(f"version: 1\nmirrors: [{{from: '{UPSTREAM}', to: http://project}}]\nuse: [onedl-assets]\n")
    assert run(["mirror", "use", "--project"]) == 0
    assert run(["mirror", "add", f"{UPSTREAM}=http://mine"]) == 0
    found = load_mirrors([f"{UPSTREAM}=http://option"]).addresses(URL, "checkpoints")
    hosts = ("http://option", "http://project", "http://mine", "https://mmassets.onedl.ai", UPSTREAM)
    assert found == tuple(f"{host}/a.pth" for host in hosts)
    named = tmp_path / "named.yaml"
    named.write_text("version: 1\n")
    assert load_mirrors((), {**os.environ, "ZOO_MIRRORS": str(named)}).rules == ()  # that one alone
    capsys.readouterr()
    for key in (
        "headers: [{for: 'http://project', name: Authorization, from-environment: AWS_SECRET_ACCESS_KEY}]\n",
        "known: [{name: tuna-pypi, region: cn, from: 'https://pypi.org', to: 'http://project', source: me}]\n",
        "hosts: [{url: 'http://project', source: me}]\n",
    ):
        path.write_text(f"version: 1\n{key}")
        assert run(["mirror", "use", "--project"]) == 2
        assert "a project's file has none" in capsys.readouterr().err and "http://project" not in str(addresses())


def test_a_link_is_what_it_leads_to(project: Path, tmp_path: Path) -> None:
    good, evil = tmp_path / "good.yaml", tmp_path / "evil.yaml"
    for path, to in ((good, "http://good"), (evil, "http://evil")):
        path.write_text(f"version: 1\nmirrors: [{{from: '{UPSTREAM}', to: '{to}'}}]\n")
    (project / "mirrors.yaml").symlink_to(good)
    assert run(["mirror", "use", "--project"]) == 0 and addresses() == ("http://good/a.pth", URL)
    (project / "mirrors.yaml").unlink()
    (project / "mirrors.yaml").symlink_to(evil)
    assert addresses() == (URL,)


def test_ones_own_file_is_no_project(project: Path, tmp_path: Path) -> None:
    own = tmp_path / "CONFIG" / "zoo"
    own.mkdir(parents=True)
    write(own, "http://mine")
    os.chdir(own)
    assert load_mirrors().unaccepted == "" and addresses() == ("http://mine/a.pth",)


@pytest.mark.parametrize("words", [["--project"], ["--project", "tuna-pypi"]])
def test_nothing_to_accept(project: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert run(["mirror", "use", *words]) == 2
    told = capsys.readouterr().err
    assert (f"there is no mirrors.yaml in {project}" in told) == (len(words) == 1)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"x": 1}', "[" * 9999])
def test_a_damaged_record_of_consent_is_no_consent(project: Path, tmp_path: Path, text: str) -> None:
    write(project, "http://evil.example")
    state = tmp_path / "STATE" / "zoo"
    state.mkdir(parents=True)
    (state / "projects.json").write_text(text)
    assert addresses() == (URL,)
