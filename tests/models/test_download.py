from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests.models.site import (
    BODIES,
    CHECKPOINTS,
    NAME,
    R50,
    Site,
    checkpoint,
)
from tests.support.server import Cut, HtmlPage, OtherFile, Server, Slow, Status, WrongBytes
from tests.support.wheels import write_wheel
from zoo_cli.cli.app import run
from zoo_cli.models.configs import ConfigTree
from zoo_cli.models.selection import safe_name

CHECKPOINT = NAME["net_r50"]


def names_in(folder: Path) -> list[str]:
    """What a user sees in the folder but receipts: part files are hidden."""
    names = (path.name for path in folder.iterdir()) if folder.exists() else ()
    return sorted(name for name in names if not name.startswith(".") and not name.endswith(".zoo.json"))


def download(*words: str) -> int:
    return run(["download", *words])


def settings_of(path: Path) -> dict[str, object]:
    return ConfigTree({"config.py": path.read_bytes()}.get).flatten("config.py").settings


# -- what comes ------------------------------------------------------------------------------------------------------


def test_config_and_checkpoint_come_and_stdout_is_their_paths(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert download("net_r50", "--dest", "out") == 0
    output = capsys.readouterr()
    assert output.out == f"out/net_r50.py\nout/{CHECKPOINT}\n"
    assert settings_of(site.folder / "out" / "net_r50.py") == R50
    assert (site.folder / "out" / CHECKPOINT).read_bytes() == BODIES[CHECKPOINT]
    assert "net_r50: Net on COCO, box AP 40.9" in output.err
    assert "net_r50.py: flattened from 3 files" in output.err
    assert "8 digits of the name match" in output.err  # never "verified": 32 bits


def test_second_run_costs_no_bytes_and_says_so(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert download("net_r50") == 0
    asked = len(site.server.requests)
    first = capsys.readouterr()
    assert download("net_r50") == 0
    assert len(site.server.requests) == asked
    second = capsys.readouterr()
    assert second.out == first.out == f"./net_r50.py\n./{CHECKPOINT}\n"
    assert second.err.count("already here") == 2


def test_config_file_says_where_it_is_from_and_is_the_same_everywhere(site: Site) -> None:
    assert download("net_r50", "--dest", "one", "--config-only") == 0
    assert download("net_r50", "--dest", "two", "--config-only") == 0
    text = (site.folder / "one" / "net_r50.py").read_text()
    assert text == (site.folder / "two" / "net_r50.py").read_text()
    assert text.startswith("# net_r50, flattened by zoo ")
    assert "from mmnet 2.0;" in text.splitlines()[0]
    assert str(site.folder) not in text


def test_a_config_that_another_user_put_into_the_cache_is_not_taken(site: Site) -> None:
    """A config names what is imported and built, and in a group's cache everybody can write: it is kept elsewhere."""
    cache = Path(site.environ["ZOO_CACHE"])
    assert download("net_r50", "--dest", "one", "--config-only") == 0
    kept = list((cache / "configs").rglob("*.py"))
    assert kept
    for each in kept:
        each.write_text("custom_imports = dict(imports=['mine'])\n")
    assert download("net_r50", "--dest", "two", "--config-only") == 0
    assert "mine" in Path("two/net_r50.py").read_text()
    cache.chmod(0o3775)
    assert download("net_r50", "--dest", "three", "--config-only") == 0
    assert Path("three/net_r50.py").read_bytes() == Path("one/net_r50.py").read_bytes()


def test_old_name_gives_todays_model_under_the_name_asked(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert download("net_r50_old") == 0
    output = capsys.readouterr()
    assert output.out.splitlines()[0] == "./net_r50_old.py"
    assert "(net_r50 in mmnet 2.0)" in output.err
    assert settings_of(Path("net_r50_old.py")) == R50


def test_spelling_of_mim(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert download("mmnet", "--config", "net_r50,net_r101", "--dest", ".", "--config-only") == 0
    assert capsys.readouterr().out == "./net_r50.py\n./net_r101.py\n"


@pytest.mark.parametrize(
    "words", [["mmnet/net_r50"], ["mmnet::configs/net/net_r50.py"], ["configs/net/net_r50.py"], [CHECKPOINT]]
)
def test_other_names_of_the_same_model(site: Site, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert download(*words, "--config-only") == 0
    assert settings_of(Path(capsys.readouterr().out.strip())) == R50


def test_an_older_release_is_taken_when_asked(site: Site) -> None:
    assert download("net_r50_old", "--release", "1.0", "--config-only") == 0
    assert "from mmnet 1.0;" in Path("net_r50_old.py").read_text().splitlines()[0]
    assert site.server.requests_for("/wheels/mmnet-2.0-py3-none-any.whl") == []


def test_model_with_several_files(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert download("tracker", "--dest", "out") == 0
    output = capsys.readouterr()
    assert [Path(line).name[:8] for line in output.out.splitlines()] == ["tracker.", "detector", "reid_202"]
    assert len(names_in(site.folder / "out")) == 3
    assert "whoever uses it will import net.extra" in output.err


def test_model_without_checkpoint(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert download("untrained") == 0
    assert "upstream publishes no checkpoint" in capsys.readouterr().err
    assert names_in(site.folder).count("untrained.py") == 1


def test_parts_alone(site: Site) -> None:
    assert download("net_r50", "--weights-only", "--dest", "w") == 0
    assert names_in(site.folder / "w") == [CHECKPOINT]
    assert download("net_r50", "--config-only", "--dest", "c") == 0
    assert names_in(site.folder / "c") == ["net_r50.py"]


def test_json_is_one_document(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert download("net_r50", "--json") == 0
    output = capsys.readouterr()
    assert output.err == ""
    document = json.loads(output.out)
    (model,) = document["models"]
    assert (document["ok"], document["command"], model["package"], model["release"]) == (
        True,
        "download",
        "mmnet",
        "2.0",
    )
    assert model["config"]["files"] == ["configs/_base_/r50.py", "configs/_base_/runtime.py", "configs/net/net_r50.py"]
    (file,) = model["checkpoints"]
    assert file["sha256"] == hashlib.sha256(BODIES[CHECKPOINT]).hexdigest()
    assert file["evidence"] == "prefix"


def test_list_asks_nobody_and_writes_nothing(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert download("net_r50", "--list", "--dest", "out") == 0
    assert site.server.requests == []
    assert not (site.folder / "out").exists()
    assert capsys.readouterr().out.splitlines()[2] == f"net_r50\tmmnet 2.0\tcheckpoint\t{CHECKPOINT}"


def test_dry_run_asks_for_sizes_alone_and_writes_nothing(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert download("net_r50", "--dry-run", "--dest", "out") == 0
    (request,) = site.server.requests
    assert request.range == "bytes=0-0"
    assert not (site.folder / "out").exists()
    output = capsys.readouterr()
    assert output.out.splitlines()[2].startswith(f"checkpoint\tout/{CHECKPOINT}\t100 kB\t")
    assert "Would fetch 2 files: 100 kB; " in output.err
    assert download("net_r50", "--dry-run", "--offline") == 0
    assert "1 of unknown size" in capsys.readouterr().err
    assert len(site.server.requests) == 1


# -- the wheel -------------------------------------------------------------------------------------------------------


def test_only_what_is_needed_of_the_wheel_is_read(site: Site) -> None:
    assert download("net_r50", "--config-only") == 0
    requests = site.server.requests_for(f"/wheels/{site.wheel.name}")
    assert requests
    assert all(request.range for request in requests)
    spans = [request.range.removeprefix("bytes=").split("-") for request in requests if request.range]
    fetched = sum(int(last) - int(first) + 1 if first else int(last) for first, last in spans)
    assert fetched < site.wheel.stat().st_size / 4


def test_configs_once_read_work_offline(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert download("net_r50", "--config-only", "--dest", "one") == 0
    asked = len(site.server.requests)
    assert download("net_r50", "--config-only", "--dest", "two", "--offline") == 0
    assert len(site.server.requests) == asked
    assert settings_of(site.folder / "two" / "net_r50.py") == R50
    assert download("net_r101", "--config-only", "--offline") == 5
    assert site.wheel.name in capsys.readouterr().err


def test_cache_that_cannot_be_used_is_told_and_not_needed(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = site.folder / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("ZOO_CACHE", str(blocked / "cache"))
    monkeypatch.setenv("ZOO_STATE", str(blocked / "state"))
    assert download("net_r50") == 0
    output = capsys.readouterr()
    assert "nothing is kept between runs" in output.err
    assert "digest could not be written" in output.err


def _other_wheel(site: Site, folder: str) -> bytes:
    """A sound wheel of the same name in which one config says something else; its RECORD is in order."""
    with zipfile.ZipFile(site.wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
    files["mmnet/.mim/configs/net/net_r50.py"] = b"model = dict(type='subprocess.check_output')\n"
    return write_wheel(site.folder / folder, "mmnet", "2.0", files=files).read_bytes()


def test_a_mirror_that_changes_a_config_is_passed_over(site: Site) -> None:
    """Also when it changes RECORD to match: the index knows RECORD's digest."""
    site.server.files["/evil/" + site.wheel.name] = _other_wheel(site, "evil")
    mirror = f"https://wheels.example={site.server.url('/evil')}"
    assert download("net_r50", "--config-only", "--mirror", mirror) == 0
    assert site.server.requests_for(f"/evil/{site.wheel.name}"), "the mirror was asked first"
    assert settings_of(site.folder / "net_r50.py") == R50


def test_a_changed_config_everywhere_is_never_written(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.server.files[f"/wheels/{site.wheel.name}"] = _other_wheel(site, "evil")
    assert download("net_r50", "--config-only", "--dest", "out") == 6
    assert "RECORD is not the one the index knows" in capsys.readouterr().err
    assert names_in(site.folder / "out") == []


def test_damaged_wheel_is_an_integrity_error(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    path = f"/wheels/{site.wheel.name}"
    with zipfile.ZipFile(site.wheel) as archive:
        member = archive.getinfo("mmnet/.mim/configs/net/net_r50.py")
    spoiled = bytearray(site.wheel.read_bytes())
    spoiled[member.header_offset + 30 + len(member.filename) + 3] ^= 0xFF
    site.server.files[path] = bytes(spoiled)
    assert download("net_r50") == 6
    assert "error[bad-release-wheel]" in capsys.readouterr().err
    site.server.files[path] = b"PK no zip at all" * 100
    assert download("net_r50") == 6
    assert names_in(site.folder / "out") == []


def test_config_that_would_have_to_run_stops_before_the_checkpoint(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert download("program", "--dest", "out") == 1
    output = capsys.readouterr()
    assert "error[config-not-evaluated]" in output.err
    assert "configs/net/program.py, line 3" in output.err
    assert "--weights-only" in output.err
    assert site.server.requests_for(site.path_of(NAME["program"])) == []
    assert names_in(site.folder / "out") == []
    assert not Path("ran").exists()


def test_missing_base_is_named(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert download("orphan", "--allow-unverified") == 1
    assert "configs/net/gone.py" in capsys.readouterr().err


# -- checkpoints that come wrong -------------------------------------------------------------------------------------


def test_mirror_with_wrong_bytes_is_dropped_and_the_next_source_taken(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    with Server(dict(site.server.files)) as bad:
        bad.always(site.path_of(CHECKPOINT), WrongBytes(at=5))
        assert download("net_r50", "--mirror", f"{CHECKPOINTS}={bad.url()}") == 0
        assert bad.requests_for(site.path_of(CHECKPOINT))
    assert Path(CHECKPOINT).read_bytes() == BODIES[CHECKPOINT]
    assert "warning: " in capsys.readouterr().err


def test_wrong_bytes_everywhere_are_never_saved(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.server.always(site.path_of(CHECKPOINT), WrongBytes())
    assert download("net_r50", "--dest", "out") == 6
    assert names_in(site.folder / "out") == []
    assert CHECKPOINT[-12:-4] in capsys.readouterr().err


@pytest.mark.parametrize("behaviour", [Status(404), HtmlPage(), Status(403)])
def test_no_file_at_the_address(site: Site, behaviour: object, capsys: pytest.CaptureFixture[str]) -> None:
    site.server.always(site.path_of(CHECKPOINT), behaviour)  # type: ignore[arg-type]
    assert download("net_r50", "--dest", "out") == 5
    assert names_in(site.folder / "out") == []
    assert capsys.readouterr().out == ""


def test_truncated_body_goes_on_where_it_ended(site: Site) -> None:
    site.server.misbehave(site.path_of(CHECKPOINT), Cut(after=60_000))
    assert download("net_r50") == 0
    assert Path(CHECKPOINT).read_bytes() == BODIES[CHECKPOINT]
    assert site.server.requests_for(site.path_of(CHECKPOINT))[-1].range == "bytes=60000-"


def test_another_file_than_the_first_time_is_refused(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert download("plain", "--weights-only", "--allow-unverified") == 0
    Path("plain.pth").unlink()
    assert run(["cache", "prune", "--all"]) == 0  # else the first one would be taken from the cache
    site.server.always("/zoo/plain.pth", OtherFile(checkpoint("other")))
    assert download("plain", "--weights-only") == 6  # its digest is known by now
    output = capsys.readouterr()
    assert "error[checkpoint-changed]" in output.err
    assert hashlib.sha256(BODIES["plain.pth"]).hexdigest() in output.err
    assert not Path("plain.pth").exists()
    record = site.folder / "state" / "digests.txt"
    forget = next(line for line in output.err.splitlines() if "sed -i" in line)
    subprocess.run(forget[forget.index("sed") :], shell=True, check=True)  # the way out works as it stands
    assert record.read_text() == ""
    assert download("plain", "--weights-only", "--allow-unverified") == 0


def test_what_cannot_be_compared_with_anything_needs_consent(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["zoo", "download", "plain", "--weights-only"])  # ways out repeat it
    site.server.requests.clear()
    assert download("plain", "--weights-only") == 6
    said = capsys.readouterr().err
    assert "error[unverified]" in said
    assert "zoo download plain --weights-only --cross-check" in said
    assert "zoo download plain --weights-only --allow-unverified" in said
    assert not Path("plain.pth").exists() and not site.server.requests, "it is said before anything is fetched"
    assert download("plain", "--weights-only", "--cross-check") == 6
    assert "there is none" in capsys.readouterr().err
    assert not Path("plain.pth").exists()
    assert run(["show", "plain", "--json"]) == 0
    assert [each["evidence"] for each in json.loads(capsys.readouterr().out)["files"]] == ["none"]
    assert download("plain", "--weights-only", "--allow-unverified") == 0
    (receipt,) = Path().glob("*.zoo.json")
    assert json.loads(receipt.read_text())["files"][0]["evidence"] == "none"
    Path("plain.pth").unlink()
    receipt.unlink()
    assert download("plain", "--weights-only") == 0, "it must be the same, and needs no consent"
    assert json.loads(receipt.read_text())["files"][0]["evidence"] == "locked"
    capsys.readouterr()
    assert run(["verify", "plain.pth"]) == 0
    assert capsys.readouterr().out == "ok    plain.pth  locked\n"


def test_second_download_rests_on_the_first(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert download("net_r50", "--weights-only", "--dest", "one") == 0
    assert download("net_r50", "--weights-only", "--dest", "two", "--json") == 0
    (model,) = json.loads(capsys.readouterr().out.splitlines()[-1])["models"]
    assert model["checkpoints"][0]["evidence"] == "locked" and model["checkpoints"][0]["from_cache"] is True
    assert len(site.server.requests_for(site.path_of(CHECKPOINT))) == 1


# -- the destination -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["net_r50.py", CHECKPOINT])
def test_another_file_in_the_way_is_kept_and_nothing_written(
    site: Site, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = site.folder / "out"
    out.mkdir()
    (out / name).write_text("mine")
    assert download("net_r50", "--dest", "out") == 1
    assert "--force" in capsys.readouterr().err
    assert names_in(out) == [name]
    assert (out / name).read_text() == "mine"
    assert download("net_r50", "--dest", "out", "--force") == 0
    assert settings_of(out / "net_r50.py") == R50
    assert (out / CHECKPOINT).read_bytes() == BODIES[CHECKPOINT]


def test_destination_that_is_no_directory(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    (site.folder / "out").write_text("a file")
    assert download("net_r50", "--dest", "out") == 1
    assert "error[destination-unusable]" in capsys.readouterr().err
    (site.folder / "dir" / "net_r50.py").mkdir(parents=True)
    assert download("net_r50", "--config-only", "--dest", "dir", "--force") == 1


def test_a_model_named_twice_comes_once(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["net_r50", "mmnet/net_r50", "--config-only"]
    assert download(*words) == 0
    assert capsys.readouterr().out == "./net_r50.py\n"


def test_foreign_names_become_plain_file_names() -> None:
    for name in ("../../up/net.py", "/etc/passwd", "-rf", ".hidden", "a\nb", "..", ""):
        safe = safe_name(name)
        assert safe
        assert Path(safe).name == safe
        assert safe[0] not in ".-"
        assert safe.isprintable()
    assert safe_name("tsn_r50_1x1x3 (BMN)+[a]=b,c.py") == "tsn_r50_1x1x3 (BMN)+[a]=b,c.py"


# -- what was asked wrongly ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["net_r5"], 2, "net_r50"),
        (["mmnet"], 2, "zoo list mmnet"),
        (["net_r50", "--config", "net_r50"], 2, "net_r50"),
        (["mmnet", "net_r50", "--config", "x"], 2, "one package"),
        (["mmnet", "--config", " ,"], 2, "names no model"),
        (["net_r50", "--config-only", "--weights-only"], 2, "nothing to fetch"),
        (["net_r50", "--release", "1.0"], 2, "not-in-release"),
        (["untrained", "--weights-only"], 1, "no checkpoint of untrained"),
        (["weights", "--config-only"], 1, "no config of weights"),
        (["nothing"], 1, "no config and no checkpoint of nothing"),
        (["net_r50", "--mirror", "nonsense"], 2, "FROM=TO"),
        ([], 2, "MODEL"),
    ],
)
def test_wrong_words_end_in_one_clear_error(
    site: Site, words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = names_in(site.folder)
    assert download(*words) == code
    output = capsys.readouterr()
    assert said in output.err
    assert output.out == ""
    assert "Traceback" not in output.err
    assert site.server.requests == []
    assert names_in(site.folder) == before


# -- stopped in the middle -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_stopped_in_the_middle_the_same_command_goes_on(site: Site, how: signal.Signals) -> None:
    name = NAME["net_r101"]
    body, path = BODIES[name], site.path_of(name)
    site.server.misbehave(path, Slow(bytes_per_second=2_000_000))
    argv = [sys.executable, "-m", "zoo_cli", "download", "net_r101", "--dest", "out"]
    child = subprocess.Popen(argv, cwd=site.folder, env=site.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    part = site.folder / "out" / f".{name}.zoo-part"
    try:
        site.server.wait_for_request(path, seconds=30)
        while child.poll() is None and not (part.exists() and part.stat().st_size > 300_000):
            time.sleep(0.02)
        child.send_signal(how)
        _out, talk = child.communicate(timeout=30)
    finally:
        child.kill()
        child.communicate()
    assert child.returncode == (-signal.SIGKILL if how == signal.SIGKILL else 130), talk
    assert names_in(site.folder / "out") == []
    kept = part.stat().st_size
    assert 0 < kept < len(body)

    ended = subprocess.run(
        argv, cwd=site.folder, env=site.environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"out/net_r101.py\nout/{name}\n"
    assert (site.folder / "out" / name).read_bytes() == body
    again = site.server.requests_for(path)[-1].range
    assert again is not None
    assert int(again.removeprefix("bytes=").removesuffix("-")) > 0
    assert names_in(site.folder / "out") == sorted(["net_r101.py", name])
