"""What is to be said beside a plan: walls that do not stop it, GPUs without proof, providers that are not upstream.

Pure. Each caution names the fact it rests on; what stops a stack is the solver's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.machine.cuda import Coverage
from zoo_cli.packages.grid import is_cuda, python_of
from zoo_cli.packages.problem import INSTALLED, OFFICIAL, USER_PAGE
from zoo_cli.packages.solve import SourceBuild
from zoo_cli.packages.versions import parse_range, version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zoo_cli.catalog.entries import OpsWheels, Wall
    from zoo_cli.packages.problem import Problem
    from zoo_cli.packages.solve import Stack


class Caution(NamedTuple):
    """Something the plan cannot promise; a fact, not a refusal."""

    # wall | not-proven | reported-failure | ptx-only | unsupported-build | provider | relaxed-assert | other-gpu
    code: str
    text: str  # the fact, in the words of the index; "" where the code says it
    values: tuple[tuple[str, str], ...] = ()
    source: str = ""
    is_minor: bool = False  # bears on an ordinary dependency in a few files, not on the stack itself


def chosen_versions(stack: Stack) -> dict[str, str]:
    """Project -> version of everything in a stack, for asking which walls stand."""
    versions = {project: release.version for project, release in stack.frameworks.items()}
    versions["torch"] = stack.cell.torch.version
    versions |= {ops.project: ops.version for ops in stack.ops}
    return versions


def standing_walls(
    walls: tuple[Wall, ...], versions: Mapping[str, str], platform: str, python: str
) -> Iterator[tuple[Wall, str]]:
    """Walls that a set of versions runs into on a platform and a Python ("3.10"), each with the project that does."""
    for wall in walls:
        if wall.platforms and platform not in wall.platforms:
            continue
        if wall.python and python and not parse_range(wall.python).admits(python):
            continue
        for project, span in wall.affects.items():
            if project in versions and parse_range(span).admits(versions[project]):
                yield wall, project
                break


def walls_of(problem: Problem, stack: Stack, versions: Mapping[str, str]) -> Iterator[tuple[Wall, str]]:
    """The walls that a stack runs into, with other versions beside it where those are given."""
    python = python_of(stack.cell.python).rstrip("t")
    return standing_walls(problem.facts.matrix.walls, versions, problem.machine.platform, python)


def cautions_of(problem: Problem, stack: Stack) -> Iterator[Caution]:
    """What is to be said beside the plan of a stack, without stopping it."""
    versions = chosen_versions(stack)
    for wall, project in walls_of(problem, stack, versions):
        torch_span = wall.needs.get("torch")
        avoided = torch_span is not None and parse_range(torch_span).admits(versions["torch"])
        if wall.severity != "breaks" and not avoided:
            values = (("project", f"{project} {versions[project]}"),)
            yield Caution("wall", wall.fact, values, wall.origin.source, "torch" not in wall.needs)
    for ops in stack.ops:
        yield from _ops_cautions(problem, ops, stack)
    yield from _relaxed_cautions(problem, stack)
    if stack.ops and not is_cuda(stack.cell.torch.variant):
        origin = problem.facts.projects[stack.ops[0].project].origin
        for gpu in problem.machine.other_gpus:
            if gpu.vendor in ("amd", "intel"):
                backend = "ROCm" if gpu.vendor == "amd" else "XPU"
                named = (("project", stack.ops[0].project), ("gpu", gpu.name), ("backend", backend))
                yield Caution("other-gpu", "", named, origin.source)


def _relaxed_cautions(problem: Problem, stack: Stack) -> Iterator[Caution]:
    """What a framework will refuse when it is imported, because its bounds were relaxed on request."""
    versions = chosen_versions(stack)
    imports = {problem.facts.projects[name].import_name: name for name in versions}
    for project, release in stack.frameworks.items():
        if project not in problem.request.relax_asserts:
            continue
        for needed, span in release.asserted.items():
            chosen = imports.get(needed, needed)
            if chosen in versions and not parse_range(span).admits(versions[chosen]):
                here = versions[chosen]
                values = (
                    ("project", f"{project} {release.version}"), ("package", release.import_name), ("range", span),
                    ("chosen", f"{chosen} {here}"), ("needed", needed), ("raised", _above(here)),
                )  # fmt: skip
                yield Caution("relaxed-assert", "", values, release.origin.source)


def _above(text: str) -> str:
    """The version after one, as an upper bound that just lets it in: 2.2.0 gives 2.2.1."""
    major, minor, micro = (*version(text).release, 0, 0)[:3]
    return f"{major}.{minor}.{micro + 1}"


def _ops_cautions(problem: Problem, ops: OpsWheels | SourceBuild, stack: Stack) -> Iterator[Caution]:
    if isinstance(ops, SourceBuild):
        values = (("project", ops.project), ("version", ops.version), ("torch", stack.cell.torch.version))
        yield Caution("unsupported-build", "", values)
        return
    if is_cuda(ops.variant) and problem.wants_gpu:
        yield from _gpu_cautions(problem, ops)
    if ops.provider not in (OFFICIAL, USER_PAGE, INSTALLED):
        yield Caution("provider", "", (("project", ops.project), ("provider", ops.provider)), ops.origin.source)


def _gpu_cautions(problem: Problem, ops: OpsWheels) -> Iterator[Caution]:
    found = problem.facts.drivers.coverage(ops.targets, ops.variant)
    gpus = [gpu for gpu in problem.machine.gpus if gpu.vendor == "nvidia"]
    for gpu, coverage in zip(gpus, found, strict=True):
        values = (
            ("project", f"{ops.project} {ops.version}"),
            ("gpu", gpu.name),
            ("target", gpu.capability.target if gpu.capability else "?"),
        )
        reports = [each for each in problem.facts.ops_reports(ops) if each.capability == str(gpu.capability)]
        for report in reports:
            if not report.works:
                yield Caution("reported-failure", report.cure or "", values, report.origin.source)
        if coverage is Coverage.UNKNOWN and not any(report.works for report in reports):
            yield Caution("not-proven", "", values)
        elif coverage is Coverage.PTX:
            yield Caution("ptx-only", "", values)
