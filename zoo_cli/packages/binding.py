"""Which source a project comes from, and no other: names of the binary stack cannot be shadowed by a higher version.

Pure. pip and uv take the highest version of a name from every index they are shown, so zoo never lets them choose a
project of its index: those of the plan are handed over as files from their own source (`zoo_cli.packages.supply`), and
those that are in no plan are kept out by constraints. A companion of torch may be needed by an ordinary package:
it comes from the page of the torch that is planned, whatever other indexes offer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.packages.versions import version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from zoo_cli.catalog.entries import Project
    from zoo_cli.packages.findlinks import Link

BOUND_KINDS = ("torch", "companion", "ops", "engine", "framework", "lite")


class NotAtSource(ZooError):
    """The source that a project is bound to does not have the version that is planned."""

    code = "not-at-source"
    exit_code = ExitCode.NETWORK

    project: str
    version: str
    source: str  # the page of the project, or the index that has none


class UnplannedProject(ZooError):
    """An ordinary package needs a project of the index that is not in the plan, so from nowhere."""

    code = "unplanned-project"
    exit_code = ExitCode.NO_SOLUTION

    project: str
    lines: tuple[str, ...]  # of the installer
    words: tuple[str, ...]  # the command as typed


def limits(
    projects: Mapping[str, Project],
    planned: frozenset[str],
    installed: Mapping[str, str],
    companions: Mapping[str, str],
) -> tuple[str, ...]:
    """Constraints under which ordinary packages are resolved: no bound project but those of the plan.

    Args:
        projects: of the index.
        planned: names in the plan, which have words of their own.
        installed: version of each installed distribution that stays; a bound one stays as it is.
        companions: constraint of each companion of torch that may come (see `companion_limit`).
    """
    found = []
    for name, project in sorted(projects.items()):
        if project.kind in BOUND_KINDS and name not in planned:
            kept = f"=={installed[name]}" if name in installed else "<0"
            found.append(companions.get(name, f"{name}{kept}"))
    return tuple(filter(None, found))


def companion_limit(project: str, release: str | None, address: str | None, torch_version: str) -> str:
    """Where a companion of torch comes from, should an ordinary package need it; "" says nothing.

    A torch with a local version (`2.1.2+cu121`) is its page's, and so is its companion; one without came from the
    package index.

    Args:
        project: torchvision or torchaudio.
        release: that belongs to the torch, where the index knows it.
        address: of its wheel.
        torch_version: as it will be installed.
    """
    if "+" not in torch_version:
        return f"{project}=={release}" if release else ""
    return f"{project} @ {address}" if release and address else f"{project}<0"


def kept_out(lines: Sequence[str], given: Sequence[str]) -> str | None:
    """The project whose constraint an installer ran into, by what it said; None when it failed for another reason."""
    names = [each.removesuffix("<0") for each in given if each.endswith("<0")]
    text = "\n".join(lines)
    return next((name for name in names if re.search(rf"(?<![\w.-]){re.escape(name)}<0(?![\d.])", text)), None)


def files_of(links: Sequence[Link], wanted: str) -> Iterator[Link]:
    """The files of exactly this version: `3.3.0+x` is another one, though `==3.3.0` would admit it."""
    from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

    for link in links:
        try:
            is_wheel = link.filename.endswith(".whl")
            found = parse_wheel_filename(link.filename)[1] if is_wheel else parse_sdist_filename(link.filename)[1]
        except (InvalidSdistFilename, InvalidWheelFilename):  # eggs and installers
            continue
        if found == version(wanted) and link.yanked is None:
            yield link
