"""The journal of an environment: what zoo changed there, so that all of it can be undone, also after `kill -9`.

Edge: files and a lock in `.zoo/` inside the environment, where a hard link to any of its files is possible.

    .zoo/lock            held by the one process that changes the environment
    .zoo/open.json       a change that has begun; if nobody holds the lock, it was cut off
    .zoo/changes/7.json  a change that was finished: when, by which command, which distributions
    .zoo/before/7/       the environment before it (`snapshot`)
    .zoo/after.json.gz   the environment after the last change, to see what others did since

A change is a context: what is done inside happens as a whole. Leaving it with an exception, and `recover` after a
crash, bring the former state back, byte for byte. Snapshots of the last `KEPT` changes stay, for `zoo undo`.
"""

from __future__ import annotations

import gzip
import json
import os
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli import filelock
from zoo_cli.atomic import write_whole
from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.machine.files import read_text
from zoo_cli.machine.metadata import parse_direct_url
from zoo_cli.packages import snapshot
from zoo_cli.packages.changes import Change, change_of, in_effect, steps
from zoo_cli.packages.trees import (
    OWN,
    Differences,
    differences,
    distributions,
    read_tree,
    tree_of,
    without_bytecode,
)
from zoo_cli.transfer.addresses import redacted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from zoo_cli.machine.facts import DirectUrl, Interpreter

KEPT = 5  # snapshots; the records of older changes stay
_OUTSIDE = ("share", "etc", "include", "man")  # of a prefix that is no virtual environment, beside its packages


class EnvironmentBusy(ZooError):
    """Another zoo is changing the environment."""

    code = "environment-busy"
    exit_code = ExitCode.ENVIRONMENT

    environment: str
    holder: str  # its process number and command, as it wrote them


class UnfinishedChange(ZooError):
    """A change of the environment was cut off, and what it left stands there."""

    code = "unfinished-change"
    exit_code = ExitCode.ENVIRONMENT

    python: str
    command: tuple[str, ...]  # what was cut off
    started: str


class EnvironmentChanged(ZooError):
    """The environment is not what it was when the plan was made."""

    code = "environment-changed"
    exit_code = ExitCode.ENVIRONMENT

    python: str
    steps: tuple[tuple[str, str | None, str | None], ...]  # (name, version planned with, version there)


class NotRestored(ZooError):
    """After a failure the environment was brought back, but for a few files that something had written into."""

    code = "not-restored"
    exit_code = ExitCode.ENVIRONMENT

    python: str
    files: tuple[str, ...]


class NothingToUndo(ZooError):
    """There is no such change, or what it takes to undo it is gone."""

    code = "nothing-to-undo"
    exit_code = ExitCode.USAGE

    python: str
    reason: str  # none | unknown | dropped
    number: int | None = None
    kept: tuple[int, ...] = ()  # those that can be undone


class JournalFailed(ZooError):
    """The journal of an environment cannot be read or written."""

    code = "journal-failed"
    exit_code = ExitCode.ENVIRONMENT

    python: str
    doing: str  # keep (nothing was changed) | record (what was there is back) | restore | read
    reason: str


class ChangedSince(ZooError):
    """Others changed the environment after zoo did, and going back would take that away, too."""

    code = "changed-since"
    exit_code = ExitCode.USAGE

    python: str
    number: int  # the change that was to be undone
    added: tuple[str, ...]  # files
    changed: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def first(self) -> str:
        """One of the files."""
        return (*self.changed, *self.removed, *self.added)[0]


class _Begun(NamedTuple):
    """A change that has begun."""

    number: int
    command: tuple[str, ...]
    started: str


@dataclass(frozen=True)
class Journal:
    """The journal of one environment.

    Attributes:
        python: The interpreter, as the user named it.
        prefix: The environment.
        roots: What a change may touch.
        home: The directory of the journal.
    """

    python: str
    prefix: Path
    roots: tuple[Path, ...]
    home: Path

    def sites(self) -> tuple[Path, ...]:
        """The directories of the environment's packages, also of one that was just made."""
        sites = [root for root in self.roots if root.name.endswith("-packages")]
        for pattern in ("lib*/python*/site-packages", "Lib/site-packages"):
            sites += self.prefix.glob(pattern)
        return tuple(dict.fromkeys(sites))

    def distributions(self) -> dict[str, str]:
        """What is installed now, as the names of dist-info directories tell: normalised name -> version."""
        return distributions(path.as_posix() for site in self.sites() for path in site.glob("*.dist-info"))

    def sources(self) -> dict[str, DirectUrl]:
        """The repositories, directories and archives that what is installed now was built from (PEP 610)."""
        found = {}
        for path in (each for site in self.sites() for each in site.glob("*.dist-info/direct_url.json")):
            source = parse_direct_url(read_text(path, 65536) or "")
            for name in distributions((path.parent.as_posix(),)) if source else ():
                found[name] = source
        return {name: each for name, each in found.items() if each and not each.is_wheel}

    def changes(self) -> tuple[Change, ...]:
        """Every finished change, oldest first; a record that cannot be read is left out."""
        found = []
        for path in (self.home / "changes").glob("*.json"):
            with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
                found.append(change_of(json.loads(path.read_bytes())))
        return tuple(sorted(found))

    def kept(self) -> tuple[int, ...]:
        """The changes that can be undone: those whose snapshot is there."""
        places = (self.home / "before").glob("*/manifest.json.gz")
        return tuple(sorted(int(each.parent.name) for each in places if each.parent.name.isdigit()))

    def unfinished(self) -> UnfinishedChange | None:
        """The change that was cut off, as an error to raise or tell; None when there is none, or its process lives.

        Raises:
            JournalFailed: the journal cannot be read.
        """
        if (begun := self._begun()) is None:
            return None
        try:
            with self._locked(()):
                return self._cut_off(begun)
        except EnvironmentBusy:
            return None

    def _cut_off(self, begun: _Begun) -> UnfinishedChange:
        return UnfinishedChange(self.python, begun.command, begun.started)

    def recover(self) -> tuple[str, ...]:
        """Brings back what was before a change that was cut off; gives the files that could not come back.

        Raises:
            EnvironmentBusy: the change still runs.
            JournalFailed: something cannot be written; running it again goes on.
        """
        with self._locked(("zoo", "undo")):
            return self._recover()

    def _recover(self) -> tuple[str, ...]:
        begun = self._begun()
        lost: tuple[str, ...] = ()
        if begun is None:
            return lost
        with self._telling("restore"):
            if not (self.home / "changes" / f"{begun.number}.json").exists():  # else only closing it was missing
                kept = snapshot.load(self._place(begun.number), self.prefix, self.roots)
                lost = snapshot.restore(kept)
                self._close()
                snapshot.forget(kept.place)
            self._close()
        return lost

    @contextmanager
    def change(
        self,
        command: tuple[str, ...],
        now: Callable[[], str],
        *,
        expected: Mapping[str, str] | None = None,
        undoes: int | None = None,
        rollback: bool = True,
    ) -> Iterator[int]:
        """Everything done inside is done as a whole, or not at all.

        Args:
            command: what the user typed.
            now: the time, UTC, ISO 8601.
            expected: the distributions a plan was made for; what is there now must be the same.
            undoes: the change before which this one goes back.
            rollback: bring back what was when the work fails; else what it did stands, and can be undone.

        Yields:
            The lock as a file descriptor, for child processes to hold as well: they may outlive this one.

        Raises:
            EnvironmentBusy: another zoo is at it.
            EnvironmentChanged: other distributions are there than expected.
            UnfinishedChange: an earlier change was cut off; `recover` comes first.
            NotRestored: the work inside failed, and so did, for some files, bringing back what was.
            JournalFailed: what is there cannot be kept (nothing was changed) or brought back.
        """
        command = tuple(map(redacted, command))  # what is typed may have a password in an address
        with self._locked(command) as lock:
            if begun := self._begun():
                raise self._cut_off(begun)
            number = 1 + max((*self.kept(), *(each.number for each in self.changes())), default=0)
            with self._telling("keep"):
                kept = snapshot.take(self._place(number), self.prefix, self.roots)
                if expected is not None and (others := steps(expected, distributions(kept.tree))):
                    snapshot.forget(kept.place)
                    raise EnvironmentChanged(self.python, others)
                begun = _Begun(number, command, now())
                self._write("open.json", begun._asdict())
            change = Change(number, command, begun.started, distributions(kept.tree), {}, undoes)
            sources = self.sources()
            is_done = False
            try:
                yield lock
                is_done = True
            finally:  # Ctrl-C, too
                if is_done or not rollback:
                    self._finish(kept, change, sources)
                elif lost := self._recover():
                    raise NotRestored(self.python, lost)

    def _finish(self, kept: snapshot.Snapshot, change: Change, sources: Mapping[str, DirectUrl]) -> None:
        try:
            with self._telling("record"):
                self._record(kept, change, sources)
        except JournalFailed:
            self._recover()
            raise

    def _record(self, kept: snapshot.Snapshot, change: Change, sources: Mapping[str, DirectUrl]) -> None:
        after = read_tree(self.prefix, self.roots)
        if not any(differences(kept.tree, after)):
            self._close()
            snapshot.forget(kept.place)
            return
        write_whole(self.home / "after.json.gz", gzip.compress(json.dumps(after).encode(), 1, mtime=0))
        (self.home / "changes").mkdir(exist_ok=True)
        record = change._replace(after=distributions(after))
        came = {
            name: source._asdict()
            for name, source in sorted(self.sources().items())
            if sources.get(name) != source or record.before.get(name) != record.after.get(name)
        }
        self._write(f"changes/{change.number}.json", {**record._asdict(), "came_from": came})
        self._close()
        for number in self.kept()[:-KEPT]:
            snapshot.forget(self._place(number))

    def since(self) -> Differences:
        """What others than zoo did to the environment since its last change; compiled modules do not count."""
        try:
            after = tree_of(json.loads(gzip.decompress((self.home / "after.json.gz").read_bytes())))
        except (OSError, ValueError, EOFError, RecursionError):
            return Differences((), (), ())
        now = read_tree(self.prefix, self.roots)
        return differences(without_bytecode(after), without_bytecode(now))

    def undo(
        self, number: int | None, command: tuple[str, ...], now: Callable[[], str]
    ) -> tuple[Change, tuple[str, ...]]:
        """Goes back to before a change: the last one in effect, or that of a number; itself a change.

        Returns:
            The change that was undone, and the files that could not come back.

        Raises:
            NothingToUndo: there is none, or its snapshot is gone.
            EnvironmentBusy: another zoo is at it.
            JournalFailed: something cannot be written; then all is as before.
        """
        undone = self.to_undo(number)
        with self._telling("restore"):
            kept = snapshot.load(self._place(undone.number), self.prefix, self.roots)
            with self.change(command, now, undoes=undone.number):
                return undone, snapshot.restore(kept)

    def to_undo(self, number: int | None = None) -> Change:
        """The change that `undo` would undo.

        Raises:
            NothingToUndo: there is none, or its snapshot is gone.
        """
        changes = {each.number: each for each in self.changes()}
        wanted = number if number is not None else next(reversed(in_effect(tuple(changes.values()))), None)
        if wanted is None:
            raise NothingToUndo(self.python, "none")
        if wanted not in changes:
            raise NothingToUndo(self.python, "unknown", wanted, self.kept())
        if wanted not in self.kept():
            raise NothingToUndo(self.python, "dropped", wanted, self.kept())
        return changes[wanted]

    def _place(self, number: int) -> Path:
        return self.home / "before" / str(number)

    def _begun(self) -> _Begun | None:
        try:
            entry = json.loads((self.home / "open.json").read_bytes())
            return _Begun(int(entry["number"]), tuple(map(str, entry["command"])), str(entry["started"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as exc:
            raise JournalFailed(self.python, "read", f"{self.home / 'open.json'}: {str(exc)[:300]}") from exc

    @contextmanager
    def _telling(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise JournalFailed(self.python, doing, f"{exc.filename or self.home}: {exc.strerror or exc}") from exc

    def _close(self) -> None:
        (self.home / "open.json").unlink(missing_ok=True)

    def _write(self, name: str, document: object) -> None:
        write_whole(self.home / name, json.dumps(document, ensure_ascii=False, indent=1).encode())

    @contextmanager
    def _locked(self, command: tuple[str, ...]) -> Iterator[int]:
        with ExitStack() as stack:
            with self._telling("keep"):
                self.home.mkdir(exist_ok=True)
                try:
                    held = filelock.hold(self.home / "lock", f"process {os.getpid()}: {' '.join(command)}")
                    lock = stack.enter_context(held)
                except filelock.HeldElsewhere as exc:
                    raise EnvironmentBusy(str(self.prefix), exc.holder) from exc
            yield lock


def journal_of(python: Interpreter, executable: str = "") -> Journal:
    """The journal of an interpreter's environment; `executable` where it was made after `python` was read.

    A virtual environment is covered as a whole; of any other prefix (conda, a Python of its own) the packages, the
    scripts and the few directories where wheels put data. The same environment has the same journal by whatever path it
    was named: relative (before it was made there was no other), through a link, with `..` in it.
    """
    prefix = Path(python.prefix).resolve()
    packages = tuple(dict.fromkeys(Path(each).resolve() for each in (python.site_packages, python.platlib) if each))
    name = executable or python.executable
    if python.is_virtual:
        return Journal(name, prefix, (prefix,), prefix / OWN)
    scripts = Path(name).parent.resolve()
    roots = (*packages, scripts, *(prefix / each for each in _OUTSIDE))
    home = prefix if os.access(prefix, os.W_OK) else packages[0]
    return Journal(name, prefix, roots, home / OWN)
