"""Installing: does what a plan says.

Flow: joins the plan with the edges (`executor`, `smoke`, `builder`) and does none of their work itself. `execute` gives
a receipt. Wheels of the binary stack have been fetched, inspected and judged by zoo (`arrivals`) before an installer
sees them; ordinary dependencies are left to uv or pip under the plan's bounds.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.packages.binding import UnplannedProject, kept_out
from zoo_cli.packages.directurl import record
from zoo_cli.packages.executor import StepFailed, constraints_file, find_installer, run_step
from zoo_cli.packages.grid import is_cuda
from zoo_cli.packages.indexes import user_index
from zoo_cli.packages.plan import COMPANIONS, address_of
from zoo_cli.packages.problem import TORCH_FAMILY
from zoo_cli.packages.steps import Installer, Step
from zoo_cli.packages.wheelless import NoWheel, needed_wheels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from zoo_cli.machine.facts import DirectUrl, Interpreter
    from zoo_cli.packages.arrivals import Arrival, Judge
    from zoo_cli.packages.explain import Way
    from zoo_cli.packages.plan import Pin, Plan
    from zoo_cli.packages.smoke import Check, OpsReport
    from zoo_cli.trust.wheelreport import WheelReport


LIMITS = "zoo-limits.txt"  # in printed commands: the file with the plan's limits
BUILT = "zoo-wheels"  # in printed commands: the directory for wheels that are built


class ExternallyManaged(ZooError):
    """The target interpreter belongs to the operating system (PEP 668)."""

    code = "externally-managed"
    exit_code = ExitCode.ENVIRONMENT

    python: str
    marker: str
    words: tuple[str, ...]


class NotWritable(ZooError):
    """The target's site-packages cannot be written."""

    code = "not-writable"
    exit_code = ExitCode.ENVIRONMENT

    python: str
    site_packages: str
    words: tuple[str, ...]


class NeedsConsent(ZooError):
    """The plan replaces installed packages and nobody can be asked."""

    code = "needs-consent"
    exit_code = ExitCode.USAGE

    words: tuple[str, ...]
    changes: tuple[tuple[str, str, str], ...]
    allowed_by: tuple[str, ...]  # the words that allow it


class RunsCode(ZooError):
    """Sources that were given run their own code when they are built, and nobody can be asked."""

    code = "runs-code"
    exit_code = ExitCode.USAGE

    sources: tuple[str, ...]
    words: tuple[str, ...]


class OpsBroken(ZooError):
    """The packages were installed, and their compiled ops do not work."""

    code = "ops-broken"
    exit_code = ExitCode.ENVIRONMENT

    python: str
    failures: tuple[Check, ...]
    words: tuple[str, ...]  # the command as typed
    ways: tuple[Way, ...] = ()  # other stacks that the solver has; set by who can solve


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an install did."""

    plan: Plan
    python: str
    steps: tuple[Step, ...]
    wheels: tuple[WheelReport, ...]
    ops: OpsReport | None
    seconds: float


def check_target(python: Interpreter, words: tuple[str, ...]) -> None:
    """Refuses an interpreter that must not or cannot be installed into.

    Raises:
        ExternallyManaged: it belongs to the operating system.
        NotWritable: its site-packages cannot be written.
    """
    if python.externally_managed:
        raise ExternallyManaged(python.executable, python.externally_managed, words)
    if not python.is_writable:
        raise NotWritable(python.executable, python.site_packages, words)


def commands(
    plan: Plan,
    installer: Installer,
    only: tuple[str, ...] | None = None,
    mirrored: Callable[[str], str] = lambda url: url,
) -> tuple[Step, ...]:
    """The steps of a plan as they would be typed: addresses instead of files that zoo has fetched.

    The file `LIMITS` holds the plan's limits; sources that the user gave are left out, since zoo alone builds them.

    Args:
        plan: what to do.
        installer: what does it.
        only: the directories that everything comes from where there is no network.
        mirrored: the address to ask for an address.
    """
    limits = Path(LIMITS) if plan.limits else None
    words = plan.requirements(lambda pin: mirrored(address_of(pin)))
    builds = [pin for pin in plan.pins if pin.kind == "build" and not pin.source]
    steps = [*installer.prepare, *_leaving(plan, installer)]
    if builds:
        steps += _arriving(plan, installer, _needed_to_build(words), constraints=limits, only=only)
    for pin in builds:
        argv = ("zoo", "build", f"{pin.project}=={pin.version}", "--python", installer.python, "-o", BUILT)
        steps.append(Step(argv, {}, f"build {pin.project}"))
    words += tuple(f"{pin.project}=={pin.version}" for pin in builds)
    places = (BUILT,) if builds else ()
    return (*steps, *_arriving(plan, installer, words, constraints=limits, only=only, places=places))


def _needed_to_build(words: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the words that a build needs in place: the target's own torch is what it compiles against."""
    return tuple(word for word in words if word.startswith(("torch @", "torch==", "numpy", "setuptools")))


def _leaving(plan: Plan, installer: Installer) -> list[Step]:
    """Owners of one import package overwrite each other's files, so all of them go before one comes back."""
    same = [pin.project for pin in plan.pins if pin.kind == "build" and pin.was == pin.version]
    if not plan.removals:
        return [installer.uninstall(same, "remove the same version, which is built anew")] if same else []
    replaced = [pin.project for pin in plan.pins if pin.action == "replace" and pin.project not in TORCH_FAMILY]
    names = sorted({*replaced, *same, *(each.name for each in plan.removals)})
    return [installer.uninstall(names, "remove what owns the same import package")]


def _arriving(
    plan: Plan,
    installer: Installer,
    requirements: tuple[str, ...],
    reason: str = "install the plan",
    constraints: Path | None = None,
    only: tuple[str, ...] | None = None,
    places: tuple[str, ...] = (),
) -> list[Step]:
    words = (*requirements, *plan.constraints())
    if not words:
        return []
    index = user_index(prefix=installer.prefix)._replace(only=only)
    return [installer.install_requirements(words, index=index, constraints=constraints, places=places, reason=reason)]


@dataclass(frozen=True)
class Work:
    """Everything that executing a plan needs from outside."""

    python: str  # the target interpreter
    python_version: str
    words: tuple[str, ...]  # the command as typed
    begin: Callable[[], AbstractContextManager[int]]  # the change in the environment's journal; gives its lock
    judge: Judge
    started: float  # by the clock, before the first wheel was fetched
    tell: Callable[[str], None]  # what is being done now
    say: Callable[[str], None]  # lines of child processes
    clock: Callable[[], float]
    build: Callable[[Pin], Path]  # compiles a wheel; called for pins of kind `build`
    sites: Callable[[], tuple[Path, ...]]  # the directories of the environment's packages
    sources: Mapping[str, DirectUrl] = field(default_factory=dict)  # by project: what the user gave to build from
    only: tuple[str, ...] | None = None  # without network: the directories that everything comes from


def execute(plan: Plan, arrived: Sequence[Arrival], work: Work) -> Receipt:
    """Does what a confirmed plan says, as one change of the environment: wholly, or it is as it was.

    Args:
        plan: what to do.
        arrived: its wheels, fetched and judged (`arrivals.arrive`).
        work: how.

    Raises:
        ZooError: of the journal, the installer, a build; `NoWheel` and `UnplannedProject` of an ordinary dependency;
            `OpsBroken` when the ops do not run afterwards.
    """
    files = {each.project: _exactly(each) for each in arrived} | _built_before(plan, work)
    _rehearse(plan, work, files)
    with work.begin() as lock:
        steps, built = _change(plan, work, files, lock)
        record(_came_from(plan, work), work.sites())
        ops = _check(plan, work, lock)
    reports = (*(each.report for each in arrived if each.report), *built)
    return Receipt(plan, work.python, steps, reports, ops, work.clock() - work.started)


def _came_from(plan: Plan, work: Work) -> dict[str, DirectUrl | None]:
    """What did not come as the file that the installer was given: it was built, or belongs to a package index."""
    arriving = (pin for pin in plan.pins if pin.action != "keep" and pin.kind in ("build", "registry"))
    return {pin.project: work.sources.get(pin.project) for pin in arriving}


def _built_before(plan: Plan, work: Work) -> dict[str, str]:
    """Project -> the file of what is built before anything is changed: ordinary projects need no torch for that."""
    from zoo_cli.packages.builder import CannotBuild

    found = {}
    for pin in plan.pins:
        if pin.kind == "build" and not pin.source and pin.project not in work.judge.projects:
            with contextlib.suppress(CannotBuild):  # it is built with torch: when that is in place
                found[pin.project] = work.build(pin).as_uri()
    return found


def _rehearse(plan: Plan, work: Work, files: Mapping[str, str]) -> None:
    """Finds out before the first step of several what the last one would run into; one step alone does so itself.

    Raises:
        NoWheel, UnplannedProject: an ordinary dependency cannot come.
    """
    installer = find_installer(work.python, version=work.python_version)
    builds = any(pin.kind == "build" for pin in plan.pins)
    if installer.prepare or not (builds or _leaving(plan, installer)):
        return
    words = (*_requirements(plan, files), *plan.constraints())
    index = user_index(prefix=installer.prefix)._replace(only=work.only)
    with constraints_file(plan.limits) as bounds:
        reason = "see whether everything can come"
        step = installer.install_requirements(words, index=index, constraints=bounds, rehearse=True, reason=reason)
        with contextlib.suppress(StepFailed):  # such as of a pip that cannot rehearse: the step itself will tell
            _run(step, installer, work, (), plan.limits)


def _requirements(plan: Plan, files: Mapping[str, str]) -> tuple[str, ...]:
    """Words for the installer, with what was fetched or built as the files they are."""
    built = (f"{pin.project} @ {files[pin.project]}" for pin in plan.pins if _is_built(pin, files))
    return (*plan.requirements(lambda pin: files[pin.project]), *built)


def _is_built(pin: Pin, files: Mapping[str, str]) -> bool:
    return pin.kind == "build" and pin.project in files


def _exactly(arrived: Arrival) -> str:
    """The address of a file with the digest of what was inspected: no installer takes other bytes that came since."""
    digest = f"#sha256={arrived.report.sha256}" if arrived.report else ""
    return arrived.path.as_uri() + digest


def _change(plan: Plan, work: Work, files: Mapping[str, str], lock: int) -> tuple[tuple[Step, ...], list[WheelReport]]:
    """Runs every step of the plan; gives them, and what the inspection of compiled wheels found."""
    from zoo_cli.trust.wheel import inspect_wheel
    from zoo_cli.trust.wheelreport import require_sound

    reports = []
    installer = find_installer(work.python, version=work.python_version)
    steps = [*installer.prepare, *_leaving(plan, installer)]
    local = _requirements(plan, files)
    builds = [pin for pin in plan.pins if pin.kind == "build" and pin.project not in files]
    if builds:
        first = _needed_to_build(local)
        steps += _arriving(plan, installer, first, "install torch to build against", only=work.only)
    for step in steps:
        _run(step, installer, work, (lock,), plan.limits)
    for pin in builds:
        path = work.build(pin)
        reports.append(require_sound(inspect_wheel(path)))  # whoever built it has judged it
        local += (f"{pin.project} @ {path.as_uri()}",)
    return (*steps, *_finish(plan, work, installer, local, lock)), reports


def _finish(plan: Plan, work: Work, installer: Installer, requirements: tuple[str, ...], lock: int) -> list[Step]:
    """Installs the plan with its ordinary dependencies, which bring no other project of the index along."""
    with constraints_file(plan.limits) as bounds:
        steps = _arriving(plan, installer, requirements, constraints=bounds, only=work.only)
        for step in steps:
            _run(step, installer, work, (lock,), plan.limits)
    return steps


def _run(step: Step, installer: Installer, work: Work, held: tuple[int, ...], limits: tuple[str, ...]) -> None:
    """Runs a step under the plan's limits.

    Raises:
        UnplannedProject: an ordinary dependency needs a project of the index.
        NoWheel: one has no wheel that fits.
        StepFailed: anything else.
    """
    work.tell(f"{step.reason} ({installer.kind})")
    work.say(f"$ {step.command}")
    heard: list[str] = []

    def hear(line: str) -> None:
        heard.append(line)
        work.say(line)

    try:
        run_step(step, hear, held=held)
    except StepFailed as failed:
        if project := kept_out(failed.lines, limits):
            raise UnplannedProject(project, failed.lines, work.words) from failed
        if needed := needed_wheels(heard):
            raise NoWheel(needed, words=work.words) from failed
        raise


def _check(plan: Plan, work: Work, lock: int) -> OpsReport | None:
    arriving = {pin.project for pin in plan.pins if pin.action != "keep"}
    names = [ops.import_name for ops in plan.stack.ops] + [name for name in COMPANIONS if name in arriving]
    if names:
        work.tell(f"run the ops of {' and '.join(names)}")
    refusing = {dict(each.values)["package"] for each in plan.cautions if each.code == "relaxed-assert"}
    frameworks = sorted({each.import_name for each in plan.stack.frameworks.values()} - refusing)
    imports = [*names, *frameworks] if names else []
    gpus = any(gpu.vendor == "nvidia" for gpu in work.judge.machine.gpus) and bool(work.judge.machine.driver)
    expects_gpu = gpus and is_cuda(plan.variant)
    return require_working_ops(
        work.python, work.python_version, imports, work.words, expects_gpu=expects_gpu, held=(lock,)
    )


def require_working_ops(
    python: str,
    version: str,
    imports: list[str],
    words: tuple[str, ...],
    *,
    expects_gpu: bool = False,
    held: tuple[int, ...] = (),
) -> OpsReport | None:
    """Loads packages and runs their compiled ops in a child of the target; None when there is nothing to run.

    Args:
        python: the target interpreter.
        version: of Python there.
        imports: names of import packages, those with ops first.
        words: the command as typed.
        expects_gpu: torch must find a GPU.
        held: locks that the child holds as well (see `check_ops`).

    Raises:
        OpsBroken: something that was installed does not work.
    """
    from zoo_cli.packages.smoke import check_ops

    if not imports:
        return None
    report = check_ops(python, imports, version=version, expects_gpu=expects_gpu, held=held)
    if not report.is_ok:
        raise OpsBroken(python, report.failed, words)
    return report
