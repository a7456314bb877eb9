"""check-env: reads what is installed, diagnoses it, and says what fits here.

Flow: the compiled extensions of the target are read as files (ELF), never imported; `diagnose` decides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from zoo_cli.packages.diagnose import diagnose
from zoo_cli.packages.explain import NoSolution, explain
from zoo_cli.packages.extensions import read_evidence
from zoo_cli.packages.findings import FAIL, Finding
from zoo_cli.packages.problem import Facts, Problem
from zoo_cli.packages.request import Request, Want
from zoo_cli.packages.solve import Stack, search
from zoo_cli.packages.versions import parse_range

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo_cli.catalog.entries import Matrix, Project
    from zoo_cli.machine.facts import Machine


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
) -> Checkup:
    """Diagnoses the machine and its target interpreter, and solves for each wanted project as if nothing were there."""
    evidence = read_evidence(machine.python, projects) if machine.python and not machine.is_described else {}
    findings = diagnose(machine, matrix, projects, evidence)
    python = replace(machine.python, distributions=(), torch=None) if machine.python else None
    facts = Facts(replace(machine, python=python), matrix, projects, official)
    return Checkup(machine, findings, tuple(_fit(project, facts) for project in wanted))


def _fit(project: str, facts: Facts) -> Fit:
    problem = Problem(Request((Want(project, parse_range("")),)), facts)
    stack = search(problem)
    return Fit(project, stack, None if stack else explain(problem))
