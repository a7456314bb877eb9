"""`zoo mirror`: what may be chosen, choosing it, and what is written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.server import Redirect, Server
from zoo_cli.cli.app import run
from zoo_cli.transfer.mirrors import UnknownMirror, bundled_file, load_mirrors, read_mirrors
from zoo_cli.transfer.mirrorsedit import edited
from zoo_cli.transfer.mirrorsfile import BadMirrors, parse_mirrors
from zoo_cli.transfer.sources import Mirrors, Rule

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
    assert run(["mirror", "use", "--region", "CN", "--json"]) == 0
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


HAND = """# Ours. Ask Kim before you change it.
version: 1  # as zoo 0.9 has it

use:
- hf-mirror
- tuna-pypi
# what follows is for the cluster
mirrors:
    # the old one
    - from: https://download.openmmlab.com
      to:
        - https://old.lab.example/mm  # by name
        - /srv/mm
      kinds: [wheels]

    # PyTorch, since spring
    - from: https://download.pytorch.org/whl
      to: https://torch.lab.example/
known:
  - {name: lab, region: kr, from: https://huggingface.co, to: https://hf.lab.example, source: Kim}
# the end
"""


def test_what_its_user_wrote_stays_in_the_file(mine: Path) -> None:
    mine.parent.mkdir()
    mine.write_text(HAND)
    assert run(["mirror", "add", "https://download.openmmlab.com=https://new.lab.example/\u00fc"]) == 0
    today = read_mirrors(mine).rules[-1].date
    added = [
        '    - from: "https://download.openmmlab.com"', '      to: ["https://new.lab.example/\u00fc"]',
        "      order: before", '      source: "zoo mirror add"', f"      date: {today}",
    ]  # fmt: skip
    lines = HAND.splitlines()
    assert mine.read_text(encoding="utf-8").splitlines() == [*lines[:18], *added, *lines[18:]]
    assert run(["mirror", "remove", "https://download.openmmlab.com=https://new.lab.example/\u00fc"]) == 0
    assert mine.read_text() == HAND
    assert run(["mirror", "remove", "https://download.openmmlab.com=https://old.lab.example/mm"]) == 0
    assert mine.read_text().splitlines() == [*lines[:9], *lines[14:]]
    assert run(["mirror", "use", "lab", "--order", "fastest"]) == 0
    assert mine.read_text().splitlines() == [*lines[:3], 'use: ["lab"]', "use-order: fastest", *lines[6:9], *lines[14:]]
    assert run(["mirror", "use", "--none"]) == 0
    assert run(["mirror", "remove", "https://download.pytorch.org/whl=https://torch.lab.example/"]) == 0
    kept = read_mirrors(mine)
    assert (kept.rules, kept.used, [each.name for each in kept.known]) == ((), (), ["lab"])
    assert [line for line in mine.read_text().splitlines() if "#" in line] == [
        line for line in lines if "#" in line and "by name" not in line
    ]


@pytest.mark.parametrize("text", [
    "version: 1\nmirrors: [{from: https://h.example, to: http://m.example}]\n",
    "{version: 1, use: [hf-mirror]}\n",
])  # fmt: skip
def test_a_form_that_cannot_be_changed_by_lines(mine: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    mine.parent.mkdir()
    mine.write_text(text)
    assert run(["mirror", "add", "https://download.openmmlab.com=https://m.example"]) == 1
    talk = capsys.readouterr().err
    assert "line by line" in talk and '- from: "https://download.openmmlab.com"' in talk and mine.read_text() == text


@pytest.mark.parametrize("text", [
    "version: 1", "version: 1\r\nmirrors: []\r\n", "\ufeffversion: 1\nmirrors:\n- from: https://h.example\n  to: /x",
    "---\nversion: 1\nheaders:\n- {for: https://h.example, name: X-Key, from-environment: K}\n...\n",
])  # fmt: skip
def test_other_forms_can(mine: Path, text: str) -> None:
    mine.parent.mkdir()
    mine.write_bytes(text.encode())
    before = read_mirrors(mine)
    assert run(["mirror", "add", "https://a.example=https://m.example"]) == 0
    after = read_mirrors(mine)
    assert after.rules[:-1] == before.rules and after.rules[-1].start == "https://a.example"
    assert after.headers == before.headers and (b"\r\n" in mine.read_bytes()) == ("\r\n" in text)


@given(st.data())
def test_law_any_change_of_rules_is_made(data: st.DataObject) -> None:
    """Entries go, come and change places in a file with comments: it then says exactly that, with every comment."""
    pool = [Rule(f"https://h{at}.example", (f"https://m{at}.example",), source="s") for at in range(6)]
    lists = st.lists(st.sampled_from(pool), unique=True, max_size=6)
    first, second = data.draw(lists), data.draw(lists)
    text = edited("# a\nversion: 1\n# b\n", Mirrors(), Mirrors(tuple(first)))
    text = text.replace("  - from", "  # c\n  - from")
    after = edited(text, Mirrors(tuple(first)), Mirrors(tuple(second)))
    assert parse_mirrors("f", after.encode()).rules == tuple(second)
    assert after.count("#") == text.count("#")


def test_a_link_to_the_file_stays_a_link(mine: Path, tmp_path: Path) -> None:
    mine.parent.mkdir()
    (tmp_path / "kept.yaml").write_text("version: 1\n")
    mine.symlink_to(tmp_path / "kept.yaml")
    assert run(["mirror", "use", "hf-mirror"]) == 0
    assert mine.is_symlink() and read_mirrors(tmp_path / "kept.yaml").used == ("hf-mirror",)


def test_commands_at_once_lose_nothing(mine: Path) -> None:
    """Eight processes add a rule each."""
    words = [sys.executable, "-c", ADDS, str(mine)]
    children = [subprocess.Popen([*words, str(number)]) for number in range(8)]
    assert [child.wait(120) for child in children] == [0] * 8
    assert {rule.to[0] for rule in read_mirrors(mine).rules} == {f"https://m{each}.example" for each in range(80)}


ADDS = """
import sys
from zoo_cli.transfer.mirrors import parse_option
from zoo_cli.transfer.mirrorsedit import change_mirrors
for each in range(10):
    rule = parse_option(f"https://h.example=https://m{sys.argv[2]}{each}.example".replace("m0", "m"))
    change_mirrors(lambda mine: mine._replace(rules=(*mine.rules, rule)), {"ZOO_MIRRORS": sys.argv[1]})
"""


def test_a_file_that_uses_what_nobody_knows(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine.parent.mkdir()
    mine.write_text("version: 1\nuse: [lab]\n")
    with pytest.raises(UnknownMirror):
        load_mirrors((), environ(mine))
    assert run(["mirror", "list"]) == 2
    assert f"{mine} uses the mirror lab" in capsys.readouterr().err
    mine.write_text("version: 1\nuse: [lab]\nknown: [{name: lab, region: here, from: https://, to: http://lab}]\n")
    with pytest.raises(BadMirrors, match="source"):
        load_mirrors((), environ(mine))


def test_a_rule_is_removed_by_what_it_was_added_with(mine: Path, tmp_path: Path) -> None:
    pair = f"https://Download.OpenMMLab.com:443={tmp_path}/mm"
    assert run(["mirror", "add", pair]) == 0
    (rule,) = read_mirrors(mine).rules
    assert (rule.start, rule.to) == ("https://download.openmmlab.com", ((tmp_path / "mm").as_uri(),))
    assert run(["mirror", "remove", pair]) == 0
    assert read_mirrors(mine).rules == ()


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


def test_a_login_page_another_size_and_a_directory(
    mine: Path, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "https://download.openmmlab.com/x.pth"
    assert run(["mirror", "test"]) == 0
    assert "None is asked" in capsys.readouterr().err
    server.files |= {"/good/x.pth": bytes(2000), "/short/x.pth": bytes(1000), "/in": b"<html>Who are you?</html>"}
    server.always("/login/x.pth", Redirect(server.url("/in")))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x.pth").write_bytes(bytes(2000))
    for to in (server.url("/good"), server.url("/short"), server.url("/login"), tmp_path / "d", tmp_path / "none"):
        assert run(["mirror", "add", f"https://download.openmmlab.com={to}", "--order", "instead"]) == 0
    mine.write_text(mine.read_text().replace("order: instead", "order: before", 4))
    capsys.readouterr()
    assert run(["mirror", "test", url, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["mirrors"]
    assert [each["is_ok"] for each in found] == [True, True, False, True, False]
    assert [each["size_bytes"] for each in found] == [2000, 1000, None, 2000, None]
    assert "HTML page" in found[2]["said"] and "No such file" in found[4]["said"]
    assert run(["mirror", "test", url]) == 0
    assert "different sizes" in capsys.readouterr().err
    assert run(["mirror", "test", "--json"]) == 0
    assert [each["is_ok"] for each in json.loads(capsys.readouterr().out)["mirrors"]] == [True, True, True, True, False]


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
