"""Uninstalling: which installed projects go, who still needs them, and removing them as one change."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.packages.executor import find_installer, run_step
from zoo_cli.packages.recorded import check_files, kept_in_place
from zoo_cli.packages.wheels import normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from zoo_cli.machine.facts import Distribution, Interpreter
    from zoo_cli.packages.steps import Step

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class NotInstalled(ZooError):
    """A project that is to be removed is not there."""

    code = "not-installed"
    exit_code = ExitCode.USAGE

    project: str
    python: str
    near: tuple[str, ...]


class StillNeeded(ZooError):
    """Other installed projects need what is to be removed, and nobody can be asked."""

    code = "still-needed"
    exit_code = ExitCode.USAGE

    words: tuple[str, ...]
    needed: tuple[tuple[str, str], ...]  # (project, who needs it)


@dataclass(frozen=True, slots=True)
class Removal:
    """What an uninstall would do.

    Attributes:
        projects: The distributions that go, by name.
        needed: Pairs of one of them and an installed project that stays and declares to need it.
        changed: Files of theirs that are not as they were installed: they stay.
    """

    projects: tuple[Distribution, ...]
    needed: tuple[tuple[str, str], ...]
    changed: tuple[Path, ...] = ()


def plan_removal(
    python: Interpreter, names: Sequence[str], roots: Sequence[Path] = (), *, changed_too: bool = False
) -> Removal:
    """What removing these projects means for the rest.

    Args:
        python: the interpreter with what is installed there.
        names: the projects.
        roots: the directories of the environment; nothing of a project may lie elsewhere.
        changed_too: also remove files that were changed since they were installed.

    Raises:
        NotInstalled: one of them is not installed.
        LeadsOutside: files of one of them lie outside.
    """
    from difflib import get_close_matches

    wanted = list(dict.fromkeys(normalise(name) for name in names))
    for name in wanted:
        if python.distribution(name) is None:
            near = get_close_matches(name, [each.name for each in python.distributions], n=3)
            raise NotInstalled(name, python.executable, tuple(near))
    going = tuple(each for each in python.distributions if each.name in wanted)
    staying = [each for each in python.distributions if each.name not in wanted]
    needed = {(name, other.name) for other in staying for name in _requires(other) if name in wanted}
    checked = [check_files(each, roots) for each in going if not each.editable]
    changed = () if changed_too else tuple(path for each in checked for path in each.changed)
    return Removal(tuple(sorted(going, key=lambda each: each.name)), tuple(sorted(needed)), changed)


def _requires(distribution: Distribution) -> set[str]:
    """The projects that a distribution needs without any extra."""
    plain = (line for line in distribution.requires if not re.search(r";.*\bextra\s*==", line))
    return {normalise(found[0]) for line in plain if (found := _NAME.match(line.strip()))}


def remove(
    removal: Removal,
    python: Interpreter,
    home: Path,
    begin: Callable[[], AbstractContextManager[int]],
    say: Callable[[str], None] | None,
) -> Step:
    """Removes the projects as one change of the environment, but for changed files; gives the command that did it.

    Args:
        removal: what to remove.
        python: from where.
        home: the directory of the environment's journal.
        begin: starts the change.
        say: told each line of the installer.

    Raises:
        ZooError: of the journal or the installer; then the environment is as it was.
    """
    installer = find_installer(python.executable, version=python.version)
    step = installer.uninstall([each.name for each in removal.projects], "remove the packages")
    with begin() as lock, kept_in_place(removal.changed, home / "aside"):
        run_step(step, say, held=(lock,))
    return step
