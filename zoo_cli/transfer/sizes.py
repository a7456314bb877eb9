"""How large a remote file is, without fetching it.

Edge: the network and local files. One byte is asked for: a server with ranges says the total in Content-Range, one
without says it in Content-Length, and the connection is closed. What does not answer soon is unknown, and no error: the
transfer itself will tell.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.errors import ZooError
from zoo_cli.transfer.addresses import local_path
from zoo_cli.transfer.http import Session
from zoo_cli.transfer.resume import content_range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo_cli.transfer.settings import Settings

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 10.0


def size_of(urls: Sequence[str], settings: Settings) -> int | None:
    """The size in bytes that the first address that answers says; None when none does."""
    quick = settings._replace(connect_seconds=_CONNECT_SECONDS, stall_seconds=_ANSWER_SECONDS)
    for url in urls:
        try:
            path = local_path(url)
            size = _asked(url, quick) if path is None else Path(path).stat().st_size
        except (ZooError, OSError):
            continue
        if size is not None:
            return size
    return None


def _asked(url: str, settings: Settings) -> int | None:
    with Session(settings) as session, session.get(url, {"Range": "bytes=0-0"}) as answer:
        if answer.status == 206:
            return content_range(answer.headers.get("content-range", ""))[1]
        return answer.length if answer.status == 200 else None
