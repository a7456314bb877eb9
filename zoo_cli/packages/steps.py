"""What uv and pip are told: one command each, as a value, so that a plan can print the very commands.

Edge: the environment, read when a step is written down for the user's own shell. Rules: the target interpreter is
always named (`--python`, or the interpreter itself runs pip), foreign words stand behind `--`, configuration other
than the user's package index is neutralised (see `indexes`), no credentials on a command line, and a wheel file is
installed as the file it is: no index, no dependencies, no cache of an earlier build. `executor` runs the steps.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.packages.indexes import UserIndex, clean_environment, has_configuration
from zoo_cli.transfer.addresses import redacted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NOWHERE = str(Path(os.sep) / "nowhere" / "zoo-builds-nothing-unasked")


@dataclass(frozen=True, slots=True)
class Step:
    """One command to run: what, with which variables on top of the clean environment, and what for."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)  # may hold credentials: not to be shown
    reason: str = ""
    cwd: str | None = None

    @property
    def command(self) -> str:
        """The step as a line for the user's own POSIX shell, where it does the same.

        The user's settings that zoo keeps from an installer are taken away, and the step's own variables are set. One
        that holds a password is named by the variable that it came from, or told without the password.
        """
        words = _settings(self)
        return " ".join((*(("env", *words) if words else ()), shlex.join(self.argv)))


def _settings(step: Step) -> list[str]:
    """What `env` needs before the step in the user's shell, quoted for it; nothing where theirs is as good."""
    kind = "PIP_" if "pip" in step.argv[2:4] else "UV_" if Path(step.argv[0]).stem == "uv" else ""
    if not kind:
        return []
    child = clean_environment(step.env)
    here = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
    come = {name: value for name, value in step.env.items() if name != "PYTHONHOME" and here.get(name) != value}
    if kind == "PIP_" and has_configuration(here, str(Path(step.argv[0]).parent.parent)):
        come["PIP_CONFIG_FILE"] = os.devnull
    gone = sorted(name for name in here.keys() - come if name.startswith(kind) and here[name] != child.get(name))
    words = [word for name in gone for word in ("-u", name)]
    return [*words, *(f"{name}={_in_shell(value, here)}" for name, value in sorted(come.items()))]


def _in_shell(value: str, environ: Mapping[str, str]) -> str:
    """A value for a shell line: quoted, and where it holds a password by a variable that has it."""
    if redacted(value) == value:
        return shlex.quote(value)
    names = [name for name, each in environ.items() if each == value]
    return f'"${names[0]}"' if names else shlex.quote(redacted(value))


@dataclass(frozen=True, slots=True)
class Installer:
    """What installs into one target: uv, or the target's pip."""

    kind: str  # uv | pip
    argv: tuple[str, ...]  # uv's path, or (python, -I, -m, pip)
    python: str  # the target interpreter
    prepare: tuple[Step, ...] = ()  # to run first: the target had no pip

    @property
    def prefix(self) -> str:
        """The target's environment, whose own pip.conf counts."""
        return str(Path(self.python).parent.parent)

    def install_files(self, files: Sequence[Path], reason: str = "") -> Step:
        """Installs exactly these local wheels, replacing the same versions: no index, no dependencies."""
        again = "--reinstall" if self.kind == "uv" else "--force-reinstall"
        words = (*self._install(), "--no-index", "--no-deps", again, "--", *map(str, files))
        return Step(words, self._no_builds(), reason)

    def install_requirements(
        self,
        requirements: Sequence[str],
        *,
        index: UserIndex,
        constraints: Path | None = None,
        places: Sequence[str] = (),
        no_deps: bool = False,
        rehearse: bool = False,
        reason: str = "",
    ) -> Step:
        """Installs ordinary projects from the user's index.

        Args:
            requirements: exact pins, or ranges for what the plan leaves to the installer.
            index: where they come from.
            constraints: a file with everything that must stay as planned.
            places: directories that hold some of them, too.
            no_deps: leave dependencies out.
            rehearse: find out what would come, and change nothing.
            reason: for the plan.
        """
        words = [*self._install(), *index.words(self.kind)]
        if constraints:
            words += ["--constraints" if self.kind == "uv" else "--constraint", str(constraints)]
        words += [word for place in places for word in ("--find-links", place)]
        words += ["--no-deps"] if no_deps else []
        words += ["--dry-run"] if rehearse else []
        return Step((*words, "--", *requirements), {**index.variables(self.kind), **self._no_builds()}, reason)

    def uninstall(self, projects: Sequence[str], reason: str = "") -> Step:
        """Removes projects."""
        if self.kind == "uv":
            return Step(
                (*self.argv, "pip", "uninstall", "--no-config", "--python", self.python, "--", *projects), {}, reason
            )
        return Step((*self.argv, "uninstall", "--yes", "--", *projects), {}, reason)

    def _install(self) -> tuple[str, ...]:
        """Wheels only: what is built from source is built by zoo (`builder`), and only when the user named it."""
        if self.kind == "uv":
            return (*self.argv, "pip", "install", "--no-config", "--python", self.python, "--only-binary", ":all:")
        return (*self.argv, "install", "--only-binary", ":all:")

    def _no_builds(self) -> dict[str, str]:
        """Pip builds what a package needs by address, also with --only-binary; no child of it finds its library so.

        Pip itself is started with -I, and does not heed PYTHONHOME; the children that it builds in are not.
        """
        return {"PYTHONHOME": NOWHERE} if self.kind == "pip" else {}
