"""Why nothing fits, and what would: a minimal conflict as reasons, cheapest corrections as ways out.

Pure. A conflict is found by deletion: a group is dropped when the rest is still unsatisfiable, so every group that
stays is needed (a minimal unsatisfiable subset over named groups). Ways out are sets of corrections in order of
cost; each is solved again, so each names the concrete stack it yields. Nothing is written as a sentence here.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

from zoo_cli.catalog.entries import EVIDENCE, OpsWheels
from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.packages.grid import is_cuda, python_of, tag_key
from zoo_cli.packages.problem import USER_PAGE, Problem
from zoo_cli.packages.solve import Stack, search
from zoo_cli.packages.versions import parse_range, version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zoo_cli.catalog.entries import FrameworkRelease, Project
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


@dataclass(frozen=True, slots=True)
class Reason:
    """One fact of a conflict: the group it belongs to and the values a sentence about it needs."""

    group: str
    values: tuple[tuple[str, str], ...]
    source: str = ""
    date: str = ""

    def get(self, name: str) -> str:
        """One value, "" if it is not there."""
        return dict(self.values).get(name, "")


@dataclass(frozen=True, slots=True)
class Way:
    """One way out: the corrections, the stack they yield, and the options that ask for them."""

    corrections: tuple[str, ...]
    cost: int
    stack: Stack
    options: tuple[str, ...]
    needs_driver: str | None = None  # lowest driver, when the driver must be updated


@dataclass(eq=False)
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


def explain(problem: Problem, limit: int = 3) -> NoSolution:
    """The explanation of a problem that has no solution, with at most `limit` ways out."""
    words = tuple(str(want) for want in problem.request.wants)
    missing = tuple(_missing_versions(problem))
    if missing:
        return NoSolution(words, ("asked",), missing, (), problem.facts.matrix.index_date)
    if not problem.facts.grid.cells:
        platform = Reason("platform", (("platform", problem.machine.platform),))
        return NoSolution(words, ("platform",), (platform,), (), problem.facts.matrix.index_date)
    conflict = minimal_conflict(problem)
    reasons = tuple(_reasons(problem, conflict))
    return NoSolution(words, conflict, reasons, tuple(ways_out(problem, limit)), problem.facts.matrix.index_date)


def minimal_conflict(problem: Problem) -> tuple[str, ...]:
    """Groups that cannot hold together, none of which can be left out."""
    groups = [group for group in _DELETION_ORDER if group in problem.groups]
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


def _actions(problem: Problem) -> Iterator[tuple[str, int]]:
    """Corrections that this problem could take, with their costs."""
    takes = {
        "provider": bool(list(_providers(problem))),
        "device": problem.wants_gpu and not problem.request.cuda,
        "wheels": not problem.request.build,
        "installed": True,
    }
    for name, cost in _COSTS.items():
        if takes.get(name, name in problem.cell_groups):
            yield name, cost


def _providers(problem: Problem) -> Iterator[str]:
    """Other providers that have compiled ops for somebody who was asked for."""
    facts, request = problem.facts, problem.request
    needed = {
        name
        for want in request.wants
        for release in facts.matrix.frameworks.get(want.project, ())
        for name in (*release.declared, *release.asserted)
    } | {facts.projects[want.project].import_name for want in request.wants}
    found = {row.provider for name in needed for row, _bits in facts.ops_rows(name)}
    yield from sorted(found - facts.official - {USER_PAGE} - request.providers)


_APART = ({"device", "driver"}, {"device", "cuda"}, {"provider", "wheels"})  # corrections that undo each other


def _compatible(names: tuple[str, ...], other: str) -> bool:
    return not any(pair <= {*names, other} for pair in _APART)


def _try(problem: Problem, names: tuple[str, ...], cost: int) -> Way | None:
    """The way that a set of corrections opens; with another provider in it, the one of the best provider."""
    if "provider" not in names:
        return _solve_with(problem, names, None, cost)
    ways = [_solve_with(problem, names, provider, cost) for provider in _providers(problem)]
    return min((way for way in ways if way), key=_provider_rank, default=None)


def _solve_with(problem: Problem, names: tuple[str, ...], provider: str | None, cost: int) -> Way | None:
    request = problem.request
    if "device" in names:
        request = replace(request, device="cpu")
    if provider:
        request = replace(
            translate(request, problem.facts.projects, provider), providers=request.providers | {provider}
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
    wants = []
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
        wants.append(replace(want, project=own, versions=parse_range("")) if own else want)
    return replace(request, wants=tuple(wants))


def _missing_versions(problem: Problem) -> Iterator[Reason]:
    """Ranges that no release satisfies at all."""
    for want in problem.request.wants:
        releases = [release.version for release in problem.facts.matrix.frameworks.get(want.project, ())]
        releases += [row.version for row in problem.facts.matrix.ops if row.project == want.project]
        releases += [build.version for build in problem.facts.matrix.torch if want.project == "torch"]
        if releases and not any(want.versions.admits(each) for each in releases):
            newest = max(releases, key=version)
            yield Reason("asked", (("project", want.project), ("range", want.versions.text), ("newest", newest)))


def _reasons(problem: Problem, conflict: tuple[str, ...]) -> Iterator[Reason]:
    """The facts behind the groups of a conflict, the ones about what was asked first."""
    newest = _newest_framework(problem)
    for group in ("asserted", "declared"):
        if group in conflict and newest:
            ranges = newest.asserted if group == "asserted" else newest.declared
            for name, span in ranges.items():
                if span and name in {row.import_name for row in problem.facts.matrix.ops}:
                    yield Reason(
                        group,
                        (("project", newest.project), ("version", newest.version), ("needs", name), ("range", span)),
                        newest.origin.source,
                        newest.origin.date,
                    )
    if "same-import" in conflict:
        yield from _rivals(problem)
    machine, python = problem.machine, problem.machine.python
    if "gpu" in conflict or ("device" in conflict and "wheels" in conflict):
        yield from _gpu_reasons(problem)
    if "driver" in conflict and machine.driver:
        yield Reason("driver", (("driver", machine.driver), *_driver_range(problem)))
    if "keep-torch" in conflict and problem.keep_torch:
        yield Reason("keep-torch", (("version", problem.keep_torch[0]), ("variant", problem.keep_torch[1])))
    if "wheels" in conflict or "provider" in conflict:
        yield from _wheel_reasons(problem, conflict)
    if "python" in conflict and python:
        yield Reason("python", (("version", python.version),))
    if "libc" in conflict and machine.libc:
        yield Reason("libc", (("kind", machine.libc.kind), ("version", machine.libc.version)))
    for group in ("torch", "cuda"):
        if group in conflict:
            want = problem.request.want("torch")
            yield Reason(
                group, (("asked", want.versions.text if want and group == "torch" else problem.request.cuda or ""),)
            )
    if "installed" in conflict and python:
        here = [f"{p} {d.version}" for p in problem.facts.matrix.frameworks if (d := python.distribution(p))]
        yield Reason("installed", (("projects", ", ".join(sorted(here))),))


def _rivals(problem: Problem) -> Iterator[Reason]:
    """Two projects with one import package, among what was asked for and what its newest releases need."""
    projects = problem.facts.projects
    owners: dict[str, str] = {}
    for want in problem.request.wants:
        releases = problem.facts.matrix.frameworks.get(want.project, ())
        newest = max(releases, key=lambda release: version(release.version), default=None)
        for name in (want.project, *(newest.declared if newest else ()), *(newest.asserted if newest else ())):
            project = projects.get(name)
            if project and project.kind in ("framework", "engine"):
                other = owners.setdefault(project.import_name, name)
                if other != name:
                    yield Reason("same-import", (("one", other), ("other", name), ("package", project.import_name)))
                    return


def _newest_framework(problem: Problem) -> FrameworkRelease | None:
    """The release that would be taken if all else fitted."""
    for want in problem.request.wants:
        releases = [r for r in problem.facts.matrix.frameworks.get(want.project, ()) if want.versions.admits(r.version)]
        stable = [r for r in releases if not version(r.version).is_prerelease] or releases
        if stable:
            return max(stable, key=lambda release: version(release.version))
    return None


def _gpu_reasons(problem: Problem) -> Iterator[Reason]:
    machine = problem.machine
    cells = problem.facts.grid.of(problem.cell_groups.get("gpu", 0) & problem.cell_groups.get("device", 0))
    for gpu in machine.gpus:
        if gpu.vendor != "nvidia" or gpu.capability is None:
            continue
        report = next((each for each in map(problem.facts.torch_report, problem.facts.matrix.torch) if each), None)
        if report and report.capability == str(gpu.capability):
            values = (("gpu", gpu.name), ("cure", report.cure or ""))
            yield Reason("gpu-report", values, report.origin.source, report.origin.date)
            continue
        oldest = min(cells, key=lambda cell: (version(cell.torch.version), cell.torch.variant), default=None)
        found = [("gpu", gpu.name), ("capability", str(gpu.capability)), ("target", gpu.capability.target)]
        if oldest:
            found.append(("oldest", f"{oldest.torch.version}+{oldest.torch.variant}"))
        origin = oldest.torch.targets_origin if oldest else None
        yield Reason("gpu", tuple(found), origin.source if origin else "", origin.date if origin else "")


def _driver_range(problem: Problem) -> Iterator[tuple[str, str]]:
    """Newest CUDA the driver runs, and the driver that the next one needs."""
    allowed = {
        cell.torch.variant
        for cell in problem.facts.grid.of(problem.cell_groups.get("driver", 0))
        if is_cuda(cell.torch.variant)
    }
    refused = {cell.torch.variant for cell in problem.facts.grid.cells if is_cuda(cell.torch.variant)} - allowed
    if allowed:
        yield "runs", max(allowed, key=_cuda_key)
    for variant in sorted(refused, key=_cuda_key)[:1]:
        yield "next", variant
        yield "floor", problem.facts.drivers.floor(variant) or "?"


def _cuda_key(variant: str) -> int:
    return int(variant.removeprefix("cu") or 0)


def _wheel_reasons(problem: Problem, conflict: tuple[str, ...]) -> Iterator[Reason]:
    """How far the publisher's own wheels reach, inside the ranges that belong to the conflict; who else has some."""
    spans, asked = _demands(problem, conflict)
    for name, texts in spans.items():
        kind = [
            row
            for row, _bits in problem.facts.ops_rows(name)
            if row.project == asked.get(name, row.project) and row.provider in problem.facts.official
            if is_cuda(row.variant) == problem.wants_gpu
        ]
        rows = [row for row in kind if all(parse_range(text).admits(row.version) for text in texts)]
        if rows:
            yield _reach(asked.get(name, name), rows)
        elif not kind:
            device = "CUDA" if problem.wants_gpu else "CPU"
            where = (("project", asked.get(name, name)), ("platform", problem.machine.platform), ("device", device))
            yield Reason("no-wheels", where, *_project_origin(problem, asked.get(name, name)))
    if "provider" in conflict:
        others = [provider for provider in _providers(problem) if _serves(problem, provider, spans)]
        if others:
            yield Reason("provider", (("providers", ", ".join(others)),))


def _demands(problem: Problem, conflict: tuple[str, ...]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Import name of ops -> ranges it must keep; and import name -> the project of that name that was asked for."""
    newest, projects = _newest_framework(problem), problem.facts.projects
    spans: dict[str, list[str]] = {}
    asked: dict[str, str] = {}  # mmcv or mmcv-full
    for want in problem.request.wants:
        project = projects.get(want.project)
        if project and project.kind == "ops":
            spans.setdefault(project.import_name, []).append(want.versions.text)
            asked[project.import_name] = project.name
    for group, ranges in (("asserted", newest.asserted), ("declared", newest.declared)) if newest else ():
        for name, span in ranges.items():
            project = projects.get(name)
            if project and project.kind == "ops":
                spans.setdefault(project.import_name, []).append(span if group in conflict else "")
    return spans, asked


def _serves(problem: Problem, provider: str, spans: Mapping[str, list[str]]) -> bool:
    """Whether a provider has wheels for a cell that the machine runs, whatever its Python."""
    cells = problem.facts.grid.everything
    for group in ("libc", "device", "driver", "gpu"):
        cells &= problem.cell_groups.get(group, cells)
    facts = problem.facts
    rows = (row for name in spans for row in facts.ops_rows(name) if row[0].provider == provider)
    return any(bits & cells and (not problem.wants_gpu or facts.runs_on_gpus(row)) for row, bits in rows)


def _project_origin(problem: Problem, project: str) -> tuple[str, str]:
    """Where it was read which wheels a project has: any of its rows, for the platform or not."""
    known = problem.facts.projects.get(project)
    return (known.origin.source, known.origin.date) if known else ("", "")


def _reach(name: str, rows: list[OpsWheels]) -> Reason:
    torch = max((row.torch for row in rows), key=version)
    tags = max((tag for row in rows for tag in row.python_tags), key=tag_key)
    cuda = max((row.variant for row in rows if is_cuda(row.variant)), key=_cuda_key, default="cpu")
    at_end = max((row.version for row in rows if row.torch == torch), key=version)
    origin = next(row.origin for row in rows if row.torch == torch)
    values = (("project", name), ("torch", torch), ("cuda", cuda), ("python", python_of(tags)), ("version", at_end))
    return Reason("wheels", values, origin.source, origin.date)
