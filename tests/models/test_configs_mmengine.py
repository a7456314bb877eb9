"""zoo's flattening and mmengine's own, compared on whole releases and on zoo's own cases."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.models.config_cases import CASES
from tests.support.mmengine_env import load_with_mmengine
from tests.support.pypi import wheel
from zoo_cli.models.config_errors import ConfigError
from zoo_cli.models.configs import ConfigTree, Read
from zoo_cli.models.writer import Header, write_config

pytestmark = [pytest.mark.slow, pytest.mark.network]

FILES = {"3.3.0": 869, "2.28.2": 666}
REFUSED = {"3.3.0": 7, "2.28.2": 0}  # four name a base that is not there, three are programs with argparse


def answers(path: Path) -> dict[str, Any]:
    names = {"inf": float("inf"), "nan": float("nan"), "range": range, "set": set, "frozenset": frozenset}
    lines = (line.split("\t", 1) for line in path.read_text(encoding="utf-8").splitlines())
    # mmengine's answers, written by our own child: literals, and ranges and sets, which `literal_eval` does not know
    return {name: eval(text, {"__builtins__": {}, **names}) for name, text in lines}


def unpacked(project: str, version: str, folder: Path) -> Path:
    with zipfile.ZipFile(wheel(project, version)) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if "/.mim/configs/" in name])
    return folder / project / ".mim"


def reader(root: Path) -> Read:
    return lambda path: (root / path).read_bytes() if (root / path).is_file() else None


@pytest.mark.parametrize("version", sorted(FILES))
def test_every_config_of_a_release(version: str, tmp_path: Path) -> None:
    root = unpacked("mmdet", version, tmp_path)
    other = {"mmpretrain": reader(unpacked("mmpretrain", "1.2.0", tmp_path))}
    load_with_mmengine(root, tmp_path / "answers")
    expected = answers(tmp_path / "answers")
    assert len(expected) == FILES[version]
    tree = ConfigTree(reader(root), packages=other.get)
    written = tmp_path / "written"
    refused, different = [], []
    for path, settings in expected.items():
        try:
            found = tree.flatten(path)
        except ConfigError:
            refused.append(path)
            continue
        if isinstance(settings, str) or found.settings != settings or repr(found.settings) != repr(settings):
            different.append(path)
        target = written / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(write_config(found.settings, Header(path, version, found.files, "0")), encoding="utf-8")
    assert different == []
    assert refused == [
        path for path, settings in expected.items() if isinstance(settings, str)
    ]  # what mmengine refuses
    assert len(refused) == REFUSED[version]

    load_with_mmengine(written, tmp_path / "again")
    again = answers(tmp_path / "again")
    assert len(again) == FILES[version] - len(refused)
    assert [path for path in again if again[path] != expected[path]] == []  # what zoo writes, mmengine loads equally


def test_own_cases_are_what_mmengine_says(tmp_path: Path) -> None:
    from tests.models.config_results import RESULTS

    for name, files in CASES.items():
        for path, text in files.items():
            target = tmp_path / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    load_with_mmengine(tmp_path, tmp_path / "answers", tuple(f"{name}/config.py" for name in CASES))
    found = answers(tmp_path / "answers")
    assert {path.removesuffix("/config.py"): settings for path, settings in found.items()} == RESULTS
