"""The solver's answers once more, by a SAT solver: what `zoo_cli.packages.solve` and `.explain` are proven against.

The problem is written as clauses from the rows of the index, without the grid, its masks and its ranges: versions are
compared by `packaging.specifiers`, drivers and code targets here. A constraint group is one literal, so relaxing a
group is leaving out an assumption. The optimum is found by asking for the best value of one wish after the other.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, cached_property
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version
from pysat.solvers import Solver

from zoo_cli.packages.explain import translate

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from zoo_cli.catalog.entries import FrameworkRelease, GpuReport, OpsWheels, TorchBuild
    from zoo_cli.machine.facts import Capability, Gpu
    from zoo_cli.packages.problem import Problem

OFFICIAL = "openmmlab"
ALWAYS = ("asserted", "declared", "installed", "wheels", "provider", "wall", "same-import")
COSTS = {
    "torch": 1, "cuda": 1, "keep-torch": 1, "installed": 2, "python": 3, "device": 3, "provider": 4, "wheels": 5,
    "driver": 6,
}  # fmt: skip
APART = ({"device", "driver"}, {"device", "cuda"}, {"provider", "wheels"})


class Best(NamedTuple):
    """An optimum, in values that can be compared with a stack's."""

    frameworks: Mapping[str, str]
    torch: str  # "2.1.2+cu121"
    python: str  # cp310
    ops: Mapping[str, str]  # import name -> version, "build" before it where it is compiled


@cache
def admits(span: str, version: str) -> bool:
    """Whether a specifier admits a version, pre-releases included, as import-time assertions compare."""
    if span in ("", "any", "*"):
        return True
    try:
        return SpecifierSet(span).contains(version, prereleases=True)
    except InvalidVersion:
        return False


@cache
def _version(text: str) -> Version:
    return Version(text)


def numbers(driver: str) -> tuple[int, ...]:
    """A driver version as numbers, zeros at the end left out."""
    found = [int(part) for part in driver.split(".") if part.isdigit()]
    while found and not found[-1]:
        found.pop()
    return tuple(found)


def has_code(targets: Sequence[str] | None, gpu: Capability, ptx: bool) -> bool:
    """Whether published targets serve a GPU: by machine code, or by PTX where that counts; unknown ones may."""
    if targets is None:
        return True
    for target in targets:
        major, minor = map(int, target.partition("+")[0].split("."))
        if major == gpu.major and minor <= gpu.minor:
            return True
        if ptx and target.endswith("+PTX") and (major, minor) <= (gpu.major, gpu.minor):
            return True
    return False


def needs_of(release: FrameworkRelease, relaxed: Collection[str] = ()) -> Iterator[tuple[str, str, str]]:
    """(group, project, range) of everything a release asks for; what a relaxed one asserts has no upper bound."""
    for group, ranges in (("declared", release.declared), ("asserted", release.asserted)):
        for project, span in ranges.items():
            if release.project in relaxed and project in release.asserted:
                clauses = [str(clause) for clause in SpecifierSet(span) if clause.operator in (">=", ">", "!=")]
                yield group, project, ",".join(clauses)
            else:
                yield group, project, span


class Oracle:
    """One problem as clauses, solved under assumptions."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.facts, self.request = problem, problem.facts, problem.request
        self.machine, self.matrix, self.projects = problem.machine, problem.facts.matrix, problem.facts.projects
        self._names: dict[object, int] = {}
        self._strangers: set[str] = set()  # providers that are let in only when they are chosen
        self._others: dict[str, Oracle] = {}  # by the provider they take in
        self._sat = Solver(name="cadical153")
        self.builds = list(self.matrix.torch)
        self.tags = sorted({tag for build in self.builds for tag in build.python_tags})
        self.releases = self._reachable()
        self._write_cells()
        self._write_frameworks()
        self._write_ops()

    def close(self) -> None:
        """Frees the SAT solver."""
        self._sat.delete()

    # -- questions ---------------------------------------------------------------------------------------------------

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Every group of the problem."""
        return (*self._cell_groups, *ALWAYS)

    def holds(self, groups: Sequence[str], more: Sequence[int] = (), provider: str = "") -> bool:
        """Whether something satisfies these groups and literals, with one more provider let in."""
        on = [self._var("group", group) for group in groups]
        shut = [-self._var("let in", each) for each in self._strangers if each != provider]
        return bool(self._sat.solve(assumptions=[*on, *shut, *more]))

    def is_solvable(self, relaxed: Sequence[str] = (), provider: str = "") -> bool:
        """Whether a stack is left with some groups ignored and one more provider let in."""
        return self.holds([group for group in self.groups if group not in relaxed], (), provider)

    def best(self) -> Best | None:
        """The optimum, one wish after the other."""
        if not self.holds(self.groups):
            return None
        fixed: list[int] = []
        frameworks: dict[str, str] = {}
        agenda = [w.project for w in self.request.wants if w.project in self.releases]
        while agenda:
            project = agenda.pop(0)
            choice = next(
                release
                for release in self._in_order(project)
                if self.holds(self.groups, [*fixed, self._var("framework", project, release.version)])
            )
            fixed.append(self._var("framework", project, choice.version))
            frameworks[project] = choice.version
            for _group, needed, _span in needs_of(choice):
                name = self._provided(needed, choice)
                if name in self.releases and name not in frameworks and name not in agenda:
                    agenda.append(name)
        build, tag = self._best_cell(fixed)
        fixed += [self._var("build", id(build)), self._var("tag", tag)]
        ops = dict(self._best_ops(fixed, frameworks))
        return Best(frameworks, f"{build.version}+{build.variant}", tag, ops)

    def cheapest(self) -> dict[frozenset[str], int]:
        """Every minimal set of at most three corrections that opens a way, with its cost."""
        actions = list(self._actions())
        sets = [set(each) for count in (1, 2, 3) for each in combinations(actions, count)]
        sets = [each for each in sets if not any(pair <= each for pair in APART)]
        found: dict[frozenset[str], int] = {}
        for each in sorted(sets, key=len):
            if not any(done <= each for done in found) and self._opens(each):
                found[frozenset(each)] = sum(COSTS[name] for name in each)
        return found

    # -- corrections -------------------------------------------------------------------------------------------------

    def _actions(self) -> Iterator[str]:
        for name in COSTS:
            if name == "provider":
                taken = bool(self._providers)
            elif name == "device":
                taken = self._wants_gpu and not self.request.cuda
            elif name == "wheels":
                taken = not self.request.build
            else:
                taken = name == "installed" or name in self._cell_groups
            if taken:
                yield name

    @cached_property
    def _providers(self) -> list[str]:
        imports = {self.projects[want.project].import_name for want in self.request.wants}
        for want in self.request.wants:
            for release in self.matrix.frameworks.get(want.project, ()):
                imports |= {*release.declared, *release.asserted}
        placed = {(b.version, b.variant) for b in self.builds} | {(_minor(b.version), b.variant) for b in self.builds}
        found = {
            row.provider
            for row in self.matrix.ops
            if row.import_name in imports
            and (row.torch, row.variant) in placed
            and any(t in self.tags for t in row.python_tags)
        }
        return sorted(found - self.facts.official - self.request.providers)

    def _opens(self, corrections: set[str]) -> bool:
        relaxed = sorted(corrections - {"device", "provider"})
        oracle = self._on_cpu if "device" in corrections else self
        if "provider" not in corrections:
            return oracle.is_solvable(relaxed)
        return any(oracle._with_provider(provider, relaxed) for provider in self._providers)

    def _with_provider(self, provider: str, relaxed: list[str]) -> bool:
        """With one more provider; where it has projects of its own under the same names, in these names."""
        request = translate(self.request, self.projects, provider)
        if request == self.request:
            return self.is_solvable(relaxed, provider)
        if provider not in self._others:
            request = request._replace(providers=request.providers | {provider})
            self._others[provider] = Oracle(replace(self.problem, request=request))
        return self._others[provider].is_solvable(relaxed)

    @cached_property
    def _on_cpu(self) -> Oracle:
        return Oracle(replace(self.problem, request=self.request._replace(device="cpu")))

    # -- wishes ------------------------------------------------------------------------------------------------------

    def _in_order(self, project: str) -> list[FrameworkRelease]:
        python = self.machine.python
        here = python.distribution(project) if python and project not in self.request.replace else None

        def wish(release: FrameworkRelease) -> tuple[bool, bool, Version]:
            is_here = here is not None and release.version == here.version
            stable = self.request.prereleases or not _version(release.version).is_prerelease
            return is_here, stable, _version(release.version)

        return sorted(self.releases[project], key=wish, reverse=True)

    def _best_cell(self, fixed: Sequence[int]) -> tuple[TorchBuild, str]:
        def wish(build: TorchBuild) -> tuple[Version, bool, int]:
            return _version(build.version), self._driver_reaches(build.variant, native=True), _cuda(build.variant)

        ordered = sorted(self.builds, key=wish, reverse=True)
        build = next(b for b in ordered if self.holds(self.groups, [*fixed, self._var("build", id(b))]))
        own = self.machine.python.tag if self.machine.python else ""
        tags = sorted(self.tags, key=lambda tag: (tag == own, _tag(tag)), reverse=True)
        here = [*fixed, self._var("build", id(build))]
        return build, next(tag for tag in tags if self.holds(self.groups, [*here, self._var("tag", tag)]))

    def _best_ops(self, fixed: list[int], frameworks: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        needed = [self.projects[w.project].import_name for w in self.request.wants if self._is_ops(w.project)]
        for project, release in frameworks.items():
            row = next(each for each in self.releases[project] if each.version == release)
            needed += [self.projects[name].import_name for _g, name, _s in needs_of(row) if self._is_ops(name)]
        for name in dict.fromkeys([*needed, *self._installed_imports()]):
            choices = sorted(
                ((is_wheel, _version(version), version) for is_wheel, version in self._ops_versions[name]), reverse=True
            )
            for is_wheel, _parsed, version in choices:
                literal = self._var("wheel" if is_wheel else "source", name, version)
                if self.holds(self.groups, [*fixed, literal]):
                    fixed.append(literal)
                    yield name, version if is_wheel else f"build {version}"
                    break

    # -- clauses -----------------------------------------------------------------------------------------------------

    def _var(self, *name: object) -> int:
        return self._names.setdefault(name, len(self._names) + 1)

    def _say(self, *literals: int) -> None:
        self._sat.add_clause(literals)

    def _only_one(self, literals: Sequence[int]) -> None:
        """At most one of them, by a chain of helper variables: one of the earlier literals holds."""
        earlier = None
        for literal in literals:
            seen = self._var("one", len(self._names))
            self._say(-literal, seen)
            if earlier is not None:
                self._say(-earlier, seen)
                self._say(-earlier, -literal)
            earlier = seen

    def _write_cells(self) -> None:
        builds = [self._var("build", id(build)) for build in self.builds]
        tags = [self._var("tag", tag) for tag in self.tags]
        self._say(*builds)
        self._say(*tags)
        self._only_one(builds)
        self._only_one(tags)
        for build in self.builds:
            self._say(-self._var("build", id(build)), *(self._var("tag", tag) for tag in build.python_tags))
        for group, (kind, kept) in self._cell_groups.items():
            for each in self.builds if kind == "build" else self.tags:
                key = id(each) if kind == "build" else each
                if key not in kept:
                    self._say(-self._var("group", group), -self._var(kind, key))

    @cached_property
    def _wants_gpu(self) -> bool:
        request = self.request
        if request.cuda or request.device != "auto":
            return request.device == "cuda" or (request.cuda or "").startswith("cu")
        return any(gpu.vendor == "nvidia" for gpu in self.machine.gpus)

    @cached_property
    def _cell_groups(self) -> dict[str, tuple[str, set[object]]]:
        """Group -> what it leaves: builds (by identity) or interpreter tags."""
        machine, request = self.machine, self.request
        found: dict[str, tuple[str, set[object]]] = {}

        def keep(group: str, builds: list[TorchBuild]) -> None:
            found[group] = ("build", {id(build) for build in builds})

        if machine.python:
            found["python"] = ("tag", {machine.python.tag})
        if machine.libc and machine.os == "linux":
            keep("libc", [b for b in self.builds if self._libc_allows(b.glibc)])
        keep("device", [b for b in self.builds if b.variant.startswith("cu") == self._wants_gpu])
        if self._wants_gpu:
            keep("driver", [b for b in self.builds if self._driver_reaches(b.variant, native=False)])
            keep("gpu", [b for b in self.builds if self._torch_runs(b)])
        if request.cuda:
            keep("cuda", [b for b in self.builds if b.variant == request.cuda])
        if any(want.project in ("torch", "torchvision", "torchaudio") for want in request.wants):
            keep("torch", [b for b in self.builds if self._is_asked(b)])
        if self.problem.keep_torch:
            keep("keep-torch", [b for b in self.builds if (b.version, b.variant) == self.problem.keep_torch])
        return found

    def _libc_allows(self, glibc: str | None) -> bool:
        libc = self.machine.libc
        return glibc is None or libc is None or (libc.kind == "glibc" and _version(libc.version) >= _version(glibc))

    def _driver_reaches(self, variant: str, *, native: bool) -> bool:
        driver = self.machine.driver
        if driver is None or not variant.startswith("cu"):
            return True
        cuda = f"{variant[2:-1]}.{variant[-1]}"
        rows = [t for t in self.matrix.toolkits if t.cuda == cuda or t.cuda.startswith(cuda + ".")]
        if not rows:
            return False
        row = min(rows, key=lambda toolkit: _version(toolkit.cuda))
        system = "windows" if self.machine.os == "windows" else "linux"
        bound = getattr(row, f"{'native' if native else 'floor'}_{system}")
        return bound is not None and numbers(driver) >= numbers(bound)

    def _torch_runs(self, build: TorchBuild) -> bool:
        if not build.variant.startswith("cu"):
            return True
        targets = build.targets if build.targets is not None else self._guess(build)
        if self._failed(build):
            return (build.version, build.variant) == self.problem.keep_torch
        return all(has_code(targets, gpu.capability, ptx=False) for gpu in self._gpus if gpu.capability)

    def _failed(self, build: TorchBuild) -> bool:
        """Whether published builds of torch are reported not to serve a GPU of this machine."""
        return bool(build.index_url) and any(
            admits(report.versions, build.version) for report in self._failures if report.project == "torch"
        )

    @cached_property
    def _failures(self) -> list[GpuReport]:
        here = {str(gpu.capability) for gpu in self.machine.gpus}
        return [
            report
            for report in self.matrix.gpu_reports
            if not report.works and report.capability in here and report.platform in (None, self.machine.platform)
        ]

    @property
    def _gpus(self) -> list[Gpu]:
        return [gpu for gpu in self.machine.gpus if gpu.vendor == "nvidia"]

    def _guess(self, build: TorchBuild) -> tuple[str, ...] | None:
        known = [b for b in self.builds if b.variant == build.variant and b.targets]
        if not known:
            return None
        earlier = [b for b in known if _version(b.version) <= _version(build.version)]
        return max(earlier, key=lambda b: _version(b.version)).targets if earlier else known[0].targets

    def _is_asked(self, build: TorchBuild) -> bool:
        released = {"torch": build.version, "torchvision": build.torchvision, "torchaudio": build.torchaudio}
        for want in self.request.wants:
            if want.project in released:
                version = released[want.project]
                if not version or not admits(want.versions.text, version):
                    return False
        return True

    # -- frameworks --------------------------------------------------------------------------------------------------

    def _is_ops(self, project: str) -> bool:
        return project in self.projects and self.projects[project].kind == "ops"

    def _is_framework(self, project: str) -> bool:
        return project in self.projects and self.projects[project].kind in ("framework", "engine")

    def _provided(self, needed: str, release: FrameworkRelease) -> str:
        if release.provider == OFFICIAL or self._is_ops(needed):
            return needed
        own = (p.name for p in self.projects.values() if p.import_name == needed and p.provider == release.provider)
        return next(own, needed)

    def _reachable(self) -> dict[str, list[FrameworkRelease]]:
        found: dict[str, list[FrameworkRelease]] = {}
        agenda = [want.project for want in self.request.wants if self._is_framework(want.project)]
        while agenda:
            project = agenda.pop()
            if project in found:
                continue
            rows = self.matrix.frameworks.get(project, ())
            found[project] = list(rows)
            agenda += [
                name
                for release in rows
                for _group, needed, _span in needs_of(release)
                if self._is_framework(name := self._provided(needed, release))
            ]
        return found

    def _write_frameworks(self) -> None:
        wanted = {want.project for want in self.request.wants}
        asking: dict[str, list[int]] = {project: [] for project in self.releases}
        owners: dict[str, list[str]] = {}
        for project, releases in self.releases.items():
            owners.setdefault(self.projects[project].import_name, []).append(project)
            mine = [self._var("framework", project, release.version) for release in releases]
            self._only_one(mine)
            for literal in mine:
                self._say(-literal, self._var("chosen", project))
            self._say(-self._var("chosen", project), *mine)
            self._refuse(project, releases)
            for release, literal in zip(releases, mine, strict=True):
                self._write_needs(release, literal, asking)
        for project in self.releases:
            if project in wanted:
                self._say(self._var("chosen", project))
            else:  # nothing is chosen that nobody needs
                self._say(-self._var("chosen", project), *asking[project])
        for projects in owners.values():
            for one, other in combinations(projects, 2):
                rivals = (-self._var("chosen", one), -self._var("chosen", other))
                self._say(-self._var("group", "same-import"), *rivals)
        for group, project, span in self._installed_needs():
            self._bound("installed", group, None, project, span)
        for want in self.request.wants:
            self._bound(None, None, None, want.project, want.versions.text)

    def _refuse(self, project: str, releases: Sequence[FrameworkRelease]) -> None:
        """Releases that are never taken: yanked ones, and those of which nothing is known where others tell.

        Unless something demands one release of the project: the request, what is installed, or what is chosen.
        """
        tells = any(release.declared or release.asserted for release in releases)
        pins = self._pins(project)
        for release in releases:
            literal = self._var("framework", project, release.version)
            if release.is_yanked:
                self._say(-literal)
            if tells and not release.declared and not release.asserted and not self._is_pinned(project):
                self._say(-literal, *pins)

    def _is_pinned(self, project: str) -> bool:
        want = self.request.want(project)
        return bool(want and want.versions.text.startswith("=="))

    def _pins(self, project: str) -> list[int]:
        """Literals of what demands exactly one release of a project, beside the request."""
        found = []
        for group, needed, span in self._installed_needs():
            if needed == project and span.startswith("=="):
                found.append(self._both(self._var("group", "installed"), self._var("group", group)))
        for other, releases in self.releases.items():
            for release in releases:
                for group, needed, span in needs_of(release, self.request.relax_asserts):
                    if self._provided(needed, release) == project and span.startswith("=="):
                        literal = self._var("framework", other, release.version)
                        found.append(self._both(literal, self._var("group", group)))
        return found

    def _both(self, one: int, other: int) -> int:
        """A literal that holds only where both do."""
        both = self._var("both", one, other)
        self._say(-both, one)
        self._say(-both, other)
        return both

    def _write_needs(self, release: FrameworkRelease, literal: int, asking: dict[str, list[int]]) -> None:
        for group, needed, span in needs_of(release, self.request.relax_asserts):
            name = self._provided(needed, release)
            if name in asking:
                asking[name].append(literal)
                self._say(-literal, self._var("chosen", name))
            self._bound(group, None, literal, name, span)
        for tag in self.tags if release.requires_python else ():
            if not admits(release.requires_python or "", f"{tag[2]}.{tag[3:].rstrip('t')}.99"):
                self._say(-literal, -self._var("tag", tag))
        for wall in self.matrix.walls:
            affected = wall.affects.get(release.project)
            if (
                affected is None
                or wall.severity != "breaks"
                or "torch" not in wall.needs
                or not admits(affected, release.version)
            ):
                continue
            for build in self.builds:
                if not admits(wall.needs["torch"], build.version):
                    self._say(-self._var("group", "wall"), -literal, -self._var("build", id(build)))

    def _bound(self, group: str | None, other: str | None, literal: int | None, project: str, span: str) -> None:
        """Under the groups and the literal, whatever is chosen of a project lies in a range; ops are needed as well."""
        condition = [-literal] if literal else []
        if self._is_ops(project):
            # Relaxing a range keeps the need; what installed packages need goes with their group.
            need = [-self._var("group", "installed")] if group == "installed" else []
            self._say(*need, *condition, self._var("needs", self.projects[project].import_name))
        elif project not in self.releases:
            return
        under = [-self._var("group", each) for each in (group, other) if each]
        self._say(*under, *condition, self._within(project, span))

    def _within(self, project: str, span: str) -> int:
        """A literal that keeps what is chosen of a project, or of an ops import package, inside a range."""
        kind, name = (
            ("version", self.projects[project].import_name) if self._is_ops(project) else ("framework", project)
        )
        is_new = ("within", name, span) not in self._names
        literal = self._var("within", name, span)
        if is_new:
            versions = {v for _w, v in self._ops_versions[name]} if kind == "version" else self._released[project]
            for version in versions:
                if not admits(span, version):
                    self._say(-literal, -self._var(kind, name, version))
        return literal

    @cached_property
    def _released(self) -> dict[str, set[str]]:
        return {project: {release.version for release in rows} for project, rows in self.releases.items()}

    def _installed_needs(self) -> Iterator[tuple[str, str, str]]:
        python = self.machine.python
        gone = {want.project for want in self.request.wants} | self.request.replace
        for project, releases in self.matrix.frameworks.items():
            here = python.distribution(project) if python else None
            if here and project not in gone:
                for release in releases:
                    if release.version == here.version:
                        yield from needs_of(release, self.request.relax_asserts)

    def _installed_imports(self) -> list[str]:
        return [self.projects[name].import_name for _g, name, _s in self._installed_needs() if self._is_ops(name)]

    # -- compiled ops ------------------------------------------------------------------------------------------------

    @cached_property
    def _ops_versions(self) -> dict[str, set[tuple[bool, str]]]:
        """Import name -> (is a wheel, version) of everything there is."""
        found: dict[str, set[tuple[bool, str]]] = {}
        for project in self.projects.values():
            if project.kind == "ops":
                mine = found.setdefault(project.import_name, set())
                mine |= {(False, version) for version in project.sdists}
        for row in (*self.facts.pages, *self.matrix.ops):
            found.setdefault(row.import_name, set()).add((True, row.version))
        return found

    def _needed_imports(self) -> set[str]:
        found = {self.projects[w.project].import_name for w in self.request.wants if self._is_ops(w.project)}
        found |= set(self._installed_imports())
        for releases in self.releases.values():
            for release in releases:
                found |= {self.projects[name].import_name for _g, name, _s in needs_of(release) if self._is_ops(name)}
        return found

    def _write_ops(self) -> None:
        places: dict[tuple[str, str], list[int]] = {}
        for build in self.builds:
            for name in {build.version, _minor(build.version)}:
                places.setdefault((name, build.variant), []).append(self._var("build", id(build)))
        for name in sorted(self._needed_imports()):
            everything = (*self.facts.pages, *self.matrix.ops)
            rows = [row for row in everything if row.import_name == name and (row.torch, row.variant) in places]
            mine = [self._write_row(row, number, places) for number, row in enumerate(rows)]
            sources = list(self._write_sources(name))
            either = [*mine, *(literal for _version, literal in sources)]
            self._say(-self._var("needs", name), *either)
            self._only_one(either)
            versions: dict[tuple[str, str], list[int]] = {}
            for row, literal in zip(rows, mine, strict=True):
                versions.setdefault(("wheel", row.version), []).append(literal)
            for version, literal in sources:
                versions.setdefault(("source", version), []).append(literal)
            for is_wheel, version in self._ops_versions[name]:
                kind = "wheel" if is_wheel else "source"
                self._say(-self._var(kind, name, version), *versions.get((kind, version), ()))

    def _write_row(self, row: OpsWheels, number: int, places: Mapping[tuple[str, str], list[int]]) -> int:
        literal = self._var("row", row.import_name, number)
        self._say(-literal, self._var("version", row.import_name, row.version))
        self._say(-literal, *places.get((row.torch, row.variant), []))
        self._say(-literal, *(self._var("tag", tag) for tag in row.python_tags if tag in self.tags))
        if any(self.projects[p].import_name == row.import_name for p in self.request.build if p in self.projects):
            self._say(-literal)  # it is to be compiled
        if not self._may_serve(row.project, row.import_name):
            self._say(-literal)
        self._permit(literal, row.provider, row.project, [-self._var("group", "provider")])
        if self._wants_gpu and row.variant.startswith("cu"):
            native = self._driver_reaches(row.variant, native=True)
            failed = any(report.project == row.project and self._is_about(report, row) for report in self._failures)
            if failed or not all(has_code(row.targets, gpu.capability, native) for gpu in self._gpus if gpu.capability):
                self._say(-self._var("group", "gpu"), -literal)
        return literal

    def _is_about(self, report: GpuReport, row: OpsWheels) -> bool:
        """Whether a failure decides about a wheel: about the publisher's own, or about the code whoever compiled it."""
        if not report.platform or not admits(report.versions, row.version):
            return False
        if report.torch is None and report.variant is None:
            return True
        return (report.torch, report.variant) == (
            _minor(row.torch),
            row.variant,
        ) and row.provider in self.facts.official

    def _may_serve(self, project: str, import_name: str) -> bool:
        named = [w.project for w in self.request.wants if self._is_ops(w.project)]
        rivals = [name for name in named if self.projects[name].import_name == import_name]
        return not rivals or project in rivals

    def _permit(self, literal: int, provider: str, project: str, under: list[int]) -> None:
        """Who may provide: a named page, the installed, a chosen provider, a fork for its own, else its publisher."""
        if provider in ("find-links", "installed") or provider in self.request.providers:
            return
        forks = {each: self.projects[each].provider for each in self.releases}
        own = [self._var("chosen", each) for each, who in forks.items() if who == provider != OFFICIAL]
        at_home = project in self.projects and self.projects[project].provider == provider
        self._strangers.add(provider)
        own.append(self._var("let in", provider))
        if not (at_home and (provider in self.facts.official or self.request.want(project))):
            self._say(*under, -literal, *own)
            return
        for each, who in forks.items():
            if who not in (OFFICIAL, provider):
                self._say(*under, -literal, -self._var("chosen", each), *own)

    def _write_sources(self, name: str) -> Iterator[tuple[str, int]]:
        """Releases that may be compiled, with their literals: where asked for, or where `wheels` is relaxed."""
        asked = any(self.projects[p].import_name == name for p in self.request.build if p in self.projects)
        for project in self.projects.values():
            if project.kind != "ops" or project.import_name != name or not self._may_serve(project.name, name):
                continue
            for version in project.sdists:
                literal = self._var("sdist", project.name, version)
                self._say(-literal, self._var("version", name, version))
                self._permit(literal, project.provider, project.name, [])
                if not asked:
                    self._say(-self._var("group", "wheels"), -literal)
                yield version, literal


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _cuda(variant: str) -> int:
    return int(variant[2:]) if variant.startswith("cu") else 0


def _tag(tag: str) -> tuple[int, int, bool]:
    digits = tag[2:].rstrip("t")
    return int(digits[0]), int(digits[1:] or 0), tag.endswith("t")
