"""The cache in which torch.hub, mmengine and mmcv look for a checkpoint before they fetch it.

Edge: the environment and that cache. `torch.hub.load_state_dict_from_url` opens `<hub>/checkpoints/<last part of the
address>` when it is there; mmengine and mmcv load http addresses and open-mmlab://, torchvision:// and mmcls:// names
through it. <hub> is TORCH_HOME/hub, else XDG_CACHE_HOME/torch/hub, else ~/.cache/torch/hub. Read in torch 2.13.0
(torch/hub.py: _get_torch_home, load_state_dict_from_url) and mmengine 0.10.7 (runner/checkpoint.py: load_from_http).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from zoo_cli.transfer.failures import DestinationUnusable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Linked:
    """A name in the cache: made now, there already, or taken by another file, which stays."""

    path: Path
    state: Literal["linked", "already", "taken"]


def hub_checkpoints(environ: Mapping[str, str]) -> Path:
    """The directory where torch.hub keeps checkpoints."""
    if home := environ.get("TORCH_HOME"):
        return Path(home).expanduser().absolute() / "hub" / "checkpoints"
    base = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or Path("~").expanduser()) / ".cache"
    return Path(base).expanduser().absolute() / "torch" / "hub" / "checkpoints"


def link_into_hub(file: Path, urls: Iterable[str], directory: Path) -> tuple[Linked, ...]:
    """Gives a file the names under which torch.hub looks for these addresses.

    A hard link, which stays when the file is moved; a symbolic one where the cache is on another file system.

    Raises:
        DestinationUnusable: The cache cannot be written.
    """
    # As torch.hub does: the path of the address as it is written, %2B included.
    names = dict.fromkeys(urlsplit(url).path.rpartition("/")[2] for url in urls)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return tuple(_link(file.absolute(), directory / name) for name in names if name)
    except OSError as exc:
        raise DestinationUnusable(str(directory), exc.strerror or str(exc)) from exc


def _link(file: Path, name: Path) -> Linked:
    if name.exists():
        return Linked(name, "already" if name.samefile(file) else "taken")
    name.unlink(missing_ok=True)  # a link that leads nowhere any more
    try:
        os.link(file, name)
    except OSError:
        name.symlink_to(file)
    return Linked(name, "linked")
