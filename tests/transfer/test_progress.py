from __future__ import annotations

import io

import pytest

from zoo_cli.cli.console import Console
from zoo_cli.cli.progress import EVIDENCE, ManyProgress, Progress
from zoo_cli.transfer.events import Advanced, Event, Finished, Noted, SourceFailed, Started

FLOW: tuple[Event, ...] = (
    Started("a.pth", 1000, 0, "h"),
    Advanced("a.pth", 300),
    SourceFailed("a.pth", "h", "broke off"),
    Started("a.pth", 1000, 300, "g"),
    Advanced("a.pth", 1000),
    Noted("a note"),
    Finished("a.pth", 1000, "locked", "g", already_here=False),
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, **choices: bool) -> str:
    console = Console(err=stream, out=io.StringIO(), environ={"TERM": "xterm", "COLUMNS": "80"}, **choices)  # type: ignore[arg-type]
    with Progress(console) as progress:
        for event in FLOW:
            progress(event)
        progress.step("config: flattened")
    return stream.getvalue()


def test_lines_where_there_is_no_terminal() -> None:
    lines = shown(io.StringIO()).splitlines()
    assert lines[0] == "  a.pth: 1.0 kB from h"
    assert lines[1] == "warning: a.pth: h broke off"
    assert lines[2] == "  a.pth: 1.0 kB from g"
    assert lines[3] == "  a note"
    assert lines[4].startswith("  a.pth: 1.0 kB in ") and lines[4].endswith("sha256 matches")
    assert lines[5] == "  config: flattened"
    assert len(lines) == 6


def test_bars_on_a_terminal_are_ascii_and_leave_nothing_behind() -> None:
    text = shown(Terminal())
    assert "\r" in text and text.isascii() and "#" in text
    assert "/1.00k" in text
    assert text.rstrip("\n").endswith("config: flattened")


@pytest.mark.parametrize("choice", ["quiet", "json"])
def test_nothing_when_quiet(choice: str) -> None:
    assert shown(Terminal(), **{choice: True}) == ""


def test_no_bars_when_not_wanted_but_results_all_the_same() -> None:
    text = shown(Terminal(), progress=False)
    assert "\r" not in text and "sha256 matches" in text


def test_a_resumed_file_says_so_and_one_that_is_here_too() -> None:
    stream = io.StringIO()
    with Progress(Console(err=stream, environ={})) as progress:
        progress(Started("a.pth", 1000, 400, "h"))
        progress(Advanced("b.pth", 5))  # an event of an unknown file is no fault
        progress(Finished("b.pth", 10, "prefix", "", already_here=True))
    assert "found 400 B of an earlier try, going on from there" in stream.getvalue()
    assert f"b.pth: already here, {EVIDENCE['prefix']}" in stream.getvalue()


def test_eight_digits_are_never_called_verified() -> None:
    assert "verified" not in "".join(EVIDENCE.values()) and "proves no origin" in EVIDENCE["prefix"]


def test_a_slow_file_gets_a_line_each_tenth() -> None:
    stream = io.StringIO()
    with Progress(Console(err=stream, environ={})) as progress:
        progress(Started("a.pth", 1000, 0, "h"))
        flow = progress._flows["a.pth"]
        for have in (50, 99, 130, 135, 190, 210, 1000):
            flow.told_at -= 2.0  # two seconds go by
            progress(Advanced("a.pth", have))
        flow.told_at -= 40.0  # and half a minute without a tenth
        progress(Advanced("a.pth", 1000))
    percents = [line.split()[1] for line in stream.getvalue().splitlines()[1:]]
    assert percents == ["13%", "21%", "100%"]


def test_many_files_move_one_bar_while_they_come() -> None:
    stream, out = Terminal(), io.StringIO()
    console = Console(err=stream, out=out, environ={"TERM": "xterm", "COLUMNS": "80"})
    with Progress(console) as progress:
        many = ManyProgress(progress, 2)
        for event in (Started("a", 9_000_000, 1_000_000, "h"), Advanced("a", 5_000_000), Started("b", None, 0, "h")):
            many(event)
        progress._bars[""].refresh()
        assert "0 of 2 files: 5.00MB" in stream.getvalue()
        many(Finished("a", 9_000_000, "none", "h", already_here=False))
        progress.answer("a")
        many.done("b")
        progress._bars[""].refresh()
        assert "2 of 2 files: 9.00MB" in stream.getvalue() and out.getvalue() == "a\n"
    assert stream.getvalue().isascii()


def test_many_files_get_a_line_each_half_minute_and_each_tenth() -> None:
    stream = io.StringIO()
    with Progress(Console(err=stream, environ={})) as progress:
        many = ManyProgress(progress, 40)
        many(Started("large", 9_000_000, 0, "h"))
        many(Advanced("large", 1_000_000))
        assert not stream.getvalue() and progress._whole
        progress._whole.told_at -= 40.0
        many(Advanced("large", 2_000_000))
        for number in range(8):
            many(Finished(str(number), 1_000_000, "none", "cache", already_here=True))
    shown = [line.split(",")[:2] for line in stream.getvalue().splitlines()]
    assert shown == [["  0 of 40 files", " 2.0 MB"], ["  4 of 40 files", " 6.0 MB"], ["  8 of 40 files", " 10 MB"]]
