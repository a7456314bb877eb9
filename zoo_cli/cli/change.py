"""What the commands that change an environment share: options, its journal, and what is in the way of a change."""

from __future__ import annotations

import shlex
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from zoo_cli.cli.source_view import source_document, source_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from zoo_cli.cli.console import Console
    from zoo_cli.cli.target import Target
    from zoo_cli.machine.facts import DirectUrl
    from zoo_cli.packages.journal import Journal

Command = TypeVar("Command", bound="Callable[..., Any]")


def environment_options(command: Command) -> Command:
    """Adds --python and --env, which name an environment that is there."""
    python = click.option("--python", metavar="PATH|VERSION", help="The interpreter whose environment is meant.")
    place = click.Path(path_type=Path, exists=True, file_okay=False)
    environment = click.option("--env", "environment", type=place, metavar="DIR", help="The virtual environment.")
    return python(environment(command))


def read_target(console: Console, python: str | None, environment: Path | None) -> Target:
    """The interpreter that the options name, else the active one, with what is installed there."""
    from zoo_cli.catalog.database import open_catalog
    from zoo_cli.cli.target import find_target

    target = find_target(open_catalog(), console, python=python, environment=environment)
    if target.environment:
        raise click.UsageError(f"{target.environment} is no virtual environment.")
    return target


def settle(console: Console, journal: Journal, *, yes: bool) -> bool:
    """Brings back what was before a change that was cut off, with --yes or after asking; tells whether it did.

    Raises:
        UnfinishedChange: nobody can be asked.
    """
    cut_off = journal.unfinished()
    if cut_off is None:
        return False
    typed = " ".join(cut_off.command)
    if not yes:
        if not console.can_ask:
            raise cut_off
        console.say(f"'{typed}' of {cut_off.started} was cut off; the environment is half changed.")
        if not console.ask("Bring back what was before it?"):
            raise cut_off
    tell_lost(console, journal.recover())
    console.say(f"The environment is as it was before '{typed}'.")
    return True


@contextmanager
def changing(console: Console, journal: Journal, words: tuple[str, ...], **how: Any) -> Iterator[int]:
    """`Journal.change`, and a word on how the environment stands when it did not come to its end."""
    from zoo_cli.packages.journal import JournalFailed, NotRestored

    is_untold = False
    try:
        with journal.change(words, console.now, **how) as lock:
            is_untold = True
            yield lock
        is_untold = False
    except (JournalFailed, NotRestored):  # they tell it themselves
        is_untold = False
        raise
    finally:  # Ctrl-C, too
        if is_untold:
            _tell_standing(console, journal, came_back=how.get("rollback", True))


def _tell_standing(console: Console, journal: Journal, *, came_back: bool) -> None:
    """How the environment of a change that did not come to its end stands; a second Ctrl-C stops bringing it back."""
    if journal.unfinished():
        back = f"zoo undo --python {shlex.quote(journal.python)}"
        console.say(f"The environment is half changed; this brings back what was there before: {back}")
    elif came_back:
        console.say("The environment is as it was before.")


def tell_lost(console: Console, lost: Sequence[str]) -> None:
    """Warns of files that could not come back."""
    for path in lost[:10]:
        console.warn(f"{path} was written into, so its former content is gone")
    if len(lost) > 10:
        console.warn(f"and {len(lost) - 10} more")


def step_lines(
    steps: Sequence[tuple[str, str | None, str | None]], sources: Mapping[str, DirectUrl] | None = None
) -> list[str]:
    """What became of distributions, a line each: `+ mmcv 2.1.0`, `- mmcv-lite 2.2.0`, `  numpy 2.0.1 -> 1.26.4`.

    `sources`: where those came from that did not come from a package index.
    """
    lines = []
    for name, before, after in steps:
        source = f", {source_words(sources[name])}" if sources and after and name in sources else ""
        if before is None:
            lines.append(f"+ {name} {after}{source}")
        elif after is None:
            lines.append(f"- {name} {before}")
        else:
            lines.append(f"  {name} {before} -> {after}{source}")
    return lines


def step_documents(
    steps: Sequence[tuple[str, str | None, str | None]], sources: Mapping[str, DirectUrl] | None = None
) -> list[dict[str, object]]:
    """The same as JSON objects; with `direct_url` where sources are known."""
    rows: list[dict[str, object]] = [{"name": name, "before": was, "after": now} for name, was, now in steps]
    if sources is None:
        return rows
    return [{**row, "direct_url": source_document(sources.get(str(row["name"])))} for row in rows]
