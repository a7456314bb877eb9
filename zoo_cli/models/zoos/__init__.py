"""Zoos beside OpenMMLab's: their packages have no metafiles, their models stand in Python modules of the wheel.

Pure. `READERS` names the reader of each such project; `zoo_cli.models.build` asks here before it looks for a model
index. A reader goes by the syntax tree: nothing of the package is imported or run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_cli.models.zoos.timm import read_timm
from zoo_cli.models.zoos.torchvision import read_torchvision

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo_cli.models.build import Archive
    from zoo_cli.models.records import ReleaseRecords

__all__ = ["READERS"]

READERS: dict[str, Callable[[Archive], ReleaseRecords]] = {"timm": read_timm, "torchvision": read_torchvision}
