"""Syncing: making an environment equal a lock, and no more.

`decide_sync` is pure: what arrives, what leaves, what stays, or every reason why the lock does not fit here. `sync`
does it as one change of the environment: each wheel is fetched by its digest and inspected before anything is touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.machine.facts import DirectUrl
from zoo_cli.packages.directurl import record
from zoo_cli.packages.executor import find_installer, run_step
from zoo_cli.packages.plan import BUILD_TOOLS
from zoo_cli.packages.versions import version as parsed
from zoo_cli.packages.wheels import parse_wheel_name, tags_for

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from zoo_cli.machine.facts import Distribution, Interpreter, Machine
    from zoo_cli.packages.given import Given
    from zoo_cli.packages.locked import Lock, LockedFile, LockedPackage
    from zoo_cli.packages.steps import Step

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


class LockedSourceDiffers(ZooError):
    """What a lock names as a source is another project or version than was locked."""

    code = "locked-source-differs"
    exit_code = ExitCode.INTEGRITY

    project: str
    source: str
    locked: str
    found: str


class Arrival(NamedTuple):
    """A package that comes, as the wheel that fits best, or built here from its source or sdist."""

    package: LockedPackage
    wheel: LockedFile | None  # None: it is built
    was: str | None  # the version it replaces

    @property
    def source(self) -> DirectUrl | None:
        """What it is recorded to come from, when that is no package index."""
        locked = self.package.built_from
        if locked is None:
            return None
        url = locked.place if "://" in locked.place else Path(locked.place).as_uri()
        if locked.kind == "vcs":
            return DirectUrl(url, "git", locked.digest, locked.requested, locked.subdirectory)
        return DirectUrl(url, subdirectory=locked.subdirectory, sha256=locked.digest, editable=locked.is_editable)


class Sync(NamedTuple):
    """What making an environment equal a lock means."""

    arrivals: tuple[Arrival, ...]
    leaving: tuple[tuple[str, str], ...]  # (project, version)
    staying: tuple[tuple[str, str], ...]

    @property
    def builds(self) -> tuple[Arrival, ...]:
        """What is built here, whose code runs for that."""
        return tuple(each for each in self.arrivals if each.wheel is None)

    @property
    def sources(self) -> dict[str, DirectUrl]:
        """Where what arrives comes from, as far as it does not come from a package index."""
        return {each.package.project: each.source for each in self.arrivals if each.source}

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
        Unfit("no-wheel", f"{name} {each.version}", "no wheel")
        for name, each in wanted.items()
        if chosen[name] is None and not each.sdist and not each.built_from
    ]
    if reasons:
        raise LockDoesNotFit(path, python.executable, tuple(reasons), lock.requested)
    own = {each.name: each for each in python.distributions if _is_own(each.location, python)}
    installed = {name: each.version for name, each in own.items()}
    coming = (Arrival(wanted[name], wheel, installed.get(name)) for name, wheel in sorted(chosen.items()))
    arrivals = [each for each in coming if not _is_there(own.get(each.package.project), each)]
    extra = installed.keys() - wanted.keys()
    stays = (wanted.keys() - {each.package.project for each in arrivals}) | (extra & STAYING)
    return Sync(
        tuple(arrivals),
        tuple(sorted((name, installed[name]) for name in extra - STAYING)),
        tuple(sorted((name, installed[name]) for name in stays)),
    )


def wheels_for(lock: Lock, machine: Machine, path: str) -> tuple[tuple[LockedPackage, LockedFile], ...]:
    """What arrives on the machine when nothing but wheels can be taken along.

    Raises:
        LockDoesNotFit: the lock is for other machines, or something of it is built.
    """
    decided = decide_sync(lock, machine, path)
    if built := [each.package for each in decided.builds]:
        assert machine.python is not None
        reasons = tuple(Unfit("no-wheel", f"{each.project} {each.version}".strip(), "no wheel") for each in built)
        raise LockDoesNotFit(path, machine.python.executable, reasons, lock.requested)
    return tuple((each.package, each.wheel) for each in decided.arrivals if each.wheel)


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


def _is_there(found: Distribution | None, wanted: Arrival) -> bool:
    """Whether it is installed, at its version and from its source; what a folder holds now nobody recorded."""
    if found is None or (wanted.package.version and parsed(found.version) != parsed(wanted.package.version)):
        return False
    if wanted.source is None:
        return found.built_from is None
    here, there = found.direct_url, wanted.source
    return here is not None and here._replace(requested_revision="") == there._replace(requested_revision="")


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
    sites: Callable[[], tuple[Path, ...]]  # the directories of the environment's packages
    find: Callable[[Arrival], Given]  # the source of what is built, fetched and looked into; nothing of it runs
    build: Callable[[Given], Path]  # its wheel
    fetch: Callable[[LockedFile], Path]  # the file of that digest
    inspect: Callable[[Sequence[tuple[Arrival, Path]]], None]  # raises when one is unsound or cannot work here
    check: Callable[[Collection[str], int], None]  # raises when compiled ops among the projects do not work; the lock
    tell: Callable[[str], None]  # what is being done now
    say: Callable[[str], None]  # lines of child processes


def sync(decided: Sync, python: Interpreter, work: Work) -> tuple[Step, ...]:
    """Makes the environment equal the lock, as one change; gives the commands that did it.

    Raises:
        ZooError: of transfer, inspection, journal, installer or the check of the ops; the environment is as it was.
    """
    files = [(each, work.fetch(each.wheel)) for each in decided.arrivals if each.wheel]
    work.inspect(files)
    sources = [_same(each, work.find(each)) for each in decided.builds]
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
        for given in sources:  # with torch in place
            step = installer.install_files([work.build(given)], f"install {given.project}")
            run_step(step, work.say, held=(lock,))
            steps.append(step)
        record(_came_from(decided), work.sites())
        work.check([each.package.project for each in decided.arrivals], lock)
    return tuple(steps)


def _same(arrival: Arrival, given: Given) -> Given:
    """The source that was found, when it is what was locked.

    Raises:
        LockedSourceDiffers: it is another project or version.
    """
    locked, found = arrival.package, f"{given.project} {given.version}"
    if given.project != locked.project or (locked.version and parsed(given.version) != parsed(locked.version)):
        expected = f"{locked.project} {locked.version}".strip()
        raise LockedSourceDiffers(locked.project, given.source.shown, expected, found)
    return given


def _came_from(decided: Sync) -> dict[str, DirectUrl | None]:
    """What is recorded instead of files of the cache: sources; nothing of what a package index has by name."""
    named = (each for each in decided.arrivals if each.wheel is None or not each.package.evidence)
    return {each.package.project: each.source for each in named}
