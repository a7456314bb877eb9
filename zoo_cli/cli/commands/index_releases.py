"""`zoo index releases`: which releases upstream has, and which of them are missing from the index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.releases import index_directory, sources_of
from zoo_cli.errors import ExitCode

if TYPE_CHECKING:
    from zoo_cli.cli.console import Console
    from zoo_cli.models.survey import Surveyed


@click.command("releases", epilog="Example: zoo index releases mmdet --missing")
@click.argument("projects", nargs=-1, metavar="[PROJECT...]")
@click.option("--missing", "only_missing", is_flag=True, help="Only those that belong in the index and are not there.")
@click.option("--index", "directory", type=click.Path(path_type=Path, file_okay=False), help="The index directory.")
@click.option("--mirror", "mirrors", multiple=True, metavar="FROM=TO", help="Rewrite addresses; repeatable.")
@click.option("--jobs", type=click.IntRange(1, 8), default=4, show_default=True, help="Releases at once.")
@common_options
@pass_console
@click.pass_context
def releases_command(
    context: click.Context,
    console: Console,
    projects: tuple[str, ...],
    only_missing: bool,
    directory: Path | None,
    mirrors: tuple[str, ...],
    jobs: int,
) -> None:
    """Which releases belong in the index: the newest, and each whose names or checkpoints the next one changes.

    Reads every release of the projects (by default of all that publish metafiles) from the package index. Exit code 1
    when one is missing; what -q prints goes to `zoo index build`.
    """
    from zoo_cli.cli.progress import Progress
    from zoo_cli.models.survey import survey, surveyed_projects

    index = index_directory(directory)
    rows: list[Surveyed] = []
    with Progress(console) as progress:
        sources = sources_of(console, mirrors, progress)
        for project in projects or surveyed_projects(index):
            rows += survey(project, index, sources, jobs)
            progress.step(f"{project}: {sum(each.project == project for each in rows)} releases")
    context.exit(_tell(console, [each for each in rows if each.is_missing or each.error or not only_missing]))


def _tell(console: Console, rows: list[Surveyed]) -> int:
    from zoo_cli.cli.app import show_error

    errors = [each.error for each in rows if each.error is not None]
    if console.json:
        releases = [{**_document(each), "state": _state(each)} for each in rows]
        missing = any(each.is_missing for each in rows)
        console.document({"ok": not errors and not missing, "command": "index releases", "releases": releases})
    elif console.quiet:
        for each in rows:
            if each.is_missing:
                console.data(f"{each.project}=={each.version}")
    else:
        cells: list[tuple[str, ...]] = [
            (each.project, each.version, each.date, "" if each.models is None else str(each.models), _state(each))
            for each in rows
        ]
        console.table(("package", "release", "date", "models", "state"), cells, right=frozenset({3}))
        for error in errors:
            show_error(console, error)
    if errors:
        return errors[0].exit_code
    return ExitCode.FAILED if any(each.is_missing for each in rows) else ExitCode.FINE


def _document(row: Surveyed) -> dict[str, object]:
    return {
        "project": row.project,
        "version": row.version,
        "date": row.date,
        "models": row.models,
        "in_index": row.in_index,
        "belongs": row.belongs,
        "same_as": row.same_as,
        "error": row.error and {"code": row.error.code, "facts": row.error.fields()},
    }


def _state(row: Surveyed) -> str:
    if row.error is not None:
        return f"error {row.error.code}"
    if row.models is None:
        return "no model index"
    same = f"names and checkpoints of {row.same_as}" if row.same_as else ""
    if row.in_index:
        return f"in the index, {same}" if same else "in the index"
    return same or "missing"
