"""What the commands that build share: sources as they are named, consent to their code, requests, and the builder."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import click

from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from zoo_cli.cli.console import Console
    from zoo_cli.cli.planning import Planner
    from zoo_cli.cli.progress import Progress
    from zoo_cli.cli.target import Target
    from zoo_cli.machine.facts import Machine
    from zoo_cli.packages.arrivals import Judge
    from zoo_cli.packages.builder import BuildRequest
    from zoo_cli.packages.plan import Pin, Plan
    from zoo_cli.packages.sources import Source


def find_sources(console: Console, places: Sequence[tuple[str, bool]], checkouts: Path) -> Iterator[Source]:
    """The sources that words mean, each with whether it is to be editable; repositories and archives are fetched.

    Raises:
        ZooError: `BadSource`, `StepFailed` of git, of the transfer.
    """
    from zoo_cli.packages.sources import fetch_archive, find_source
    from zoo_cli.transfer.settings import Settings

    for word, is_editable in places:
        if word.startswith(("https://", "http://")) and not is_editable:
            yield fetch_archive(word, checkouts.parent, Settings(offline=console.offline))
        else:
            yield find_source(word, checkouts, is_editable=is_editable, offline=console.offline)


def consent_to_code(console: Console, sources: Sequence[str], words: tuple[str, ...], *, allowed: bool) -> None:
    """Asks before the code of sources runs, unless that was allowed; --yes does not allow it.

    Raises:
        RunsCode: nobody can be asked.
    """
    from zoo_cli.packages.install import RunsCode

    shown = tuple(map(printable, sources))
    if not shown or allowed:
        return
    if not console.can_ask:
        raise RunsCode(shown, words)
    if not console.ask(f"Building runs the code of {' and '.join(shown)} on this computer. Go on?"):
        console.say("Nothing changed.")
        raise click.exceptions.Exit(1)


def build_request(
    catalog: sqlite3.Connection,
    project: str,
    version: str,
    python: str,
    machine: Machine,
    environ: Mapping[str, str],
    source: Source | None = None,
) -> BuildRequest:
    """A request with the project's recipe, for the machine's GPUs or those that TORCH_CUDA_ARCH_LIST names."""
    from zoo_cli.catalog.compat import recipe
    from zoo_cli.packages.builder import BuildRequest
    from zoo_cli.packages.nvcc import architectures_of

    capabilities = [str(gpu.capability) for gpu in machine.gpus if gpu.vendor == "nvidia" and gpu.capability]
    architectures = architectures_of(environ.get("TORCH_CUDA_ARCH_LIST"), capabilities)
    return BuildRequest(project, version, python, recipe(catalog, project), source, architectures=architectures)


def wheel_builder(
    console: Console, planner: Planner, target: Target, python: str, plan: Plan, judge: Judge, progress: Progress
) -> Callable[[Pin], Path]:
    """What builds the pins of a plan for an interpreter, from what the user gave or from their sdists."""
    from zoo_cli.cli.progress import BuildProgress
    from zoo_cli.packages.builder import build_wheel

    def build(pin: Pin) -> Path:
        found = planner.given.get(pin.project)
        source = found.source if found else None
        request = build_request(
            planner.catalog, pin.project, pin.version, python, target.machine, console.environ, source
        )
        request = replace(request, stock=pin.project in planner.stock)
        judged, heard, places = partial(judge.finding, plan), BuildProgress(progress), planner.local_places
        return build_wheel(request, planner.settings, judged, heard, places).path

    return build
