from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.models.hostile_configs import SENTINEL, cases

REPOSITORY = Path(__file__).parent.parent.parent
CODES = {
    "config-not-evaluated",
    "bad-config",
    "config-too-large",
    "config-missing",
    "config-base-outside",
    "config-cycle",
    "config-other-package",
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What came of every hostile config, in one child with 1.5 GB and 120 s of CPU."""
    folder = tmp_path_factory.mktemp("hostile")
    answer = folder / "outcomes.json"
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"}
    argv = [sys.executable, "-m", "tests.models.hostile_configs", str(answer)]
    ended = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["outcomes.json"], f"{SENTINEL}: something ran"
    found: dict[str, dict[str, Any]] = json.loads(answer.read_text())
    return found


def test_all_were_tried(outcomes: dict[str, dict[str, Any]]) -> None:
    assert outcomes.keys() == cases().keys()
    assert len(outcomes) > 150


@pytest.mark.parametrize("case", sorted(cases()))
def test_hostile_config_ends_in_a_typed_error(case: str, outcomes: dict[str, dict[str, Any]]) -> None:
    outcome = outcomes[case]
    assert outcome["code"] in CODES, outcome
    assert outcome["cpu_seconds"] < 10, outcome  # a bound, not a measurement: all others end at once
