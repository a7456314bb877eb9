"""`zoo explain`: why these versions, and why not others."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli import explain_view
from zoo_cli.cli.choices import Choices, planning_options, typed
from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.planning import Planner
from zoo_cli.cli.target import find_target
from zoo_cli.packages.decide import decide
from zoo_cli.packages.explain import NoSolution, explain
from zoo_cli.packages.solve import search
from zoo_cli.packages.why import not_taken, why_not

if TYPE_CHECKING:
    from zoo_cli.cli.console import Console


@click.command(
    name="explain",
    epilog="Examples: zoo explain mmdet    zoo explain mmdet --why-not torch==2.6    zoo explain mmdet --why-not cu124",
)
@click.argument("packages", nargs=-1, metavar="PACKAGE...")
@click.option(
    "--why-not",
    "other",
    metavar="WHAT",
    help="Why not this: torch==2.6, mmcv==2.2.0, a variant (cu124, cpu) or python==3.12.",
)
@click.option("--python", "python", metavar="PATH|VERSION", help="Interpreter to explain for.")
@click.option(
    "--env", "environment", type=click.Path(path_type=Path), metavar="DIR", help="Environment to explain for."
)
@click.option("--machine", "described", metavar="FACTS|FILE", help="Another machine (see zoo help machine).")
@planning_options
@common_options
@pass_console
def command(
    console: Console,
    /,
    other: str | None,
    python: str | None,
    environment: Path | None,
    described: str | None,
    **options: object,
) -> None:
    """Tell why a plan has these versions: the reason for each, and the facts against everything newer."""
    from zoo_cli.catalog.compat import torch_sha256
    from zoo_cli.catalog.database import open_catalog

    choices = Choices(**options)  # type: ignore[arg-type]
    if not choices.packages and not choices.requirements:
        raise click.UsageError("Missing argument 'PACKAGE...', or a requirements file with -r.")
    catalog = open_catalog()
    planner = Planner(console, catalog, choices)
    target = find_target(catalog, console, python=python, environment=environment, described=described)
    problem, offers = planner.problem(target.machine)
    words = typed("install", choices, ("--dry-run",))
    stack = search(problem)
    if other is not None:
        answer = why_not(problem, stack, other)
        if isinstance(answer, NoSolution):
            answer.command = _asking(words, other, answer)
        explain_view.show_why_not(console, other, answer)
        return
    refused = not_taken(problem, stack)
    if stack is None:
        explain_view.show_refused(console, target.machine, refused)
        refusal = explain(problem)
        refusal.command = words
        raise refusal
    plan = decide(problem, lambda url: torch_sha256(catalog, url), offers)
    explain_view.show(console, target.machine, plan, refused)


def _asking(words: tuple[str, ...], other: str, answer: NoSolution) -> tuple[str, ...]:
    """The command that asks for what was asked about, for ways out to complete."""
    given = list(words)
    if other.strip().startswith("python"):
        version = other.rpartition("=")[2].strip()
        if "--machine" not in given:
            return (*given, "--python", version)
        place = given.index("--machine") + 1
        given[place] = re.sub(r"(?<=python=)[\d.]+", version, given[place])
        return tuple(given)
    if not re.search(r"[<>=!~]", other):
        return (*given, "--cuda", other.strip())
    return (*given[:2], answer.words[-1], *given[2:])
