"""What `zoo matrix` shows: the table for people and pipes, every row for --json."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_cli.packages.grid import python_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo_cli.catalog.entries import OpsWheels
    from zoo_cli.cli.console import Console
    from zoo_cli.packages.table import Cell, Table


def show(console: Console, table: Table, others: Sequence[str]) -> None:
    """The table; on stderr what it leaves out."""
    if console.json:
        console.document(
            {
                "ok": True, "command": "matrix", "project": table.project, "platform": table.platform,
                "other_providers": list(others),
                "wheels": [_document(row) for cell in table.cells for row in cell.rows],
            }
        )  # fmt: skip
        return
    if table.cells:
        console.table(
            ("torch", "python", *table.variants),
            [(torch, _pythons(table, torch), *_line(table, torch)) for torch in table.torches],
        )
        console.say("")
        console.say(f"The newest {table.project} for {table.platform}; ? was not seen, it follows a rule or a table.")
    else:
        console.say(f"No wheels of {table.project} for {table.platform} are known from its publisher.")
    if others:
        console.say(f"Builds of others: zoo matrix {table.project} --provider {others[0]}   ({', '.join(others)})")


def _line(table: Table, torch: str) -> list[str]:
    return [cell_text(table.cell(torch, variant)) for variant in table.variants]


def cell_text(cell: Cell | None) -> str:
    """What a cell says: the newest version, with a ? where nobody saw a file of it; - for none."""
    if cell is None:
        return "-"
    return cell.versions[0] + ("" if cell.evidence == "seen" else "?")


def _pythons(table: Table, torch: str) -> str:
    """The Pythons of a torch release's wheels: `3.8-3.12`."""
    tags = [tag for cell in table.cells if cell.torch == torch for tag in cell.pythons]
    found = sorted({python_of(tag) for tag in tags}, key=lambda text: (int(text.split(".")[1].rstrip("t")), text))
    return found[0] if len(found) == 1 else f"{found[0]}-{found[-1]}"


def _document(row: OpsWheels) -> dict[str, object]:
    return {
        "version": row.version, "torch": row.torch, "variant": row.variant, "provider": row.provider,
        "targets": None if row.targets is None else list(row.targets), "page": row.page_url,
        "wheels": [
            {
                "python_tag": tag, "evidence": evidence, "url": row.url(tag), "source": row.origin_of(tag).source,
                "date": row.origin_of(tag).date,
            }
            for tag, evidence in row.python_tags.items()
        ],
    }  # fmt: skip
