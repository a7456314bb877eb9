"""Bringing a lock into an environment, as `zoo sync` and `zoo install --from-bundle` do it: as one change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli.building import consent_to_code
from zoo_cli.cli.change import changing, settle, step_documents, step_lines
from zoo_cli.cli.source_view import source_words
from zoo_cli.cli.target import find_target
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Mapping, Sequence

    from zoo_cli.catalog.entries import Project
    from zoo_cli.cli.console import Console
    from zoo_cli.cli.progress import Progress
    from zoo_cli.cli.target import Target
    from zoo_cli.machine.facts import Interpreter
    from zoo_cli.packages.arrivals import Judge
    from zoo_cli.packages.compiled import Place
    from zoo_cli.packages.given import Given
    from zoo_cli.packages.locked import Lock, LockedFile
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
    allow_code: bool = False
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
                consent_to_code(console, _code_of(decided), how.words, allowed=how.allow_code)
                _consent(console, decided, how)
                _apply(console, catalog, decided, lock.variant, target, how, fetcher)
        models = bring_models(lock)
    _tell(console, decided, how, models)


def _show(console: Console, decided: Sync) -> None:
    for line in [] if console.json else step_lines(_steps(decided), decided.sources):
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
        fetch = fetcher(progress)
        work = Work(
            begin=lambda: changing(console, journal, how.words, expected=expected, rollback=not how.no_rollback),
            sites=journal.sites,
            find=partial(_find, fetch, offline=console.offline),
            build=_builder(console, catalog, judge, _place(judge, here, decided, variant), progress),
            fetch=fetch,
            inspect=lambda files: _inspect(judge, variant, files, progress.step),
            check=lambda names, lock: _check(known, here, names, how.words, lock, progress.step),
            tell=progress.step,
            say=progress.hear,
        )
        sync(decided, here, work)


def _inspect(judge: Judge, variant: str, files: Sequence[tuple[Arrival, Path]], tell: Callable[[str], None]) -> None:
    """Every wheel must be what it says, and those with compiled code must be able to work here."""
    from zoo_cli.directories import cache_path, state_directory
    from zoo_cli.packages.arrivals import JUDGED, require_locked_fit
    from zoo_cli.packages.plan import Because, Pin
    from zoo_cli.trust.inspected import Inspections
    from zoo_cli.trust.wheelreport import require_sound

    judged, inspections = [], Inspections(cache_path(), state_directory())
    if files:
        tell(f"inspect {len(files)} wheel{'' if len(files) == 1 else 's'}")
    for (package, wheel, _was), path in files:
        assert wheel is not None
        report = require_sound(inspections.report(path, wheel.sha256))
        project = judge.projects.get(package.project)
        if project and project.kind in JUDGED:
            urls = (path.as_uri(),)
            pin = Pin(package.project, package.version, "wheel", "install", Because("asked"), "seen", urls=urls)
            judged.append((pin, report))
    require_locked_fit(judge, variant, judged)


def _code_of(decided: Sync) -> list[str]:
    """What runs code when it is built, as it is shown."""
    return [f"{each.package.project} {each.package.version}".strip() + _from(each) for each in decided.builds]


def _from(arrival: Arrival) -> str:
    return f" ({source_words(arrival.source)})" if arrival.source else " (its sdist)"


def _find(fetch: Callable[[LockedFile], Path], arrival: Arrival, *, offline: bool) -> Given:
    """The source of a locked package: the commit, the bytes of its SHA-256, or the folder."""
    from zoo_cli.directories import cache_directory, own_cache
    from zoo_cli.packages.given import Given, read_given
    from zoo_cli.packages.locked import LockedFile
    from zoo_cli.packages.sources import Source, find_source

    checkouts, locked, sdist = own_cache(cache_directory()) / "git", arrival.package.built_from, arrival.package.sdist
    if locked is None:
        assert sdist is not None
        source = Source("sdist", str(fetch(sdist)), sdist.sha256, url=sdist.url)
        return Given(source, arrival.package.project, arrival.package.version, None)  # the build compares them
    if locked.kind == "archive":
        url = locked.place if "://" in locked.place else Path(locked.place).as_uri()
        name = url.rpartition("/")[2]
        path = fetch(LockedFile(name, url, locked.digest, locked.size_bytes))
        source = Source("sdist", str(path), locked.digest, subdirectory=locked.subdirectory, url=url)
    elif locked.kind == "directory":
        folder = Path(locked.place, locked.subdirectory)
        source = find_source(str(folder), checkouts, is_editable=locked.is_editable)
    else:
        inside = f"#subdirectory={locked.subdirectory}" if locked.subdirectory else ""
        address = locked.place if "://" in locked.place else Path(locked.place).as_uri()
        word, project = f"git+{address}@{locked.digest}{inside}", arrival.package.project
        source = find_source(word, checkouts, project=project, offline=offline)
    return read_given(source, checkouts)


def _place(judge: Judge, here: Interpreter, decided: Sync, variant: str) -> Place:
    """The target with the torch that it will have when sources are built."""
    from zoo_cli.packages.arrivals import locked_place

    arriving = (each.package.version for each in decided.arrivals if each.package.project == "torch")
    return locked_place(judge, here, variant, next(arriving, None))


def _builder(
    console: Console, catalog: sqlite3.Connection, judge: Judge, place: Place, progress: Progress
) -> Callable[[Given], Path]:
    """What builds sources for the target; what comes out is judged as a wheel of the lock."""
    from zoo_cli.cli.building import build_request
    from zoo_cli.cli.progress import BuildProgress
    from zoo_cli.packages.arrivals import refusal_here
    from zoo_cli.packages.builder import build_wheel
    from zoo_cli.transfer.settings import Settings

    def build(given: Given) -> Path:
        python, environ = place.python.executable, console.environ
        request = build_request(catalog, given.project, given.version, python, judge.machine, environ, given.source)
        settings = Settings(offline=console.offline)
        return build_wheel(
            request, settings, partial(refusal_here, place, judge.projects), BuildProgress(progress)
        ).path

    return build


def _check(
    known: dict[str, Project], python: Interpreter, names: Collection[str], words: tuple[str, ...], lock: int,
    tell: Callable[[str], None],
) -> None:  # fmt: skip
    from zoo_cli.packages.install import require_working_ops

    imports = [known[name].import_name for name in sorted(names) if name in known and known[name].kind == "ops"]
    if imports:
        tell(f"run the ops of {' and '.join(imports)}")
    require_working_ops(python.executable, python.version, imports, words, held=(lock,))


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
        facts |= {"changes": step_documents(_steps(decided), decided.sources), "models": [str(path) for path in models]}
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
