"""Sentences for the errors that the commands themselves raise."""

from __future__ import annotations

import shlex

from zoo_cli.cli.commands.config import NoSuchKey
from zoo_cli.cli.console import OutputLost
from zoo_cli.cli.messages import Message, WayOut, describe
from zoo_cli.cli.plot import CannotPlot, NeedsMatplotlib


@describe.register
def _output_lost(error: OutputLost) -> Message:
    return Message(f"the answer cannot be written: {error.reason}", (), (WayOut("What has room", "df -h"),))


@describe.register
def _needs_matplotlib(error: NeedsMatplotlib) -> Message:
    ways = (WayOut("Install it beside zoo", f"{shlex.quote(error.python)} -m pip install matplotlib"),)
    return Message("--plot needs matplotlib, which is not installed beside zoo", (), ways)


@describe.register
def _cannot_plot(error: CannotPlot) -> Message:
    parent = error.path.rpartition("/")[0] or "."
    ways = (WayOut("Who may write there", f"ls -ld {shlex.quote(parent)}"),)
    return Message(f"the picture {error.path} cannot be written", (error.problem,), ways)


@describe.register
def _no_such_key(error: NoSuchKey) -> Message:
    facts = (f"near: {', '.join(error.near)}",) if error.near else ()
    above, _dot, _last = error.missing.rpartition(".")
    command = shlex.join(["zoo", "config", "show", error.config, *([above] if above else [])])
    return Message(f"the config has no {error.missing}", facts, (WayOut("What there is", command),))
