"""`zoo export`: a lock in the words of other tools."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.packages.lockfile import FILE_NAME
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo_cli.cli.console import Console
    from zoo_cli.packages.locked import Lock

_FORMATS = ("requirements", "conda", "script", "colab", "dockerfile")


@click.command(name="export", epilog="Example: zoo export --format conda > environment.yml")
@click.argument("lock_file", metavar="[LOCK]", type=click.Path(path_type=Path), default=Path(FILE_NAME))
@click.option("--format", "form", type=click.Choice(_FORMATS), default="requirements", help="For which tool.")
@click.option("--base", metavar="IMAGE", help="Of a Dockerfile: build on this image, which has the lock's Python.")
@common_options
@pass_console
def command(console: Console, lock_file: Path, form: str, base: str | None) -> None:
    """Print a lock as requirements, conda environment, shell script, notebook cell or Dockerfile.

    The same wheels, by SHA-256; script, colab and dockerfile bring the lock's models, too.
    """
    from zoo_cli.packages.export import WITH_MODELS, WITHOUT_MODELS, require_releases
    from zoo_cli.packages.locking import read_lock

    if base and form != "dockerfile":
        raise click.UsageError("--base names the image of a Dockerfile: add --format dockerfile.")
    lock = read_lock(lock_file)
    require_releases(lock, str(lock_file), form)
    if form in WITHOUT_MODELS:
        text = WITHOUT_MODELS[form](lock)
        if lock.models:
            console.warn(
                f"{form} has no words for models: zoo sync {printable(str(lock_file))} --models DIR brings them"
            )
    else:
        configs = _configs(console, lock)
        text = WITH_MODELS[form](lock, configs) if form in WITH_MODELS else _dockerfile(lock, lock_file, base, configs)
    if console.json:
        console.document({"ok": True, "command": "export", "format": form, "text": text})
        return
    console.data(text.rstrip("\n"))


def _configs(console: Console, lock: Lock) -> Mapping[str, str]:
    """The texts of the models' configs, as they were locked."""
    if not lock.models:
        return {}
    from zoo_cli.catalog.database import open_catalog
    from zoo_cli.cli.model_lock import locked_configs
    from zoo_cli.cli.sources import users_mirrors

    return locked_configs(console, open_catalog(), lock.models, users_mirrors(console, ()))


def _dockerfile(lock: Lock, path: Path, base: str | None, configs: Mapping[str, str]) -> str:
    from zoo_cli.catalog.compat import images, projects, system_packages
    from zoo_cli.catalog.database import open_catalog
    from zoo_cli.packages.dockerfile import choose_image, dockerfile

    if base and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9./_:@-]*", base):
        raise click.UsageError(
            "--base is no name of an image, such as python:3.11-slim or registry/team/base@sha256:..."
        )
    catalog = open_catalog()
    image = base or choose_image(lock, images(catalog), str(path))
    return dockerfile(lock, image, system_packages(catalog), projects(catalog), str(path), configs)
