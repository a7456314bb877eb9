"""Acting on the plan of `zoo install`: confirm it, ask where it harms or runs code, fetch, judge, change, tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from zoo_cli.cli import install_view
from zoo_cli.cli.building import consent_to_code, wheel_builder
from zoo_cli.cli.change import changing
from zoo_cli.cli.choices import names_in
from zoo_cli.packages import install as flow
from zoo_cli.packages.arrivals import WheelUnfit
from zoo_cli.packages.executor import StepFailed
from zoo_cli.packages.explain import NoSolution
from zoo_cli.packages.journal import journal_of
from zoo_cli.packages.wheelless import NoWheel, may_be_missing, require_wheels
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo_cli.cli.choices import Choices
    from zoo_cli.cli.console import Console
    from zoo_cli.cli.planning import Planner
    from zoo_cli.cli.target import Target
    from zoo_cli.packages.offers import Offers
    from zoo_cli.packages.plan import Plan
    from zoo_cli.transfer.sources import Mirrors


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


def install(console: Console, target: Target, planned: tuple[Plan, Offers], given: Circumstances) -> None:
    """Confirms a plan and carries it out; while a wheel of it turns out unfit or is not there, the next plan instead.

    Raises:
        ZooError: of confirming and acting; `NoSolution` when there is no next plan.
    """
    following: tuple[Plan, Offers] | None = planned
    while following:
        try:
            confirmed = _confirmed(console, target, following, given)
            following = _carry_out(console, target, confirmed, given)
        except NoWheel as lacking:
            following = _planned_with_builds(console, target, lacking, given)


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
    shown = [each.source.shown for each in given.planner.given.values()]
    consent_to_code(console, shown, given.words, allowed=given.allow_code)
    _consent(console, plan, given)
    try:
        _act(console, plan, target, given)
    except WheelUnfit as unfit:
        unfit.words = given.words
        if not given.planner.refuse(plan, unfit):
            raise unfit.cause or unfit from None
        console.warn(f"{printable(unfit.pin.file_name)} is refused: {sentence(unfit.finding)}; planning without it")
        return _planned_without(target, unfit, given)
    except flow.OpsBroken as broken:
        broken.ways = given.planner.ways_past(target.machine, plan, broken.failures)
        raise
    return None


def _planned_without(target: Target, unfit: WheelUnfit, given: Circumstances) -> tuple[Plan, Offers]:
    """The plan without a wheel that was refused; where there is none, what was wrong with the wheel is told.

    Raises:
        ZooError: the refusal's own cause, or `NoSolution`.
    """
    try:
        return given.planner.plan(target.machine, given.words)
    except NoSolution:
        if unfit.cause:
            raise unfit.cause from None
        raise


def _planned_with_builds(
    console: Console, target: Target, lacking: NoWheel, given: Circumstances
) -> tuple[Plan, Offers]:
    """The plan that builds what has no wheel, when the user says so; --yes does not say so.

    Raises:
        NoWheel: nobody can be asked, or there is nothing that could be built.
        StepFailed: there is no such version at all.
    """
    here, planner = target.machine.python, given.planner
    lacking.words = given.words
    lacking.archives = lacking.archives or planner.archives(
        lacking.needed, given.mirrors, here.prefix if here and target.executable else ""
    )
    failed = lacking.__cause__
    if not lacking.archives and isinstance(failed, StepFailed) and may_be_missing(failed.lines):
        raise failed
    if not lacking.archives or not console.can_ask:
        raise lacking
    names = " and ".join(map(printable, lacking.archives))
    if not console.ask(f"There is no wheel of {names}; building runs the code of it on this computer. Go on?"):
        console.say("Nothing changed.")
        raise click.exceptions.Exit(1)
    planner.build(lacking.archives)
    return planner.plan(target.machine, given.words)


def _confirmed(
    console: Console, target: Target, planned: tuple[Plan, Offers], given: Circumstances
) -> tuple[Plan, Offers]:
    """The plan with its wheels as their pages have them; planned again without a wheel that is gone.

    Raises:
        ZooError: `WheelGone` of a wheel that no plan can do without; `NoWheel` of a project with archives only.
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
            return require_wheels(supply.confirmed(plan, target.machine)), offers
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


def _consent(console: Console, plan: Plan, given: Circumstances) -> None:
    """Asks before something installed is replaced, unless that was allowed by name, with --upgrade or with --yes."""
    words, yes = given.words, given.yes
    allowed = names_in(given.choices.replace) | (_upgraded(plan) if given.upgrade else frozenset())
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


def _upgraded(plan: Plan) -> frozenset[str]:
    """What --upgrade lets go: the frameworks and ops of the plan, but nothing that conda installed."""
    ours = {*plan.stack.frameworks, *(ops.project for ops in plan.stack.ops)}
    return frozenset(ours) - plan.conda


def _act(console: Console, plan: Plan, target: Target, given: Circumstances) -> None:
    """Fetches and judges the wheels, makes the environment where one is to be made, executes the plan, tells.

    Raises:
        ZooError: `WheelUnfit` before anything is changed; and of `arrive` and `execute`.
    """
    from zoo_cli.cli.progress import Progress
    from zoo_cli.directories import cache_directory, state_directory
    from zoo_cli.packages.arrivals import Judge, arrive
    from zoo_cli.packages.directurl import direct_url_of
    from zoo_cli.packages.supply import Supply
    from zoo_cli.transfer.store import users_store
    from zoo_cli.trust.seen import Seen

    cache_directory()  # wheels must have a place before anything is changed
    here = target.machine.python
    assert here is not None
    flow.check_target(here, given.words)
    started, settings = console.clock(), given.planner.settings
    judge = Judge(target.machine, given.planner.matrix(target.machine), given.planner.known)
    with Progress(console) as progress:
        supply = Supply(users_store(), Seen(state_directory()), given.mirrors, settings, progress)
        arrived = arrive(plan, supply, judge)
        with target.made(console, keep_failed=given.no_rollback) as python:
            journal = journal_of(here, python)

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
                build=wheel_builder(console, given.planner, target, python, plan, judge, progress),
                sites=journal.sites,
                sources={name: direct_url_of(each.source) for name, each in given.planner.given.items()},
                only=given.planner.only,
            )
            receipt = flow.execute(plan, arrived, work)
    install_view.tell(console, receipt)
