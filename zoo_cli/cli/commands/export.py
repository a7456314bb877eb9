"""`zoo export`: a lock in the words of other tools."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.packages.lockfile import FILE_NAME

if TYPE_CHECKING:
    from zoo_cli.cli.console import Console
    from zoo_cli.packages.lockfile import Lock

_FORMATS = ("requirements", "conda", "script", "colab", "dockerfile")


@click.command(name="export", epilog="Example: zoo export --format conda > environment.yml")
@click.argument("lock_file", metavar="[LOCK]", type=click.Path(path_type=Path), default=Path(FILE_NAME))
@click.option("--format", "form", type=click.Choice(_FORMATS), default="requirements", help="For which tool.")
@click.option("--base", metavar="IMAGE", help="Of a Dockerfile: build on this image, which has the lock's Python.")
@common_options
@pass_console
def command(console: Console, lock_file: Path, form: str, base: str | None) -> None:
    """Print a lock as requirements, conda environment, shell script, notebook cell or Dockerfile.

    The same wheels, by SHA-256.
    """
    from zoo_cli.packages.export import FORMATS, require_releases
    from zoo_cli.packages.locking import read_lock

    if base and form != "dockerfile":
        raise click.UsageError("--base names the image of a Dockerfile: add --format dockerfile.")
    lock = read_lock(lock_file)
    require_releases(lock, str(lock_file), form)
    text = _dockerfile(lock, lock_file, base) if form == "dockerfile" else FORMATS[form](lock)
    if console.json:
        console.document({"ok": True, "command": "export", "format": form, "text": text})
        return
    console.data(text.rstrip("\n"))


def _dockerfile(lock: Lock, path: Path, base: str | None) -> str:
    from zoo_cli.catalog.compat import images, projects, system_packages
    from zoo_cli.catalog.database import open_catalog
    from zoo_cli.packages.dockerfile import choose_image, dockerfile

    if base and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9./_:@-]*", base):
        raise click.UsageError(
            "--base is no name of an image, such as python:3.11-slim or registry/team/base@sha256:..."
        )
    catalog = open_catalog()
    image = base or choose_image(lock, images(catalog), str(path))
    return dockerfile(lock, image, system_packages(catalog), projects(catalog), str(path))
