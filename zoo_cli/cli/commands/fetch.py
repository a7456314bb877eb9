"""`zoo fetch`: any file from the first of several addresses that delivers it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.progress import Progress
from zoo_cli.transfer.addresses import file_name_of, local_path
from zoo_cli.transfer.failures import BadAddress
from zoo_cli.transfer.fetch import Settings, Wanted, fetch
from zoo_cli.transfer.hashes import parse_sha256, prefix_in_name
from zoo_cli.transfer.mirrors import load_mirrors
from zoo_cli.transfer.sources import kind_of
from zoo_cli.transfer.store import users_store

if TYPE_CHECKING:
    from zoo_cli.cli.console import Console
    from zoo_cli.transfer.fetch import Received


@click.command(
    "fetch",
    epilog="Examples: zoo fetch https://host/model-5a0be7c4.pth -o model.pth; "
    "zoo fetch URL --mirror URL2 --sha256 HEX -o FILE. Exit codes: zoo help exit-codes.",
)
@click.argument("url")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to; the name in the address by default.")
@click.option("--sha256", "sha256_text", metavar="HEX", help="The full digest the file must have.")
@click.option("--mirror", "others", multiple=True, metavar="URL", help="Another address of the same file; repeatable.")
@click.option("--size", "size_bytes", type=click.IntRange(min=0), metavar="BYTES", help="The size it must have.")
@click.option("--force", is_flag=True, help="Replace another file at the destination.")
@common_options
@pass_console
def command(
    console: Console,
    url: str,
    output: Path | None,
    sha256_text: str | None,
    others: tuple[str, ...],
    size_bytes: int | None,
    force: bool,
) -> None:
    """Fetch any file: resumed, verified, and under its final name only when it is right.

    URL is an http, https or file address, or a path. Rules of mirrors.yaml apply (zoo help mirrors).
    """
    name = file_name_of(url)
    if not name and output is None:
        raise BadAddress(url[:300], "it has no file name; choose one with -o FILE")
    wanted = wanted_file(name or str(output), (url, *others), sha256_text, size_bytes)
    store = users_store() if sha256_text else None  # without a digest nobody could ask for the file again
    settings = Settings(offline=console.offline)
    with Progress(console) as progress:
        received = fetch(wanted, output or Path(name), settings, progress, store=store, replace=force)
    _tell(console, received, output or Path(name))


def wanted_file(name: str, urls: tuple[str, ...], sha256_text: str | None, size_bytes: int | None) -> Wanted:
    """What the command line asks for: addresses after mirror rules, and the digest given or named in the file."""
    mirrors = load_mirrors()
    kind = kind_of(name)
    addresses = tuple(
        address for url in urls for address in ((url,) if local_path(url) else mirrors.addresses(url, kind))
    )
    return Wanted(
        name=name,
        urls=tuple(dict.fromkeys(addresses)),
        size_bytes=size_bytes,
        sha256=parse_sha256(sha256_text) if sha256_text else None,
        prefix=prefix_in_name(name),
        basis="given",
    )


def _tell(console: Console, received: Received, shown: Path) -> None:
    if not console.json:
        console.data(str(shown))
        return
    console.document({
        "ok": True,
        "command": "fetch",
        "path": str(shown),
        "size_bytes": received.size_bytes,
        "sha256": received.sha256,
        "evidence": received.evidence,
        "url": received.url,
        "already_here": received.already_here,
        "from_cache": received.from_cache,
    })  # fmt: skip
