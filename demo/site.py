"""The upstream hosts on loopback: torch's index, mmcv's find-links pages, checkpoints; and an index that names them.

site/pytorch/whl/cpu/torch-...whl                      https://download.pytorch.org
site/openmmlab/mmcv/dist/cpu/torch2.13.0/index.html    https://download.openmmlab.com
site/openmmlab/mmdetection/v2.0/yolo/...pth
"""

from __future__ import annotations

import hashlib
import html
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from tests.support.server import Server
from tests.support.wheels import retag, write_wheel
from zoo_cli.catalog.compiler.releases import read_project

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

ROOT = Path(__file__).parent.parent


def _page(rows: list[tuple[str, Path, str]]) -> str:
    """A page of links with digests; each row is address, file, further attributes."""
    lines = []
    for address, path, attributes in rows:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        lines.append(f'<a href="{address}#sha256={digest}"{attributes}>{html.escape(path.name)}</a><br>')
    return "<!DOCTYPE html><html><body>\n" + "\n".join(lines) + "\n</body></html>\n"


class Site:
    """A directory served on loopback while the `with` lasts."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ops_directory = directory / "openmmlab/mmcv/dist/cpu/torch2.13.0"
        self.torch_directory = directory / "pytorch/whl/cpu"
        for each in (self.ops_directory, self.torch_directory):
            each.mkdir(parents=True, exist_ok=True)
        self._server = Server(root=directory)

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)

    def url(self, path: str = "/") -> str:
        """An address of the site."""
        return self._server.url(path)

    @property
    def ops_page(self) -> str:
        """The find-links page of the mmcv wheels."""
        return self.url("/openmmlab/mmcv/dist/cpu/torch2.13.0/index.html")

    def write_mirrors(self, path: Path) -> str:
        """A mirrors file that sends zoo here instead of upstream; returns its text."""
        pairs = (("download.pytorch.org", "/pytorch"), ("download.openmmlab.com", "/openmmlab"))
        rules = [f"  - from: https://{host}\n    to: [{self.url(folder)}]\n" for host, folder in pairs]
        text = "version: 1\nmirrors:\n" + "".join(rules)
        path.write_text(text)
        return text

    def add_torch(self, version: str, python: str) -> Path:
        """The CPU wheel of torch as the user's pip finds it, else from PyTorch's own CPU index; kept between runs."""
        if not list(self.torch_directory.glob(f"torch-{version}*.whl")):
            self._download_torch(version, python)
        wheel = next(self.torch_directory.glob(f"torch-{version}*.whl"))
        page = self.torch_directory / "torch/index.html"
        page.parent.mkdir(exist_ok=True)
        page.write_text(_page([(f"../{quote(wheel.name)}", wheel, "")]))
        return wheel

    def _download_torch(self, version: str, python: str) -> None:
        pip = [
            python,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary",
            ":all:",
            "-d",
            str(self.torch_directory),
        ]
        wanted = f"torch=={version}+cpu"
        if subprocess.run([*pip, wanted], check=False, stderr=subprocess.DEVNULL).returncode:
            subprocess.run([*pip, "--index-url", "https://download.pytorch.org/whl/cpu", wanted], check=True)

    def kept_ops_wheel(self) -> Path | None:
        """The mmcv wheel that an earlier run compiled for this Python."""
        tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
        return next(iter(sorted(self.ops_directory.glob(f"mmcv-2.1.0-{tag}-{tag}-linux_*.whl"))), None)

    def add_decoys(self) -> None:
        """Wheels that must not be taken, and the page that lists all of them."""
        right = self.kept_ops_wheel()
        assert right is not None
        for tags in ("cp310-cp310-linux_x86_64", "cp311-cp311-win_amd64", "cp311-cp311-manylinux2014_aarch64"):
            if not right.name.endswith(f"{tags}.whl"):
                retag(right, self.ops_directory, tags=tags, keep_extensions=False)
        write_wheel(self.ops_directory, "mmcv", "2.1.0", tag="py2.py3-none-any", files={"mmcv/__init__.py": b""})
        write_wheel(
            self.ops_directory, "mmcv", "2.1.1", tag=right.name[:-4].split("-", 2)[2], files={"mmcv/__init__.py": b""}
        )
        other = self.directory / "openmmlab/mmcv/dist/cpu/torch2.1.0"
        other.mkdir(parents=True, exist_ok=True)
        (other / "index.html").write_text("<html><body></body></html>")
        self._write_page()

    def _write_page(self) -> None:
        wheels = sorted(self.ops_directory.glob("*.whl"))
        yanked = ' data-yanked="built against the wrong torch"'
        rows = [(f"./{quote(path.name)}", path, yanked if "-2.1.1-" in path.name else "") for path in wheels]
        (self.ops_directory / "index.html").write_text(_page(rows))

    def page_names(self) -> list[str]:
        """What the page lists."""
        return sorted(path.name for path in self.ops_directory.glob("*.whl"))

    def checkpoint_directory(self, model: str) -> Path:
        """Where upstream keeps the model's checkpoint."""
        return self.directory / "openmmlab/mmdetection/v2.0/yolo" / model

    def index_naming(self, directory: Path, upstream: str, made: Path) -> Path:
        """A copy of the index in which the upstream checkpoint is the file made here."""
        shutil.copytree(ROOT / "index", directory)
        before, after = upstream.removesuffix(".pth"), made.name.removesuffix(".pth")
        folder = directory / "models" / "mmdet"
        for version, document in read_project(folder).items():  # whole ones: a delta names its base by digest
            text = json.dumps(document, ensure_ascii=False).replace(before, after)
            text = text.replace(f'"prefix": "{before[-8:]}"', f'"prefix": "{after[-8:]}"')
            (folder / f"{version}.json").write_text(text, encoding="utf-8")
        return directory
