"""Small bodies as values: find-links pages, JSON of a package index.

Edge: reads sockets and local files. Every document has a maximum size, asked by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.transfer.addresses import local_path, place_of, redacted
from zoo_cli.transfer.events import Listener, nothing
from zoo_cli.transfer.failures import LocalFileFailed, TooLarge
from zoo_cli.transfer.http import Session, require_success
from zoo_cli.transfer.rounds import Rounds
from zoo_cli.transfer.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Document:
    """A body that was read whole."""

    body: bytes
    url: str  # after redirects: what relative links in it are relative to
    content_type: str  # lower case, without parameters; empty when not said
    charset: str | None = None

    @property
    def text(self) -> str:
        """The body as text: the charset it came with, else UTF-8; undecodable bytes become U+FFFD."""
        try:
            return self.body.decode(self.charset or "utf-8", "replace")
        except LookupError:
            return self.body.decode("utf-8", "replace")


def read_document(
    urls: str | Sequence[str],
    max_bytes: int,
    settings: Settings | None = None,
    accept: str | None = None,
    listen: Listener = nothing,
) -> Document:
    """The document at the first address that delivers it.

    Args:
        urls: One address or several equal ones; http, https, file, or a path.
        max_bytes: A longer one is refused, not cut.
        settings: Limits; the defaults when None.
        accept: The Accept header, for servers that have several forms.
        listen: Gets the failure of an address that others follow.

    Raises:
        Failed, AllSourcesFailed, TookTooLong, BadAddress: As `fetch`.
    """
    addresses = (urls,) if isinstance(urls, str) else tuple(urls)

    def deliver(url: str, limits: Settings) -> Document:
        path = local_path(url)
        return _from_server(url, max_bytes, limits, accept) if path is None else _from_disk(path, max_bytes)

    name = place_of(addresses[0]) if addresses else "document"
    return Rounds(name, addresses, settings or Settings(), deliver, listen).run()


def _from_server(url: str, max_bytes: int, settings: Settings, accept: str | None) -> Document:
    with Session(settings) as session, session.get(url, {"Accept": accept} if accept else {}) as answer:
        require_success(answer)
        if answer.length is not None and answer.length > max_bytes:
            raise TooLarge(answer.url, redacted(url), max_bytes, answer.length)
        body = answer.read(max_bytes + 1)
        if len(body) > max_bytes:
            raise TooLarge(answer.url, redacted(url), max_bytes, None)
        kind, _, rest = answer.headers.get("content-type", "").partition(";")
        charset = rest.strip().lower().removeprefix("charset=").strip("\"' ") if "charset=" in rest.lower() else None
        return Document(body, answer.url, kind.strip().lower(), charset)


def _from_disk(path: str, max_bytes: int) -> Document:
    try:
        with Path(path).open("rb") as file:
            body = file.read(max_bytes + 1)
        url = Path(path).absolute().as_uri()
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise LocalFileFailed(path, reason) from exc
    if len(body) > max_bytes:
        raise TooLarge(path, path, max_bytes, None)
    return Document(body, url, "")
