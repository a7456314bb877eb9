"""Upstream's hosts on loopback with a whole stack: torch's CPU wheel, and the mmcv that was compiled for it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from demo.site import Site
from tests.support.torch_env import CACHE, TORCH, mmcv_wheel, torch_python


@contextmanager
def upstream() -> Iterator[Site]:
    """The site while the `with` lasts; its files are kept between runs."""
    site = Site(CACHE / "lock-site")
    site.add_torch(TORCH, torch_python())
    shutil.copy2(mmcv_wheel(), site.ops_directory)
    links = "".join(f'<a href="{path.name}">{path.name}</a>\n' for path in site.ops_directory.glob("*.whl"))
    (site.ops_directory / "index.html").write_text(f"<html><body>{links}</body></html>")
    with site:
        yield site
