"""A stack planned and locked as if nothing were installed: for `zoo lock`, bundles, mirrors and wheelhouses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from zoo_cli.cli import install_view
from zoo_cli.cli.planning import Choices, Planner
from zoo_cli.cli.target import Target, find_target
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    import sqlite3

    from zoo_cli.cli.console import Console
    from zoo_cli.machine.facts import Machine
    from zoo_cli.packages.lockfile import Lock
    from zoo_cli.packages.plan import Plan
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
) -> PlannedStack:
    """Plans and shows a stack for an interpreter or a described machine.

    Raises:
        ZooError: A page cannot be read, a choice cannot be; `NoSolution`.
    """
    planner = Planner(console, catalog, choices)
    target = find_target(catalog, console, python=python, described=described)
    machine = target.machine
    if machine.python:  # as a new environment would be
        target = replace(target, machine=replace(machine, python=replace(machine.python, distributions=(), torch=None)))
    plan, offers = planner.plan(target.machine, words)
    install_view.show(console, plan, target, offers)
    return PlannedStack(planner, target, plan, words)


def lock_stack(
    console: Console, catalog: sqlite3.Connection, stack: PlannedStack, mirrors: Mirrors
) -> tuple[Lock, Supply]:
    """The lock of a planned stack, and the supply that knows its wheels.

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
            return make_lock(stack.plan, stack.machine, supply, toolkits, say, stack.planner.local_places), supply
        except NoWheel as lacking:
            lacking.words, lacking.builds = stack.words, False
            lacking.archives = lacking.archives or stack.planner.archives(lacking.needed, mirrors, "")
            raise
