"""`zoo download` and checkpoints with code: what is refused, what is kept, what is told; eight digits prove nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.models.site import Site
from tests.models.test_download import download, names_in
from tests.support.live_payloads import SYSTEM, payloads
from tests.support.pickles import call, checkpoint, lookup, mapping, tensor, text, torch_zip
from tests.support.server import OtherFile
from zoo_cli.cli.app import run

LIVE = payloads()
UNKNOWN = torch_zip(mapping(head=call(lookup("lab.models", "Net"), text("x")), w=tensor("0", 2)), {"0": bytes(8)})

# Two files of one length of digits: an ordinary one and one with code, found by trying 82,000 of both.
_IDENTITY = b"0" * 40
SAME_DIGITS = "8dc33617"
HARMLESS = checkpoint(b"x" * 100).replace(_IDENTITY, b"%040d" % 14359)
HARMFUL = torch_zip(mapping(a=SYSTEM, b=tensor("0", 25)), {"0": b"x" * 100}).replace(_IDENTITY, b"%040d" % 67414)


@pytest.mark.parametrize("name", ["container-zip", "container-legacy-main", "opcode-protocol-4-stack-global"])
def test_code_is_never_delivered(site: Site, capsys: pytest.CaptureFixture[str], name: str) -> None:
    site.server.always("/zoo/plain.pth", OtherFile(LIVE[name]))
    assert download("plain", "--weights-only", "--allow-unverified", "--dest", "out") == 6
    output = capsys.readouterr()
    assert "error[checkpoint-refused]" in output.err and "dangerous: os.system" in output.err
    assert output.out == "" and names_in(Path("out")) == []
    assert not list(Path().rglob("fired*")) and not list(Path("out").iterdir())
    assert not (site.folder / "state" / "digests.txt").exists()


def test_an_unknown_class_is_named_and_can_be_trusted(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.server.always("/zoo/plain.pth", OtherFile(UNKNOWN))
    assert download("plain", "--weights-only", "--allow-unverified") == 6
    said = capsys.readouterr().err
    assert "unknown: lab.models.Net" in said and "--trust-global lab.models.Net" in said
    assert not Path("plain.pth").exists()
    assert download("plain", "--weights-only", "--allow-unverified", "--trust-global", "lab.models.Net", "--json") == 0
    (model,) = json.loads(capsys.readouterr().out)["models"]
    scan = model["checkpoints"][0]["scan"]
    assert (scan["verdict"], scan["trusted"], scan["is_whole"]) == ("ok", ["lab.models.Net"], True)
    assert Path("plain.pth").read_bytes() == UNKNOWN
    (receipt,) = Path().glob("*.zoo.json")
    (kept,) = json.loads(receipt.read_text())["files"]
    assert kept["scan"] == "no code found (allow list 2026-11, 4 globals, trusted by you: lab.models.Net)"


def test_every_checkpoint_has_its_verdict_in_the_document(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert download("net_r50", "--weights-only", "--json") == 0
    (model,) = json.loads(capsys.readouterr().out)["models"]
    (file,) = model["checkpoints"]
    assert file["scan"]["sentence"] == "no code found (allow list 2026-11, 3 globals)"
    assert download("net_r50", "--weights-only", "--json") == 0
    (again,) = json.loads(capsys.readouterr().out)["models"]
    assert again["checkpoints"][0]["already_here"] and again["checkpoints"][0]["scan"] == file["scan"]


def test_a_file_that_is_here_already_is_looked_into(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert download("plain", "--weights-only", "--allow-unverified") == 0
    Path("plain.pth").write_bytes(LIVE["container-zip"])
    assert download("plain", "--weights-only", "--allow-unverified") != 0
    assert Path("plain.pth").read_bytes() == LIVE["container-zip"]


def test_eight_digits_are_never_called_verified(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """Both files have the digits that the name promises, and one of them has code."""
    assert HARMLESS != HARMFUL
    assert {hashlib.sha256(body).hexdigest()[:8] for body in (HARMLESS, HARMFUL)} == {SAME_DIGITS}
    url = site.server.url("/zoo/reid.pth")
    site.server.always("/zoo/reid.pth", OtherFile(HARMLESS))
    assert run(["fetch", url, "-o", f"model-{SAME_DIGITS}.pth"]) == 0
    said = capsys.readouterr()
    assert "verified" not in said.out + said.err


def test_a_file_with_the_right_eight_digits_and_code_is_refused(
    site: Site, index: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    database = site.folder / "same.db"
    shutil.copy(index[0], database)
    name = f"reid_20220902_112414-{SAME_DIGITS}.pth"
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA trusted_schema = 1")
        before = connection.execute("SELECT name FROM file WHERE name LIKE 'reid%'").fetchone()[0]
        connection.execute("UPDATE file SET name = ?, prefix = ? WHERE name = ?", (name, SAME_DIGITS, before))
    connection.close()
    monkeypatch.setenv("ZOO_INDEX", str(database))
    path = f"/zoo/{before}"
    site.server.always(path, OtherFile(HARMLESS))
    assert download("weights", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["models"][0]["checkpoints"][0]["evidence"] == "prefix"
    assert "verified" not in json.dumps(document)
    Path(name).unlink()
    assert run(["cache", "prune", "--all"]) == 0
    site.server.always(path, OtherFile(HARMFUL))
    assert download("weights") == 6  # it differs from the first one, whatever its eight digits
    assert "error[checkpoint-changed]" in capsys.readouterr().err
    (site.folder / "state" / "digests.txt").unlink()
    assert download("weights") == 6  # and for who never saw the first one, its code decides
    assert "error[checkpoint-refused]" in capsys.readouterr().err
    assert not Path(name).exists()
