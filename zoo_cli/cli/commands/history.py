"""`zoo history`: what zoo changed in an environment, and what of it can be undone."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from zoo_cli.cli.change import environment_options, read_target, step_documents, step_lines
from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from pathlib import Path

    from zoo_cli.cli.console import Console
    from zoo_cli.packages.changes import Change


@click.command(name="history", epilog="Example: zoo history --env ./env")
@environment_options
@common_options
@pass_console
def command(console: Console, python: str | None, environment: Path | None) -> None:
    """What zoo changed in an environment, newest first: `zoo undo NUMBER` goes back to before a change."""
    from zoo_cli.packages.changes import in_effect
    from zoo_cli.packages.journal import journal_of

    target = read_target(console, python, environment)
    assert target.machine.python is not None
    journal = journal_of(target.machine.python)
    changes, kept = journal.changes(), frozenset(journal.kept())
    standing, cut_off = frozenset(in_effect(changes)), journal.unfinished()
    if console.json:
        documents = [
            {
                "number": each.number, "started": each.started, "typed": each.command, "undoes": each.undoes,
                "stands": each.number in standing, "can_be_undone": each.number in kept,
                "changes": step_documents(each.steps, dict(each.came_from)),
            }
            for each in reversed(changes)
        ]  # fmt: skip
        begun = {"typed": cut_off.command, "started": cut_off.started} if cut_off else None
        facts = {"python": journal.python, "changes": documents, "cut_off": begun}
        console.document({"ok": True, "command": "history", **facts})
        return
    if cut_off:
        typed = printable(" ".join(cut_off.command))
        undo = f"zoo undo --python {shlex.quote(journal.python)}"
        console.warn(f"'{typed}' of {cut_off.started} was cut off; bring back what was before it: {undo}")
    if not changes and not cut_off:
        console.say(f"zoo changed nothing in {printable(str(journal.prefix))}.")
    rows: list[tuple[str, ...]] = [
        (str(each.number), each.started, _state(each, standing, kept), " ".join(each.command))
        for each in reversed(changes)
    ]
    if rows:
        console.table(("Number", "When", "State", "Command"), rows, right=frozenset({0}))
    if console.verbose:
        for each in reversed(changes):
            console.say(f"{each.number}:")
            for line in step_lines(each.steps, dict(each.came_from)):
                console.say(f"  {printable(line)}")


def _state(change: Change, standing: frozenset[int], kept: frozenset[int]) -> str:
    if change.undoes is not None:
        return f"undid {change.undoes}"
    if change.number not in standing:
        return "undone"
    return "stands" if change.number in kept else "stands for good"
