"""Wheels that have arrived and are not installed yet: what each really is, and whether it can work in the target.

Flow: joins `supply`, wheel inspection and the judges of check-env (`compiled`), which say of a wheel's files what they
say of installed ones. A wheel that cannot work is refused before anything is changed, by `WheelUnfit`; whoever has the
request plans again without it. Compiled ops come before torch, so that a wheel that is no good costs no gigabytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.machine.cuda import variant_to_cuda
from zoo_cli.machine.facts import Distribution, Interpreter, Machine, TorchFacts
from zoo_cli.packages.compiled import Place, refusal
from zoo_cli.packages.evidence import TorchLibraries, evidence_of
from zoo_cli.packages.findings import FAIL, Finding
from zoo_cli.packages.wheels import normalise

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from zoo_cli.catalog.entries import Matrix, Project
    from zoo_cli.packages.evidence import OpsEvidence
    from zoo_cli.packages.plan import Pin, Plan
    from zoo_cli.packages.supply import Supply
    from zoo_cli.trust.wheelreport import WheelReport

JUDGED = ("ops", "companion", "torch")  # kinds of projects whose wheels have compiled code that can be wrong


class WheelUnfit(ZooError):
    """A wheel is what it says, and cannot work in the target."""

    code = "wheel-unfit"
    exit_code = ExitCode.NO_SOLUTION

    pin: Pin
    finding: Finding  # what speaks against it, as check-env would say it once it is installed
    words: tuple[str, ...] = ()  # the command as typed; set by who has it
    cause: ZooError | None = None  # what is to be told when no other wheel can stand for it: not what it says, gone


class Arrival(NamedTuple):
    """A wheel of a plan as a file that was inspected and judged."""

    project: str
    path: Path
    report: WheelReport | None  # None of a source archive: there is no wheel yet


class Judge(NamedTuple):
    """What is known of the target and of projects: enough to judge a wheel for a plan."""

    machine: Machine
    matrix: Matrix
    projects: Mapping[str, Project]

    def require_fit(self, plan: Plan, pin: Pin, report: WheelReport, torch: TorchLibraries | None) -> None:
        """Raises when a wheel's own files show that it cannot work.

        Args:
            plan: what it is part of; its torch is the one to work with.
            pin: the wheel's place in the plan.
            report: what the wheel is.
            torch: what that torch offers; None where it is not known yet.

        Raises:
            WheelUnfit: it cannot work.
        """
        if finding := self.finding(plan, report, torch):
            raise WheelUnfit(pin, finding)

    def finding(self, plan: Plan, report: WheelReport, torch: TorchLibraries | None) -> Finding | None:
        """Why a wheel cannot work with the plan, by its own files; None where nothing in it says so."""
        python = self.machine.python
        return refusal_here(self._place(plan, python), self.projects, report, torch) if python else None

    def torch_that_stays(self, plan: Plan) -> TorchLibraries | None:
        """What the installed torch offers, when the plan keeps it."""
        python = self.machine.python
        is_kept = any(pin.project == "torch" and pin.action == "keep" for pin in plan.pins)
        if not is_kept or python is None:
            return None
        from zoo_cli.packages.extensions import read_torch_libraries

        return read_torch_libraries(python)

    def _place(self, plan: Plan, python: Interpreter) -> Place:
        """The target as it will be, with the plan's torch."""
        build, keeps = plan.stack.cell.torch, {pin.project for pin in plan.pins if pin.action == "keep"}
        if "torch" not in keeps:
            torch = _torch_to_be(build.version + build.local, build.variant, build.index_url)
            python = python._replace(torch=torch)
        return Place(self.machine, python, self.matrix)


def _torch_to_be(version: str, variant: str, source: str) -> TorchFacts:
    """A torch that will be installed, as its own version file will tell."""
    hip = variant.removeprefix("rocm") if variant.startswith("rocm") else None
    return TorchFacts(version, variant_to_cuda(variant), hip, source)


def require_locked_fit(judge: Judge, variant: str, wheels: Sequence[tuple[Pin, WheelReport]]) -> None:
    """Judges the wheels of a lock that arrive together.

    Args:
        judge: what is known of the target.
        variant: of the lock's torch: cu121, cpu.
        wheels: each with its place in the lock.

    Raises:
        WheelUnfit: one of them cannot work.
    """
    python = judge.machine.python
    if python is None:
        return
    arriving = next(((pin, report) for pin, report in wheels if pin.project == "torch"), None)
    if arriving:
        libraries = libraries_in(arriving[1]) if arriving[1].has_ops else None
    else:
        from zoo_cli.packages.extensions import read_torch_libraries

        libraries = read_torch_libraries(python)
    place = locked_place(judge, python, variant, arriving[0].version if arriving else None)
    for pin, report in wheels:
        if finding := refusal_here(place, judge.projects, report, libraries):
            raise WheelUnfit(pin, finding)


def locked_place(judge: Judge, python: Interpreter, variant: str, torch: str | None) -> Place:
    """A target as a lock makes it; `torch` is the version that arrives, None where the one there stays."""
    if torch:
        python = python._replace(torch=_torch_to_be(torch, variant, ""))
    return Place(judge.machine, python, judge.matrix)


def refusal_here(
    place: Place, projects: Mapping[str, Project], report: WheelReport, torch: TorchLibraries | None
) -> Finding | None:
    """Why a wheel cannot work in a place, by its own files; None where nothing in it says so, and for other projects.

    Args:
        place: the target, with the torch that the wheel is to work with.
        projects: those of the index.
        report: what the wheel is.
        torch: what that torch offers; None where it is not known.
    """
    name = normalise(report.name)
    project = projects.get(name)
    if project is None or project.kind not in JUDGED or (project.kind == "torch" and not report.has_ops):
        return None
    found = evidence_in(report, name, torch if project.kind != "torch" else None)
    if found.glibcxx:
        from zoo_cli.packages.extensions import read_libstdcxx

        found = found._replace(glibcxx_here=read_libstdcxx(place.python))
    here = Distribution(name, report.version, str(report.path), wheel_tags=report.tags)
    return refusal(place, here, project, found)


def evidence_in(report: WheelReport, project: str, torch: TorchLibraries | None) -> OpsEvidence:
    """What a wheel's own compiled files say."""
    own = [each for each in report.extensions if not each.is_vendored]
    return evidence_of(project, [(each.path.rpartition("/")[2], each.binary) for each in own], torch)


def libraries_in(report: WheelReport) -> TorchLibraries:
    """What a wheel of torch offers to extensions."""
    from zoo_cli.trust.torchsymbols import TORCH_LIBRARY

    inside = {each.path.rpartition("/")[2]: each for each in report.extensions if each.path.startswith("torch/lib/")}
    elfs = [each.elf for name, each in inside.items() if each.elf and TORCH_LIBRARY.match(name)]
    return TorchLibraries(frozenset(inside), frozenset[str]().union(*(each.defined for each in elfs)))


def arrive(plan: Plan, supply: Supply, judge: Judge) -> tuple[Arrival, ...]:
    """Fetches, inspects and judges every wheel of a plan that zoo fetches itself.

    Raises:
        ZooError: of the transfer; `WheelUnfit` of a wheel that is not there, is not what it says, or cannot work.
    """
    arrived: list[Arrival] = []
    pins = {pin.project: pin for pin in plan.fetched}
    torch = judge.torch_that_stays(plan)
    for pin in sorted(pins.values(), key=lambda pin: pin.project == "torch"):
        path, report = _received(pin, supply)
        if report:
            judge.require_fit(plan, pin, report, torch)
        arrived.append(Arrival(pin.project, path, report))
    last = arrived[-1].report if "torch" in pins else None
    if last and last.has_ops:
        torch = libraries_in(last)
        for each in arrived[:-1]:
            if each.report:
                judge.require_fit(plan, pins[each.project], each.report, torch)
    return tuple(arrived)


def _received(pin: Pin, supply: Supply) -> tuple[Path, WheelReport | None]:
    """The file of a pin, fetched; a wheel is inspected, or was when the same bytes came before.

    Raises:
        ZooError: of the transfer; `WheelUnfit` when the page's wheel is not there, or not what it says.
    """
    from zoo_cli.transfer.failures import HttpFailed
    from zoo_cli.trust.wheel import UnreadableWheel
    from zoo_cli.trust.wheelreport import UnsoundWheel, require_sound

    cause: ZooError
    try:
        path, sha256, _size = supply.wheel(pin)
        return path, require_sound(supply.inspections.report(path, sha256)) if path.suffix == ".whl" else None
    except UnsoundWheel as error:
        why, cause = f"{error.problems[0].code}: {error.problems[0].detail}", error
    except UnreadableWheel as error:
        why, cause = f"it cannot be read: {error.reason}", error
    except HttpFailed as error:
        if error.status not in (404, 410):
            raise
        why, cause = f"the server answers {error.status} {error.reason}".rstrip(), error
    values = (("file", pin.file_name), ("why", why))
    raise WheelUnfit(pin, Finding(FAIL, "Installed", pin.project, "unsound", values), cause=cause) from cause
