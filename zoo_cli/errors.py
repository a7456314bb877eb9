"""The one family of errors, and the exit codes.

An error is a set of facts: a subclass stands beside the code that raises it and holds what happened as fields, with
a stable kebab-case `code` and an `exit_code`. The sentences a user reads are written in `zoo_cli.cli.messages`.
This module imports nothing of ours.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What the process returns; documented in `zoo help exit-codes`."""

    FINE = 0
    FAILED = 1
    USAGE = 2
    NO_SOLUTION = 3
    ENVIRONMENT = 4
    NETWORK = 5
    INTEGRITY = 6
    INTERRUPTED = 130


class ZooError(Exception):
    """Base of everything zoo raises on purpose.

    Subclasses are dataclasses with `eq=False` (not frozen: contextlib assigns `__traceback__`).
    """

    code: ClassVar[str] = "failed"
    exit_code: ClassVar[ExitCode] = ExitCode.FAILED

    def fields(self) -> dict[str, object]:
        """The facts of this error by name, for `--json` and logs."""
        return dict(vars(self))

    def __str__(self) -> str:
        facts = ", ".join(f"{name}={value!r}" for name, value in self.fields().items())
        return f"{self.code}({facts})"
