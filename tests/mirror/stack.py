"""Upstream with torch, compiled mmcv and one model whose checkpoint is made here, for tests of whole stacks."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.site import ROOT, Site
from tests.support.cli import environment, zoo
from tests.support.torch_env import mmcv_python
from tests.support.upstream import upstream

MODEL = "yolov3_mobilenetv2_320_300e_coco"
STEM = f"{MODEL}_20210719_215349"


@contextmanager
def made_site(here: Path) -> Iterator[tuple[Site, dict[str, str]]]:
    """The site, with the checkpoint under its upstream address, and an environment that knows it and its index."""
    with upstream() as site:
        assert zoo(here, "download", MODEL, "--config-only", "--dest", "made").code == 0
        script, config = ROOT / "demo" / "checkpoint.py", here / "made" / f"{MODEL}.py"
        argv: list[str | Path] = [mmcv_python(), script, config, here / "made", STEM]
        done = subprocess.run(argv, check=True, text=True, capture_output=True, timeout=300)
        checkpoint = Path(done.stdout.strip())
        place = site.checkpoint_directory(MODEL)
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy2(checkpoint, place)
        index = site.index_naming(here / "index", f"{STEM}-d18dff72.pth", checkpoint)
        site.write_mirrors(here / "mirrors.yaml")
        more = {"ZOO_INDEX": str(index), "ZOO_MIRRORS": str(here / "mirrors.yaml")}
        yield site, environment(here, **more)
