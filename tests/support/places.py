"""A site with a whole small stack, and environments with a torch: for tests of `zoo install` as a whole."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.cli import Ran, zoo
from tests.support.decoys import DecoySite
from tests.support.server import Server
from tests.support.tiny_ops import TinyStack, pure_wheels
from tests.support.wheels import write_wheel
from zoo_cli.packages.executor import find_uv


class Place:
    """A site with decoys for this Python, and environments with a torch to install into."""

    def __init__(self, site: DecoySite, server: Server, page: str, torch: Path) -> None:
        root = site.root.parent
        self.root, self.site, self.server, self.page, self.torch = root, site, server, server.url(page), torch
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
        subprocess.run([uv, "pip", "install", "-q", "--no-index", "--python", python, self.torch], check=True)
        return python

    def install(self, python: Path, *words: str, **more: str) -> Ran:
        place = ("--python", python, "--find-links", self.page)
        return zoo(self.root, "install", *words, *place, timeout=120, **{**self.variables, **more})

    def undo(self, python: Path) -> Ran:
        return zoo(self.root, "undo", "--python", python)

    @staticmethod
    def versions(python: Path) -> dict[str, str]:
        code = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
        done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
        found: dict[str, str] = json.loads(done.stdout)
        return found


@contextmanager
def decoy_place(root: Path, decoys: Iterable[str] = ()) -> Iterator[Place]:
    """A place for this Python, whose page has these decoys beside the right wheel."""
    stack = TinyStack(sys.executable, root / "compiled")
    site = DecoySite(root / "site", [stack])
    page = site.write("cpu", "2.6", decoys)
    tools = write_wheel(root / "made", "setuptools", "81.0.0", files={"pkg_resources/__init__.py": ""})
    site.publish(*pure_wheels(root / "made"), tools)
    with Server(root=site.root) as server:
        yield Place(site, server, page, stack.torch(root / "made", "2.6.0+cpu"))
