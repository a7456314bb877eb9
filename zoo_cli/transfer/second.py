"""A second opinion on a file: another operator's bytes, hashed as they come and kept nowhere.

Edge: network. Two hosts that send the same SHA-256 would have to be in league, or fed by the same hand; that is more
than one of them says of itself, and less than a signature.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from zoo_cli.transfer.addresses import local_path
from zoo_cli.transfer.events import Listener, Noted, nothing
from zoo_cli.transfer.failures import AllSourcesFailed, Failed
from zoo_cli.transfer.hashes import Sha256
from zoo_cli.transfer.http import Session, require_success
from zoo_cli.transfer.rounds import Rounds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zoo_cli.transfer.settings import Settings

_BLOCK = 1 << 18


class Opinion(NamedTuple):
    """What a host sends under an address."""

    sha256: Sha256
    url: str  # after redirects, to show


def operator_of(url: str) -> str | None:
    """Who answers for an address: its host; None for files of this computer."""
    return None if local_path(url) is not None else urlsplit(url).hostname


def second_opinion(
    name: str, urls: Iterable[str], known: str | None, size_bytes: int, settings: Settings, listen: Listener = nothing
) -> Opinion | None:
    """What another operator sends for a file; None when there is no other, or none that delivers the file.

    Args:
        name: of the file, to show.
        urls: all its addresses.
        known: the operator that was heard already.
        size_bytes: of the file as that one sent it; what is longer is another file, and is not read to its end.
        settings: limits of the transfer.
        listen: told why nobody else could be asked.
    """

    def deliver(url: str, limits: Settings) -> Opinion:
        return _heard(url, size_bytes, limits)

    others = tuple(url for url in urls if operator_of(url) not in (None, known))
    if not others:
        listen(Noted(f"{name}: no other operator has it, so nothing was cross-checked"))
        return None
    try:
        found = Rounds(name, others, settings, deliver, listen).run()
    except (Failed, AllSourcesFailed) as error:
        listen(Noted(f"{name}: no other operator delivered it ({error.code}), so nothing was cross-checked"))
        return None
    if operator_of(found.url) == known:  # a mirror that only sends on to the first one
        listen(Noted(f"{name}: the other address leads to {known} as well, so nothing was cross-checked"))
        return None
    return found


def _heard(url: str, size_bytes: int, limits: Settings) -> Opinion:
    digest, count = sha256(), 0
    with Session(limits) as session, session.get(url) as answer:
        require_success(answer)
        block = memoryview(bytearray(_BLOCK))
        while got := answer.read_into(block):
            digest.update(block[:got])
            count += got
            if count > size_bytes:  # its digest is another one already
                break
        return Opinion(Sha256(digest.hexdigest()), answer.url)
