"""A bundle made where there is a network, installed and used where there is none: a namespace without any device."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from demo.site import ROOT, Site
from tests.support.cli import Ran, environment, zoo
from tests.support.torch_env import mmcv_python
from tests.support.upstream import upstream

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.network]
MODEL = "yolov3_mobilenetv2_320_300e_coco"
STEM = f"{MODEL}_20210719_215349"


@dataclass
class There:
    """A computer of its own: another home, another cache, and no network at all."""

    home: Path
    more: dict[str, str] = field(default_factory=dict)

    def run(self, *argv: str | Path, timeout: float = 900) -> Ran:
        """A command in a network namespace without any device but a loopback that is down."""
        alone = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
        done = subprocess.run(
            [*alone, *map(str, argv)], cwd=self.home, env=environment(self.home, **self.more), text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    def zoo(self, *words: str | Path) -> Ran:
        return self.run(sys.executable, "-m", "zoo_cli", *words)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with upstream() as site:
        yield site


@pytest.fixture(scope="module")
def made(site: Site, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], dict[str, str]]:
    """The bundle, the words that made it, and the environment they need."""
    here = tmp_path_factory.mktemp("here")
    assert zoo(here, "download", MODEL, "--config-only", "--dest", "made").code == 0
    argv: list[str | Path] = [
        mmcv_python(),
        ROOT / "demo" / "checkpoint.py",
        here / "made" / f"{MODEL}.py",
        here / "made",
        STEM,
    ]
    checkpoint = subprocess.run(argv, check=True, text=True, capture_output=True, timeout=300).stdout.strip()
    place = site.checkpoint_directory(MODEL)
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy2(checkpoint, place)
    index = site.index_naming(here / "index", f"{STEM}-d18dff72.pth", Path(checkpoint))
    (here / "mirrors.yaml").write_text(site.write_mirrors(here / "mirrors.yaml"))
    more = {"ZOO_INDEX": str(index), "ZOO_MIRRORS": str(here / "mirrors.yaml")}
    words = ["bundle", MODEL, "--with-env", "--python", sys.executable, "--torch", "2.13", "--device", "cpu"]
    words += ["--find-links", site.ops_page]
    ran = zoo(here, *words, "-o", "m.zoo.tar", timeout=1200, **more)
    assert ran.code == 0, ran.err
    return here / "m.zoo.tar", words, more


def test_a_namespace_has_no_network(tmp_path: Path) -> None:
    code = "import socket; socket.create_connection(('127.0.0.1', 9), 2)"
    ran = There(tmp_path).run(sys.executable, "-c", code)
    assert "Network is unreachable" in ran.err


def test_it_installs_downloads_and_detects_without_a_network(
    made: tuple[Path, list[str], dict[str, str]], tmp_path: Path
) -> None:
    bundle, _words, _more = made
    there = There(tmp_path)
    shutil.copy2(bundle, tmp_path / "m.zoo.tar")
    installed = there.zoo("install", "--from-bundle", "m.zoo.tar", "--env", "env")
    assert installed.code == 0, installed.err
    again = there.zoo("install", "--from-bundle", "m.zoo.tar", "--env", "env", "--json")
    assert json.loads(again.out)["changed"] is False
    downloaded = there.zoo("download", "--from-bundle", "m.zoo.tar", "--dest", "model")
    assert downloaded.code == 0, downloaded.err
    config, checkpoint = downloaded.out.split()
    assert hashlib.sha256((tmp_path / checkpoint).read_bytes()).hexdigest()[:8] == checkpoint[-12:-4]
    assert there.zoo("verify", "model").code == 0
    python = tmp_path / "env" / "bin" / "python"
    infer = there.run(python, "-W", "ignore", ROOT / "demo" / "infer.py", tmp_path / config, tmp_path / checkpoint)
    assert infer.code == 0, infer.err[-2000:]
    assert there.zoo("check-env", "--python", python).code == 0


def test_the_same_input_gives_the_same_bytes_wherever_it_is_made(
    made: tuple[Path, list[str], dict[str, str]], tmp_path: Path
) -> None:
    bundle, words, more = made
    ran = zoo(tmp_path, *words, "-o", "again.zoo.tar", timeout=1200, **more)
    assert ran.code == 0, ran.err
    with bundle.open("rb") as one, (tmp_path / "again.zoo.tar").open("rb") as other:
        assert hashlib.file_digest(one, "sha256").digest() == hashlib.file_digest(other, "sha256").digest()


def test_a_bundle_for_another_python_is_refused_before_anything_is_made(
    made: tuple[Path, list[str], dict[str, str]], tmp_path: Path
) -> None:
    others = sorted(Path("~/.pyenv/versions").expanduser().glob("3.1[023]*/bin/python"))
    if not others:
        pytest.skip("no other Python here")
    ran = There(tmp_path).zoo("install", "--from-bundle", made[0], "--python", others[0], "--env", "env")
    assert ran.code == 3
    assert "lock-does-not-fit" in ran.err
    assert not (tmp_path / "env").exists()
