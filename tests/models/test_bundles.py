"""Models in a bundle and out of it again; a bundle is as foreign as anything."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.models.site import BODIES, NAME, R50, Site
from tests.support.server import Status
from zoo_cli.cli.app import run
from zoo_cli.models.configs import ConfigTree
from zoo_cli.trust.bundle import BadBundle, Bundle, write_bundle

CHECKPOINT = NAME["net_r50"]
ALIAS = "open-mmlab://detectron2/resnet50_caffe"


def bundle(*words: str) -> int:
    return run(["bundle", *words])


@pytest.fixture
def made(site: Site, capsys: pytest.CaptureFixture[str]) -> Path:
    assert bundle("net_r50", "tracker", ALIAS, "-o", "b.tar", "-q") == 0
    assert capsys.readouterr().out == "b.tar\n"
    site.server.requests.clear()
    return site.folder / "b.tar"


def rewritten(path: Path, change: Callable[[dict[str, Any]], None], files: dict[str, bytes] | None = None) -> None:
    """The bundle with another manifest, in order as an archive; as whoever forges one would write it."""
    blobs: dict[str, bytes] = {}
    with Bundle(path) as old:
        manifest = dict(old.manifest)
        blobs |= {str(digest): old.read(digest, 10**9) for digest in old.sizes}
    change(manifest)
    folder = path.parent / "forge"
    folder.mkdir(exist_ok=True)
    places: dict[str, Path] = {}
    for body in (*blobs.values(), *(files or {}).values()):
        digest = hashlib.sha256(body).hexdigest()
        places[digest] = folder / digest
        places[digest].write_bytes(body)
    path.unlink()
    write_bundle(path, manifest, places)


# -- there and back --------------------------------------------------------------------------------------------------


def test_what_went_in_comes_out_without_a_connection(
    site: Site, made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ZOO_CACHE", "ZOO_STATE"):
        monkeypatch.setenv(name, str(site.folder / "elsewhere"))
    assert run(["download", "--from-bundle", "b.tar", "--dest", "out", "--offline"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert site.server.requests == []
    assert len(lines) == 6
    for line in lines:
        assert (site.folder / line).is_file()
        if line.endswith(".pth"):
            assert (site.folder / line).read_bytes() == BODIES[Path(line).name]
    text = (site.folder / "out" / "net_r50.py").read_bytes()
    assert ConfigTree({"config.py": text}.get).flatten("config.py").settings == R50
    assert run(["verify", "out"]) == 0
    receipt = json.loads((site.folder / "out" / "net_r50.zoo.json").read_text())
    with Bundle(made) as opened:
        assert receipt["bundle"] == opened.digest
    assert {each["path"]: each["evidence"] for each in receipt["files"]} == {
        "net_r50.py": "bundle", CHECKPOINT: "prefix",
    }  # fmt: skip


def test_the_config_is_the_one_that_a_download_writes(site: Site, made: Path) -> None:
    assert run(["download", "net_r50", "--config-only", "--dest", "direct"]) == 0
    assert run(["download", "net_r50", "--from-bundle", "b.tar", "--dest", "out"]) == 0
    assert (site.folder / "out" / "net_r50.py").read_bytes() == (site.folder / "direct" / "net_r50.py").read_bytes()


def test_the_same_input_gives_the_same_bytes(site: Site, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From another cache, in another order, when everything has been seen before, from another mirror."""
    monkeypatch.setenv("ZOO_CACHE", str(site.folder / "other cache"))
    assert bundle(ALIAS, "tracker", "net_r50", "-o", "again.tar") == 0
    assert bundle(ALIAS, "net_r50", "tracker", "-o", "third.tar") == 0
    assert (site.folder / "again.tar").read_bytes() == made.read_bytes() == (site.folder / "third.tar").read_bytes()


def test_tar_lists_it_and_no_name_in_it_is_foreign(made: Path) -> None:
    with tarfile.open(made) as archive:
        first, *blobs = archive.getmembers()
        assert first.name == "zoo-bundle.json"
        assert all(each.name == f"blobs/{each.name[-64:]}" for each in blobs)
        assert {(each.mtime, each.uid, each.uname, each.type) for each in (first, *blobs)} == {(0, 0, "", b"0")}
        for each in blobs:
            stream = archive.extractfile(each)
            assert stream is not None
            assert hashlib.sha256(stream.read()).hexdigest() == each.name[-64:]


def test_one_model_of_a_bundle_and_what_it_has(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["download", "--from-bundle", "b.tar", "--list"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith(f"{ALIAS}\t\tcheckpoint\tresnet50_caffe")
    assert run(["download", "mmnet/tracker", "--from-bundle", "b.tar", "--layout", "by-model", "--dest", "out"]) == 0
    assert {Path(line).parent for line in capsys.readouterr().out.splitlines()} == {Path("out/tracker")}
    assert run(["download", "other", "--from-bundle", "b.tar"]) == 2
    assert "error[not-in-bundle]" in capsys.readouterr().err
    assert run(["download", "--from-bundle", "b.tar", "--config-only"]) == 2


def test_unpacking_again_costs_nothing_and_others_files_stay(
    site: Site, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["download", "--from-bundle", "b.tar", "--dest", "out"]
    assert run(words) == 0
    assert run(words) == 0
    assert capsys.readouterr().err.count("already here") == 6
    (site.folder / "out" / CHECKPOINT).write_bytes(b"mine")
    assert run(words) == 1
    assert (site.folder / "out" / CHECKPOINT).read_bytes() == b"mine"
    assert run([*words, "--force"]) == 0
    assert (site.folder / "out" / CHECKPOINT).read_bytes() == BODIES[CHECKPOINT]


def test_half_a_bundle_is_none(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.server.always(site.path_of(CHECKPOINT), Status(404))
    assert bundle("net_r50", "net_r101", "-o", "b.tar") == 5
    assert "FAIL  net_r50" in capsys.readouterr().err
    assert [path.name for path in site.folder.iterdir() if "b.tar" in path.name] == []
    site.server.always(site.path_of(CHECKPOINT), lambda exchange: exchange.honest())
    assert bundle("net_r50", "net_r101", "-o", "b.tar") == 0
    assert bundle("net_r50", "-o", "b.tar") == 1, "another file of that name stays"
    assert bundle("net_r50", "-o", "b.tar", "--force") == 0
    assert not (site.folder / "cache" / "bundling").exists()


# -- forged and damaged ----------------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], out: Path, code: int = 6) -> str:
    assert run(["download", "--from-bundle", "b.tar", "--dest", str(out)]) == code
    assert not out.exists() or [path.name for path in out.iterdir() if not path.name.startswith(".")] == []
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


def _set(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["models"][0].update(fields)


def _file(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["models"][0]["files"][0].update(fields)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_file(path="../../up.pth"), "has the part '..'"),
        (_file(path="/etc/cron.d/x"), "is absolute"),
        (_file(path="..\\up.pth"), "backslash"),
        (_file(path=".bashrc"), "no plain name"),
        (_file(path="sub/x.pth"), "no plain name"),
        (_file(path="con"), "not a file name on every system"),
        (_file(sha256="0" * 64), "is not in it"),
        (_file(size_bytes=1), "is not in it, or has another size"),
        (_file(path="x-00000000.pth"), "does not have the digits of its name"),
        (_file(role="script"), "role or size"),
        (_set(files=[]), ""),
        (_set(name=7), "name is no text"),
        (lambda manifest: manifest.update(models="many"), "no list"),
        (lambda manifest: manifest["models"].append(1), "no mapping"),
    ],
)
def test_a_manifest_that_says_what_none_may_say(
    site: Site, made: Path, change: Callable[[dict[str, Any]], None], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rewritten(made, change)
    if said:
        assert said in refused(capsys, site.folder / "out")
    else:
        assert run(["download", "--from-bundle", "b.tar", "--dest", "out"]) == 0, "a model of no files is harmless"
    assert not (site.folder.parent / "up.pth").exists()


@pytest.mark.parametrize(
    "config",
    [
        b"import os\nos.system('touch ran')\n",
        b"x = __import__('os').system('touch ran')\n",
        b"x = (lambda: 1)()\n",
        b"_base_ = '/etc/passwd'\n",
        b"x = 'a' * 10**9\n",
        b"def f(:\n",
    ],
)
def test_a_config_that_would_run_is_never_put_in_place(
    site: Site, made: Path, config: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(manifest: dict[str, Any]) -> None:
        for model in manifest["models"]:
            for file in model["files"]:
                if file["role"] == "config":
                    file.update(sha256=hashlib.sha256(config).hexdigest(), size_bytes=len(config))

    rewritten(made, change, {"config": config})
    assert "no flattened config" in refused(capsys, site.folder / "out")
    assert not Path("ran").exists()


def test_another_checkpoint_than_was_seen_before_is_refused(
    site: Site, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = b"another network" * 100

    def change(manifest: dict[str, Any]) -> None:
        file = next(each for each in manifest["models"][1]["files"] if each["role"] == "checkpoint")
        file.update(sha256=hashlib.sha256(other).hexdigest(), size_bytes=len(other), path="net.pth")

    rewritten(made, change, {"other": other})
    assert "error[checkpoint-changed]" in refused(capsys, site.folder / "out")


def test_a_checkpoint_that_would_run_code_is_never_put_in_place(
    site: Site, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = b"cos\nsystem\n(S'touch ran'\ntR."

    def change(manifest: dict[str, Any]) -> None:
        file = next(each for each in manifest["models"][0]["files"] if each["role"] == "checkpoint")
        file.update(sha256=hashlib.sha256(evil).hexdigest(), size_bytes=len(evil), path="net.pth", upstream=None)

    rewritten(made, change, {"evil": evil})
    said = refused(capsys, site.folder / "out")
    assert "os.system" in said
    assert not Path("ran").exists()
    assert [path.name for path in (site.folder / "out").iterdir()] == [], "no part of it is left"


def test_a_flipped_byte_anywhere_is_found(site: Site, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = made.read_bytes()
    for at in (0, 150, 300, 511, 600, len(whole) // 3, len(whole) // 2, len(whole) - 1500, len(whole) - 1):
        made.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with_parts = run(["download", "--from-bundle", "b.tar", "--dest", f"out{at}"])
        assert with_parts == 6, at
        assert "error[bad-bundle]" in capsys.readouterr().err
        for path in (site.folder / f"out{at}").rglob("*.pth"):
            assert path.read_bytes() == BODIES[path.name], "what is there is right"


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1024])
def test_what_is_cut_off_or_no_bundle(made: Path, size: int) -> None:
    whole = made.read_bytes()
    for body in (whole[:size], whole[: len(whole) - size - 1], whole + b"x" * (size or 1), b"x" * size):
        made.write_bytes(body)
        with pytest.raises(BadBundle):
            Bundle(made)


def test_entries_beside_the_manifest_links_and_huge_headers_are_refused(site: Site, made: Path) -> None:
    with tarfile.open("more.tar", "w", format=tarfile.GNU_FORMAT) as archive, tarfile.open(made) as old:
        for member in old:
            archive.addfile(member, old.extractfile(member))
        link = tarfile.TarInfo("blobs/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(BadBundle, match="something is behind its end"):
        Bundle(site.folder / "more.tar")
    huge = tarfile.TarInfo("zoo-bundle.json")
    huge.size = 10**12
    made.write_bytes(huge.tobuf(tarfile.GNU_FORMAT) + b"{}")
    with pytest.raises(BadBundle, match="larger than"):
        Bundle(made)


def test_a_deep_manifest_is_one_error(made: Path) -> None:
    for text in (
        b"[" * 200_000,
        b'{"schema": 1, "blobs": []}',
        b'{"schema": 1}',
        b'{"schema": 2, "blobs": []}',
        b"\xff",
    ):
        entry = tarfile.TarInfo("zoo-bundle.json")
        entry.size = len(text)
        made.write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + text + bytes(-len(text) % 512) + bytes(1024))
        if text == b'{"schema": 1, "blobs": []}':
            with Bundle(made) as empty:
                assert empty.sizes == {}
        else:
            with pytest.raises(BadBundle):
                Bundle(made)


bodies = st.lists(st.binary(max_size=3000), max_size=5, unique=True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(bodies, st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3))
def test_reading_gives_what_was_written(tmp_path: Path, files: list[bytes], section: dict[str, Any]) -> None:
    places = {}
    for body in files:
        digest = hashlib.sha256(body).hexdigest()
        (tmp_path / digest).write_bytes(body)
        places[digest] = tmp_path / digest
    written = write_bundle(tmp_path / "b.tar", {"section": section}, places, replace=True)
    with Bundle(tmp_path / "b.tar") as opened:
        assert opened.digest == written.digest
        assert opened.manifest == {"section": section}
        assert {str(digest): opened.read(digest, 10**6) for digest in opened.sizes} == {
            hashlib.sha256(body).hexdigest(): body for body in files
        }


def test_files_of_many_gigabytes_are_streamed(tmp_path: Path) -> None:
    """Nine sparse gigabytes: more than octal digits of a tar header hold. The frame is read without the blobs."""
    big = tmp_path / "big"
    with big.open("wb") as file:
        os.truncate(file.fileno(), 9 << 30)
    entry = tarfile.TarInfo(f"blobs/{'0' * 64}")
    entry.size = 9 << 30
    manifest = json.dumps({"schema": 1, "blobs": [{"sha256": "0" * 64, "size_bytes": 9 << 30}]}).encode()
    head = tarfile.TarInfo("zoo-bundle.json")
    head.size = len(manifest)
    with (tmp_path / "b.tar").open("wb") as file:
        file.write(head.tobuf(tarfile.GNU_FORMAT) + manifest + bytes(-len(manifest) % 512))
        file.write(entry.tobuf(tarfile.GNU_FORMAT))
        file.seek(9 << 30, os.SEEK_CUR)
        file.write(bytes(1024))
    with Bundle(tmp_path / "b.tar") as opened:
        assert list(opened.sizes.values()) == [9 << 30]
