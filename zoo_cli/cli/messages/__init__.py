"""Sentences for errors: the one place where a user's text is written.

The modules of a room register `describe` for the errors of that room; it is imported only when such an error is shown.
A sentence uses the facts of this run, and every way out is a command that can be pasted, cheapest first.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import singledispatch

from zoo_cli.errors import ZooError


@dataclass(frozen=True, slots=True)
class WayOut:
    """One thing to do: a short text and, where there is one, the command that does it."""

    text: str
    command: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """An error as a person reads it: what happened, the facts, the ways out."""

    what: str
    facts: tuple[str, ...] = ()
    ways_out: tuple[WayOut, ...] = ()
    sources: tuple[str, ...] = ()  # where the facts stand, shown with --verbose


@singledispatch
def describe(error: ZooError) -> Message:
    """The message for an error; a class without one of its own shows its facts."""
    return Message(error.code.replace("-", " "), tuple(f"{name}: {value}" for name, value in error.fields().items()))


# Rooms whose sentences stand in more than one module.
_MODULES = {
    "packages": ("packages", "decisions", "changes", "locks"),
    "transfer": ("transfer", "sources"),
    "trust": ("trust", "signatures"),
    "directories": ("transfer",),
}


def message_for(error: ZooError) -> Message:
    """The message for an error, after importing the sentences of the room it comes from."""
    room = type(error).__module__.split(".")[1]
    for name in _MODULES.get(room, (room,)):
        importlib.import_module(f"{__name__}.{name}")
    return describe(error)
