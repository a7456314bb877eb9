"""A lab's root beside zoo's: its models under its namespace, whoever is down or over, and nothing of anybody else's."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from tests.models.site import BODIES, CHECKPOINTS, CONFIGS, NAME, Site, build_index, checkpoint, environ_of
from tests.models.site import files_to_serve as site_files
from tests.support.cli import Ran
from tests.support.server import Server
from tests.support.signed import Publisher
from tests.support.wheels import write_wheel
from zoo_cli.catalog.compiler.labs import lab_text
from zoo_cli.catalog.current import index_home, read_current
from zoo_cli.catalog.database import open_catalog
from zoo_cli.catalog.references import UnknownModel, find_models
from zoo_cli.catalog.scope import UnknownPackage
from zoo_cli.cli.app import run
from zoo_cli.models.own import read_own

LAB_HOST = "https://zoo.acme.example"
NET = checkpoint("acme net")
NET_FILE = "acme_net.pth"  # no digits in its name: without the lab's signature nothing would be known of it
METAFILE = f"""\
Collections:
  - Name: AcmeNet
Models:
  - Name: acme_net
    In Collection: AcmeNet
    Config: configs/net/net_r50.py
    Results:
      - Task: Object Detection
        Dataset: COCO
        Metrics: {{box AP: 61.5}}
    Weights: {LAB_HOST}/files/{NET_FILE}
  - Name: net_r50
    In Collection: AcmeNet
    Config: configs/net/net_r50.py
    Weights: {LAB_HOST}/files/{NAME["net_r50"]}
"""


def lab_document(folder: Path, metafile: str = METAFILE) -> tuple[dict[str, Any], Path]:
    """A lab's wheel and what `zoo index read` makes of it."""
    tree = {**CONFIGS, "model-index.yml": "Import: [configs/net/metafile.yml]\n", "configs/net/metafile.yml": metafile}
    files = {f"vision/.mim/{path}": text for path, text in tree.items()}
    wheel = write_wheel(folder / "wheels", "vision", "1.0", files=files)
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    (checkpoints / NET_FILE).write_bytes(NET)
    own = read_own(wheel, f"{LAB_HOST}/wheels/{wheel.name}", "2026-11-20", checkpoints, folder / "catalogue")
    assert (own.digested, own.missing) == ((NET_FILE,), (NAME["net_r50"],))
    return own.built.document, wheel


class World:
    """A user with zoo's own small index, and one lab with keys, a repository and a file server."""

    def __init__(self, folder: Path, site: Site, lab: Publisher, document: dict[str, Any]) -> None:
        self.folder, self.site, self.lab, self.document = folder, site, lab, document
        self.home = index_home(site.environ)

    def zoo(self, *words: str | Path) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = run(list(map(str, words)))
        return Ran(code, out.getvalue(), err.getvalue())

    def trust(self, name: str, publisher: Publisher, address: str) -> None:
        root = self.folder / f"{name}.json"
        root.write_bytes(publisher.trusted.root)
        added = self.zoo("index", "trust", "add", name, root, "--from", address, "--yes")
        assert added.code == 0, added.err

    def publish(self, document: dict[str, Any], days_ago: int = 0) -> None:
        self.lab.lab(lab_text("acme", [document]), days_ago)

    def names(self, *words: str) -> list[str]:
        rows = self.zoo("list", *words, "--json").document["models"]
        return [f"{each['package']}:{each['name']}" for each in rows]


@pytest.fixture(scope="module")
def zoos_own(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build_index(tmp_path_factory.mktemp("own"))


@pytest.fixture
def world(zoos_own: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """zoo's own index stands for the bundled one; the lab's hosts lead to the same loopback server."""
    database, wheel = zoos_own
    document, lab_wheel = lab_document(tmp_path / "lab")
    served = site_files(wheel) | {f"/files/{NET_FILE}": NET, f"/lab/{lab_wheel.name}": lab_wheel.read_bytes()}
    with Server(served) as server:
        environ = environ_of(tmp_path, database, server)
        rules = json.loads((tmp_path / "mirrors.yaml").read_text())
        for start, to in ((f"{LAB_HOST}/files", "/files"), (f"{LAB_HOST}/wheels", "/lab")):
            rules["mirrors"].append({"from": start, "to": server.url(to), "order": "instead"})
        (tmp_path / "mirrors.yaml").write_text(json.dumps(rules))
        del environ["ZOO_INDEX"]
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("ZOO_INDEX", raising=False)
        monkeypatch.setattr("zoo_cli.catalog.database.BUNDLED", database)
        monkeypatch.setattr("zoo_cli.catalog.database.CHECKOUT", tmp_path)  # no checkout: as installed from a wheel
        monkeypatch.chdir(tmp_path)
        lab = Publisher(tmp_path / "lab" / "keys")
        made = World(tmp_path, Site(tmp_path, server, wheel, environ), lab, document)
        made.publish(document)
        yield made


@pytest.fixture
def mirror(world: World) -> Iterator[Server]:
    with Server(root=world.lab.repository) as server:
        yield server


def test_a_labs_models_stand_beside_zoos_and_say_whose_they_are(world: World, mirror: Server) -> None:
    before = world.names()
    world.trust("acme", world.lab, mirror.url("/"))
    updated = world.zoo("index", "update")
    assert updated.code == 0, updated.err
    assert "acme: the index of 2026-11-20 is in use" in updated.err
    assert sorted(world.names()) == sorted(["acme/vision:acme_net", "acme/vision:net_r50", *before])
    assert world.names("acme") == world.names("acme/vision") == ["acme/vision:acme_net", "acme/vision:net_r50"]
    assert world.names("--filter", "box_AP>50 and package=acme/vision") == ["acme/vision:acme_net"]
    assert world.names("--search", "acmenet")[0] == "acme/vision:acme_net"
    (signed,) = world.zoo("list", "acme", "--json").document["signed"]
    assert (signed["root"], signed["namespace"]) == ("acme", "acme")
    shown = world.zoo("show", "acme/vision/acme_net", "--json").document
    assert (shown["id"], shown["signed"]["root"]) == ("acme/vision/1.0/acme_net", "acme")
    assert world.zoo("show", "mmnet/net_r50", "--json").document["signed"] is None
    status = world.zoo("index", "status", "--json").document
    assert (status["in_use"], [(each["name"], each["state"]) for each in status["roots"]]) == (
        "bundled", [("acme", "used")],
    )  # fmt: skip


def test_what_a_lab_signed_in_full_is_called_signed_by_it(world: World, mirror: Server) -> None:
    world.trust("acme", world.lab, mirror.url("/"))
    world.zoo("index", "update")
    done = world.zoo("download", "acme/vision/acme_net", "--dest", "models", "--json")
    assert done.code == 0, done.err + done.out
    (model,) = done.document["models"]
    (file,) = model["checkpoints"]
    assert (file["evidence"], file["signer"], file["sha256"]) == ("signed", "acme", hashlib.sha256(NET).hexdigest())
    (row,) = [
        each for each in world.zoo("verify", "models", "--json").document["files"] if each["role"] == "checkpoint"
    ]
    assert (row["evidence"], row["signer"], row["verified"][:10]) == ("signed", "acme", file["verified"][:10])
    assert f"signed: acme, verified {file['verified'][:10]}" in world.zoo("verify", "models").out
    (receipt,) = (world.folder / "models").glob("*.zoo.json")
    kept = next(each for each in json.loads(receipt.read_text())["files"] if each["role"] == "checkpoint")
    assert (kept["evidence"], kept["signer"], kept["verified"]) == ("signed", "acme", file["verified"])
    # What came with zoo is not signed by anybody, and a file of the lab without a digest is not, either.
    for name in ("net_r50", "acme/vision/net_r50"):
        done = world.zoo("download", name, "--dest", "others", "--force", "--json", "--weights-only")
        evidence = [each["evidence"] for each in done.document.get("models", [{"checkpoints": []}])[0]["checkpoints"]]
        assert "signed" not in evidence
    assert "signer" not in (world.folder / "others" / "net_r50.zoo.json").read_text()


def test_other_bytes_than_the_lab_signed_never_arrive(world: World, mirror: Server) -> None:
    world.trust("acme", world.lab, mirror.url("/"))
    world.zoo("index", "update")
    world.site.server.files[f"/files/{NET_FILE}"] = checkpoint("another net")
    failed = world.zoo("download", "acme/vision/acme_net", "--dest", "models", "--weights-only")
    assert failed.code == 6, failed.err
    assert "signed index" in failed.err
    assert not (world.folder / "models" / NET_FILE).exists()


def test_a_lab_never_stands_in_for_zoo(world: World, mirror: Server) -> None:
    """Its entry has the name, the config and the file name of one of zoo's: only its namespace means it."""
    copied = json.loads(json.dumps(world.document))
    for model in copied["models"]:
        if model["name"] == "net_r50":
            model["aliases"] = ["net_r50_old", "mmnet/net_r101"]
            model["weights"] = [{"url": f"{CHECKPOINTS}/zoo/{NAME['net_r50']}", "name": NAME["net_r50"],
                                 "prefix": NAME["net_r50"][-12:-4], "sha256": "0" * 64}]  # fmt: skip
    copied["models"][0]["aliases"] = ["wonder_net"]
    world.publish(copied)
    world.trust("acme", world.lab, mirror.url("/"))
    assert world.zoo("index", "update").code == 0
    with closing(open_catalog()) as catalog:
        url = f"{CHECKPOINTS}/zoo/{NAME['net_r50']}"
        asked = (
            "net_r50",
            "net_r50_old",
            "mmnet/net_r50",
            "mmnet/net_r101",
            NAME["net_r50"],
            url,
            "configs/net/net_r50.py",
        )
        for text in asked:
            assert {each.project for each in find_models(catalog, text).models} == {"mmnet"}, text
        assert find_models(catalog, "acme/net_r50").models[0].project == "acme/vision"
        for text in ("acme_net", "wonder_net", NET_FILE):  # what only the lab has is not found without its name
            with pytest.raises(UnknownModel):
                find_models(catalog, text)
        with pytest.raises(UnknownModel) as caught:
            find_models(catalog, "acme_net")
        assert [each.name for each in caught.value.near] == ["acme/vision/acme_net"]  # what can be typed
        with pytest.raises(UnknownModel) as caught:
            find_models(catalog, "acme/vision/acme_nett")
        assert [each.name for each in caught.value.near] == ["acme/vision/acme_net"]
        with pytest.raises(UnknownPackage) as unknown:
            find_models(catalog, "acme/visio/acme_net")
        assert unknown.value.near == ("acme/vision",)
    listed = world.zoo("download", "net_*", "--list", "--json").document
    assert {each["package"].partition(" ")[0] for each in listed["models"]} == {"mmnet"}
    done = world.zoo("download", "net_r50", "--dest", "models", "--json")
    assert done.code == 0, done.err
    assert (world.folder / "models" / NAME["net_r50"]).read_bytes() == BODIES[NAME["net_r50"]]


def test_every_command_takes_a_labs_name(world: World, mirror: Server) -> None:
    world.trust("acme", world.lab, mirror.url("/"))
    world.zoo("index", "update")
    for name in (
        "acme/acme_net",
        "acme/vision@1.0/acme_net",
        "acme/vision/1.0/acme_net",
        "acme/vision/*_net",
        "acme/*_net",
    ):
        listed = world.zoo("download", name, "--list", "--json").document["models"]
        assert {(each["name"], each["package"]) for each in listed} == {("acme_net", "acme/vision 1.0")}, name
    filtered = world.zoo("download", "acme", "--filter", "box_AP>1", "--list", "--json").document["models"]
    assert {each["name"] for each in filtered} == {"acme_net"}
    own = world.zoo("download", "--filter", "box_AP>1", "--list", "--json").document["models"]
    assert {each["name"] for each in own} == {"net_r50"}  # without a name: zoo's
    assert "Net, 3 keys" in world.zoo("config", "show", "acme/vision::net/net_r50.py").out
    assert "61.5" in world.zoo("compare", "acme/vision/acme_net", "mmnet/net_r50").out
    assert world.zoo("bundle", "acme/vision/acme_net", "-o", "b.tar", "-q").code == 0
    unpacked = world.zoo("download", "--from-bundle", "b.tar", "--dest", "unpacked", "--json")
    assert unpacked.document["models"][0]["package"] == "acme/vision"
    assert {each["state"] for each in world.zoo("verify", "unpacked", "--json").document["files"]} == {"ok"}
    assert world.zoo("remove", "acme/vision/acme_net", "--dest", "unpacked").code == 0


def test_what_is_kept_of_a_labs_wheel_is_kept_for_the_lab(world: World, mirror: Server) -> None:
    """A lab that claims the digest of zoo's wheel for its own cannot put its configs among those kept of zoo's."""
    hostile = json.loads(json.dumps(world.document))
    with closing(open_catalog()) as catalog:
        own = find_models(catalog, "net_r50").models[0].release
    hostile["release"]["sha256"] = own.wheel_sha256
    world.publish(hostile)
    world.trust("acme", world.lab, mirror.url("/"))
    world.zoo("index", "update")
    assert world.zoo("download", "acme/vision/acme_net", "--config-only", "--dest", "lab_models").code == 0
    kept = sorted(path.name for path in (Path(world.site.environ["ZOO_CACHE"]) / "configs").iterdir())
    assert kept == ["acme"]


def test_a_package_that_a_newer_zoo_brings_goes_before_a_lab_of_its_name(
    world: World, mirror: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.trust("acme", world.lab, mirror.url("/"))
    world.zoo("index", "update")
    from zoo_cli.catalog.database import BUNDLED

    newer = world.folder / "newer.db"
    newer.write_bytes(BUNDLED.read_bytes())
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute("UPDATE package SET project = 'acme' WHERE project = 'mmnet'")
        connection.commit()
    monkeypatch.setattr("zoo_cli.catalog.database.BUNDLED", newer)
    assert {each.partition(":")[0] for each in world.names()} == {"acme", "acme/vision"}
    assert {each.partition(":")[0] for each in world.names("acme")} == {"acme"}
    with closing(open_catalog()) as catalog:
        for name in ("acme/net_r50", "acme/2.0/net_r50", "net_r50"):
            assert find_models(catalog, name).models[0].project == "acme"
        with pytest.raises(UnknownModel):
            find_models(catalog, "acme/acme_net")
    listed = world.zoo("download", "acme/net_r5*", "--list", "--json").document["models"]
    assert {each["package"].partition(" ")[0] for each in listed} == {"acme"}


def test_what_zoos_own_root_signs_in_full_is_signed_by_zoo(world: World) -> None:
    """The same of the root `zoo`: an index with the whole digest of a file, signed and put in use."""
    from tests.support.signed import database_of
    from zoo_cli.catalog.database import BUNDLED

    body = BODIES[NAME["net_r50"]]
    publisher = Publisher(world.folder / "maintainers")
    signed = world.folder / "signed.db"
    signed.write_bytes(BUNDLED.read_bytes())
    with closing(sqlite3.connect(signed)) as connection:
        facts = (hashlib.sha256(body).hexdigest(), len(body), NAME["net_r50"])
        connection.execute("UPDATE file SET sha256 = ?, size_bytes = ? WHERE name = ?", facts)
        connection.commit()
    database_of(publisher, signed)
    with Server(root=publisher.repository) as mirror:
        world.trust("zoo", publisher, mirror.url("/"))
        assert world.zoo("index", "update").code == 0
    done = world.zoo("download", "net_r50", "net_r101", "--dest", "models", "--weights-only", "--json")
    assert done.code == 0, done.out
    rests_on = {each["name"]: each["checkpoints"][0] for each in done.document["models"]}
    assert (rests_on["net_r50"]["evidence"], rests_on["net_r50"]["signer"]) == ("signed", "zoo")
    assert (rests_on["net_r101"]["evidence"], "signer" in rests_on["net_r101"]) == ("prefix", False)
    assert "signed: zoo, verified" in world.zoo("verify", "models").out


@pytest.mark.parametrize("project", ["mmnet", "zoo/net", "globex/vision", "acme/../mmnet", "acme", "acme/"])
def test_an_index_that_names_what_is_not_the_labs_is_refused_whole(world: World, mirror: Server, project: str) -> None:
    world.trust("acme", world.lab, mirror.url("/"))
    world.zoo("index", "update")
    good = read_current(world.home)
    bad = json.loads(lab_text("acme", [world.document]))
    bad["documents"].append({**world.document, "release": {**world.document["release"], "project": project}})
    world.lab.lab(json.dumps(bad).encode())
    refused = world.zoo("index", "update", "--json")
    assert refused.code == 6
    fault = refused.document["error"]["facts"]["fault"]
    assert fault == ("malformed" if project in ("acme/../mmnet", "acme/") else "outside")
    assert read_current(world.home) == good
    assert world.names("acme") == ["acme/vision:acme_net", "acme/vision:net_r50"]


def test_the_namespace_is_the_roots_name_and_not_what_the_index_says(world: World, mirror: Server) -> None:
    world.trust("globex", world.lab, mirror.url("/"))
    refused = world.zoo("index", "update", "globex", "--json")
    assert (refused.code, refused.document["error"]["facts"]["fault"]) == (6, "outside")
    for name in ("mmnet", "torch", "joined", "Acme", "a/b"):
        taken = world.zoo(
            "index", "trust", "add", name, world.folder / "globex.json", "--from", mirror.url("/"), "--yes"
        )
        assert (taken.code, "error[root-name-taken]" in taken.err) == (2, True), name


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b"[" * 100_000, b'{"schema": 2, "namespace": "acme", "documents": []}',
        b'{"schema": 1, "namespace": "acme", "documents": {}}', b'{"schema": 1, "namespace": "acme", "documents": [1]}',
    ],
    ids=["empty", "list", "nothing", "deep", "another schema", "no list", "no document"],
)  # fmt: skip
def test_documents_that_are_none_are_refused(world: World, mirror: Server, body: bytes) -> None:
    world.trust("acme", world.lab, mirror.url("/"))
    world.lab.lab(body)
    refused = world.zoo("index", "update", "--json")
    assert (refused.code, refused.document["error"]["facts"]["fault"]) == (6, "malformed")
    assert world.names("mmnet")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y.pth", "/etc/passwd", "https://a b/c.pth"])
def test_an_address_that_is_none_of_the_web_is_refused(world: World, mirror: Server, url: str) -> None:
    bad = json.loads(json.dumps(world.document))
    bad["models"][0]["weights"][0]["url"] = url
    world.publish(bad)
    world.trust("acme", world.lab, mirror.url("/"))
    refused = world.zoo("index", "update", "--json")
    assert (refused.code, refused.document["error"]["facts"]["fault"]) == (6, "malformed")


def test_two_roots_one_mirror_down_and_one_over(world: World, mirror: Server) -> None:
    """One lab's trouble is that lab's: the other's models, and zoo's, stay what they are."""
    globex = Publisher(world.folder / "globex")
    globex.lab(lab_text("globex", [world.document]))
    other = Server(root=globex.repository)
    with other:
        world.trust("acme", world.lab, mirror.url("/"))
        world.trust("globex", globex, other.url("/"))
        assert world.zoo("index", "update").code == 0
        assert {each.partition(":")[0] for each in world.names()} == {"acme/vision", "globex/vision", "mmnet"}
    world.document["models"][0]["results"][0]["metrics"][0]["value"] = 62.0
    world.publish(world.document)
    mixed = world.zoo("index", "update", "--json")
    assert mixed.code == 5, mixed.out
    assert [(each["name"], each["ok"]) for each in mixed.document["roots"]] == [("acme", True), ("globex", False)]
    assert world.names("--filter", "box_AP>61.9") == ["acme/vision:acme_net"]
    assert len(world.names("globex")) == 2
    # globex stops signing: what it signed is read with a warning, and nothing new is fetched by it.
    _expire(world, "globex")
    listed = world.zoo("list", "-q")
    assert "signatures of the index of globex" in listed.err
    states = {each["name"]: each["state"] for each in world.zoo("index", "status", "--json").document["roots"]}
    assert states == {"acme": "used", "globex": "expired"}
    refused = world.zoo("download", "globex/vision/acme_net", "--weights-only", "--dest", "g")
    assert (refused.code, "error[index-expired]" in refused.err) == (6, True)
    for name in ("acme/vision/acme_net", "net_r50"):
        assert world.zoo("download", name, "--weights-only", "--dest", "fine", "--json").code == 0
    stale = world.zoo(
        "download", "globex/vision/acme_net", "--weights-only", "--dest", "g", "--allow-stale-index", "--json"
    )
    assert stale.code == 0
    (file,) = stale.document["models"][0]["checkpoints"]
    assert (file["evidence"], "signer" in file) == ("locked", False)  # a digest that was signed once


def _expire(world: World, root: str) -> None:
    """Lets the signatures of a root be over, as they are when nobody signs for a year."""
    from zoo_cli.catalog.current import write_current

    current = read_current(world.home)
    assert current is not None
    over = [each._replace(expires="2026-01-01T00:00:00Z") if each.root == root else each for each in current.signed]
    write_current(world.home, current._replace(signed=tuple(over)))


def test_a_root_that_is_trusted_no_longer_is_out_of_use_at_once(world: World, mirror: Server) -> None:
    world.trust("acme", world.lab, mirror.url("/"))
    world.zoo("index", "update")
    assert world.zoo("index", "trust", "remove", "acme").code == 0
    assert not any(each.startswith("acme/") for each in world.names())
    assert world.zoo("index", "status", "--json").document["roots"] == []
    gone = world.zoo("index", "update", "acme")
    assert (gone.code, "error[no-trusted-root]" in gone.err) == (2, True)


def test_a_lab_root_is_rotated_and_its_threshold_holds(world: World, mirror: Server) -> None:
    from securesystemslib.signer import CryptoSigner

    world.trust("acme", world.lab, mirror.url("/"))
    world.zoo("index", "update")
    world.lab.targets_key = CryptoSigner.generate_ed25519()
    world.lab.rotate(world.lab.root_keys[:2], {"targets": [world.lab.targets_key]})
    world.lab.publish()
    world.publish(world.document)
    updated = world.zoo("index", "update", "--json")
    assert updated.code == 0, updated.out
    (row,) = world.zoo("index", "status", "--json").document["roots"]
    assert row["versions"].startswith("root=2 ")
    world.lab.forge("2.root.json", world.lab.root_keys[:1], lambda signed: None)  # one of two that must sign
    from zoo_cli.trust.tufclient import metadata_directory

    fresh = metadata_directory(world.home, "acme", world.lab.trusted.root)
    for path in sorted(fresh.rglob("*"), reverse=True):
        path.unlink() if path.is_file() or path.is_symlink() else path.rmdir()
    refused = world.zoo("index", "update", "--json")
    assert (refused.code, refused.document["error"]["facts"]["fault"]) == (6, "unsigned")


@pytest.mark.parametrize("which", ["documents", "joined"])
def test_a_changed_file_is_noticed(world: World, mirror: Server, which: str) -> None:
    """Nothing is hashed on the way of a command, and still neither file can be exchanged."""
    world.trust("acme", world.lab, mirror.url("/"))
    world.zoo("index", "update")
    current = read_current(world.home)
    assert current is not None
    assert current.file is not None
    if which == "joined":  # made again from what was signed
        current.file.write_bytes(b"something else")
        assert len(world.names("acme")) == 2
        return
    (world.home / current.signed[0].file).write_bytes(b"{}")
    current.file.unlink()
    assert not any(each.startswith("acme/") for each in world.names())
    (row,) = world.zoo("index", "status", "--json").document["roots"]
    assert row["state"] == "unusable"
    assert world.zoo("index", "update").code == 0
    assert len(world.names("acme")) == 2


def test_labs_are_there_while_another_process_updates(world: World, mirror: Server) -> None:
    from zoo_cli import filelock
    from zoo_cli.catalog.current import Current, write_current

    world.trust("acme", world.lab, mirror.url("/"))
    world.zoo("index", "update")
    settled = read_current(world.home)
    assert settled is not None
    write_current(world.home, Current(settled.signed))  # as an update leaves it
    with filelock.hold(world.home / "lock"):
        assert len(world.names("acme")) == 2
        assert read_current(world.home) == Current(settled.signed)
    assert len(world.names("acme")) == 2
    assert read_current(world.home) == settled._replace(seal=getattr(read_current(world.home), "seal", ""))


def test_where_nothing_can_be_written_zoos_own_facts_are_read(
    world: World, mirror: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.trust("acme", world.lab, mirror.url("/"))
    world.zoo("index", "update")
    current = read_current(world.home)
    assert current is not None
    assert current.file is not None
    current.file.unlink()
    (world.home / "lock").unlink()
    (world.home / "lock").mkdir()  # root may write everywhere, but no file here
    assert not any(each.startswith("acme/") for each in world.names())
    assert world.names("mmnet")


def test_another_version_of_zoo_joins_again(world: World, mirror: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    world.trust("acme", world.lab, mirror.url("/"))
    world.zoo("index", "update")
    before = read_current(world.home)
    newer = world.folder / "newer.db"
    from zoo_cli.catalog.database import BUNDLED

    newer.write_bytes(BUNDLED.read_bytes())
    monkeypatch.setattr("zoo_cli.catalog.database.BUNDLED", newer)
    assert len(world.names("acme")) == 2
    after = read_current(world.home)
    assert before is not None
    assert after is not None
    assert after.base != before.base
    assert len(list(world.home.glob("joined-*.db"))) == 1
