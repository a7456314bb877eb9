"""Published benchmark tables as lines: figures of several implementations, and the checkpoints behind them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from zoo_cli.cli.list_view import fitting
from zoo_cli.cli.width import terminal_cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo_cli.catalog.extras import Benchmark, BenchmarkCheckpoint
    from zoo_cli.cli.console import Console

_HEADER = ("subject", "implementation", "metric", "value", "unit", "hardware", "table", "from")


def show_benchmarks(console: Console, figures: Sequence[Benchmark], checkpoints: Sequence[BenchmarkCheckpoint]) -> None:
    """The figures, as `zoo list --benchmarks` prints them; an address of a checkpoint is a value like any other."""
    if console.json:
        found = {
            "benchmarks": [asdict(each) for each in figures],
            "checkpoints": [asdict(each) for each in checkpoints],
        }
        console.document({"ok": True, "command": "list", **found})
        return
    rows: list[tuple[str, ...]] = [
        (
            each.subject,
            each.implementation,
            each.metric,
            f"{each.value:g}",
            each.unit,
            each.hardware,
            each.name,
            each.source,
        )
        for each in figures
    ]
    rows += [
        (each.subject, "MMDetection", what, address, "", "", each.config, each.source)
        for each in checkpoints
        for what, address in (("checkpoint", each.url), ("log", each.log))
    ]
    kept = fitting(_HEADER, rows, terminal_cells(console.out)) if console.is_terminal else len(_HEADER)
    console.table(_HEADER[:kept], [row[:kept] for row in rows])
