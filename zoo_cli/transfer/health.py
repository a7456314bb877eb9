"""Which hosts failed a short while ago, so that they are asked last and not first.

Edge: a small file and the clock. A host is put off for ten minutes after it could not be reached, stalled, was in
trouble or sent wrong bytes, and taken back as soon as it delivers. The order of addresses is changed by nothing else:
among hosts that are well it is the user's. The file only saves time; what is in it is not trusted further than that.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from zoo_cli.atomic import write_whole
from zoo_cli.directories import state_directory
from zoo_cli.transfer.addresses import local_path, place_of
from zoo_cli.transfer.failures import Failed, HashMismatch, HttpFailed, NotTheFile, Stalled, Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PUT_OFF_SECONDS = 600.0
_MAX_BYTES = 64 * 1024
_MAX_HOSTS = 200


class Health:
    """Hosts that failed, with the time; shared by the transfers of a run, and kept for the next one.

    Args:
        path: Where it is kept; None keeps it for this run only.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._failed: dict[str, float] | None = None  # read when it is first needed

    def ranked(self, urls: Sequence[str]) -> tuple[str, ...]:
        """The addresses in their order, those of hosts that failed a short while ago after the others."""
        if len(urls) < 2:
            return tuple(urls)
        now = time.time()
        with self._lock:
            failed = self._known()
            # abs: a clock that was moved back must not put a host off for years.
            down = {url for url in urls if abs(now - failed.get(place_of(url), -1e9)) < PUT_OFF_SECONDS}
        return (*(url for url in urls if url not in down), *(url for url in urls if url in down))

    def failed(self, url: str, failure: Failed) -> None:
        """An address failed; whether that says something about its host is decided here."""
        trouble = isinstance(failure, HttpFailed) and (failure.status >= 500 or failure.status == 429)
        if trouble or isinstance(failure, (Unreachable, Stalled, HashMismatch, NotTheFile)):
            self._set(url, time.time())

    def worked(self, url: str) -> None:
        """An address delivered."""
        self._set(url, None)

    def _set(self, url: str, when: float | None) -> None:
        if local_path(url) is not None:
            return
        with self._lock:
            failed, place = self._known(), place_of(url)
            if when is None and place not in failed:
                return
            failed.pop(place, None)
            if when is not None:
                failed[place] = when
            self._keep(failed)

    def _known(self) -> dict[str, float]:
        if self._failed is None:
            self._failed = _read(self._path) if self._path else {}
        return self._failed

    def _keep(self, failed: Mapping[str, float]) -> None:
        if self._path is None:
            return
        import json

        newest = sorted(failed.items(), key=lambda each: -each[1])[:_MAX_HOSTS]
        with suppress(OSError):  # it saves time, no more
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, json.dumps(dict(newest)).encode())


def _read(path: Path) -> dict[str, float]:
    import json  # runs with one address for each file need none of it

    try:
        with path.open("rb") as file:
            value = json.loads(file.read(_MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(value, dict):
        return {}
    return {
        place: float(when)
        for place, when in value.items()
        if isinstance(when, (int, float)) and not isinstance(when, bool)
    }


def users_health(environ: Mapping[str, str] | None = None) -> Health:
    """What this user's runs know of hosts."""
    return Health(state_directory(environ) / "hosts.json")
