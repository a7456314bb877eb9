"""`zoo index verify`: the index against the released packages it was built from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.releases import index_directory, parse_release, sources_of
from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from zoo_cli.cli.console import Console
    from zoo_cli.models.batch import Request
    from zoo_cli.models.figures import Difference, Expectation
    from zoo_cli.models.verify import Verified

_EXPECTED = "expected/openmmlab.yaml"


@click.command("verify", epilog="Example: zoo index verify mmdet==3.3.0")
@click.argument("releases", nargs=-1, metavar="[PROJECT==VERSION...]")
@click.option("--index", "directory", type=click.Path(path_type=Path, file_okay=False), help="The index directory.")
@click.option(
    "--expected", type=click.Path(path_type=Path, dir_okay=False), help=f"Figures to compare with [{_EXPECTED}]."
)
@click.option("--mirror", "mirrors", multiple=True, metavar="FROM=TO", help="Rewrite addresses; repeatable.")
@click.option("--jobs", type=click.IntRange(1, 8), default=4, show_default=True, help="Releases at once.")
@common_options
@pass_console
@click.pass_context
def verify_command(
    context: click.Context,
    console: Console,
    releases: tuple[str, ...],
    directory: Path | None,
    expected: Path | None,
    mirrors: tuple[str, ...],
    jobs: int,
) -> None:
    """Read released packages afresh and compare with the index, byte for byte, and with figures counted elsewhere.

    Without a release, all that stand in the index as `zoo index build` made them. Exit code 1 when a document differs,
    or a figure does and nobody explained why.
    """
    from zoo_cli.cli.progress import Progress
    from zoo_cli.models.indexfiles import built_releases
    from zoo_cli.models.verify import verify_releases

    index = index_directory(directory)
    expectation = _expectation(index, expected)
    known = (*(expectation.releases if expectation else ()), *built_releases(index))
    requests = tuple(dict.fromkeys(map(parse_release, releases or known)))
    if not requests:
        raise click.UsageError(f"Name a release: {index} has none.")
    with Progress(console) as progress:
        sources = sources_of(console, mirrors, progress)
        verified = list(verify_releases(requests, index, sources, expectation, jobs))
    context.exit(_tell(console, verified, expectation))


def _expectation(index: Path, named: Path | None) -> Expectation | None:
    from zoo_cli.models.indexfiles import read_expected

    return read_expected(named or index / _EXPECTED, must_exist=named is not None)


def _tell(
    console: Console, verified: list[tuple[Request, Verified | ZooError]], expectation: Expectation | None
) -> int:
    """Writes the answer and returns the exit code."""
    errors = [each for _request, each in verified if isinstance(each, ZooError)]
    is_fine = all(not isinstance(each, ZooError) and each.is_fine for _request, each in verified)
    if console.json:
        console.document({
            "ok": is_fine,
            "command": "index verify",
            "expected": {"source": expectation.source, "date": expectation.date} if expectation else None,
            "releases": [_summary(request, each) for request, each in verified],
        })  # fmt: skip
    else:
        _show(console, verified)
    return errors[0].exit_code if errors else ExitCode.FINE if is_fine else ExitCode.FAILED


def _show(console: Console, verified: list[tuple[Request, Verified | ZooError]]) -> None:
    from zoo_cli.cli.app import show_error
    from zoo_cli.models.figures import COLUMNS

    cells: list[tuple[str, ...]] = []
    for request, each in verified:
        if isinstance(each, ZooError):
            cells.append((str(request), f"error {each.code}", *("" for _ in COLUMNS), "", "", ""))
        else:
            numbers = (*(each.figures[name] for name in COLUMNS), each.repaired, each.missing)
            cells.append((str(request), _state(each), *map(str, numbers), _count(each.differences)))
    header = ("release", "document", *(name.replace("_", " ") for name in COLUMNS), "repaired", "missing", "figures")
    console.table(header, cells, right=frozenset(range(2, len(COLUMNS) + 4)))
    for request, each in verified:
        if isinstance(each, ZooError):
            show_error(console, each)
            continue
        for line in _remarks(each):
            console.say(f"  {request}: {printable(line)}")


def _state(verified: Verified) -> str:
    return "same bytes" if verified.is_same else "differs" if verified.in_index else "not in the index"


def _count(differences: tuple[Difference, ...]) -> str:
    open_ones = sum(not each.reason for each in differences)
    explained = len(differences) - open_ones
    parts = [f"{open_ones} unexplained"] * bool(open_ones) + [f"{explained} explained"] * bool(explained)
    return ", ".join(parts) or "as expected"


def _remarks(verified: Verified) -> list[str]:
    lines = [f"differs in {', '.join(verified.changed) or 'more than its models'}"] * (not verified.is_same)
    for each in verified.differences:
        numbers = f"{each.column}: {each.expected} expected, {each.found} found"
        lines.append(f"{numbers} ({each.kind}: {each.reason})" if each.reason else f"{numbers}, and nobody says why")
    return lines


def _summary(request: Request, verified: Verified | ZooError) -> dict[str, object]:
    from dataclasses import asdict

    head: dict[str, object] = {"project": request.project, "version": request.version}
    if isinstance(verified, ZooError):
        return {**head, "ok": False, "error": {"code": verified.code, "facts": verified.fields()}}
    return {
        **head,
        "ok": verified.is_fine,
        "document": _state(verified),
        "changed": list(verified.changed),
        "figures": dict(verified.figures),
        "repaired": verified.repaired,
        "missing": verified.missing,
        "differences": [asdict(each) for each in verified.differences],
    }
