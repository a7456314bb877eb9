"""`zoo scan` as a process: files, directories, addresses; table, JSON, SARIF; exit codes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import jsonschema
import pytest

from tests.support.cli import zoo
from tests.support.live_payloads import SYSTEM, payloads
from tests.support.pickles import call, checkpoint, lookup, mapping, pickle, tensor, text, torch_zip
from tests.support.sarif import schema
from tests.support.server import Server

GOOD = checkpoint(b"x" * 5_000_000)
BAD = torch_zip(mapping(a=SYSTEM, b=tensor("0", 1_000_000)), {"0": b"\0" * 4_000_000})
ODD = torch_zip(mapping(head=call(lookup("mmdet.models", "Net"), text("x")), b=tensor("0", 2)), {"0": b"\0" * 8})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "good.pth").write_bytes(GOOD)
    (tmp_path / "bad.pth").write_bytes(BAD)
    (tmp_path / "odd.pth").write_bytes(ODD)
    return tmp_path


def test_a_good_file(home: Path) -> None:
    ran = zoo(home, "scan", "good.pth")
    assert ran.code == 0
    row = "good.pth\tok\ttorch zip\tno code found (allow list 2026-11, 3 globals)\n"
    assert ran.out == "file\tverdict\tcontainer\twhat\n" + row
    assert ran.err == ""


def test_code_is_named_and_the_exit_code_is_that_of_wrong_bytes(home: Path) -> None:
    ran = zoo(home, "scan", "bad.pth", "good.pth")
    assert ran.code == 6
    assert "bad.pth\tREFUSED\ttorch zip\trefused: os.system\n" in ran.out
    assert "good.pth\tok\t" in ran.out
    assert "dangerous: os.system  (data.pkl, byte " in ran.err


def test_json(home: Path) -> None:
    ran = zoo(home, "scan", "bad.pth", "good.pth", "--json")
    bad, good = ran.document["files"]
    assert (ran.code, ran.document["ok"], bad["verdict"], good["verdict"]) == (6, False, "refused", "ok")
    assert bad["findings"][0] | {"at": 0} == {
        "level": "dangerous", "code": "dangerous-global", "what": "os.system", "where": "data.pkl", "at": 0,
    }  # fmt: skip
    assert good["globals"] == ["collections.OrderedDict", "torch.ByteStorage", "torch._utils._rebuild_tensor_v2"]
    assert (good["tensors"], good["is_whole"], good["size_bytes"]) == (1, True, len(GOOD))


def test_sarif(home: Path) -> None:
    ran = zoo(home, "scan", ".", "--sarif")
    log = json.loads(ran.out)
    assert (ran.code, log["version"]) == (6, "2.1.0")
    (run,) = log["runs"]
    results = {
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]: result for result in run["results"]
    }
    assert set(results) == {"bad.pth", "odd.pth"}
    assert results["bad.pth"]["ruleId"] == "dangerous-global" and results["bad.pth"]["level"] == "error"
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == {"dangerous-global", "unknown-global"}


@pytest.mark.slow
@pytest.mark.network
def test_sarif_is_what_its_schema_says(home: Path) -> None:
    validator = jsonschema.Draft202012Validator(schema())
    for number, (kind, body) in enumerate(payloads().items()):
        (home / f"{number} {kind.replace('/', '-')} %41[]\u00fc.pth").write_bytes(body)
    (home / "cut.pth").write_bytes(BAD[:700])
    with Server({"/x.pth": BAD}) as server:
        logs = [json.loads(zoo(home, "scan", *words, "--sarif").out) for words in (
            (".",), ("good.pth",), (server.url("/x.pth?token=secret"), "bad.pth"), ("cut.pth",)
        )]  # fmt: skip
    for log in logs:
        assert not [f"{error.json_path}: {error.message}" for error in validator.iter_errors(log)]
    assert len(logs[0]["runs"][0]["results"]) > 50
    assert [len(log["runs"][0]["results"]) > 0 for log in logs] == [True, False, True, True]
    wrong = {**logs[0], "version": "3"}, {**logs[0], "runs": [{**logs[0]["runs"][0], "results": [{"level": "error"}]}]}
    assert all(not validator.is_valid(each) for each in wrong), "the schema can say no"


def test_an_unknown_name_is_refused_until_it_is_trusted(home: Path) -> None:
    assert zoo(home, "scan", "odd.pth").code == 6
    ran = zoo(home, "scan", "odd.pth", "--trust-global", "mmdet.models.Net")
    assert ran.code == 0
    assert "trusted by you: mmdet.models.Net" in ran.out
    assert zoo(home, "scan", "bad.pth", "--trust-global", "mmdet.models.Net").code == 6
    for name in ("os.system", "Net", "mmdet.models.*", "builtins.getattr.x"):
        refused = zoo(home, "scan", "odd.pth", "--trust-global", name)
        assert refused.code == 2, name


def test_a_directory(home: Path) -> None:
    (home / "sub").mkdir()
    (home / "sub" / "no-suffix").write_bytes(pickle(SYSTEM))
    (home / "sub" / "notes.txt").write_text("nothing")
    (home / "sub" / "page.pth").write_text("<html>Not found</html>")
    (home / "sub" / "link.pth").symlink_to(home / "good.pth")
    ran = zoo(home, "scan", "sub", "--json")
    assert {Path(each["file"]).name for each in ran.document["files"]} == {"no-suffix", "page.pth"}
    assert ran.code == 6
    (home / "empty").mkdir()
    assert zoo(home, "scan", "empty").code == 0


def test_what_cannot_be_read_is_an_error_and_no_verdict(home: Path) -> None:
    os.mkfifo(home / "pipe.pth")
    for name in ("missing.pth", "pipe.pth"):
        ran = zoo(home, "scan", name, timeout=20)
        assert ran.code == 1
        assert "error[unreadable-checkpoint]" in ran.err and "Traceback" not in ran.err


def test_names_with_escapes_stay_text(home: Path) -> None:
    (home / "\x1b[31mred\n.pth").write_bytes(GOOD)
    (home / "escape.pth").write_bytes(pickle(lookup("evil\x1b[2J\u202e", "x")))
    ran = zoo(home, "scan", ".")
    assert "\x1b" not in ran.out + ran.err and "\u202e" not in ran.out + ran.err


@pytest.mark.parametrize(("body", "code"), [(GOOD, 0), (BAD, 6)], ids=["good", "bad"])
def test_an_address_is_judged_by_a_few_ranges(home: Path, body: bytes, code: int) -> None:
    with Server({"/model.pth": body}) as server:
        ran = zoo(home, "scan", server.url("/model.pth"), "--json")
        (file,) = ran.document["files"]
        assert (ran.code, file["is_whole"]) == (code, False)
        assert 0 < file["fetched_bytes"] < 400_000 < file["size_bytes"]
        assert all(request.range for request in server.requests)
    assert not list(home.glob("model*"))


def test_offline(home: Path) -> None:
    ran = zoo(home, "scan", "http://127.0.0.1:9/model.pth", "--offline")
    assert ran.code != 0 and "offline" in ran.err


def test_nothing_is_executed(home: Path) -> None:
    """Every live payload, each known to make a file called fired... where it is loaded."""
    (home / "live").mkdir()
    for name, data in payloads().items():
        (home / "live" / f"{name}.pkl").write_bytes(data)
    ran = zoo(home, "scan", "live", "--json")
    assert {file["verdict"] for file in ran.document["files"]} == {"refused"}
    assert len(ran.document["files"]) == len(payloads()) and ran.code == 6
    assert not list(home.rglob("fired*"))
