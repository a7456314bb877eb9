"""Which wheels of a compiled project exist, as a table of torch releases and CUDA variants.

Pure. Rows of the index become cells: one torch minor (or release, where a wheel is bound to one) with one variant. A
cell keeps every row, so that each statement can be traced; a Python, where one is named, leaves only its wheels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.catalog.entries import EVIDENCE
from zoo_cli.packages.grid import tag_key
from zoo_cli.packages.versions import version

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from zoo_cli.catalog.entries import OpsWheels


class Cell(NamedTuple):
    """What exists for one torch and one variant."""

    torch: str
    variant: str
    rows: tuple[OpsWheels, ...]  # newest version first

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions, newest first."""
        return tuple(dict.fromkeys(row.version for row in self.rows))

    @property
    def pythons(self) -> tuple[str, ...]:
        """The interpreter tags of any of them, oldest first."""
        return tuple(sorted({tag for row in self.rows for tag in row.python_tags}, key=tag_key))

    @property
    def evidence(self) -> str:
        """The best evidence there is for a wheel of the newest version."""
        newest = (row for row in self.rows if row.version == self.rows[0].version)
        return min((each for row in newest for each in row.python_tags.values()), key=EVIDENCE.index)


class Table(NamedTuple):
    """The cells of one project on one platform."""

    project: str
    platform: str
    torches: tuple[str, ...]  # newest first
    variants: tuple[str, ...]  # cpu, then CUDA ascending
    cells: tuple[Cell, ...]

    def cell(self, torch: str, variant: str) -> Cell | None:
        """One cell, None where nothing exists."""
        return next((each for each in self.cells if (each.torch, each.variant) == (torch, variant)), None)


def make_table(
    rows: Iterable[OpsWheels], project: str, platform: str, providers: Collection[str], python_tag: str | None = None
) -> Table:
    """The table of a project.

    Args:
        rows: the compiled-ops rows of the platform.
        project: whose wheels.
        platform: what the rows are for.
        providers: whose builds count.
        python_tag: one interpreter tag, "cp310"; None for all.
    """
    found: dict[tuple[str, str], list[OpsWheels]] = {}
    for row in rows:
        if (
            row.project == project
            and row.provider in providers
            and (python_tag is None or python_tag in row.python_tags)
        ):
            found.setdefault((row.torch, row.variant), []).append(row)
    cells = tuple(
        Cell(torch, variant, tuple(sorted(mine, key=lambda row: version(row.version), reverse=True)))
        for (torch, variant), mine in found.items()
    )
    torches = sorted({cell.torch for cell in cells}, key=version, reverse=True)
    variants = sorted({cell.variant for cell in cells}, key=_variant_key)
    return Table(project, platform, tuple(torches), tuple(variants), cells)


def _variant_key(variant: str) -> tuple[bool, int, str]:
    digits = variant.removeprefix("cu")
    return variant.startswith("cu"), int(digits) if digits.isdigit() else 0, variant
