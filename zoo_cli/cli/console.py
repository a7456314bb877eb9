"""The two streams of a run: data on stdout, talk on stderr.

Edge: the only place that writes to the terminal. Streams never fail on a letter their encoding lacks (cp949, gbk):
it is replaced. Colour repeats what words say: --color > NO_COLOR > FORCE_COLOR > terminal.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from zoo_cli.cli.text import columns, harmless, harmless_json
from zoo_cli.errors import ZooError
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

_COLOURS = {"green": "32", "yellow": "33", "red": "31", "cyan": "36", "bold": "1"}


def _or_nowhere(stream: TextIO | None) -> TextIO:
    """The stream; one that leads nowhere when the process was started with it closed (`zoo ... >&-`)."""
    return stream if stream is not None else open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123


class OutputLost(ZooError):
    """The answer cannot be written to stdout: a full disk, a stream that failed."""

    code = "output-lost"

    reason: str


def drop_output(stream: TextIO) -> None:
    """Lets a stream lead nowhere, so that what is held back of it fails no more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def _told(stream: TextIO) -> Iterator[None]:
    """A reader that goes away (`zoo fetch ... | head`) changes nothing of what a command does, nor its exit code."""
    try:
        yield
    except BrokenPipeError:
        drop_output(stream)
    except OSError as exc:
        drop_output(stream)
        raise OutputLost(exc.strerror or str(exc)) from exc


class Console:
    """Streams and choices of one run."""

    def __init__(
        self,
        *,
        json: bool = False,
        quiet: bool = False,
        color: str = "auto",
        progress: bool = True,
        out: TextIO | None = None,
        err: TextIO | None = None,
        environ: dict[str, str] | None = None,
    ) -> None:
        """Takes the process's own streams and environment where none are given."""
        self.json, self.quiet, self.color = json, quiet, color  # color: auto | always | never
        self.verbose, self.progress, self.offline = 0, progress, False
        self.out = out or _or_nowhere(sys.stdout)
        self.err = err or _or_nowhere(sys.stderr)
        self.environ = dict(os.environ) if environ is None else environ
        for stream in (self.out, self.err):
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure:
                reconfigure(errors="replace")

    def aside(self) -> Console:
        """The same run for a command inside another one that answers for both: what it says goes nowhere."""
        import io
        from copy import copy

        inner = copy(self)
        inner.json, inner.quiet, inner.out = False, True, io.StringIO()
        return inner

    @property
    def is_terminal(self) -> bool:
        """Whether stdout is a terminal: tables for people, else TSV."""
        return self.out.isatty()

    @property
    def talks_to_terminal(self) -> bool:
        """Whether stderr is a terminal: bars are drawn, else lines are written."""
        return self.err.isatty() and self.environ.get("TERM") != "dumb"

    @property
    def can_ask(self) -> bool:
        """Whether somebody can answer a question."""
        return sys.stdin is not None and sys.stdin.isatty() and self.err.isatty() and not self.json

    @staticmethod
    def clock() -> float:
        """Seconds of a monotonic clock."""
        return time.monotonic()

    def host(self) -> str:
        """The name of this computer."""
        return os.uname().nodename if hasattr(os, "uname") else self.environ.get("COMPUTERNAME", "")

    @staticmethod
    def today() -> str:
        """The day, as ISO date."""
        return time.strftime("%Y-%m-%d")

    @staticmethod
    def now() -> str:
        """The time, UTC, ISO 8601 to the second."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

    def _colours(self, stream: TextIO) -> bool:
        if self.color != "auto":
            return self.color == "always"
        if self.environ.get("NO_COLOR"):
            return False
        if self.environ.get("FORCE_COLOR"):
            return True
        return stream.isatty() and self.environ.get("TERM") != "dumb"

    def paint(self, text: str, colour: str, *, talk: bool = True) -> str:
        """The text in a colour, where the stream shows colours."""
        if not self._colours(self.err if talk else self.out):
            return text
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"

    def data(self, line: str = "") -> None:
        """One line of the answer, on stdout."""
        self.put(harmless(line) + "\n")

    def put(self, text: str) -> None:
        """Text of the answer as it is, on stdout.

        Raises:
            OutputLost: It cannot be written, and the reader did not just go away.
        """
        with _told(self.out):
            self.out.write(text)

    def finish(self) -> None:
        """Hands on what was put and is held back still.

        Raises:
            OutputLost: As `put`.
        """
        with _told(self.out):
            self.out.flush()

    def say(self, line: str = "") -> None:
        """One line of talk, on stderr; nothing with --quiet."""
        if not self.quiet:
            self.complain(line)

    def complain(self, line: str = "") -> None:
        """One line of an error, on stderr, also with --quiet."""
        try:
            self.err.write(harmless(line) + "\n")
            self.err.flush()
        except BrokenPipeError:
            drop_output(self.err)

    def warn(self, line: str) -> None:
        """One warning, on stderr, also with --quiet."""
        self.complain(f"{self.paint('warning', 'yellow')}: {printable(line)}")

    def document(self, value: dict[str, object]) -> None:
        """The one JSON document of a run with --json."""
        import json

        self.put(harmless_json(json.dumps(value, ensure_ascii=False, default=str)) + "\n")

    def table(
        self, header: tuple[str, ...], rows: list[tuple[str, ...]], *, right: frozenset[int] = frozenset()
    ) -> None:
        """Rows on stdout: aligned under upper-case headings on a terminal, tab-separated with lower-case ones else."""
        if self.is_terminal:
            for line in columns([tuple(name.upper() for name in header), *rows], right=right):
                self.data(line)
            return
        for row in (tuple(name.lower().replace(" ", "_") for name in header), *rows):
            self.data("\t".join(printable(cell) for cell in row))

    def ask(self, question: str) -> bool:
        """A yes/no question on stderr; no is the default."""
        self.err.write(f"{harmless(question)} [y/N] ")
        self.err.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")
