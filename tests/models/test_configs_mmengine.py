"""zoo's flattening and mmengine's own, compared on whole releases, on zoo's own cases and on hostile configs."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.models.config_cases import CASES
from tests.support.config_releases import compare
from tests.support.mmengine_env import answers, load_with_mmengine, mmengine_command
from zoo_cli import load_config
from zoo_cli.models.config_errors import ConfigError

pytestmark = [pytest.mark.slow, pytest.mark.network]

REPOSITORY = Path(__file__).parent.parent.parent
# Project and release, its files, and those that mmengine refuses. The first set has lists of classes and keypoint
# tables, the second path variables, the third bases of other packages, the fifth programs, the last asserts.
RELEASES = [
    ("mmpose", "1.3.2", 464, 1),
    ("mmocr", "1.0.1", 116, 1),
    ("mmselfsup", "1.0.0", 189, 0),
    ("mmpretrain", "1.2.0", 846, 6),
    ("mmdet", "3.3.0", 869, 4),
    ("mmrazor", "1.0.0", 155, 6),
]


@pytest.mark.parametrize(("project", "version", "files", "refused"), RELEASES)
def test_every_config_of_a_release(project: str, version: str, files: int, refused: int, tmp_path: Path) -> None:
    found = compare(project, version, tmp_path, reload=True)
    assert found.files == files
    assert len(found.mmengine_errors) == refused
    assert (found.refused, found.different) == ({}, [])
    assert found.equal == files - refused
    assert found.reloaded == found.written >= found.equal
    assert found.reload_different == []


def test_own_cases_are_what_mmengine_says(tmp_path: Path) -> None:
    from tests.models.config_results import RESULTS

    for name, files in CASES.items():
        for path, text in files.items():
            target = tmp_path / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    load_with_mmengine(tmp_path, tmp_path / "answers", tuple(f"{name}/config.py" for name in CASES))
    found = answers(tmp_path / "answers", tmp_path)
    assert {path.removesuffix("/config.py"): settings for path, settings in found.items()} == RESULTS


def test_hostile_configs_are_dangerous_to_mmengine(tmp_path: Path) -> None:
    """What zoo refuses (`test_configs_hostile.py`) is no straw man: mmengine runs it, hangs, or fills the memory."""
    folder, answer = tmp_path / "hostile", tmp_path / "danger.json"
    command, environment = mmengine_command()
    argv = [*command, "-m", "tests.models.hostile_danger", str(folder), str(answer)]
    environment["PYTHONPATH"] += f"{os.pathsep}{REPOSITORY}"
    ended = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=900)
    assert ended.returncode == 0, ended.stderr[-2000:]
    found = json.loads(answer.read_text())
    ran = [case for case, outcome in found.items() if outcome == "ran"]
    assert {"bases by a call", "class", "object.yaml", "tuple of objects.yaml", "new style: a function of its own"} <= {
        *ran
    }
    dangerous = [case for case, outcome in found.items() if outcome in ("ran", "endless", "memory", "crash")]
    assert len(dangerous) >= 60


def test_mmengine_follows_what_leads_out(tmp_path: Path) -> None:
    (tmp_path / "secret.py").write_text("key = 'secret'")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "link.py").symlink_to("../secret.py")
    for name, base in (("a", "link.py"), ("b", "../secret.py"), ("c", f"{tmp_path}/secret.py")):
        (tree / f"{name}.py").write_text(f"_base_ = {base!r}")
    load_with_mmengine(tree, tmp_path / "answers", ("a.py", "b.py", "c.py"))
    assert answers(tmp_path / "answers", tree) == {f"{name}.py": {"key": "secret"} for name in "abc"}
    for name in "abc":
        with pytest.raises(ConfigError):
            load_config(tree / f"{name}.py", root=tree)


def test_load_config_equals_mmengine(tmp_path: Path) -> None:
    """Through files, with the folder of this machine in {{ fileDirname }} and defaults for the environment."""
    for name, files in CASES.items():
        for path, text in files.items():
            target = tmp_path / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    (tmp_path / "more").mkdir()
    text = "a = '{{ fileDirname }}/x'\nb = '{{$ZOO_TEST_NOT_SET:/data}}/y'\nc = ('{{$ZOO_TEST_NOT_SET:1}}',)\n"
    (tmp_path / "more" / "config.py").write_text(text)
    names = [*CASES, "more"]
    load_with_mmengine(tmp_path, tmp_path / "answers", tuple(f"{name}/config.py" for name in names))
    found = answers(tmp_path / "answers", Path("/nowhere"))
    for name in names:
        assert load_config(tmp_path / name / "config.py") == found[f"{name}/config.py"], name
