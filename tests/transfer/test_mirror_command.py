"""`zoo mirror`: what may be chosen, choosing it, and what is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.server import Server
from zoo_cli.cli.app import run
from zoo_cli.transfer.mirrors import UnknownMirror, bundled_file, load_mirrors, read_mirrors
from zoo_cli.transfer.mirrorsfile import BadMirrors

TORCH = "https://download.pytorch.org/whl/cu121/torch-2.1.2%2Bcu121-cp310-cp310-linux_x86_64.whl"
SJTU = "https://mirror.sjtu.edu.cn/pytorch-wheels/cu121/torch-2.1.2%2Bcu121-cp310-cp310-linux_x86_64.whl"


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("ZOO_MIRRORS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("ZOO_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("NO_PROXY", "*")
    return tmp_path / "zoo" / "mirrors.yaml"


def environ(mine: Path) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(mine.parent.parent)}


def test_every_known_mirror_has_source_date_and_region_and_none_is_asked() -> None:
    mirrors = read_mirrors(bundled_file())
    assert mirrors.rules == () and len({each.name for each in mirrors.known}) >= 5
    for each in mirrors.known:
        assert each.rule.date == "2026-11-23" and each.rule.source and each.region and each.rule.kinds
        assert any(each.rule.start.startswith(host.url.rstrip("/")) for host in mirrors.hosts)


def test_choosing_by_name_and_region(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load_mirrors((), environ(mine)).addresses(TORCH, "wheels") == (TORCH,)
    assert run(["mirror", "use", "sjtu-pytorch"]) == 0
    assert load_mirrors((), environ(mine)).addresses(TORCH, "wheels") == (SJTU, TORCH)
    assert run(["mirror", "use", "--region", "cn", "--json"]) == 0
    chosen = json.loads(capsys.readouterr().out.splitlines()[-1])["use"]
    assert "tuna-pypi" in chosen and "onedl-assets" not in chosen
    wheel = "https://files.pythonhosted.org/packages/ab/cd/x-1.0-py3-none-any.whl"
    found = load_mirrors((), environ(mine)).addresses(wheel, "wheels")
    assert "https://pypi.tuna.tsinghua.edu.cn/packages/ab/cd/x-1.0-py3-none-any.whl" in found and found[-1] == wheel
    assert run(["mirror", "remove", "sjtu-pytorch"]) == 0
    assert load_mirrors((), environ(mine)).addresses(TORCH, "wheels") == (TORCH,)
    assert run(["mirror", "use", "--none"]) == 0
    assert load_mirrors((), environ(mine)).rules == ()


def test_rules_of_ones_own(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["https://download.openmmlab.com=http://lab/mm", "--kind", "wheels", "--order", "instead"]
    assert run(["mirror", "add", *words]) == 0 and run(["mirror", "add", *words]) == 0
    (rule,) = load_mirrors((), environ(mine)).rules
    assert (rule.start, rule.to, rule.kinds, rule.order) == (
        "https://download.openmmlab.com", ("http://lab/mm",), ("wheels",), "instead",
    )  # fmt: skip
    capsys.readouterr()
    assert run(["mirror", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("asked\t\t\thttps://download.openmmlab.com\thttp://lab/mm\twheels")
    assert run(["mirror", "remove", "https://download.openmmlab.com=http://lab/mm"]) == 0
    assert load_mirrors((), environ(mine)).rules == ()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["use", "none-such"], 2, "there is no mirror none-such"),
        (["use", "--region", "xx"], 2, "there is no mirror xx"),
        (["use"], 2, "Name mirrors"),
        (["remove", "sjtu-pytorch"], 2, "there is no mirror"),
        (["add", "nonsense"], 2, "FROM=TO"),
    ],
)
def test_mistakes(mine: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, says: str) -> None:
    assert run(["mirror", *words]) == code
    assert says in capsys.readouterr().err and not mine.exists()


def test_a_file_written_by_hand_is_not_rewritten(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine.parent.mkdir()
    text = "version: 1  # mine\nuse: [hf-mirror]\n"
    mine.write_text(text)
    assert load_mirrors((), environ(mine)).used == ("hf-mirror",)
    assert run(["mirror", "use", "sjtu-pytorch"]) == 1
    talk = capsys.readouterr().err
    assert "written by hand" in talk and 'use: ["sjtu-pytorch"]' in talk and mine.read_text() == text


def test_a_file_that_uses_what_nobody_knows(mine: Path) -> None:
    mine.parent.mkdir()
    mine.write_text("version: 1\nuse: [lab]\n")
    with pytest.raises(UnknownMirror):
        load_mirrors((), environ(mine))
    mine.write_text("version: 1\nuse: [lab]\nknown: [{name: lab, region: here, from: https://, to: http://lab}]\n")
    with pytest.raises(BadMirrors, match="source"):
        load_mirrors((), environ(mine))


def test_asking_mirrors(mine: Path, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.files["/m/x.pth"] = bytes(200_000)
    assert run(["mirror", "add", f"https://download.openmmlab.com={server.url('/m')}"]) == 0
    assert run(["mirror", "add", "https://download.openmmlab.com=http://127.0.0.1:1/dead"]) == 0
    capsys.readouterr()
    assert run(["mirror", "test", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["mirrors"]
    assert [each["is_ok"] for each in found] == [True, False] and found[0]["said"] == "404 Not Found"
    assert run(["mirror", "test", "https://download.openmmlab.com/x.pth", "--offline"]) == 5
    assert "offline" in capsys.readouterr().out
    assert run(["mirror", "test", server.url("/m/x.pth")]) == 0
    assert "206" in capsys.readouterr().out


def test_what_is_known_is_shown(mine: Path, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """What `test` and transfers found is in `list` and in the next `test`, with the source and date of each rule."""
    url = "https://download.openmmlab.com/x.pth"
    server.files["/m/x.pth"] = bytes(200_000)
    for to in (server.url("/m"), "http://127.0.0.1:1/dead"):
        assert run(["mirror", "add", f"https://download.openmmlab.com={to}", "--order", "instead"]) == 0
    mine.write_text(mine.read_text().replace("order: instead", "order: before", 1))
    capsys.readouterr()
    assert run(["mirror", "test", url, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)["mirrors"]
    assert [each["is_ok"] for each in first] == [True, False]
    assert all(each["before"]["bytes_per_second"] is None and each["before"]["fault"] == "" for each in first)
    assert all(each["source"] == "zoo mirror add" and len(each["date"]) == 10 for each in first)
    assert run(["mirror", "test", url, "--json"]) == 0
    good, dead = (each["before"] for each in json.loads(capsys.readouterr().out)["mirrors"])
    assert good["bytes_per_second"] > 0 and 0 <= good["measured_seconds_ago"] < 60 and good["fault"] == ""
    assert dead["bytes_per_second"] is None and "connect" in dead["fault"] and 0 <= dead["fault_seconds_ago"] < 60
    assert run(["mirror", "list", "--json"]) == 0
    good, dead, *others = json.loads(capsys.readouterr().out)["mirrors"]
    assert good["bytes_per_second"] > 0 and not good["is_put_off"] and dead["is_put_off"] and "connect" in dead["fault"]
    assert all(each["date"] == "2026-11-23" and each["source"] for each in others if each["state"] == "known")
    for words in (["list"], ["test", url]):
        assert run(["mirror", *words]) == 0
        told = capsys.readouterr().out
        assert "/s, " in told and " s ago" in told and "zoo mirror add" in told


def test_a_host_without_a_mirror_is_told(mine: Path, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    address = server.url("/lab")
    assert run(["mirror", "use", address]) == 2
    told = capsys.readouterr().err
    assert f"error[bad-mirror]: {address} cannot be used as a mirror" in told and "it has no mirror.json" in told
    assert "zoo mirror sync MODEL --to DIR && zoo mirror serve DIR" in told
    assert not mine.exists()
