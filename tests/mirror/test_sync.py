"""`zoo mirror sync`, `verify` and `use`: what comes, what stays, what goes, and what a client has of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.mirror.conftest import served
from tests.models.site import BODIES, NAME, Site
from tests.support.server import Slow, Status
from zoo_cli.cli.app import run
from zoo_cli.cli.commands import mirror_sync
from zoo_cli.mirror.manifest import NAME as MANIFEST
from zoo_cli.mirror.manifest import Manifest, read_manifest

HOST = "upstream.example/zoo"


def sync(capsys: pytest.CaptureFixture[str], *words: str | Path, code: int = 0) -> dict[str, Any]:
    """Syncs into `lab`; gives the document."""
    assert run(["mirror", "sync", *map(str, words), "--to", "lab", "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def manifest() -> Manifest:
    return read_manifest(Path("lab", MANIFEST).read_bytes(), "lab")


def files_of(folder: Path) -> list[str]:
    """Every visible file that is no copy by digest."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(each for each in found if not each.startswith(("sha256/", ".")))


def test_what_comes_is_named_as_upstream_names_it_and_kept_once(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    done = sync(capsys, "net_*")
    assert {each["path"] for each in done["came"]} == {
        "index/zoo.db", f"{HOST}/{NAME['net_r50']}", f"{HOST}/{NAME['net_r101']}", f"wheels.example/{site.wheel.name}",
    }  # fmt: skip
    kept = site.folder / "lab" / HOST / NAME["net_r50"]
    digest = manifest().files[f"{HOST}/{NAME['net_r50']}"].sha256
    assert kept.read_bytes() == BODIES[NAME["net_r50"]]
    assert kept.samefile(site.folder / "lab" / "sha256" / digest[:2] / digest)
    assert manifest().pending == ()
    before, asked = Path("lab", MANIFEST).stat().st_mtime_ns, len(site.server.requests)
    again = sync(capsys, "net_*")
    assert (again["came"], again["pages"], again["kept"]) == ([], 0, 4)
    assert len(site.server.requests) == asked and Path("lab", MANIFEST).stat().st_mtime_ns == before


def test_only_a_change_comes_and_prune_takes_what_the_mirror_brought(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    sync(capsys, "net_r50", "program")
    done = sync(capsys, "net_r50", "net_r101")
    assert [each["path"] for each in done["came"]] == [f"{HOST}/{NAME['net_r101']}"]
    assert f"{HOST}/{NAME['program']}" in manifest().files, "without --prune earlier files stay"
    foreign = site.folder / "lab" / HOST / "mine.pth"
    foreign.write_bytes(b"mine")
    replaced = site.folder / "lab" / HOST / NAME["program"]
    replaced.unlink()
    replaced.write_bytes(b"somebody put another file here")
    done = sync(capsys, "net_r50", "--prune")
    assert done["removed"] == [f"{HOST}/{NAME['net_r101']}"] and done["stayed"] == [f"{HOST}/{NAME['program']}"]
    assert foreign.read_bytes() == b"mine" and replaced.read_bytes().startswith(b"somebody")
    assert not (site.folder / "lab" / HOST / NAME["net_r101"]).exists()
    blobs = {path.name for path in Path("lab/sha256").glob("*/*")}
    assert blobs == {each.sha256 for each in manifest().files.values() if each.kind not in ("page", "metadata")}


def test_dry_run_says_it_and_does_nothing(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    done = sync(capsys, "net_r50", "--dry-run")
    assert f"{HOST}/{NAME['net_r50']}" in [each["path"] for each in done["coming"]]
    assert not Path("lab").exists()


def test_what_failed_is_said_quietly_too_with_each_way_out_once(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("net_r50", "net_r101"):
        site.server.always(site.path_of(NAME[name]), Status(404))
    assert run(["mirror", "sync", "net_*", "--to", Path("lab").absolute().as_uri(), "-q"]) == 5
    told = capsys.readouterr()
    assert told.out.splitlines() == [str(Path("lab").absolute())]
    assert told.err.count("error[http-status]") == 2
    ways = [line.strip() for line in told.err.splitlines() if ":  " in line]
    assert ways and len(ways) == len(set(ways))


def test_one_that_fails_stops_no_other_and_comes_the_next_time(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.server.always(site.path_of(NAME["net_r50"]), Status(404))
    done = sync(capsys, "net_*", code=5)
    assert [each["code"] for each in done["failures"]] == ["http-status"]
    assert f"{HOST}/{NAME['net_r101']}" in manifest().files and f"{HOST}/{NAME['net_r50']}" not in manifest().files
    site.server.always(site.path_of(NAME["net_r50"]), lambda exchange: exchange.honest())
    assert [each["path"] for each in sync(capsys, "net_*")["came"]] == [f"{HOST}/{NAME['net_r50']}"]


def test_killed_in_the_middle_it_goes_on_and_prune_knows_what_was_begun(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    place = site.path_of(NAME["net_r101"])
    site.server.always(place, Slow(2_000_000))
    argv = [sys.executable, "-m", "zoo_cli", "mirror", "sync", "net_*", "--to", "lab"]
    with subprocess.Popen(argv, env=site.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        part = Path("lab", HOST, f".{NAME['net_r101']}.zoo-part")
        end = time.monotonic() + 30
        while not (part.exists() and part.stat().st_size > 1_000_000) and time.monotonic() < end:
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
    assert f"{HOST}/{NAME['net_r101']}" in manifest().pending
    site.server.always(place, lambda exchange: exchange.honest())
    here = part.stat().st_size
    assert here > 1_000_000
    site.server.requests.clear()
    done = sync(capsys, "net_*")
    assert done["failures"] == [] and manifest().pending == ()
    (request,) = [each for each in site.server.requests_for(place) if each.method == "GET"]
    assert int(str(request.range).removeprefix("bytes=").partition("-")[0]) > here / 2
    assert sync(capsys, "net_r50", "--prune")["removed"] == [f"{HOST}/{NAME['net_r101']}"]


def test_prune_leaves_no_bytes_of_a_file_that_came_just_before_a_kill(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    sync(capsys, "net_r50")
    before, path = manifest(), f"{HOST}/{NAME['net_r101']}"
    sync(capsys, "net_*")
    Path("lab", MANIFEST).write_bytes(replace(before, pending=(path,)).to_bytes())
    assert sync(capsys, "net_r50", "--prune")["removed"] == [path]
    blobs = {each.name for each in Path("lab/sha256").glob("??/*") if each.suffix != ".json"}
    assert blobs == {each.sha256 for each in manifest().files.values() if each.kind not in ("page", "metadata")}


def test_verify_finds_planted_damage_and_the_next_sync_mends_it(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    sync(capsys, "net_*")
    assert run(["mirror", "verify", "lab"]) == 0
    bad = site.folder / "lab" / HOST / NAME["net_r50"]
    about = bad.stat()
    bad.chmod(0o644)
    with bad.open("r+b") as file:
        file.seek(5000)
        file.write(b"\0\1\2\3")
    bad.chmod(0o444)
    os.utime(bad, ns=(about.st_atime_ns, about.st_mtime_ns))  # as a failing disk would: nothing tells but the bytes
    capsys.readouterr()
    assert run(["mirror", "verify", "lab", "--json"]) == 6
    found = json.loads(capsys.readouterr().out)
    assert found["bad"] == [{"path": f"{HOST}/{NAME['net_r50']}", "state": "damaged"}]
    assert [each["path"] for each in sync(capsys, "net_*")["came"]] == [f"{HOST}/{NAME['net_r50']}"]
    assert run(["mirror", "verify", "lab"]) == 0


def test_a_long_verification_says_how_far_it_is(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_sync, "_TELL_SECONDS", 0.0)
    sync(capsys, "net_r50")
    assert run(["mirror", "verify", "lab"]) == 0
    assert "1 of 6 files read\n" in capsys.readouterr().err
    assert run(["mirror", "verify", "lab", "-q"]) == 0 and capsys.readouterr().err == ""


def test_a_link_in_the_place_of_a_file_is_damage_and_goes(
    site: Site, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sync(capsys, "net_r50")
    (tmp_path / "secret").write_text("secret")
    place = Path("lab", HOST, NAME["net_r50"])
    place.unlink()
    place.symlink_to(tmp_path / "secret")
    assert run(["mirror", "verify", "lab"]) == 6
    assert capsys.readouterr().out == f"damaged\t{HOST}/{NAME['net_r50']}\n"
    assert not os.path.lexists(place) and (tmp_path / "secret").read_text() == "secret"
    assert [each["path"] for each in sync(capsys, "net_r50")["came"]] == [f"{HOST}/{NAME['net_r50']}"]


def test_a_client_that_sees_only_the_mirror_downloads_from_it(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sync(capsys, "net_*", "plain", "--allow-unverified")
    asked = len(site.server.requests)
    for name in ("ZOO_MIRRORS", "ZOO_CACHE", "ZOO_STATE"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "there/config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there/cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "there/state"))
    with served(tmp_path / "lab") as server:
        assert run(["mirror", "use", server.url]) == 0
        assert run(["download", "net_*", "--dest", "got"]) == 0
        assert run(["mirror", "remove", server.url]) == 0
        assert run(["mirror", "use", "http://127.0.0.1:1/"]) == 5
    assert (tmp_path / "got" / NAME["net_r101"]).read_bytes() == BODIES[NAME["net_r101"]]
    assert (tmp_path / "got" / "net_r50.py").is_file() and len(site.server.requests) == asked
    assert "from" not in (tmp_path / "there/config/zoo/mirrors.yaml").read_text()


def test_a_directory_is_used_without_a_server(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sync(capsys, "net_r50")
    asked = len(site.server.requests)
    for name in ("ZOO_MIRRORS", "ZOO_CACHE", "ZOO_STATE"):
        monkeypatch.delenv(name)
    for name in ("CONFIG", "CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / "there" / name))
    assert run(["mirror", "use", "./lab"]) == 0
    assert run(["download", "net_r50", "--dest", "got"]) == 0
    assert (tmp_path / "got" / NAME["net_r50"]).read_bytes() == BODIES[NAME["net_r50"]]
    assert len(site.server.requests) == asked
    assert run(["mirror", "remove", "./lab"]) == 0
    assert "file:" not in (tmp_path / "there/CONFIG/zoo/mirrors.yaml").read_text()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["sync", "--to", "lab"], 2, "Say what the mirror shall have"),
        (["sync", "net_r50", "--to", "s3://KEY:SECRET@bucket/x"], 2, "bad-bucket"),
        (["sync", "net_r50", "--to", "s3://bucket/../x"], 2, "bad-bucket"),
        (["sync", "net_r50", "--to", "http://lab:8000/"], 2, "neither a directory nor"),
        (["sync", "net_r50", "--to", ""], 2, "neither a directory nor"),
        (["verify", "S3://bucket/x"], 2, "neither a directory nor"),
        (["verify", "nowhere"], 2, "bad-mirror"),
        (["serve", "."], 2, "bad-mirror"),
    ],
)
def test_mistakes(site: Site, capsys: pytest.CaptureFixture[str], words: list[str], code: int, says: str) -> None:
    assert run(["mirror", *words]) == code
    assert says in (err := capsys.readouterr().err) and "SECRET" not in err
    assert not list(site.folder.glob("http*")) and not Path(MANIFEST).exists()


def test_a_damaged_manifest_is_said_and_nothing_is_touched(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    Path("lab").mkdir()
    Path("lab", MANIFEST).write_text('{"zoo-mirror": 1, "files": [{"path": "../x", "sha256": "", "size": 0}]}')
    assert run(["mirror", "sync", "net_r50", "--to", "lab", "--prune"]) == 2
    err = capsys.readouterr().err
    assert "bad-mirror" in err and f"rm {Path('lab', MANIFEST).absolute()}" in err
    assert files_of(Path("lab")) == [MANIFEST]
