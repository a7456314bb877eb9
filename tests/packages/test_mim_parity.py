"""What people did with `mim install`, and with the commands that zoo prints, typed by hand."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import zoo
from tests.support.places import Place, decoy_place
from tests.support.wheels import write_wheel
from zoo_cli.packages.executor import find_uv

FRAMEWORKS = {"mmdet": ("3.2.0", "3.3.0"), "mmpose": ("1.3.2",), "mmsegmentation": ("1.2.2",)}
IMPORTS = {"mmsegmentation": "mmseg"}
MACHINE = "gpu=RTX 3090,driver=535.183.01,python=3.8,os=linux"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("parity")
    with decoy_place(root) as made:
        for name, versions in FRAMEWORKS.items():
            files = {f"{IMPORTS.get(name, name)}/__init__.py": "import mmcv.ops\n"}
            made.site.publish(*(write_wheel(root / "made", name, each, files=files) for each in versions))
        made.site.publish(write_wheel(root / "made", "ordinary", "1.5"))
        yield made


def test_ranges_and_several_frameworks(place: Place) -> None:
    """`mim install 'mmdet>=3,<3.3' mmpose`"""
    python = place.environment("env-ranges")
    ran = place.install(python, "mmdet>=3,<3.3", "mmpose", "--json")
    assert ran.code == 0, ran.err + ran.out
    found = place.versions(python)
    assert (found["mmdet"], found["mmpose"], found["mmcv"]) == ("3.2.0", "1.3.2", "2.1.0")
    assert {each["name"] for each in ran.document["checked"]} >= {"nms", "mmdet", "mmpose"}


@pytest.mark.slow
def test_upgrades_and_requirements_files(place: Place, tmp_path: Path) -> None:
    """`mim install -U mmdet -r requirements.txt`; torch stays, and without -U what serves stays, too."""
    python = place.environment("env-upgrade")
    assert place.install(python, "mmdet<3.3").code == 0
    assert place.install(python, "mmdet").code == 0
    assert place.versions(python)["mmdet"] == "3.2.0"  # it serves, and nobody asked for a newer one
    listed = tmp_path / "requirements.txt"
    listed.write_text("mmsegmentation\nordinary>=1\n")
    ran = place.install(python, "-U", "mmdet", "-r", str(listed))
    assert ran.code == 0, ran.err
    found = place.versions(python)
    assert (found["mmdet"], found["mmsegmentation"], found["ordinary"]) == ("3.3.0", "1.2.2", "1.5")
    assert found["torch"] == "2.6.0+cpu"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("mmcv-full",), {"mmcv-full": "1.7.2"}),
        pytest.param(("mmdet<3",), {"mmdet": "2.28.", "mmcv-full": "1.7."}, marks=pytest.mark.slow),
        (
            ("mmdet", "mmpose", "mmsegmentation", "mmpretrain"),
            {"mmdet": "3.3.0", "mmpretrain": "1.2.0", "mmcv": "2.1."},
        ),
    ],
)
def test_generations_and_companies(tmp_path: Path, words: tuple[str, ...], expected: dict[str, str]) -> None:
    ran = zoo(tmp_path, "install", *words, "--dry-run", "--json", "--machine", MACHINE)
    assert ran.code == 0, ran.err + ran.out
    pins = {pin["name"]: pin["version"] for pin in ran.document["plan"]}
    assert all(pins[name].startswith(version) for name, version in expected.items()), pins


def test_the_printed_commands_do_the_same_by_hand(place: Place) -> None:
    """What `--dry-run` prints, pasted into a shell, gives the environment that zoo gives."""
    ours, by_hand = place.environment("env-ours"), place.environment("env-by-hand")
    assert place.install(ours, "mmdet").code == 0
    shown = place.install(by_hand, "mmdet", "--dry-run").err
    commands = shown.partition("By hand:\n")[2]
    assert "uv pip install" in commands
    uv = find_uv()
    assert uv is not None
    environ = {**os.environ, **place.variables, "PATH": f"{Path(uv).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-e"], input=commands, env=environ, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert place.versions(by_hand) == place.versions(ours)
