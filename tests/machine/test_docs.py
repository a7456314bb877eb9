"""docs/machine.md says what the code reads: every key, variable and default."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.machine.names import GPUS
from zoo_cli.machine.describe import _KEYS, parse_machine
from zoo_cli.machine.overrides import VARIABLES

PAGE = (Path(__file__).parent.parent.parent / "docs" / "machine.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("key", _KEYS)
def test_every_key_has_a_row(key: str) -> None:
    assert f"\n| `{key}` |" in PAGE


@pytest.mark.parametrize("variable", [name for _, _, names in VARIABLES for name in names] + ["ZOO_PYTHON"])
def test_every_variable_is_named(variable: str) -> None:
    assert f"`{variable}`" in PAGE


def test_the_example_works() -> None:
    line = next(line for line in PAGE.splitlines() if line.startswith("$ zoo install"))
    assert parse_machine(line.partition("--machine ")[2], GPUS).driver == "535.183.01"


def test_the_defaults_are_the_written_ones() -> None:
    machine = parse_machine("gpu=none", GPUS)
    assert machine.libc
    rows = {line.split("|")[1].strip(" `"): line.split("|")[3] for line in PAGE.splitlines() if line.startswith("| `")}
    assert machine.os in rows["os"]
    assert machine.arch in rows["arch"]
    assert machine.libc.version in rows["glibc"]
