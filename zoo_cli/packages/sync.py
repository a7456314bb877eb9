"""Syncing: making an environment equal a lock, and no more.

`decide_sync` is pure: what arrives, what leaves, what stays, or every reason why the lock does not fit here. `sync`
does it as one change of the environment: each wheel is fetched by its digest and inspected before anything is touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.packages.executor import Step, find_installer, run_step
from zoo_cli.packages.plan import BUILD_TOOLS
from zoo_cli.packages.versions import version as parsed
from zoo_cli.packages.wheels import parse_wheel_name, tags_for

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from zoo_cli.machine.facts import Interpreter, Machine
    from zoo_cli.packages.lockfile import Lock, LockedFile, LockedPackage

STAYING = frozenset({"pip", "zoo-cli"})  # tools that a lock does not speak of


class Unfit(NamedTuple):
    """One reason why a lock does not fit a machine."""

    code: str  # environment | requires-python | driver | glibc | gpu | no-wheel
    wanted: str
    found: str


class LockDoesNotFit(ZooError):
    """The lock was made for other machines."""

    code = "lock-does-not-fit"
    exit_code = ExitCode.NO_SOLUTION

    path: str
    python: str
    reasons: tuple[Unfit, ...]
    requested: tuple[str, ...]  # what the lock was made for


class NoLockFits(ZooError):
    """None of several locks is for this machine."""

    code = "no-lock-fits"
    exit_code = ExitCode.NO_SOLUTION

    python: str
    locks: tuple[LockDoesNotFit, ...]


class SeveralLocksFit(ZooError):
    """Several locks are for this machine, and none of them more than the others."""

    code = "several-locks-fit"
    exit_code = ExitCode.USAGE

    paths: tuple[str, ...]


class Arrival(NamedTuple):
    """A package that comes, as the wheel that fits best."""

    package: LockedPackage
    wheel: LockedFile
    was: str | None  # the version it replaces


class Sync(NamedTuple):
    """What making an environment equal a lock means."""

    arrivals: tuple[Arrival, ...]
    leaving: tuple[tuple[str, str], ...]  # (project, version)
    staying: tuple[tuple[str, str], ...]

    @property
    def replaced(self) -> tuple[tuple[str, str, str], ...]:
        """What is replaced or removed: (project, old version, new version or "")."""
        changed = [(each.package.project, each.was, each.package.version) for each in self.arrivals if each.was]
        return (*changed, *((name, old, "") for name, old in self.leaving))

    @property
    def harms(self) -> tuple[tuple[str, str, str], ...]:
        """Those of them that other programs in the environment may feel; build tools are not among them."""
        return tuple(change for change in self.replaced if change[0] not in BUILD_TOOLS)


def decide_sync(lock: Lock, machine: Machine, path: str) -> Sync:
    """What arrives in, leaves and stays in the machine's target interpreter.

    Raises:
        LockDoesNotFit: the lock is for other machines; every reason at once.
    """
    python = machine.python
    assert python is not None
    environment = marker_environment(machine, python)
    reasons = list(_reasons(lock, machine, python, environment))
    tags = {tag: rank for rank, tag in enumerate(tags_for(python.tag, machine.platform, machine.libc))}
    wanted = {each.project: each for each in lock.packages if _applies(each.marker, environment)}
    chosen = {name: _best(each, tags) for name, each in wanted.items()}
    reasons += [
        Unfit("no-wheel", f"{name} {each.version}", "an sdist only" if each.sdist and not each.wheels else "no wheel")
        for name, each in wanted.items()
        if chosen[name] is None
    ]
    if reasons:
        raise LockDoesNotFit(path, python.executable, tuple(reasons), lock.requested)
    installed = {each.name: each.version for each in python.distributions if _is_own(each.location, python)}
    arrivals = [
        Arrival(wanted[name], wheel, installed.get(name))
        for name, wheel in sorted(chosen.items())
        if wheel and not _is_there(installed.get(name), wanted[name].version)
    ]
    extra = installed.keys() - wanted.keys()
    stays = (wanted.keys() - {each.package.project for each in arrivals}) | (extra & STAYING)
    return Sync(
        tuple(arrivals),
        tuple(sorted((name, installed[name]) for name in extra - STAYING)),
        tuple(sorted((name, installed[name]) for name in stays)),
    )


def choose_lock(locks: Mapping[str, Lock], machine: Machine) -> str:
    """The path of the lock for this machine: of those that fit, the one of the newest CUDA, before the CPU's.

    Raises:
        LockDoesNotFit, NoLockFits: none fits; every reason.
        SeveralLocksFit: two fit equally.
    """
    if len(locks) == 1:
        return next(iter(locks))
    fitting, refused = [], []
    for path, lock in sorted(locks.items()):
        try:
            decide_sync(lock, machine, path)
        except LockDoesNotFit as error:
            refused.append(error)
        else:
            fitting.append((_cuda_number(lock), path))
    if not fitting:
        raise NoLockFits(refused[0].python, tuple(refused))
    best = max(fitting)[0]
    paths = tuple(path for number, path in fitting if number == best)
    if len(paths) > 1:
        raise SeveralLocksFit(paths)
    return paths[0]


def _cuda_number(lock: Lock) -> tuple[int, ...]:
    from zoo_cli.machine.cuda import variant_to_cuda, version_key

    cuda = variant_to_cuda(lock.variant)
    return version_key(cuda) if cuda else ()


def _is_own(location: str, python: Interpreter) -> bool:
    """Whether a distribution stands in the environment itself, not in what it sees of others."""
    return location in (python.site_packages, python.platlib)


def _is_there(found: str | None, wanted: str) -> bool:
    return found is not None and parsed(found) == parsed(wanted)


def _best(package: LockedPackage, tags: Mapping[str, int]) -> LockedFile | None:
    """The wheel whose best tag is the target's best."""
    ranked = [
        (min(ranks), wheel)
        for wheel in package.wheels
        if (ranks := [tags[tag] for tag in parse_wheel_name(wheel.name).tags if tag in tags])
    ]
    return min(ranked)[1] if ranked else None


def _reasons(lock: Lock, machine: Machine, python: Interpreter, environment: Mapping[str, str]) -> Iterator[Unfit]:
    from packaging.specifiers import SpecifierSet

    from zoo_cli.machine.cuda import driver_runs

    here = f"{machine.os} {machine.arch}, Python {python.version}"
    if lock.environment and not _applies(lock.environment, environment):
        yield Unfit("environment", lock.environment, here)
    if lock.requires_python and not SpecifierSet(lock.requires_python).contains(python.version, prereleases=True):
        yield Unfit("requires-python", lock.requires_python, python.version)
    driver, glibc = lock.minimum.get("driver"), lock.minimum.get("glibc")
    if driver and not (machine.driver and driver_runs(machine.driver, driver)):
        yield Unfit("driver", driver, machine.driver or "no NVIDIA driver")
    if glibc and machine.libc and not _libc_is_enough(machine.libc.kind, machine.libc.version, glibc):
        yield Unfit("glibc", glibc, f"{machine.libc.kind} {machine.libc.version}")
    yield from _unserved(lock, machine)


def _unserved(lock: Lock, machine: Machine) -> Iterator[Unfit]:
    """GPUs for which a wheel has no code; torch needs machine code, since its libraries have no PTX."""
    from zoo_cli.machine.cuda import Coverage, covers

    for project, targets in lock.targets.items():
        enough = (Coverage.SASS,) if project == "torch" else (Coverage.SASS, Coverage.PTX)
        for gpu in machine.gpus:
            if gpu.vendor == "nvidia" and gpu.capability and covers(targets, gpu.capability, True) not in enough:
                yield Unfit("gpu", f"{project}: {' '.join(targets)}", f"{gpu.name}, {gpu.capability}")


def _libc_is_enough(kind: str, found: str, wanted: str) -> bool:
    return kind == "glibc" and parsed(found) >= parsed(wanted)


def _applies(marker: str | None, environment: Mapping[str, str]) -> bool:
    from packaging.markers import Marker

    return not marker or Marker(marker).evaluate(dict(environment))


def marker_environment(machine: Machine, python: Interpreter) -> dict[str, str]:
    """What environment markers ask, of a target interpreter that is not ours (PEP 508)."""
    system, platform = {
        "linux": ("Linux", "linux"),
        "windows": ("Windows", "win32"),
        "macos": ("Darwin", "darwin"),
    }.get(machine.os, (machine.os, machine.os))
    names = {"cpython": "CPython", "pypy": "PyPy"}
    return {
        "implementation_name": python.implementation,
        "implementation_version": python.version,
        "os_name": "nt" if machine.os == "windows" else "posix",
        "platform_machine": "AMD64" if platform == "win32" and machine.arch == "amd64" else machine.arch,
        "platform_python_implementation": names.get(python.implementation, python.implementation),
        "platform_release": "",
        "platform_system": system,
        "platform_version": "",
        "python_full_version": python.version,
        "python_version": python.minor,
        "sys_platform": platform,
    }


@dataclass(frozen=True)
class Work:
    """What syncing needs from outside."""

    begin: Callable[[], AbstractContextManager[int]]  # the change in the environment's journal
    fetch: Callable[[LockedFile], Path]  # the file of that digest
    inspect: Callable[[Sequence[tuple[Arrival, Path]]], None]  # raises when one is unsound or cannot work here
    check: Callable[[Collection[str]], None]  # raises when compiled ops among the projects do not work
    tell: Callable[[str], None]  # what is being done now
    say: Callable[[str], None]  # lines of child processes


def sync(decided: Sync, python: Interpreter, work: Work) -> tuple[Step, ...]:
    """Makes the environment equal the lock, as one change; gives the commands that did it.

    Raises:
        ZooError: of transfer, inspection, journal, installer or the check of the ops; the environment is as it was.
    """
    files = [(each, work.fetch(each.wheel)) for each in decided.arrivals]
    work.inspect(files)
    installer = find_installer(python.executable, version=python.version)
    steps = [*installer.prepare]
    if decided.replaced:
        # Owners of one import package overwrite each other's files, so what leaves goes first.
        steps.append(
            installer.uninstall([name for name, _old, _new in decided.replaced], "remove what the lock has not")
        )
    if files:
        steps.append(installer.install_files([path for _arrival, path in files], "install the lock"))
    with work.begin() as lock:
        for step in steps:
            work.tell(f"{step.reason} ({installer.kind})")
            work.say(f"$ {step.command}")
            run_step(step, work.say, held=(lock,))
        work.check([each.package.project for each in decided.arrivals])
    return tuple(steps)
