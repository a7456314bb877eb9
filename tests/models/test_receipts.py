"""Receipts beside downloads; `zoo verify` and `zoo remove`, which believe nothing else."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models.site import BODIES, CHECKPOINTS, NAME, Site
from zoo_cli.cli.app import run
from zoo_cli.models.keeping import find_receipts, verify
from zoo_cli.models.receipts import BadReceipt, Receipt, ReceiptFile, merged, read_receipt, receipt_text
from zoo_cli.trust.archive import name_problem

CHECKPOINT = NAME["net_r50"]
RECEIPT = "net_r50.zoo.json"


@pytest.fixture
def out(site: Site) -> Path:
    assert run(["download", "net_r50", "--dest", "out", "-q"]) == 0
    return site.folder / "out"


def document(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def states(site: Site, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, str]:
    capsys.readouterr()
    asked = len(site.server.requests)
    run(["verify", *words, "--json"])
    assert len(site.server.requests) == asked, "no connection"
    return {Path(each["path"]).name: each["state"] for each in json.loads(capsys.readouterr().out)["files"]}


# -- what is written -------------------------------------------------------------------------------------------------


def test_a_receipt_says_what_came_from_where_and_what_it_rests_on(site: Site, out: Path) -> None:
    receipt = document(out / RECEIPT)
    assert (receipt["schema"], receipt["name"], receipt["package"], receipt["release"]) == (
        1,
        "net_r50",
        "mmnet",
        "2.0",
    )
    assert receipt["index_date"] == "2026-11-23"
    assert receipt["date"].endswith("Z")
    config, checkpoint = receipt["files"]
    assert config["sha256"] == hashlib.sha256((out / "net_r50.py").read_bytes()).hexdigest()
    assert (config["role"], config["evidence"]) == ("config", "record")
    assert checkpoint == {
        "path": CHECKPOINT, "role": "checkpoint", "size_bytes": len(BODIES[CHECKPOINT]),
        "sha256": hashlib.sha256(BODIES[CHECKPOINT]).hexdigest(), "evidence": "prefix",
        "url": site.server.url(site.path_of(CHECKPOINT)), "upstream": f"{CHECKPOINTS}/zoo/{CHECKPOINT}",
        "scan": "no code found (allow list 2026-11, 3 globals)",
    }  # fmt: skip
    source = receipt["config"]
    assert source["path"] == "configs/net/net_r50.py"
    assert source["wheel_sha256"] == hashlib.sha256(site.wheel.read_bytes()).hexdigest()
    assert len(source["files"]) == 3


def test_a_second_run_leaves_the_receipt_as_it_was(out: Path) -> None:
    before = (out / RECEIPT).read_bytes()
    assert run(["download", "net_r50", "--dest", "out"]) == 0
    assert (out / RECEIPT).read_bytes() == before


def test_parts_of_two_runs_stand_in_one_receipt(site: Site) -> None:
    for part in ("--weights-only", "--config-only"):
        assert run(["download", "net_r50", "--dest", "parts", part]) == 0
    found = document(site.folder / "parts" / RECEIPT)
    assert [each["role"] for each in found["files"]] == ["config", "checkpoint"]


def test_no_receipt_when_none_is_wanted(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["download", "net_r50", "--dest", "none", "--no-receipt"]) == 0
    assert not list((site.folder / "none").glob("*.json"))
    assert run(["verify", "none"]) == 2
    assert "error[no-receipt]" in capsys.readouterr().err


def test_a_file_in_the_receipts_place_stays(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    (site.folder / RECEIPT).write_text("mine")
    assert run(["download", "net_r50"]) == 1
    assert (site.folder / RECEIPT).read_text() == "mine"
    assert "error[destination-exists]" in capsys.readouterr().err


# -- verify ----------------------------------------------------------------------------------------------------------


def test_what_is_as_it_came_is_ok(site: Site, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "out"]) == 0
    assert capsys.readouterr().out.splitlines() == ["ok    out/net_r50.py  record", f"ok    out/{CHECKPOINT}  prefix"]
    assert states(site, capsys, f"out/{CHECKPOINT}") == {CHECKPOINT: "ok"}
    assert len(states(site, capsys, f"out/{RECEIPT}")) == 2


def test_changed_missing_and_extra(site: Site, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = bytearray(BODIES[CHECKPOINT])
    body[77] ^= 1
    (out / CHECKPOINT).unlink()  # it may be a hard link into the cache
    (out / CHECKPOINT).write_bytes(body)
    (out / "net_r50.py").unlink()
    (out / "notes.txt").write_text("mine")
    assert run(["verify", "out"]) == 6
    output = capsys.readouterr()
    assert "missing: it is gone" in output.out
    assert f"changed: its sha256 is {hashlib.sha256(body).hexdigest()}" in output.out
    assert "0 as they came, 2 not, 1 extra." in output.err
    assert states(site, capsys, "out") == {"net_r50.py": "missing", CHECKPOINT: "changed", "notes.txt": "extra"}
    (out / CHECKPOINT).write_bytes(body[:-1])
    assert f"it has {len(body) - 1:,} bytes, not {len(body):,}" in _said(capsys, "verify", "out")
    (out / CHECKPOINT).unlink()
    (out / CHECKPOINT).symlink_to("/dev/zero")
    assert "it is a link now" in _said(capsys, "verify", "out")
    (out / CHECKPOINT).unlink()
    (out / CHECKPOINT).mkdir()
    assert "it is no plain file now" in _said(capsys, "verify", "out")


def _said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert run(list(words)) == 6
    return capsys.readouterr().out


def test_extra_files_alone_are_no_fault(out: Path) -> None:
    (out / "notes.txt").write_text("mine")
    assert run(["verify", "out"]) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 99},
        {"files": "many"},
        {
            "files": [
                {"path": "../up.pth", "role": "checkpoint", "size_bytes": 1, "sha256": "0" * 64, "evidence": "none"}
            ]
        },
        {"files": [{"path": "/etc/passwd", "role": "config", "size_bytes": 1, "sha256": "0" * 64, "evidence": "none"}]},
        {"files": [{"path": "a/b", "role": "config", "size_bytes": 1, "sha256": "0" * 64, "evidence": "none"}]},
        {"files": [{"path": "a", "role": "config", "size_bytes": -1, "sha256": "0" * 64, "evidence": "none"}]},
        {"files": [{"path": "a", "role": "config", "size_bytes": 1, "sha256": "0" * 63, "evidence": "none"}]},
        {"files": [{"path": "a", "role": "script", "size_bytes": 1, "sha256": "0" * 64, "evidence": "none"}]},
        {"files": [{"path": n, "role": "log", "size_bytes": 1, "sha256": "0" * 64, "evidence": "none"} for n in "aA"]},
        {"name": ["net"]},
        {"links": [1]},
    ],
)
def test_a_receipt_that_says_what_none_may_say(
    out: Path, change: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    (out / RECEIPT).write_text(json.dumps(document(out / RECEIPT) | change))
    assert "unreadable" in _said(capsys, "verify", "out")
    assert run(["remove", "out"]) == 6
    assert "error[bad-receipt]" in capsys.readouterr().err
    assert (out / CHECKPOINT).is_file()


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5_000_000])
def test_bytes_that_are_no_receipt(body: bytes) -> None:
    with pytest.raises(BadReceipt):
        read_receipt(body, "x.zoo.json")


names = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=20)
files = st.builds(
    ReceiptFile,
    names.filter(lambda name: name_problem(name) is None),  # no device of some system
    st.sampled_from(["config", "checkpoint", "log"]),
    st.integers(0, 10**13),
    st.sampled_from(["0" * 64, "1" * 64]),
    st.sampled_from(["prefix", "none"]),
    st.none() | names,
    scan=st.none() | names,
)
receipts = st.builds(
    Receipt, names, names, st.none() | names, st.none() | names, names, names, names,
    st.lists(files, max_size=4, unique_by=lambda file: file.path.casefold()).map(tuple),
)  # fmt: skip


@given(receipts)
def test_reading_gives_what_was_written(receipt: Receipt) -> None:
    assert read_receipt(receipt_text(receipt).encode(), "x") == receipt


@given(receipts, receipts)
def test_merging_loses_no_file_and_doing_it_again_changes_nothing(old: Receipt, new: Receipt) -> None:
    both = merged(old, new)
    assert {each.path for each in both.files} == {each.path for each in (*old.files, *new.files)}
    assert all(each in (*old.files, *new.files) for each in both.files)
    assert merged(both, replace(new, date="later")).files == both.files


# -- remove ----------------------------------------------------------------------------------------------------------


def test_remove_takes_what_the_receipt_lists_and_nothing_else(
    site: Site, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (out / "notes.txt").write_text("mine")
    capsys.readouterr()
    assert run(["remove", "net_r50", "--dest", "out", "--dry-run"]) == 0
    assert (out / CHECKPOINT).is_file()
    planned = capsys.readouterr().out
    assert run(["remove", "net_r50", "--dest", "out"]) == 0
    assert capsys.readouterr().out == planned == f"out/net_r50.py\nout/{CHECKPOINT}\n"
    assert [path.name for path in out.iterdir()] == ["notes.txt"]
    assert run(["remove", "net_r50", "--dest", "out"]) == 2


def test_what_was_changed_stays_unless_that_is_said(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (out / "net_r50.py").write_text("edited = True\n")
    assert run(["remove", "out"]) == 1
    assert "--changed" in capsys.readouterr().err
    assert sorted(path.name for path in out.iterdir()) == ["net_r50.py", RECEIPT]
    assert [each["path"] for each in document(out / RECEIPT)["files"]] == ["net_r50.py"]
    assert run(["remove", "out", "--changed"]) == 0
    assert list(out.iterdir()) == []


def test_a_file_that_another_model_needs_stays(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["download", "tracker", "weights", "--weights-only", "--dest", "out"]) == 0
    reid = next(name for name in BODIES if name.startswith("reid"))
    assert run(["remove", "weights", "--dest", "out"]) == 0
    assert "another model needs it" in capsys.readouterr().err
    assert (site.folder / "out" / reid).is_file()
    assert run(["verify", "out"]) == 0
    assert run(["remove", "tracker", "--dest", "out"]) == 0
    assert list((site.folder / "out").iterdir()) == []


def test_a_models_own_folder_and_its_links_go_with_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(site.folder / "torch"))
    assert run(["download", "net_*", "--layout", "by-model", "--dest", "out", "--link-caches"]) == 0
    cached = site.folder / "torch" / "hub" / "checkpoints"
    assert len(list(cached.iterdir())) == 2
    other = cached / NAME["net_r101"]
    other.unlink()
    other.write_text("another file by now")
    assert run(["remove", "out"]) == 0
    assert list((site.folder / "out").iterdir()) == []
    assert [path.name for path in cached.iterdir()] == [NAME["net_r101"]], "what is no link of ours any more stays"


def test_every_receipt_below_a_directory_is_found_and_links_are_not_followed(site: Site, out: Path) -> None:
    (site.folder / "far").mkdir()
    assert run(["download", "net_r101", "--dest", "far", "--weights-only"]) == 0
    (out / "link").symlink_to(site.folder / "far")
    assert len(find_receipts("out")) == 1
    (out / "below").mkdir()
    assert run(["download", "net_r101", "--dest", "out/below", "--weights-only"]) == 0
    found = find_receipts("out")
    assert len(found) == 2
    assert {each.state for each in verify(found)} == {"ok"}
