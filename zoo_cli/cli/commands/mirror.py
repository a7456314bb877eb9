"""`zoo mirror`: which other hosts are asked, whether they answer, choosing them; and mirrors of one's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from zoo_cli.cli.commands.mirror_serve import serve_command
from zoo_cli.cli.commands.mirror_sync import sync_command, verify_command
from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.text import human_bytes, printable
from zoo_cli.errors import ExitCode
from zoo_cli.transfer.mirrors import UnknownMirror, load_mirrors, parse_option, read_user_file, write_mirrors
from zoo_cli.transfer.sources import Rule

if TYPE_CHECKING:
    from zoo_cli.cli.console import Console
    from zoo_cli.transfer.probe import Probe
    from zoo_cli.transfer.sources import Mirrors, Order

_USED = "zoo mirror use "  # how the source of a rule for a mirror of one's own begins
_KINDS = ("wheels", "checkpoints", "configs", "package-index")


@click.group("mirror", epilog="Example: zoo mirror use --region cn")
def command() -> None:
    """Which other hosts are asked, and mirrors of your own.

    A mirror can deny or delay a file, never change one whose digest is known.
    """


command.add_command(sync_command)
command.add_command(verify_command)
command.add_command(serve_command)


@command.command("list")
@common_options
@pass_console
def list_command(console: Console) -> None:
    """Rules that hold, and mirrors that may be chosen."""
    mirrors = load_mirrors(environ=console.environ)
    rows = [
        (state, name, region, rule.start, to, ",".join(rule.kinds) or "all", rule.source)
        for state, name, region, rule in _rows(mirrors)
        for to in rule.to
    ]
    names = ("state", "name", "region", "from", "to", "kinds", "source")
    if console.json:
        console.document({
            "ok": True, "command": "mirror list", "mirrors": [dict(zip(names, row, strict=True)) for row in rows],
            "headers": [{"for": each.start, "name": each.name, "from-environment": each.variable}
                        for each in mirrors.headers],
        })  # fmt: skip
        return
    console.table(names, [tuple(printable(str(cell)) for cell in row) for row in rows])
    for each in mirrors.headers:
        console.say(f"{each.start} gets the header {each.name} from {each.variable}")
    if not mirrors.rules:
        console.say("None is asked: every file comes from its own host. Choose: zoo mirror use NAME")


def _rows(mirrors: Mirrors) -> list[tuple[str, str, str, Rule]]:
    """State, name, region and rule of each: those that are asked first, in their order."""
    known = {each.rule: each for each in mirrors.known}
    asked = [
        ("asked", known[rule].name if rule in known else "", known[rule].region if rule in known else "", rule)
        for rule in mirrors.rules
    ]
    free = [each for each in mirrors.known if each.name not in mirrors.used]
    return [*asked, *(("known", each.name, each.region, each.rule) for each in free)]


@command.command(
    "use", epilog="Examples: zoo mirror use sjtu-pytorch; zoo mirror use --region cn; zoo mirror use http://lab:8000/"
)
@click.argument("names", nargs=-1, metavar="[NAME|URL...]")
@click.option("--region", metavar="CODE", help="All known mirrors near there, such as cn.")
@click.option("--none", "nothing", is_flag=True, help="None of the known mirrors, and none by its URL.")
@click.option(
    "--order", type=click.Choice(["before", "instead"]), default="instead", show_default=True,
    help="A mirror by its URL: before the original hosts, or everything from it.",
)  # fmt: skip
@common_options
@pass_console
def use_command(console: Console, names: tuple[str, ...], region: str | None, nothing: bool, order: str) -> None:
    """Ask known mirrors before the original hosts, in this order; or take everything from one of your own.

    URL is the address or directory of a mirror that zoo mirror sync made.
    """
    if bool(names) + (region is not None) + nothing != 1:
        raise click.UsageError("Name mirrors, or a region with --region, or --none.")
    places, names = tuple(filter(_is_place, names)), tuple(name for name in names if not _is_place(name))
    mirrors = load_mirrors(environ=console.environ)
    there = tuple(dict.fromkeys(each.name for each in mirrors.known))
    if region is not None:
        names = tuple(dict.fromkeys(each.name for each in mirrors.known if each.region == region))
        if not names:
            raise UnknownMirror(region, tuple(sorted({each.region for each in mirrors.known})))
    for name in names:
        if name not in there:
            raise UnknownMirror(name, there)
    mine = read_user_file(console.environ)
    others = tuple(rule for rule in mine.rules if not rule.source.startswith(_USED))
    own = tuple(rule for place in places for rule in _own_rules(console, place, cast("Order", order)))
    _write(console, replace(mine, rules=(*others, *own), used=tuple(dict.fromkeys(names))), "use")


def _is_place(text: str) -> bool:
    return "://" in text or text.startswith(("/", "./", "../", "file:"))


def _own_rules(console: Console, place: str, order: Order) -> tuple[Rule, ...]:
    """The rules that lead everything to a mirror of one's own, after a look at its manifest.

    Raises:
        BadMirror: There is none.
        Failed: It cannot be reached.
    """
    from zoo_cli.mirror.manifest import MAX_BYTES, NAME, read_manifest
    from zoo_cli.mirror.sync import load
    from zoo_cli.mirror.tree import DirectoryTree
    from zoo_cli.transfer.addresses import local_path
    from zoo_cli.transfer.documents import read_document
    from zoo_cli.transfer.settings import Settings

    path = local_path(place)
    if path is not None:
        root, manifest = Path(path).absolute().as_uri(), load(DirectoryTree(Path(path)), must_exist=True)
    else:
        root, quick = place.rstrip("/"), Settings(offline=console.offline, retries=1, connect_seconds=5)
        manifest = read_manifest(read_document((f"{root}/{NAME}",), MAX_BYTES, quick).body, root)
    console.say(f"{root}/ has {len(manifest.files)} files, facts of {printable(manifest.index_date)}")
    source = f"{_USED}{root}/"
    pypi = Rule("https://pypi.org/simple", (f"{root}/simple",), ("package-index",), order, source)
    return (pypi, Rule("https://", (f"{root}/",), (), order, source))


@command.command("add", epilog="Example: zoo mirror add https://download.openmmlab.com=http://mirror.lab/openmmlab")
@click.argument("rewrite", metavar="FROM=TO")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(_KINDS), help="What it has; repeatable; all if none.")
@click.option(
    "--order", type=click.Choice(["before", "after", "instead"]), default="before", show_default=True,
    help="When it is asked: before the original, after it, or instead of it.",
)  # fmt: skip
@common_options
@pass_console
def add_command(console: Console, rewrite: str, kinds: tuple[str, ...], order: str) -> None:
    """Add a rule to your own file."""
    found = replace(parse_option(rewrite), kinds=kinds, order=cast("Order", order), source="zoo mirror add")
    mine = read_user_file(console.environ)
    others = tuple(rule for rule in mine.rules if (rule.start, rule.to) != (found.start, found.to))
    _write(console, replace(mine, rules=(*others, found)), "add")


@command.command("remove")
@click.argument("what", metavar="NAME|FROM=TO|URL")
@common_options
@pass_console
def remove_command(console: Console, what: str) -> None:
    """Remove a rule of yours, or a known mirror from those that are asked."""
    mine = read_user_file(console.environ)
    used = tuple(name for name in mine.used if name != what)
    used_place = f"{_USED}{what.rstrip('/')}/"
    rules = tuple(rule for rule in mine.rules if what != f"{rule.start}={rule.to[0]}" and rule.source != used_place)
    if (used, rules) == (mine.used, mine.rules):
        raise UnknownMirror(what, (*mine.used, *(f"{rule.start}={rule.to[0]}" for rule in mine.rules)))
    _write(console, replace(mine, used=used, rules=rules), "remove")


def _write(console: Console, mirrors: Mirrors, what: str) -> None:
    path = write_mirrors(mirrors, console.environ)
    if console.json:
        console.document({
            "ok": True, "command": f"mirror {what}", "file": str(path), "use": list(mirrors.used),
            "rules": [{"from": rule.start, "to": list(rule.to)} for rule in mirrors.rules],
        })  # fmt: skip
        return
    console.data(str(path))
    asked = [*(f"{rule.start}={rule.to[0]}" for rule in mirrors.rules), *mirrors.used]
    is_alone = any(rule.order == "instead" for rule in mirrors.rules)
    when = "before or instead of" if is_alone else "before"
    console.say(f"Asked {when} the original hosts: {', '.join(asked) or 'none'}")


@command.command("test", epilog="Example: zoo mirror test https://download.openmmlab.com/mmdetection/v3.0/x.pth")
@click.argument("url", required=False)
@click.option("--all", "everything", is_flag=True, help="Also mirrors that were not chosen.")
@common_options
@pass_console
@click.pass_context
def test_command(context: click.Context, console: Console, url: str | None, everything: bool) -> None:
    """Ask each mirror: for a file by its upstream address, or only whether the host answers."""
    from zoo_cli.transfer.probe import probe_all
    from zoo_cli.transfer.settings import Settings
    from zoo_cli.transfer.sources import kind_of

    mirrors = load_mirrors(environ=console.environ)
    if everything:
        mirrors = replace(mirrors, rules=tuple(dict.fromkeys((*mirrors.rules, *(each.rule for each in mirrors.known)))))
    if url is not None:
        addresses = mirrors.addresses(url, kind_of(url.partition("?")[0]))
    else:
        addresses = tuple(dict.fromkeys(to for rule in mirrors.rules for to in rule.to))
    results = probe_all(addresses, Settings(offline=console.offline, stall_seconds=10), for_file=url is not None)

    def row(each: Probe) -> tuple[str, ...]:
        rate = f"{human_bytes(each.bytes_per_second)}/s" if each.bytes_per_second else ""
        return ("ok" if each.is_ok else "FAIL", f"{each.seconds * 1000:.0f} ms", rate, each.url, printable(each.said))

    if console.json:
        console.document({"ok": True, "command": "mirror test", "mirrors": [each._asdict() for each in results]})
    else:
        console.table(("state", "answer", "rate", "address", "said"), [row(each) for each in results])
    context.exit(ExitCode.NETWORK if results and not any(each.is_ok for each in results) else ExitCode.FINE)
