"""Making a lock from a plan, and lock files on disk.

Edge: reads and writes lock files, and asks uv for the ordinary dependencies. The binary stack is the plan's, each wheel
by its address and digest; everything else is what uv resolves under the plan's bounds, from the user's own index.
"""

from __future__ import annotations

import os
import sys
import tempfile
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from zoo_cli.atomic import write_whole
from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.packages.executor import NoInstaller, StepFailed, constraints_file, find_uv, run_step
from zoo_cli.packages.indexes import UserIndex, user_index
from zoo_cli.packages.locked import Lock, LockedFile, LockedPackage, LockedSource
from zoo_cli.packages.lockfile import (
    FILE_NAME,
    MAX_BYTES,
    BadLock,
    check_name,
    environment_marker,
    from_document,
    is_lock_name,
    least_glibc,
    to_document,
    without_credentials,
)
from zoo_cli.packages.steps import Step
from zoo_cli.packages.wheelless import NoWheel, needed_wheels, require_wheels
from zoo_cli.trust.wheel import inspect_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from zoo_cli.catalog.entries import Toolkit
    from zoo_cli.machine.facts import Capability, Machine
    from zoo_cli.packages.findlinks import Link
    from zoo_cli.packages.given import Given
    from zoo_cli.packages.plan import Pin, Plan
    from zoo_cli.packages.sources import Source
    from zoo_cli.packages.supply import Supply
    from zoo_cli.transfer.sources import Kind

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


_WHEEL = "Wheel-Version: 1.0\nGenerator: zoo\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


class CannotLock(ZooError):
    """The plan holds something that is built here, where only wheels can be taken or nothing can be built."""

    code = "cannot-lock"
    exit_code = ExitCode.USAGE

    project: str
    version: str
    reason: str = "wheels"  # wheels (only those are taken) | machine (what it needs is known once it is built here)


@dataclass(frozen=True)
class Building:
    """What locking something that is built takes from outside."""

    given: Mapping[str, Given]  # by project: the sources that the user gave
    sdist: Callable[[Pin], Link]  # the source archive on the user's index, with its digest
    build: Callable[[Pin], Path]  # the wheel, to learn what it needs


def find_locks(folder: Path) -> tuple[Path, ...]:
    """The locks of a directory: `pylock.zoo.toml`, else every one that PEP 751 names; the former if there is none."""
    first = folder / FILE_NAME
    if first.is_file():
        return (first,)
    return tuple(sorted(path for path in folder.glob("pylock*.toml") if is_lock_name(path.name))) or (first,)


def read_lock(path: Path) -> Lock:
    """The lock in a file.

    A path in it is relative to the lock's directory, and absolute in what is returned.

    Raises:
        BadLock: it is not there, too large, or no lock.
    """
    check_name(path.as_posix())
    try:
        with path.open("rb") as file:
            body = file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise BadLock(str(path), exc.strerror or type(exc).__name__) from exc
    if len(body) > MAX_BYTES:
        raise BadLock(str(path), f"larger than {MAX_BYTES >> 20} MiB")
    lock = from_document(_tables(body, str(path)), str(path))
    folder = path.absolute().parent
    return replace(lock, packages=tuple(_placed(each, lambda place: _from(folder, place)) for each in lock.packages))


def _placed(package: LockedPackage, move: Callable[[str], str]) -> LockedPackage:
    """The package with the path of its source, where it has one, moved."""
    source = package.built_from
    if source is None or "://" in source.place:
        return package
    return package._replace(built_from=source._replace(place=move(source.place)))


def _from(folder: Path, place: str) -> str:
    return os.path.normpath(folder / place)


def _seen_from(folder: Path, place: str) -> str:
    """A path as a lock in a folder names it: relative within one project, else absolute."""
    path = Path(place)
    is_near = path.is_relative_to(folder) or folder.is_relative_to(path)
    return Path(os.path.relpath(path, folder)).as_posix() if is_near else path.as_posix()


def _tables(body: bytes, path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as exc:  # not UTF-8, not TOML, a number of too many digits
        raise BadLock(path, f"not a TOML file: {str(exc)[:200]}") from exc


def write_lock(lock: Lock, path: Path, created_by: str) -> None:
    """Writes the lock as a whole.

    Raises:
        BadLock: pip and uv would not take that name, or it cannot be written.
    """
    import tomli_w

    check_name(path.as_posix())
    folder = path.absolute().parent
    packages = tuple(_placed(each, lambda place: _seen_from(folder, place)) for each in lock.packages)
    text = tomli_w.dumps(to_document(replace(lock, packages=packages), created_by))
    try:
        write_whole(path, text.encode())
    except OSError as exc:
        raise BadLock(str(path), exc.strerror or type(exc).__name__) from exc


def make_lock(
    plan: Plan,
    machine: Machine,
    supply: Supply,
    toolkits: tuple[Toolkit, ...],
    say: Callable[[str], None] | None,
    places: Sequence[str] = (),
    building: Building | None = None,
) -> Lock:
    """The plan with everything it needs, as a lock; wheels whose digest nobody published are fetched to learn it.

    Args:
        plan: made as if nothing were installed.
        machine: what it was made for.
        supply: where wheels come from.
        toolkits: CUDA toolkits with the drivers they need.
        say: told the lines of uv.
        places: local directories that hold ordinary packages, too.
        building: how to lock what is built; None: only wheels are taken.

    Raises:
        CannotLock: something is built here, and only wheels are taken.
        NoWheel: something has no wheel that fits.
        NoInstaller: there is no uv.
        ZooError: of the transfer, or `StepFailed` of uv.
    """
    builds = [pin for pin in plan.pins if pin.kind == "build"]
    if builds and building is None:
        raise CannotLock(builds[0].project, builds[0].version)
    assert machine.python is not None
    needs = {pin: _requires(pin, building) for pin in builds if building}
    files = {
        pin.project: (pin, _located(pin, supply)) for pin in require_wheels(supply.confirmed(plan, machine)).fetched
    }
    words = plan.requirements(lambda pin: files[pin.project][1][0])
    with tempfile.TemporaryDirectory(prefix="zoo-lock-") as folder:
        built_ones = (_stand_in(pin, requires, Path(folder)) for pin, requires in needs.items())
        only = tuple(places) if supply.settings.offline else None
        index = user_index(prefix=machine.python.prefix)._replace(only=only)
        resolved = _resolve((*words, *built_ones), plan.limits, machine, say, index, places)
    built = tuple(_built(pin, building) for pin in builds if building)
    ours = tuple(
        LockedPackage(project, pin.version, (file,), None, None, pin.evidence, without_credentials(pin.source))
        for project, (pin, (_place, file)) in files.items()
    )
    own = {*files, *(pin.project for pin in builds)}
    rest = tuple(_shared(each) for each in resolved.packages if each.project not in own)
    packages = tuple(sorted((*ours, *built, *rest), key=lambda each: each.project))
    python = machine.python
    return Lock(
        requires_python=f"=={python.minor}.*",
        environment=environment_marker(machine.os, machine.arch, python.version),
        packages=packages,
        requested=plan.words,
        index_date=plan.index_date,
        variant=plan.variant,
        machine=_facts(machine),
        minimum=_minimum(plan, machine, packages, toolkits),
        targets=_targets(plan),
    )


def _requires(pin: Pin, building: Building) -> tuple[str, ...]:
    """What a project that is built needs: as its files say it plainly, else as its wheel does."""
    given = building.given.get(pin.project)
    if given and given.requires is not None:
        return given.requires
    return inspect_wheel(building.build(pin)).requires


def _stand_in(pin: Pin, requires: Sequence[str], folder: Path) -> str:
    """A requirement for uv's resolver, which never builds: a wheel that has nothing but the project's metadata."""
    name = pin.project.replace("-", "_")
    path = folder / f"{name}-{pin.version}-py3-none-any.whl"
    lines = ["Metadata-Version: 2.1", f"Name: {pin.project}", f"Version: {pin.version}"]
    lines += [f"Requires-Dist: {' '.join(each.split())}" for each in requires]
    texts = {"METADATA": "".join(f"{line}\n" for line in lines), "WHEEL": _WHEEL}
    about = f"{name}-{pin.version}.dist-info"
    texts["RECORD"] = "".join(f"{about}/{each},,\n" for each in (*texts, "RECORD"))
    with zipfile.ZipFile(path, "w") as wheel:
        for each, text in texts.items():
            wheel.writestr(f"{about}/{each}", text)
    return f"{pin.spelled} @ {path.as_uri()}"


def _built(pin: Pin, building: Building) -> LockedPackage:
    """A project that is built, with what its source is pinned by."""
    if given := building.given.get(pin.project):
        return LockedPackage(pin.project, pin.version, (), built_from=_locked_source(given.source))
    link = building.sdist(pin)
    assert link.sha256 is not None
    sdist = LockedFile(link.filename, without_credentials(link.url), link.sha256, link.size_bytes)
    return LockedPackage(pin.project, pin.version, (), sdist)


def _locked_source(source: Source) -> LockedSource:
    kind = {"git": "vcs", "folder": "directory", "sdist": "archive"}[source.kind]
    digest = "" if source.kind == "folder" else source.digest  # a folder may change
    place = source.url or source.place
    return LockedSource(kind, place, digest, source.requested, source.subdirectory, source.is_editable)


def _located(pin: Pin, supply: Supply) -> tuple[str, LockedFile]:
    """The address that uv reads the wheel's metadata from, and the wheel as the lock names it."""
    url = without_credentials(pin.urls[0])
    if pin.sha256 and not url.startswith("file:"):
        kind: Kind = "package-index" if pin.kind == "registry" else "wheels"
        place = supply.mirrors.all_addresses(pin.urls, kind)[0]
        return f"{place}#sha256={pin.sha256}", LockedFile(pin.file_name, url, pin.sha256, pin.size_bytes)
    held = supply.wheel(pin)
    return held.path.as_uri(), LockedFile(pin.file_name, url, held.sha256, held.size_bytes)


def _resolve(
    words: Sequence[str],
    limits: Sequence[str],
    machine: Machine,
    say: Callable[[str], None] | None,
    index: UserIndex,
    places: Sequence[str],
) -> Lock:
    """What uv makes of the words under the limits for the machine's interpreter, described or there."""
    uv = find_uv()
    python = machine.python
    assert python is not None
    if not uv:
        raise NoInstaller(python.executable, "a lock needs uv, which resolves for other machines, too")
    with tempfile.TemporaryDirectory(prefix="zoo-lock-") as folder, constraints_file(limits) as bounds:
        wanted, answer = Path(folder, "wanted.txt"), Path(folder, "pylock.toml")
        wanted.write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
        target = (
            ("--python-version", python.version, "--python-platform", _platform(machine))
            if machine.is_described
            else ("--python", python.executable)
        )
        links = [word for place in places for word in ("--find-links", place)]
        how = ["--format", "pylock.toml", "--only-binary", ":all:", "--no-header", "--quiet", "-o", str(answer)]
        how += [*(index.words("uv") or links), "--constraints", str(bounds)]
        argv = (uv, "pip", "compile", "--no-config", *target, *how, "--", str(wanted))
        step = Step(argv, index.variables("uv"), "resolve the dependencies")
        try:
            run_step(step, say)
        except StepFailed as failed:
            if needed := needed_wheels(failed.lines):
                raise NoWheel(needed, builds=False) from failed
            raise
        document = _tables(answer.read_bytes(), "uv's answer")
    return from_document({**document, "packages": [_named(each) for each in document["packages"]]}, "uv's answer")


def _named(table: Mapping[str, Any]) -> dict[str, Any]:
    """A package as uv wrote it, with what a lock of ours needs: a local wheel is a path there, and has no digest."""
    archive = table.get("archive")
    if not isinstance(archive, dict):
        return dict(table)
    place = archive.get("url") or Path(archive["path"]).as_uri()
    name = unquote(urlsplit(place).path.rpartition("/")[2])
    hashes = {"sha256": archive.get("hashes", {}).get("sha256", "0" * 64)}  # replaced by the plan's own
    version = table.get("version") or name.split("-")[1]
    rest = {key: value for key, value in table.items() if key != "archive"}
    return {**rest, "version": version, "wheels": [{"name": name, "url": place, "hashes": hashes}]}


def _shared(package: LockedPackage) -> LockedPackage:
    """The package without anybody's password, and without sources: a lock installs wheels."""
    wheels = tuple(each._replace(url=without_credentials(each.url)) for each in package.wheels)
    return package._replace(wheels=wheels, sdist=None)


def _platform(machine: Machine) -> str:
    """The platform as uv calls it."""
    arch = {"arm64": "aarch64", "amd64": "x86_64"}.get(machine.arch, machine.arch)
    if machine.os == "linux":
        major, _, minor = (machine.libc.version if machine.libc else "2.28").partition(".")
        kind = "musllinux" if machine.libc and machine.libc.kind == "musl" else "manylinux"
        return f"{arch}-{kind}_{major}_{minor}"
    return {"windows": f"{arch}-pc-windows-msvc", "macos": f"{arch}-apple-darwin"}[machine.os]


def _facts(machine: Machine) -> dict[str, str]:
    """The machine in the words of `--machine`."""
    assert machine.python is not None
    facts = {"os": machine.os, "arch": machine.arch, "python": machine.python.minor}
    if machine.libc:
        facts[machine.libc.kind] = machine.libc.version
    if machine.driver:
        facts["driver"] = machine.driver
    if machine.gpus:
        facts["gpu"] = ", ".join(gpu.name for gpu in machine.gpus)
    return facts


def _minimum(
    plan: Plan, machine: Machine, packages: tuple[LockedPackage, ...], toolkits: tuple[Toolkit, ...]
) -> dict[str, str]:
    """The least machine that the lock runs on."""
    from zoo_cli.machine.cuda import variant_to_cuda

    assert machine.python is not None
    least = {"python": machine.python.minor}
    names = [each.wheels[0].name for each in packages if each.wheels]
    if machine.os == "linux" and (glibc := least_glibc(names)):
        least["glibc"] = glibc
    cuda = variant_to_cuda(plan.variant)
    toolkit = next((each for each in toolkits if each.cuda == cuda), None)
    floor = toolkit and (toolkit.floor_windows if machine.os == "windows" else toolkit.floor_linux)
    if floor:
        least["driver"] = floor
    if spans := [span for span in map(_span, _targets(plan).values()) if span]:
        least["compute-capability"] = f"{max(low for low, _ in spans)} to {min(high for _, high in spans)}"
    return least


def _targets(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Project -> the CUDA code targets that are published of its wheel."""
    from zoo_cli.catalog.entries import OpsWheels

    build = plan.stack.cell.torch
    rows = {
        "torch": build.targets,
        **{each.project: each.targets for each in plan.stack.ops if isinstance(each, OpsWheels)},
    }
    return {name: tuple(targets) for name, targets in rows.items() if targets}


def _span(targets: Sequence[str]) -> tuple[Capability, Capability]:
    """The oldest and the newest GPU that has machine code among the targets; a minor that is not listed is no gap."""
    from zoo_cli.machine.cuda import parse_target

    found = sorted(parse_target(each).capability for each in targets)
    return found[0], found[-1]
