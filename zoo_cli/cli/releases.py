"""What the maintainers' commands about releases share: their arguments, the index directory, where files come from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from pathlib import Path

    from zoo_cli.cli.console import Console
    from zoo_cli.cli.progress import Progress
    from zoo_cli.models.batch import Request, Sources

_SPEC = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([0-9][0-9A-Za-z.!+-]*)")


def index_directory(directory: Path | None) -> Path:
    """The directory named, else the checkout's."""
    from zoo_cli.catalog.database import CHECKOUT

    index = directory or CHECKOUT / "index"
    if not index.is_dir():
        raise click.UsageError(f"There is no index directory {index}; name one with --index DIR.")
    return index


def parse_release(text: str) -> Request:
    """One release, from PROJECT==VERSION."""
    from packaging.version import Version

    from zoo_cli.models.batch import Request

    match = _SPEC.fullmatch(text)
    try:
        if match and Version(match[2]):
            return Request(match[1], match[2])
    except ValueError:  # no version, or a number of too many digits
        pass
    raise click.UsageError(f"'{printable(text, 80)}' is not PROJECT==VERSION, such as mmdet==3.3.0.")


def sources_of(console: Console, mirror_options: tuple[str, ...], progress: Progress) -> Sources:
    """Where releases come from in this run."""
    from zoo_cli.cli.sources import users_mirrors
    from zoo_cli.directories import cache_directory
    from zoo_cli.models.batch import Sources
    from zoo_cli.transfer.health import users_health
    from zoo_cli.transfer.settings import Settings

    settings = Settings(offline=console.offline, health=users_health(console.environ))
    return Sources(cache_directory(), users_mirrors(console, mirror_options), settings, progress)
