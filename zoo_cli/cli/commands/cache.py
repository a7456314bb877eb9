"""`zoo cache`: what is kept between runs, whether it is right, and making room."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli.options import FiniteRange, common_options, parse_size, pass_console
from zoo_cli.cli.text import human_bytes
from zoo_cli.directories import cache_path
from zoo_cli.errors import ExitCode
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from zoo_cli.cli.console import Console
    from zoo_cli.transfer.cache import Checked, Item

_KINDS = {
    "file": "fetched files, by digest",
    "named": "files under their own name only",
    "built": "wheels compiled here",
    "configs": "configs of releases",
    "unfinished": "begun and not finished",
    "refused": "refused files in quarantine",
    "inspected": "what was found in wheels",
    "bytecode": "compiled modules of stacks",
    "remembered": "what interpreters, drivers and environments said",
    "other": "compiled indexes, checkouts",
}


@click.group("cache", epilog="Example: zoo cache prune --max-size 20GB --dry-run")
def command() -> None:
    """What is kept between runs: fetched files by digest, compiled wheels, configs.

    Files in the cache are shared with where they were put, by shared blocks or hard links where the file system has
    them. The directory may be deleted at any time.
    """


@command.command("path")
@common_options
@pass_console
def path_command(console: Console) -> None:
    """Where the cache is."""
    path = cache_path()
    if console.json:
        console.document({"ok": True, "command": "cache path", "path": str(path)})
    else:
        console.data(str(path))


@command.command("info")
@common_options
@pass_console
def info_command(console: Console) -> None:
    """How much of what is in the cache."""
    from zoo_cli.transfer.cache import all_items
    from zoo_cli.transfer.store import is_shared

    root = cache_path()
    items = all_items(root)
    sums = {kind: [each for each in items if each.kind == kind] for kind in _KINDS}
    own = sum(each.own_bytes for each in items)
    if console.json:
        kinds = {
            kind: {"count": len(group), "size_bytes": sum(each.size_bytes for each in group)}
            for kind, group in sums.items()
        }
        console.document({
            "ok": True, "command": "cache info", "path": str(root), "shared": is_shared(root), "own_bytes": own,
            "kinds": kinds,
        })  # fmt: skip
        return
    rows: list[tuple[str, ...]] = [
        (_KINDS[kind], str(len(group)), human_bytes(sum(each.size_bytes for each in group)))
        for kind, group in sums.items()
        if group
    ]
    console.table(("what", "count", "size"), rows, right=frozenset({1, 2}))
    console.say(f"{human_bytes(own)} only here, in {root}{', shared by its group' if is_shared(root) else ''}")


@command.command("list")
@common_options
@pass_console
def list_command(console: Console) -> None:
    """Every file in the cache, the one used last first."""
    from zoo_cli.transfer.cache import all_items, clock

    now = clock()
    items = sorted(all_items(cache_path()), key=lambda each: (-each.used_at, each.name))
    if console.json:
        console.document({"ok": True, "command": "cache list", "items": [_document(each, now) for each in items]})
        return
    rows: list[tuple[str, ...]] = [
        (each.kind, human_bytes(each.size_bytes), _age(now - each.used_at), each.sha256 or "", printable(_name(each)))
        for each in items
    ]
    console.table(("kind", "size", "used", "sha256", "name"), rows, right=frozenset({1}))


@command.command("verify", epilog="Exit code 6 when a file was damaged.")
@common_options
@pass_console
@click.pass_context
def verify_command(context: click.Context, console: Console) -> None:
    """Read every fetched file again and compare it with its digest; damaged ones are removed."""
    from zoo_cli.transfer.cache import all_items, verify

    root = cache_path()
    checked = list(verify(root, all_items(root)))
    bad = [each for each in checked if each.state != "ok"]
    if console.json:
        files = [{"sha256": each.item.sha256, "name": each.item.name, "state": each.state} for each in checked]
        console.document({"ok": not bad, "command": "cache verify", "files": files})
    else:
        for each in bad:
            console.data(f"{each.state}\t{each.item.sha256}\t{printable(_name(each.item))}")
        _tell_verified(console, checked, bad)
    context.exit(ExitCode.INTEGRITY if bad else ExitCode.FINE)


def _tell_verified(console: Console, checked: list[Checked], bad: list[Checked]) -> None:
    size = human_bytes(sum(each.item.size_bytes for each in checked))
    console.say(f"{len(checked) - len(bad)} of {len(checked)} files are right ({size} read).")
    if any(each.item.outside for each in bad):
        console.say("Some damaged files are linked from outside the cache: whoever uses them there has the damage too.")


@command.command("prune", epilog="Examples: zoo cache prune --max-size 20GB; zoo cache prune --older-than 30 --dry-run")
@click.option("--max-size", type=parse_size, metavar="SIZE", help="Keep at most so much, as 20GB.")
@click.option("--older-than", type=FiniteRange(min=0), metavar="DAYS", help="Remove what was not used for so long.")
@click.option("--all", "everything", is_flag=True, help="Remove everything that nobody is fetching now.")
@click.option("--dry-run", is_flag=True, help="Say what would go, remove nothing.")
@common_options
@pass_console
def prune_command(
    console: Console, max_size: int | None, older_than: float | None, everything: bool, dry_run: bool
) -> None:
    """Make room: what was used longest ago goes first.

    Without options only transfers go that were begun a week ago and never finished.
    """
    from zoo_cli.transfer.cache import all_items, clock, give_up, to_give_up

    items = all_items(cache_path())
    seconds = None if older_than is None else older_than * 86400
    chosen = items if everything else to_give_up(items, clock(), limit_bytes=max_size, older_than_seconds=seconds)
    gone, stayed = (chosen, []) if dry_run else give_up(chosen)
    freed = sum(each.own_bytes for each in gone)
    if console.json:
        console.document({
            "ok": True, "command": "cache prune", "dry_run": dry_run, "freed_bytes": freed,
            "removed": [_short(each) for each in gone], "kept": [_short(each) for each in stayed],
        })  # fmt: skip
        return
    for each in gone:
        console.data(_name(each))
    for each in stayed:
        console.warn(f"{_name(each)} stays: it is in use, or another user's")
    console.say(f"{'Would remove' if dry_run else 'Removed'} {len(gone)} of {len(items)}, {human_bytes(freed)}.")


def _short(item: Item) -> dict[str, object]:
    return {"kind": item.kind, "name": item.name, "sha256": item.sha256, "size_bytes": item.size_bytes}


def _document(item: Item, now: float) -> dict[str, object]:
    return {
        **_short(item),
        "used_seconds_ago": round(now - item.used_at),
        "links_outside": item.outside,
        "paths": [str(path) for path in item.paths],
    }


def _name(item: Item) -> str:
    return item.name or Path(item.paths[0]).name


def _age(seconds: float) -> str:
    """How long ago, in one unit; a file from the future is from now."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "now"
