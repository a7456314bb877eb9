"""`zoo build`: a wheel with compiled ops from a project's sdist, for one interpreter and its torch."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli.freshness import heed_expiry, stale_option
from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.progress import BuildProgress, Progress

if TYPE_CHECKING:
    from zoo_cli.cli.console import Console
    from zoo_cli.packages.builder import BuiltWheel


@click.command(
    "build",
    epilog="Example: zoo build mmcv==2.1.0 --python env/bin/python -o wheels. Exit codes: zoo help exit-codes.",
)
@click.argument("requirement", metavar="PROJECT==VERSION")
@click.option("--python", help="The interpreter to build for; its torch is built against. Default: the active one.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path(), help="Directory for the wheel.")
@click.option("--jobs", type=click.IntRange(min=1), help="Compilers at a time; by cores and memory by default.")
@click.option("--cpu-only", is_flag=True, help="CPU ops, although the torch there is built for CUDA.")
@click.option("--stock", is_flag=True, help="The sources as they are: file by file, with their own flags; far slower.")
@click.option("--again", is_flag=True, help="Build also what the cache has, and from the beginning.")
@stale_option
@common_options
@pass_console
def command(
    console: Console,
    requirement: str,
    python: str | None,
    output: Path,
    jobs: int | None,
    cpu_only: bool,
    stock: bool,
    again: bool,
    allow_stale_index: bool,
) -> None:
    """Compile a wheel of an ops package from its sdist.

    The wheel is inspected, kept in the cache (by package, torch, compiler and more), and put into the output directory.
    A build that was cut off goes on where it stood. This runs the project's own setup.py.
    """
    from zoo_cli.catalog.compat import projects, read_matrix
    from zoo_cli.catalog.database import open_catalog
    from zoo_cli.cli.building import build_request
    from zoo_cli.cli.target import find_target
    from zoo_cli.packages.arrivals import refusal_here
    from zoo_cli.packages.builder import build_wheel
    from zoo_cli.packages.compiled import Place
    from zoo_cli.transfer.fetch import Settings, Wanted, fetch
    from zoo_cli.transfer.hashes import Sha256

    project, version = _exact(requirement)
    catalog = open_catalog()
    heed_expiry(console, fetches=True, allowed=allow_stale_index, packages=[""])  # recipes are zoo's own facts
    target = find_target(catalog, console, python=python)
    assert target.executable is not None
    assert target.machine.python is not None
    request = build_request(catalog, project, version, target.executable, target.machine, console.environ)
    request = replace(request, jobs=jobs, cpu_only=cpu_only, stock=stock, again=again)
    settings = Settings(offline=console.offline)
    machine = target.machine._replace(gpus=()) if cpu_only else target.machine
    place = Place(machine, target.machine.python, read_matrix(catalog, machine.platform))
    judge = partial(refusal_here, place, projects(catalog))
    with Progress(console) as progress:
        built = build_wheel(request, settings, judge, BuildProgress(progress))
        wanted = Wanted(built.path.name, (str(built.path),), sha256=Sha256(built.sha256))
        placed = fetch(wanted, output / built.path.name, settings, replace=True).path
    _tell(console, built, output / built.path.name, placed)


def _exact(requirement: str) -> tuple[str, str]:
    from zoo_cli.packages.wheels import normalise

    project, found, version = requirement.partition("==")
    if not found or not version.strip() or not project.strip():
        raise click.UsageError(f"Name one version to build, such as mmcv==2.1.0; got {requirement!r}.")
    return normalise(project.strip()), version.strip()


def _tell(console: Console, built: BuiltWheel, shown: Path, placed: Path) -> None:
    if not console.json:
        how = "taken from the cache" if built.was_cached else f"built in {built.seconds:.0f} s"
        console.say(f"{built.path.name}: {f'for torch {built.torch}, ' if built.torch else ''}{how}")
        console.data(str(shown))
        return
    console.document({
        "ok": True,
        "command": "build",
        "path": str(shown),
        "sha256": built.sha256,
        "size_bytes": placed.stat().st_size,
        "torch": built.torch,
        "key": built.key,
        "was_cached": built.was_cached,
        "seconds": round(built.seconds, 1),
    })  # fmt: skip
