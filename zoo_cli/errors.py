"""The one family of errors, and the exit codes.

An error is a set of facts: a subclass stands beside the code that raises it and holds what happened as fields, with
a stable kebab-case `code` and an `exit_code`. The sentences a user reads are written in `zoo_cli.cli.messages`.
This module imports nothing of ours.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_how: bool) -> Any:
        """Nothing at run time; type checkers know it (PEP 681)."""
        return lambda kind: kind


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


@dataclass_transform(eq_default=False)
class ZooError(Exception):
    """Base of everything zoo raises on purpose.

    Subclasses declare their facts as a dataclass does, annotated and with defaults after the others. Being one would
    cost more than the rest of their module: every command imports dozens of them and raises none.
    """

    code: ClassVar[str] = "failed"
    exit_code: ClassVar[ExitCode] = ExitCode.FAILED
    fact_names: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        """Takes up the annotated names, after those of the base."""
        own = (name for name, kind in cls.__annotations__.items() if not str(kind).startswith("ClassVar"))
        cls.fact_names = tuple(dict.fromkeys((*cls.fact_names, *own)))

    def __init__(self, *values: Any, **named: Any) -> None:
        """Takes the facts in their order or by name.

        Raises:
            TypeError: One is missing, or too many.
        """
        names = self.fact_names
        facts = {**dict(zip(names, values, strict=False)), **named}
        missing = [name for name in names if name not in facts and not hasattr(type(self), name)]
        if missing or len(values) > len(names) or not facts.keys() <= {*names}:
            raise TypeError(f"{type(self).__name__} takes {', '.join(names)}")
        for name in names:
            setattr(self, name, facts[name] if name in facts else getattr(type(self), name))

    def fields(self) -> dict[str, object]:
        """The facts of this error by name, for `--json` and logs."""
        return dict(vars(self))

    def __str__(self) -> str:
        facts = ", ".join(f"{name}={value!r}" for name, value in self.fields().items())
        return f"{self.code}({facts})"
