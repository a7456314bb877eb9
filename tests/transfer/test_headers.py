"""Keys for mirrors: sent where they belong, from the environment, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.server import Redirect, Server
from tests.transfer.conftest import BODY, QUICK, nothing_but, wanted
from zoo_cli.cli.app import run
from zoo_cli.transfer.addresses import parse_address
from zoo_cli.transfer.failures import HeaderUnusable
from zoo_cli.transfer.fetch import fetch
from zoo_cli.transfer.headers import Header
from zoo_cli.transfer.mirrors import read_mirrors
from zoo_cli.transfer.mirrorsfile import BadMirrors

SECRET = "s3cret-of-the-lab"
FILE = """version: 1
headers:
  - for: {start}
    name: Authorization
    scheme: Bearer
    from-environment: LAB_TOKEN
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mirrors.yaml"
    monkeypatch.setenv("ZOO_MIRRORS", str(path))
    monkeypatch.setenv("LAB_TOKEN", SECRET)
    monkeypatch.setenv("NO_PROXY", "*")
    return path


def keys_at(server: Server, path: str) -> list[str | None]:
    return [each.headers.get("authorization") for each in server.requests_for(path)]


def test_a_key_goes_to_its_addresses_and_after_a_redirect_to_no_other(
    server: Server, mine: Path, tmp_path: Path
) -> None:
    with Server({"/lab/a.pth": BODY, "/c.pth": BODY}) as other:
        mine.write_text(FILE.format(start=server.url("/lab")))
        server.files |= dict.fromkeys(("/lab/a.pth", "/laboratory/a.pth", "/lab/../a.pth"), BODY)
        hops = {"/lab/else": other.url("/c.pth"), "/lab/out": server.url("/a.pth"), "/lab/in": server.url("/lab/a.pth")}
        for path, to in hops.items():
            server.always(path, Redirect(to))
        for number, path in enumerate(["/lab/a.pth", "/laboratory/a.pth", "/lab/../a.pth", *hops]):
            fetch(wanted(server.url(path)), tmp_path / f"{number}", QUICK)
        sent = f"Bearer {SECRET}"
        assert keys_at(server, "/lab/a.pth") == [sent, sent] and keys_at(server, "/lab/else") == [sent]
        assert keys_at(server, "/laboratory/a.pth") == [None] and keys_at(server, "/lab/../a.pth") == [None]
        assert keys_at(server, "/a.pth") == [None] and keys_at(other, "/c.pth") == [None]


def test_another_scheme_or_port_is_another_host() -> None:
    header = Header("https://lab.example/", "X-Key", "LAB_TOKEN")
    assert header.is_for(parse_address("https://LAB.example:443/x?y"))
    for url in (
        "http://lab.example/x",
        "https://lab.example:444/x",
        "https://lab.example.evil/",
        "https://a/lab.example/",
    ):
        assert not header.is_for(parse_address(url))


@pytest.mark.parametrize("value", ["", "a\r\nX: y", "\u00e9"])
def test_a_value_that_is_not_to_be_had_fails_that_address_alone(
    value: str, server: Server, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine.write_text(FILE.format(start=server.url("/a.pth")))
    monkeypatch.setenv("LAB_TOKEN", value)
    with pytest.raises(HeaderUnusable) as caught:
        fetch(wanted(server.url("/a.pth")), tmp_path / "a.pth", QUICK)
    assert caught.value.variable == "LAB_TOKEN" and server.requests == []
    received = fetch(wanted(server.url("/a.pth"), server.url("/b.pth")), tmp_path / "b.pth", QUICK)
    assert received.url == server.url("/b.pth")
    fetch(wanted(server.url("/a.pth")), tmp_path / "c.pth", QUICK._replace(headers=()))


def test_the_command_shows_the_variable_and_never_its_value(
    server: Server, mine: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine.write_text(FILE.format(start=server.url("/")))
    assert run(["mirror", "list", "--json"]) == 0
    listed = json.loads(capfd.readouterr().out.splitlines()[-1])["headers"]
    assert listed == [{"for": server.url("/"), "name": "Authorization", "from-environment": "LAB_TOKEN"}]
    assert run(["fetch", server.url("/a.pth"), "-o", str(tmp_path / "a.pth"), "--events"]) == 0
    assert run(["fetch", server.url("/none"), "-o", str(tmp_path / "b.pth")]) == 5
    assert keys_at(server, "/a.pth") == [f"Bearer {SECRET}"]
    monkeypatch.delenv("LAB_TOKEN")
    assert run(["fetch", server.url("/a.pth"), "-o", str(tmp_path / "c.pth")]) == 2
    said = "".join(capfd.readouterr())
    assert "LAB_TOKEN is not set" in said and SECRET not in said
    state = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in data for data in state)
    nothing_but(tmp_path, "a.pth", "mirrors.yaml")


def test_zoo_keeps_headers_when_it_writes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZOO_MIRRORS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "state" / "zoo").mkdir(parents=True)
    assert run(["mirror", "use", "tuna-pypi"]) == 0
    path = tmp_path / "zoo" / "mirrors.yaml"
    more = FILE.format(start="https://lab.example/x").partition("\n")[2]
    path.write_text(path.read_text() + more)
    assert run(["mirror", "use", "sjtu-pytorch"]) == 0
    expected = (Header("https://lab.example/x", "Authorization", "LAB_TOKEN", "Bearer"),)
    assert read_mirrors(path).headers == expected
    assert read_mirrors(path).headers == expected  # as it was kept the first time


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("for: https://", "for"),
        ("for: /srv/mirror", "for"),
        ("for: https://me:pw@lab.example/", "for"),
        ("for: https://lab.example/?key=1", "for"),
        ("name: 'X: y'", "name"),
        ("name: Range", "name"),
        ("name: host", "name"),
        ("from-environment: 's3cret-of-the-lab'", "from-environment"),
        ("scheme: 'Bearer x'", "scheme"),
        ("value: abc", "value"),
    ],
)
def test_the_file_is_checked_strictly(line: str, key: str, tmp_path: Path) -> None:
    fields = {"for": "https://lab.example/", "name": "X-Key", "from-environment": "LAB_TOKEN"}
    fields[line.partition(":")[0]] = line.partition(": ")[2]
    body = "\n".join(f"    {name}: {value}" for name, value in fields.items())
    path = tmp_path / "mirrors.yaml"
    path.write_text("version: 1\nheaders:\n  -\n" + body + "\n")
    with pytest.raises(BadMirrors) as caught:
        read_mirrors(path)
    assert caught.value.key == key and caught.value.line > 2
