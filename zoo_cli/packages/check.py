"""check-env: reads what is installed, diagnoses it, and says what fits here.

Flow: the compiled extensions of the target are read as files (ELF), never imported; `diagnose` decides.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo_cli import __version__
from zoo_cli.machine.files import is_there
from zoo_cli.packages.diagnose import diagnose
from zoo_cli.packages.findings import FAIL, Finding
from zoo_cli.packages.installed import providing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from zoo_cli.catalog.entries import Matrix, Project
    from zoo_cli.machine.facts import Machine
    from zoo_cli.packages.request import Request
    from zoo_cli.packages.solve import Stack

_DECIDING = ("solve", "problem", "grid", "request", "versions")  # modules whose change may change what fits


class Fit(NamedTuple):
    """What fits for a project on this machine: versions, or none at all."""

    project: str
    release: str = ""  # of the project itself, where it is a framework
    torch: str = ""  # "2.1.2"; "" where nothing fits
    variant: str = ""
    ops: tuple[tuple[str, str, bool], ...] = ()  # (project, version, whether it is compiled from source)

    @property
    def is_any(self) -> bool:
        """Whether something fits."""
        return bool(self.torch)


class Index(NamedTuple):
    """The facts that a check-up needs, and how to read the large ones when they are needed."""

    projects: Mapping[str, Project]
    official: frozenset[str]
    matrix: Callable[[bool], Matrix]  # with the wheels of compiled ops, or without
    mark: object  # changes when the facts do; None: nothing is kept
    cache: Path | None = None  # where what fits is kept


class Checkup(NamedTuple):
    """Everything check-env has to tell."""

    machine: Machine
    findings: tuple[Finding, ...]
    fits: tuple[Fit, ...]

    @property
    def is_blocked(self) -> bool:
        """Whether something is broken."""
        return any(finding.status == FAIL for finding in self.findings)


def check_environment(machine: Machine, index: Index, wanted: tuple[str, ...], environ: Mapping[str, str]) -> Checkup:
    """Diagnoses the machine and its target interpreter, and solves for each wanted project as if nothing were there.

    `environ` tells where pip and uv keep what they built.
    """
    findings = (*_findings(machine, index, environ), *_cut_off(machine))
    return Checkup(machine, findings, _fits(machine, index, wanted))


def _cut_off(machine: Machine) -> Iterator[Finding]:
    """A change of the environment that zoo began and nobody ended: all that is installed may be half of it."""
    python = machine.python
    if python is None or machine.is_described:
        return
    homes = (Path(home) for home in (python.prefix, python.site_packages) if home)
    if not any(is_there(home / ".zoo" / "open.json") for home in homes):  # else the journal is not imported
        return
    from zoo_cli.packages.journal import JournalFailed, journal_of

    with suppress(JournalFailed):  # an environment of others, which cannot be locked: theirs to look after
        if change := journal_of(python).unfinished():
            values = (("command", " ".join(change.command)), ("started", change.started))
            command = ("zoo", "undo", "--python", "PYTHON")
            yield Finding(FAIL, "Installed", "environment", "cut-off", values, command=command)


def _findings(machine: Machine, index: Index, environ: Mapping[str, str]) -> tuple[Finding, ...]:
    """The findings, with commands that the solver confirmed."""
    python, projects = machine.python, index.projects
    matrix = index.matrix(False)
    if python is None or machine.is_described or not python.distributions:
        return diagnose(machine, matrix, projects, {})
    # Imported here: an environment without packages, and a described machine, need none of it.
    from zoo_cli.packages.extensions import read_evidence
    from zoo_cli.packages.surroundings import read_surroundings

    evidence = read_evidence(python, projects, cache=index.cache)
    findings = diagnose(machine, matrix, projects, evidence, read_surroundings(python, projects, environ))
    if not any(finding.install for finding in findings):
        return findings
    from zoo_cli.packages.compiled import Place, sound_projects
    from zoo_cli.packages.decide import make_problem
    from zoo_cli.packages.mend import Installed, confirmed
    from zoo_cli.packages.offers import Offers
    from zoo_cli.packages.solve import search

    matrix = index.matrix(True)
    sound = sound_projects(Place(machine, python, matrix), projects, evidence)

    def solves(request: Request) -> bool:
        return search(make_problem(request, machine, matrix, projects, Offers(), index.official, sound)) is not None

    frameworks = providing(python, projects, ("framework",))
    here = Installed(
        frameworks=tuple(f"{each.name}=={each.version}" for each, _ in frameworks if each.name in matrix.frameworks),
        ops=tuple(each.name for each, _ in providing(python, projects, ("ops",))),
        has_gpu=any(gpu.vendor == "nvidia" for gpu in machine.gpus),
    )
    return confirmed(findings, projects, solves, here)


def _fits(machine: Machine, index: Index, wanted: tuple[str, ...]) -> tuple[Fit, ...]:
    """What fits, as it was kept from an earlier run with the same facts on the same machine, else solved."""
    from zoo_cli.machine.remembered import place_of, recall, remember

    identity = _identity(machine, index, wanted)
    place = place_of(index.cache, "fits", identity) if index.cache and index.mark else None
    kept = _read(recall(place, identity)) if place else None
    if kept is not None:
        return kept
    fits = _solved(machine, index, wanted)
    if place:
        remember(place, identity, {"fits": fits})
    return fits


def _read(kept: dict[str, Any] | None) -> tuple[Fit, ...] | None:
    """The fits of a kept document; None when it is not one."""
    try:
        found = []
        for project, release, torch, variant, ops in (kept or {})["fits"]:
            built = tuple((str(name), str(version), bool(is_built)) for name, version, is_built in ops)
            found.append(Fit(str(project), str(release), str(torch), str(variant), built))
        return tuple(found)
    except (LookupError, TypeError, ValueError):
        return None


def _identity(machine: Machine, index: Index, wanted: tuple[str, ...]) -> list[object]:
    """Everything that the answer depends on, in the form in which JSON gives it back."""
    from zoo_cli.machine.remembered import mark

    libc = [machine.libc.kind, machine.libc.version] if machine.libc else None
    gpus = [[gpu.vendor, gpu.name, str(gpu.capability)] for gpu in (*machine.gpus, *machine.other_gpus)]
    python = [machine.python.tag, machine.python.version, machine.python.bits] if machine.python else None
    here = [
        machine.platform,
        libc,
        machine.driver,
        machine.cuda_user_mode,
        gpus,
        python,
        list(machine.marks),
        machine.is_described,
    ]
    code = [mark(Path(__file__).with_name(f"{name}.py")) for name in _DECIDING]
    return [__version__, code, index.mark, here, list(wanted)]


def _solved(machine: Machine, index: Index, wanted: tuple[str, ...]) -> tuple[Fit, ...]:
    from zoo_cli.packages.problem import Facts, Problem
    from zoo_cli.packages.request import Request, Want
    from zoo_cli.packages.solve import search
    from zoo_cli.packages.versions import parse_range

    python = machine.python._replace(distributions=(), torch=None) if machine.python else None
    facts = Facts(machine._replace(python=python), index.matrix(True), index.projects, index.official)
    wants = [Want(project, parse_range("")) for project in wanted]
    return tuple(_fit(want.project, search(Problem(Request((want,)), facts))) for want in wants)


def _fit(project: str, stack: Stack | None) -> Fit:
    from zoo_cli.packages.solve import SourceBuild

    if stack is None:
        return Fit(project)
    release = stack.frameworks.get(project)
    ops = tuple((each.project, each.version, isinstance(each, SourceBuild)) for each in stack.ops)
    return Fit(project, release.version if release else "", stack.cell.torch.version, stack.cell.torch.variant, ops)
