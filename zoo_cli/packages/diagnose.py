"""What is right and wrong with a machine and the packages installed in one interpreter.

Pure. Facts come in (machine, matrix, what was read from the installed compiled extensions), findings go out: a
status, the subject, a code and its values; the sentences are written in `zoo_cli.cli.findings_view`. An effect is
told once, at its cause. Each failure carries the words of the one command that mends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_cli.machine.cuda import Coverage, cuda_to_variant
from zoo_cli.packages.findings import FAIL, NOTE, OK, WARN, Finding, machine_findings
from zoo_cli.packages.grid import Drivers, is_cuda
from zoo_cli.packages.plan import standing_walls
from zoo_cli.packages.versions import parse_range, public

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zoo_cli.catalog.entries import FrameworkRelease, Matrix, Project, TorchBuild
    from zoo_cli.machine.facts import Distribution, Interpreter, Machine
    from zoo_cli.packages.evidence import OpsEvidence


def diagnose(
    machine: Machine, matrix: Matrix, projects: Mapping[str, Project], evidence: Mapping[str, OpsEvidence]
) -> tuple[Finding, ...]:
    """All findings, causes before effects."""
    findings = [*machine_findings(machine, matrix)]
    if machine.python and not machine.is_described:
        findings += _installed(machine, machine.python, matrix, projects, evidence)
    return tuple(findings)


# -- what is installed -------------------------------------------------------------------------------------------


def _installed(
    machine: Machine,
    python: Interpreter,
    matrix: Matrix,
    projects: Mapping[str, Project],
    evidence: Mapping[str, OpsEvidence],
) -> Iterator[Finding]:
    yield from _torch(machine, python, matrix)
    broken = set[str]()
    for finding in (*_owners(python, projects, matrix), *_ops(python, matrix, projects, evidence)):
        if finding.subject in broken:
            continue  # told once, at its cause
        if finding.status == FAIL:
            broken.add(finding.subject)
        yield finding
    yield from _frameworks(python, matrix, projects, broken)
    yield from _walls(machine, python, matrix)


def _torch(machine: Machine, python: Interpreter, matrix: Matrix) -> Iterator[Finding]:
    torch = python.torch
    if torch is None:
        yield Finding(NOTE, "Installed", "torch", "not-installed")
        return
    variant = torch_variant(torch.cuda, torch.hip)
    values = (("version", torch.version), ("variant", variant), ("cuda", torch.cuda or ""))
    gpus = [gpu for gpu in machine.gpus if gpu.vendor == "nvidia"]
    mend = ("torch", "--replace", "torch")
    drivers = Drivers(machine, matrix.toolkits)
    if is_cuda(variant) and gpus and not drivers.allows(variant):
        floor = drivers.floor(variant) or "?"
        yield Finding(
            FAIL,
            "Installed",
            "torch",
            "driver-too-old",
            (*values, ("driver", str(machine.driver)), ("floor", floor)),
            mend,
            torch.source,
        )
        return
    build = find_build(matrix, torch.version, variant, machine.platform)
    if build and gpus and is_cuda(variant):
        for gpu, coverage in zip(gpus, drivers.coverage(build.targets, variant), strict=True):
            if coverage is Coverage.NONE and gpu.capability:
                reach = ", ".join(build.targets or ())
                more = (("gpu", gpu.name), ("target", gpu.capability.target), ("targets", reach))
                yield Finding(FAIL, "Installed", "torch", "gpu-not-covered", (*values, *more), mend, torch.source)
                return
    if gpus and machine.driver and variant == "cpu":
        yield Finding(WARN, "Installed", "torch", "cpu-build-on-gpu", values, mend, torch.source)
        return
    yield Finding(OK, "Installed", "torch", "installed", values, source=torch.source)


def torch_variant(cuda: str | None, hip: str | None) -> str:
    """The variant of an installed torch by what its version file says."""
    if cuda:
        return cuda_to_variant(".".join(cuda.split(".")[:2]))
    return f"rocm{'.'.join(hip.split('.')[:2])}" if hip else "cpu"


def find_build(matrix: Matrix, torch: str, variant: str, platform: str) -> TorchBuild | None:
    """The row of the index for an installed torch."""
    wanted = (public(torch), variant, platform)
    return next((b for b in matrix.torch if (b.version, b.variant, b.platform) == wanted), None)


def _providing(
    python: Interpreter, projects: Mapping[str, Project], kinds: tuple[str, ...]
) -> list[tuple[Distribution, Project]]:
    return [
        (here, projects[here.name])
        for here in python.distributions
        if here.name in projects and projects[here.name].kind in kinds
    ]


def _owners(python: Interpreter, projects: Mapping[str, Project], matrix: Matrix) -> Iterator[Finding]:
    """Two distributions that own one import package overwrite each other."""
    by_import: dict[str, list[Distribution]] = {}
    for here, project in _providing(python, projects, ("ops", "lite", "framework", "engine")):
        by_import.setdefault(project.import_name, []).append(here)
    for name, owners in sorted(by_import.items()):
        if len(owners) < 2:
            continue
        best = min(
            owners,
            key=lambda here: (
                projects[here.name].kind == "lite",
                projects[here.name].provider != "openmmlab",
                here.name,
            ),
        )
        values = (("owners", " and ".join(sorted(f"{here.name} {here.version}" for here in owners))), ("package", name))
        everyone = ",".join(sorted(here.name for here in owners))
        mend = (_wanted(best, python, matrix), "--replace", everyone, *_origin_page(best))
        yield Finding(FAIL, "Installed", name, "two-owners", values, mend, best.location)


def _wanted(here: Distribution, python: Interpreter, matrix: Matrix) -> str:
    """The project at the installed version, or free where an installed framework refuses that version."""
    for release in _releases_here(python, matrix):
        for ranges in (release.asserted, release.declared):
            span = ranges.get(here.name)
            if span and not parse_range(span).admits(here.version):
                return here.name
    return f"{here.name}=={public(here.version)}"


def _origin_page(here: Distribution) -> tuple[str, ...]:
    """Where the installed wheel came from, when that is a directory on this computer."""
    if here.url and here.url.startswith("file://"):
        return ("--find-links", here.url.rpartition("/")[0] + "/")
    return ()


def _ops(
    python: Interpreter,
    matrix: Matrix,
    projects: Mapping[str, Project],
    evidence: Mapping[str, OpsEvidence],
) -> Iterator[Finding]:
    needed = {name for release in _releases_here(python, matrix) for name in (*release.declared, *release.asserted)}
    for here, project in _providing(python, projects, ("ops", "lite")):
        subject = project.import_name
        values = (("project", here.name), ("version", here.version))
        found = evidence.get(here.name)
        more: tuple[tuple[str, str], ...]
        mend = (here.name, "--replace", here.name)
        if project.kind == "lite":
            if subject in needed:
                yield Finding(
                    FAIL, "Installed", subject, "lite", values, (subject, "--replace", here.name), here.location
                )
            else:
                yield Finding(NOTE, "Installed", subject, "lite", values, source=here.location)
        elif found is None or not found.extensions:
            more = (("tags", " ".join(here.wheel_tags)),)
            yield Finding(FAIL, "Installed", subject, "op-less", (*values, *more), mend, here.location)
        elif found.missing_libraries:
            more = (
                ("libraries", ", ".join(found.missing_libraries)),
                ("torch", python.torch.version if python.torch else "none"),
            )
            yield Finding(FAIL, "Installed", subject, "missing-libraries", (*values, *more), mend, here.location)
        elif found.unresolved:
            more = (
                ("count", str(len(found.unresolved))),
                ("symbol", found.unresolved[0]),
                ("torch", python.torch.version if python.torch else "none"),
            )
            yield Finding(FAIL, "Installed", subject, "other-torch", (*values, *more), mend, here.location)
        elif found.module_version and public(found.module_version) != public(here.version):
            more = (("module", found.module_version),)
            yield Finding(FAIL, "Installed", subject, "overwritten", (*values, *more), mend, here.location)
        else:
            yield Finding(
                OK, "Installed", subject, "ops", (*values, ("files", str(len(found.extensions)))), source=here.location
            )


def _releases_here(python: Interpreter, matrix: Matrix) -> list[FrameworkRelease]:
    return [
        release
        for here in python.distributions
        for release in matrix.frameworks.get(here.name, ())
        if release.version == here.version
    ]


def _frameworks(
    python: Interpreter, matrix: Matrix, projects: Mapping[str, Project], broken: set[str]
) -> Iterator[Finding]:
    versions = {
        project.import_name: here.version
        for here, project in reversed(_providing(python, projects, ("ops", "lite", "framework", "engine")))
    }
    for here, project in _providing(python, projects, ("framework", "engine")):
        release = next((each for each in matrix.frameworks.get(here.name, ()) if each.version == here.version), None)
        values = (("project", here.name), ("version", here.version))
        if release is None:
            yield Finding(NOTE, "Installed", here.name, "unknown-release", values, source=here.location)
            continue
        complaint = next(_complaints(release, versions, projects, broken), None)
        if complaint is None:
            yield Finding(OK, "Installed", here.name, project.kind, values, source=here.location)
        else:
            status, code, more = complaint
            mend = (f"{here.name}=={here.version}", "--replace", dict(more)["needs"])
            yield Finding(status, "Installed", here.name, code, (*values, *more), mend, release.origin.source)


def _complaints(
    release: FrameworkRelease, versions: Mapping[str, str], projects: Mapping[str, Project], broken: set[str]
) -> Iterator[tuple[str, str, tuple[tuple[str, str], ...]]]:
    for kind, ranges in (("asserted", release.asserted), ("declared", release.declared)):
        for name, span in ranges.items():
            package = projects[name].import_name if name in projects else name
            if package in broken:
                continue
            here = versions.get(package)
            if here is None:
                yield FAIL, "missing-requirement", (("needs", name), ("range", span))
            elif not parse_range(span).admits(here):
                yield FAIL if kind == "asserted" else WARN, kind, (("needs", name), ("range", span), ("found", here))


def _walls(machine: Machine, python: Interpreter, matrix: Matrix) -> Iterator[Finding]:
    # The first of two distributions of one name is the one that is imported.
    versions = {here.name: here.version for here in reversed(python.distributions)}
    if python.torch:
        versions["torch"] = public(python.torch.version)
    for wall, project in standing_walls(matrix.walls, versions, machine.platform, python.minor):
        for needed, span in wall.needs.items():
            here = versions.get(needed)
            values = (
                ("project", f"{project} {versions[project]}"),
                ("needs", needed),
                ("range", span),
                ("found", here or "none"),
                ("fact", wall.fact),
            )
            if here is None and needed == "setuptools" and wall.severity == "breaks":
                yield Finding(
                    FAIL, "Installed", needed, "wall", values, (f"{project}=={versions[project]}",), wall.origin.source
                )
            elif here is None or parse_range(span).admits(here):
                continue
            elif wall.severity == "breaks":
                yield Finding(
                    FAIL,
                    "Installed",
                    needed,
                    "wall",
                    values,
                    (f"{project}=={versions[project]}", "--replace", needed),
                    wall.origin.source,
                )
            else:
                source, minor = wall.origin.source, needed != "torch"
                yield Finding(NOTE, "Installed", project, "some-files", values, source=source, is_minor=minor)
