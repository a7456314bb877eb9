"""From a request to a plan: joins the solver with what is installed and what the named pages offer.

Pure. `make_problem` adds installed things that the index does not know as rows of their own; `decide` gives the plan or
raises `NoSolution` with the conflict and the ways out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from zoo_cli.catalog.entries import OpsWheels, Origin, TorchBuild
from zoo_cli.packages.explain import explain, translate
from zoo_cli.packages.installed import find_build, torch_variant
from zoo_cli.packages.offers import installed_rows
from zoo_cli.packages.plan import Plan, make_plan
from zoo_cli.packages.problem import TORCH_FAMILY, Facts, Problem
from zoo_cli.packages.solve import search
from zoo_cli.packages.versions import public

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from zoo_cli.catalog.entries import Matrix, Project
    from zoo_cli.machine.facts import Interpreter, Machine
    from zoo_cli.packages.offers import Offers
    from zoo_cli.packages.plan import Pin
    from zoo_cli.packages.request import Request


def kept_torch(request: Request, machine: Machine) -> tuple[str, str] | None:
    """The installed torch that stays: (public version, variant); None if there is none or it may be replaced."""
    torch = machine.python.torch if machine.python else None
    if torch is None or "torch" in request.replace or request.want("torch"):
        return None
    return public(torch.version), torch_variant(torch.cuda, torch.hip)


def for_providers(request: Request, projects: Mapping[str, Project]) -> Request:
    """The request in the project names of the providers that were asked for: mmdet from onedl is onedl-mmdetection."""
    for provider in sorted(request.providers):
        request = translate(request, projects, provider)
    return request


def make_problem(
    request: Request,
    machine: Machine,
    matrix: Matrix,
    projects: Mapping[str, Project],
    offers: Offers,
    official: frozenset[str],
    sound_ops: frozenset[str] = frozenset(),
) -> Problem:
    """The problem to solve; installed things that the index does not know become rows of their own.

    `sound_ops` are the installed ops projects whose files are in order.
    """
    keep = kept_torch(request, machine)
    python = machine.python
    here = installed_rows(machine, projects, keep, sound_ops - request.replace)
    if keep and python and python.torch and find_build(matrix, keep[0], keep[1], machine.platform) is None:
        matrix = matrix._replace(torch=(*matrix.torch, _installed_build(machine, python, keep)))
    return Problem(request, Facts(machine, matrix, projects, official, (*here, *offers.rows)), keep)


def _installed_build(machine: Machine, python: Interpreter, keep: tuple[str, str]) -> TorchBuild:
    source = python.torch.source if python.torch else python.executable
    return TorchBuild(
        version=keep[0], variant=keep[1], platform=machine.platform, python_tags=(python.tag,),
        targets=() if keep[1] == "cpu" else None, targets_origin=None, torchvision=None, torchaudio=None,
        released="", index_url="", local="", platform_tag="", on_pypi=False, glibc=None,
        origin=Origin(source, "now", "seen"),
    )  # fmt: skip


def decide(problem: Problem, torch_digest: Callable[[str], str | None], offers: Offers) -> Plan:
    """The plan for a problem.

    Raises:
        NoSolution: nothing fits; carries the conflict and the ways out.
    """
    stack = search(problem)
    if stack is None:
        raise explain(problem)
    plan = make_plan(problem, stack, torch_digest)
    return plan._replace(pins=tuple(_from_page(pin, offers) for pin in plan.pins))


def _from_page(pin: Pin, offers: Offers) -> Pin:
    """The pin, taken from a page the user named where that has the very file."""
    link = offers.torch_links.get(pin.file_name)
    if link is None or pin.action == "keep":
        return pin
    return pin._replace(
        urls=(link.url,), sha256=link.sha256 or pin.sha256, evidence="seen", source=link.page, date="now"
    )


def as_offered(matrix: Matrix, offers: Offers) -> Matrix:
    """The facts without network: where the named places have torch, what they have and nothing else can be fetched."""
    if not offers.torch_links:
        return matrix
    return matrix._replace(torch=tuple(filter(None, (_offered(each, offers) for each in matrix.torch))), ops=())


def _offered(build: TorchBuild, offers: Offers) -> TorchBuild | None:
    names = {tag: unquote((build.url(tag) or "").rpartition("/")[2]) for tag in build.python_tags}
    kept = tuple(tag for tag in build.python_tags if names[tag] in offers.torch_links)
    return build._replace(python_tags=kept) if kept else None


def without_wheel(matrix: Matrix, address: str) -> Matrix:
    """The facts without a wheel that its page does not offer any more, by the address the index expects it at."""
    return matrix._replace(
        torch=tuple(_shorter(build, address) for build in matrix.torch),
        ops=tuple(_narrower(row, address) for row in matrix.ops),
    )


def _narrower(row: OpsWheels, address: str) -> OpsWheels:
    kept = {tag: each for tag, each in row.python_tags.items() if not _is_at(row, tag, address)}
    return row if len(kept) == len(row.python_tags) else row._replace(python_tags=kept)


def _is_at(row: OpsWheels, tag: str, address: str) -> bool:
    return (row.url(tag) or row.page_url) == address


def _shorter(build: TorchBuild, address: str) -> TorchBuild:
    kept = tuple(tag for tag in build.python_tags if build.url(tag) != address)
    return build if len(kept) == len(build.python_tags) else build._replace(python_tags=kept)


Refused = tuple["OpsWheels | TorchBuild", str]  # a row, and the interpreter tag of the wheel that was refused


def refused_row(plan: Plan, project: str) -> Refused | None:
    """The row behind a wheel of a plan; None for what is compiled. A companion's is its torch: they come together."""
    if project in TORCH_FAMILY:
        return plan.stack.cell.torch, plan.stack.cell.python
    row = next((each for each in plan.stack.ops if each.project == project), None)
    return (row, plan.stack.cell.python) if isinstance(row, OpsWheels) else None


def without_refused(matrix: Matrix, refused: Sequence[Refused]) -> Matrix:
    """The facts without wheels that were looked into and cannot work."""
    if not refused:
        return matrix
    gone = [(row._replace(python_tags=()), tag) for row, tag in refused if isinstance(row, TorchBuild)]
    torch = [(build, [tag for row, tag in gone if row == build._replace(python_tags=())]) for build in matrix.torch]
    builds = (
        build._replace(python_tags=tuple(tag for tag in build.python_tags if tag not in tags)) if tags else build
        for build, tags in torch
    )
    return matrix._replace(torch=tuple(builds), ops=rows_without(matrix.ops, refused))


def rows_without(rows: Iterable[OpsWheels], refused: Sequence[Refused]) -> tuple[OpsWheels, ...]:
    """Rows of compiled ops without such wheels."""
    gone = [(row._replace(python_tags={}), tag) for row, tag in refused if isinstance(row, OpsWheels)]
    if not gone:
        return tuple(rows)
    projects = {row.project for row, _tag in gone}

    def shorter(row: OpsWheels) -> OpsWheels:
        bare = row._replace(python_tags={}) if row.project in projects else row
        tags = {tag for each, tag in gone if each == bare}
        return row._replace(python_tags={k: v for k, v in row.python_tags.items() if k not in tags}) if tags else row

    return tuple(map(shorter, rows))
