"""Whether addresses answer, how soon, and how fast: for choosing mirrors.

Edge: the network, threads and the clock. At most a megabyte of each is read.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.transfer.addresses import local_path, redacted
from zoo_cli.transfer.failures import BadAddress, Failed
from zoo_cli.transfer.http import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo_cli.transfer.settings import Settings

_READ_BYTES = 1 << 20
_LEAST_BYTES = 65536  # to tell of a rate


class Probe(NamedTuple):
    """What one address did."""

    url: str  # to show
    is_ok: bool
    seconds: float  # until the head of its answer was here
    bytes_per_second: int  # 0: too little was read to tell
    said: str  # its status, or the failure in a few words


def probe_all(urls: Sequence[str], settings: Settings, *, for_file: bool) -> list[Probe]:
    """Asks every address at once.

    Args:
        urls: http or https addresses; those of files are passed over.
        settings: Limits.
        for_file: The addresses are of a file, which must be there; else any answer of the host will do.
    """
    from concurrent.futures import ThreadPoolExecutor

    remote = [url for url in urls if local_path(url) is None]
    if not remote:
        return []
    with ThreadPoolExecutor(min(16, len(remote))) as pool:
        return list(pool.map(lambda url: _probe(url, settings, for_file), remote))


def _probe(url: str, settings: Settings, for_file: bool) -> Probe:
    began, shown = time.monotonic(), redacted(url)
    try:
        with Session(settings) as session, session.get(url, {"Range": f"bytes=0-{_READ_BYTES - 1}"}) as answer:
            head_seconds = time.monotonic() - began
            body = answer.read(_READ_BYTES)
            spent = time.monotonic() - began - head_seconds
            is_ok = answer.status in (200, 206) if for_file else answer.status < 500
            if is_ok:
                _remember(settings, url, len(body), head_seconds + spent)
            rate = int(len(body) / spent) if spent > 0.001 and len(body) >= _LEAST_BYTES else 0
            return Probe(shown, is_ok, head_seconds, rate, f"{answer.status} {answer.reason}".rstrip())
    except Failed as failure:
        if settings.health:
            settings.health.failed(url, failure)
        return Probe(shown, False, time.monotonic() - began, 0, failure.brief)
    except BadAddress as error:
        return Probe(shown, False, 0.0, 0, error.why)


def _remember(settings: Settings, url: str, size_bytes: int, seconds: float) -> None:
    """Notes what was found of the host; of a rate only where no transfer of the last day told more."""
    health = settings.health
    if health is None:
        return
    health.worked(url)
    if health.of(url).weight(health.now()) < 0.5:
        health.brought(url, size_bytes, seconds, least_bytes=_LEAST_BYTES)
