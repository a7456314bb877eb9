"""`zoo build`: a wheel with compiled ops from a project's sdist, for one interpreter and its torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

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
@click.option("--again", is_flag=True, help="Build also what the cache has.")
@common_options
@pass_console
def command(
    console: Console,
    requirement: str,
    python: str | None,
    output: Path,
    jobs: int | None,
    cpu_only: bool,
    again: bool,
) -> None:
    """Compile a wheel of an ops package from its sdist.

    The wheel is inspected, kept in the cache (by package, torch, compiler and more), and put into the output directory.
    This runs the project's own setup.py.
    """
    from zoo_cli.packages.builder import BuildRequest, build_wheel
    from zoo_cli.transfer.fetch import Settings, Wanted, fetch
    from zoo_cli.transfer.hashes import Sha256

    project, version = _exact(requirement)
    target = _interpreter(console, python)
    request = BuildRequest(project, version, target, jobs=jobs, cpu_only=cpu_only, again=again)
    settings = Settings(offline=console.offline)
    with Progress(console) as progress:
        built = build_wheel(request, settings, BuildProgress(progress))
        wanted = Wanted(built.path.name, (str(built.path),), sha256=Sha256(built.sha256))
        placed = fetch(wanted, output / built.path.name, settings, replace=True).path
    _tell(console, built, output / built.path.name, placed)


def _exact(requirement: str) -> tuple[str, str]:
    from zoo_cli.packages.wheels import normalise

    project, found, version = requirement.partition("==")
    if not found or not version.strip() or not project.strip():
        raise click.UsageError(f"Name one version to build, such as mmcv==2.1.0; got {requirement!r}.")
    return normalise(project.strip()), version.strip()


def _interpreter(console: Console, python: str | None) -> str:
    from zoo_cli.machine.interpreter import default_target, find_interpreter

    return str(find_interpreter(python, console.environ) if python else default_target(console.environ).executable)


def _tell(console: Console, built: BuiltWheel, shown: Path, placed: Path) -> None:
    if not console.json:
        how = "taken from the cache" if built.was_cached else f"built in {built.seconds:.0f} s"
        console.say(f"{built.path.name}: for torch {built.torch}, {how}")
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
