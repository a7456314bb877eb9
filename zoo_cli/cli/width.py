"""How wide the terminal is. Edge: asks the terminal, and the environment's COLUMNS."""

from __future__ import annotations

import os
from typing import TextIO


def terminal_cells(stream: TextIO) -> int | None:
    """Cells in a line of the terminal behind the stream: COLUMNS, else what it says; None when unknown."""
    named = os.environ.get("COLUMNS", "")
    if named.isdigit() and int(named):
        return int(named)
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None
