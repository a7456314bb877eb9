"""What a transfer tells while it runs; whoever listens draws it, the engine never prints.

A listener is any callable that takes an event. `nothing` is the default listener.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

CACHE = "cache"  # the source of a file that the store had


class Started(NamedTuple):
    """A file is being fetched; `have_bytes` are kept from an earlier try."""

    name: str
    size_bytes: int | None
    have_bytes: int
    source: str  # the host, file:, or CACHE


class Advanced(NamedTuple):
    """So many bytes of the file are here now (absolute, not a step)."""

    name: str
    have_bytes: int


class SourceFailed(NamedTuple):
    """One address did not deliver; another may follow."""

    name: str
    source: str
    reason: str


class Finished(NamedTuple):
    """The file is complete, checked and under its final name."""

    name: str
    size_bytes: int
    evidence: str
    source: str
    already_here: bool


class Noted(NamedTuple):
    """Something worth a line that is no failure."""

    text: str


Event = Started | Advanced | SourceFailed | Finished | Noted
Listener = Callable[[Event], None]


def nothing(_event: Event) -> None:
    """The listener that does nothing."""
