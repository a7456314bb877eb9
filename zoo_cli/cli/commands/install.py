"""`zoo install`: read the machine, decide, show the plan, act, tell."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli import install_view
from zoo_cli.cli.change import changing, settle
from zoo_cli.cli.freshness import heed_expiry, stale_option
from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.planning import Choices, Planner, names_in, planning_options, project_of, typed
from zoo_cli.cli.target import Target, find_target
from zoo_cli.cli.text import printable
from zoo_cli.packages import install as flow
from zoo_cli.packages.arrivals import WheelUnfit
from zoo_cli.packages.explain import NoSolution
from zoo_cli.packages.journal import journal_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping

    from zoo_cli.cli.console import Console
    from zoo_cli.cli.progress import Progress
    from zoo_cli.packages.given import Given
    from zoo_cli.packages.lockfile import LockedFile
    from zoo_cli.packages.offers import Offers
    from zoo_cli.packages.plan import Pin, Plan
    from zoo_cli.transfer.sources import Mirrors


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
    from zoo_cli.transfer.mirrors import load_mirrors

    if from_bundle:
        if options["packages"] or options["requirements"] or described:
            raise click.UsageError("--from-bundle installs what is in it; leave PACKAGE, -r and --machine out.")
        _from_bundle(console, from_bundle, python, environment, dry_run=dry_run, yes=yes, no_rollback=no_rollback)
        return
    if described and not dry_run and not download_only:
        raise click.UsageError("--machine describes another machine, so it needs --dry-run or --download-only.")
    choices = Choices(**options)  # type: ignore[arg-type]
    choices, sources = _given(choices, editable)
    if not choices.packages and not choices.requirements and not sources:
        raise click.UsageError("Missing argument 'PACKAGE...', a requirements file with -r, or --from-bundle FILE.")
    catalog = open_catalog()
    heed_expiry(console, fetches=not dry_run, allowed=allow_stale_index)
    if download_only:
        if environment:
            raise click.UsageError("--download-only installs nothing; leave --env out.")
        if sources:
            raise click.UsageError("--download-only takes wheels of releases, not sources.")
        _download(console, catalog, choices, download_only, python=python, described=described, dry_run=dry_run)
        return
    planner = Planner(console, catalog, choices, sources, upgrade=upgrade)
    target = find_target(catalog, console, python=python, environment=environment, described=described)
    if not dry_run and _settled(console, target, yes=yes):
        target = find_target(catalog, console, python=python, environment=environment, described=described)
    flags = [word for each in sources for word in (("-e",) if each.source.is_editable else ()) + (each.source.shown,)]
    named = (
        ("--dry-run", dry_run),
        ("--upgrade", upgrade),
        ("--no-rollback", no_rollback),
        ("--allow-code", allow_code),
    )
    flags += [flag for flag, is_given in named if is_given]
    words = typed("install", choices, flags)
    mirrors = load_mirrors(choices.mirrors) if choices.mirrors or not dry_run else None
    here = target.machine.python
    installed = journal_of(here).distributions() if here and target.executable else None
    planned = planner.plan(target.machine, words)
    if dry_run or mirrors is None:
        install_view.show(console, planned[0], target, planned[1])
        install_view.tell_dry_run(console, planned[0], target, planner.only)
        return
    given = Circumstances(mirrors, planner, choices, words, installed, yes, upgrade, no_rollback, allow_code)
    confirmed: tuple[Plan, Offers] | None = _confirmed(console, target, planned, given)
    while confirmed:
        confirmed = _carry_out(console, target, confirmed, given)


@dataclass(frozen=True)
class Circumstances:
    """What acting needs beside the plan and its target."""

    mirrors: Mirrors
    planner: Planner
    choices: Choices
    words: tuple[str, ...]  # the command as typed
    installed: Mapping[str, str] | None  # the distributions planned with; None for a new environment
    yes: bool
    upgrade: bool
    no_rollback: bool
    allow_code: bool


def _given(choices: Choices, editable: tuple[str, ...]) -> tuple[Choices, tuple[Given, ...]]:
    """The sources among the words, looked into, and the choices without them.

    Raises:
        ZooError: `BadSource`, `StepFailed` of git.
    """
    from zoo_cli.packages.sources import is_place

    places = [(word, False) for word in choices.packages if is_place(word)] + [(word, True) for word in editable]
    if not places:
        return choices, ()
    from zoo_cli.directories import cache_directory
    from zoo_cli.packages.given import read_given
    from zoo_cli.packages.sources import find_source

    checkouts = cache_directory() / "git"
    sources = [find_source(word, checkouts, is_editable=is_editable) for word, is_editable in places]
    packages = tuple(word for word in choices.packages if not is_place(word))
    return replace(choices, packages=packages), tuple(read_given(each, checkouts) for each in sources)


def _carry_out(
    console: Console, target: Target, planned: tuple[Plan, Offers], given: Circumstances
) -> tuple[Plan, Offers] | None:
    """Shows a plan, asks where it harms, and acts; gives the next plan when one of its wheels turned out unfit.

    Raises:
        ZooError: of acting; `NoSolution` when there is no next plan.
    """
    from zoo_cli.cli.findings_view import sentence

    plan, offers = planned
    install_view.show(console, plan, target, offers)
    if plan.is_done:
        install_view.tell_done(console, plan, target)
        return None
    _consent_to_code(console, given)
    consent(console, plan, given)
    try:
        act(console, plan, target, given)
    except WheelUnfit as unfit:
        unfit.words = given.words
        if not given.planner.refuse(plan, unfit):
            raise unfit.cause or unfit from None
        console.warn(f"{printable(unfit.pin.file_name)} is refused: {sentence(unfit.finding)}; planning without it")
        return _planned_without(console, target, unfit, given)
    except flow.OpsBroken as broken:
        broken.ways = given.planner.ways_past(target.machine, plan, broken.failures)
        raise
    return None


def _planned_without(console: Console, target: Target, unfit: WheelUnfit, given: Circumstances) -> tuple[Plan, Offers]:
    """The plan without a wheel that was refused; where there is none, what was wrong with the wheel is told.

    Raises:
        ZooError: the refusal's own cause, `NoSolution`, or of confirming.
    """
    try:
        planned = given.planner.plan(target.machine, given.words)
    except NoSolution:
        if unfit.cause:
            raise unfit.cause from None
        raise
    return _confirmed(console, target, planned, given)


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
    from zoo_cli.cli.stack_lock import lock_stack, plan_stack
    from zoo_cli.cli.text import human_bytes
    from zoo_cli.packages.wheelhouse import write_wheelhouse
    from zoo_cli.transfer.mirrors import load_mirrors

    words = typed("install", choices)
    stack = plan_stack(console, catalog, choices, words, python=python, described=described)
    if dry_run:
        install_view.tell_dry_run(console, stack.plan, stack.target)
        return
    lock, supply = lock_stack(console, catalog, stack, load_mirrors(choices.mirrors))
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
    here = target.machine.python if target.executable else None
    return here is not None and settle(console, journal_of(here), yes=yes)


def _confirmed(
    console: Console, target: Target, planned: tuple[Plan, Offers], given: Circumstances
) -> tuple[Plan, Offers]:
    """The plan with its wheels as their pages have them; planned again without a wheel that is gone.

    Raises:
        ZooError: `WheelGone` of a wheel that no plan can do without.
    """
    from zoo_cli.directories import state_directory
    from zoo_cli.packages.supply import Supply, WheelGone
    from zoo_cli.transfer.events import Noted
    from zoo_cli.transfer.store import users_store
    from zoo_cli.trust.seen import Seen

    def listen(event: object) -> None:
        if isinstance(event, Noted):
            console.warn(event.text)

    (plan, offers), planner = planned, given.planner
    if console.offline and plan.fetched:
        console.say("Offline: the pages of these wheels were not asked; they are as the index knows them.")
    supply = Supply(users_store(), Seen(state_directory()), given.mirrors, planner.settings, listen)
    while True:
        try:
            return supply.confirmed(plan, target.machine), offers
        except WheelGone as gone:
            gone.words = given.words
            if gone.address in planner.gone:
                raise
            how = "is not on its page any more" if gone.yanked is None else "was taken back by its publisher"
            console.warn(f"{gone.file} {how} ({gone.page}); planning without it")
            planner.gone.append(gone.address)
            try:
                plan, offers = planner.plan(target.machine, given.words)
            except NoSolution:
                raise gone from None


def _consent_to_code(console: Console, given: Circumstances) -> None:
    """Asks before the code of sources that were given runs, unless that was allowed; --yes does not allow it."""
    shown = tuple(printable(each.source.shown) for each in given.planner.given.values())
    if not shown or given.allow_code:
        return
    if not console.can_ask:
        raise flow.RunsCode(shown, given.words)
    if not console.ask(f"Building runs the code of {' and '.join(shown)} on this computer. Go on?"):
        console.say("Nothing changed.")
        raise click.exceptions.Exit(1)


def consent(console: Console, plan: Plan, given: Circumstances) -> None:
    """Asks before something installed is replaced, unless that was allowed by name, with --upgrade or with --yes."""
    words, yes = given.words, given.yes
    allowed = names_in(given.choices.replace) | (upgraded(plan) if given.upgrade else frozenset())
    changes = tuple(change for change in plan.harms if change[0] not in allowed)
    if not changes or yes:
        return
    if not console.can_ask:
        names = ",".join(sorted({name for name, _old, _new in changes}))
        raise flow.NeedsConsent(words, changes, ("--replace", names))
    question = (
        f"This changes {len(changes)} package{'' if len(changes) == 1 else 's'} other programs here may use. Go on?"
    )
    if not console.ask(question):
        console.say("Nothing changed.")
        raise click.exceptions.Exit(1)


def upgraded(plan: Plan) -> frozenset[str]:
    """What --upgrade lets go: the frameworks and ops of the plan, but nothing that conda installed."""
    ours = {*plan.stack.frameworks, *(ops.project for ops in plan.stack.ops)}
    return frozenset(ours) - plan.conda


def act(console: Console, plan: Plan, target: Target, given: Circumstances) -> None:
    """Fetches and judges the wheels, makes the environment where one is to be made, executes the plan, tells.

    Raises:
        ZooError: `WheelUnfit` before anything is changed; and of `arrive` and `execute`.
    """
    from zoo_cli.cli.building import build_request
    from zoo_cli.cli.progress import BuildProgress, Progress
    from zoo_cli.directories import cache_directory, state_directory
    from zoo_cli.packages.arrivals import Judge, arrive
    from zoo_cli.packages.builder import build_wheel
    from zoo_cli.packages.supply import Supply
    from zoo_cli.transfer.store import users_store
    from zoo_cli.trust.seen import Seen

    cache_directory()  # wheels must have a place before anything is changed
    here = target.machine.python
    assert here is not None
    flow.check_target(here, given.words)
    started, settings = console.clock(), given.planner.settings
    stock = frozenset(map(project_of, given.choices.build_stock))
    judge = Judge(target.machine, given.planner.matrix(target.machine), given.planner.known)
    with Progress(console) as progress:
        supply = Supply(users_store(), Seen(state_directory()), given.mirrors, settings, progress)
        arrived = arrive(plan, supply, judge)
        with target.made(console, keep_failed=given.no_rollback) as python:
            journal = journal_of(here, python)

            def build(pin: Pin) -> Path:
                found = given.planner.given.get(pin.project)
                source, catalog = found.source if found else None, given.planner.catalog
                request = build_request(
                    catalog, pin.project, pin.version, python, target.machine, console.environ, source
                )
                request = replace(request, stock=pin.project in stock)
                return build_wheel(request, settings, BuildProgress(progress)).path

            work = flow.Work(
                python=python,
                python_version=here.version,
                words=given.words,
                begin=lambda: changing(
                    console, journal, given.words, expected=given.installed, rollback=not given.no_rollback
                ),
                judge=judge,
                started=started,
                tell=progress.step,
                say=progress.hear,
                clock=console.clock,
                build=build,
                only=given.planner.only,
            )
            receipt = flow.execute(plan, arrived, work)
    install_view.tell(console, receipt)
