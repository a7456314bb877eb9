"""`zoo remove`: what a receipt lists and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.text import human_bytes
from zoo_cli.errors import ExitCode
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from zoo_cli.cli.console import Console
    from zoo_cli.models.keeping import Kept, Removal
    from zoo_cli.models.receipts import BadReceipt


@click.command("remove", epilog="Examples: zoo remove rtmdet_tiny_8xb32-300e_coco --dest models    zoo remove models/")
@click.argument("models", nargs=-1, required=True, metavar="MODEL|DIR|FILE...")
@click.option(
    "--dest", type=click.Path(path_type=Path), default=Path(), help="Where MODEL was downloaded to. [default: .]"
)
@click.option("--changed", is_flag=True, help="Also files that were changed since.")
@click.option("--dry-run", is_flag=True, help="Show what would go, and stop.")
@common_options
@pass_console
def command(console: Console, models: tuple[str, ...], dest: Path, changed: bool, dry_run: bool) -> None:
    """Remove downloaded models: the files their receipts list, as they came.

    A directory means every receipt in it and below. Files that were changed stay unless --changed is given, files that
    another model needs stay, and so does everything that no receipt lists.
    """
    from zoo_cli.models.keeping import find_receipts, plan_removal, remove

    found: dict[str, Kept | BadReceipt] = {}
    for model in models:
        found |= {str(each.path): each for each in find_receipts(model, dest)}
    removal = plan_removal(list(found.values()), changed_too=changed)
    if not dry_run:
        remove(removal)
    _tell(console, removal, dry_run=dry_run)
    if removal.stays:
        raise click.exceptions.Exit(ExitCode.FAILED)


def _tell(console: Console, removal: Removal, *, dry_run: bool) -> None:
    if console.json:
        console.document({
            "ok": not removal.stays, "command": "remove", "dry_run": dry_run, "size_bytes": removal.size_bytes,
            "removed": [str(path) for path in (*removal.files, *removal.links)],
            "changed": [str(each.path) for each in removal.stays],
            "needed_by_others": [str(path) for path in removal.shared],
        })  # fmt: skip
        return
    for path in (*removal.files, *removal.links):
        console.data(str(path))
    for path in removal.shared:
        console.say(f"  {printable(str(path))}: stays, another model needs it")
    for each in removal.stays:
        console.warn(f"{each.path}: stays, {each.problem}; --changed removes it, too")
    count = len(removal.files)
    word = "Would remove" if dry_run else "Removed"
    console.say(f"{word} {count} file{'' if count == 1 else 's'}, {human_bytes(removal.size_bytes)}.")
