"""check-env: reads what is installed, diagnoses it, and says what fits here.

Flow: the compiled extensions of the target are read as files (ELF), never imported; `diagnose` decides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from zoo_cli.packages.diagnose import diagnose
from zoo_cli.packages.findings import FAIL, Finding
from zoo_cli.packages.installed import providing
from zoo_cli.packages.problem import Facts, Problem
from zoo_cli.packages.request import Request, Want
from zoo_cli.packages.solve import Stack, search
from zoo_cli.packages.versions import parse_range

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo_cli.catalog.entries import Matrix, Project
    from zoo_cli.machine.facts import Machine
    from zoo_cli.packages.explain import NoSolution


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a project has a stack on this machine: one of the two fields is set."""

    project: str
    stack: Stack | None
    refusal: NoSolution | None


@dataclass(frozen=True, slots=True)
class Checkup:
    """Everything check-env has to tell."""

    machine: Machine
    findings: tuple[Finding, ...]
    fits: tuple[Fit, ...]

    @property
    def is_blocked(self) -> bool:
        """Whether something is broken."""
        return any(finding.status == FAIL for finding in self.findings)


def check_environment(
    machine: Machine,
    matrix: Matrix,
    projects: Mapping[str, Project],
    wanted: tuple[str, ...],
    official: frozenset[str],
    environ: Mapping[str, str],
) -> Checkup:
    """Diagnoses the machine and its target interpreter, and solves for each wanted project as if nothing were there.

    `environ` tells where pip and uv keep what they built.
    """
    findings = _findings(machine, matrix, projects, official, environ)
    python = replace(machine.python, distributions=(), torch=None) if machine.python else None
    facts = Facts(replace(machine, python=python), matrix, projects, official)
    return Checkup(machine, findings, tuple(_fit(project, facts) for project in wanted))


def _findings(
    machine: Machine,
    matrix: Matrix,
    projects: Mapping[str, Project],
    official: frozenset[str],
    environ: Mapping[str, str],
) -> tuple[Finding, ...]:
    """The findings, with commands that the solver confirmed."""
    python = machine.python
    if python is None or machine.is_described or not python.distributions:
        return diagnose(machine, matrix, projects, {})
    # Imported here: an environment without packages, and a described machine, need none of it.
    from zoo_cli.packages.extensions import read_evidence
    from zoo_cli.packages.surroundings import read_surroundings

    evidence = read_evidence(python, projects)
    findings = diagnose(machine, matrix, projects, evidence, read_surroundings(python, projects, environ))
    if not any(finding.install for finding in findings):
        return findings
    from zoo_cli.packages.decide import make_problem
    from zoo_cli.packages.mend import Installed, confirmed
    from zoo_cli.packages.offers import Offers

    sound = frozenset(name for name, each in evidence.items() if each.is_sound)

    def solves(request: Request) -> bool:
        return search(make_problem(request, machine, matrix, projects, Offers(), official, sound)) is not None

    frameworks = providing(python, projects, ("framework",))
    here = Installed(
        frameworks=tuple(f"{each.name}=={each.version}" for each, _ in frameworks if each.name in matrix.frameworks),
        ops=tuple(each.name for each, _ in providing(python, projects, ("ops",))),
        has_gpu=any(gpu.vendor == "nvidia" for gpu in machine.gpus),
    )
    return confirmed(findings, projects, solves, here)


def _fit(project: str, facts: Facts) -> Fit:
    problem = Problem(Request((Want(project, parse_range("")),)), facts)
    stack = search(problem)
    if stack:
        return Fit(project, stack, None)
    from zoo_cli.packages.explain import explain

    return Fit(project, None, explain(problem))
