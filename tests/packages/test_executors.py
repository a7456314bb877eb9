"""Which executor, which Python, which setuptools: the same right wheel from a site of decoys, and why not the others.

The complete matrix, and what pip, uv and openmim make of the same site, is `python -m tests.support.executors`; here
are a small cut of it every day and all of it among the slow tests.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import Ran, zoo
from tests.support.decoys import DECOYS, DecoySite
from tests.support.server import Server
from tests.support.tiny_ops import TinyStack, pure_wheels
from tests.support.wheels import write_wheel
from zoo_cli.packages.executor import find_uv


class Place:
    """A site with decoys for this Python, and environments with a torch to install into."""

    def __init__(self, root: Path, server: Server, page: str, torch: Path) -> None:
        self.root, self.server, self.page, self._torch = root, server, server.url(page), torch
        self.variables = {
            "UV_DEFAULT_INDEX": server.url("/simple/"),
            "PIP_INDEX_URL": server.url("/simple/"),
            "UV_CACHE_DIR": str(root / "uv"),
            "PIP_CACHE_DIR": str(root / "pip"),
        }

    def environment(self, name: str, *words: str) -> Path:
        """A new environment with torch in it; its interpreter."""
        uv = find_uv()
        assert uv is not None
        python = self.root / name / "bin/python"
        subprocess.run([uv, "venv", "-q", *words, "--python", sys.executable, self.root / name], check=True)
        subprocess.run([uv, "pip", "install", "-q", "--no-index", "--python", python, self._torch], check=True)
        return python

    def install(self, python: Path, *words: str, **more: str) -> Ran:
        place = ("--python", python, "--find-links", self.page)
        return zoo(self.root, "install", *words, *place, timeout=120, **{**self.variables, **more})

    @staticmethod
    def versions(python: Path) -> dict[str, str]:
        code = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
        done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
        found: dict[str, str] = json.loads(done.stdout)
        return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("executors")
    stack = TinyStack(sys.executable, root / "compiled")
    site = DecoySite(root / "site", [stack])
    page = site.write("cpu", "2.6", DECOYS)
    tools = write_wheel(root / "made", "setuptools", "81.0.0", files={"pkg_resources/__init__.py": ""})
    site.publish(*pure_wheels(root / "made"), tools)
    with Server(root=site.root) as server:
        yield Place(root, server, page, stack.torch(root / "made", "2.6.0+cpu"))


@pytest.mark.parametrize("kind", ["uv", pytest.param("pip", marks=pytest.mark.slow)])
def test_the_right_wheel_and_why_not_the_others(place: Place, kind: str) -> None:
    python = place.environment(f"env-{kind}")
    if kind == "pip":
        subprocess.run([python, "-I", "-m", "ensurepip"], check=True, capture_output=True)
    ran = place.install(python, "mmdet", "-v", ZOO_INSTALLER=kind)
    assert ran.code == 0, ran.err
    assert "nms, roi_align, deform_conv2d, mmdet" in ran.err
    assert place.versions(python)["mmcv"] == "2.1.0"
    assert f"install the plan ({kind})" in ran.err
    for decoy, (_make, reason) in DECOYS.items():
        assert reason in ran.err, decoy


def test_what_is_refused_is_told_where_nothing_else_is_left(place: Place) -> None:
    python = place.environment("env-pinned")
    before = place.versions(python)
    ran = place.install(python, "mmcv==2.1.4")
    assert (ran.code, "error[unsound-wheel]" in ran.err, "record-mismatch" in ran.err) == (6, True, True), ran.err
    assert place.versions(python) == before
