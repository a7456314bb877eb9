"""Bringing a lock into an environment, as `zoo sync` and `zoo install --from-bundle` do it: as one change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from zoo_cli.cli.change import changing, settle, step_documents, step_lines
from zoo_cli.cli.target import find_target
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from zoo_cli.catalog.entries import Project
    from zoo_cli.cli.console import Console
    from zoo_cli.cli.progress import Progress
    from zoo_cli.cli.target import Target
    from zoo_cli.machine.facts import Interpreter
    from zoo_cli.packages.arrivals import Judge
    from zoo_cli.packages.lockfile import Lock, LockedFile
    from zoo_cli.packages.sync import Arrival, Sync


@dataclass(frozen=True)
class Applying:
    """How a lock comes into an environment.

    Attributes:
        command: The name of the command, for its document.
        shown: What the chosen lock is called.
        words: The command as typed.
        removes_others: Whether what the lock has not goes.
    """

    command: str
    words: tuple[str, ...]
    python: str | None
    environment: Path | None
    removes_others: bool
    dry_run: bool
    yes: bool
    no_rollback: bool
    shown: str = ""


def apply_lock(
    console: Console, catalog: sqlite3.Connection, locks: Mapping[str, Lock], how: Applying,
    fetcher: Callable[[Progress], Callable[[LockedFile], Path]],
    bring_models: Callable[[Lock], tuple[Path, ...]] = lambda _lock: (),
) -> None:  # fmt: skip
    """Takes the lock for this machine, decides what changes, shows it, asks where that is due, does it and tells.

    `bring_models` puts the lock's models in place when the environment is as it shall be.

    Raises:
        LockDoesNotFit: The lock is for other machines; nothing was made.
        ZooError: Of transfer, inspection, journal, installer or the check of the ops; the environment is as it was.
    """
    from zoo_cli.packages.sync import choose_lock

    target = find_target(catalog, console, python=how.python, environment=how.environment)
    path = choose_lock(locks, target.machine)
    lock, how = locks[path], replace(how, shown=path)
    if len(locks) > 1 and not console.json:
        console.say(f"{printable(path)} is for this machine.")
    decided = _decided(lock, target, how)  # before an environment is made
    models: tuple[Path, ...] = ()
    if how.dry_run:
        _show(console, decided)
    else:
        with target.made(console, keep_failed=how.no_rollback) as python:
            target = _ready(console, catalog, target, python, how)
            decided = _decided(lock, target, how)
            _show(console, decided)
            if decided.arrivals or decided.leaving:
                _consent(console, decided, how)
                _apply(console, catalog, decided, lock.variant, target, how, fetcher)
        models = bring_models(lock)
    _tell(console, decided, how, models)


def _show(console: Console, decided: Sync) -> None:
    for line in [] if console.json else step_lines(_steps(decided)):
        console.say(printable(line))


def _ready(console: Console, catalog: sqlite3.Connection, target: Target, python: str, how: Applying) -> Target:
    """The target with its environment made, fit to be changed, and nothing half done in it."""
    from zoo_cli.packages.install import check_target
    from zoo_cli.packages.journal import journal_of

    if target.environment:
        target = find_target(catalog, console, python=python)
    here = target.machine.python
    assert here is not None
    check_target(here, how.words)
    if settle(console, journal_of(here), yes=how.yes):
        target = find_target(catalog, console, python=python)
    return target


def _decided(lock: Lock, target: Target, how: Applying) -> Sync:
    from zoo_cli.packages.sync import decide_sync

    decided = decide_sync(lock, target.machine, how.shown)
    return decided if how.removes_others else decided._replace(leaving=())


def _apply(
    console: Console, catalog: sqlite3.Connection, decided: Sync, variant: str, target: Target, how: Applying,
    fetcher: Callable[[Progress], Callable[[LockedFile], Path]],
) -> None:  # fmt: skip
    from zoo_cli.catalog.compat import projects, read_matrix
    from zoo_cli.cli.progress import Progress
    from zoo_cli.packages.arrivals import Judge
    from zoo_cli.packages.journal import journal_of
    from zoo_cli.packages.sync import Work, sync

    here = target.machine.python
    assert here is not None
    known, journal = projects(catalog), journal_of(here)
    judge = Judge(target.machine, read_matrix(catalog, target.machine.platform), known)
    expected = journal.distributions()
    with Progress(console) as progress:
        work = Work(
            begin=lambda: changing(console, journal, how.words, expected=expected, rollback=not how.no_rollback),
            fetch=fetcher(progress),
            inspect=lambda files: _inspect(judge, variant, files),
            check=lambda names: _check(known, here, names, how.words),
            tell=progress.step,
            say=progress.hear,
        )
        sync(decided, here, work)


def _inspect(judge: Judge, variant: str, files: Sequence[tuple[Arrival, Path]]) -> None:
    """Every wheel must be what it says, and those with compiled code must be able to work here."""
    from zoo_cli.directories import cache_path, state_directory
    from zoo_cli.packages.arrivals import JUDGED, require_locked_fit
    from zoo_cli.packages.plan import Because, Pin
    from zoo_cli.trust.inspected import Inspections
    from zoo_cli.trust.wheel import require_sound

    judged, inspections = [], Inspections(cache_path(), state_directory())
    for (package, wheel, _was), path in files:
        report = require_sound(inspections.report(path, wheel.sha256))
        project = judge.projects.get(package.project)
        if project and project.kind in JUDGED:
            urls = (path.as_uri(),)
            pin = Pin(package.project, package.version, "wheel", "install", Because("asked"), "seen", urls=urls)
            judged.append((pin, report))
    require_locked_fit(judge, variant, judged)


def _check(known: dict[str, Project], python: Interpreter, names: Collection[str], words: tuple[str, ...]) -> None:
    from zoo_cli.packages.install import require_working_ops

    imports = [known[name].import_name for name in sorted(names) if name in known and known[name].kind == "ops"]
    require_working_ops(python.executable, python.version, imports, words)


def _steps(decided: Sync) -> list[tuple[str, str | None, str | None]]:
    arriving = [(each.package.project, each.was, each.package.version) for each in decided.arrivals]
    return sorted([*arriving, *((name, old, None) for name, old in decided.leaving)])


def _consent(console: Console, decided: Sync, how: Applying) -> None:
    from zoo_cli.packages.install import NeedsConsent

    if how.yes or not decided.harms:
        return
    if not console.can_ask:
        raise NeedsConsent(how.words, decided.harms, ("--yes",))
    if not console.ask(f"{len(decided.harms)} installed packages are replaced or removed. Go on?"):
        console.say("Nothing changed.")
        raise click.exceptions.Exit(1)


def _tell(console: Console, decided: Sync, how: Applying, models: Sequence[Path]) -> None:
    changed = bool(decided.arrivals or decided.leaving)
    if console.json:
        facts: dict[str, object] = {"changed": changed and not how.dry_run, "dry_run": how.dry_run}
        facts |= {"changes": step_documents(_steps(decided)), "models": [str(path) for path in models]}
        console.document({"ok": True, "command": how.command, **facts})
    elif not changed:
        same = "equals the lock already" if how.removes_others else "has all of it already"
        console.say(f"The environment {same}.")
    elif not how.dry_run:
        count = len(decided.arrivals) + len(decided.staying)
        end = f"equals the lock: {count} packages" if how.removes_others else f"has all of it: {count} packages"
        console.say(f"The environment {end}.")
    for path in [] if console.json else models:
        console.data(printable(str(path)))
