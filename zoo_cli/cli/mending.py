"""What `check-env --fix` does: the printed commands, after consent.

`zoo install` runs in this process, pip and uv as children. What needs root, a restart or another environment is never
run.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.cli.findings_view import command_of
from zoo_cli.packages.findings import FAIL
from zoo_cli.packages.mend import merge
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zoo_cli.cli.console import Console
    from zoo_cli.packages.findings import Finding

RUNNABLE = ("PYTHON", "uv")  # first words of commands that change the target or a cache of its user, and nothing else


class Mending(NamedTuple):
    """The commands that will run, and the findings that they mend."""

    commands: tuple[tuple[str, ...], ...]
    findings: tuple[Finding, ...]


def plan_mending(findings: Iterable[Finding], target: str) -> Mending:
    """The commands for everything that can be mended in place: one `zoo install` for all, the others one by one."""
    installs: list[tuple[str, ...]] = []
    others: dict[tuple[str, ...], None] = {}
    mended: list[Finding] = []
    for finding in findings:
        if finding.command and finding.command[0] in RUNNABLE:
            others[command_of(finding, target)] = None
        elif finding.install and finding.status == FAIL and "--env" not in finding.install:
            installs.append(finding.install)
        else:
            continue
        mended.append(finding)
    first = [("zoo", "install", *merge(installs), "--python", target)] if installs else []
    return Mending((*first, *others), tuple(mended))


def mend(console: Console, mending: Mending) -> None:
    """Runs the commands in order; the first that fails ends it.

    Raises:
        ZooError: of `zoo install`, or `StepFailed` of pip or uv.
    """
    from zoo_cli.packages.executor import run_step
    from zoo_cli.packages.indexes import user_index
    from zoo_cli.packages.steps import Step

    for words in mending.commands:
        console.say(f"$ {printable(shlex.join(words))}")
        if words[:2] == ("zoo", "install"):
            _install(console, words[2:])
        else:
            kind = "uv" if words[0] == "uv" else "pip"
            step = Step(words, user_index().variables(kind), f"run {shlex.join(words)}")
            run_step(step, lambda line: console.say(f"    {printable(line)}") if console.verbose else None)


def _install(console: Console, words: tuple[str, ...]) -> None:
    """`zoo install` with these words; with --json its own document is not shown, the command has only one."""
    from zoo_cli.cli.commands import install

    inner = console.aside() if console.json else console
    install.command.main(args=[*words, "--yes"], prog_name="zoo install", standalone_mode=False, obj=inner)
