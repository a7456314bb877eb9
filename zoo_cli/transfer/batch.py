"""Many files at once, over kept connections: one pool, one limit of bandwidth, one store.

Flow: threads are `parallel`'s. A file that fails is an outcome and stops no other; outcomes come as the files end. The
same destination twice in one batch is the caller's mistake and caught before the first byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.transfer.addresses import redacted
from zoo_cli.transfer.events import Listener, nothing
from zoo_cli.transfer.fetch import Received, fetch, in_full
from zoo_cli.transfer.finalname import sync_directory
from zoo_cli.transfer.headers import users_headers
from zoo_cli.transfer.parallel import Shared, together
from zoo_cli.transfer.pool import Pool
from zoo_cli.transfer.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from zoo_cli.transfer.sources import Wanted
    from zoo_cli.transfer.store import Store

DEFAULT_JOBS = 16


@dataclass(frozen=True, slots=True)
class Job:
    """One file of a batch, and where it goes."""

    wanted: Wanted
    destination: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one job: the file, or the error."""

    job: Job
    received: Received | None
    error: ZooError | None


class SamePlace(ZooError):
    """Two files of one batch would get the same name."""

    code = "same-place"
    exit_code = ExitCode.USAGE

    path: str
    urls: tuple[str, ...]  # the first address of each


def fetch_many(
    jobs: Sequence[Job],
    settings: Settings | None = None,
    listen: Listener = nothing,
    *,
    store: Store | None = None,
    at_once: int = DEFAULT_JOBS,
    replace: bool = False,
    keep: bool = False,
) -> Iterator[Outcome]:
    """Fetches every file, several at once; gives the outcomes as they come.

    The disk has a file before it gets its name (`Settings.sync`), and the names when the last outcome was given.

    Args:
        jobs: The files.
        settings: Limits of each file; the defaults when None.
        listen: Gets events of all of them, one at a time.
        store: As `fetch`, for the files whose digest is known.
        at_once: How many at once.
        replace: As `fetch`.
        keep: As `fetch`.

    Raises:
        SamePlace: Two jobs have the same destination; nothing was fetched.
        DestinationUnusable: One begins at a working directory that was removed.
        BadMirrors: The user's mirrors file cannot be read; nothing was fetched, either.
    """
    _require_places(jobs)
    limits, shared = settings or Settings(), Shared(listen)
    headers = users_headers() if limits.headers is None else limits.headers
    pool = Pool(limits.connections)
    each = limits._replace(sync_names=False, headers=headers)

    def one(job: Job) -> Received:
        kept = store if job.wanted.sha256 else None
        return fetch(job.wanted, job.destination, each, shared, store=kept, replace=replace, keep=keep, pool=pool)

    return _outcomes(jobs, one, limits, shared, pool, at_once)


def _outcomes(
    jobs: Sequence[Job], one: Callable[[Job], Received], settings: Settings, listen: Shared, pool: Pool, at_once: int
) -> Iterator[Outcome]:
    named = set[str]()
    with pool:
        try:
            for job, result in together(jobs, one, at_once, listen):
                if isinstance(result, ZooError):
                    yield Outcome(job, None, result)
                else:
                    named.add(str(result.path.parent))
                    yield Outcome(job, result, None)
        finally:
            for directory in named if settings.sync and settings.sync_names else ():
                sync_directory(directory)


def _require_places(jobs: Sequence[Job]) -> None:
    taken: dict[Path, Job] = {}
    for job in jobs:
        before = taken.setdefault(in_full(job.destination), job)
        if before is not job:
            raise SamePlace(str(job.destination), (_first_address(before), _first_address(job)))


def _first_address(job: Job) -> str:
    return redacted(next(iter(job.wanted.urls), ""))
