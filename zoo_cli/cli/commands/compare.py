"""`zoo compare`: models side by side, what differs marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zoo_cli.cli.options import common_options, pass_console

if TYPE_CHECKING:
    from zoo_cli.cli.console import Console

MOST = 20


@click.command(
    "compare",
    epilog="Example: zoo compare rtmdet_tiny_8xb32-300e_coco rtmdet_s_8xb32-300e_coco --differing",
)
@click.argument("models", nargs=-1, required=True, metavar="MODEL MODEL...")
@click.option("--differing", is_flag=True, help="Only what differs.")
@common_options
@pass_console
def command(console: Console, models: tuple[str, ...], differing: bool) -> None:
    """Set models side by side; a star marks what differs.

    MODEL is what `zoo show` takes. Values are compared as published.
    """
    from zoo_cli.catalog.database import open_catalog
    from zoo_cli.catalog.details import details_of
    from zoo_cli.catalog.references import find_models
    from zoo_cli.cli.model_view import compared, comparison_lines
    from zoo_cli.cli.width import terminal_cells

    if not 2 <= len(models) <= MOST:
        raise click.UsageError(f"compare takes 2 to {MOST} models.")
    catalog = open_catalog()
    try:
        found = [details_of(catalog, find_models(catalog, each).models[0]) for each in models]
    finally:
        catalog.close()
    rows = [row for row in compared(found) if row.differs or not differing]
    names = [each.model.name for each in found]
    if console.json:
        listed = [{"field": row.field, "values": list(row.values), "differs": row.differs} for row in rows]
        identities = [each.model.identity for each in found]
        console.document({"ok": True, "command": "compare", "models": identities, "rows": listed})
    elif console.is_terminal:
        for line in comparison_lines(names, rows, terminal_cells(console.out)):
            console.data(line)
    else:
        console.table(
            ("differs", "field", *(f"model {at}" for at in range(1, len(names) + 1))),
            [("", "name", *names), *(("*" if row.differs else "", row.field, *row.values) for row in rows)],
        )
