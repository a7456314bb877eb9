"""A signed index from the first key to `zoo list`, as its holders and its users type it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.support.cli import Ran
from tests.support.server import Server
from tests.support.signed import Publisher, database
from zoo_cli.catalog.current import Current, Signed, index_home, read_current, write_current
from zoo_cli.cli.app import run

DATE = "2099-01-01"  # newer than the index of the checkout
PASSPHRASE = "correct horse battery staple"


@pytest.fixture(autouse=True)
def own_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, part in (("ZOO_STATE", "state"), ("ZOO_CACHE", "cache"), ("XDG_CONFIG_HOME", "config")):
        monkeypatch.setenv(name, str(tmp_path / part))
    monkeypatch.delenv("ZOO_INDEX", raising=False)
    monkeypatch.chdir(tmp_path)


def zoo(home: Path, *words: str | Path, passphrase: str = "") -> Ran:
    """Runs `zoo WORDS...` in this process: a child for each of these steps costs a second."""
    out, err = io.StringIO(), io.StringIO()
    given = {"ZOO_SIGNING_PASSPHRASE": passphrase} if passphrase else {}
    with (
        patch.dict(os.environ, {"ZOO_STATE": str(home / "state"), **given}),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        code = run(list(map(str, words)))
    return Ran(code, out.getvalue(), err.getvalue())


def trusting(home: Path, publisher: Publisher, address: str) -> Ran:
    root = home / "root.json"
    root.write_bytes(publisher.trusted.root)
    return zoo(home, "index", "trust", "add", "zoo", root, "--from", address, "--yes")


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    made = Publisher(tmp_path / "maintainers")
    made.index(DATE)
    return made


@pytest.fixture
def mirror(publisher: Publisher) -> Iterator[Server]:
    with Server(root=publisher.repository) as server:
        yield server


def test_the_ceremony_and_the_first_update(tmp_path: Path) -> None:
    keys = {name: tmp_path / f"{name}.pem" for name in ("a", "b", "c", "targets", "online")}
    for path in keys.values():
        made = zoo(tmp_path, "index", "key", path, passphrase=PASSPHRASE)
        assert (made.code, len(made.out.strip())) == (0, 64), made.err
        assert b"ENCRYPTED PRIVATE KEY" in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    public = {name: f"{path}.pub" for name, path in keys.items()}
    roots = [word for name in "abc" for word in ("--root", public[name])]
    online = ("--snapshot", public["online"], "--timestamp", public["online"])
    repository = tmp_path / "repository"
    staged = zoo(
        tmp_path,
        "index",
        "rotate",
        repository,
        *roots,
        "--targets",
        public["targets"],
        *online,
        "--threshold",
        "root=2",
    ).out.strip()
    file = database(tmp_path / "new.db", DATE)
    publishing = ("index", "publish", repository, "--database", file, "--key", keys["targets"], "--key", keys["online"])
    zoo(tmp_path, "index", "sign", staged, "--key", keys["a"], passphrase=PASSPHRASE)
    early = zoo(tmp_path, *publishing, passphrase=PASSPHRASE)
    assert (early.code, early.out) == (1, "")
    assert "error[signatures-missing]" in early.err
    assert "root: 1 of 2" in early.err
    assert not (repository / "metadata").exists()
    assert zoo(tmp_path, "index", "sign", staged, "--key", keys["c"], passphrase=PASSPHRASE).code == 0
    done = zoo(tmp_path, *publishing, passphrase=PASSPHRASE)
    assert done.code == 0, done.err
    assert "Published: root 1, snapshot 1, targets 1, timestamp 1." in done.err
    renewed = zoo(tmp_path, "index", "publish", repository, "--key", keys["online"], "--json", passphrase=PASSPHRASE)
    assert renewed.document["versions"] == {"root": 1, "snapshot": 1, "targets": 1, "timestamp": 2}
    wrong = zoo(tmp_path, "index", "publish", repository, "--key", keys["online"], passphrase="wrong")
    assert (wrong.code, wrong.out) == (2, "")
    assert "error[bad-key]" in wrong.err
    root = repository / "metadata" / "1.root.json"
    user = tmp_path / "user"
    user.mkdir()
    refused = zoo(user, "index", "trust", "add", "zoo", root, "--from", repository.as_uri())
    assert refused.code == 2
    assert "error[root-not-agreed]" in refused.err
    assert zoo(user, "index", "trust", "add", "zoo", root, "--from", repository.as_uri(), "--yes").code == 0
    assert zoo(user, "index", "update", "--json").document["roots"][0]["index"] == DATE


def test_without_a_root_nothing_is_claimed(tmp_path: Path) -> None:
    status = zoo(tmp_path, "index", "status", "--json").document
    assert (status["in_use"], status["roots"]) == ("bundled", [])
    assert "No root of keys came with this zoo" in zoo(tmp_path, "index", "status").err
    update = zoo(tmp_path, "index", "update")
    assert (update.code, update.out) == (2, "")
    assert "error[no-trusted-root]" in update.err


def test_the_updated_index_is_the_one_in_use(tmp_path: Path, publisher: Publisher, mirror: Server) -> None:
    assert trusting(tmp_path, publisher, mirror.url("/")).code == 0
    assert zoo(tmp_path, "index", "update").code == 0
    status = zoo(tmp_path, "index", "status", "--json").document
    assert (status["in_use"], status["index"]) == ("signed", DATE)
    assert [(each["name"], each["state"]) for each in status["roots"]] == [("zoo", "used")]
    home = index_home({"ZOO_STATE": str(tmp_path / "state")})
    current = read_current(home)
    assert current is not None
    assert current.file is not None
    from zoo_cli.catalog.database import index_date, open_catalog

    with closing(open_catalog(environ={"ZOO_STATE": str(tmp_path / "state"), "ZOO_CACHE": str(tmp_path)})) as catalog:
        assert index_date(catalog) == DATE
    before = [each.path for each in mirror.requests]
    offline = zoo(tmp_path, "index", "update", "--offline")
    assert (offline.code, offline.out) == (5, "")
    assert [each.path for each in mirror.requests] == before
    assert read_current(home) == current
    (home / current.file.name).write_bytes(b"damaged")  # then what came with zoo is used
    assert zoo(tmp_path, "index", "status", "--json").document["in_use"] == "bundled"
    assert zoo(tmp_path, "list", "mmdet", "-q", "-n", "1").code == 0


def test_signatures_that_are_over_warn_readers_and_stop_downloads(
    tmp_path: Path, publisher: Publisher, mirror: Server
) -> None:
    from tests.support.modelsdb import INDEX
    from zoo_cli.catalog.database import open_catalog

    with closing(open_catalog()) as bundled:  # the real tables under a later date, as an update would have put them
        home = tmp_path / "state" / "index"
        home.mkdir(parents=True)
        (path,) = (row[2] for row in bundled.execute("PRAGMA database_list"))
    assert INDEX.is_dir()
    file = home / "zoo-0.db"
    file.write_bytes(Path(path).read_bytes())
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    ends = ("2026-01-01T00:00:00Z", "2025-10-01T00:00:00Z", "x", "-")
    write_current(home, Current((Signed("zoo", "", file.name, digest, DATE, *ends),)))
    listed = zoo(tmp_path, "list", "mmdet", "-q", "-n", "1")
    assert listed.code == 0
    assert f"warning: the signatures of the index of {DATE} expired on 2026-01-01: zoo index update zoo" in listed.err
    model = listed.out.strip()
    refused = zoo(tmp_path, "download", model, "--dest", tmp_path / "models", "--offline")
    assert (refused.code, refused.out) == (6, "")
    assert "error[index-expired]" in refused.err
    assert not (tmp_path / "models").exists()
    for words in (
        ("lock", "mmdet", "--machine", "python=3.11,os=linux"),
        ("build", "mmcv==2.1.0"),
        ("bundle", model, "-o", "m.zoo.tar"),
    ):
        refused = zoo(tmp_path, *words, "--offline")
        assert (refused.code, "error[index-expired]" in refused.err) == (6, True), refused.err
        assert "error[index-expired]" not in zoo(tmp_path, *words, "--offline", "--allow-stale-index").err
    allowed = zoo(
        tmp_path, "download", model, "--dest", tmp_path / "models", "--offline", "--allow-stale-index", "--json"
    )
    assert allowed.code == 5, allowed.err  # it goes on, and --offline stops it
    assert zoo(tmp_path, "index", "status", "--json").document["in_use"] == "expired"


def test_a_refusal_is_one_error_and_the_index_stays(tmp_path: Path, publisher: Publisher, mirror: Server) -> None:
    trusting(tmp_path, publisher, mirror.url("/"))
    zoo(tmp_path, "index", "update")
    publisher.index("2099-02-01", days_ago=91)
    refused = zoo(tmp_path, "index", "update", "--json")
    assert (refused.code, refused.err) == (6, "")
    assert refused.document["error"]["code"] == "index-refused"
    refused = zoo(tmp_path, "index", "update")
    assert refused.err.count("error[") == 1
    assert "Traceback" not in refused.err
    assert zoo(tmp_path, "index", "status", "--json").document["index"] == DATE


def test_roots_are_listed_and_another_one_does_not_slip_in(
    tmp_path: Path, publisher: Publisher, mirror: Server
) -> None:
    trusting(tmp_path, publisher, mirror.url("/"))
    (row,) = zoo(tmp_path, "index", "trust", "list", "--json").document["roots"]
    assert (row["name"], row["threshold"], len(row["keys"]), row["is_shipped"]) == ("zoo", 2, 3, False)
    other = Publisher(tmp_path / "others")
    other.index(DATE)
    assert "error[root-known]" in trusting(tmp_path, other, mirror.url("/")).err
    junk = tmp_path / "junk.json"
    for body in (b"", b"{}", b"[" * 5000, (publisher.repository / "metadata" / "timestamp.json").read_bytes()):
        junk.write_bytes(body)
        refused = zoo(tmp_path, "index", "trust", "add", "zoo", junk, "--from", mirror.url("/"), "--yes")
        assert (refused.code, refused.out) == (6, "")
        assert "error[bad-root]" in refused.err
    assert zoo(tmp_path, "index", "trust", "remove", "zoo").code == 0
    assert zoo(tmp_path, "index", "trust", "list", "--json").document["roots"] == []


def test_a_signed_index_costs_readers_no_import_of_tuf(tmp_path: Path) -> None:
    import subprocess

    from tests.support.cli import ROOT, environment

    script = (
        "import sys\nfrom zoo_cli.cli.app import run\nrun(['list', 'mmdet', '-q', '-n', '1'])\n"
        "run(['index', 'status'])\nprint(*sys.modules, file=sys.stderr)\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, check=True
    )
    loaded = {name.split(".")[0] for name in child.stderr.split()}
    assert not loaded & {"tuf", "securesystemslib", "urllib3", "cryptography", "requests"}


def test_a_receipt_of_keys_holds_no_secret(tmp_path: Path) -> None:
    made = zoo(tmp_path, "index", "key", "k.pem", "--json", passphrase=PASSPHRASE)
    secret = PASSPHRASE
    assert secret not in made.out + made.err
    public = json.loads((tmp_path / "k.pem.pub").read_text())
    assert set(public) == {"keyid", "keytype", "scheme", "keyval"}
    assert secret.encode() not in (tmp_path / "k.pem").read_bytes()
    again = zoo(tmp_path, "index", "key", "k.pem", passphrase=PASSPHRASE)
    assert (again.code, "error[bad-key]" in again.err) == (2, True)  # never overwritten


def test_an_older_file_in_place_of_the_verified_one_is_noticed(
    tmp_path: Path, publisher: Publisher, mirror: Server
) -> None:
    """Of the same size and with the same time: what the file system says besides gives it away, and it is not used."""
    home = tmp_path / "state" / "index"
    trusting(tmp_path, publisher, mirror.url("/"))
    zoo(tmp_path, "index", "update")
    before = read_current(home)
    assert before is not None
    assert before.file is not None
    older = before.file.read_bytes()
    publisher.index("2099-02-01")
    zoo(tmp_path, "index", "update")
    now = read_current(home)
    assert now is not None
    assert now.file is not None
    about = now.file.stat()
    assert about.st_size == len(older)
    now.file.write_bytes(older)
    os.utime(now.file, ns=(about.st_atime_ns, about.st_mtime_ns))
    status = zoo(tmp_path, "index", "status", "--json").document
    assert (status["in_use"], status["roots"][0]["state"]) == ("bundled", "unusable")
    assert zoo(tmp_path, "index", "update").code == 0
    assert zoo(tmp_path, "index", "status", "--json").document["index"] == "2099-02-01"


def test_opening_a_signed_index_looks_at_nothing_again(tmp_path: Path, publisher: Publisher, mirror: Server) -> None:
    """As with the bundled index: neither the digests nor the compiler are on the way of a command."""
    import subprocess

    from tests.support.cli import ROOT, environment

    trusting(tmp_path, publisher, mirror.url("/"))
    zoo(tmp_path, "index", "update")
    script = (
        "import sys\nfrom zoo_cli.catalog.database import index_date, open_catalog\n"
        "print(index_date(open_catalog()), *sys.modules)\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment(tmp_path) | {"ZOO_STATE": str(tmp_path / "state")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    date, *loaded = child.stdout.split()
    assert date == DATE
    assert not {"zoo_cli.catalog.joined", "zoo_cli.catalog.compiler", "zoo_cli.filelock", "tuf"} & set(loaded)
