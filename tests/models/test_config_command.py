"""`zoo config` and `zoo diff`, over the small zoo on loopback and over files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.models.config_cases import settings_of
from tests.models.site import R50, Site
from tests.test_docs import on_terminal
from zoo_cli.cli.app import run
from zoo_cli.cli.config_view import difference_lines, one_line
from zoo_cli.cli.text import width
from zoo_cli.models.differences import differences

MODEL: dict[str, Any] = settings_of("r50.py", {"r50.py": f"model = {R50['model']}".encode()}.get)["model"]


def zoo(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[str, str]:
    assert run(words) == code
    output = capsys.readouterr()
    return output.out, output.err


def document(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(zoo(capsys, *words, "--json", code=code)[0])
    return found


def reload(text: str) -> dict[str, Any]:
    return settings_of("config.py", {"config.py": text.encode()}.get)


# -- flatten ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    ["net_r50", "mmnet/2.0/net_r50", "mmnet::net/net_r50.py", "mmnet::configs/net/net_r50", "configs/net/net_r50.py"],
)
def test_a_model_by_any_name(site: Site, capsys: pytest.CaptureFixture[str], asked: str) -> None:
    out, err = zoo(capsys, "config", "flatten", asked)
    assert reload(out) == R50
    assert "flattened by zoo" in out
    assert "from mmnet 2.0; nothing was executed" in out
    assert err == ""


def test_a_config_that_no_model_has(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert reload(zoo(capsys, "config", "flatten", "mmnet::_base_/runtime.py")[0]) == {"log_level": "INFO"}


def test_a_file_of_the_users(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    Path("base.py").write_text("model = dict(type='X')")
    Path("my.py").write_text("_base_ = 'base.py'\nd = '{{ fileDirname }}/x'\nmodel = dict(n='{{$N:1}}')")
    out, err = zoo(capsys, "config", "flatten", "my.py")
    assert reload(out) == {"model": {"type": "X", "n": "{{$N:1}}"}, "d": "/x"}
    assert str(site.folder) not in out + err
    assert "it counts on files below ." in err


def test_a_base_of_another_package_comes_from_the_index(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    Path("my.py").write_text("_base_ = 'mmnet::net/net_r50.py'")
    out, _err = zoo(capsys, "config", "flatten", "./my.py")
    assert reload(out)["model"] == {**MODEL, "_scope_": "mmnet"}
    assert "mmnet::configs/_base_/r50.py" in out


def test_into_a_file(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert zoo(capsys, "config", "flatten", "net_r50", "-o", "out/flat.py")[0] == "out/flat.py\n"
    assert reload(Path("out/flat.py").read_text()) == R50
    assert document(capsys, "config", "flatten", "net_r50", "-o", "out/flat.py")["already_here"] is True
    Path("out/flat.py").write_text("mine = 1\n")
    zoo(capsys, "config", "flatten", "net_r50", "-o", "out/flat.py", code=1)
    assert Path("out/flat.py").read_text() == "mine = 1\n"
    zoo(capsys, "config", "flatten", "net_r50", "-o", "out/flat.py", "--force")
    assert reload(Path("out/flat.py").read_text()) == R50


def test_as_json_and_yaml(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "config", "flatten", "net_r50")
    plain = {"model": {**MODEL, "num": [3]}, "log_level": "INFO"}
    assert found["config"] == plain
    assert (found["from"], found["findings"], found["files"][-1]) == ("mmnet 2.0", [], "configs/net/net_r50.py")
    out, _err = zoo(capsys, "config", "flatten", "net_r50", "--yaml")
    assert yaml.safe_load(out) == plain
    assert out.startswith("# net_r50, flattened by zoo")


def test_forms_that_json_and_yaml_lack(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.py").write_text(
        "a = [float('inf'), (1, 2), {3}, range(2)]\nb = {0: dict(x=None)}\nc = [1]\nd = dict(e=c, f=c)"
    )
    assert document(capsys, "config", "flatten", "a.py")["config"] == {
        "a": ["inf", [1, 2], [3], [0, 1]], "b": {"0": {"x": None}}, "c": [1], "d": {"e": [1], "f": [1]},
    }  # fmt: skip
    out, _err = zoo(capsys, "config", "flatten", "a.py", "--yaml")
    assert yaml.safe_load(out)["b"] == {0: {"x": None}}
    assert "&" not in out
    Path("b.py").write_text("a = dict(b=[b'x'])")
    for form in ("--yaml", "--json"):
        out, err = zoo(capsys, "config", "flatten", "b.py", form, code=1)
        assert "a.b.0" in out + err


def test_what_it_would_import_is_told(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.py").write_text(
        "custom_imports = dict(imports=['my.hooks'], allow_failed_imports=False)\n"
        "model = dict(type='subprocess.check_output', a=dict(type='mmdet.ResNet', b=dict(type='torch.nn.ReLU')),\n"
        "  head=[dict(type='torch.hub.load')], init_cfg=dict(checkpoint='torchvision://resnet50'))\n"
    )
    _out, err = zoo(capsys, "config", "flatten", "a.py")
    assert [line.strip() for line in err.splitlines()] == [
        "note: loading it imports my.hooks",
        "note: building it imports and calls subprocess.check_output (model.type)",
        "note: building it imports and calls torch.hub.load (model.head.0.type)",
        "note: building it fetches torchvision://resnet50 (model.init_cfg.checkpoint)",
    ]
    found = document(capsys, "config", "flatten", "a.py")["findings"]
    assert found[1] == {"kind": "calls", "key": "model.type", "what": "subprocess.check_output"}


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("nothing_like_it",), 2, "unknown-model"),
        (("./none.py",), 2, "no-config-file"),
        (("other::a/b.py",), 2, "unknown-package"),
        (("mmnet::a/b.py",), 1, "config-missing"),
        (("mmnet::../../x.py",), 1, "config-missing"),
        (("mmnet::net/net_r50.py", "--release", "9"), 2, "unknown-package"),
        (("net_r50", "--release", "9"), 2, "not-in-release"),
        (("weights",), 1, "nothing-to-fetch"),
        (("program",), 1, "config-not-evaluated"),
    ],
)
def test_what_cannot_be_had(
    site: Site, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, error: str
) -> None:
    out, err = zoo(capsys, "config", "flatten", *words, code=code)
    assert (out, err.split("]")[0]) == ("", f"error[{error}")


# -- show ------------------------------------------------------------------------------------------------------------


def test_show_says_what_it_is_made_from(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    out, _err = zoo(capsys, "config", "show", "net_r50")
    assert out.splitlines() == [
        "net_r50  mmnet 2.0",
        "",
        "Made from, bases first:",
        "  configs/_base_/r50.py",
        "  configs/_base_/runtime.py",
        "  configs/net/net_r50.py",
        "",
        "Settings:",
        "  log_level  'INFO'",
        "  model      Net, 3 keys",
    ]


def test_show_of_keys(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert zoo(capsys, "config", "show", "net_r50", "model.num")[0] == "(3,)\n"
    out, _err = zoo(capsys, "config", "show", "net_r50", "model.num.0", "model.backbone")
    assert out == "model.num.0 = 3\nmodel.backbone = dict(type='ResNet', depth=50)\n"
    assert document(capsys, "config", "show", "net_r50", "log_level")["values"] == {"log_level": "INFO"}
    assert document(capsys, "config", "show", "net_r50")["values"]["model"]["num"] == [3]
    _out, err = zoo(capsys, "config", "show", "net_r50", "model.backbon.depth", code=2)
    assert "the config has no model.backbon\n  near: backbone" in err


def test_text_of_a_config_cannot_control_the_terminal(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.py").write_text("a = 'x\\x1b[31m\\u202ey'\nb = {'\\x1b[2J': dict(type='evil.\\u0627')}")
    for words in (("show", "a.py"), ("show", "a.py", "a"), ("flatten", "a.py")):
        out, err = zoo(capsys, "config", *words)
        assert "\x1b" not in out + err


# -- diff ------------------------------------------------------------------------------------------------------------


def test_two_models(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = zoo(capsys, "diff", "net_r50", "net_r101")
    assert out == "kind\tkey\ta\tb\nchanged\tmodel.backbone.depth\t50\t101\n"
    assert err == "a: net_r50  mmnet 2.0\nb: net_r101  mmnet 2.0\n1 changed.\n"
    found = document(capsys, "diff", "net_r50", "net_r101")
    assert found["differences"] == [{"kind": "changed", "key": "model.backbone.depth", "before": 50, "after": 101}]
    assert (found["a"]["name"], found["b"]["from"]) == ("net_r50", "mmnet 2.0")


def test_a_file_and_a_model(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    text = zoo(capsys, "config", "flatten", "net_r50")[0]
    Path("mine.py").write_text(text)
    out, err = zoo(capsys, "diff", "mine.py", "net_r50", "--exit-code")
    assert (out, err.splitlines()[-1]) == ("kind\tkey\ta\tb\n", "no difference.")
    Path("mine.py").write_text(text + "new = 1\n")
    assert document(capsys, "diff", "mine.py", "net_r50")["differences"] == [
        {"kind": "removed", "key": "new", "before": 1}
    ]
    zoo(capsys, "diff", "mine.py", "net_r50", "--exit-code", code=1)
    zoo(capsys, "diff", "mine.py", "net_r50")


def test_on_a_terminal_of_80_columns(site: Site) -> None:
    Path("a.py").write_text("name = '고양이'\nlr = 0.1\np = [dict(type='A'), dict(type='B')]\ngone = 1")
    Path("b.py").write_text("name = '犬'\nlr = 0.2\np = [dict(type='A'), dict(type='C', x=1), dict(type='B')]")
    shown = on_terminal("zoo diff a.py b.py", 80)
    assert shown == (
        "a: a.py  a.py\nb: b.py  b.py\n"
        "~ name  '고양이' -> '犬'\n"
        "~ lr    0.1 -> 0.2\n"
        "+ p.1   dict(type='C', x=1)\n"
        "- gone  1\n"
        "2 changed, 1 added, 1 removed.\n"
    )


def test_lines_fit_and_wide_letters_are_counted() -> None:
    before = {"설정": {"키": "값" * 20, "depth": 1}, "mean": [float(number) + 0.12345 for number in range(11)]}
    after = {
        "설정": {"키": "값" * 25, "depth": 2},
        "mean": [float(number) for number in range(9)],
        "more": {"a": [1] * 60},
    }
    lines = [line for _colour, line in difference_lines(differences(before, after), 80)]
    assert all(width(line) <= 80 for line in lines)
    beside = [line for line in lines if " -> " in line or line.startswith("+ more ")]
    assert beside == ["~ 설정.depth  1 -> 2"]
    assert "  - '" + "값" * 20 + "'" in lines


def test_one_line_of_a_value() -> None:
    assert one_line({"a": list(range(80))}).startswith("dict( a=[ 0, 1, 2")
