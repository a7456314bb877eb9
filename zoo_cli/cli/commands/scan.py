"""`zoo scan`: is there code in these checkpoints?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.trusting import policy_of, trust_option
from zoo_cli.errors import ExitCode

if TYPE_CHECKING:
    from zoo_cli.cli.console import Console
    from zoo_cli.cli.scan_view import Scanned
    from zoo_cli.trust.verdict import Policy


@click.command(
    "scan",
    epilog="Examples: zoo scan model.pth; zoo scan downloads/; zoo scan https://host/model.pth --json. "
    "Exit codes: zoo help exit-codes.",
)
@click.argument("targets", nargs=-1, required=True, metavar="FILE|URL|DIR...")
@trust_option
@click.option("--sarif", "as_sarif", is_flag=True, help="A SARIF 2.1.0 document on stdout.")
@common_options
@pass_console
def command(console: Console, targets: tuple[str, ...], trust_globals: tuple[str, ...], as_sarif: bool) -> int:
    """Look for code in checkpoints, without loading them.

    Every function and class that a file asks for is compared with a list of those that checkpoints need; what is not
    on it is named, and the command ends with 6. An address is judged by parts of the file, before it is downloaded.
    """
    from zoo_cli.cli.scan_view import finding_lines, rows, sarif

    policy = policy_of(trust_globals)
    scanned = [found for target in targets for found in _scanned(console, target, policy)]
    refused = [each for each in scanned if each.verdict.is_refused]
    if as_sarif:
        console.document(sarif(scanned))
    elif console.json:
        files = [
            {"file": each.name, "size_bytes": each.verdict.size_bytes, "fetched_bytes": each.fetched_bytes}
            | each.verdict.document()
            for each in scanned
        ]
        console.document({"ok": not refused, "command": "scan", "files": files})
    else:
        console.table(("file", "verdict", "container", "what"), rows(scanned))
        for each in scanned:
            if each.verdict.findings:
                _tell(console, each, finding_lines(each.verdict))
        if not scanned:
            console.say("No file there is called like a checkpoint, or begins like one.")
    return ExitCode.INTEGRITY if refused else ExitCode.FINE


def _scanned(console: Console, target: str, policy: Policy) -> list[Scanned]:
    from zoo_cli.cli.scan_view import Scanned
    from zoo_cli.transfer.addresses import local_path
    from zoo_cli.trust.scanning import checkpoints_at, scan_file, scan_url

    path = local_path(target)
    if path is None:
        from zoo_cli.cli.sources import users_mirrors
        from zoo_cli.transfer.settings import Settings

        urls = users_mirrors(console).addresses(target, "checkpoints")
        verdict, fetched = scan_url(urls, Settings(offline=console.offline), policy)
        return [Scanned(target, verdict, fetched)]
    return [Scanned(str(each), scan_file(each, policy)) for each in checkpoints_at(Path(path))]


def _tell(console: Console, scanned: Scanned, lines: list[str]) -> None:
    from zoo_cli.cli.text import human_bytes
    from zoo_cli.plaintext import printable

    console.say(f"{printable(scanned.name)}:")
    for line in lines:
        console.say(f"  {printable(line)}")
    if scanned.fetched_bytes is not None:
        console.say(f"  judged by {human_bytes(scanned.fetched_bytes)} of {human_bytes(scanned.verdict.size_bytes)}")
