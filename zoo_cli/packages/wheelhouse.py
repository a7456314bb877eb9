"""An environment in a bundle or a directory: its lock as one section of the manifest, and every wheel of it.

Flow. The lock is the one that `zoo lock` would write, with one wheel a package: the one that fits the machine it was
made for. Out of a bundle it is read as strictly as any lock, and each wheel is inspected before an installer sees it.
"""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from zoo_cli.atomic import write_whole
from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.packages.export import head
from zoo_cli.packages.findlinks import page_address
from zoo_cli.packages.lockfile import BadLock, from_document, to_document
from zoo_cli.packages.sync import wheels_for
from zoo_cli.transfer.failures import DestinationUnusable
from zoo_cli.transfer.hashes import parse_sha256
from zoo_cli.trust.bundle import BadBundle

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from zoo_cli.machine.facts import Machine
    from zoo_cli.packages.locked import Lock, LockedFile, LockedPackage
    from zoo_cli.packages.supply import Supply
    from zoo_cli.trust.bundle import Bundle

SECTION = "environment"


class NoEnvironment(ZooError):
    """The bundle was made without an environment."""

    code = "no-environment"
    exit_code = ExitCode.USAGE

    bundle: str


def environment_section(
    lock: Lock, machine: Machine, supply: Supply, created_by: str
) -> tuple[dict[str, Any], dict[str, Path]]:
    """The lock as the manifest has it, and its wheels by digest, all fetched.

    Raises:
        LockDoesNotFit: There is no wheel of a package for the machine.
        ZooError: Of the transfer.
    """
    files: dict[str, Path] = {}
    packages = []
    for package, wheel in wheels_for(lock, machine, SECTION):
        received = supply.file(wheel.name, (wheel.url,), parse_sha256(wheel.sha256), wheel.size_bytes)
        files[wheel.sha256] = received.path
        packages.append(_only(package, wheel, received.size_bytes))
    return to_document(replace(lock, packages=tuple(packages)), created_by), files


def write_wheelhouse(lock: Lock, machine: Machine, supply: Supply, directory: Path) -> tuple[LockedFile, ...]:
    """Every wheel of the lock for the machine in a directory, verified, with pages and requirements; gives the wheels.

    The wheels lie side by side, as pip and uv want them for `--no-index --find-links DIR`. `index.html` lists them with
    their digests (PEP 503); a page in upstream's layout lists those with compiled ops, since only its address tells
    which torch they were built for. What else is in the directory stays, and is not listed.

    Raises:
        LockDoesNotFit: There is no wheel of a package for the machine.
        DestinationUnusable: The directory cannot be written.
        ZooError: Of the transfer.
    """
    arrivals = wheels_for(lock, machine, str(directory))
    wheels = []
    for _package, wheel in arrivals:
        place, digest = directory / wheel.name, parse_sha256(wheel.sha256)
        received = supply.file(wheel.name, (wheel.url,), digest, wheel.size_bytes, place=place)
        wheels.append(wheel._replace(size_bytes=received.size_bytes))
    torch = lock.package("torch")
    told = [wheel for package, wheel in arrivals if package.evidence]
    if torch and lock.variant:
        page = directory / page_address("", lock.variant, torch.version).lstrip("/")
        _write(page, _page(told, "../../"))
    _write(directory / "index.html", _page(wheels, ""))
    pins = [f"{package.project}=={package.version} --hash=sha256:{wheel.sha256}" for package, wheel in arrivals]
    _write(directory / "requirements.txt", "".join(f"{line}\n" for line in (*head(lock), *pins)))
    return tuple(wheels)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
    except OSError as exc:
        raise DestinationUnusable(str(path), exc.strerror or str(exc)) from exc


def _page(wheels: Sequence[LockedFile], above: str) -> str:
    """A find-links page of wheels that lie `above` it, each with its digest."""
    lines = [f'<a href="{above}{quote(each.name)}#sha256={each.sha256}">{escape(each.name)}</a><br>' for each in wheels]
    before = ("<!DOCTYPE html>", "<html><head><title>Links for wheels</title></head><body>")
    return "\n".join([*before, *lines, "</body></html>", ""])


def _only(package: LockedPackage, wheel: LockedFile, size_bytes: int) -> LockedPackage:
    """The package with this wheel alone; a path of the machine where it was made says nothing elsewhere."""
    url = f"bundle:{wheel.name}" if wheel.url.startswith("file:") else wheel.url
    source = "" if package.source.startswith(("file:", "/")) else package.source
    return package._replace(wheels=(wheel._replace(url=url, size_bytes=size_bytes),), source=source)


def lock_of(bundle: Bundle) -> Lock:
    """The lock of a bundle's environment.

    Raises:
        NoEnvironment: There is none.
        BadBundle: It is no lock, or names a wheel that is not in the bundle.
    """
    document = bundle.manifest.get(SECTION)
    if document is None:
        raise NoEnvironment(str(bundle.path))
    if not isinstance(document, dict):
        raise BadBundle(str(bundle.path), "its environment is no lock")
    try:
        lock = from_document(document, str(bundle.path))
    except BadLock as exc:
        raise BadBundle(str(bundle.path), f"its environment is no lock: {exc.problem}") from exc
    if built := next((each.project for each in lock.packages if not each.wheels), None):
        raise BadBundle(str(bundle.path), f"{built} has no wheel in it")
    for wheel in (each for package in lock.packages for each in package.wheels):
        if wheel.sha256 not in bundle.sizes:
            raise BadBundle(str(bundle.path), f"{wheel.name} is not in it")
    return lock


def unpacked_wheel(bundle: Bundle, wheel: LockedFile, cache: Path) -> Path:
    """A wheel of a bundle as a file in the cache, under its own name.

    Raises:
        BadBundle: It is not what its digest says.
        DestinationUnusable, NoSpace: The cache's side.
    """
    place = (
        cache / "wheels" / "bundle" / wheel.sha256[:16] / wheel.name
    )  # `from_document` has read the name as a wheel's
    bundle.put(wheel.sha256, place, replace=True)
    return place
