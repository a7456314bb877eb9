"""What is right and wrong with a machine and the packages installed in one interpreter.

Pure. Facts come in (machine, matrix, what was read from the installed compiled extensions), findings go out: a
status, the subject, a code and its values; the sentences are written in `zoo_cli.cli.findings_view`. An effect is
told once, at its cause. Each failure carries the words of the one command that mends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_cli.machine.cuda import Coverage
from zoo_cli.packages.compiled import Place, compiled_findings
from zoo_cli.packages.findings import FAIL, NOTE, OK, WARN, Finding, machine_findings
from zoo_cli.packages.grid import Drivers, is_cuda
from zoo_cli.packages.installed import find_build, providing, releases_here, torch_variant
from zoo_cli.packages.versions import parse_range, public

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from zoo_cli.catalog.entries import FrameworkRelease, Matrix, Project
    from zoo_cli.machine.facts import Distribution, Interpreter, Machine
    from zoo_cli.packages.evidence import OpsEvidence, Surroundings


def diagnose(
    machine: Machine,
    matrix: Matrix,
    projects: Mapping[str, Project],
    evidence: Mapping[str, OpsEvidence],
    around: Surroundings | None = None,
) -> tuple[Finding, ...]:
    """All findings, causes before effects."""
    findings = [*machine_findings(machine, matrix)]
    if machine.python and not machine.is_described:
        findings += _with_sources(machine.python, _installed(machine, machine.python, matrix, projects, evidence))
        findings += _around(machine.python, projects, around) if around else ()
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
    here = compiled_findings(Place(machine, python, matrix), projects, evidence)
    for finding in (*_owners(python, projects, matrix), *here):
        if finding.subject in broken:
            continue  # told once, at its cause
        if finding.status == FAIL:
            broken.add(finding.subject)
        yield finding
    yield from _frameworks(python, matrix, projects, broken)
    if python.distributions:
        yield from _walls(machine, python, matrix)


def _with_sources(python: Interpreter, findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings, those about what was built from a source with that source; and one for everything else so built."""
    sources = {here.name: here for here in reversed(python.distributions) if here.built_from}
    told = set[str]()
    for finding in findings:
        here = sources.get(finding.get("project") or finding.subject)
        if here and here.name not in told:
            told.add(here.name)
            yield finding._replace(values=(*finding.values, *_source_values(here)))
        else:
            yield finding
    for name, here in sorted(sources.items()):
        if name not in told:
            values = (("project", name), ("version", here.version), *_source_values(here))
            yield Finding(OK, "Installed", name, "from-source", values, source=here.location)


def _source_values(here: Distribution) -> Iterator[tuple[str, str]]:
    """The source as values, those that it has, by the names of PEP 610."""
    source = here.built_from
    assert source is not None
    yield "url", source.url
    for name in ("vcs", "commit_id", "requested_revision", "subdirectory", "sha256"):
        if value := getattr(source, name):
            yield name, value
    yield "editable", "true" if source.editable else "false"


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


def _owners(python: Interpreter, projects: Mapping[str, Project], matrix: Matrix) -> Iterator[Finding]:
    """Two distributions that own one import package overwrite each other."""
    by_import: dict[str, list[Distribution]] = {}
    for here, project in providing(python, projects, ("ops", "lite", "framework", "engine")):
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
    for release in releases_here(python, matrix):
        for ranges in (release.asserted, release.declared):
            span = ranges.get(here.name)
            if span and not parse_range(span).admits(here.version):
                return here.name
    return f"{here.name}=={public(here.version)}"


def _origin_page(here: Distribution) -> tuple[str, ...]:
    """Where the installed wheel came from, when that is a directory on this computer."""
    url = here.direct_url.url.partition("#")[0] if here.direct_url else ""
    if url.startswith("file://") and url.endswith(".whl"):
        return ("--find-links", url.rpartition("/")[0] + "/")
    return ()


def _frameworks(
    python: Interpreter, matrix: Matrix, projects: Mapping[str, Project], broken: set[str]
) -> Iterator[Finding]:
    versions = {
        project.import_name: here.version
        for here, project in reversed(providing(python, projects, ("ops", "lite", "framework", "engine")))
    }
    for here, project in providing(python, projects, ("framework", "engine")):
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
    from zoo_cli.packages.cautions import standing_walls  # here: a described machine needs none of it

    # The first of two distributions of one name is the one that is imported.
    versions = {here.name: here.version for here in reversed(python.distributions)}
    if python.torch:
        versions["torch"] = public(python.torch.version)
    standing = list(standing_walls(matrix.walls, versions, machine.platform, python.minor))
    for wall, project in standing:
        for needed, span in wall.needs.items():
            here = versions.get(needed)
            must_be_there = needed == "setuptools" or not span
            is_missing = here is None and must_be_there and wall.severity == "breaks"
            if not is_missing and (here is None or parse_range(span).admits(here)):
                continue
            values = (
                ("project", f"{project} {versions[project]}"),
                ("needs", needed),
                ("range", span),
                ("found", here or "none"),
                ("fact", wall.fact),
                ("wall", wall.id),
            )
            source = wall.origin.source
            if wall.severity != "breaks":
                is_minor = needed != "torch"
                yield Finding(NOTE, "Installed", project, "some-files", values, source=source, is_minor=is_minor)
            elif needed == "torch":
                mend = (f"{project}=={versions[project]}", "--replace", needed)
                yield Finding(FAIL, "Installed", needed, "wall", values, mend, source)
            else:
                spans = dict.fromkeys(each.needs[needed] for each, _project in standing if needed in each.needs)
                command = _library(python, needed + ",".join(filter(None, spans)))
                yield Finding(FAIL, "Installed", needed, "wall", values, source=source, command=command)


def _library(python: Interpreter, requirement: str, *options: str) -> tuple[str, ...]:
    """The command that installs an ordinary library, by the installer that the target has."""
    if python.distribution("pip"):
        return ("PYTHON", "-m", "pip", "install", *options, requirement)
    return ("uv", "pip", "install", "--python", "PYTHON", *options, requirement)


def _around(python: Interpreter, projects: Mapping[str, Project], around: Surroundings) -> Iterator[Finding]:
    numpy = python.distribution("numpy")
    for project, version, file in around.numpy1:
        values = (
            ("project", project),
            ("version", version),
            ("file", file),
            ("numpy", numpy.version if numpy else "none"),
        )
        if _may_have_numpy1(python):
            command = _library(python, "numpy<2")
        else:
            command = _library(python, project, "--upgrade", "--no-cache-dir")
        yield Finding(FAIL, "Installed", project, "numpy-abi", values, command=command)
    for project, wheel, tool in around.cached:
        command = (
            ("PYTHON", "-m", "pip", "cache", "remove", project) if tool == "pip" else ("uv", "cache", "clean", project)
        )
        package = projects[project].import_name
        told = (("project", project), ("package", package), ("wheel", wheel), ("tool", tool))
        yield Finding(WARN, "Installed", project, "cached-op-less", told, command=command)


def _may_have_numpy1(python: Interpreter) -> bool:
    """Whether numpy 1 has wheels for this Python, and nothing installed asks for numpy 2."""
    from packaging.requirements import Requirement

    if tuple(map(int, python.minor.split("."))) > (3, 12):
        return False
    for here in python.distributions:
        for text in here.requires:
            environment = {"python_version": python.minor, "python_full_version": python.version, "extra": ""}
            try:
                asked = Requirement(text) if text.startswith("numpy") else None
                stands = asked is not None and (asked.marker is None or asked.marker.evaluate(environment))
                if asked and asked.name == "numpy" and stands and not asked.specifier.contains("1.26.4"):
                    return False
            except ValueError:  # no requirement, or a number of too many digits
                continue
    return True
