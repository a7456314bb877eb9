"""What a decision costs on the whole index: solve, conflict, three ways out, all ways out; against resolvelib.

    python benchmarks/bench_solver.py [--turns N]

resolvelib (the resolver inside pip) gets the same matrix: one package each for Python, torch and every project, one
candidate for each torch build and each row of wheels, in the same order of preference. It finds a set or fails; it has
no conflict over named groups and no ways out. Both work on rows that are in memory; all is CPU time of one process.
Budgets: solve 20 ms, three ways out 50 ms.
"""

from __future__ import annotations

import argparse
import statistics
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from resolvelib import AbstractProvider, BaseReporter, ResolutionImpossible, Resolver
from resolvelib.resolvers import ResolutionTooDeep

from zoo_cli.catalog.compat import gpu_models, official_providers, projects, read_matrix
from zoo_cli.catalog.database import open_catalog
from zoo_cli.machine.describe import parse_machine
from zoo_cli.machine.gpus import name_to_capability
from zoo_cli.packages.decide import make_problem
from zoo_cli.packages.explain import minimal_conflict, ways_out
from zoo_cli.packages.grid import tag_key
from zoo_cli.packages.offers import Offers
from zoo_cli.packages.request import Request, parse_wants
from zoo_cli.packages.solve import search
from zoo_cli.packages.versions import minor, parse_range, version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from zoo_cli.packages.problem import Problem

ROOT = Path(__file__).parent.parent
MOST_ROUNDS = 20_000
CASES = (
    ("gpu=RTX 3090,driver=535.183.01,python=3.10", ("mmdet",)),
    ("gpu=H100,driver=535.183.01,python=3.10", ("mmpose", "mmdet", "mmsegmentation")),
    ("gpu=GTX 1080 Ti,driver=450.80.02,python=3.7", ("mmdet3d",)),
    ("gpu=none,python=3.11", ("mmpretrain",)),
    ("gpu=RTX 5090,driver=570.124.06,python=3.12", ("mmdet",)),
    ("gpu=H100,driver=535.183.01,python=3.12", ("mmdet",)),
    ("gpu=RTX 5090,driver=570.124.06,python=3.12", ("mmdet", "mmpose", "mmdet3d")),
)


class Candidate(NamedTuple):
    """Something to choose, with what it asks of others."""

    name: str
    label: str
    needs: tuple[Need, ...]


class Need(NamedTuple):
    """A demand on one name."""

    name: str
    admits: Callable[[str], bool]


class Provider(AbstractProvider[Need, Candidate, str]):
    """The matrix of a problem as resolvelib's packages."""

    def __init__(self, known: Mapping[str, list[Candidate]]) -> None:
        self.known = known

    def identify(self, requirement_or_candidate: Need | Candidate) -> str:
        """The package of a demand or a candidate."""
        return requirement_or_candidate.name

    def get_preference(self, identifier: str, *_args: Any, **_more: Any) -> int:
        """Torch and Python last, as in the solver's grid."""
        return {"torch": 1, "python": 2}.get(identifier, 0)

    def find_matches(
        self, identifier: str, requirements: Mapping[str, Iterator[Need]], incompatibilities: Mapping[str, Any]
    ) -> Iterable[Candidate]:
        """What every demand admits, best first."""
        needs, refused = list(requirements[identifier]), {each.label for each in incompatibilities[identifier]}
        found = self.known.get(identifier, [])
        return [c for c in found if c.label not in refused and all(need.admits(c.label) for need in needs)]

    def is_satisfied_by(self, requirement: Need, candidate: Candidate) -> bool:
        """Whether a demand admits a candidate."""
        return requirement.admits(candidate.label)

    def get_dependencies(self, candidate: Candidate) -> Iterable[Need]:
        """What a candidate asks of others."""
        return candidate.needs


def as_packages(problem: Problem) -> tuple[dict[str, list[Candidate]], list[Need]]:
    """The problem as candidates, best first, and what is asked of them."""
    facts = problem.facts
    cells = 0
    for number, mask in enumerate(problem.cell_groups.values()):
        cells = mask if not number else cells & mask
    builds = list(dict.fromkeys(f"{cell.torch.version}+{cell.torch.variant}" for cell in facts.grid.of(cells)))
    rows = {f"{build.version}+{build.variant}": build for build in facts.matrix.torch}
    known: dict[str, list[Candidate]] = {
        "torch": [Candidate("torch", each, (_among("python", rows[each].python_tags),)) for each in builds],
        "python": [
            Candidate("python", tag, ()) for tag in sorted({cell.python for cell in facts.grid.of(cells)}, key=tag_key)
        ],
    }
    for name in facts.ops_names:
        known[name] = list(_ops(problem, name, builds))
    for project, releases in facts.matrix.frameworks.items():
        known[project] = [
            Candidate(project, release.version, tuple(_needs(problem, {**release.declared}, {**release.asserted})))
            for release in sorted(releases, key=lambda row: version(row.version), reverse=True)
            if release.declared or release.asserted or facts.projects[project].kind == "engine"
            if not version(release.version).is_prerelease
        ]
    asked = [Need(want.project, want.versions.admits) for want in problem.request.wants]
    return known, [Need("torch", lambda _label: True), Need("python", lambda _label: True), *asked]


def _ops(problem: Problem, name: str, builds: list[str]) -> Iterator[Candidate]:
    for release in problem.ops_releases(name, frozenset(), any_gpu=False, any_provider=False):
        for wheels, _cells in release.rows:
            fitting = [
                each
                for each in builds
                if each.partition("+")[2] == wheels.variant and wheels.torch in (each.partition("+")[0], minor(each))
            ]
            if fitting:
                label = f"{wheels.version}+{wheels.torch}{wheels.variant}"
                yield Candidate(name, label, (_among("torch", fitting), _among("python", wheels.python_tags)))


def _among(name: str, labels: Iterable[str]) -> Need:
    allowed = frozenset(labels)
    return Need(name, allowed.__contains__)


def _needs(problem: Problem, *groups: Mapping[str, str]) -> Iterator[Need]:
    for group in groups:
        for project, span in group.items():
            found = problem.facts.projects.get(project)
            if found and found.kind in ("framework", "engine", "ops"):
                admits = parse_range(span).admits
                name = found.import_name if found.kind == "ops" else project
                yield Need(name, lambda label, admits=admits: admits(label.partition("+")[0]))  # type: ignore[misc]


def resolve(problem: Problem) -> str:
    """What resolvelib makes of it: found | none | gave up."""
    known, asked = as_packages(problem)
    try:
        Resolver(Provider(known), BaseReporter()).resolve(asked, max_rounds=MOST_ROUNDS)
    except ResolutionImpossible:
        return "none"
    except ResolutionTooDeep:
        return f"gave up after {MOST_ROUNDS} rounds"
    return "found"


def milliseconds(work: Callable[[], object], turns: int) -> float:
    times = []
    for _ in range(turns):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return statistics.median(times) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=9)
    turns = parser.parse_args().turns
    catalog = open_catalog(ROOT / "index")
    known, official = projects(catalog), official_providers(catalog)
    gpus = name_to_capability((row.name, row.capability) for row in gpu_models(catalog))
    print(f"{'machine and request':71}  {'solve':>7}  {'conflict':>8}  {'3 ways':>7}  {'all':>7}  resolvelib")
    for text, words in CASES:
        machine = parse_machine(text, gpus)
        matrix, request = read_matrix(catalog, machine.platform), Request(parse_wants(words, known))
        report(
            f"{text} {' '.join(words)}",
            partial(make_problem, request, machine, matrix, known, Offers(), official),
            turns,
        )


def report(name: str, fresh: Callable[[], Problem], turns: int) -> None:
    """Measures one case, each turn on a problem of which nothing is computed yet, and prints its line."""

    def ways(limit: int) -> float:
        problem = fresh()
        search(problem)
        started = time.process_time()
        ways_out(problem, limit)
        return (time.process_time() - started) * 1000

    solve = milliseconds(lambda: search(fresh()), turns)
    columns = [f"{solve:4.1f} ms"]
    if search(fresh()) is None:
        columns.append(f"{milliseconds(lambda: minimal_conflict(fresh()), turns) - solve:5.1f} ms")
        columns += [f"{statistics.median(ways(limit) for _ in range(turns)):4.1f} ms" for limit in (3, 99)]
    columns += [""] * (4 - len(columns))
    outcome = resolve(fresh())
    peer = milliseconds(lambda: resolve(fresh()), 3 if outcome.startswith("gave") else turns)
    shown = "  ".join(f"{each:>{width}}" for each, width in zip(columns, (7, 8, 7, 7), strict=True))
    print(f"{name:71}  {shown}  {outcome}, {peer:.1f} ms = {peer / solve:.1f} x solve")


if __name__ == "__main__":
    main()
