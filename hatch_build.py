"""Build hook: compiles index/ into zoo_cli/catalog/zoo.db, so that every wheel carries the facts ready to open.

Runs for wheels and for editable installs. The sdist carries index/ itself.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompileIndex(BuildHookInterface):  # type: ignore[type-arg]
    """Compile the index before the files of the wheel are collected."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the hook's signature
        root = Path(self.root)
        sys.path.insert(0, str(root))
        try:
            from zoo_cli.catalog.compiler import compile_index
        finally:
            sys.path.remove(str(root))
        compile_index(root / "index", root / "zoo_cli" / "catalog" / "zoo.db")
