"""The mirror rules of a command, and a word about a project's file that does not count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_cli.transfer.mirrors import load_mirrors, project_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo_cli.cli.console import Console
    from zoo_cli.transfer.sources import Mirrors


def users_mirrors(console: Console, options: Sequence[str] = ()) -> Mirrors:
    """All mirror rules of this run; a project's file that was not accepted is mentioned once.

    Args:
        console: Where to talk; its environment counts.
        options: The values of `--mirror`.

    Raises:
        BadMirrors, BadMirrorOption, UnknownMirror: As `load_mirrors`.
    """
    mirrors = load_mirrors(options, console.environ)
    if mirrors.unaccepted:
        _mention(console)
    return mirrors


def _mention(console: Console) -> None:
    from zoo_cli.transfer.projectrules import mention

    project = project_file(console.environ)
    if project is not None and mention(project, console.environ):
        console.warn(f"{project.path} is not used; to take files from where it says: zoo mirror use --project")
