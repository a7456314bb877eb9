"""`zoo export`: a lock in the words of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.packages.lockfile import FILE_NAME

if TYPE_CHECKING:
    from zoo_cli.cli.console import Console

_FORMATS = ("requirements", "conda", "script", "colab")


@click.command(name="export", epilog="Example: zoo export --format conda > environment.yml")
@click.argument("lock_file", metavar="[LOCK]", type=click.Path(path_type=Path), default=Path(FILE_NAME))
@click.option("--format", "form", type=click.Choice(_FORMATS), default="requirements", help="For which tool.")
@common_options
@pass_console
def command(console: Console, lock_file: Path, form: str) -> None:
    """Print a lock as requirements, conda environment, shell script or notebook cell: the same wheels, by SHA-256."""
    from zoo_cli.packages.export import FORMATS
    from zoo_cli.packages.locking import read_lock

    text = FORMATS[form](read_lock(lock_file))
    if console.json:
        console.document({"ok": True, "command": "export", "format": form, "text": text})
        return
    console.data(text.rstrip("\n"))
