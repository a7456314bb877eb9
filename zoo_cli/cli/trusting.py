"""The options --trust-global and --allow-unverified, for every command that judges or fetches checkpoints."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from zoo_cli.trust.verdict import Policy

trust_option = click.option(
    "--trust-global",
    "trust_globals",
    metavar="MODULE.NAME",
    multiple=True,
    help="Let checkpoints use this class or function, by its exact name; repeatable.",
)
unverified_option = click.option(
    "--allow-unverified",
    is_flag=True,
    help="Fetch also checkpoints of which no digest and no digits are known.",
)
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


def policy_of(trust_globals: tuple[str, ...]) -> Policy:
    """What the scanner lets pass because the user named it.

    Raises:
        click.UsageError: It is no full name, or one that runs commands: that cannot be trusted.
    """
    from zoo_cli.trust.allowed import level_of
    from zoo_cli.trust.verdict import Policy

    for name in trust_globals:
        module, _, last = name.rpartition(".")
        if not _NAME.fullmatch(name):
            raise click.UsageError(f"--trust-global takes module.name, not {printable(name, 80)!r}.")
        if level_of(module, last) == "dangerous":
            raise click.UsageError(f"{name} can run commands or load code; it cannot be trusted.")
    return Policy(frozenset(trust_globals))
