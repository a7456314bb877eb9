"""Which interpreter, environment or described machine a command is about: --python, --env, --machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import sqlite3

    from zoo_cli.cli.console import Console
    from zoo_cli.machine.facts import Interpreter, Machine


@dataclass(frozen=True)
class Target:
    """A machine with the interpreter to work on, and the environment that may have to be made first."""

    machine: Machine
    executable: str | None  # None: described, or not made yet
    environment: Path | None = None  # to be made
    base: str | None = None  # the interpreter to make it from

    @property
    def name(self) -> str:
        """How the target is shown."""
        if self.environment:
            return f"new environment {self.environment}"
        return self.executable or "the described machine"

    def make(self, console: Console) -> str:
        """The target's interpreter, after making its environment if there is none yet."""
        from zoo_cli.packages.executor import make_environment

        if self.environment is None:
            assert self.executable is not None
            return self.executable
        say = console.say if console.verbose else None
        return make_environment(self.environment, self.base, say)


def find_target(
    catalog: sqlite3.Connection,
    console: Console,
    *,
    python: str | None = None,
    environment: Path | None = None,
    described: str | None = None,
) -> Target:
    """The target that the options name; without any, the active environment, else the python on PATH."""
    from zoo_cli.machine.interpreter import default_target, find_interpreter, read_interpreter
    from zoo_cli.machine.probe import probe_machine

    if described and (python or environment):
        raise click.UsageError("--machine already says which Python; leave --python and --env out.")
    if described:
        return Target(_described(catalog, described), None)
    machine = probe_machine(console.environ)
    if environment is None:
        origin = "--python"
        if python:
            interpreter = read_interpreter(find_interpreter(python, console.environ))
        else:
            chosen = default_target(console.environ)
            interpreter, origin = read_interpreter(chosen.path), chosen.origin
        return Target(_with(machine, interpreter, origin), interpreter.executable)
    if (environment / "pyvenv.cfg").is_file():
        interpreter = read_interpreter(environment)
        return Target(_with(machine, interpreter, "--env"), interpreter.executable)
    base = read_interpreter(
        find_interpreter(python, console.environ) if python else default_target(console.environ).path
    )
    # What a new environment will be: the same Python, nothing installed, nobody else's.
    fresh = replace(
        base,
        prefix=str(environment),
        is_virtual=True,
        externally_managed=None,
        is_writable=True,
        distributions=(),
        torch=None,
    )
    return Target(_with(machine, fresh, "--env"), None, environment, base.executable)


def _with(machine: Machine, interpreter: Interpreter, origin: str) -> Machine:
    return replace(machine, python=interpreter, origin={**machine.origin, "python": origin})


def _described(catalog: sqlite3.Connection, text: str) -> Machine:
    """A machine from `key=value` facts, or from a file that check-env --json wrote."""
    from zoo_cli.catalog.compat import gpu_models
    from zoo_cli.machine.describe import parse_machine
    from zoo_cli.machine.document import read_machine_file
    from zoo_cli.machine.gpus import name_to_capability

    if "=" not in text:
        return read_machine_file(Path(text))
    return parse_machine(text, name_to_capability((row.name, row.capability) for row in gpu_models(catalog)))
