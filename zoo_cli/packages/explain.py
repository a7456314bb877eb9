"""Why nothing fits, and what would: a minimal conflict as reasons, cheapest corrections as ways out.

Pure. A conflict is found by deletion: a group is dropped when the rest is still unsatisfiable, so every group that
stays is needed (a minimal unsatisfiable subset over named groups). Ways out are sets of corrections in order of
cost; each is solved again, so each names the concrete stack it yields. Nothing is written as a sentence here.
"""

from __future__ import annotations

import heapq
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.catalog.entries import EVIDENCE, OpsWheels
from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.packages.grid import python_of
from zoo_cli.packages.reasons import Reason, missing_versions, other_providers, reasons_of
from zoo_cli.packages.request import Want
from zoo_cli.packages.solve import Stack, search
from zoo_cli.packages.versions import parse_range, version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zoo_cli.catalog.entries import Project
    from zoo_cli.packages.findings import Finding
    from zoo_cli.packages.problem import Problem
    from zoo_cli.packages.request import Request

# Tried for deletion in this order: what explains least is dropped first.
_DELETION_ORDER = (
    "wall", "installed", "declared", "libc", "cuda", "torch", "provider", "python", "driver",
    "device", "keep-torch", "asserted", "gpu", "wheels", "same-import",
)  # fmt: skip

# Correction -> cost: how much it takes away or asks of the user.
_COSTS = {
    "torch": 1,
    "cuda": 1,
    "keep-torch": 1,
    "installed": 2,
    "python": 3,
    "device": 3,
    "provider": 4,
    "wheels": 5,
    "driver": 6,
}
_MOST_SEARCHES = 80


class Way(NamedTuple):
    """One way out: the corrections, the stack they yield, and the options that ask for them."""

    corrections: tuple[str, ...]
    cost: int
    stack: Stack
    options: tuple[str, ...]
    needs_driver: str | None = None  # lowest driver, when the driver must be updated


class NoSolution(ZooError):
    """No set of versions satisfies the request on this machine."""

    code = "no-solution"
    exit_code = ExitCode.NO_SOLUTION

    words: tuple[str, ...]  # what was asked for
    conflict: tuple[str, ...]  # groups of the minimal conflict
    reasons: tuple[Reason, ...]
    ways: tuple[Way, ...]
    index_date: str
    command: tuple[str, ...] = ()  # the command line that a way out completes; set by who has it
    refused: tuple[Finding, ...] = ()  # why wheels were left out that had been looked into; set by who has it


def explain(problem: Problem, limit: int = 3) -> NoSolution:
    """The explanation of a problem that has no solution, with at most `limit` ways out."""
    words = tuple(str(want) for want in problem.request.wants)
    missing = tuple(missing_versions(problem))
    if missing:
        return NoSolution(words, ("asked",), missing, (), problem.facts.matrix.index_date)
    if not problem.facts.grid.cells:
        platform = Reason("platform", (("platform", problem.machine.platform),))
        return NoSolution(words, ("platform",), (platform,), (), problem.facts.matrix.index_date)
    conflict = minimal_conflict(problem)
    reasons = tuple(reasons_of(problem, conflict))
    return NoSolution(words, conflict, reasons, tuple(ways_out(problem, limit)), problem.facts.matrix.index_date)


def minimal_conflict(problem: Problem, given: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Groups that cannot hold together beside the given ones, none of which can be left out."""
    groups = [group for group in _DELETION_ORDER if group in problem.groups and group not in given]
    relaxed: set[str] = set()
    for group in groups:
        if search(problem, frozenset(relaxed | {group})) is None:
            relaxed.add(group)
    return tuple(group for group in groups if group not in relaxed)


def ways_out(problem: Problem, limit: int = 3) -> list[Way]:
    """Corrections in order of cost, none containing another, each with the stack it yields."""
    actions = list(_actions(problem))
    ticket = count()
    heap: list[tuple[int, int, tuple[int, ...]]] = [
        (cost, next(ticket), (index,)) for index, (_name, cost) in enumerate(actions)
    ]
    heapq.heapify(heap)
    found: list[Way] = []
    taken: list[frozenset[int]] = []
    for _ in range(_MOST_SEARCHES):
        if not heap or len(found) >= limit:
            break
        cost, _ticket, chosen = heapq.heappop(heap)
        if any(done <= frozenset(chosen) for done in taken):
            continue
        names = tuple(actions[index][0] for index in chosen)
        way = _try(problem, names, cost)
        if way:
            found.append(way)
            taken.append(frozenset(chosen))
        elif len(chosen) < 3:
            for index in range(chosen[-1] + 1, len(actions)):
                if _compatible(names, actions[index][0]):
                    heapq.heappush(heap, (cost + actions[index][1], next(ticket), (*chosen, index)))
    return found


def ways_past(problem: Problem, narrower: Problem, group: str, limit: int = 3) -> tuple[Way, ...]:
    """Other stacks when the ops of the chosen one were run and do not work, cheapest first.

    Args:
        problem: what was solved; every command is tried on it.
        narrower: the same without the wheel that does not work.
        group: the constraint that it broke.
        limit: how many at most.
    """
    found: list[Way] = []
    stack = search(narrower)
    way = _pinned(problem, stack) if stack else None
    found += [way] if way else []
    if problem.wants_gpu and not problem.request.cuda and group in ("gpu", "driver", "device", "cuda"):
        way = _solve_with(problem, ("device",), None, _COSTS["device"])
        found += [way] if way else []
    if stack is None:
        found += [each for each in ways_out(narrower, limit) if each.options not in [way.options for way in found]]
    elif not problem.request.build and (way := _solve_with(narrower, ("wheels",), None, _COSTS["wheels"])):
        found += [way] if way.options else []
    return tuple(found[:limit])


def _pinned(problem: Problem, stack: Stack) -> Way | None:
    """The way that asks for a stack by its versions; None when they do not lead there."""
    torch = stack.cell.torch
    wants = [Want(ops.project, parse_range(f"=={ops.version}")) for ops in stack.ops if isinstance(ops, OpsWheels)]
    words = [f"{want.project}{want.versions.text}" for want in wants]
    cuda = None
    if not problem.keep_torch:
        cuda = torch.variant
        wants.append(Want("torch", parse_range(f"=={torch.version}")))
        words += ["--torch", f"=={torch.version}", *(("--cuda", cuda) if cuda != "cpu" else ())]
    pinned = {want.project for want in wants}
    others = tuple(want for want in problem.request.wants if want.project not in pinned)
    request = problem.request._replace(wants=(*others, *wants), cuda=cuda if cuda != "cpu" else problem.request.cuda)
    again = search(replace(problem, request=request))
    return Way(("next",), 0, stack, tuple(words)) if again == stack else None


def _actions(problem: Problem) -> Iterator[tuple[str, int]]:
    """Corrections that this problem could take, with their costs."""
    takes = {
        "provider": bool(list(other_providers(problem))),
        "device": problem.wants_gpu and not problem.request.cuda,
        "wheels": not problem.request.build,
        "installed": True,
    }
    for name, cost in _COSTS.items():
        if takes.get(name, name in problem.cell_groups):
            yield name, cost


_APART = ({"device", "driver"}, {"device", "cuda"}, {"provider", "wheels"})  # corrections that undo each other


def _compatible(names: tuple[str, ...], other: str) -> bool:
    return not any(pair <= {*names, other} for pair in _APART)


def _try(problem: Problem, names: tuple[str, ...], cost: int) -> Way | None:
    """The way that a set of corrections opens; with another provider in it, the one of the best provider."""
    if "provider" not in names:
        return _solve_with(problem, names, None, cost)
    ways = [_solve_with(problem, names, provider, cost) for provider in other_providers(problem)]
    return min((way for way in ways if way), key=_provider_rank, default=None)


def _solve_with(problem: Problem, names: tuple[str, ...], provider: str | None, cost: int) -> Way | None:
    request = problem.request
    if "device" in names:
        request = request._replace(device="cpu")
    if provider:
        request = translate(request, problem.facts.projects, provider)._replace(
            providers=request.providers | {provider}
        )
    changed = problem if request is problem.request else replace(problem, request=request)
    stack = search(changed, frozenset(names) - {"device", "provider"})
    if not stack:
        return None
    needs_driver = problem.facts.drivers.floor(stack.cell.torch.variant) if "driver" in names else None
    if "driver" in names and needs_driver is None:
        return None
    said = tuple(f"provider:{provider}" if name == "provider" else name for name in names)
    return Way(said, cost, stack, tuple(_options(problem, said, stack)), needs_driver)


def _provider_rank(way: Way) -> tuple[object, ...]:
    """Best first: newest generation of the framework, best evidence for the wheel, known code targets."""
    newest = max((version(r.version).major for p, r in way.stack.frameworks.items() if p != "mmengine"), default=0)
    wheels = [ops for ops in way.stack.ops if isinstance(ops, OpsWheels)]
    tag = way.stack.cell.python
    evidence = max((EVIDENCE.index(ops.python_tags[tag]) for ops in wheels), default=len(EVIDENCE))
    return (-newest, evidence, any(ops.targets is None for ops in wheels), way.corrections)


def _options(problem: Problem, names: tuple[str, ...], stack: Stack) -> Iterator[str]:
    """Words to add to the command so that it takes this way."""
    for name in names:
        if name == "device":
            yield from ("--device", "cpu")
        elif name == "python":
            yield from ("--env", "./zoo-env", "--python", python_of(stack.cell.python))
        elif name == "wheels":
            yield from (
                word for ops in stack.ops if not isinstance(ops, OpsWheels) for word in ("--build", ops.project)
            )
        elif name == "keep-torch":
            yield from ("--replace", "torch")
        elif name == "installed":
            python = problem.machine.python
            here = [p for p in problem.facts.matrix.frameworks if python and python.distribution(p)]
            yield from ("--replace", ",".join(sorted(here)) or "all")
        elif name.startswith("provider:"):
            yield from ("--provider", name.partition(":")[2])


def translate(request: Request, projects: Mapping[str, Project], provider: str) -> Request:
    """The request in a provider's own project names: mmdet from onedl is onedl-mmdetection."""
    wants: dict[str, Want] = {}  # two names of one project become one
    for want in request.wants:
        project = projects.get(want.project)
        own = next(
            (
                other.name
                for other in projects.values()
                if project
                and other.provider == provider
                and other.import_name == project.import_name
                and (other.kind == project.kind)
            ),
            None,
        )
        # A fork numbers its releases itself: a range for the original says nothing about them.
        said = want._replace(project=own, versions=parse_range("")) if own else want
        wants.setdefault(said.project, said)
    return request._replace(wants=tuple(wants.values()))
