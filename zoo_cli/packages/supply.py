"""Wheels of the binary stack on their way here: asked for on their page, fetched by zoo itself, never by an installer.

Flow: joins find-links pages and the transfer room. A wheel's digest is its page's, else the one it had when it first
came.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.packages.binding import NotAtSource, files_of
from zoo_cli.packages.grid import python_of
from zoo_cli.packages.indexes import PYPI, UserIndex, user_index
from zoo_cli.packages.problem import TORCH_FAMILY
from zoo_cli.packages.wheels import Fits, WheelTarget, fits, parse_wheel_name, tags_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo_cli.machine.facts import Machine
    from zoo_cli.packages.findlinks import Link
    from zoo_cli.packages.plan import Pin, Plan
    from zoo_cli.transfer.events import Listener
    from zoo_cli.transfer.fetch import Received
    from zoo_cli.transfer.hashes import Sha256
    from zoo_cli.transfer.settings import Settings
    from zoo_cli.transfer.sources import Kind, Mirrors
    from zoo_cli.transfer.store import Store
    from zoo_cli.trust.inspected import Inspections
    from zoo_cli.trust.seen import Seen


class WheelGone(ZooError):
    """A wheel that the index knows is not on its page any more."""

    code = "wheel-gone"
    exit_code = ExitCode.NETWORK

    project: str
    file: str
    page: str
    known_since: str  # the day the index read about it
    yanked: str | None  # the reason it was taken back, "" without one; None when it is not there at all
    address: str  # where the index expects it
    words: tuple[str, ...] = ()  # the command as typed; set by who has it


class Held(NamedTuple):
    """A wheel of a plan as a file of this computer, its digest just verified."""

    path: Path
    sha256: Sha256
    size_bytes: int


@dataclass(frozen=True)
class Supply:
    """Where wheels come from, how, and where they are kept."""

    store: Store
    seen: Seen  # digests as they first came
    mirrors: Mirrors
    settings: Settings
    listen: Listener

    def confirmed(self, plan: Plan, machine: Machine) -> Plan:
        """The plan with its wheels as their pages have them today, and projects of the package index as files of it.

        Raises:
            WheelGone: a page does not offer one any more.
            NotAtSource: the package index does not have a version.
            ZooError: of the transfer: the package index did not answer.
        """
        pins = {pin.project: self.confirm(pin, _wanted(pin, plan, machine)) for pin in plan.fetched}
        if plan.unbound and not self.settings.offline:
            prefix = machine.python.prefix if machine.python and not machine.is_described else ""
            index = user_index(prefix=prefix)
            pins |= {pin.project: self.bind(pin, _wanted(pin, plan, machine), index) for pin in plan.unbound}
        limits = plan.limits if plan.is_done else tuple(self._mirrored(limit) for limit in plan.limits)
        return plan._replace(pins=tuple(pins.get(pin.project, pin) for pin in plan.pins), limits=limits)

    def _mirrored(self, limit: str) -> str:
        """A constraint whose address, if it has one, is the first that has the file: an installer asks no other."""
        name, is_address, url = limit.partition(" @ ")
        if not is_address:
            return limit
        *mirrors, last = self.mirrors.addresses(url, "wheels")
        if self.settings.offline:
            return f"{name} @ {(*mirrors, last)[0]}"
        from zoo_cli.transfer.sizes import size_of

        has_it = (each for each in mirrors if size_of((each,), self.settings) is not None)
        return f"{name} @ {next(has_it, last)}"

    def bind(self, pin: Pin, target: WheelTarget, index: UserIndex) -> Pin:
        """The pin as a file of its own source: the first of the user's indexes, in their order, that has the project.

        A later index, or a page of wheels, never gets to offer another file under the same name; also not when the
        first one does not answer.

        Raises:
            NotAtSource: none has the project, or the one that has it lacks the version.
            ZooError: of the transfer.
        """
        from zoo_cli.packages.pages import read_project
        from zoo_cli.transfer.addresses import redacted

        roots = (index.index_url or PYPI, *index.extra_urls)
        for root in roots:
            page = f"{root.rstrip('/')}/{pin.project}/"
            links = read_project(self.mirrors.addresses(page, "package-index"), self.settings)
            if links is None:
                continue
            link = _best(tuple(files_of(links, pin.version)), target)
            if link is None:
                raise NotAtSource(pin.project, pin.version, redacted(page))
            return pin._replace(
                urls=(link.url,), sha256=link.sha256, size_bytes=link.size_bytes, page=page, source=redacted(page)
            )
        raise NotAtSource(pin.project, pin.version, redacted(roots[-1]))

    def confirm(self, pin: Pin, target: WheelTarget) -> Pin:
        """The pin as its page has it today: exact file, digest; as the index has it when the page cannot be read.

        Args:
            pin: a wheel of the plan; where the index knows its page only, the page's best wheel is taken.
            target: what the wheel has to fit.

        Raises:
            WheelGone: the page is there, and does not list the file or has taken it back (PEP 592).
        """
        from zoo_cli.packages.pages import read_listing
        from zoo_cli.transfer.events import Noted

        if not pin.page or pin.sha256 or self.settings.offline or not pin.page.startswith("http"):
            return pin
        quick = self.settings._replace(retries=0, connect_seconds=5.0, total_seconds=30.0)
        for page in self.mirrors.addresses(pin.page, "wheels"):
            listing = read_listing((page,), quick)
            if listing.skipped:
                why = listing.skipped[0].error.code
                self.listen(Noted(f"{page} was not read ({why}): {_named(pin)} is as the index knows it"))
                continue
            link = _link_of(pin, listing.links, target)
            if link is None or link.yanked is not None:
                raise WheelGone(pin.project, _named(pin), page, pin.date, link.yanked if link else None, pin.urls[0])
            found = pin._replace(sha256=link.sha256, size_bytes=link.size_bytes, evidence="seen", source=page)
            if link.filename == pin.file_name:
                return found
            return found._replace(urls=(link.url,), version=parse_wheel_name(link.filename).full_version)
        return pin

    def wheel(self, pin: Pin) -> Held:
        """The wheel of a pin as a file of this computer.

        Raises:
            ZooError: of the transfer.
        """
        from zoo_cli.transfer.hashes import parse_sha256

        url = pin.urls[0]
        if url.startswith("file:"):
            return _checked(Path(unquote(urlsplit(url).path)), pin)
        digest = parse_sha256(pin.sha256) if pin.sha256 else self.seen.digest_of(url)
        kind: Kind = "package-index" if pin.kind == "registry" else "wheels"
        received = self.file(pin.file_name, pin.urls, digest, pin.size_bytes, kind)
        self.seen.record(url, received.sha256)
        return Held(received.path, received.sha256, received.size_bytes)

    @property
    def inspections(self) -> Inspections:
        """What wheels are, remembered beside the store."""
        from zoo_cli.trust.inspected import Inspections

        return Inspections(self.store.root, self.seen.directory)

    def file(
        self,
        name: str,
        urls: tuple[str, ...],
        digest: Sha256 | None,
        size_bytes: int | None = None,
        kind: Kind = "wheels",
        place: Path | None = None,
    ) -> Received:
        """A wheel by its addresses and, where it is known, its digest; in the cache, or at another place.

        Raises:
            ZooError: of the transfer.
        """
        from zoo_cli.transfer.fetch import fetch
        from zoo_cli.transfer.sources import Wanted

        addresses = map(user_index().with_credentials, self.mirrors.all_addresses(urls, kind))
        wanted = Wanted(name, tuple(addresses), size_bytes, digest)
        place = place or wheel_place(self.store.root, urls[0])
        return fetch(wanted, place, self.settings, self.listen, store=self.store, replace=True)


def _checked(path: Path, pin: Pin) -> Held:
    """A file of this computer, read, and compared with the digest that its page promises."""
    from zoo_cli.transfer.failures import HashMismatch
    from zoo_cli.transfer.store import digest_of

    size, received = digest_of(path)
    if pin.sha256 and received != pin.sha256:
        raise HashMismatch(pin.urls[0], path.name, pin.sha256, received, "agreed")
    return Held(path, received, size)


def _wanted(pin: Pin, plan: Plan, machine: Machine) -> WheelTarget:
    """What a wheel of the plan has to fit."""
    build = plan.stack.cell.torch
    python = machine.python.version if machine.python else python_of(plan.python)
    tags = tags_for(plan.python, machine.platform, machine.libc)
    if pin.kind == "registry" or pin.project in TORCH_FAMILY:
        return WheelTarget(pin.project, python, tags, pin.version)
    return WheelTarget(pin.project, python, tags, pin.version, build.version, build.variant, needs_ops=True)


def _named(pin: Pin) -> str:
    """How a wheel is named to people: its file, or project and version where only a page is known."""
    return pin.file_name if pin.file_name.endswith(".whl") else f"{pin.project} {pin.version}"


def _link_of(pin: Pin, links: Sequence[Link], target: WheelTarget) -> Link | None:
    """The link of a pin's file; where no file name is known, of the wheel that fits the target best."""
    if pin.file_name.endswith(".whl"):
        return next((link for link in links if link.filename == pin.file_name), None)
    return _link_of_best(links, target)


def _link_of_best(links: Sequence[Link], target: WheelTarget) -> Link | None:
    """The wheel that fits the target best; the first of equals."""
    fitting = ((fits(link, target), link) for link in links if link.filename.endswith(".whl"))
    ranked = [(found.rank, number, link) for number, (found, link) in enumerate(fitting) if isinstance(found, Fits)]
    return min(ranked)[2] if ranked else None


def _best(files: Sequence[Link], target: WheelTarget) -> Link | None:
    """The wheel that fits best, else the source archive; None when the target can take neither."""
    archives = (link for link in files if not link.filename.endswith(".whl"))
    return _link_of_best(files, target) or next(archives, None)


def wheel_place(cache: Path, url: str) -> Path:
    """The name of a fetched wheel in the cache: its host and path, which tell what it was built for.

    uv and pip record it, and check-env names its directory as find-links; the bytes are the store's, by a hard link.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "local") + (f"_{parts.port}" if parts.port else "")
    segments = [segment for segment in unquote(parts.path).split("/") if segment not in ("", ".", "..")]
    return cache.joinpath("wheels", host, *segments)
