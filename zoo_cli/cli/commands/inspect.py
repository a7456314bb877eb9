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
    from zoo_cli.cli.console import Console


@click.command(
    name="inspect",
    epilog="Examples: zoo inspect mmcv-2.1.0-cp310-cp310-manylinux1_x86_64.whl    zoo inspect ./env",
)
@click.argument("places", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True), metavar="PLACE...")
@common_options
@pass_console
def command(console: Console, places: tuple[Path, ...]) -> None:
    """Tell what wheels, compiled files and environments hold: processors, libraries, glibc, CUDA code.

    PLACE is a wheel, a compiled library (.so, .pyd, .dylib), an environment or its interpreter. Nothing is imported or
    run. The exit code is 6 when something in a wheel forbids an install.
    """
    documents = [_look_at(console, place) for place in places]
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


def _look_at(console: Console, place: Path) -> dict[str, object]:
    """The document of one place."""
    from zoo_cli.machine.files import names_in
    from zoo_cli.packages.extensions import read_library

    if place.suffix == ".whl":
        from zoo_cli.trust.wheel import inspect_wheel

        return inspect_view.wheel_document(inspect_wheel(place))
    if names_in(place, 1) or re.match(r"(python|pypy)[\d.]*t?(\.exe)?$", place.name):
        return _environment(console, place)
    return inspect_view.file_document(str(place), read_library(place))


def _environment(console: Console, place: Path) -> dict[str, object]:
    from zoo_cli.catalog.compat import projects as known_projects
    from zoo_cli.catalog.database import open_catalog
    from zoo_cli.cli.target import read_target_interpreter
    from zoo_cli.packages.extensions import read_evidence, read_torch_code

    catalog = open_catalog()
    projects = known_projects(catalog)
    python, _origin = read_target_interpreter(catalog, console, str(place))
    return inspect_view.environment_document(python, read_torch_code(python), read_evidence(python, projects))
