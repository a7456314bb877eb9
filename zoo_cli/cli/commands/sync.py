"""`zoo sync`: an environment made equal to a lock, as one change that can be undone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.catalog.compat import projects
from zoo_cli.catalog.database import open_catalog
from zoo_cli.cli.change import changing, settle, step_documents, step_lines
from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.target import find_target
from zoo_cli.cli.text import printable
from zoo_cli.packages.lockfile import FILE_NAME

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Mapping

    from zoo_cli.catalog.entries import Project
    from zoo_cli.cli.console import Console
    from zoo_cli.cli.target import Target
    from zoo_cli.machine.facts import Interpreter
    from zoo_cli.packages.lockfile import LockedFile, LockedPackage
    from zoo_cli.packages.sync import Sync


@click.command(name="sync", epilog="Examples: zoo sync    zoo sync pylock.a100.toml --env ./env")
@click.argument("lock_file", metavar="[LOCK]", type=click.Path(path_type=Path), default=Path(FILE_NAME))
@click.option("--python", metavar="PATH|VERSION", help="The interpreter; with --env, the one to make it from.")
@click.option(
    "--env",
    "environment",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="This virtual environment; made if it is not there.",
)
@click.option(
    "--mirror", "mirrors", multiple=True, metavar="FROM=TO", help="Fetch addresses that begin with FROM from TO first."
)
@click.option("--dry-run", is_flag=True, help="Show what would change, and stop.")
@click.option("--yes", "-y", is_flag=True, help="Replace and remove what the lock has not, without asking.")
@click.option("--no-rollback", is_flag=True, help="Leave what a failed sync did, to look into it.")
@common_options
@pass_console
def command(
    console: Console,
    lock_file: Path,
    python: str | None,
    environment: Path | None,
    mirrors: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    no_rollback: bool,
) -> None:
    """Make an environment equal a lock: what is missing comes, what the lock has not goes, pip stays.

    Every wheel is fetched by its SHA-256 and inspected before anything is changed; compiled ops are run afterwards.
    """
    from zoo_cli.packages.locking import read_lock
    from zoo_cli.packages.sync import decide_sync

    lock = read_lock(lock_file)
    catalog = open_catalog()
    words = _words(lock_file, python, environment, mirrors, no_rollback=no_rollback)
    target = find_target(catalog, console, python=python, environment=environment)
    decide_sync(lock, target.machine, str(lock_file))  # before an environment is made
    if not dry_run:
        target = _ready(console, catalog, target, words, yes=yes)
    decided = decide_sync(lock, target.machine, str(lock_file))
    _show(console, decided)
    if not dry_run and (decided.arrivals or decided.leaving):
        _consent(console, decided, words, yes=yes)
        assert target.machine.python is not None
        _act(console, decided, target.machine.python, Means(words, mirrors, projects(catalog), no_rollback))
    _tell(console, decided, dry_run=dry_run)


def _ready(
    console: Console, catalog: sqlite3.Connection, target: Target, words: tuple[str, ...], *, yes: bool
) -> Target:
    """The target with its environment made, fit to be changed, and nothing half done in it."""
    from zoo_cli.packages.install import check_target
    from zoo_cli.packages.journal import journal_of

    made = target.make(console)
    if target.environment:
        target = find_target(catalog, console, python=made)
    here = target.machine.python
    assert here is not None
    check_target(here, words)
    if settle(console, journal_of(here), yes=yes):
        target = find_target(catalog, console, python=made)
    return target


@dataclass(frozen=True)
class Means:
    """What acting needs beside the decision."""

    words: tuple[str, ...]  # the command as typed
    mirrors: tuple[str, ...]
    known: Mapping[str, Project]
    no_rollback: bool


def _act(console: Console, decided: Sync, here: Interpreter, means: Means) -> None:
    from zoo_cli.cli.progress import Progress
    from zoo_cli.directories import state_directory
    from zoo_cli.packages.journal import journal_of
    from zoo_cli.packages.supply import Supply
    from zoo_cli.packages.sync import Work, sync
    from zoo_cli.transfer.hashes import Sha256
    from zoo_cli.transfer.mirrors import load_mirrors
    from zoo_cli.transfer.settings import Settings
    from zoo_cli.transfer.store import users_store
    from zoo_cli.trust.seen import Seen

    journal, rules = journal_of(here), load_mirrors(means.mirrors)
    how = {"expected": journal.distributions(), "rollback": not means.no_rollback}
    with Progress(console) as progress:
        supply = Supply(users_store(), Seen(state_directory()), rules, Settings(offline=console.offline), progress)

        def fetch(wheel: LockedFile) -> Path:
            return supply.file(wheel.name, (wheel.url,), Sha256(wheel.sha256), wheel.size_bytes).path

        work = Work(
            begin=lambda: changing(console, journal, means.words, **how),
            fetch=fetch,
            inspect=lambda package, path: _inspect(means.known, package, path),
            check=lambda names: _check(means.known, here.executable, names, means.words),
            say=lambda line: console.say(f"    {printable(line)}") if console.verbose else None,
        )
        sync(decided, here, work)


def _words(
    lock_file: Path, python: str | None, environment: Path | None, mirrors: tuple[str, ...], *, no_rollback: bool
) -> tuple[str, ...]:
    """The command as typed, without what a way out will add."""
    words = ["zoo", "sync", str(lock_file)]
    for option, value in (("--python", python), ("--env", environment), *(("--mirror", rule) for rule in mirrors)):
        words += [option, str(value)] if value else []
    return (*words, *(["--no-rollback"] if no_rollback else []))


def _inspect(known: Mapping[str, Project], package: LockedPackage, path: Path) -> None:
    from zoo_cli.trust.wheel import inspect_wheel, require_sound

    project = known.get(package.project)
    require_sound(inspect_wheel(path, expects_ops=project is not None and project.kind == "ops"))


def _check(known: Mapping[str, Project], python: str, names: Collection[str], words: tuple[str, ...]) -> None:
    from zoo_cli.packages.install import require_working_ops

    imports = [known[name].import_name for name in sorted(names) if name in known and known[name].kind == "ops"]
    require_working_ops(python, imports, words)


def _steps(decided: Sync) -> list[tuple[str, str | None, str | None]]:
    arriving = [(each.package.project, each.was, each.package.version) for each in decided.arrivals]
    return sorted([*arriving, *((name, old, None) for name, old in decided.leaving)])


def _show(console: Console, decided: Sync) -> None:
    if not console.json:
        for line in step_lines(_steps(decided)):
            console.say(printable(line))


def _consent(console: Console, decided: Sync, words: tuple[str, ...], *, yes: bool) -> None:
    from zoo_cli.packages.install import NeedsConsent

    if yes or not decided.harms:
        return
    if not console.can_ask:
        raise NeedsConsent(words, decided.harms, ("--yes",))
    if not console.ask(f"{len(decided.harms)} installed packages are replaced or removed. Go on?"):
        console.say("Nothing changed.")
        raise click.exceptions.Exit(1)


def _tell(console: Console, decided: Sync, *, dry_run: bool) -> None:
    changed = bool(decided.arrivals or decided.leaving)
    if console.json:
        document = {"changed": changed and not dry_run, "dry_run": dry_run, "changes": step_documents(_steps(decided))}
        console.document({"ok": True, "command": "sync", **document})
    elif not changed:
        console.say("The environment equals the lock already.")
    elif not dry_run:
        console.say(f"The environment equals the lock: {len(decided.arrivals) + len(decided.staying)} packages.")
