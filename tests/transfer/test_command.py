"""`zoo fetch`: stdout is the path, stderr the talk, each mistake one error with a way out."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.server import HtmlPage, Redirect, Server, Status, WrongBytes
from tests.transfer.conftest import BODY, DIGEST, nothing_but
from zoo_cli.cli.app import run


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


@dataclass
class Zoo:
    """Runs `zoo fetch` in this process, in an empty home, with captured streams."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> Ran:
        self.monkeypatch.setattr("sys.argv", ["zoo", "fetch", *arguments])
        code = run(["fetch", *arguments])
        captured = self.capsys.readouterr()
        assert "Traceback" not in captured.err
        return Ran(code, captured.out, captured.err)


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Zoo:
    for name in ("ZOO_MIRRORS", "ZOO_OFFLINE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path.with_name(tmp_path.name + "-home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.chdir(tmp_path)
    return Zoo(monkeypatch, capsys)


def test_the_path_is_all_of_stdout(zoo: Zoo, server: Server, tmp_path: Path) -> None:
    ran = zoo(server.url("/a.pth"), "-o", "x/a.pth", "--sha256", DIGEST)
    assert (ran.code, ran.out) == (0, "x/a.pth\n")
    assert "384 kB" in ran.err and "sha256 is the one given" in ran.err
    assert (tmp_path / "x" / "a.pth").read_bytes() == BODY
    again = zoo(server.url("/a.pth"), "-o", "x/a.pth", "--sha256", DIGEST, "-q")
    assert (again.code, again.out, again.err) == (0, "x/a.pth\n", "")
    assert len(server.requests) == 1


def test_without_o_the_name_of_the_address_is_taken(zoo: Zoo, server: Server, tmp_path: Path) -> None:
    assert zoo(server.url("/a.pth?download=1")).out == "a.pth\n"
    assert (tmp_path / "a.pth").read_bytes() == BODY


def test_a_directory_that_is_there_gets_the_file_under_its_own_name(zoo: Zoo, server: Server, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    assert zoo(server.url("/a.pth"), "-o", "models").out == "models/a.pth\n"
    assert (tmp_path / "models" / "a.pth").read_bytes() == BODY
    (tmp_path / "full" / "a.pth").mkdir(parents=True)
    ran = zoo(server.url("/a.pth"), "-o", "full")
    assert (ran.code, "full/a.pth: it is a directory" in ran.err) == (1, True), ran.err
    ran = zoo(server.url("/"), "-o", "models")
    assert (ran.code, "it has no file name" in ran.err) == (2, True), ran.err
    assert zoo(server.url("/a.pth"), "-o", "new/").out == "new/a.pth\n"


def test_a_file_that_is_there_counts_when_asked_and_nothing_tells_otherwise(
    zoo: Zoo, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "a.pth").write_bytes(b"mine")
    refused = zoo(server.url("/a.pth"))
    assert refused.code == 1 and "--skip-existing" in refused.err
    kept = zoo(server.url("/a.pth"), "--skip-existing", "--json")
    assert kept.code == 0 and json.loads(kept.out)["already_here"] and json.loads(kept.out)["evidence"] == "none"
    (tmp_path / "list.tsv").write_text(f"{server.url('/a.pth')}\n{server.url('/b.pth')}\n")
    assert "--skip-existing lets" in zoo("--from", "list.tsv", "--offline").err
    assert zoo("--from", "list.tsv", "--skip-existing").code == 0
    assert [request.path for request in server.requests] == ["/b.pth"]
    assert (tmp_path / "a.pth").read_bytes() == b"mine" and (tmp_path / "b.pth").read_bytes() == BODY
    known = zoo(server.url("/a.pth"), "--skip-existing", "--sha256", DIGEST)
    assert known.code == 1 and "error[destination-exists]" in known.err
    assert zoo(server.url("/a.pth"), "--skip-existing", "--sha256", DIGEST, "--force").code == 0
    assert (tmp_path / "a.pth").read_bytes() == BODY


def test_where_no_directory_can_be(zoo: Zoo, server: Server, tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    ran = zoo(server.url("/a.pth"), server.url("/b.pth"), "-o", "plain")
    assert ran.code == 1 and ran.err.count("a file is where its directory should be") == 2
    (tmp_path / "gone").mkdir()
    os.chdir(tmp_path / "gone")  # the fixture goes back
    (tmp_path / "gone").rmdir()
    for more in ((), (server.url("/b.pth"),)):
        ran = zoo(server.url("/a.pth"), *more)
        assert ran.code == 1 and "error[destination-unusable]" in ran.err and "working directory is gone" in ran.err
    assert zoo(server.url("/a.pth"), "-o", str(tmp_path / "a.pth")).code == 0


def test_the_way_out_is_another_address_of_the_file(zoo: Zoo, server: Server) -> None:
    ran = zoo(server.url("/none.pth"), "-o", "a.pth")
    assert ran.code == 5
    assert (
        f"From another address of the same file:  zoo fetch {server.url('/none.pth')} -o a.pth --mirror URL" in ran.err
    )


def test_urls_and_a_list_are_not_for_one_command(zoo: Zoo, server: Server, tmp_path: Path) -> None:
    (tmp_path / "list.tsv").write_text(f"{server.url('/a.pth')}\n")
    assert "not both" in zoo(server.url("/a.pth"), "--from", "list.tsv").err
    ran = zoo("--from", "list.tsv", "-o", "there")
    assert (ran.code, ran.out) == (0, "there/a.pth\n")
    assert ran.err.endswith("1 file.\n")


def test_one_json_document(zoo: Zoo, server: Server) -> None:
    ran = zoo(server.url("/a.pth"), "-o", "a.pth", "--json")
    document = json.loads(ran.out)
    assert ran.err == "" and document["ok"] is True and document["command"] == "fetch"
    assert document["path"] == "a.pth" and document["sha256"] == DIGEST and document["evidence"] == "none"
    failed = zoo(server.url("/none"), "-o", "b.pth", "--json")
    error = json.loads(failed.out)["error"]
    assert failed.code == 5 and failed.err == ""
    assert error["code"] == "http-status" and error["facts"]["status"] == 404 and error["ways_out"]


def test_the_way_back_to_the_network_undoes_what_forbade_it(zoo: Zoo, server: Server) -> None:
    address = server.url("/a.pth")
    assert f":  zoo fetch {address} -o a.pth\n" in zoo(address, "-o", "a.pth", "--offline").err
    zoo.monkeypatch.setenv("ZOO_OFFLINE", "1")
    assert f":  env -u ZOO_OFFLINE zoo fetch {address} -o a.pth\n" in zoo(address, "-o", "a.pth").err
    assert server.requests == []


def test_another_mirror_takes_over(zoo: Zoo, server: Server) -> None:
    server.always("/a.pth", WrongBytes(7))
    ran = zoo(server.url("/a.pth"), "--mirror", server.url("/b.pth"), "-o", "a.pth", "--sha256", DIGEST)
    assert ran.code == 0 and "sent other bytes than expected" in ran.err


def test_the_users_mirrors_file_points_a_host_elsewhere(
    zoo: Zoo, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"version: 1\nmirrors:\n  - from: https://\n    to: {server.url()}\n    order: instead\n"
    (tmp_path / "mirrors.yaml").write_text(text)
    server.files["/download.openmmlab.com/x-00000000.pth"] = BODY
    monkeypatch.setenv("ZOO_MIRRORS", str(tmp_path / "mirrors.yaml"))
    ran = zoo("https://download.openmmlab.com/x-00000000.pth", "-o", "a.pth", "--sha256", DIGEST)
    assert ran.code == 0 and server.requests[0].path == "/download.openmmlab.com/x-00000000.pth"


def test_the_digits_in_the_name_are_a_check_that_is_not_called_verified(zoo: Zoo, server: Server) -> None:
    server.files[f"/m-{DIGEST[:8]}.pth"] = server.files["/m-00000000.pth"] = BODY
    right = zoo(server.url(f"/m-{DIGEST[:8]}.pth"))
    assert right.code == 0 and "only 32 bits" in right.err and "verified" not in right.err
    wrong = zoo(server.url("/m-00000000.pth"))
    assert wrong.code == 6 and "the file name says so" in wrong.err


def test_an_existing_file_is_replaced_only_when_asked(zoo: Zoo, server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"mine")
    ran = zoo(server.url("/a.pth"), "-o", "a.pth", "--sha256", DIGEST)
    assert ran.code == 1 and "error[destination-exists]" in ran.err and "--force" in ran.err
    assert (tmp_path / "a.pth").read_bytes() == b"mine"
    assert zoo(server.url("/a.pth"), "-o", "a.pth", "--sha256", DIGEST, "--force").code == 0
    assert (tmp_path / "a.pth").read_bytes() == BODY


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("ftp://host/x",), 2, "error[bad-address]: cannot fetch from ftp://host/x"),
        (("SERVER/",), 2, "no file name"),
        (("SERVER/%00x",), 2, "no file name"),
        (("SERVER/a.pth", "-o", "-"), 2, "not on stdout"),
        (("file:///none/x.pth",), 5, "ls -l /none/x.pth"),
        (("SERVER/a.pth", "--sha256", "5a0be7c4"), 2, "error[bad-digest]"),
        (("SERVER/a.pth", "--size", "-1"), 2, "Invalid value for '--size'"),
        (("SERVER/a.pth", "--size", "3"), 6, "error[size-mismatch]"),
        (("SERVER/none",), 5, "answered 404 Not Found"),
        (("SERVER/page.whl",), 5, "error[not-the-file]"),
        (("SERVER/away",), 5, "error[redirect-refused]"),
        (("SERVER/a.pth", "--offline"), 5, "error[offline]"),
        (("http://169.254.169.254/x",), 5, "error[address-refused]"),
        (("none/x.pth",), 5, "No such file or directory"),
    ],
)
def test_bad_input_is_one_error(
    zoo: Zoo, server: Server, tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    server.always("/page.whl", HtmlPage())
    server.always("/away", Redirect("file:///etc/passwd"))
    ran = zoo(*(each.replace("SERVER", server.url("")) for each in arguments))
    assert (ran.code, ran.out) == (code, "")
    assert says in ran.err
    nothing_but(tmp_path)


def test_a_broken_mirrors_file_is_told_with_its_line(
    zoo: Zoo, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m.yaml").write_text("version: 1\nmirrors:\n  - form: https://h\n")
    monkeypatch.setenv("ZOO_MIRRORS", str(tmp_path / "m.yaml"))
    ran = zoo(server.url("/a.pth"))
    assert ran.code == 2 and "m.yaml:3: form: no such key" in ran.err


def test_passwords_are_not_shown(zoo: Zoo, server: Server) -> None:
    server.always("/a.pth", Status(403))
    ran = zoo(server.url("/a.pth").replace("//", "//me:hunter2@") + "?token=hunter2")
    assert ran.code == 5 and "hunter2" not in ran.err


def test_lines_in_a_pipe_and_foreign_text_made_harmless(zoo: Zoo, server: Server) -> None:
    server.files["/\x1b[31mred.pth"] = BODY
    ran = zoo(server.url("/%1b[31mred.pth"), "-o", "a.pth")
    assert ran.code == 0 and "\x1b" not in ran.err and "\\x1b[31mred.pth" in ran.err
    assert all(len(line) < 200 for line in io.StringIO(ran.err))


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&-"])
def test_closed_streams_and_few_file_handles(server: Server, tmp_path: Path, closed: str) -> None:
    words = f"'{sys.executable}' -m zoo_cli fetch {server.url('/a.pth')} -o '{tmp_path}/a.pth' --sha256 {DIGEST}"
    environ = {
        **os.environ,
        "ZOO_CACHE": str(tmp_path / "cache"),
        "ZOO_STATE": str(tmp_path / "state"),
        "NO_PROXY": "*",
    }
    done = subprocess.run(
        ["sh", "-c", f"ulimit -n 20; {words} {closed}"], env=environ, capture_output=True, check=False
    )
    assert done.returncode == 0 and b"error" not in done.stderr
    assert (tmp_path / "a.pth").read_bytes() == BODY
