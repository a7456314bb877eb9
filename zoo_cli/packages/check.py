"""check-env: reads what is installed, diagnoses it, and says what fits here.

Flow: the compiled extensions of the target are read as files (ELF), never imported; `diagnose` decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.packages.diagnose import FAIL, Finding, OpsEvidence, diagnose
from zoo_cli.packages.explain import NoSolution, explain
from zoo_cli.packages.request import Request, Want
from zoo_cli.packages.solve import Facts, Problem, Stack, search
from zoo_cli.packages.versions import parse_range
from zoo_cli.trust.elf import BadElf, Elf, read_elf
from zoo_cli.trust.wheel import unresolved

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zoo_cli.catalog.entries import Matrix, Project
    from zoo_cli.machine.facts import Distribution, Interpreter, Machine

_VERSION_LINE = re.compile(r"^__version__\s*=\s*['\"]([^'\"]+)['\"]", re.MULTILINE)
_MAX_SOURCE = 1 << 16  # bytes of a version.py that are looked at


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
    evidence = dict(_evidence(machine.python, projects)) if machine.python and not machine.is_described else {}
    findings = diagnose(machine, matrix, projects, evidence)
    python = replace(machine.python, distributions=(), torch=None) if machine.python else None
    facts = Facts(replace(machine, python=python), matrix, projects, official)
    return Checkup(machine, findings, tuple(_fit(project, facts) for project in wanted))


def _fit(project: str, facts: Facts) -> Fit:
    problem = Problem(Request((Want(project, parse_range("")),)), facts)
    stack = search(problem)
    return Fit(project, stack, None if stack else explain(problem))


def _evidence(python: Interpreter, projects: Mapping[str, Project]) -> Iterator[tuple[str, OpsEvidence]]:
    """What the files of each installed ops project say."""
    for here in python.distributions:
        project = projects.get(here.name)
        if project and project.kind == "ops":
            yield here.name, _read_ops(here, project, python)


def _read_ops(here: Distribution, project: Project, python: Interpreter) -> OpsEvidence:
    root = Path(here.location)
    names = [name for name in here.files if re.search(r"\.(so|pyd)$|\.so\.", name)]
    files = [path for name in names if (path := root / name).is_file()]
    torch_lib = Path(python.torch.source).parent / "lib" if python.torch else None
    missing: list[str] = []
    symbols: list[str] = []
    for path in files:
        elf = _elf(path)
        if elf and torch_lib:
            missing += [
                name
                for name in elf.needed
                if name.startswith(("libtorch", "libc10")) and not (torch_lib / name).exists()
            ]
            symbols += unresolved(elf, torch_lib)
    return OpsEvidence(
        here.name,
        tuple(path.name for path in files),
        tuple(dict.fromkeys(missing)),
        tuple(dict.fromkeys(symbols)),
        _module_version(root / project.import_name / "version.py"),
    )


def _elf(path: Path) -> Elf | None:
    if ".so" not in path.name:
        return None
    try:
        with path.open("rb") as stream:
            return read_elf(stream)
    except (BadElf, OSError):
        return None


def _module_version(path: Path) -> str | None:
    try:
        with path.open("rb") as stream:
            found = _VERSION_LINE.search(stream.read(_MAX_SOURCE).decode("utf-8", "replace"))
    except OSError:
        return None
    return found[1] if found else None
