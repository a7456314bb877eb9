"""`zoo mirror`: which other hosts are asked, whether they answer, choosing them; and mirrors of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from zoo_cli.cli.commands.mirror_serve import serve_command
from zoo_cli.cli.commands.mirror_sync import sync_command, verify_command
from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.sources import users_mirrors
from zoo_cli.directories import state_directory
from zoo_cli.errors import ExitCode
from zoo_cli.plaintext import printable
from zoo_cli.transfer.health import users_health
from zoo_cli.transfer.mirrors import (
    BadMirrorOption,
    NoProject,
    UnknownMirror,
    parse_option,
    project_file,
    read_project,
)
from zoo_cli.transfer.sources import KINDS, ORDERS, Mirrors, Rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo_cli.cli.console import Console
    from zoo_cli.transfer.sources import Order

_USED = "zoo mirror use "  # how the source of a rule for a mirror of one's own begins


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
    from zoo_cli.cli.mirror_view import NAMES, rows_of

    mirrors = users_mirrors(console)
    rows = rows_of(mirrors, users_health(console.environ))
    if console.json:
        console.document({
            "ok": True, "command": "mirror list", "mirrors": [row.document() for row in rows],
            "headers": [{"for": each.start, "name": each.name, "from-environment": each.variable}
                        for each in mirrors.headers],
            "find_links": list(mirrors.pages),
            "project_not_used": mirrors.unaccepted or None,
        })  # fmt: skip
        return
    console.table(NAMES, [row.cells() for row in rows])
    for each in mirrors.headers:
        console.say(f"{each.start} gets the header {each.name} from {each.variable}")
    for page in mirrors.pages:
        console.say(f"Looked at for wheels, too: {printable(page)}")
    if mirrors.unaccepted:
        console.say(f"{printable(mirrors.unaccepted)} is not used. To use it: zoo mirror use --project")
    if not mirrors.rules:
        console.say("None is asked: every file comes from its own host. Choose: zoo mirror use NAME")


@command.command(
    "use", epilog="Examples: zoo mirror use sjtu-pytorch; zoo mirror use --region cn; zoo mirror use http://lab:8000/"
)
@click.argument("names", nargs=-1, metavar="[NAME|URL...]")
@click.option("--region", metavar="CODE", help="All known mirrors near there, such as cn, the fastest first.")
@click.option("--none", "nothing", is_flag=True, help="None of the known mirrors, and none by its URL.")
@click.option("--project", "of_project", is_flag=True, help="Accept mirrors.yaml of the project here, as it is now.")
@click.option(
    "--order", type=click.Choice(["before", "fastest", "instead"]),
    help="By name: before the originals, as listed, or the fastest first, originals too (usual with --region). By URL: "
    "instead of the originals (usual), or before them.",
)  # fmt: skip
@common_options
@pass_console
def use_command(
    console: Console, names: tuple[str, ...], region: str | None, nothing: bool, of_project: bool, order: str | None
) -> None:
    """Ask known mirrors before the original hosts, in this order; or take everything from one of your own.

    URL is the address or directory of a mirror that zoo mirror sync made.
    """
    if bool(names) + (region is not None) + nothing + of_project != 1:
        raise click.UsageError("Name mirrors, or a region with --region, or --project, or --none.")
    if of_project:
        _accept(console)
        return
    places, names = tuple(filter(_is_place, names)), tuple(name for name in names if not _is_place(name))
    if (order == "instead" and not places) or (order == "fastest" and places):
        raise click.UsageError("--order instead is for a mirror by its URL, fastest for mirrors by their names.")
    mirrors = users_mirrors(console)
    names = names if region is None else _near(mirrors, region.lower())
    there = tuple(dict.fromkeys(each.name for each in mirrors.known))
    for name in names:
        if name not in there:
            raise UnknownMirror(name, there)
    own = tuple(rule for place in places for rule in _own_rules(console, place, cast("Order", order or "instead")))
    use_order = "fastest" if order == "fastest" or (order is None and region) else "before"

    def chosen(mine: Mirrors) -> Mirrors:
        others = tuple(rule for rule in mine.rules if not rule.source.startswith(_USED))
        pages = tuple(page for page in mine.pages if page not in _pages_of(mine.rules))
        return mine._replace(
            rules=(*others, *own),
            used=tuple(dict.fromkeys(names)),
            use_order=cast("Order", use_order),
            pages=(*pages, *_pages_of(own)),
        )

    _change(console, chosen, "use")


def _pages_of(rules: tuple[Rule, ...]) -> tuple[str, ...]:
    """The pages with all wheels of the mirrors of one's own that the rules lead to."""
    from zoo_cli.transfer.mirrorsfile import target_of

    roots = (rule.source.removeprefix(_USED) for rule in rules if rule.source.startswith(_USED))
    return tuple(dict.fromkeys(target_of(f"{root}wheels/") for root in roots))


def _near(mirrors: Mirrors, region: str) -> tuple[str, ...]:
    """The known mirrors of a region.

    Raises:
        UnknownMirror: There is none.
    """
    names = tuple(dict.fromkeys(each.name for each in mirrors.known if each.region == region))
    if not names:
        raise UnknownMirror(region, tuple(sorted({each.region for each in mirrors.known})))
    return names


def _accept(console: Console) -> None:
    """Accepts the project's file, after it was read, and shows what it says.

    Raises:
        NoProject: There is none in the working directory.
        BadMirrors: It cannot be used.
        MirrorsUnwritable: That it was accepted cannot be kept.
    """
    from zoo_cli.transfer.mirrorsedit import MirrorsUnwritable
    from zoo_cli.transfer.projectrules import accept

    project = project_file(console.environ)
    if project is None:
        raise NoProject(str(Path.cwd()), console.environ.get("ZOO_MIRRORS") or "")
    found = read_project(project)
    try:
        accept(project, console.environ)
    except OSError as exc:
        raise MirrorsUnwritable(str(state_directory(console.environ)), exc.strerror or str(exc)) from exc
    _tell(console, project.path, found, "use")
    console.say("Accepted as it is now: a changed file has to be accepted again.")


def _is_place(text: str) -> bool:
    return "://" in text or text.startswith(("/", "./", "../", "file:"))


def _root_of(place: str) -> str:
    """The address of a mirror of one's own, without the slash at its end; a directory as file: address."""
    from zoo_cli.transfer.addresses import local_path

    path = local_path(place) if _is_place(place) else None
    return place.rstrip("/") if path is None else Path(path).absolute().as_uri()


def _own_rules(console: Console, place: str, order: Order) -> tuple[Rule, ...]:
    """The rules that lead everything to a mirror of one's own, after a look at its manifest.

    Raises:
        BadMirror: There is none.
        Failed: It cannot be reached.
    """
    from zoo_cli.mirror.manifest import MAX_BYTES, NAME, BadMirror, read_manifest
    from zoo_cli.mirror.sync import load
    from zoo_cli.mirror.tree import DirectoryTree
    from zoo_cli.transfer.addresses import local_path
    from zoo_cli.transfer.documents import read_document
    from zoo_cli.transfer.failures import HttpFailed
    from zoo_cli.transfer.mirrorsfile import target_of
    from zoo_cli.transfer.settings import Settings

    path, root = local_path(place), _root_of(place)
    if path is not None:
        manifest = load(DirectoryTree(Path(path)), must_exist=True)
    else:
        quick = Settings(offline=console.offline, retries=1, connect_seconds=5)
        try:
            document = read_document((f"{root}/{NAME}",), MAX_BYTES, quick)
        except HttpFailed as exc:
            if exc.status not in (404, 410):
                raise
            raise BadMirror(root, f"it has no {NAME}", is_damaged=False) from exc
        manifest = read_manifest(document.body, root)
    console.say(f"{root}/ has {len(manifest.files)} files, facts of {printable(manifest.index_date)}")
    source, today = f"{_USED}{root}/", console.today()
    pypi = Rule("https://pypi.org/simple", (f"{root}/simple",), ("package-index",), order, source, today)
    return (pypi, Rule("https://", (target_of(f"{root}/"),), (), order, source, today))


@command.command("add", epilog="Example: zoo mirror add https://download.openmmlab.com=http://mirror.lab/openmmlab")
@click.argument("rewrite", metavar="FROM=TO")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="What it has; repeatable; all if none.")
@click.option(
    "--order", type=click.Choice(ORDERS), default="before", show_default=True,
    help="When it is asked: before the original, after it, instead of it, or the fastest of them first.",
)  # fmt: skip
@common_options
@pass_console
def add_command(console: Console, rewrite: str, kinds: tuple[str, ...], order: str) -> None:
    """Add a rule to your own file."""
    parsed, today = parse_option(rewrite), console.today()
    found = parsed._replace(kinds=kinds, order=cast("Order", order), source="zoo mirror add", date=today)

    def added(mine: Mirrors) -> Mirrors:
        others = (rule for rule in mine.rules if (rule.start, rule.to) != (found.start, found.to))
        return mine._replace(rules=(*others, found))

    _change(console, added, "add")


@command.command("remove")
@click.argument("what", metavar="NAME|FROM=TO|URL|FILE")
@common_options
@pass_console
def remove_command(console: Console, what: str) -> None:
    """Remove a rule of yours, a known mirror from those that are asked, or a project's file from those accepted."""
    if _is_forgotten(console, what):
        _tell(console, Path(what), Mirrors(), "remove")
        return
    pair, used_place = _pair(what), f"{_USED}{_root_of(what)}/"

    def without(mine: Mirrors) -> Mirrors:
        used = tuple(name for name in mine.used if name != what)
        rules = tuple(
            rule for rule in mine.rules if (rule.start, rule.to[0]) != pair and rule.source != used_place
        )  # fmt: skip
        if (used, rules) == (mine.used, mine.rules):
            raise UnknownMirror(what, (*mine.used, *(f"{rule.start}={rule.to[0]}" for rule in mine.rules)))
        gone = set(_pages_of(mine.rules)) - set(_pages_of(rules))
        return mine._replace(used=used, rules=rules, pages=tuple(page for page in mine.pages if page not in gone))

    _change(console, without, "remove")


def _pair(what: str) -> tuple[str, str] | None:
    """Both sides of a FROM=TO as `add` keeps them; None for anything else."""
    try:
        rule = parse_option(what)
    except BadMirrorOption:
        return None
    return rule.start, rule.to[0]


def _is_forgotten(console: Console, what: str) -> bool:
    """Whether this was a project's file that counted, and does not any more.

    Raises:
        MirrorsUnwritable: That cannot be kept.
    """
    from zoo_cli.transfer.mirrorsedit import MirrorsUnwritable
    from zoo_cli.transfer.projectrules import forget

    try:
        return forget(Path(what), console.environ)
    except OSError as exc:
        raise MirrorsUnwritable(str(state_directory(console.environ)), exc.strerror or str(exc)) from exc


def _change(console: Console, change: Callable[[Mirrors], Mirrors], what: str) -> None:
    from zoo_cli.transfer.mirrorsedit import change_mirrors

    _tell(console, *change_mirrors(change, console.environ), what)


def _tell(console: Console, path: Path, mirrors: Mirrors, what: str) -> None:
    """What a file says now."""
    if console.json:
        console.document({
            "ok": True, "command": f"mirror {what}", "file": str(path), "use": list(mirrors.used),
            "use_order": mirrors.use_order,
            "rules": [{"from": rule.start, "to": list(rule.to)} for rule in mirrors.rules],
            "find_links": list(mirrors.pages),
        })  # fmt: skip
        return
    console.data(printable(str(path)))
    when = {"before": "before the original", "after": "after the original", "instead": "instead of the original",
            "fastest": "the fastest first, the original too"}  # fmt: skip
    rules = [(f"{rule.start}={to}", rule.order) for rule in mirrors.rules for to in rule.to]
    for name, order in (*rules, *((name, mirrors.use_order) for name in mirrors.used)):
        console.say(f"Asked {when[order]}: {printable(name)}")
    for page in mirrors.pages:
        console.say(f"Looked at for wheels, too: {printable(page)}")
    if not (mirrors.rules or mirrors.used):
        console.say("Asked: none but the original hosts")


@command.command("test", epilog="Example: zoo mirror test https://download.openmmlab.com/mmdetection/v3.0/x.pth")
@click.argument("url", required=False)
@click.option("--all", "everything", is_flag=True, help="Also mirrors that were not chosen.")
@common_options
@pass_console
@click.pass_context
def test_command(context: click.Context, console: Console, url: str | None, everything: bool) -> None:
    """Ask each mirror: for a file by its upstream address, or only whether the host answers.

    What it finds is remembered as that of transfers is: zoo mirror list shows it, --order fastest goes by it.
    """
    from zoo_cli.cli.mirror_view import ASKED_NAMES, Asked, rule_to
    from zoo_cli.transfer.probe import probe_all
    from zoo_cli.transfer.settings import Settings
    from zoo_cli.transfer.sources import kind_of

    mirrors = users_mirrors(console)
    if everything:
        mirrors = mirrors._replace(rules=tuple(dict.fromkeys((*mirrors.rules, *(each.rule for each in mirrors.known)))))
    if url is not None:
        addresses = mirrors.addresses(url, kind_of(url.partition("?")[0]))
    else:
        addresses = tuple(dict.fromkeys(to for rule in mirrors.rules for to in rule.to))
    health = users_health(console.environ)
    before = [(health.of(each), rule_to(mirrors, each)) for each in addresses]
    settings = Settings(offline=console.offline, stall_seconds=10, health=health)
    probes = probe_all(addresses, settings, for_file=url is not None)
    rows = [Asked(probe, *known, health.now()) for probe, known in zip(probes, before, strict=True)]
    if console.json:
        console.document({"ok": True, "command": "mirror test", "mirrors": [row.document() for row in rows]})
    else:
        console.table(ASKED_NAMES, [row.cells() for row in rows])
        if not rows:
            console.say("None is asked. All that are known: zoo mirror test --all")
        if len({probe.size_bytes for probe in probes} - {None}) > 1:
            console.warn("their files have different sizes: not all of them have the file that upstream has")
    context.exit(ExitCode.NETWORK if rows and not any(row.probe.is_ok for row in rows) else ExitCode.FINE)
