"""A stack planned and locked as if nothing were installed: for `zoo lock`, bundles, mirrors and wheelhouses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from zoo_cli.cli import install_view
from zoo_cli.cli.planning import Planner
from zoo_cli.cli.target import Target, find_target
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from zoo_cli.cli.choices import Choices
    from zoo_cli.cli.console import Console
    from zoo_cli.cli.progress import Progress
    from zoo_cli.machine.facts import Machine
    from zoo_cli.packages.findlinks import Link
    from zoo_cli.packages.given import Given
    from zoo_cli.packages.locked import Lock
    from zoo_cli.packages.locking import Building
    from zoo_cli.packages.plan import Pin, Plan
    from zoo_cli.packages.supply import Supply
    from zoo_cli.transfer.sources import Mirrors


@dataclass(frozen=True)
class PlannedStack:
    """A plan, for which machine, and by whom."""

    planner: Planner
    target: Target
    plan: Plan
    words: tuple[str, ...]  # the command as typed

    @property
    def machine(self) -> Machine:
        """What it is for, as if nothing were installed."""
        return self.target.machine


def plan_stack(
    console: Console,
    catalog: sqlite3.Connection,
    choices: Choices,
    words: tuple[str, ...],
    *,
    python: str | None = None,
    described: str | None = None,
    sources: Sequence[Given] = (),
) -> PlannedStack:
    """Plans and shows a stack for an interpreter or a described machine.

    Raises:
        ZooError: A page cannot be read, a choice cannot be; `NoSolution`.
    """
    planner = Planner(console, catalog, choices, sources)
    target = find_target(catalog, console, python=python, described=described)
    machine = target.machine
    if machine.python:  # as a new environment would be
        target = replace(target, machine=machine._replace(python=machine.python._replace(distributions=(), torch=None)))
    plan, offers = planner.plan(target.machine, words)
    install_view.show(console, plan, target, offers)
    return PlannedStack(planner, target, plan, words)


def lock_stack(
    console: Console,
    catalog: sqlite3.Connection,
    stack: PlannedStack,
    mirrors: Mirrors,
    *,
    builds: bool = False,
    allow_code: bool = False,
) -> tuple[Lock, Supply]:
    """The lock of a planned stack, and the supply that knows its wheels.

    With `builds` what is built has a place in it, as its source; `allow_code` lets the code of given sources run where
    only it knows what they need.

    Raises:
        CannotLock, NoWheel, NoInstaller, ZooError: See `packages.locking.make_lock`.
    """
    from zoo_cli.catalog.compat import read_matrix
    from zoo_cli.cli.progress import Progress
    from zoo_cli.directories import state_directory
    from zoo_cli.packages.locking import make_lock
    from zoo_cli.packages.supply import Supply
    from zoo_cli.packages.wheelless import NoWheel
    from zoo_cli.transfer.store import users_store
    from zoo_cli.trust.seen import Seen

    say = (lambda line: console.say(f"    {printable(line)}")) if console.verbose else None
    with Progress(console) as progress:
        supply = Supply(users_store(), Seen(state_directory()), mirrors, stack.planner.settings, progress)
        toolkits = read_matrix(catalog, stack.machine.platform).toolkits
        try:
            building = _building(console, stack, progress, allow_code=allow_code) if builds else None
            places = stack.planner.local_places
            return make_lock(stack.plan, stack.machine, supply, toolkits, say, places, building), supply
        except NoWheel as lacking:
            lacking.words, lacking.builds = stack.words, False
            lacking.archives = lacking.archives or stack.planner.archives(lacking.needed, mirrors, "")
            raise


def _building(console: Console, stack: PlannedStack, progress: Progress, *, allow_code: bool) -> Building:
    """How what is built gets into a lock: it is built for the target when its files do not say what it needs."""
    from zoo_cli.cli.building import consent_to_code, wheel_builder
    from zoo_cli.packages.arrivals import Judge
    from zoo_cli.packages.builder import find_sdist
    from zoo_cli.packages.indexes import user_index
    from zoo_cli.packages.locking import Building, CannotLock

    planner, target = stack.planner, stack.target

    def build(pin: Pin) -> Path:
        if not target.executable:
            raise CannotLock(pin.project, pin.version, "machine")
        shown = [planner.given[pin.project].source.shown] if pin.project in planner.given else []
        consent_to_code(console, shown, stack.words, allowed=allow_code)
        judge = Judge(target.machine, planner.matrix(target.machine), planner.known)
        return wheel_builder(console, planner, target, target.executable, stack.plan, judge, progress)(pin)

    def sdist(pin: Pin) -> Link:
        return find_sdist(pin.project, pin.version, user_index(), planner.settings)

    return Building(planner.given, sdist, build)
