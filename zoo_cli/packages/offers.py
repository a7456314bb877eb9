"""Wheels seen on pages the user named, turned into facts of the solver.

Pure. A wheel becomes an `OpsWheels` row with evidence `seen` when its name, its address or its page tell which torch
and variant it was built for; a wheel for which nobody tells is taken only for the torch that is installed and stays
(the ops check decides afterwards). What is not taken is a value with its reason. Wheels of torch itself give the
cell of that torch another address.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from zoo_cli.catalog.entries import OpsWheels, Origin
from zoo_cli.packages.problem import INSTALLED, TORCH_FAMILY, USER_PAGE
from zoo_cli.packages.versions import minor, public
from zoo_cli.packages.wheels import (
    Fits,
    Rejected,
    WheelTarget,
    fits,
    normalise,
    parse_wheel_name,
    same_variant,
    tags_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zoo_cli.catalog.entries import Project
    from zoo_cli.machine.facts import Machine
    from zoo_cli.packages.findlinks import Link


class Offers(NamedTuple):
    """What the named pages offer for a machine, and what on them is of no use to it."""

    rows: tuple[OpsWheels, ...] = ()
    torch_links: Mapping[str, Link] = {}  # file name -> link
    rejected: tuple[Rejected, ...] = ()


def read_offers(
    links: Iterable[Link],
    machine: Machine,
    projects: Mapping[str, Project],
    keep_torch: tuple[str, str] | None,
    day: str,
) -> Offers:
    """Sorts the links of the named pages.

    Args:
        links: everything the pages list.
        machine: the target; its Python decides the tags.
        projects: the projects of the index; links of others are passed over.
        keep_torch: (version, variant) of the installed torch that stays.
        day: when the pages were read (ISO).
    """
    rows: list[OpsWheels] = []
    torch_links: dict[str, Link] = {}
    rejected: list[Rejected] = []
    python = machine.python
    tags = tags_for(python.tag, machine.platform, machine.libc) if python else ()
    for link in links:
        project = _project_of(link, projects)
        if python is None:
            continue
        if project is None:
            rejected += _source(link, projects)
            continue
        target = WheelTarget(project.name, python.version, tags, needs_ops=project.kind == "ops")
        found = fits(link, target)
        if isinstance(found, Rejected):
            rejected.append(found)
        elif project.name in TORCH_FAMILY:
            torch_links[link.filename] = link
        elif project.kind == "ops":
            row = _row(link, found, project, machine, keep_torch, day)
            (rejected if isinstance(row, Rejected) else rows).append(row)  # type: ignore[arg-type]
    taken = {unquote(row.file_url.rpartition("/")[2]) for row in rows if row.file_url}  # by another page of theirs
    return Offers(tuple(rows), torch_links, tuple(each for each in rejected if each.filename not in taken))


def _project_of(link: Link, projects: Mapping[str, Project]) -> Project | None:
    if not link.filename.endswith(".whl"):
        return None
    name = link.filename.split("-")[0].replace("_", "-").replace(".", "-").lower()
    project = projects.get(name)
    return project if project and (project.kind == "ops" or name in TORCH_FAMILY) else None


def _source(link: Link, projects: Mapping[str, Project]) -> list[Rejected]:
    """The refusal of an sdist of a project with compiled ops: an installer would compile it unasked."""
    stem = re.match(r"(.+)-[^-]+\.(?:tar\.gz|zip)\Z", link.filename)
    project = projects.get(normalise(stem[1])) if stem else None
    if project is None or project.kind != "ops":
        return []
    return [Rejected(link.filename, "not-a-wheel", "an sdist", f"a wheel; compile it with --build {project.name}")]


def unsuited(offers: Offers, torch: str, variant: str) -> tuple[Rejected, ...]:
    """Offered wheels that were built for another torch or CUDA than the plan has."""
    found = []
    for row in offers.rows:
        name = unquote((row.file_url or row.page_url).rpartition("/")[2])
        if row.torch != minor(torch):
            found.append(Rejected(name, "other-torch", row.torch, minor(torch)))
        elif not same_variant(row.variant, variant):
            found.append(Rejected(name, "other-variant", row.variant, variant))
    return tuple(found)


def _row(
    link: Link, found: Fits, project: Project, machine: Machine, keep_torch: tuple[str, str] | None, day: str
) -> OpsWheels | Rejected:
    torch, variant = found.build.torch_minor, found.build.variant
    if (torch is None or variant is None) and keep_torch:
        torch, variant = torch or keep_torch[0], variant or keep_torch[1]
    if torch is None or variant is None:
        return Rejected(link.filename, "torch-not-told", "neither name nor page tells", "the torch it was built for")
    return OpsWheels(
        project=project.name,
        provider=USER_PAGE,
        import_name=project.import_name,
        version=public(parse_wheel_name(link.filename).version),
        torch=torch,
        variant=variant,
        platform=machine.platform,
        python_tags={machine.python.tag if machine.python else "": "seen"},
        targets=None,
        page_url=link.page,
        file_url=link.url,
        origin=Origin(link.page, day, "seen"),
        sha256=link.sha256,
    )


def installed_rows(
    machine: Machine, projects: Mapping[str, Project], keep_torch: tuple[str, str] | None, sound: frozenset[str]
) -> tuple[OpsWheels, ...]:
    """The compiled ops that are installed beside the torch that stays, as rows for the solver.

    `sound` names the projects whose files were found in order; a broken one is no fact to build on.
    """
    python = machine.python
    if python is None or keep_torch is None:
        return ()
    return tuple(
        OpsWheels(
            here.name, INSTALLED, projects[here.name].import_name, public(here.version), keep_torch[0], keep_torch[1],
            machine.platform, {python.tag: "seen"}, None, here.location, None, Origin(here.location, "now", "seen"),
        )
        for here in python.distributions
        if here.name in sound and here.name in projects
    )  # fmt: skip
