"""`zoo verify`: downloaded files compared with their receipts, offline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.text import printable
from zoo_cli.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo_cli.cli.console import Console
    from zoo_cli.models.keeping import Checked

_MARKS = {"ok": ("ok  ", "green"), "extra": ("note", "yellow")}


@click.command("verify", epilog="Examples: zoo verify models/    zoo verify model.pth    zoo verify . --json")
@click.argument("places", nargs=-1, required=True, metavar="DIR|FILE...")
@click.option("-j", "--jobs", type=click.IntRange(1, 32), default=4, help="Files read at once. [default: 4]")
@common_options
@pass_console
def command(console: Console, places: tuple[str, ...], jobs: int) -> None:
    """Read downloaded files again and compare them with their receipts.

    Says what is missing, changed, or listed by no receipt (extra, no fault). Makes no connection. Exit code 6 when a
    file is missing, changed or cannot be read.
    """
    from zoo_cli.models.keeping import verify_place

    checked: dict[str, Checked] = {}
    for place in places:
        checked |= {str(each.path): each for each in verify_place(place, jobs)}
    _tell(console, list(checked.values()))
    if any(each.state not in ("ok", "extra") for each in checked.values()):
        raise click.exceptions.Exit(ExitCode.INTEGRITY)


def _tell(console: Console, checked: Sequence[Checked]) -> None:
    bad = [each for each in checked if each.state not in ("ok", "extra")]
    if console.json:
        files = [_document(each) for each in checked]
        console.document({"ok": not bad, "command": "verify", "files": files})
        return
    for each in checked:
        if console.quiet and each not in bad:
            continue
        mark, colour = _MARKS.get(each.state, ("FAIL", "red"))
        state = _signature(each) if each.state == "ok" else f"  {each.state}: {each.problem}"
        console.data(f"{console.paint(mark, colour, talk=False)}  {printable(str(each.path))}{printable(state)}")
    extra = sum(each.state == "extra" for each in checked)
    rest = f", {extra} extra" if extra else ""
    console.say(f"{len(checked) - extra - len(bad)} as they came, {len(bad)} not{rest}.")


def _signature(checked: Checked) -> str:
    """Under whose signatures a file came, where there were any."""
    file = checked.file
    return f"  signed: {file.signer}, verified {(file.verified or '')[:10]}" if file and file.signer else ""


def _document(checked: Checked) -> dict[str, object]:
    document: dict[str, object] = {"path": str(checked.path), "state": checked.state}
    if checked.problem:
        document["problem"] = checked.problem
    if checked.file:
        file = checked.file
        document |= {"role": file.role, "size_bytes": file.size_bytes, "sha256": file.sha256, "evidence": file.evidence}
        if file.signer:
            document |= {"signer": file.signer, "verified": file.verified}
    return document
