"""The cases of `config_cases.yaml`: name -> path -> text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from zoo_cli.models.bounded import Limits
from zoo_cli.models.configs import ConfigTree, Read

CASES: dict[str, dict[str, str]] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


def settings_of(path: str, read: Read, limits: Limits | None = None) -> dict[str, Any]:
    """The settings of one flattened config."""
    return ConfigTree(read, limits or Limits()).flatten(path).settings
