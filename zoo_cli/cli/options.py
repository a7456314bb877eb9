"""Options that every command has, and the console they make."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from zoo_cli.cli.console import Console
from zoo_cli.plaintext import printable

Command = TypeVar("Command", bound=Callable[..., Any])


_UNITS = {"": 1, "B": 1, "K": 10**3, "KB": 10**3, "M": 10**6, "MB": 10**6, "G": 10**9, "GB": 10**9, "T": 10**12,
          "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}  # fmt: skip


def _console(context: click.Context) -> Console:
    console = context.find_object(Console)
    if console is None:
        console = context.obj = Console()
    return console


def _store(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def callback(context: click.Context, _parameter: click.Parameter, value: Any) -> None:
        if value:
            setattr(_console(context), name, value)

    return callback


def _no_progress(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        _console(context).progress = False


def common_options(command: Command) -> Command:
    """Adds --json, --quiet, --verbose, --color, --no-progress, --offline; they fill the Console in `ctx.obj`."""
    options = (
        click.option(
            "--json",
            "json_",
            is_flag=True,
            expose_value=False,
            callback=_store("json"),
            help="One JSON document on stdout.",
        ),
        click.option(
            "-q", "--quiet", is_flag=True, expose_value=False, callback=_store("quiet"), help="Only results and errors."
        ),
        click.option(
            "-v",
            "--verbose",
            count=True,
            expose_value=False,
            callback=_store("verbose"),
            help="Decisions with reasons; -vv also HTTP and child processes.",
        ),
        click.option(
            "--color",
            type=click.Choice(["auto", "always", "never"]),
            expose_value=False,
            callback=_store("color"),
            help="When to use colour.",
        ),
        click.option(
            "--no-progress", is_flag=True, expose_value=False, callback=_no_progress, help="No progress bars."
        ),
        click.option(
            "--offline",
            is_flag=True,
            envvar="ZOO_OFFLINE",
            expose_value=False,
            callback=_store("offline"),
            help="Make no connection.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


pass_console = click.make_pass_decorator(Console, ensure=True)


class FiniteRange(click.FloatRange):
    """Numbers of a range; click takes `nan` for one, and `inf` where there is no upper end."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{printable(str(value), 40)} is no number to count with", param, ctx)
        return number


def parse_size(text: str) -> int:
    """A size such as 20GB, 500M, 1.5TiB or a number of bytes, in bytes."""
    found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([A-Za-z]{0,3})", text.strip())
    if not found or found[2].upper() not in _UNITS:
        raise click.BadParameter(f"{printable(text, 40)} is no size such as 20GB or 500M")
    return int(float(found[1]) * _UNITS[found[2].upper()])
