"""The facts behind a conflict: which of them a sentence needs, each with its source.

Pure. A conflict (`zoo_cli.packages.explain`) is a set of group names; here each group becomes the facts that a reader
has to know: how far the wheels reach, what a release refuses, which code a GPU needs. Nothing is a sentence yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.packages.grid import is_cuda, python_of, tag_key
from zoo_cli.packages.problem import USER_PAGE, Problem
from zoo_cli.packages.versions import parse_range, version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zoo_cli.catalog.entries import FrameworkRelease, OpsWheels


class Reason(NamedTuple):
    """One fact of a conflict: the group it belongs to and the values a sentence about it needs."""

    group: str
    values: tuple[tuple[str, str], ...]
    source: str = ""
    date: str = ""

    def get(self, name: str) -> str:
        """One value, "" if it is not there."""
        return dict(self.values).get(name, "")


def other_providers(problem: Problem) -> Iterator[str]:
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


def missing_versions(problem: Problem) -> Iterator[Reason]:
    """Ranges that no release satisfies at all."""
    for want in problem.request.wants:
        releases = [release.version for release in problem.facts.matrix.frameworks.get(want.project, ())]
        releases += [row.version for row in problem.facts.matrix.ops if row.project == want.project]
        releases += [build.version for build in problem.facts.matrix.torch if want.project == "torch"]
        if releases and not any(want.versions.admits(each) for each in releases):
            newest = max(releases, key=version)
            yield Reason("asked", (("project", want.project), ("range", want.versions.text), ("newest", newest)))


def reasons_of(problem: Problem, conflict: tuple[str, ...]) -> Iterator[Reason]:
    """The facts behind the groups of a conflict, the ones about what was asked first."""
    yield from _range_reasons(problem, conflict)
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


def _range_reasons(problem: Problem, conflict: tuple[str, ...]) -> Iterator[Reason]:
    """Ranges of what was asked for: about compiled ops, and about frameworks that were asked for outside of them."""
    refusable = _versions_in_question(problem, conflict)
    for group in ("asserted", "declared"):
        if group not in conflict:
            continue
        for release in _asked_frameworks(problem):
            for name, span in (release.asserted if group == "asserted" else release.declared).items():
                refuses = any(not parse_range(span).admits(each) for each in refusable.get(name, ()))
                if span and (refuses or _is_outside(problem, name, span)):
                    want = problem.request.want(release.project)
                    is_pinned = want is not None and want.versions.text.startswith("==")
                    about = (("project", release.project), ("version", release.version), ("needs", name))
                    values = (*about, ("range", span), ("choice", "" if is_pinned else " (the newest that will do)"))
                    yield Reason(group, values, release.origin.source, release.origin.date)


def _versions_in_question(problem: Problem, conflict: tuple[str, ...]) -> dict[str, set[str]]:
    """Import name -> versions of compiled ops that the rest of a conflict would leave: those a range may refuse."""
    if not set(conflict) - {"asserted", "declared"} and not any(
        problem.facts.projects[want.project].kind == "ops" for want in problem.request.wants
    ):
        return {}
    cells = problem.facts.grid.everything
    for group in conflict:
        cells &= problem.cell_groups.get(group, cells)
    asked = {problem.facts.projects[want.project].import_name: want.versions for want in problem.request.wants}
    found: dict[str, set[str]] = {}
    needed = {name for release in _asked_frameworks(problem) for name in (*release.declared, *release.asserted)}
    for name in needed & problem.facts.ops_names:
        rows = (row for row, bits in problem.facts.ops_rows(name) if bits & cells)
        official = {row.version for row in rows if row.provider in problem.facts.official}
        found[name] = {each for each in official if name not in asked or asked[name].admits(each)}
    return found


def _is_outside(problem: Problem, project: str, span: str) -> bool:
    """Whether a framework was asked for in no release that a range admits."""
    want = problem.request.want(project)
    releases = problem.facts.matrix.frameworks.get(project, ())
    asked = [each.version for each in releases if want and want.versions.admits(each.version)]
    return bool(asked) and not any(parse_range(span).admits(each) for each in asked)


def _asked_frameworks(problem: Problem) -> Iterator[FrameworkRelease]:
    """Of each framework that was asked for, the release that would be taken if all else fitted."""
    for want in problem.request.wants:
        releases = [r for r in problem.facts.matrix.frameworks.get(want.project, ()) if want.versions.admits(r.version)]
        stable = [r for r in releases if not version(r.version).is_prerelease] or releases
        if stable:
            yield max(stable, key=lambda release: version(release.version))


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
        others = [provider for provider in other_providers(problem) if _serves(problem, provider, spans)]
        if others:
            yield Reason("provider", (("providers", ", ".join(others)),))


def _demands(problem: Problem, conflict: tuple[str, ...]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Import name of ops -> ranges it must keep; and import name -> the project of that name that was asked for."""
    newest, projects = next(_asked_frameworks(problem), None), problem.facts.projects
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
