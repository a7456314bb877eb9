"""The solver: the best stack for a request on a machine, or None; what is relaxed is an argument.

Pure. A stack is one Python, one torch build, at most one release of each framework and at most one set of compiled
ops, such that both ranges of every framework hold (declared and asserted), the ops were built for that very torch,
and driver and GPUs run it. The order of wishes is lexicographic: frameworks as asked and newest, then newest torch,
newest CUDA the driver runs natively, newest ops.

Every constraint belongs to a named group. `search(problem, relaxed)` ignores the groups in `relaxed`; explanations
(`zoo_cli.packages.explain`) are found by asking again with other groups relaxed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zoo_cli.packages.grid import Cell, is_cuda, python_of
from zoo_cli.packages.problem import INSTALLED, OFFICIAL, USER_PAGE
from zoo_cli.packages.versions import Range, parse_range, version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zoo_cli.catalog.entries import FrameworkRelease, OpsWheels
    from zoo_cli.packages.problem import Problem


@dataclass(frozen=True, slots=True)
class SourceBuild:
    """Compiled ops to be built from their sdist for the chosen torch."""

    project: str
    import_name: str
    version: str


@dataclass(frozen=True, slots=True)
class Stack:
    """One solution."""

    cell: Cell
    frameworks: Mapping[str, FrameworkRelease]  # by project
    ops: OpsWheels | SourceBuild | None


@dataclass(frozen=True, slots=True)
class Demand:
    """One range that a project must satisfy, who says so, and in which group."""

    by: str  # "asked for", or "mmdet 3.3.0"
    group: str  # asked | declared | asserted | installed
    versions: Range


@dataclass
class _Search:
    """One run of the solver under a set of relaxed groups."""

    problem: Problem
    relaxed: frozenset[str]
    _cells: int = 0
    _known: dict[tuple[str, ...], tuple[Cell, OpsWheels | SourceBuild | None] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._cells = self.problem.facts.grid.everything
        for group, mask in self.problem.cell_groups.items():
            if group not in self.relaxed:
                self._cells &= mask

    def run(self) -> Stack | None:
        wants = self.problem.request.wants
        demands: dict[str, tuple[Demand, ...]] = {}
        for want in wants:
            demands[self._key(want.project)] = (
                *demands.get(self._key(want.project), ()),
                Demand("asked for", "asked", want.versions),
            )
        for name, demand in self._installed_demands():
            demands[name] = (*demands.get(name, ()), demand)
        agenda = [want.project for want in wants if self._kind(want.project) == "framework"]
        for chosen, final in self._assign(agenda, {}, demands):
            best = self._best(chosen, final)
            if best:
                return Stack(best[0], chosen, best[1])
        return None

    def _kind(self, project: str) -> str:
        found = self.problem.facts.projects.get(project)
        kind = found.kind if found else ""
        return "framework" if kind in ("framework", "engine") else kind

    def _key(self, project: str) -> str:
        """Demands on ops are collected by import name (`mmcv`), on all else by project."""
        found = self.problem.facts.projects.get(project)
        return found.import_name if found and found.kind == "ops" else project

    def _installed_demands(self) -> Iterator[tuple[str, Demand]]:
        """What frameworks that are installed and stay require of those that are asked for."""
        python = self.problem.machine.python
        if "installed" in self.relaxed or not python:
            return
        asked = {want.project for want in self.problem.request.wants} | self.problem.request.replace
        for project, releases in self.problem.facts.matrix.frameworks.items():
            here = python.distribution(project)
            if not here or project in asked:
                continue
            release = next((each for each in releases if each.version == here.version), None)
            for needed, span in _requirements(release, self.relaxed) if release else ():
                yield needed, Demand(f"{project} {here.version}, installed", "installed", span)

    def _assign(
        self,
        agenda: list[str],
        chosen: dict[str, FrameworkRelease],
        demands: dict[str, tuple[Demand, ...]],
    ) -> Iterator[tuple[dict[str, FrameworkRelease], dict[str, tuple[Demand, ...]]]]:
        """Depth first over framework releases, newest first; a branch without a cell left is not entered."""
        if not self._best(chosen, demands):
            return
        if not agenda:
            yield dict(chosen), demands
            return
        project, rest = agenda[0], agenda[1:]
        for release in self._releases(project, demands.get(project, ())):
            more = dict(demands)
            following = list(rest)
            for needed, span, group in _requirements_by_group(release, self.relaxed):
                name = self._provided(needed, release)
                key = self._key(name)
                more[key] = (*more.get(key, ()), Demand(f"{project} {release.version}", group, span))
                if self._kind(name) == "framework" and name not in following and name not in chosen and name != project:
                    following.append(name)
            now = {**chosen, project: release}
            if all(all(d.versions.admits(now[p].version) for d in more.get(p, ())) for p in now):
                yield from self._assign(following, now, more)

    def _provided(self, needed: str, release: FrameworkRelease) -> str:
        """The project a requirement means: a fork's `mmengine` is the fork's own engine."""
        if release.provider == OFFICIAL or self._kind(needed) == "ops":
            return needed
        for name, project in self.problem.facts.projects.items():
            if project.import_name == needed and project.provider == release.provider:
                return name
        return needed

    def _releases(self, project: str, demands: tuple[Demand, ...]) -> Iterator[FrameworkRelease]:
        """Releases of a project that every demand admits: stable ones first, each kind newest first."""
        releases = self.problem.facts.matrix.frameworks.get(project, ())
        tells = any(release.declared or release.asserted for release in releases)
        is_pinned = any(demand.versions.text.startswith("==") for demand in demands)
        allowed = [
            release
            for release in releases
            # A release that tells nothing where others of its project do has needs that nobody knows: only on demand.
            if not tells or is_pinned or release.declared or release.asserted
            if not release.is_yanked and all(demand.versions.admits(release.version) for demand in demands)
        ]
        ordered = allowed[::-1]  # rows ascend
        stable = [release for release in ordered if not version(release.version).is_prerelease]
        early = [release for release in ordered if version(release.version).is_prerelease]
        if self.problem.request.prereleases:
            stable, early = ordered, []
        yield from stable
        yield from early

    def _best(
        self, chosen: Mapping[str, FrameworkRelease], demands: Mapping[str, tuple[Demand, ...]]
    ) -> tuple[Cell, OpsWheels | SourceBuild | None] | None:
        """The best cell, with ops where something needs them, under the demands collected so far."""
        cells = self._cells
        for release in chosen.values():
            cells &= self._python_cells(release.requires_python)
        if "wall" not in self.relaxed:
            for span in self._torch_walls(chosen):
                cells &= self._torch_cells(span)
        needed = [name for name in demands if name in self.problem.facts.ops_names]
        providers = {release.provider for release in chosen.values()} - {OFFICIAL}
        key = (str(cells), *sorted(providers), *sorted(f"{n}{d.versions.text}" for n in needed for d in demands[n]))
        if key not in self._known:
            self._known[key] = self._with_ops(cells, needed, demands, providers)
        return self._known[key]

    def _with_ops(
        self, cells: int, needed: list[str], demands: Mapping[str, tuple[Demand, ...]], providers: set[str]
    ) -> tuple[Cell, OpsWheels | SourceBuild | None] | None:
        grid = self.problem.facts.grid
        if not needed:
            cell = grid.best(cells)
            return (cell, None) if cell else None
        name = needed[0]
        spans = [demand.versions for demand in demands[name]]
        if "wheels" in self.relaxed or any(self._builds(name, project) for project in self.problem.request.build):
            return self._from_source(cells, name, spans, providers)
        serving = [
            (wheels, bits & cells)
            for wheels, bits in self.problem.facts.ops_rows.get(name, ())
            if bits & cells and self._is_allowed(wheels, providers) and all(s.admits(wheels.version) for s in spans)
        ]
        union = 0
        for _wheels, bits in serving:
            union |= bits
        cell = grid.best(union)
        if not cell:
            return None
        bit = union & -union
        best = [wheels for wheels, bits in serving if bits & bit]
        return cell, next((wheels for wheels in best if wheels.provider == INSTALLED), best[0])

    def _builds(self, import_name: str, project: str) -> bool:
        found = self.problem.facts.projects.get(project)
        return bool(found and found.import_name == import_name)

    def _from_source(
        self, cells: int, name: str, spans: list[Range], providers: set[str]
    ) -> tuple[Cell, SourceBuild] | None:
        """The newest release of the ops that the ranges admit, to be compiled for the best cell."""
        cell = self.problem.facts.grid.best(cells)
        releases = [
            (project.name, release)
            for project in self.problem.facts.projects.values()
            if project.kind == "ops" and project.import_name == name and self._may_serve(project.name, name)
            if self._may_provide(project.provider, project.name, providers)
            for release in project.sdists
            if all(span.admits(release) for span in spans)
        ]
        if not cell or not releases:
            return None
        project_name, release = max(releases, key=lambda pair: version(pair[1]))
        return cell, SourceBuild(project_name, name, release)

    def _is_allowed(self, wheels: OpsWheels, providers: set[str]) -> bool:
        """Whether this project of this provider may be used, and its code runs on the GPUs as far as that is known."""
        problem = self.problem
        if not self._may_serve(wheels.project, wheels.import_name):
            return False
        if "provider" not in self.relaxed and not self._may_provide(wheels.provider, wheels.project, providers):
            return False
        if "gpu" in self.relaxed or not problem.wants_gpu or not is_cuda(wheels.variant):
            return True
        return problem.facts.runs_on_gpus(wheels)

    def _may_serve(self, project: str, import_name: str) -> bool:
        """An ops project asked for by name excludes the others that own the same import package."""
        asked = [w.project for w in self.problem.request.wants if self._builds(import_name, w.project)]
        return not asked or project in asked

    def _may_provide(self, provider: str, project: str, providers: set[str]) -> bool:
        """The project's own publisher, a page the user named, or a provider the user chose; forks for forks only."""
        request = self.problem.request
        if provider in (USER_PAGE, INSTALLED) or provider in request.providers or provider in providers:
            return True
        known = self.problem.facts.projects.get(project)
        is_home = known is not None and known.provider == provider
        return (
            is_home and not providers and (provider in self.problem.facts.official or request.want(project) is not None)
        )

    def _python_cells(self, requires: str | None) -> int:
        if not requires:
            return self.problem.facts.grid.everything
        span = parse_range(requires)
        return self.problem.facts.grid.mask_by_python(lambda tag: span.admits(python_of(tag).rstrip("t") + ".99"))

    def _torch_walls(self, chosen: Mapping[str, FrameworkRelease]) -> Iterator[Range]:
        for wall in self.problem.facts.matrix.walls:
            if wall.severity == "breaks" and "torch" in wall.needs and _is_affected(wall.affects, chosen):
                yield parse_range(wall.needs["torch"])

    def _torch_cells(self, span: Range) -> int:
        return self.problem.facts.grid.mask_by_build(lambda build: span.admits(build.version))


def _is_affected(affects: Mapping[str, str], chosen: Mapping[str, FrameworkRelease]) -> bool:
    return any(
        project in chosen and parse_range(span).admits(chosen[project].version) for project, span in affects.items()
    )


def _requirements_by_group(release: FrameworkRelease, relaxed: frozenset[str]) -> Iterator[tuple[str, Range, str]]:
    for group, ranges in (("declared", release.declared), ("asserted", release.asserted)):
        for project, span in ranges.items():
            # A relaxed range still says that the project is needed.
            yield project, parse_range("" if group in relaxed else span), group


def _requirements(release: FrameworkRelease, relaxed: frozenset[str]) -> Iterator[tuple[str, Range]]:
    for project, span, _group in _requirements_by_group(release, relaxed):
        yield project, span


def search(problem: Problem, relaxed: frozenset[str] = frozenset()) -> Stack | None:
    """The best stack with the groups in `relaxed` ignored; None if there is none."""
    return _Search(problem, relaxed).run()
