"""`zoo diff`: what differs between two configs, as dotted keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli.commands.config import NARROW, document, opener
from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.errors import ExitCode

if TYPE_CHECKING:
    from zoo_cli.cli.console import Console
    from zoo_cli.models.configsource import NamedConfig
    from zoo_cli.models.differences import Difference


@click.command(
    "diff",
    epilog="Example: zoo diff mmdet/2.28.2/retinanet_r50_fpn_1x_coco mmdet/3.3.0/retinanet_r50_fpn_1x_coco. "
    "Exit code: 0, also when they differ; with --exit-code 1 when they differ, as git diff has it.",
)
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option("--exit-code", is_flag=True, help="Exit with 1 when they differ.")
@click.option("--root", type=click.Path(path_type=Path), help="For files: the folder no base may leave.")
@click.option("--mirror", "mirrors", metavar="FROM=TO", multiple=True, help="Try TO for addresses with FROM first.")
@common_options
@pass_console
def command(
    console: Console, before: str, after: str, exit_code: bool, root: Path | None, mirrors: tuple[str, ...]
) -> None:
    """Show what differs between two configs with their bases merged in: ~ changed, + added, - removed.

    A and B are files, models or package::path, as in `zoo config`. Nothing of them is executed.
    """
    from zoo_cli.models.differences import differences

    with opener(console, mirrors) as open_config:
        one, other = (open_config(asked, root=root) for asked in (before, after))
    found = differences(one.flat.settings, other.flat.settings)
    if console.json:
        _document(console, one, other, found)
    else:
        _show(console, one, other, found)
    if exit_code and found:
        raise click.exceptions.Exit(ExitCode.FAILED)


def _document(console: Console, one: NamedConfig, other: NamedConfig, found: list[Difference]) -> None:
    from zoo_cli.models.plainforms import for_json

    listed = [
        {"kind": each.kind, "key": each.key}
        | ({} if each.kind == "added" else {"before": for_json(each.before)})
        | ({} if each.kind == "removed" else {"after": for_json(each.after)})
        for each in found
    ]
    sides = {"a": document(one), "b": document(other)}
    for side in sides.values():
        del side["ok"]
    console.document({"ok": True, "command": "diff", **sides, "differences": listed})


def _show(console: Console, one: NamedConfig, other: NamedConfig, found: list[Difference]) -> None:
    from zoo_cli.cli.config_view import counted, difference_lines, one_line
    from zoo_cli.cli.width import terminal_cells
    from zoo_cli.plaintext import printable

    console.say(printable(f"a: {one.name}  {one.origin}"))
    console.say(printable(f"b: {other.name}  {other.origin}"))
    if console.is_terminal:
        for colour, line in difference_lines(found, terminal_cells(console.out) or NARROW):
            console.data(console.paint(line, colour, talk=False))
    else:
        rows: list[tuple[str, ...]] = [
            (
                each.kind,
                each.key,
                "" if each.kind == "added" else one_line(each.before),
                "" if each.kind == "removed" else one_line(each.after),
            )
            for each in found
        ]
        console.table(("kind", "key", "a", "b"), rows)
    console.say(f"{counted(found)}.")
