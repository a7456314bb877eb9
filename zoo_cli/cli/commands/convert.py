"""`zoo convert`: a checkpoint as safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.trusting import policy_of, trust_option

if TYPE_CHECKING:
    from zoo_cli.cli.console import Console
    from zoo_cli.models.convert import Converted


@click.command(
    "convert",
    epilog="Examples: zoo convert model.pth --to safetensors --python env/bin/python. Exit codes: zoo help exit-codes.",
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--to", "form", type=click.Choice(["safetensors"]), required=True, help="The form to write.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to; FILE with another suffix by default.")
@click.option("--python", metavar="PYTHON", help="An interpreter with torch 2.6 or newer; as for zoo install.")
@click.option("--part", default="", metavar="KEY", help="Whose tensors; state_dict or model, where there is one.")
@click.option("--force", is_flag=True, help="Replace another file at the destination.")
@trust_option
@common_options
@pass_console
def command(
    console: Console,
    file: Path,
    form: str,
    output: Path | None,
    python: str | None,
    part: str,
    force: bool,
    trust_globals: tuple[str, ...],
) -> None:
    """Rewrite a checkpoint's tensors in a form that cannot hold code.

    The file is scanned first. Then a child of an interpreter with torch reads it, with weights_only=True, limits on
    memory and time, and without network where the system allows that; no class that the file names is imported.
    """
    from zoo_cli.machine.interpreter import default_target, find_interpreter
    from zoo_cli.models.convert import convert

    policy = policy_of(trust_globals)
    found = find_interpreter(python, console.environ) if python else default_target(console.environ).executable
    destination = output or file.with_suffix(f".{form}")
    converted = convert(file, destination, str(found), policy, part=part, replace=force)
    _tell(console, converted, destination)


def _tell(console: Console, converted: Converted, shown: Path) -> None:
    from zoo_cli.cli.text import human_bytes
    from zoo_cli.plaintext import printable

    if console.json:
        console.document({
            "ok": True, "command": "convert", "path": str(shown), "size_bytes": converted.size_bytes,
            "tensors": converted.tensors, "part": converted.part, "left_out": list(converted.left_out),
            "network": "none" if converted.is_offline else "not separated", "torch": converted.torch,
            "scan": converted.verdict.document(),
        })  # fmt: skip
        return
    where = f" of {converted.part}" if converted.part else ""
    console.say(f"  {converted.tensors} tensors{where}, {human_bytes(converted.size_bytes)}")
    if converted.left_out:
        console.say(f"  left out: {printable(', '.join(converted.left_out))}")
    if not converted.is_offline:
        console.warn("this system gave the child no network of its own; it could have used yours")
    console.data(str(shown))
