"""`zoo lock`: every wheel of a stack with its address and digest, as a file that repeats it anywhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli import install_view
from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.planning import Choices, Planner, planning_options, typed
from zoo_cli.cli.target import find_target
from zoo_cli.cli.text import printable
from zoo_cli.packages.lockfile import FILE_NAME

if TYPE_CHECKING:
    from zoo_cli.cli.console import Console
    from zoo_cli.packages.lockfile import Lock


@click.command(
    name="lock",
    epilog="Examples: zoo lock mmdet    zoo lock mmdet --machine gpu=A100,driver=535.183.01,python=3.10",
)
@click.argument("packages", nargs=-1, required=True, metavar="PACKAGE...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path(FILE_NAME),
    show_default=True,
    help="The lock; pip and uv take pylock.toml and pylock.NAME.toml.",
)
@click.option("--python", metavar="PATH|VERSION", help="Lock for this interpreter.")
@click.option("--machine", "described", metavar="FACTS|FILE", help="Lock for another machine: zoo help machine.")
@planning_options
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@common_options
@pass_console
def command(
    console: Console, /, output: Path, python: str | None, described: str | None, dry_run: bool, **options: object
) -> None:
    """Plan a stack and write down every wheel of it, ordinary dependencies too, each with address and SHA-256.

    What is installed does not matter. zoo sync, uv pip install -r and pip install -r (26 and newer) take the file.
    """
    from zoo_cli.catalog.compat import read_matrix
    from zoo_cli.catalog.database import open_catalog
    from zoo_cli.cli.progress import Progress
    from zoo_cli.directories import state_directory
    from zoo_cli.packages.lockfile import check_name
    from zoo_cli.packages.locking import make_lock, write_lock
    from zoo_cli.packages.supply import Supply
    from zoo_cli.transfer.mirrors import load_mirrors
    from zoo_cli.transfer.store import users_store
    from zoo_cli.trust.seen import Seen

    check_name(output.as_posix())
    choices = Choices(**options)  # type: ignore[arg-type]
    catalog = open_catalog()
    planner = Planner(console, catalog, choices)
    target = find_target(catalog, console, python=python, described=described)
    machine = target.machine
    if machine.python:
        machine = replace(machine, python=replace(machine.python, distributions=(), torch=None))
    plan, offers = planner.plan(machine, typed("lock", choices))
    install_view.show(console, plan, target, offers)
    if dry_run:
        install_view.tell_dry_run(console, plan, target)
        return
    with Progress(console) as progress:
        supply = Supply(
            users_store(), Seen(state_directory()), load_mirrors(choices.mirrors), planner.settings, progress
        )
        say = (lambda line: console.say(f"    {printable(line)}")) if console.verbose else None
        lock = make_lock(plan, machine, supply, read_matrix(catalog, machine.platform).toolkits, say)
    write_lock(lock, output, _created_by())
    _tell(console, lock, output)


def _created_by() -> str:
    from zoo_cli import __version__

    return f"zoo {__version__}"


def _tell(console: Console, lock: Lock, output: Path) -> None:
    if console.json:
        rows = [{"name": each.project, "version": each.version, "evidence": each.evidence} for each in lock.packages]
        document = {"path": str(output), "minimum": dict(lock.minimum), "packages": rows}
        console.document({"ok": True, "command": "lock", **document})
        return
    stack = ", ".join(f"{each.project} {each.version}" for each in lock.packages if each.evidence)
    console.say(f"{len(lock.packages)} packages, of them {printable(stack)} as files of known address")
    least = ", ".join(f"{name} {value}" for name, value in sorted(lock.minimum.items()))
    console.say(f"The least machine: {printable(least)}")
    console.data(str(output))
