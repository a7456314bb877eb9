"""Sentences for changes of an environment: what is in the way of one, and what cannot be undone."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from zoo_cli.cli.messages import Message, WayOut, describe
from zoo_cli.packages.directurl import NotRecorded
from zoo_cli.packages.journal import (
    ChangedSince,
    EnvironmentBusy,
    EnvironmentChanged,
    JournalFailed,
    NothingToUndo,
    NotRestored,
    UnfinishedChange,
)
from zoo_cli.packages.recorded import LeadsOutside
from zoo_cli.packages.uninstall import NotInstalled, StillNeeded

_SHOWN = 8  # lines of a list


def _some(lines: Sequence[str]) -> tuple[str, ...]:
    more = (f"and {len(lines) - _SHOWN} more",) if len(lines) > _SHOWN else ()
    return (*lines[:_SHOWN], *more)


@describe.register
def _(error: EnvironmentBusy) -> Message:
    return Message(
        f"another zoo is changing {error.environment}",
        (error.holder,) if error.holder else (),
        (WayOut("Run the same command again when that has ended"),),
    )


@describe.register
def _(error: EnvironmentChanged) -> Message:
    lines = [f"{name}: planned with {before or 'none'}, found {now or 'none'}" for name, before, now in error.steps]
    return Message(
        "the environment is not what it was when the plan was made",
        _some(lines),
        (WayOut("Run the same command again: it plans anew"),),
    )


@describe.register
def _(error: UnfinishedChange) -> Message:
    return Message(
        "an earlier change was cut off, and the environment is half changed",
        (f"{shlex.join(error.command)}, begun {error.started}",),
        (WayOut("Bring back what was before it", f"zoo undo --python {shlex.quote(error.python)}"),),
    )


@describe.register
def _(error: NotRestored) -> Message:
    cause = error.__context__
    facts = (f"what failed: {cause}",) if cause else ()
    files = tuple(f"written into, so its former content is gone: {path}" for path in error.files)
    return Message(
        "the change failed, and not every file could be brought back",
        (*facts, *_some(files)),
        (WayOut("See what is broken now", f"zoo check-env --python {shlex.quote(error.python)}"),),
    )


_DOING = {
    "keep": "what is there cannot be kept, so nothing was changed",
    "record": "the change cannot be recorded, so what was there is back",
    "restore": "what was there cannot be brought back completely",
    "read": "the journal of the environment cannot be read",
}


@describe.register
def _(error: JournalFailed) -> Message:
    python = shlex.quote(error.python)
    again = WayOut("When there is room and permission to write, go on", f"zoo undo --python {python}")
    return Message(_DOING[error.doing], (error.reason,), (again,) if error.doing == "restore" else ())


@describe.register
def _(error: NotRecorded) -> Message:
    return Message(f"cannot write down where {error.project} came from", (f"{error.path}: {error.reason}",), ())


@describe.register
def _(error: NothingToUndo) -> Message:
    history = WayOut("What zoo changed there", f"zoo history --python {shlex.quote(error.python)}")
    if error.reason == "none":
        return Message("there is nothing to undo", (f"no change by zoo stands in {error.python}",), (history,))
    kept = ", ".join(map(str, error.kept)) or "none"
    what = "was never made" if error.reason == "unknown" else "is too old: what was before it is not kept any more"
    return Message(f"change {error.number} {what}", (f"changes that can be undone: {kept}",), (history,))


@describe.register
def _(error: ChangedSince) -> Message:
    python = shlex.quote(error.python)
    lines = [f"{word} {path}" for word, paths in _words(error) for path in paths]
    return Message(
        "others changed the environment since then, and that would be undone, too",
        _some(lines),
        (
            WayOut("Undo both", f"zoo undo {error.number} --yes --python {python}"),
            WayOut("What would change back", f"zoo undo {error.number} --dry-run --python {python}"),
        ),
    )


def _words(error: ChangedSince) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return (("changed:", error.changed), ("removed:", error.removed), ("added:", error.added))


@describe.register
def _(error: NotInstalled) -> Message:
    near = (f"near: {', '.join(error.near)}",) if error.near else ()
    return Message(
        f"{error.project} is not installed",
        (f"looked in {error.python}", *near),
        (WayOut("What is installed", f"{shlex.quote(error.python)} -m pip list"),),
    )


@describe.register
def _(error: LeadsOutside) -> Message:
    ways = [WayOut("What lies there", f"ls -ld {shlex.quote(error.link or error.files[0])}")]
    if error.link:
        ways.append(WayOut("Without the link, the rest can be removed", f"rm {shlex.quote(error.link)}"))
    return Message(
        f"removing {error.project} would remove files outside of the environment",
        _some(error.files),
        tuple(ways),
    )


@describe.register
def _(error: StillNeeded) -> Message:
    return Message(
        "other packages need what is to be removed",
        tuple(f"{other} needs {project}" for project, other in error.needed),
        (WayOut("Remove it all the same", shlex.join((*error.words, "--yes"))),),
    )
