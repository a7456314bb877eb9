"""`--cross-check`: two hosts must send the same file. And the quarantine, where what was refused is kept."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.models.site import BODIES, CHECKPOINTS, NAME, Site, checkpoint
from tests.support.server import Status
from zoo_cli.cli.app import run
from zoo_cli.transfer.part import Part
from zoo_cli.transfer.resume import State

CHECKPOINT = NAME["net_r50"]


def download(site: Site, *words: str, second: str = "/second") -> int:
    """Downloads with a second host before the one of the site: the same server under another name."""
    other = site.server.url(second).replace("127.0.0.1", "localhost")
    return run(["download", *words, "--weights-only", "--json", "--cross-check", "--mirror", f"{CHECKPOINTS}={other}"])


def outcome(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize(("model", "file"), [("net_r50", CHECKPOINT), ("plain", "plain.pth")])
def test_what_two_hosts_send_alike_is_agreed(
    site: Site, model: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    site.server.files[f"/second/zoo/{file}"] = BODIES[file]
    assert download(site, model) == 0
    assert '"evidence": "agreed"' in capsys.readouterr().out
    (receipt,) = site.folder.glob("*.zoo.json")
    assert [each["evidence"] for each in json.loads(receipt.read_text())["files"]] == ["agreed"]
    assert download(site, model) == 0  # the file is here: both hosts are asked again, the level is the recorded digest
    assert '"evidence": "locked"' in capsys.readouterr().out
    assert len([each for each in site.server.requests if each.path.endswith(file) and each.method == "GET"]) == 4


def test_who_sent_half_of_a_file_has_not_vouched_for_it(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    body, paths = BODIES[CHECKPOINT], (f"/second/zoo/{CHECKPOINT}", f"/zoo/{CHECKPOINT}")
    site.server.files[paths[0]] = body
    prefix = hashlib.sha256(body).hexdigest()[:8]
    with Part(site.folder / CHECKPOINT, lambda: None) as part:  # what another address brought of it
        part.start(State("http://elsewhere/x", None, None, len(body), prefix))
        part.write(memoryview(body)[:100])
    assert download(site, "net_r50") == 0
    assert '"evidence": "agreed"' in capsys.readouterr().out
    asked = [[each.range for each in site.server.requests_for(path)] for path in paths]
    assert asked == [["bytes=100-", None], [None]]  # the rest, then the whole from both


def test_two_hosts_with_two_files_are_an_error_and_the_file_is_withdrawn(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    other = checkpoint("another")
    site.server.files["/second/zoo/plain.pth"] = other
    assert download(site, "plain") == 6
    facts = outcome(capsys)["error"]["facts"]  # type: ignore[index]
    assert facts["sha256"] == hashlib.sha256(other).hexdigest()
    assert facts["other_sha256"] == hashlib.sha256(BODIES["plain.pth"]).hexdigest()
    assert not list(site.folder.glob("plain*"))
    kept = Path(facts["quarantine"])
    assert kept.read_bytes() == other and kept.stat().st_mode & 0o777 == 0o600
    assert json.loads(kept.with_suffix(".json").read_text())["code"] == "sources-disagree"
    assert run(["cache", "list", "--json"]) == 0
    items = outcome(capsys)["items"]
    assert [each["name"] for each in items if each["kind"] == "refused"] == [kept.name]  # type: ignore[attr-defined]


@pytest.mark.parametrize("second", ["/second", ""], ids=["down", "the same host twice"])
def test_without_a_second_host_nothing_is_claimed(site: Site, second: str, capsys: pytest.CaptureFixture[str]) -> None:
    site.server.always(f"/second/zoo/{CHECKPOINT}", Status(503))
    other = site.server.url(second).replace("127.0.0.1", "localhost")
    mirror = ["--mirror", f"{CHECKPOINTS}={other}"] if second else []
    assert run(["download", "net_r50", "--weights-only", "--cross-check", *mirror]) == 0
    assert "nothing was cross-checked" in capsys.readouterr().err
    (receipt,) = site.folder.glob("*.zoo.json")
    assert [each["evidence"] for each in json.loads(receipt.read_text())["files"]] == ["prefix"]


def test_a_refused_checkpoint_is_in_quarantine_and_never_under_its_name(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    # Behind a megabyte of data, so that the complete file decides and not its beginning.
    from tests.support.pickles import call, lookup, pickle, text

    evil = pickle(
        b"".join(text("x" * 1000) + b"0" for _ in range(1500)) + call(lookup("os", "system"), text("true")), 4
    )
    site.server.files["/zoo/plain.pth"] = evil
    assert run(["download", "plain", "--weights-only", "--allow-unverified", "--json"]) == 6
    facts = outcome(capsys)["error"]["facts"]  # type: ignore[index]
    assert facts["early"] is False
    assert not list(site.folder.glob("plain*"))
    kept = Path(facts["quarantine"])
    assert run(["download", "net_r50", "--json"]) == 0 and run(["verify", ".", "--json"]) == 0
    *_, document = capsys.readouterr().out.splitlines()
    assert json.loads(document)["quarantined"] == [
        {"path": str(kept), "name": "plain.pth", "code": "checkpoint-refused"}
    ]
    assert run(["verify", "."]) == 0
    assert "refused earlier (checkpoint-refused): plain.pth" in capsys.readouterr().err
    assert kept.read_bytes() == evil
    reason = json.loads(kept.with_suffix(".json").read_text())
    assert reason["verdict"] == "refused" and reason["sha256"] == hashlib.sha256(evil).hexdigest()
