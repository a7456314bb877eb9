"""`zoo index read`: a wheel of one's own becomes a document, for an index of a lab."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from zoo_cli.cli.console import Console

_DAY = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")


@click.command(
    "read",
    epilog="Example: zoo index read vision-1.0-py3-none-any.whl --url https://zoo.acme.example/wheels/"
    "vision-1.0-py3-none-any.whl --files checkpoints --index catalogue",
)
@click.argument("wheel", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--url", required=True, metavar="URL", help="Where users will find the wheel: https.")
@click.option(
    "--files",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="Holds the checkpoints that the metafiles name; their sizes and SHA-256 go into the document.",
)
@click.option("--index", "directory", type=click.Path(path_type=Path, file_okay=False), required=True, metavar="DIR",
              help="The index directory to write into; made if missing.")  # fmt: skip
@click.option("--date", metavar="DAY", help="The day of the release, such as 2026-11-23. [default: today]")
@common_options
@pass_console
def read_command(
    console: Console, wheel: Path, url: str, files: Path | None, directory: Path, date: str | None
) -> None:
    """Turn a wheel with metafiles into a document of an index of one's own.

    The wheel is laid out as OpenMMLab's: model-index.yml, metafiles and configs below PACKAGE/.mim/. The next step is
    zoo index publish --models DIR --namespace LAB.
    """
    from zoo_cli.models.indexfiles import write
    from zoo_cli.models.own import read_own

    if not url.startswith("https://"):
        raise click.UsageError("--url takes an https address.")
    if date is not None and not _DAY.fullmatch(date):
        raise click.UsageError("--date takes a day such as 2026-11-23.")
    directory.mkdir(parents=True, exist_ok=True)
    own = read_own(wheel, url, date or console.today(), files, directory)
    path = write(directory, own.built)
    records = own.built.records
    if console.json:
        console.document({
            "ok": True, "command": "index read", "path": str(path), "models": len(records.models),
            "digested": list(own.digested), "missing": list(own.missing),
            "problems": [{"kind": each.kind, "at": each.at, "detail": each.detail} for each in records.issues],
        })  # fmt: skip
        return
    console.data(str(path))
    console.say(f"{len(records.models)} models; the digests of {len(own.digested)} checkpoints stand in it.")
    for name in own.missing:
        console.warn(f"{printable(name)} was not among the files: nothing signed will say what it is")
    for issue in records.issues:
        console.say(f"  {printable(issue.at)}: {issue.kind}: {printable(issue.detail)}")
