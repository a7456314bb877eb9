"""Many files at once, over kept connections: one pool, one limit of bandwidth, one store.

Edge: threads. A file that fails is an outcome and stops no other; outcomes come as the files end. The same destination
twice in one batch is the caller's mistake and caught before the first byte.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.transfer.events import Event, Listener, nothing
from zoo_cli.transfer.fetch import Received, fetch
from zoo_cli.transfer.pool import Pool
from zoo_cli.transfer.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
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


@dataclass(eq=False)
class SamePlace(ZooError):
    """Two files of one batch would get the same name."""

    code = "same-place"
    exit_code = ExitCode.USAGE

    path: str
    files: tuple[str, ...]


def fetch_many(
    jobs: Sequence[Job],
    settings: Settings | None = None,
    listen: Listener = nothing,
    *,
    store: Store | None = None,
    at_once: int = DEFAULT_JOBS,
    replace: bool = False,
) -> Iterator[Outcome]:
    """Fetches every file, several at once; gives the outcomes as they come.

    Args:
        jobs: The files.
        settings: Limits of each file; the defaults when None.
        listen: Gets events of all of them, one at a time.
        store: As `fetch`, for the files whose digest is known.
        at_once: How many at once.
        replace: As `fetch`.

    Raises:
        SamePlace: Two jobs have the same destination; nothing was fetched.
    """
    _require_places(jobs)
    return _Batch(jobs, settings or Settings(), listen, store, replace).run(min(at_once, len(jobs)))


def _require_places(jobs: Sequence[Job]) -> None:
    taken: dict[Path, Job] = {}
    for job in jobs:
        before = taken.setdefault(job.destination.absolute(), job)
        if before is not job:
            raise SamePlace(str(job.destination), (before.wanted.name, job.wanted.name))


class _Batch:
    def __init__(
        self, jobs: Sequence[Job], settings: Settings, listen: Listener, store: Store | None, replace: bool
    ) -> None:
        self._jobs, self._settings, self._listen = iter(jobs), settings, listen
        self._store, self._replace = store, replace
        self._count = len(jobs)
        self._lock = threading.Lock()
        self._outcomes: SimpleQueue[Outcome | BaseException] = SimpleQueue()
        self._is_over = False

    def run(self, workers: int) -> Iterator[Outcome]:
        with Pool() as pool:
            for _ in range(workers):
                threading.Thread(target=self._work, args=(pool,), daemon=True).start()
            try:
                for _ in range(self._count):
                    outcome = self._outcomes.get()
                    if isinstance(outcome, BaseException):
                        raise outcome
                    yield outcome
            finally:
                self._is_over = True  # those in the middle keep what came

    def _work(self, pool: Pool) -> None:
        while not self._is_over:
            with self._lock:
                job = next(self._jobs, None)
            if job is None:
                return
            self._outcomes.put(self._outcome(job, pool))

    def _outcome(self, job: Job, pool: Pool) -> Outcome | BaseException:
        try:
            received = fetch(
                job.wanted,
                job.destination,
                self._settings,
                self._hear,
                store=self._store if job.wanted.sha256 else None,
                replace=self._replace,
                pool=pool,
            )
        except ZooError as error:
            return Outcome(job, None, error)
        except (OSError, RuntimeError, ValueError, LookupError, TypeError, AssertionError) as bug:
            return bug  # raised where the batch is read, as it would be without threads
        return Outcome(job, received, None)

    def _hear(self, event: Event) -> None:
        with self._lock:
            self._listen(event)
