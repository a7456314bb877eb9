"""Build hook: compiles index/ and mirrors.yaml into what every wheel carries ready to open.

Runs for wheels and for editable installs. The sdist carries index/ itself.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompileIndex(BuildHookInterface):  # type: ignore[type-arg]
    """Compile both before the files of the wheel are collected."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the hook's signature
        root = Path(self.root)
        sys.path.insert(0, str(root))
        try:
            from zoo_cli.catalog.compiler import compile_index
            from zoo_cli.transfer.mirrors import COMPILED_FILE, compiled_mirrors
        finally:
            sys.path.remove(str(root))
        compile_index(root / "index", root / "zoo_cli" / "catalog" / "zoo.db")
        (root / "zoo_cli" / COMPILED_FILE.name).write_bytes(compiled_mirrors(root / "mirrors.yaml"))
