"""`zoo install --download-only` with a network, `zoo install --offline --find-links` in a namespace without any."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.site import Site
from tests.models.test_bundle_real import There
from tests.support.cli import zoo
from tests.support.upstream import upstream
from zoo_cli.packages.executor import find_uv

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.network]
OPS = (
    "import mmcv.ops, mmdet, torch as t; print(mmcv.ops.nms(t.rand(4, 4).sort().values, t.rand(4), .5)[1].numel() > 0)"
)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with upstream() as site:
        yield site


@pytest.fixture(scope="module")
def house(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("here")
    mirror = ("--mirror", f"https://download.pytorch.org={site.url('/pytorch')}")
    words = ("install", "mmdet", "--torch", "2.13", "--device", "cpu", "--find-links", site.ops_page, *mirror)
    ran = zoo(here, *words, "--download-only", "house", "--python", sys.executable, timeout=900)
    assert ran.code == 0, ran.err
    assert ran.out == "house\n"
    assert not (here / "env").exists()
    return here / "house"


def test_zoo_installs_from_it_without_a_network(house: Path, tmp_path: Path) -> None:
    there = There(tmp_path)
    words = ("install", "mmdet", "--device", "cpu", "--offline", "--find-links", house, "--env", "env")
    planned = there.zoo(*words, "--python", sys.executable, "--dry-run")
    assert planned.code == 0, planned.err
    assert f"--no-index --find-links {house}" in planned.err
    installed = there.zoo(*words, "--python", sys.executable)
    assert installed.code == 0, installed.err
    assert there.run(tmp_path / "env/bin/python", "-W", "ignore", "-c", OPS).out == "True\n"
    wheels = {path.name.split("-")[0].lower() for path in house.glob("*.whl")}
    found = {
        path.name.split("-")[0].lower() for path in (tmp_path / "env").glob("lib/python3*/site-packages/*.dist-info")
    }
    assert found - {"pip", "setuptools"} == wheels - {"setuptools"}


@pytest.mark.parametrize("how", ["uv", "pip"])
def test_pip_and_uv_install_from_it_without_a_network(house: Path, tmp_path: Path, how: str) -> None:
    there = There(tmp_path)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    python = tmp_path / "env/bin/python"
    tool: list[str | Path] = [find_uv() or "uv", "pip", "install", "--no-config", "--python", python]
    argv = tool if how == "uv" else [python, "-m", "pip", "--isolated", "install"]
    options: list[str | Path] = [
        "--no-index",
        "--find-links",
        house,
        "--require-hashes",
        "-r",
        house / "requirements.txt",
    ]
    done = there.run(*argv, *options)
    assert done.code == 0, done.err
    assert there.run(python, "-W", "ignore", "-c", OPS).out == "True\n"
