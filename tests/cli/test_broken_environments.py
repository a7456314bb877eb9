"""Twelve environments broken for real: check-env names the cause, and the command that it prints mends it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.support.broken import BREAKS, Break, Clone, clone
from tests.support.cli import Ran, zoo
from tests.support.torch_env import CACHE

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.torch]


def run(there: Clone, *words: str) -> Ran:
    """zoo with the cache that holds the mmcv built for this torch."""
    return zoo(there.home, *words, timeout=900, ZOO_CACHE=str(CACHE / "zoo"))


def faults(there: Clone) -> list[dict[str, str]]:
    findings = run(there, "check-env", "--python", there.python, "--json").document["findings"]
    return [each for each in findings if each["status"] == "FAIL"]


def follow(there: Clone, command: str) -> None:
    """Runs a printed command as a person would paste it."""
    words = shlex.split(command)
    if words[0] == "zoo":
        done = run(there, *words[1:])
        assert done.code == 0, done.err[-3000:]
    else:
        assert words[0] == there.python, "pip of the environment itself"
        there.pip(*words[3:])


@pytest.mark.parametrize("case", BREAKS, ids=lambda case: case.name.replace(" ", "-"))
def test_named_and_mended(case: Break, tmp_path: Path) -> None:
    there = clone(tmp_path / "x")
    assert faults(there) == []
    case.make(there)
    broken = there.run(case.shows)
    assert broken.returncode != 0
    assert case.words in broken.stderr
    (fault,) = faults(there)
    assert (fault["subject"], fault["code"]) == (case.subject, case.code)
    assert fault["seen_as"]
    follow(there, fault["fix"])
    assert faults(there) == []
    mended = there.run(case.shows)
    assert mended.returncode == 0, mended.stderr[-2000:]


def test_fix_mends_several_at_once_and_says_so(tmp_path: Path) -> None:
    there = clone(tmp_path / "x")
    by_name = {case.name: case for case in BREAKS}
    for name in ("isolated build", "setuptools 82"):
        by_name[name].make(there)
    refused = run(there, "check-env", "--python", there.python, "--fix")
    assert (refused.code, "--yes" in refused.err) == (2, True), "nobody can be asked here"
    done = run(there, "check-env", "--python", there.python, "--fix", "--yes")
    assert done.code == 0, done.err[-3000:]
    assert "mended: mmcv (op-less)" in done.out
    assert "mended: setuptools (wall)" in done.out
    assert "mended: mmcv (cached-op-less)" in done.out
    assert "Fine:" in done.out
