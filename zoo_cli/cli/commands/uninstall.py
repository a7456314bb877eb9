"""`zoo uninstall`: remove packages as one change that can be undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zoo_cli.cli.change import changing, environment_options, read_target, settle
from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.errors import ExitCode
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from pathlib import Path

    from zoo_cli.cli.console import Console
    from zoo_cli.packages.uninstall import Removal


@click.command(name="uninstall", epilog="Examples: zoo uninstall mmcv-lite    zoo uninstall mmdet mmengine --env ./env")
@click.argument("packages", nargs=-1, required=True, metavar="PACKAGE...")
@environment_options
@click.option("--changed", is_flag=True, help="Also files that were changed since they were installed.")
@click.option("--dry-run", is_flag=True, help="Show what would go, and stop.")
@click.option("--yes", "-y", is_flag=True, help="Remove without asking what others need.")
@common_options
@pass_console
def command(
    console: Console,
    packages: tuple[str, ...],
    python: str | None,
    environment: Path | None,
    changed: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Remove installed packages. Nothing goes that was not named; zoo undo brings them back.

    Files that are not as they were installed stay unless --changed is given.
    """
    from zoo_cli.packages.install import check_target
    from zoo_cli.packages.journal import journal_of
    from zoo_cli.packages.uninstall import plan_removal, remove

    target = read_target(console, python, environment)
    assert target.machine.python is not None
    journal = journal_of(target.machine.python)
    if settle(console, journal, yes=yes):
        target = read_target(console, python, environment)
    here = target.machine.python
    assert here is not None
    removal = plan_removal(here, packages, journal.roots, changed_too=changed)
    words = ("zoo", "uninstall", *packages)
    check_target(here, words)
    if not console.json:
        for each in removal.projects:
            console.say(f"- {printable(each.name)} {printable(each.version)}")
        for path in removal.changed:
            console.warn(f"{path}: stays, it was changed since it was installed; --changed removes it, too")
    if not dry_run:
        _consent(console, removal, words, yes=yes)
        say = (lambda line: console.say(f"    {printable(line)}")) if console.verbose else None
        expected = journal.distributions()
        remove(removal, here, journal.home, lambda: changing(console, journal, words, expected=expected), say)
    if console.json:
        gone = [{"name": each.name, "version": each.version} for each in removal.projects]
        console.document(
            {
                "ok": not removal.changed,
                "command": "uninstall",
                "removed": gone,
                "dry_run": dry_run,
                "changed": [str(path) for path in removal.changed],
            }
        )
    elif not dry_run:
        console.say("Removed. Bring them back: zoo undo")
    if removal.changed and not dry_run:
        raise click.exceptions.Exit(ExitCode.FAILED)


def _consent(console: Console, removal: Removal, words: tuple[str, ...], *, yes: bool) -> None:
    from zoo_cli.packages.uninstall import StillNeeded

    if yes or not removal.needed:
        return
    if not console.can_ask:
        raise StillNeeded(words, removal.needed)
    for project, other in removal.needed:
        console.say(f"{printable(other)} needs {printable(project)}.")
    if not console.ask("Remove all the same?"):
        console.say("Nothing changed.")
        raise click.exceptions.Exit(1)
