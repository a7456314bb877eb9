"""`zoo index`: what maintainers do with the index: build a release's document, count, look at upstream's oddities."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.text import printable
from zoo_cli.errors import ExitCode

if TYPE_CHECKING:
    from zoo_cli.cli.console import Console
    from zoo_cli.models.build import Built

_SPEC = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([0-9][0-9A-Za-z.!+-]*)")
_SHOWN_PROBLEMS = 10


@click.group("index", epilog="Example: zoo index build mmdet==3.3.0 --dry-run")
def command() -> None:
    """Build and inspect the index (maintainers)."""


@command.command("build", epilog="Example: zoo index build mmdet==3.3.0 mmdet==2.28.2 --dry-run")
@click.argument("releases", nargs=-1, required=True, metavar="PROJECT==VERSION...")
@click.option("--index", "directory", type=click.Path(path_type=Path, file_okay=False), help="The index directory.")
@click.option("--mirror", "mirrors", multiple=True, metavar="FROM=TO", help="Rewrite addresses; repeatable.")
@click.option("--dry-run", is_flag=True, help="Say what would change, change nothing.")
@common_options
@pass_console
@click.pass_context
def build_command(
    context: click.Context,
    console: Console,
    releases: tuple[str, ...],
    directory: Path | None,
    mirrors: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Turn released packages into documents of the index, from their metafiles."""
    from zoo_cli.catalog.database import CHECKOUT, open_catalog
    from zoo_cli.models.indexfiles import write

    index = directory or CHECKOUT / "index"
    if not index.is_dir():
        raise click.UsageError(f"There is no index directory {index}; name one with --index DIR.")
    built = [_build(console, *_release(text), index, mirrors) for text in releases]
    if not dry_run:
        for each in built:
            write(index, each)
        if (index / "compat").is_dir():  # else it is a directory of documents only
            open_catalog(directory).close()  # compiled anew, because the documents changed
    _tell(console, built, dry_run)
    if any(each.is_blocked for each in built):
        context.exit(ExitCode.FAILED)


def _release(text: str) -> tuple[str, str]:
    from packaging.version import InvalidVersion, Version

    match = _SPEC.fullmatch(text)
    try:
        if match and Version(match[2]):
            return match[1], match[2]
    except InvalidVersion:
        pass
    raise click.UsageError(f"'{printable(text, 80)}' is not PROJECT==VERSION, such as mmdet==3.3.0.")


def _build(console: Console, project: str, version: str, index: Path, mirror_options: tuple[str, ...]) -> Built:
    from zoo_cli.cli.progress import Progress
    from zoo_cli.directories import cache_directory
    from zoo_cli.models.build import build
    from zoo_cli.models.indexfiles import current
    from zoo_cli.models.upstream import Tree, fetch_release, find_release
    from zoo_cli.transfer.mirrors import load_mirrors
    from zoo_cli.transfer.settings import Settings

    mirrors, settings = load_mirrors(mirror_options), Settings(offline=console.offline)
    with Progress(console) as progress:
        release = find_release(project, version, mirrors, settings)
        path = fetch_release(release, cache_directory(), mirrors, settings, progress)
    with Tree(path, release) as tree:
        built = build(tree.release, tree, current(index, release.project, version))
    _talk(console, built)
    return built


def _talk(console: Console, built: Built) -> None:
    records = built.records
    odd = {issue.at.rpartition(":")[0] for issue in records.issues}
    console.say(
        f"{built.release.project} {built.release.version}: read {records.metafiles} metafiles, "
        f"{len(records.models)} models; {len(records.issues)} problems in {len(odd)} files"
    )
    blocking = [issue for issue in records.issues if issue.blocks]
    shown = records.issues if console.verbose else (blocking or list(records.issues)[:_SHOWN_PROBLEMS])
    for issue in shown:
        subject = f"{issue.subject}: " if issue.subject else ""
        console.say(f"  {issue.at}  {printable(subject + issue.detail)}")
    if len(shown) < len(records.issues):
        console.say(f"  and {len(records.issues) - len(shown)} more (-v shows all)")


def _tell(console: Console, built: list[Built], dry_run: bool) -> None:
    if console.json:
        console.document({
            "ok": not any(each.is_blocked for each in built),
            "command": "index build",
            "dry_run": dry_run,
            "releases": [_summary(each) for each in built],
        })  # fmt: skip
        return
    verb = "Would change" if dry_run else "Changed"
    for each in built:
        if each.is_same:
            console.data(f"Nothing changes in index/{each.path}")
            continue
        counts = f"{len(each.added)} added, {len(each.removed)} removed, {len(each.changed)} changed"
        console.data(f"{verb} index/{each.path}: {counts}")


def _summary(built: Built) -> dict[str, object]:
    return {
        "project": built.release.project,
        "version": built.release.version,
        "path": built.path,
        "is_new": built.is_new,
        "is_same": built.is_same,
        "metafiles": built.records.metafiles,
        "models": len(built.records.models),
        "added": list(built.added),
        "removed": list(built.removed),
        "changed": list(built.changed),
        "problems": [
            {"kind": each.kind, "at": each.at, "subject": each.subject, "detail": each.detail, "blocks": each.blocks}
            for each in built.records.issues
        ],
    }


@command.command("stats")
@common_options
@pass_console
def stats_command(console: Console) -> None:
    """What the index holds, by release."""
    from dataclasses import asdict

    from zoo_cli.catalog.contents import counts
    from zoo_cli.catalog.database import index_date, open_catalog

    catalog = open_catalog()
    try:
        rows, date = counts(catalog), index_date(catalog)
    finally:
        catalog.close()
    if console.json:
        releases = [asdict(each) for each in rows]
        console.document({"ok": True, "command": "index stats", "index": date, "releases": releases})
        return
    header = (
        "package", "release", "date", "collections", "models", "names", "with weights", "configs found",
        "repaired", "missing", "files", "metrics", "problems",
    )  # fmt: skip
    cells = [tuple(str(value) for value in asdict(each).values()) for each in rows]
    console.table(header, cells, right=frozenset(range(3, 13)))
    if console.is_terminal:
        console.say()
        console.say(f"Index of {date}; oddities of upstream's data: zoo index problems")


@command.command("problems")
@click.argument("package", required=False)
@click.option("--release", metavar="VERSION", help="Only of this release.")
@click.option("--kind", metavar="KIND", help="Only of this kind, such as config-repaired.")
@common_options
@pass_console
def problems_command(console: Console, package: str | None, release: str | None, kind: str | None) -> None:
    """Oddities of upstream's data, and what was done about each."""
    from dataclasses import asdict

    from zoo_cli.catalog.contents import problems
    from zoo_cli.catalog.database import open_catalog
    from zoo_cli.catalog.scope import versions

    catalog = open_catalog()
    try:
        if package is not None:
            versions(catalog, package, release)
        rows = problems(catalog, package, release, kind)
    finally:
        catalog.close()
    if console.json:
        found = [asdict(each) for each in rows]
        console.document({"ok": True, "command": "index problems", "problems": found})
        return
    cells: list[tuple[str, ...]] = [
        (each.project, each.version, each.kind, each.at, each.subject, each.detail) for each in rows
    ]
    console.table(("package", "release", "kind", "at", "subject", "detail"), cells)
