"""Why these versions and no others: every candidate that would have come first, with the facts against it.

Pure. A stack is the best there is, so each better candidate (a newer torch, newer compiled ops, a newer release of a
framework) is impossible together with the frameworks that were chosen. Each is asked for once more, and its minimal
conflict gives the facts. `why_not` asks for something by name, which may as well be possible and only less wished for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from zoo_cli.packages.explain import NoSolution, explain, minimal_conflict
from zoo_cli.packages.grid import python_of
from zoo_cli.packages.problem import Facts, Problem
from zoo_cli.packages.reasons import reasons_of
from zoo_cli.packages.request import Want, parse_want
from zoo_cli.packages.solve import Stack, search
from zoo_cli.packages.versions import parse_range, public, version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoo_cli.packages.reasons import Reason

_GIVEN = frozenset({"provider"})  # whose wheels are taken is the user's choice, not a reason against a version
_PYTHON = re.compile(r"python\s*={1,2}\s*(3\.\d{1,2})\Z")
_VARIANT = re.compile(r"cpu\Z|cu\d{2,3}\Z")
_ONE_MINOR = re.compile(r"torch\s*==\s*(\d+\.\d+)\Z")


@dataclass(frozen=True, slots=True)
class NotTaken:
    """Versions of one project that came before the chosen one, and the facts against all of them alike."""

    project: str
    versions: tuple[str, ...]  # newest first
    conflict: tuple[str, ...]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class LessWished:
    """What was asked about is possible, and comes later in the order of wishes."""

    stack: Stack
    wish: str  # the first wish in which it is behind: a project, torch, driver, cuda, ops; "" if it is the chosen one
    chosen: str
    instead: str


def not_taken(problem: Problem, stack: Stack | None) -> tuple[NotTaken, ...]:
    """Every candidate that would have come first, newest first; neighbours with the same facts stand together.

    Without a stack, every torch release of the platform is such a candidate.
    """
    found: list[NotTaken] = []
    for project, candidate in _candidates(problem, stack):
        asked = _with(problem, stack, project, candidate)
        if search(asked):
            continue  # possible: another wish decided
        conflict = minimal_conflict(asked, _GIVEN)
        reasons = tuple(each for each in reasons_of(asked, conflict) if each.group != "torch" or project != "torch")
        last = found[-1] if found else None
        if last and last.project == project and _said(last.reasons) == _said(reasons):
            found[-1] = replace(last, versions=(*last.versions, candidate))
        else:
            found.append(NotTaken(project, (candidate,), conflict, reasons))
    return tuple(found)


def _said(reasons: tuple[Reason, ...]) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    return [(reason.group, reason.values) for reason in reasons]


def _candidates(problem: Problem, stack: Stack | None) -> Iterator[tuple[str, str]]:
    """(project, version) of what is newer than the chosen, per project newest first."""
    torches = {build.version for build in problem.facts.matrix.torch}
    yield from _newer("torch", torches, stack.cell.torch.version if stack else None)
    for ops in stack.ops if stack else ():
        mine = {row.version for row in problem.facts.matrix.ops if row.project == ops.project}
        yield from _newer(ops.project, {public(each) for each in mine}, public(ops.version))
    for project, release in stack.frameworks.items() if stack else ():
        rows = problem.facts.matrix.frameworks[project]
        yield from _newer(project, {row.version for row in rows if not row.is_yanked}, release.version)


def _newer(project: str, versions: set[str], chosen: str | None) -> Iterator[tuple[str, str]]:
    for each in sorted(versions, key=version, reverse=True):
        if not version(each).is_prerelease and (chosen is None or version(each) > version(chosen)):
            yield project, each


def _with(problem: Problem, stack: Stack | None, project: str, candidate: str) -> Problem:
    """The problem with a candidate asked for beside all chosen frameworks; for a framework beside those asked for."""
    wants = {want.project: want for want in problem.request.wants}
    pinned = stack.frameworks if stack else {}
    for name, release in pinned.items():
        if name in wants or project not in pinned:
            wants[name] = Want(name, parse_range(f"=={release.version}"))
    wants[project] = Want(project, parse_range(f"=={candidate}"))
    return replace(problem, request=problem.request._replace(wants=tuple(wants.values())))


def why_not(problem: Problem, stack: Stack | None, text: str) -> NoSolution | LessWished:
    """Why something is not in the plan: a requirement (`torch==2.6`), a variant (`cu124`) or `python==3.12`.

    Raises:
        ZooError: the text is none of these.
    """
    asked = _asking(problem, text)
    other = search(asked)
    if other is None:
        return explain(asked)
    return _compare(stack, other) if stack else LessWished(other, "", "", "")


def _asking(problem: Problem, text: str) -> Problem:
    text = text.strip()
    if found := _PYTHON.match(text):
        machine = problem.machine
        python = machine.python._replace(version=found[1]) if machine.python else None
        facts = replace(problem.facts, machine=machine._replace(python=python))
        return replace(problem, facts=Facts(facts.machine, facts.matrix, facts.projects, facts.official, facts.pages))
    if _VARIANT.match(text):
        return replace(problem, request=problem.request._replace(cuda=text))
    found = _ONE_MINOR.match(text)
    want = parse_want(f"torch=={found[1]}.*" if found else text, problem.facts.projects)
    others = tuple(each for each in problem.request.wants if each.project != want.project)
    keep = None if want.project == "torch" else problem.keep_torch
    return replace(problem, request=problem.request._replace(wants=(*others, want)), keep_torch=keep)


def _compare(chosen: Stack, other: Stack) -> LessWished:
    """The first wish in which another stack is behind the chosen one."""
    for project, release in chosen.frameworks.items():
        there = other.frameworks.get(project)
        if there is None or there.version != release.version:
            return LessWished(other, project, release.version, there.version if there else "")
    one, two = chosen.cell, other.cell
    if one.torch is not two.torch:
        names = (f"{one.torch.version}+{one.torch.variant}", f"{two.torch.version}+{two.torch.variant}")
        return LessWished(other, "torch" if one.torch.version != two.torch.version else "cuda", *names)
    if one.python != two.python:
        return LessWished(other, "python", python_of(one.python), python_of(two.python))
    pairs = zip(chosen.ops, other.ops, strict=False)
    for first, second in pairs:
        if (first.project, first.version) != (second.project, second.version):
            return LessWished(other, first.project, first.version, f"{second.project} {second.version}")
    return LessWished(other, "", "", "")
