"""`zoo matrix`: which wheels of a compiled project exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zoo_cli.cli import matrix_view
from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.packages.request import check_choices, parse_want
from zoo_cli.packages.table import make_table

if TYPE_CHECKING:
    from zoo_cli.cli.console import Console

PLATFORMS = ("linux_x86_64", "linux_aarch64", "win_amd64", "macos_x86_64", "macos_arm64")


@click.command(name="matrix", epilog="Examples: zoo matrix mmcv    zoo matrix mmcv --provider astral --python 3.12")
@click.argument("package", metavar="PACKAGE")
@click.option(
    "--platform", type=click.Choice(PLATFORMS), default="linux_x86_64", show_default=True, help="For which system."
)
@click.option("--python", "python", metavar="VERSION", help="Only wheels for this Python: 3.10.")
@click.option(
    "--provider", "providers", multiple=True, metavar="NAME", help="Builds of these instead of the official ones."
)
@click.option("--plot", metavar="FILE", help="Draw it into FILE.png, .svg or .pdf.")
@common_options
@pass_console
def command(
    console: Console, /, package: str, platform: str, python: str | None, providers: tuple[str, ...], plot: str | None
) -> None:
    """Show which wheels of PACKAGE exist: the newest version for each torch and CUDA; ? where it was not seen."""
    from zoo_cli.catalog import compat
    from zoo_cli.catalog.database import open_catalog

    catalog = open_catalog()
    known = compat.projects(catalog)
    project = parse_want(package, known).project
    if known[project].kind != "ops":
        names = ", ".join(sorted(name for name, each in known.items() if each.kind == "ops"))
        raise click.UsageError(f"{project} has no compiled ops of its own; there is a matrix of: {names}.")
    rows = [row for row in compat.read_matrix(catalog, platform).ops if row.project == project]
    check_choices("--provider", providers, {row.provider for row in rows})
    official = compat.official_providers(catalog) | {known[project].provider}
    table = make_table(rows, project, platform, providers or official, _tag(python))
    others = sorted({row.provider for row in rows} - set(providers or official))
    if plot is not None and table.cells:
        from zoo_cli.cli.plot import draw_matrix

        draw_matrix(table, plot)
    matrix_view.show(console, table, others)


def _tag(python: str | None) -> str | None:
    if python is None:
        return None
    parts = python.split(".")
    if len(parts) < 2 or not all(part.rstrip("t").isdigit() for part in parts):
        raise click.UsageError(f"--python takes a version such as 3.10, not {python!r}.")
    return f"cp{parts[0]}{parts[1]}"
