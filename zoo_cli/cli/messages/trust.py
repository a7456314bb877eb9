"""Sentences for what was not believed: wheels, archives and checkpoints."""

from __future__ import annotations

import shlex

from zoo_cli.cli.messages import Message, WayOut, describe
from zoo_cli.cli.messages.transfer import same_command
from zoo_cli.cli.scan_view import finding_lines
from zoo_cli.trust.archive import UnsafeArchive
from zoo_cli.trust.bounded import BadBinary
from zoo_cli.trust.bundle import BadBundle
from zoo_cli.trust.verdict import CheckpointRefused, UnreadableCheckpoint
from zoo_cli.trust.wheel import UnreadableWheel
from zoo_cli.trust.wheelreport import UnsoundWheel

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
def _(error: BadBundle) -> Message:
    return Message(
        f"{_name(error.bundle)} cannot be used as a bundle",
        (f"file    {error.bundle}", f"reason  {error.problem}"),
        (
            WayOut("It may have been cut off on its way: copy it again"),
            WayOut(
                "Make a new one where there is a network", shlex.join(["zoo", "bundle", "MODEL", "-o", error.bundle])
            ),
        ),
    )


@describe.register
def _(error: BadBinary) -> Message:
    return Message("a compiled library cannot be read", (error.reason,))


@describe.register
def _(error: CheckpointRefused) -> Message:
    verdict = error.verdict
    early = ("refused by its first bytes; the rest was not fetched",) if error.early else ()
    kept = (f"kept in {error.quarantine}, where nothing loads it",) if error.quarantine else ()
    facts = (*finding_lines(verdict), *early, *kept)
    if error.may_be_kept:
        names = sorted({finding.what for finding in verdict.findings if finding.level == "unknown"})
        words = [word for name in names for word in ("--trust-global", name)]
        return Message(
            f"{error.file} asks for code that checkpoints do not need",
            facts,
            (WayOut("If you know that code and who wrote the file", same_command(*words)),),
        )
    report = WayOut("Do not load it by hand: report it to its publisher")
    return Message(f"{error.file} is not what an ordinary checkpoint is", facts, (report,))


@describe.register
def _(error: UnreadableCheckpoint) -> Message:
    return Message(f"{error.file} cannot be read", (error.reason,))


def _name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]
