"""mirrors.yaml of the project in the working directory: it counts once it was accepted, until it changes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import Server
from zoo_cli.cli.app import run
from zoo_cli.transfer.mirrors import bundled_file, load_mirrors

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


def below(project: Path, *names: str) -> Path:
    """A directory in the project, which becomes the working directory."""
    place = project.joinpath(*names)
    place.mkdir(parents=True, exist_ok=True)
    os.chdir(place)
    return place


@pytest.mark.parametrize("mark", [".git", "pyproject.toml"])
def test_a_directory_of_a_project_has_its_file(
    project: Path, server: Server, capsys: pytest.CaptureFixture[str], mark: str
) -> None:
    path = write(project, "http://lab.example")
    below(project, "configs", "mine")
    assert addresses() == (URL,) and not load_mirrors().unaccepted  # nothing says that this is one project
    (project / mark).touch()
    assert load_mirrors().unaccepted == str(path)
    assert run(["fetch", server.url("/a.pth")]) == 0 and f"{path} is not used" in capsys.readouterr().err
    assert run(["mirror", "use", "--project"]) == 0 and capsys.readouterr().out == f"{path}\n"
    assert addresses() == ("http://lab.example/a.pth",)
    os.chdir(project)
    assert addresses() == ("http://lab.example/a.pth",)
    write(below(project, "configs"), "http://nearer.example")  # another file, which nobody has seen
    assert addresses() == (URL,) and load_mirrors().unaccepted == str(project / "configs" / "mirrors.yaml")


@pytest.mark.parametrize("mark", [".git", "pyproject.toml"])
def test_what_is_above_the_root_is_not_the_projects(project: Path, tmp_path: Path, mark: str) -> None:
    write(project, "http://evil.example")
    (project / ".git").mkdir()
    inner = below(project, "inner", "source")
    assert load_mirrors().unaccepted
    (inner.parent / mark).touch()
    assert not load_mirrors().unaccepted


def test_what_is_above_the_home_directory_is_nobodys(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(project, "http://evil.example")
    (project / ".git").mkdir()
    home = below(project, "home")
    below(project, "home", "work")
    assert load_mirrors().unaccepted
    monkeypatch.setenv("HOME", str(home))
    assert not load_mirrors().unaccepted
    (home / ".git").mkdir()
    assert not load_mirrors().unaccepted
    path = write(home, "http://mine.example")
    assert load_mirrors().unaccepted == str(path)


def test_what_is_on_another_file_system_is_nobodys(project: Path) -> None:
    write(project, "http://evil.example")
    (project / ".git").mkdir()
    (project / "disk").mkdir()
    look = [sys.executable, "-m", "zoo_cli", "mirror", "list", "--json"]
    mounted = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs none disk && cd disk && exec "$@"', "sh"]
    if subprocess.run([*mounted, "true"], check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    found = [
        json.loads(subprocess.run([*words, *look], check=True, capture_output=True, cwd=project / "disk" / up).stdout)
        for words, up in (((), ""), (mounted, ".."))
    ]
    assert [each["project_not_used"] for each in found] == [str(project / "mirrors.yaml"), None]


def test_a_working_directory_that_is_gone_has_no_project(project: Path) -> None:
    below(project, "gone").rmdir()
    assert addresses() == (URL,)


def test_the_file_that_comes_with_zoo_is_nobodys_project(project: Path) -> None:
    path, bundled = project / "mirrors.yaml", bundled_file().read_bytes()
    for data in (bundled, bundled + b"# of another release\n"):
        path.write_bytes(data)
        assert not load_mirrors().unaccepted
    path.write_bytes(
        bundled.partition(b"\n")[0] + f"\nversion: 1\nmirrors: [{{from: '{UPSTREAM}', to: /srv}}]\n".encode()
    )
    assert load_mirrors().unaccepted == str(path)  # somebody's, made of it


def test_the_way_out_of_a_wrong_file_is_by_where_it_came_from(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(*words: str) -> str:
        assert run([*words]) == 2
        return capsys.readouterr().err

    path = project / "mirrors.yaml"
    path.write_text("version: 1\nuses: []\n")
    assert " zoo mirror use --project\n" in told("mirror", "use", "--project")
    own = tmp_path / "CONFIG" / "zoo" / "mirrors.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("version: 1\nuses: []\n")
    assert f" mv {own} {own}.off\n" in told("mirror", "list")
    monkeypatch.setenv("ZOO_MIRRORS", str(path))
    assert " unset ZOO_MIRRORS\n" in told("mirror", "list")
    monkeypatch.delenv("ZOO_MIRRORS")
    own.unlink()
    path.write_text("version: 1\n")
    assert run(["mirror", "use", "--project"]) == 0
    path.write_text("version: 1\nuses: []\n")
    state = tmp_path / "STATE" / "zoo" / "projects.json"  # accepted by a release that knew that key
    state.write_text(json.dumps({str(path): hashlib.sha256(path.read_bytes()).hexdigest()}))
    assert f" zoo mirror remove {path}\n" in told("mirror", "list")


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
