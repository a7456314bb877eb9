"""`zoo undo`: back to what an environment was before a change that zoo made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zoo_cli.cli.change import environment_options, read_target, step_documents, step_lines, tell_lost
from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from pathlib import Path

    from zoo_cli.cli.console import Console
    from zoo_cli.packages.changes import Change
    from zoo_cli.packages.journal import Journal


@click.command(name="undo", epilog="Examples: zoo undo    zoo undo 3 --env ./env    zoo history shows the numbers")
@click.argument("number", type=click.IntRange(min=1), required=False)
@environment_options
@click.option("--dry-run", is_flag=True, help="Show what would change back, and stop.")
@click.option("--yes", "-y", is_flag=True, help="Undo what others changed since then, too, without asking.")
@common_options
@pass_console
def command(
    console: Console, number: int | None, python: str | None, environment: Path | None, dry_run: bool, yes: bool
) -> None:
    """Bring an environment back to before the last change, or before change NUMBER; or before one that was cut off.

    Every file is as it was, also those of packages that were replaced. An undo is a change, so it can be undone.
    """
    from zoo_cli.packages.changes import steps
    from zoo_cli.packages.journal import journal_of

    target = read_target(console, python, environment)
    assert target.machine.python is not None
    journal = journal_of(target.machine.python)
    if number is None and _recovered(console, journal, dry_run=dry_run):
        return
    change = journal.to_undo(number)
    back = steps(journal.distributions(), change.before)
    if not console.json:
        console.say(f"Back to before change {change.number} ({printable(' '.join(change.command))}, {change.started}):")
        for line in step_lines(back) or ["  the same distributions; some files differ"]:
            console.say(f"  {printable(line)}")
    if not dry_run:
        _consent(console, journal, change, yes=yes)
        words = ("zoo", "undo", *([str(number)] if number else []))
        _change, lost = journal.undo(change.number, words, console.now)
        tell_lost(console, lost)
    if console.json:
        document = {"undone": change.number, "changes": step_documents(back), "dry_run": dry_run}
        console.document({"ok": True, "command": "undo", **document})
    elif not dry_run:
        console.say("Done. zoo history shows every change.")


def _recovered(console: Console, journal: Journal, *, dry_run: bool) -> bool:
    """Whether there was a change that was cut off; what was before it is back, then."""
    cut_off = journal.unfinished()
    if cut_off is None:
        return False
    lost = () if dry_run else journal.recover()
    tell_lost(console, lost)
    if console.json:
        document = {"undone": "cut off", "typed": cut_off.command, "started": cut_off.started, "dry_run": dry_run}
        console.document({"ok": True, "command": "undo", **document})
    else:
        will = "would be" if dry_run else "is"
        console.say(f"The environment {will} as it was before '{printable(' '.join(cut_off.command))}' was cut off.")
    return True


def _consent(console: Console, journal: Journal, change: Change, *, yes: bool) -> None:
    """Asks when somebody else changed the environment since zoo did: that goes, too."""
    from zoo_cli.packages.journal import ChangedSince

    since = journal.since()
    if yes or not any(since):
        return
    error = ChangedSince(journal.python, change.number, since.added, since.changed, since.removed)
    if not console.can_ask:
        raise error
    count = len(since.added) + len(since.changed) + len(since.removed)
    console.say(f"{count} files were changed by others since then, such as {printable(error.first)}.")
    if not console.ask("Undo that, too?"):
        raise click.exceptions.Exit(1)
