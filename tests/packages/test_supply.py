"""Wheels asked for on their page: where the index knows the page only, the page's best wheel for the target."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.server import Page, Server
from zoo_cli.machine.facts import Libc
from zoo_cli.packages.plan import Because, Pin
from zoo_cli.packages.supply import Supply, WheelGone
from zoo_cli.packages.wheels import WheelTarget, tags_for
from zoo_cli.transfer.mirrors import load_mirrors
from zoo_cli.transfer.settings import Settings
from zoo_cli.transfer.store import Store
from zoo_cli.trust.seen import Seen

LINUX = Libc("glibc", "2.35")
TARGET = WheelTarget(
    "onedl-mmcv", "3.12.4", tags_for("cp312", "linux_x86_64", LINUX), "2.3.6", "2.10.0", "cu129", needs_ops=True
)
PAGE = "/cu129-torch2100/simple/onedl-mmcv/index.html"


def supply(folder: Path) -> Supply:
    return Supply(Store(folder / "cache"), Seen(folder / "state"), load_mirrors(()), Settings(), lambda _event: None)


def pin(page: str) -> Pin:
    """A wheel of which the index knows the page, and no file name."""
    because = Because("compiled-ops")
    return Pin("onedl-mmcv", "2.3.6", "wheel", "install", because, "listed", None, (page,), page=page)


def test_the_best_wheel_of_the_page_is_taken(tmp_path: Path) -> None:
    names = ("2.3.5-cp312-cp312", "2.3.6-cp310-cp310", "2.3.6-cp312-cp312", "2.3.6-py3-none")
    files = [f"onedl_mmcv-{name}-{'any' if 'none' in name else 'manylinux_2_35_x86_64'}.whl" for name in names]
    body = "".join(f'<a href="../../onedl-mmcv/{name}#sha256={"ab" * 32}">{name}</a>' for name in files)
    with Server({PAGE: Page(body.encode())}) as server:
        found = supply(tmp_path).confirm(pin(server.url(PAGE)), TARGET)
        assert found.urls == (server.url(f"/cu129-torch2100/onedl-mmcv/{files[2]}"),)
    assert (found.version, found.sha256, found.evidence) == ("2.3.6", "ab" * 32, "seen")


def test_a_page_without_a_fitting_wheel_says_so(tmp_path: Path) -> None:
    body = b'<a href="onedl_mmcv-2.3.6-cp310-cp310-manylinux_2_35_x86_64.whl">it</a>'
    with Server({PAGE: Page(body)}) as server:
        page = server.url(PAGE)
        with pytest.raises(WheelGone) as caught:
            supply(tmp_path).confirm(pin(page), TARGET)
    assert (caught.value.file, caught.value.address, caught.value.yanked) == ("onedl-mmcv 2.3.6", page, None)


def test_a_mirror_without_a_companion_is_passed_over(tmp_path: Path) -> None:
    """An installer is given one address; the file may be needed by nobody, so it is asked for and not fetched."""
    with Server({"/one/whl/torchvision.whl": b"wheel"}) as server:
        rule = f"https://upstream.example={server.url('/one')}"
        here = replace(supply(tmp_path), mirrors=load_mirrors((rule,)))
        there = f"torchvision @ {server.url('/one/whl/torchvision.whl')}"
        assert here._mirrored("torchvision @ https://upstream.example/whl/torchvision.whl") == there
        gone = "torchaudio @ https://upstream.example/whl/torchaudio.whl"
        assert here._mirrored(gone) == gone
        asked = len(server.requests)
        assert here._mirrored("mmcv-lite<0") == "mmcv-lite<0"
        offline = replace(here, settings=Settings(offline=True))
        assert offline._mirrored(gone) == f"torchaudio @ {server.url('/one/whl/torchaudio.whl')}"
        assert len(server.requests) == asked
