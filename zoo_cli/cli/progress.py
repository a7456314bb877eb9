"""Transfers and steps as a person follows them: bars on a terminal, lines in a pipe, nothing when quiet.

Edge: the clock and the terminal. A `Progress` is a listener for `zoo_cli.transfer.events` and a context manager that
leaves the terminal clean. Lines in a pipe come at the start, each 10 % or 30 seconds, and at the end.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from zoo_cli.cli.text import human_bytes
from zoo_cli.plaintext import printable
from zoo_cli.transfer.events import CACHE, Advanced, Event, Finished, Noted, SourceFailed, Started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from tqdm import tqdm
    from typing_extensions import Self

    from zoo_cli.cli.console import Console
    from zoo_cli.packages.builder import BuildEvent

_EVERY_SECONDS = 30.0
_EVERY_PERCENT = 10
_LABEL_CELLS = 36
_HINT = "\0"  # a child's last words; no file is called so
_ALL = ""  # the bar of all files together; no file is called so

EVIDENCE = {
    "signed": "sha256 matches the signed index",
    "locked": "sha256 matches",
    "agreed": "two operators sent the same sha256",
    "given": "sha256 is the one given",
    "prefix": "8 digits of the name match (only 32 bits: finds damage, proves no origin)",
    "none": "nothing to check it against",
}


@dataclass(eq=False, repr=False)
class _Flow:
    """One file in flight."""

    size_bytes: int | None
    first_bytes: int
    began: float
    have_bytes: int = 0
    told_percent: int = 0
    told_at: float = field(default=0.0)

    def rate(self, now: float) -> float:
        """Bytes a second since this process began."""
        return (self.have_bytes - self.first_bytes) / max(now - self.began, 1e-3)


@dataclass(eq=False, repr=False)
class _Whole:
    """All files of a run together."""

    files: int
    size_bytes: int | None
    began: float
    done: int = 0
    have_bytes: int = 0
    fetched_bytes: int = 0  # by this process
    told_at: float = field(default=0.0)


class Progress:
    """Shows events of transfers and steps of other work on stderr.

    with Progress(console) as progress:
        fetch(wanted, path, settings, progress)
        progress.step("config: flattened from 4 files")
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._is_silent = console.quiet or console.json
        self._has_bars = not self._is_silent and console.progress and console.talks_to_terminal
        self._has_lines = not self._is_silent and console.progress and not self._has_bars
        self._flows: dict[str, _Flow] = {}
        self._bars: dict[str, tqdm[NoReturn]] = {}
        self._whole: _Whole | None = None
        self._heard_at = time.monotonic()

    def expect(self, files: int, size_bytes: int | None) -> None:
        """Says that several files will come: each finished one is counted, and one bar or line tells of all.

        Args:
            files: How many.
            size_bytes: All of them together, what is here already included; None when it is not known.
        """
        self._whole = _Whole(files, size_bytes, time.monotonic(), told_at=time.monotonic())
        if self._has_bars:
            self._bars[_ALL] = self._bar(size_bytes, 0, f"0 of {files} files")

    def __call__(self, event: Event) -> None:
        """Shows one event."""
        if isinstance(event, Advanced):
            self._advanced(event)
        elif isinstance(event, Started):
            self._started(event)
        elif isinstance(event, Finished):
            self._finished(event)
        elif isinstance(event, SourceFailed):
            self.step(f"{event.name}: {event.source} {event.reason}", warn=True)
        elif isinstance(event, Noted):
            self.step(event.text)

    def step(self, text: str, *, warn: bool = False) -> None:
        """One line about what was done, above the bars; nothing when quiet."""
        if self._is_silent:
            return
        with self._between_bars():
            if warn:
                self._console.warn(text)
            else:
                self._console.say(f"  {printable(text)}")

    def answer(self, line: str) -> None:
        """One line of the answer on stdout, which may be the same terminal."""
        with self._between_bars():
            self._console.data(line)
            if self._bars:
                self._console.finish()

    @contextmanager
    def _between_bars(self) -> Iterator[None]:
        self._end_bar(_HINT)
        for bar in self._bars.values():
            bar.clear()
        yield
        for bar in self._bars.values():
            bar.refresh()

    def hear(self, line: str) -> None:
        """A line of a child process: all of them with -v, else the last one now and then, as a sign of life."""
        now = time.monotonic()
        if self._console.verbose:
            self.step(f"  {line}")
        elif line.strip() and self._has_lines and now - self._heard_at >= _EVERY_SECONDS:
            self._heard_at = now
            self.step(f"  {line.strip()}")
        elif line.strip() and self._has_bars:
            self._hint(line.strip())

    def _hint(self, line: str) -> None:
        """Shows a line on the terminal until something else is shown."""
        from tqdm import tqdm

        if _HINT not in self._bars:
            self._bars[_HINT] = tqdm(bar_format="{desc}", file=self._console.err, leave=False, dynamic_ncols=True)
        self._bars[_HINT].set_description_str(f"    {printable(line, 60)}")

    def _started(self, event: Started) -> None:
        known = self._flows.get(event.name)
        now = time.monotonic()
        self._flows[event.name] = _Flow(event.size_bytes, event.have_bytes, now, event.have_bytes, told_at=now)
        if event.have_bytes and known is None:
            self.step(f"{event.name}: found {human_bytes(event.have_bytes)} of an earlier try, going on from there")
        if self._whole:
            self._whole.have_bytes += event.have_bytes - (known.have_bytes if known else 0)
            self._move_whole()
        if self._has_bars:
            self._draw(event)
        elif self._has_lines and not self._whole:
            size = f"{human_bytes(event.size_bytes)} " if event.size_bytes is not None else ""
            self.step(f"{event.name}: {size}from {event.source}")

    def _draw(self, event: Started) -> None:
        self._end_bar(event.name)
        label = printable(event.name)
        label = label if len(label) <= _LABEL_CELLS else label[: _LABEL_CELLS - 3] + "..."
        self._bars[event.name] = self._bar(event.size_bytes, event.have_bytes, label)

    def _bar(self, size_bytes: int | None, have_bytes: int, label: str) -> tqdm[NoReturn]:
        from tqdm import tqdm

        return tqdm(
            total=size_bytes,
            initial=have_bytes,
            desc=f"  {label}",
            file=self._console.err,
            unit="B",
            unit_scale=True,
            ascii=" -#",
            dynamic_ncols=True,
            leave=False,
            mininterval=0.1,
        )

    def _advanced(self, event: Advanced) -> None:
        flow = self._flows.get(event.name)
        if flow is None:
            return
        step, flow.have_bytes = event.have_bytes - flow.have_bytes, event.have_bytes
        bar = self._bars.get(event.name)
        if bar is not None:
            bar.update(step)
        if self._whole:
            self._whole.have_bytes += step
            self._whole.fetched_bytes += max(step, 0)
            self._move_whole()
        elif self._has_lines:
            self._line(event.name, flow)

    def moved(self, done: int, have_bytes: int, fetched_bytes: int, *, tell: bool) -> None:
        """So far are all files together, of which no other events come; `tell`: a line is due."""
        if self._whole is not None:
            self._whole.done, self._whole.have_bytes, self._whole.fetched_bytes = done, have_bytes, fetched_bytes
            self._move_whole(tell=tell)

    def _move_whole(self, *, tell: bool = False) -> None:
        """Shows how far all files together are: in the bar, or in a line now and then."""
        whole, now = self._whole, time.monotonic()
        if whole is None:
            return
        bar = self._bars.get(_ALL)
        if bar is not None:
            bar.update(whole.have_bytes - bar.n)
            bar.set_description_str(f"  {whole.done} of {whole.files} files", refresh=False)
        elif self._has_lines and (tell or now - whole.told_at >= _EVERY_SECONDS):
            whole.told_at = now
            of = f" of {human_bytes(whole.size_bytes)}" if whole.size_bytes else ""
            rate = human_bytes(int(whole.fetched_bytes / max(now - whole.began, 1e-3)))
            self.step(f"{whole.done} of {whole.files} files, {human_bytes(whole.have_bytes)}{of}, {rate}/s")

    def _line(self, name: str, flow: _Flow) -> None:
        now = time.monotonic()
        percent = 100 * flow.have_bytes // flow.size_bytes if flow.size_bytes else 0
        far = percent >= flow.told_percent + _EVERY_PERCENT and percent < 100
        if not far and now - flow.told_at < _EVERY_SECONDS:
            return
        # A file that takes seconds needs no line for each tenth.
        if far and now - flow.told_at < 1.0:
            return
        flow.told_percent, flow.told_at = percent - percent % _EVERY_PERCENT, now
        share = f"{percent}% ({human_bytes(flow.have_bytes)} of {human_bytes(flow.size_bytes)})"
        here = share if flow.size_bytes else human_bytes(flow.have_bytes)
        self.step(f"{name}: {here}, {human_bytes(int(flow.rate(now)))}/s")

    def _finished(self, event: Finished) -> None:
        flow = self._flows.pop(event.name, None)
        self._end_bar(event.name)
        evidence = EVIDENCE.get(event.evidence, event.evidence)
        count = self._count(event, flow)
        if event.already_here:
            self.step(f"{count}{event.name}: already here, {evidence}")
            return
        if event.source == CACHE:
            self.step(f"{count}{event.name}: {human_bytes(event.size_bytes)} from the cache, {evidence}")
            return
        spent = f" in {max(time.monotonic() - flow.began, 0.0):.1f} s" if flow else ""
        self.step(f"{count}{event.name}: {human_bytes(event.size_bytes)}{spent}, {evidence}")

    def _count(self, event: Finished, flow: _Flow | None) -> str:
        """Which of several files this was: [3/57]."""
        if self._whole is None:
            return ""
        self._whole.done += 1
        self._whole.have_bytes += event.size_bytes - (flow.have_bytes if flow else 0)
        self._move_whole()
        return f"[{self._whole.done}/{self._whole.files}] "

    def _end_bar(self, name: str) -> None:
        bar = self._bars.pop(name, None)
        if bar is not None:
            bar.close()

    def close(self) -> None:
        """Removes the bars that are still there."""
        for name in list(self._bars):
            self._end_bar(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ManyProgress:
    """Many files at once as one: a bar, or a line each tenth and every 30 seconds; failures of addresses at once."""

    def __init__(self, progress: Progress, count: int) -> None:
        self._progress, self._count = progress, count
        self._have: dict[str, int] = {}  # of files in flight
        self._done = self._bytes = self._fetched = self._told = 0
        progress.expect(count, None)

    def __call__(self, event: Event) -> None:
        """Shows one event, or counts it."""
        if isinstance(event, (SourceFailed, Noted)):
            self._progress(event)
        elif isinstance(event, Finished):
            self._take(event.size_bytes - self._have.get(event.name, 0))
            self.done(event.name)
        elif isinstance(event, (Started, Advanced)):
            step = event.have_bytes - self._have.get(event.name, 0)
            self._have[event.name] = event.have_bytes
            self._fetched += max(step, 0) if isinstance(event, Advanced) else 0
            self._take(step)

    def _take(self, step: int) -> None:
        self._bytes += step
        self._progress.moved(self._done, self._bytes, self._fetched, tell=False)

    def done(self, name: str) -> None:
        """One file more is done with, one way or the other."""
        self._have.pop(name, None)
        self._done += 1
        is_tenth = 10 * self._done >= self._count + self._told and self._done < self._count
        if is_tenth:
            self._told = 10 * self._done
        self._progress.moved(self._done, self._bytes, self._fetched, tell=is_tenth)


class BuildProgress:
    """Shows a build: its stages and compiler runs as lines, transfers as the progress shows them."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __call__(self, event: BuildEvent) -> None:
        """Shows one event of a build."""
        from zoo_cli.packages.builder import Compiled, Stage

        if isinstance(event, Stage):
            self._progress.step(event.text)
        elif isinstance(event, Compiled):
            self._progress.step(f"compiled {event.done} of {event.total}")
        else:
            self._progress(event)
