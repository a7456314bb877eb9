"""The solver: the best stack for a request on a machine, or None; what is relaxed is an argument.

Pure. A stack is one Python, one torch build, at most one release of each framework and at most one set of compiled
ops, such that both ranges of every framework hold (declared and asserted), the ops were built for that very torch,
and driver and GPUs run it. The order of wishes is lexicographic: frameworks as asked and newest, then newest torch,
newest CUDA the driver runs natively, newest ops. A request that prefers what is stable puts the evidence for the wheels
before the newest torch.

Every constraint belongs to a named group. `search(problem, relaxed)` ignores the groups in `relaxed`; explanations
(`zoo_cli.packages.explain`) are found by asking again with other groups relaxed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.catalog.entries import EVIDENCE, OpsWheels
from zoo_cli.packages.problem import INSTALLED, OFFICIAL
from zoo_cli.packages.versions import Range, parse_range, version, without_upper

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zoo_cli.catalog.entries import FrameworkRelease
    from zoo_cli.packages.grid import Cell
    from zoo_cli.packages.problem import OpsRelease, Problem


class SourceBuild(NamedTuple):
    """Compiled ops to be built from their sdist for the chosen torch."""

    project: str
    import_name: str
    version: str


class Stack(NamedTuple):
    """One solution."""

    cell: Cell
    frameworks: Mapping[str, FrameworkRelease]  # by project
    ops: tuple[OpsWheels | SourceBuild, ...]  # at most one for each import package


Ops = OpsWheels | SourceBuild
Ranges = dict[str, tuple[Range, ...]]  # project, or import name of ops -> ranges that all must admit it


@dataclass
class _Search:
    """One run of the solver under a set of relaxed groups."""

    problem: Problem
    relaxed: frozenset[str]
    _cells: int = 0
    _known: dict[tuple[object, ...], tuple[Cell, tuple[Ops, ...]] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._cells = self.problem.facts.grid.everything
        for group, mask in self.problem.cell_groups.items():
            if group not in self.relaxed:
                self._cells &= mask

    def run(self) -> Stack | None:
        wants = self.problem.request.wants
        ranges: Ranges = {}
        for want in wants:
            _add(ranges, self._key(want.project), want.versions)
        for name, span in self._installed_ranges():
            _add(ranges, self._key(name), span)
        agenda = [want.project for want in wants if self._kind(want.project) == "framework"]
        for chosen, final in self._assign(agenda, {}, ranges):
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

    def _installed_ranges(self) -> Iterator[tuple[str, Range]]:
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
            yield from self._requirements(release) if release else ()

    def _assign(
        self, agenda: list[str], chosen: dict[str, FrameworkRelease], ranges: Ranges
    ) -> Iterator[tuple[dict[str, FrameworkRelease], Ranges]]:
        """Depth first over framework releases, best first; a branch without a cell left is not entered."""
        if not self._best(chosen, ranges):
            return
        if not agenda:
            yield dict(chosen), ranges
            return
        project, rest = agenda[0], agenda[1:]
        for release in self._releases(project, ranges.get(project, ())):
            more, following = dict(ranges), list(rest)
            for needed, span in self._requirements(release):
                name = self._provided(needed, release)
                _add(more, self._key(name), span)
                if self._kind(name) == "framework" and name not in (*following, *chosen, project):
                    following.append(name)
            now = {**chosen, project: release}
            if self._clash((*now, *following)):
                continue
            if all(span.admits(now[each].version) for each in now for span in more.get(each, ())):
                yield from self._assign(following, now, more)

    def _requirements(self, release: FrameworkRelease) -> Iterator[tuple[str, Range]]:
        """What a release needs, declared and asserted; a relaxed range still says that the project is needed."""
        opened = release.project in self.problem.request.relax_asserts
        for group, ranges in (("declared", release.declared), ("asserted", release.asserted)):
            for project, span in ranges.items():
                kept = without_upper(span) if opened and project in release.asserted else span
                yield project, parse_range("" if group in self.relaxed else kept)

    def _clash(self, projects: tuple[str, ...]) -> bool:
        """Whether two projects own one import package: installed together they overwrite each other's files."""
        known = self.problem.facts.projects
        return "same-import" not in self.relaxed and len({known[p].import_name for p in projects}) < len(projects)

    def _provided(self, needed: str, release: FrameworkRelease) -> str:
        """The project a requirement means: a fork's `mmengine` is the fork's own engine."""
        if release.provider == OFFICIAL or self._kind(needed) == "ops":
            return needed
        for name, project in self.problem.facts.projects.items():
            if project.import_name == needed and project.provider == release.provider:
                return name
        return needed

    def _releases(self, project: str, spans: tuple[Range, ...]) -> Iterator[FrameworkRelease]:
        """Releases of a project that every range admits: the installed one, stable ones, then others, newest first."""
        releases = self.problem.facts.matrix.frameworks.get(project, ())
        tells = any(release.declared or release.asserted for release in releases)
        is_pinned = any(span.text.startswith("==") for span in spans)
        allowed = [
            release
            for release in reversed(releases)  # rows ascend
            # A release that tells nothing where others of its project do has needs that nobody knows: only on demand.
            if not tells or is_pinned or release.declared or release.asserted
            if not release.is_yanked and all(span.admits(release.version) for span in spans)
        ]
        here = self._version_here(project)
        early = self.problem.request.prereleases

        def comes_later(release: FrameworkRelease) -> tuple[bool, bool]:
            return release.version != here, version(release.version).is_prerelease and not early

        yield from sorted(allowed, key=comes_later)

    def _version_here(self, project: str) -> str | None:
        """The installed version of a project that need not be replaced."""
        python = self.problem.machine.python
        here = python.distribution(project) if python and project not in self.problem.request.replace else None
        return here.version if here else None

    def _best(
        self, chosen: Mapping[str, FrameworkRelease], ranges: Mapping[str, tuple[Range, ...]]
    ) -> tuple[Cell, tuple[Ops, ...]] | None:
        """The best cell, with ops where something needs them, under the ranges collected so far."""
        cells = self._cells
        for release in chosen.values():
            if release.requires_python:
                cells &= self.problem.facts.python_cells(release.requires_python)
        if "wall" not in self.relaxed:
            for span in self._torch_walls(chosen):
                cells &= self.problem.facts.torch_cells(span)
        needed = {name: ranges[name] for name in ranges if name in self.problem.facts.ops_names}
        forks = frozenset(release.provider for release in chosen.values()) - {OFFICIAL}
        key = (cells, forks, tuple((name, frozenset(spans)) for name, spans in sorted(needed.items())))
        if key not in self._known:
            self._known[key] = self._with_ops(cells, needed, forks)
        return self._known[key]

    def _with_ops(
        self, cells: int, needed: Mapping[str, tuple[Range, ...]], forks: frozenset[str]
    ) -> tuple[Cell, tuple[Ops, ...]] | None:
        """The best of the cells that every import package with ops has wheels for, or may be compiled for."""
        offers: list[tuple[list[OpsRelease], SourceBuild | None]] = []
        for name, spans in needed.items():
            built = self.problem.is_built(name)
            source = self._source(name, spans, forks) if built or "wheels" in self.relaxed else None
            releases = [] if built else self._serving(name, spans, forks)
            if not source:
                served = 0
                for release in releases:
                    served |= release.cells
                cells &= served
            offers.append((releases, source))
        if self.problem.request.prefer == "stable":
            cells = self._best_known([releases for releases, source in offers if not source], cells)
        cell, bit = self.problem.facts.grid.best(cells), cells & -cells
        if not cell:
            return None
        return cell, tuple(self._choice(releases, bit, source) for releases, source in offers)

    def _choice(self, releases: list[OpsRelease], bit: int, source: SourceBuild | None) -> Ops:
        """Ops for the chosen cell: the installed ones, the newest wheel, or a build."""
        rows = [wheels for release in releases if release.cells & bit for wheels, cells in release.rows if cells & bit]
        if self.problem.request.prefer == "stable":
            tag = self.problem.facts.grid.of(bit)[0].python
            rows.sort(key=lambda wheels: EVIDENCE.index(wheels.python_tags[tag]))
        wheels = next((each for each in rows if each.provider == INSTALLED), rows[0] if rows else None)
        chosen = wheels or source
        assert chosen is not None
        return chosen

    def _best_known(self, offers: list[list[OpsRelease]], cells: int) -> int:
        """The cells for which every wheel has the best evidence there is: seen before listed before the rest."""
        grid = self.problem.facts.grid
        for count in range(1, len(EVIDENCE)):
            levels = EVIDENCE[:count]
            known = cells
            for releases in offers:
                rows = (row for release in releases for row in release.rows)
                known &= grid.known_by(rows, levels)
            if known:
                return known
        return cells

    def _serving(self, name: str, spans: tuple[Range, ...], forks: frozenset[str]) -> list[OpsRelease]:
        """The versions that every range admits."""
        releases = self.problem.ops_releases(
            name, forks, any_gpu="gpu" in self.relaxed, any_provider="provider" in self.relaxed
        )
        return [release for release in releases if all(span.admits(release.version) for span in spans)]

    def _source(self, name: str, spans: tuple[Range, ...], forks: frozenset[str]) -> SourceBuild | None:
        """The newest release of the ops that the ranges admit, to be compiled for the chosen torch."""
        problem = self.problem
        releases = [
            (project.name, release)
            for project in problem.facts.projects.values()
            if project.kind == "ops" and project.import_name == name and problem.may_serve(project.name, name)
            if problem.may_provide(project.provider, project.name, forks)
            for release in project.sdists
            if all(span.admits(release) for span in spans)
        ]
        if not releases:
            return None
        project_name, release = max(releases, key=lambda pair: version(pair[1]))
        return SourceBuild(project_name, name, release)

    def _torch_walls(self, chosen: Mapping[str, FrameworkRelease]) -> Iterator[Range]:
        for wall in self.problem.facts.matrix.walls:
            if wall.severity == "breaks" and "torch" in wall.needs and _is_affected(wall.affects, chosen):
                yield parse_range(wall.needs["torch"])


def _is_affected(affects: Mapping[str, str], chosen: Mapping[str, FrameworkRelease]) -> bool:
    return any(
        project in chosen and parse_range(span).admits(chosen[project].version) for project, span in affects.items()
    )


def _add(ranges: Ranges, name: str, span: Range) -> None:
    ranges[name] = (*ranges.get(name, ()), span)


def search(problem: Problem, relaxed: frozenset[str] = frozenset()) -> Stack | None:
    """The best stack with the groups in `relaxed` ignored; None if there is none."""
    return _Search(problem, relaxed).run()
