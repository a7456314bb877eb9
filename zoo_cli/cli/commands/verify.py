"""`zoo verify`: downloaded files compared with their receipts, offline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.errors import ExitCode
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo_cli.cli.console import Console
    from zoo_cli.models.keeping import Checked
    from zoo_cli.trust.quarantine import Refused

_MOST_REFUSED = 10  # lines
_MARKS = {"ok": ("ok  ", "green"), "extra": ("note", "yellow")}


@click.command("verify", epilog="Examples: zoo verify models/    zoo verify model.pth    zoo verify . --json")
@click.argument("places", nargs=-1, required=True, metavar="DIR|FILE...")
@click.option("-j", "--jobs", type=click.IntRange(1, 32), default=4, help="Files read at once. [default: 4]")
@common_options
@pass_console
def command(console: Console, places: tuple[str, ...], jobs: int) -> None:
    """Read downloaded files again and compare them with their receipts.

    Says what each rested on when it came (signed, locked, agreed, prefix, none), what is missing, changed, or listed by
    no receipt (extra, no fault), and what was refused and is kept in the quarantine. Makes no connection. Exit code 6
    when a file is missing, changed or cannot be read.
    """
    from zoo_cli.directories import cache_path
    from zoo_cli.models.keeping import verify_place
    from zoo_cli.trust.quarantine import Quarantine

    checked: dict[str, Checked] = {}
    for place in places:
        checked |= {str(each.path): each for each in verify_place(place, jobs)}
    _tell(console, list(checked.values()), Quarantine(cache_path()).kept())
    if any(each.state not in ("ok", "extra") for each in checked.values()):
        raise click.exceptions.Exit(ExitCode.INTEGRITY)


def _tell(console: Console, checked: Sequence[Checked], refused: Sequence[Refused]) -> None:
    bad = [each for each in checked if each.state not in ("ok", "extra")]
    if console.json:
        files = [_document(each) for each in checked]
        kept = [{"path": str(each.path), "name": each.name, "code": each.code} for each in refused]
        console.document({"ok": not bad, "command": "verify", "files": files, "quarantined": kept})
        return
    for each in checked:
        if console.quiet and each not in bad:
            continue
        mark, colour = _MARKS.get(each.state, ("FAIL", "red"))
        state = _came_as(each) if each.state == "ok" else f"  {each.state}: {each.problem}"
        console.data(f"{console.paint(mark, colour, talk=False)}  {printable(str(each.path))}{printable(state)}")
    for one in refused[:_MOST_REFUSED]:
        why, where = printable(one.code), printable(str(one.path))
        console.say(f"refused earlier ({why}): {printable(one.name)}, kept as {where}")
    if len(refused) > _MOST_REFUSED:
        console.say(f"and {len(refused) - _MOST_REFUSED} more: zoo cache list")
    extra = sum(each.state == "extra" for each in checked)
    rest = f", {extra} extra" if extra else ""
    console.say(f"{len(checked) - extra - len(bad)} as they came, {len(bad)} not{rest}.")


def _came_as(checked: Checked) -> str:
    """What the identity of a file rested on when it came, and under whose signatures, where there were any."""
    file = checked.file
    if file is None:
        return ""
    return f"  signed: {file.signer}, verified {(file.verified or '')[:10]}" if file.signer else f"  {file.evidence}"


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
