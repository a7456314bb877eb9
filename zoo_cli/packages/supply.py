"""Wheels of the binary stack on their way here: asked for on their page, fetched by zoo itself, never by an installer.

Flow: joins find-links pages and the transfer room. A wheel's digest is its page's, else the one it had when it first
came.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from zoo_cli.errors import ExitCode, ZooError

if TYPE_CHECKING:
    from zoo_cli.packages.plan import Pin
    from zoo_cli.transfer.events import Listener
    from zoo_cli.transfer.fetch import Received
    from zoo_cli.transfer.hashes import Sha256
    from zoo_cli.transfer.settings import Settings
    from zoo_cli.transfer.sources import Mirrors
    from zoo_cli.transfer.store import Store
    from zoo_cli.trust.seen import Seen


@dataclass(eq=False)
class WheelGone(ZooError):
    """A wheel that the index knows is not on its page any more."""

    code = "wheel-gone"
    exit_code = ExitCode.NETWORK

    project: str
    file: str
    page: str
    known_since: str  # the day the index read about it


@dataclass(frozen=True)
class Supply:
    """Where wheels come from, how, and where they are kept."""

    store: Store
    seen: Seen  # digests as they first came
    mirrors: Mirrors
    settings: Settings
    listen: Listener

    def confirm(self, pin: Pin) -> Pin:
        """The pin as its page has it today: exact file, digest; as the index has it when the page cannot be read.

        Raises:
            WheelGone: the page is there and does not list the file.
        """
        from zoo_cli.packages.pages import read_listing
        from zoo_cli.transfer.events import Noted

        if not pin.page or pin.sha256 or self.settings.offline or not pin.page.startswith("http"):
            return pin
        quick = replace(self.settings, retries=0, connect_seconds=5.0, total_seconds=30.0)
        for page in self.mirrors.addresses(pin.page, "wheels"):
            listing = read_listing((page,), quick)
            if listing.skipped:
                why = listing.skipped[0].error.code
                self.listen(Noted(f"{page} was not read ({why}): {pin.file_name} is as the index knows it"))
                continue
            link = next((link for link in listing.links if link.filename == pin.file_name), None)
            if link is None:
                raise WheelGone(pin.project, pin.file_name, page, pin.date)
            return replace(pin, sha256=link.sha256, size_bytes=link.size_bytes, evidence="seen", source=page)
        return pin

    def wheel(self, pin: Pin) -> Path:
        """The wheel of a pin as a file of this computer.

        Raises:
            ZooError: of the transfer.
        """
        from zoo_cli.transfer.hashes import parse_sha256

        url = pin.urls[0]
        if url.startswith("file:"):
            return Path(unquote(urlsplit(url).path))
        digest = parse_sha256(pin.sha256) if pin.sha256 else self.seen.digest_of(url)
        received = self.file(pin.file_name, pin.urls, digest, pin.size_bytes)
        self.seen.record(url, received.sha256)
        return received.path

    def file(self, name: str, urls: tuple[str, ...], digest: Sha256 | None, size_bytes: int | None = None) -> Received:
        """A wheel by its addresses and, where it is known, its digest.

        Raises:
            ZooError: of the transfer.
        """
        from zoo_cli.transfer.fetch import fetch
        from zoo_cli.transfer.sources import Wanted

        wanted = Wanted(name, self.mirrors.all_addresses(urls, "wheels"), size_bytes, digest)
        place = wheel_place(self.store.root, urls[0])
        return fetch(wanted, place, self.settings, self.listen, store=self.store, replace=True)


def wheel_place(cache: Path, url: str) -> Path:
    """The name of a fetched wheel in the cache: its host and path, which tell what it was built for.

    uv and pip record it, and check-env names its directory as find-links; the bytes are the store's, by a hard link.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "local") + (f"_{parts.port}" if parts.port else "")
    segments = [segment for segment in unquote(parts.path).split("/") if segment not in ("", ".", "..")]
    return cache.joinpath("wheels", host, *segments)
