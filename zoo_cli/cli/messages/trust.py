"""Sentences for what was not believed: wheels and archives."""

from __future__ import annotations

from zoo_cli.cli.messages import Message, WayOut, describe
from zoo_cli.trust.archive import UnsafeArchive
from zoo_cli.trust.bounded import BadBinary
from zoo_cli.trust.wheel import UnreadableWheel, UnsoundWheel

_MOST = 6  # problems shown; --json has all


@describe.register
def _(error: UnreadableWheel) -> Message:
    return Message(
        f"{_name(error.path)} is no wheel that can be read",
        (f"file    {error.path}", f"reason  {error.reason}"),
        (WayOut("It may have been cut off on its way: fetch it again"),),
    )


@describe.register
def _(error: UnsoundWheel) -> Message:
    shown = [f"{problem.code}: {problem.detail}" for problem in error.problems[:_MOST]]
    if len(error.problems) > _MOST:
        shown.append(f"and {len(error.problems) - _MOST} more")
    if {problem.code for problem in error.problems} == {"op-less"}:
        return Message(
            f"{_name(error.path)} has no compiled ops",
            (*shown, "it would install, and every model that uses an op would fail"),
            (WayOut("Use a wheel whose name ends in a platform, not in none-any"),),
        )
    return Message(
        f"{_name(error.path)} is not what it says, or would not stay in its place; nothing was installed",
        tuple(shown),
        (WayOut("Ask whoever offers it for a right one; take it from another place with --find-links"),),
    )


@describe.register
def _(error: UnsafeArchive) -> Message:
    where = f"entry {error.member!r} {error.reason}" if error.member else error.reason
    return Message(
        f"{error.archive} is refused", (where,), (WayOut("Do not unpack it by hand: report it to its publisher"),)
    )


@describe.register
def _(error: BadBinary) -> Message:
    return Message("a compiled library cannot be read", (error.reason,))


def _name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]
