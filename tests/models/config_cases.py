"""The cases of `config_cases.yaml`: name -> path -> text."""

from __future__ import annotations

from pathlib import Path

import yaml

CASES: dict[str, dict[str, str]] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
