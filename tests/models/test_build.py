"""`zoo index build` against a package index on loopback: what it writes, what it refuses, the same bytes each time."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.modelsdb import INDEX, models_db
from tests.support.pypi import release_files, wheel
from tests.support.server import HtmlPage, Page, Server, Status, WrongBytes
from tests.support.wheels import write_wheel
from zoo_cli.catalog.compiler.deltas import Document, text_of
from zoo_cli.catalog.contents import counts
from zoo_cli.cli.app import run
from zoo_cli.models.build import BUILDER, build
from zoo_cli.models.indexfiles import current
from zoo_cli.models.upstream import SIMPLE_INDEX, SIMPLE_JSON, ReleaseFile, Tree

METAFILE = """\
Collections:
  - Name: Net
    README: configs/net/README.md
Models:
  - Name: net_r50
    In Collection: Net
    Config: configs/net/net_r50.py
    Results:
      - Task: Object Detection
        Dataset: COCO
        Metrics: {box AP: 40.9}
    Weights: https://x.example/net_r50-0123abcd.pth
  - Name: net_r101
    In Collection: Net
    Config: net_r101.py
    Weights: https://x.example/net_r101-4567abcd.pth
"""
TREE = {
    "model-index.yml": "Import:\n  - configs/net/metafile.yml\n",
    "configs/net/metafile.yml": METAFILE,
    "configs/net/net_r50.py": "model = 1\n",
    "configs/net/net_r101.py": "model = 2\n",
}
HOSTS = ("https://pypi.org", "https://files.pythonhosted.org")  # never asked themselves: the server stands for both
FILE = "zoolet-1.0-py3-none-any.whl"


def whl(folder: Path, tree: dict[str, str] | None = None, version: str = "1.0") -> bytes:
    files = {f"zoolet/.mim/{path}": text for path, text in (TREE if tree is None else tree).items()}
    return write_wheel(folder, "zoolet", version, files=files).read_bytes()


def row(body: bytes, name: str = FILE, **more: Any) -> dict[str, Any]:
    return {
        "filename": name, "url": f"https://files.pythonhosted.org/packages/{name}", "size": len(body),
        "hashes": {"sha256": hashlib.sha256(body).hexdigest()}, "upload-time": "2024-01-05T06:25:30.116371Z", **more,
    }  # fmt: skip


def page(*rows: dict[str, Any]) -> Page:
    body = {"meta": {"api-version": "1.1"}, "name": "zoolet", "versions": [], "files": rows}
    return Page(json.dumps(body).encode(), SIMPLE_JSON)


class Site:
    """A package index on loopback with one project, and the command that reads it."""

    def __init__(self, server: Server, index: Path) -> None:
        self.server = server
        self.index = index

    def publish(self, body: bytes, name: str = FILE, **more: Any) -> None:
        self.server.files["/simple/zoolet/"] = page(row(body, name, **more))
        self.server.files[f"/packages/{name}"] = body

    def build(self, *arguments: str) -> int:
        return run(["index", "build", *arguments, "--index", str(self.index)])

    @property
    def document(self) -> Path:
        return self.index / "models/zoolet/1.0.json"

    def files(self) -> list[str]:
        return sorted(path.relative_to(self.index).as_posix() for path in self.index.rglob("*") if path.is_file())


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ZOO_MIRRORS", str(tmp_path / "mirrors.yaml"))
    (tmp_path / "index").mkdir()
    with Server() as server:
        rules = [f"- {{from: '{host}', to: ['{server.url('')}'], order: instead}}\n" for host in HOSTS]
        (tmp_path / "mirrors.yaml").write_text("version: '1'\nmirrors:\n" + "".join(rules), encoding="utf-8")
        site = Site(server, tmp_path / "index")
        site.publish(whl(tmp_path / "made"))
        yield site


def test_a_release_becomes_a_document(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.build("zoolet==1.0") == 0
    out, err = capsys.readouterr()
    assert out == "Changed index/models/zoolet/1.0.json: 2 added, 0 removed, 0 changed\n"
    assert "zoolet 1.0: read 1 metafiles, 2 models; 1 problems in 1 files" in err
    assert (
        "configs/net/metafile.yml:13  net_r101: config net_r101.py does not exist; found configs/net/net_r101.py" in err
    )
    document = json.loads(site.document.read_text(encoding="utf-8"))
    with zipfile.ZipFile(io.BytesIO(site.server.body_of(f"/packages/{FILE}"))) as wheel:  # type: ignore[arg-type]
        record = wheel.read("zoolet-1.0.dist-info/RECORD")
    assert document["release"] == {
        "project": "zoolet", "version": "1.0", "file": FILE, "url": f"https://files.pythonhosted.org/packages/{FILE}",
        "sha256": hashlib.sha256(site.server.body_of(f"/packages/{FILE}")).hexdigest(),  # type: ignore[arg-type]
        "size_bytes": len(site.server.body_of(f"/packages/{FILE}")),  # type: ignore[arg-type]
        "date": "2024-01-05", "source": "https://pypi.org/simple/zoolet/", "evidence": "seen",
        "config_root": "zoolet/.mim/", "metafiles": 1, "builder": BUILDER,
        "record_sha256": hashlib.sha256(record).hexdigest(),
    }  # fmt: skip
    assert [each["name"] for each in document["models"]] == ["net_r101", "net_r50"]
    assert document["models"][1]["weights"] == [
        {"url": "https://x.example/net_r50-0123abcd.pth", "name": "net_r50-0123abcd.pth", "prefix": "0123abcd"}
    ]
    assert "127.0.0.1" not in site.document.read_text(encoding="utf-8")
    connection = models_db(site.index)  # the compiler takes what the builder writes
    assert counts(connection)[0].models == 2
    connection.close()


def test_a_second_build_changes_nothing(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.build("zoolet==1.0") == 0
    before = site.document.read_bytes()
    capsys.readouterr()
    assert site.build("zoolet==1.0") == 0
    assert capsys.readouterr().out == "Nothing changes in index/models/zoolet/1.0.json\n"
    assert site.document.read_bytes() == before
    assert site.files() == ["models/zoolet/1.0.json"]


def asked_for(site: Site, path: str) -> int:
    return sum(request.path == path for request in site.server.requests)


def test_what_is_built_is_kept_until_asked_again(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.build("zoolet==1.0", "-q") == 0
    made = site.document.read_text(encoding="utf-8")
    shutil.rmtree(site.index.parent / "cache")
    capsys.readouterr()
    assert site.build("zoolet==1.0", "--json") == 0
    (kept,) = json.loads(capsys.readouterr().out)["releases"]
    assert (kept["is_same"], kept["is_kept"], kept["models"]) == (True, True, 2)
    assert asked_for(site, f"/packages/{FILE}") == 1
    assert site.build("zoolet==1.0", "--again", "-q") == 0
    assert asked_for(site, f"/packages/{FILE}") == 2
    site.document.write_text(made.replace(f'"builder": {BUILDER}', '"builder": 1'), encoding="utf-8")
    assert site.build("zoolet==1.0", "-q") == 0  # another builder made it
    assert site.document.read_text(encoding="utf-8") == made


def test_a_bad_release_does_not_stop_the_others(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = []
    for version in ("1.0", "1.1", "1.2", "1.3"):
        name = f"zoolet-{version}-py3-none-any.whl"
        body = b"no archive" if version == "1.1" else whl(tmp_path / version, version=version)
        site.server.files[f"/packages/{name}"] = body
        rows.append(row(body, name))
    site.server.files["/simple/zoolet/"] = page(*rows)
    capsys.readouterr()
    assert site.build("zoolet==1.0", "zoolet==1.1", "zoolet==9", "zoolet==1.2", "zoolet==1.0", "zoolet==1.3") == 6
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "Changed index/models/zoolet/1.0.json: 2 added, 0 removed, 0 changed",
        "Not built: zoolet==1.1 (bad-release)",
        "Not built: zoolet==9 (no-release)",
        "Changed index/models/zoolet/1.2.json: 2 added, 0 removed, 0 changed",
        "Changed index/models/zoolet/1.3.json: 2 added, 0 removed, 0 changed",
    ]
    assert "error[bad-release]" in err
    assert "error[no-release]" in err
    assert "4 of 5  zoolet==1.2: 2 models, read" in err
    assert site.files() == [f"models/zoolet/1.{minor}.json" for minor in (0, 2, 3)]
    assert site.build("zoolet==1.1", "zoolet==1.2", "--json") == 6
    document = json.loads(capsys.readouterr().out)
    assert (document["ok"], document["releases"][0]["error"]["code"]) == (False, "bad-release")
    assert document["releases"][1]["is_kept"]


def test_a_dry_run_writes_nothing(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.build("zoolet==1.0", "--dry-run") == 0
    assert capsys.readouterr().out == "Would change index/models/zoolet/1.0.json: 2 added, 0 removed, 0 changed\n"
    assert site.files() == []


def test_what_changed_is_counted(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.build("zoolet==1.0") == 0
    changed = METAFILE.replace("40.9", "41.0").replace("net_r101\n", "net_x\n")
    site.publish(whl(tmp_path / "new", TREE | {"configs/net/metafile.yml": changed}))
    (tmp_path / "cache/releases" / FILE).unlink()
    capsys.readouterr()
    assert site.build("zoolet==1.0", "--json") == 0
    (release,) = json.loads(capsys.readouterr().out)["releases"]
    assert (release["added"], release["removed"], release["changed"]) == (["net_x"], ["net_r101"], ["net_r50"])


def test_a_blocked_record_is_exit_1_and_the_rest_is_written(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = TREE | {
        "model-index.yml": "Import:\n  - configs/*/metafile.yml\n  - configs/gone.yml\n",
        "configs/bad/metafile.yml": "Models: [!!python/object/apply:os.system ['touch ran']]\n",
        "configs/more/metafile.yml": "Models:\n- 7\n- {Name: fine, Config: configs/net/net_r50.py}\n",
    }
    site.publish(whl(tmp_path / "new", tree))
    assert site.build("zoolet==1.0") == 1
    err = capsys.readouterr().err
    assert "tag:yaml.org,2002:python/object/apply:os.system is not read" in err
    assert "configs/gone.yml is not in the release" in err
    document = json.loads(site.document.read_text(encoding="utf-8"))
    assert [each["name"] for each in document["models"]] == ["fine", "net_r101", "net_r50"]
    assert sorted(each["kind"] for each in document["issues"] if each.get("blocks")) == [
        "bad-entry", "import-missing", "unreadable-metafile"]  # fmt: skip


def test_metafiles_that_are_not_imported_are_told(site: Site, tmp_path: Path) -> None:
    site.publish(whl(tmp_path / "new", TREE | {"configs/side/metafile.yml": "Models:\n- {Name: a}\n- {Name: b}\n"}))
    assert site.build("zoolet==1.0", "-q") == 0
    issues = json.loads(site.document.read_text(encoding="utf-8"))["issues"]
    assert [(each["at"], each["detail"][:18]) for each in issues if each["kind"] == "not-imported"] == [
        ("configs/side/metafile.yml:1", "2 models left out:")
    ]


def sdist(tree: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for path, text in tree.items():
            member = tarfile.TarInfo(f"zoolet-1.0/{path}")
            member.size = len(text.encode())
            file.addfile(member, io.BytesIO(text.encode()))
        link = tarfile.TarInfo("zoolet-1.0/configs/net/link.py")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
    return buffer.getvalue()


def test_an_sdist_is_read_where_there_is_no_wheel(site: Site) -> None:
    site.publish(sdist(TREE), "zoolet-1.0.tar.gz")
    assert site.build("zoolet==1.0", "-q") == 0
    document = json.loads(site.document.read_text(encoding="utf-8"))
    assert document["release"]["config_root"] == "zoolet-1.0/"
    assert len(document["models"]) == 2


def refused(
    site: Site, capsys: pytest.CaptureFixture[str], code: str, exit_code: int, spec: str = "zoolet==1.0"
) -> str:
    capsys.readouterr()
    assert site.build(spec) == exit_code
    out, err = capsys.readouterr()
    assert out == ""
    assert f"error[{code}]" in err
    assert "Traceback" not in err
    assert site.files() == []
    return err


def test_no_such_release(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert "zoo index build zoolet==1.0" in refused(site, capsys, "no-release", 2, "zoolet==9.9")


def test_no_such_project(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    refused(site, capsys, "http-status", 5, "nobody==1.0")


def test_only_wheels_for_one_platform(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.publish(b"x", "zoolet-1.0-cp310-cp310-linux_x86_64.whl")
    refused(site, capsys, "no-release", 2)


@pytest.mark.parametrize(
    "body", [b"<html>no</html>", b"{}", b'{"files": 7}', b'{"name": "x", "files": [{}]}', b"[]", b"\xff"]
)
def test_a_page_that_is_no_simple_page(site: Site, capsys: pytest.CaptureFixture[str], body: bytes) -> None:
    site.server.files["/simple/zoolet/"] = Page(body, SIMPLE_JSON)
    refused(site, capsys, "bad-release", 6)


def test_a_digest_that_is_none(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.server.files["/simple/zoolet/"] = page(row(b"x", hashes={"md5": "0"}))
    refused(site, capsys, "bad-release", 6)


def test_wrong_bytes(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.server.always(f"/packages/{FILE}", WrongBytes())
    capsys.readouterr()
    assert site.build("zoolet==1.0") == 6
    assert site.files() == []


def test_a_page_instead_of_the_wheel(site: Site) -> None:
    site.server.always(f"/packages/{FILE}", HtmlPage())
    assert site.build("zoolet==1.0") in (5, 6)
    assert site.files() == []


def test_a_wheel_that_is_gone(site: Site) -> None:
    site.server.always(f"/packages/{FILE}", Status(404))
    assert site.build("zoolet==1.0") == 5
    assert site.files() == []


@pytest.mark.parametrize("body", [b"", b"PK\x03\x04 cut", b"\x00" * 1000])
def test_a_wheel_that_is_no_archive(site: Site, capsys: pytest.CaptureFixture[str], body: bytes) -> None:
    site.publish(body)
    refused(site, capsys, "bad-release", 6)


def test_a_wheel_without_a_model_index(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site.publish(whl(tmp_path / "new", {"configs/a.py": ""}))
    refused(site, capsys, "no-model-index", 1)
    site.publish(whl(tmp_path / "newer", {"model-index.yml": "[" * 1000}))
    (tmp_path / "cache/releases" / FILE).unlink()
    refused(site, capsys, "no-model-index", 1)


def test_a_member_that_is_too_large(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site.publish(whl(tmp_path / "new", TREE | {"configs/net/metafile.yml": "#" * 5_000_000}))
    refused(site, capsys, "bad-release", 6)


@pytest.mark.parametrize("spec", ["zoolet", "zoolet>=1", "zoolet==", "==1", "zoolet==x", "../a==1", "zoolet==1==2"])
def test_what_is_no_release(site: Site, capsys: pytest.CaptureFixture[str], spec: str) -> None:
    assert site.build(spec) == 2
    assert "is not PROJECT==VERSION, such as mmdet==3.3.0" in capsys.readouterr().err
    assert site.server.requests == []


def test_no_index_directory(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.index.rmdir()
    assert site.build("zoolet==1.0") == 2
    assert "There is no index directory" in capsys.readouterr().err


def test_an_index_that_cannot_be_written(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    (site.index / "models").write_text("in the way")
    assert site.build("zoolet==1.0") == 1
    assert "error[cannot-keep-index]" in capsys.readouterr().err
    assert site.files() == ["models"]


# -- the real releases -----------------------------------------------------------------------------------------------


def rebuilt(version: str) -> tuple[Document, Document | None]:
    """The document made from PyPI's wheel, and the committed one."""
    name = f"mmdet-{version}-py3-none-any.whl"
    listed = next(each for each in release_files("mmdet") if each["filename"] == name)
    release = ReleaseFile(
        "mmdet", version, name, listed["url"], listed["hashes"]["sha256"], listed["size"], listed["upload-time"][:10],
        f"{SIMPLE_INDEX}/mmdet/",
    )  # fmt: skip
    with Tree(wheel("mmdet", version), release) as tree:
        return build(tree.release, tree, None).document, current(INDEX, "mmdet", version)


@pytest.mark.network
@pytest.mark.parametrize("version", ["3.3.0", "2.28.2"])
def test_the_committed_documents_are_what_the_wheels_say(version: str) -> None:
    made, committed = rebuilt(version)
    assert committed is not None
    assert text_of(made) == text_of(committed)


@pytest.mark.network
def test_a_release_with_dangling_references_is_read_all_the_same() -> None:
    """mmdet 2.25.0, of which openmim 0.3.9 can load nothing (study 1.2): 28 of 32 lost configs are found again."""
    document = rebuilt("2.25.0")[0]
    states = [each["config_state"] for each in document["models"]]
    assert (len(states), states.count("found"), states.count("repaired"), states.count("missing")) == (465, 433, 28, 4)
    assert [each["kind"] for each in document["issues"]].count("unknown-collection") == 2
    assert sum("weights" in each for each in document["models"]) == 456  # one of them stood among the metrics
