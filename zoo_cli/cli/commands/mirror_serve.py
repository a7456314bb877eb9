"""`zoo mirror serve`: a mirror over HTTP, for a lab."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from zoo_cli.cli.console import Console
    from zoo_cli.mirror.serve import Served

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@click.command("serve", epilog="Example: zoo mirror serve /srv/mirror --host 0.0.0.0")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False, exists=True), metavar="DIR")
@click.option(
    "--host", default="127.0.0.1", show_default=True,
    help="Where it listens. Another address than loopback lets everyone who reaches it read the whole directory.",
)  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any free one.")
@common_options
@pass_console
def serve_command(console: Console, directory: Path, host: str, port: int) -> None:
    """Serve a directory until Ctrl-C: ranges, validators, package pages. No TLS and no passwords.

    Hidden files and links are not served. -v shows each answer.
    """
    from zoo_cli.mirror.serve import FileServer, serve_until_stopped
    from zoo_cli.mirror.sync import load
    from zoo_cli.mirror.tree import DirectoryTree

    load(DirectoryTree(directory), must_exist=True)

    def listen(served: Served) -> None:
        if console.verbose:
            console.say(f"{served.client} {served.method} {printable(served.path)} {served.status} {served.bytes_sent}")

    server = FileServer(directory, host, port, listen)
    if host not in _LOOPBACK:
        console.warn(f"everyone who reaches {host} can read all of {directory}; there is no TLS and no password")
    if console.json:
        console.document({"ok": True, "command": "mirror serve", "url": server.url, "directory": str(directory)})
    else:
        console.say(f"Serving {printable(str(directory))}. On the machines that shall use it:")
        console.data(f"zoo mirror use {_reachable(console, server.url)}")
    console.finish()
    serve_until_stopped(server)
    console.say("Stopped.")


def _reachable(console: Console, url: str) -> str:
    """The address as another machine writes it: 0.0.0.0 and :: mean this computer's name there."""
    return url.replace("//0.0.0.0:", f"//{console.host()}:").replace("//[::]:", f"//{console.host()}:")
