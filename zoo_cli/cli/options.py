"""Options that every command has, and the console they make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from zoo_cli.cli.console import Console

Command = TypeVar("Command", bound=Callable[..., Any])


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
