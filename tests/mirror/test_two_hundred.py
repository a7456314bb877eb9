"""A mirror of 200 models of MMDetection 3.3.0 in a directory and in a bucket: figures with `pytest -s`.

Names and configs are the real ones; the checkpoints are made here, so the index used is a copy in which their names
have the digits of what was made. Upstream is a server on loopback that counts what it is asked.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.models.site import build_index, checkpoint
from tests.support import pypi
from tests.support.cli import ROOT, environment
from tests.support.s3 import s3_server
from tests.support.server import Server
from zoo_cli.catalog.compiler import compile_index
from zoo_cli.catalog.compiler.releases import read_project
from zoo_cli.mirror.manifest import read_manifest

pytestmark = [pytest.mark.slow, pytest.mark.network]
COUNT, KILLS = 200, 8
CONFIGS_FROM = "https://files.pythonhosted.org"


@dataclass
class Upstream:
    """The server, the names of the models, and the environment in which zoo takes everything from there."""

    server: Server
    names: list[str]
    checkpoints: set[str]  # paths
    environ: dict[str, str]
    home: Path
    figures: list[str] = field(default_factory=list)

    def zoo(self, *words: str | Path, code: int = 0) -> dict[str, Any]:
        argv = [sys.executable, "-m", "zoo_cli", *map(str, words), "--json"]
        done = subprocess.run(argv, cwd=self.home, env=self.environ, capture_output=True, text=True, timeout=500)
        assert done.returncode == code, done.stderr[-2000:] + done.stdout[-500:]
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def sync(self, to: str, names: list[str], *words: str) -> dict[str, Any]:
        """Syncs, and notes seconds, files and bytes that came, and what upstream was asked."""
        self.server.requests.clear()
        began = time.monotonic()
        done = self.zoo("mirror", "sync", *(f"mmdet/{name}" for name in names), "--to", to, *words)
        came = sum(each["size_bytes"] for each in done["came"])
        self.figures.append(
            f"{time.monotonic() - began:6.1f} s  {len(done['came']):4} files, {came / 1e6:7.1f} MB came, "
            f"{done['kept']:4} kept, {len(done['removed']):4} removed, {len(self.server.requests):4} requests upstream"
        )
        return done

    def asked(self) -> set[str]:
        """Checkpoints that upstream was asked for."""
        return {unquote(urlsplit(each.path).path) for each in self.server.requests} & self.checkpoints


def made_index(home: Path, server: Server) -> tuple[list[str], set[str]]:
    """An index of MMDetection 3.3.0 whose checkpoints are made here and served; names of models with one each."""
    document = read_project(ROOT / "index" / "models" / "mmdet")["3.3.0"]
    names: list[str] = []
    models = []
    for model in document["models"]:
        weights = model.get("weights", [])
        is_usual = len(weights) == 1 and f"-{weights[0].get('prefix')}.pth" in weights[0]["url"]
        is_usual = is_usual and weights[0]["url"].startswith("https://download.openmmlab.com/")
        if is_usual and model.get("config_state") == "found" and len(names) < COUNT + 10:
            names.append(model["name"])
            size = random.Random(model["name"]).randint(200_000, 1_500_000)
            body = checkpoint(model["name"], size)
            weight, prefix = weights[0], hashlib.sha256(body).hexdigest()[:8]
            for key in ("url", "name"):
                weight[key] = weight[key].replace(f"-{weight['prefix']}.", f"-{prefix}.")
            weight["prefix"] = prefix
            server.files["/weights" + unquote(urlsplit(weight["url"]).path)] = body
            models.append(model)
    folder = home / "index"
    build_index(home / "small")  # the compatibility facts and the least of everything else
    shutil.copytree(home / "small" / "index", folder)
    shutil.rmtree(folder / "models" / "mmnet")
    (folder / "models" / "mmdet").mkdir()
    (folder / "models" / "mmdet" / "3.3.0.json").write_text(json.dumps({**document, "models": models, "issues": []}))
    compile_index(folder, home / "zoo.db")
    wheel = pypi.wheel("mmdet", "3.3.0")
    server.files["/pypi" + urlsplit(document["release"]["url"]).path] = wheel.read_bytes()
    return names, {path for path in server.files if path.startswith("/weights")}


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    home = tmp_path_factory.mktemp("two-hundred")
    with Server() as server, s3_server() as store:
        names, paths = made_index(home, server)
        rules = [("https://download.openmmlab.com", server.url("/weights")), (CONFIGS_FROM, server.url("/pypi"))]
        rows = [{"from": start, "to": to, "order": "instead"} for start, to in rules]
        (home / "mirrors.yaml").write_text(json.dumps({"version": "1", "mirrors": rows}))
        more = {**store, "ZOO_INDEX": str(home / "zoo.db"), "ZOO_MIRRORS": str(home / "mirrors.yaml")}
        yield Upstream(server, names, paths, environment(home, **more), home)


@pytest.mark.parametrize("to", ["lab", "s3://lab/zoo"])
def test_two_hundred_models(upstream: Upstream, to: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, changed = upstream.names[:COUNT], upstream.names[10 : COUNT + 10]
    upstream.figures = [f"== {COUNT} models to {to}"]
    if to.startswith("s3"):
        make_bucket(upstream, monkeypatch)
    killed(upstream, to, first)
    done = upstream.sync(to, first)
    assert done["failures"] == []
    again = upstream.sync(to, first)
    assert again["came"] == [] and again["pages"] == 0 and upstream.asked() == set()
    change = upstream.sync(to, changed, "--prune")
    weights = [each["path"] for each in change["came"] if each["path"].startswith("download.openmmlab.com")]
    assert len(weights) == len(change["came"]) == 10 == len(upstream.asked()) == len(change["removed"])
    began = time.monotonic()
    checked = upstream.zoo("mirror", "verify", to)
    upstream.figures.append(
        f"{time.monotonic() - began:6.1f} s  verify: {checked['files']} files, {checked['size_bytes'] / 1e6:.1f} MB"
    )
    victim = random.Random(7).choice(sorted(weights))
    damage(upstream, to, victim)
    found = upstream.zoo("mirror", "verify", to, code=6)
    assert found["bad"] == [{"path": victim, "state": "damaged"}]
    upstream.figures.append(f"          verify with a planted flip: {found['bad']}")
    assert [each["path"] for each in upstream.sync(to, changed)["came"]] == [victim]
    assert upstream.zoo("mirror", "verify", to)["bad"] == []
    sys.stdout.write("\n" + "\n".join(upstream.figures) + "\n")


def killed(upstream: Upstream, to: str, names: list[str]) -> None:
    """Kills the sync at random moments of its transfers; what was there before a kill is never asked for again."""
    chance, begun, again = random.Random(to), 0, 0
    argv = [sys.executable, "-m", "zoo_cli", "mirror", "sync", *(f"mmdet/{name}" for name in names), "--to", to]
    there: set[str] = set()
    for _ in range(KILLS):
        upstream.server.requests.clear()
        with subprocess.Popen(
            argv, cwd=upstream.home, env=upstream.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as child:
            while child.poll() is None and not upstream.asked():
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 1.5))
            child.send_signal(signal.SIGKILL)
        begun += len(upstream.asked())
        again += len(upstream.asked() & there)
        there = published(upstream, to)
    upstream.figures.append(
        f"          {KILLS} x kill -9: {begun} transfers begun, {len(there)} files there, {again} of them asked again"
    )
    assert again == 0 and begun > KILLS


def published(upstream: Upstream, to: str) -> set[str]:
    """Checkpoints that a mirror has: those that have their name, in a bucket those of its manifest."""
    host = "/weights"
    if to.startswith("s3"):
        import boto3

        body = boto3.resource("s3").Object("lab", "zoo/mirror.json").get()["Body"].read()
        return {host + path.partition("/")[1] + path.partition("/")[2] for path in read_manifest(body, to).files}
    root = upstream.home / to / "download.openmmlab.com"
    return {f"{host}/{path.relative_to(root).as_posix()}" for path in root.rglob("[!.]*") if path.is_file()}


def make_bucket(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3

    for name, value in upstream.environ.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="lab")


def damage(upstream: Upstream, to: str, path: str) -> None:
    """Flips one bit and leaves everything else as it was."""
    if to.startswith("s3"):
        import boto3

        held = boto3.resource("s3").Object("lab", f"zoo/{path}")
        body = bytearray(held.get()["Body"].read())
        body[12_345] ^= 1
        held.put(Body=bytes(body))
        return
    place = upstream.home / to / path
    about = place.stat()
    place.chmod(0o644)
    with place.open("r+b") as file:
        file.seek(12_345)
        byte = file.read(1)[0]
        file.seek(12_345)
        file.write(bytes([byte ^ 1]))
    place.chmod(0o444)
    os.utime(place, ns=(about.st_atime_ns, about.st_mtime_ns))
