"""`zoo inspect`: what a wheel, a compiled file or an environment's compiled packages really are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli import inspect_view
from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.errors import ExitCode

if TYPE_CHECKING:
    from zoo_cli.catalog.entries import Project
    from zoo_cli.cli.console import Console
    from zoo_cli.packages.compiled import Place


@click.command(
    name="inspect",
    epilog="Examples: zoo inspect mmcv-2.1.0-cp310-cp310-manylinux1_x86_64.whl    zoo inspect ./env",
)
@click.argument("places", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True), metavar="PLACE...")
@click.option("--python", "python", metavar="PATH|VERSION", help="Also say whether the wheels can work in this target.")
@common_options
@pass_console
def command(console: Console, places: tuple[Path, ...], python: str | None) -> None:
    """Tell what wheels, compiled files and environments hold: processors, libraries, glibc, CUDA code.

    PLACE is a wheel, a directory of wheels, a compiled library (.so, .pyd, .dylib), an environment or its interpreter.
    Nothing is imported or run. The exit code is 6 when something in a wheel forbids an install.
    """
    documents = [_look_at(console, each, python) for place in places for each in _wheels_in(place) or [place]]
    is_sound = all(document["ok"] for document in documents)
    if console.json:
        console.document({"ok": is_sound, "command": "inspect", "found": documents})
    else:
        for number, document in enumerate(documents):
            if number:
                console.data()
            for line in inspect_view.lines(document, verbose=bool(console.verbose)):
                console.data(line)
    if not is_sound:
        raise click.exceptions.Exit(ExitCode.INTEGRITY)


def _wheels_in(place: Path) -> list[Path]:
    """The wheels of a directory that holds some."""
    from zoo_cli.machine.files import names_in

    return [place / name for name in names_in(place) if name.endswith(".whl")]


def _look_at(console: Console, place: Path, python: str | None) -> dict[str, object]:
    """The document of one place."""
    from zoo_cli.machine.files import is_there
    from zoo_cli.packages.extensions import read_library

    if place.suffix == ".whl":
        return _wheel(console, place, python)
    if is_there(f"{place}/.") or re.match(r"(python|pypy)[\d.]*t?(\.exe)?$", place.name):
        return _environment(console, place)
    return inspect_view.file_document(str(place), read_library(place))


def _wheel(console: Console, path: Path, python: str | None) -> dict[str, object]:
    """A wheel, judged for a target where one is named."""
    from zoo_cli.trust.wheel import inspect_wheel

    report = inspect_wheel(path)
    if python is None:
        return inspect_view.wheel_document(report)
    from zoo_cli.packages.arrivals import refusal_here
    from zoo_cli.packages.extensions import read_torch_libraries

    place, projects = _place(console, python)
    finding = refusal_here(place, projects, report, read_torch_libraries(place.python))
    return inspect_view.wheel_document(report, finding, place.python.executable)


def _environment(console: Console, directory: Path) -> dict[str, object]:
    from zoo_cli.machine.interpreter import NoInterpreter
    from zoo_cli.packages.compiled import refusals
    from zoo_cli.packages.extensions import read_evidence, read_torch_code

    try:
        place, projects = _place(console, str(directory))
    except NoInterpreter as error:
        error.origin = "PLACE"
        raise
    evidence = read_evidence(place.python, projects)
    refused = refusals(place, projects, evidence)
    return inspect_view.environment_document(place.python, read_torch_code(place.python), evidence, refused)


def _place(console: Console, python: str) -> tuple[Place, dict[str, Project]]:
    """A target with its machine, and the projects that are known."""
    from zoo_cli.catalog.compat import projects, read_matrix
    from zoo_cli.catalog.database import open_catalog
    from zoo_cli.cli.target import find_target
    from zoo_cli.packages.compiled import Place

    catalog = open_catalog()
    machine = find_target(catalog, console, python=python).machine
    assert machine.python is not None
    return Place(machine, machine.python, read_matrix(catalog, machine.platform)), projects(catalog)
