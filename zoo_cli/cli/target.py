"""Which interpreter, environment or described machine a command is about: --python, --env, --machine."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from zoo_cli.cli.console import Console
    from zoo_cli.machine.facts import Capability, Interpreter, Machine


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

    @contextmanager
    def made(self, console: Console, *, keep_failed: bool = False) -> Iterator[str]:
        """The target's interpreter; an environment that is made for it goes again when the work inside fails."""
        from zoo_cli.packages.environments import new_environment

        if self.environment is None:
            assert self.executable is not None
            yield self.executable
            return
        say = (lambda line: console.say(f"    {printable(line)}")) if console.verbose else None
        if not console.json:
            console.say("  make the environment")  # which takes seconds, most of them for its pip
        with new_environment(self.environment, self.base, say, keep_failed=keep_failed) as python:
            yield python


def find_target(
    catalog: sqlite3.Connection,
    console: Console,
    *,
    python: str | None = None,
    environment: Path | None = None,
    described: str | None = None,
) -> Target:
    """The target that the options name; without any, the active environment, else the python on PATH."""
    from zoo_cli.machine.files import is_there

    if described is not None and (python or environment):
        raise click.UsageError("--machine already says which Python; leave --python and --env out.")
    if described is not None:
        from zoo_cli.machine.profile import load_machine

        return Target(load_machine(described, _gpu_names(catalog)), None)
    reader = _Reader(catalog, console)
    if environment is None:
        interpreter, origin = reader.interpreter(python)
        return Target(reader.machine(interpreter, origin), interpreter.executable)
    if is_there(environment / "pyvenv.cfg") and not is_there(environment / ".zoo" / "making"):
        interpreter, origin = reader.interpreter(str(environment))
        return Target(reader.machine(interpreter, "--env"), interpreter.executable)
    base, _origin = reader.interpreter(python)
    # What a new environment will be: the same Python, nothing installed, nobody else's.
    fresh = base._replace(
        prefix=str(environment),
        is_virtual=True,
        externally_managed=None,
        is_writable=True,
        distributions=(),
        torch=None,
    )
    return Target(reader.machine(fresh, "--env"), None, environment, base.executable)


def read_target_interpreter(
    catalog: sqlite3.Connection, console: Console, given: str | None
) -> tuple[Interpreter, str]:
    """The interpreter that was named, else the user's own, and who named it; with the files of compiled projects."""
    from zoo_cli.catalog.compat import projects
    from zoo_cli.directories import cache_path, own_cache
    from zoo_cli.machine.interpreter import TargetChoice, default_target, find_interpreter, read_interpreter
    from zoo_cli.packages.evidence import COMPILED_KINDS

    choice = (
        TargetChoice(find_interpreter(given, console.environ), "--python") if given else default_target(console.environ)
    )
    compiled = frozenset(name for name, project in projects(catalog).items() if project.kind in COMPILED_KINDS)
    found = read_interpreter(
        choice.executable,
        environ=console.environ,
        record_for=compiled,
        origin=choice.origin,
        cache=own_cache(cache_path()),
    )
    return found, choice.origin


@dataclass(frozen=True)
class _Reader:
    """Reads this machine and the interpreters on it."""

    catalog: sqlite3.Connection
    console: Console

    def interpreter(self, given: str | None) -> tuple[Interpreter, str]:
        """The interpreter that was named, else the user's own, and who named it."""
        return read_target_interpreter(self.catalog, self.console, given)

    def machine(self, interpreter: Interpreter, origin: str) -> Machine:
        """This machine with that interpreter."""
        from zoo_cli.directories import cache_path, own_cache
        from zoo_cli.machine.probe import probe_machine

        machine = probe_machine(
            self.console.environ,
            gpus=_gpu_names(self.catalog),
            python=interpreter,
            cache_directory=own_cache(cache_path()),
        )
        return machine._replace(origin={**machine.origin, "python": origin})


def _gpu_names(catalog: sqlite3.Connection) -> Mapping[str, Capability]:
    from zoo_cli.catalog.compat import gpu_models
    from zoo_cli.machine.gpus import name_to_capability

    return name_to_capability((row.name, row.capability) for row in gpu_models(catalog))
