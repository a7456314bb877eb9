"""Pictures: the front of two fields or metrics, and the table of the wheels that exist.

In a front every model is a dot, the front a line of squares with names. In a table a cell is the darker the better the
evidence for it is, and names the newest version.

An edge: writes the picture. matplotlib is an extra (`zoo-cli[plot]`) and imported here only; it draws into a file and
needs no screen. The same list gives the same SVG.
"""

from __future__ import annotations

from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_cli.atomic import write_whole
from zoo_cli.catalog.entries import EVIDENCE
from zoo_cli.cli.matrix_view import cell_text
from zoo_cli.errors import ExitCode, ZooError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoo_cli.catalog.listing import Listing, Row
    from zoo_cli.catalog.ordering import Axis
    from zoo_cli.packages.table import Cell, Table

FORMS = (".png", ".svg", ".pdf")
LONGEST_LABEL = 60
MOST_LABELS = 25


class NeedsMatplotlib(ZooError):
    """--plot needs matplotlib, which is not installed beside zoo."""

    code = "needs-matplotlib"
    exit_code = ExitCode.USAGE

    python: str  # the interpreter zoo runs in


class CannotPlot(ZooError):
    """The picture cannot be written."""

    code = "cannot-plot"
    exit_code = ExitCode.FAILED

    path: str
    problem: str


def draw_front(listing: Listing, path: str) -> None:
    """Draws a listing's two axes into a file; its ending says which form.

    Raises:
        NeedsMatplotlib: It is not installed.
        CannotPlot: The file cannot be written.
    """
    first, second = listing.axes
    with _picture(path, (9, 6)) as figure:
        _draw(figure.add_subplot(), listing, second, first)


def draw_matrix(table: Table, path: str) -> None:
    """Draws the table of a project's wheels into a file; its ending says which form.

    Raises:
        NeedsMatplotlib: It is not installed.
        CannotPlot: The file cannot be written.
    """
    size = (2 + 0.75 * len(table.variants), 1.2 + 0.32 * len(table.torches))
    with _picture(path, size) as figure:
        plane = figure.add_subplot()
        shades = [[_shade(table.cell(torch, variant)) for variant in table.variants] for torch in table.torches]
        plane.imshow(shades, cmap="Greys", vmin=0, vmax=10, aspect="auto")
        for row, torch in enumerate(table.torches):
            for column, variant in enumerate(table.variants):
                text = cell_text(table.cell(torch, variant)).replace("-", "")
                plane.text(column, row, text, ha="center", va="center", fontsize=7)
        plane.set_xticks(range(len(table.variants)), table.variants)
        plane.set_yticks(range(len(table.torches)), table.torches)
        plane.xaxis.tick_top()
        plane.set_ylabel("torch")
        plane.set_title(f"{table.project}, {table.platform}: newest version; ? was not seen", fontsize=9)


def _shade(cell: Cell | None) -> int:
    return 0 if cell is None else len(EVIDENCE) - EVIDENCE.index(cell.evidence)


@contextmanager
def _picture(path: str, size: tuple[float, float]) -> Iterator[Any]:
    """A figure to draw on; it is written whole when the drawing is done."""
    if not path.lower().endswith(FORMS):
        raise click.UsageError(f"--plot writes {', '.join(FORMS)}; the ending says which.")
    matplotlib = _matplotlib()
    # Names are text, never mathematics: a $ in one stays a $.
    with matplotlib.rc_context({"svg.hashsalt": "zoo", "text.parse_math": False, "savefig.dpi": 150}):
        figure = matplotlib.figure.Figure(figsize=size, layout="constrained")
        yield figure
        try:
            picture = BytesIO()
            form = path.lower().rpartition(".")[2]
            figure.savefig(picture, format=form, metadata={"Date": None} if form == "svg" else None)
            write_whole(Path(path), picture.getvalue())
        except OSError as problem:
            raise CannotPlot(path, problem.strerror or str(problem)) from problem


def _matplotlib() -> Any:
    try:
        import matplotlib
        import matplotlib.figure  # a figure by itself draws with Agg: no screen, no window
    except ImportError:
        import sys

        raise NeedsMatplotlib(sys.executable) from None
    return matplotlib


def _draw(plane: Any, listing: Listing, across: Axis, up: Axis) -> None:
    """Dots for all, squares joined by a line for the front; a legend that needs no colour."""

    def points(rows: tuple[Row, ...]) -> tuple[list[float], list[float]]:
        known = [(row.number(across.name), row.number(up.name)) for row in rows]
        pairs = sorted((x, y) for x, y in known if x is not None and y is not None)
        return [x for x, _y in pairs], [y for _x, y in pairs]

    plane.plot(*points(listing.among), "o", color="0.6", markersize=4, label="models")
    plane.plot(*points(listing.rows), "s-", color="C0", markersize=6, label="the front")
    for row in listing.rows[:MOST_LABELS]:
        place = (row.number(across.name), row.number(up.name))
        name = str(row.facts["model"])[:LONGEST_LABEL]
        plane.annotate(name, place, xytext=(5, -9), textcoords="offset points", fontsize=6)
    plane.set_xlabel(_label(across, listing))
    plane.set_ylabel(_label(up, listing))
    plane.grid(visible=True, alpha=0.3)
    plane.legend()


def _label(axis: Axis, listing: Listing) -> str:
    name = listing.labels.get(axis.name, axis.name)
    fact = "hardware" if axis.name == "inference_ms" else "dataset"
    kinds = {row.facts.get(fact) for row in listing.among if row.number(axis.name) is not None}
    if len(kinds) == 1 and (axis.name in listing.metrics or fact == "hardware") and (kind := kinds.pop()):
        name += f" on {kind}"
    return f"{name} ({'more' if axis.goal == 'max' else 'less'} is better)"
