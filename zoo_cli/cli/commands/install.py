"""`zoo install`: read the machine, decide, show the plan, act, tell."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli import install_view
from zoo_cli.cli.change import settle
from zoo_cli.cli.choices import Choices, planning_options, source_words, typed, with_sources
from zoo_cli.cli.freshness import heed_expiry, stale_option
from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.planning import Planner
from zoo_cli.cli.target import Target, find_target
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from zoo_cli.cli.console import Console
    from zoo_cli.cli.progress import Progress
    from zoo_cli.packages.locked import LockedFile


@click.command(
    name="install",
    epilog="Examples: zoo install mmdet    zoo install 'mmdet>=3,<3.3' mmpose --env ./env",
)
@click.argument("packages", nargs=-1, metavar="PACKAGE...")
@click.option(
    "--from-bundle",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Install the environment of a bundle (zoo bundle --with-env); no network.",
)
@click.option(
    "--download-only",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Install nothing: put every wheel into this directory, for --offline --find-links DIR.",
)
@click.option(
    "--python",
    "python",
    metavar="PATH|VERSION",
    help="Interpreter to install into; with --env, the one to make it from.",
)
@click.option(
    "--env",
    "environment",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Install into this virtual environment; made if it is not there.",
)
@click.option(
    "--machine",
    "described",
    metavar="FACTS|FILE",
    help="Plan for another machine (see zoo help machine); needs --dry-run or --download-only.",
)
@click.option(
    "-e",
    "--editable",
    "editable",
    multiple=True,
    metavar="DIR",
    help="Install this project folder so that changes in it count at once; may be repeated.",
)
@planning_options
@stale_option
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@click.option("--yes", "-y", is_flag=True, help="Replace installed packages without asking.")
@click.option(
    "--upgrade", "-U", is_flag=True, help="Replace the installed frameworks and ops without asking; torch stays."
)
@click.option("--allow-code", is_flag=True, help="Run the build code of given sources (setup.py) without asking.")
@click.option("--no-rollback", is_flag=True, help="Leave what a failed install did, to look into it.")
@common_options
@pass_console
def command(
    console: Console,
    /,
    python: str | None,
    environment: Path | None,
    described: str | None,
    dry_run: bool,
    yes: bool,
    upgrade: bool,
    no_rollback: bool,
    allow_stale_index: bool,
    from_bundle: Path | None,
    download_only: Path | None,
    editable: tuple[str, ...],
    allow_code: bool,
    **options: object,
) -> None:
    """Install packages with the torch and compiled ops that work together on this machine.

    PACKAGE is a project of the index, or a source: ./folder, x-1.0.tar.gz, git+https://host/project@ref.
    """
    from zoo_cli.catalog.database import open_catalog

    if from_bundle:
        if options["packages"] or options["requirements"] or described:
            raise click.UsageError("--from-bundle installs what is in it; leave PACKAGE, -r and --machine out.")
        _from_bundle(console, from_bundle, python, environment, dry_run=dry_run, yes=yes, no_rollback=no_rollback)
        return
    if described and not dry_run and not download_only:
        raise click.UsageError("--machine describes another machine, so it needs --dry-run or --download-only.")
    choices, sources = with_sources(console, Choices(**options), editable)  # type: ignore[arg-type]
    if not choices.packages and not choices.requirements and not sources:
        raise click.UsageError("Missing argument 'PACKAGE...', a requirements file with -r, or --from-bundle FILE.")
    if download_only and (environment or sources):
        why = "installs nothing; leave --env out" if environment else "takes wheels of releases, not sources"
        raise click.UsageError(f"--download-only {why}.")
    catalog = open_catalog()
    heed_expiry(console, fetches=not dry_run, allowed=allow_stale_index, packages=[""])  # by zoo's own facts alone
    if download_only:
        _download(console, catalog, choices, download_only, python=python, described=described, dry_run=dry_run)
        return
    planner = Planner(console, catalog, choices, sources, upgrade=upgrade)
    target = find_target(catalog, console, python=python, environment=environment, described=described)
    if not dry_run and _settled(console, target, yes=yes):
        target = find_target(catalog, console, python=python, environment=environment, described=described)
    flags = {"--dry-run": dry_run, "--upgrade": upgrade, "--no-rollback": no_rollback, "--allow-code": allow_code}
    words = typed("install", choices, (*source_words(sources), *(flag for flag, is_given in flags.items() if is_given)))
    if dry_run:
        _show(console, planner, target, choices, words)
        return
    from zoo_cli.cli.installing import Circumstances, install
    from zoo_cli.cli.sources import users_mirrors
    from zoo_cli.packages.journal import journal_of

    mirrors, here = users_mirrors(console, choices.mirrors), target.machine.python
    installed = journal_of(here).distributions() if here and target.executable else None
    planned = planner.plan(target.machine, words)
    given = Circumstances(mirrors, planner, choices, words, installed, yes, upgrade, no_rollback, allow_code)
    install(console, target, planned, given)


def _show(console: Console, planner: Planner, target: Target, choices: Choices, words: tuple[str, ...]) -> None:
    """The plan and nothing more; what only acting takes is not even imported."""
    mirrors = None
    if choices.mirrors:
        from zoo_cli.cli.sources import users_mirrors

        mirrors = users_mirrors(console, choices.mirrors)
    plan, offers = planner.plan(target.machine, words)
    install_view.show(console, plan, target, offers)
    install_view.tell_dry_run(console, plan, target, planner.only, mirrors)


def _from_bundle(
    console: Console,
    path: Path,
    python: str | None,
    environment: Path | None,
    *,
    dry_run: bool,
    yes: bool,
    no_rollback: bool,
) -> None:
    """The environment of a bundle, from its wheels alone; what else is installed stays."""
    from zoo_cli.catalog.database import open_catalog
    from zoo_cli.cli.syncing import Applying, apply_lock
    from zoo_cli.directories import cache_directory
    from zoo_cli.packages.wheelhouse import lock_of, unpacked_wheel
    from zoo_cli.trust.bundle import Bundle

    places = (("--python", python), ("--env", environment))
    words = ["zoo", "install", "--from-bundle", str(path)]
    words += [str(word) for option in places if option[1] for word in option]
    with Bundle(path) as bundle:
        how = Applying("install", tuple(words), python, environment, False, dry_run, yes, no_rollback)
        cache = cache_directory()

        def fetcher(_progress: Progress) -> Callable[[LockedFile], Path]:
            return lambda wheel: unpacked_wheel(bundle, wheel, cache)

        apply_lock(console, open_catalog(), {str(path): lock_of(bundle)}, how, fetcher)


def _download(
    console: Console,
    catalog: sqlite3.Connection,
    choices: Choices,
    directory: Path,
    *,
    python: str | None,
    described: str | None,
    dry_run: bool,
) -> None:
    """Every wheel of the plan, and of what it needs, in a directory."""
    from zoo_cli.cli.progress import Progress
    from zoo_cli.cli.sources import users_mirrors
    from zoo_cli.cli.stack_lock import lock_stack, plan_stack
    from zoo_cli.cli.text import human_bytes
    from zoo_cli.packages.wheelhouse import write_wheelhouse

    words = typed("install", choices)
    stack = plan_stack(console, catalog, choices, words, python=python, described=described)
    if dry_run:
        install_view.tell_dry_run(console, stack.plan, stack.target)
        return
    lock, supply = lock_stack(console, catalog, stack, users_mirrors(console, choices.mirrors))
    with Progress(console) as progress:
        written = write_wheelhouse(lock, stack.machine, replace(supply, listen=progress), directory)
    if console.json:
        rows = [{"file": each.name, "sha256": each.sha256, "size_bytes": each.size_bytes} for each in written]
        console.document({"ok": True, "command": "install", "directory": str(directory), "files": rows})
        return
    size = human_bytes(sum(each.size_bytes or 0 for each in written))
    there = shlex.join(["zoo", "install", *choices.packages, "--offline", "--find-links", str(directory)])
    console.say(f"{len(written)} wheels, {size}. There: {printable(there)}")
    console.data(str(directory))


def _settled(console: Console, target: Target, *, yes: bool) -> bool:
    """Whether a change that was cut off was in the way and is not any more."""
    from zoo_cli.packages.journal import journal_of

    here = target.machine.python if target.executable else None
    return here is not None and settle(console, journal_of(here), yes=yes)
