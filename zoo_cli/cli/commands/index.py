"""`zoo index`: its sub-commands; building the index and looking at upstream's oddities (maintainers)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli.commands.index_propose import propose_command
from zoo_cli.cli.commands.index_read import read_command
from zoo_cli.cli.commands.index_releases import releases_command
from zoo_cli.cli.commands.index_signing import key_command, publish_command, rotate_command, sign_command
from zoo_cli.cli.commands.index_trust import trust_group
from zoo_cli.cli.commands.index_update import status_command, update_command
from zoo_cli.cli.commands.index_verify import verify_command
from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.releases import index_directory, parse_release, sources_of
from zoo_cli.errors import ExitCode
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from zoo_cli.cli.console import Console
    from zoo_cli.cli.progress import Progress
    from zoo_cli.models.batch import Outcome
    from zoo_cli.models.build import Built

_SHOWN_PROBLEMS = 10


@click.group("index", epilog="Example: zoo index update")
def command() -> None:
    """Update the index, whom to trust for it; build, inspect and sign it (maintainers)."""


for _each in (
    update_command,
    status_command,
    trust_group,
    verify_command,
    releases_command,
    propose_command,
    read_command,
):
    command.add_command(_each)
for _each in (key_command, rotate_command, sign_command, publish_command):
    command.add_command(_each)


@command.command("build", epilog="Example: zoo index build mmdet==3.3.0 mmdet==2.28.2 --dry-run")
@click.argument("releases", nargs=-1, required=True, metavar="PROJECT==VERSION...")
@click.option("--index", "directory", type=click.Path(path_type=Path, file_okay=False), help="The index directory.")
@click.option("--mirror", "mirrors", multiple=True, metavar="FROM=TO", help="Rewrite addresses; repeatable.")
@click.option("--again", is_flag=True, help="Also build what stands in the index, made from the same file.")
@click.option("--jobs", type=click.IntRange(1, 8), default=4, show_default=True, help="Releases at once.")
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
    again: bool,
    jobs: int,
    dry_run: bool,
) -> None:
    """Turn released packages into documents of the index, from their metafiles.

    A release that cannot be built is told and does not stop the others. What was built is kept: the same command
    goes on from there.
    """
    from zoo_cli.catalog.database import open_catalog
    from zoo_cli.cli.progress import Progress
    from zoo_cli.models.batch import build_releases

    index = index_directory(directory)
    requests = tuple(dict.fromkeys(map(parse_release, releases)))
    with Progress(console) as progress:
        sources = sources_of(console, mirrors, progress)
        made = build_releases(requests, index, sources, again=again, jobs=jobs)
        done = _Done(console, progress, index, dry_run, len(requests))
        outcomes = [done.take(each) for each in made]
    if not dry_run and (index / "compat").is_dir():  # else it is a directory of documents only
        open_catalog(directory).close()  # compiled anew, because the documents changed
    context.exit(_tell(console, outcomes, dry_run))


@dataclass
class _Done:
    """Takes outcomes as they come: writes what was built at once, so that an interrupted run keeps it, and tells."""

    console: Console
    progress: Progress
    index: Path
    dry_run: bool
    requests: int
    count: int = 0

    def take(self, outcome: Outcome) -> Outcome:
        """One outcome, given back. The error of the only release is the run's."""
        from zoo_cli.cli.app import show_error
        from zoo_cli.errors import ZooError
        from zoo_cli.models.build import Built
        from zoo_cli.models.indexfiles import write

        self.count += 1
        result = outcome.result
        if isinstance(result, ZooError):
            if self.requests == 1:
                raise result
            if not self.console.json:
                self.progress.close()
                show_error(self.console, result)
            return outcome
        if isinstance(result, Built) and not self.dry_run:
            write(self.index, result)
        if self.requests > 1:
            models = len(result.records.models) if isinstance(result, Built) else result.models
            how = "read" if isinstance(result, Built) else "as before"
            self.progress.step(f"{self.count} of {self.requests}  {outcome.request}: {models} models, {how}")
        if isinstance(result, Built) and (self.requests == 1 or result.is_blocked):
            _talk(self.console, result)
        return outcome


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


def _tell(console: Console, outcomes: list[Outcome], dry_run: bool) -> int:
    """Writes the answer and returns the exit code: the first error's, else FAILED where something was left out."""
    from zoo_cli.errors import ZooError

    results = [each.result for each in outcomes]
    errors = [each for each in results if isinstance(each, ZooError)]
    is_blocked = any(each.is_blocked for each in results if not isinstance(each, ZooError))
    if console.json:
        releases = [_summary(each) for each in outcomes]
        ok = not errors and not is_blocked
        console.document({"ok": ok, "command": "index build", "dry_run": dry_run, "releases": releases})
    else:
        for outcome in outcomes:
            console.data(_line(outcome, "Would change" if dry_run else "Changed"))
    return errors[0].exit_code if errors else ExitCode.FAILED if is_blocked else ExitCode.FINE


def _line(outcome: Outcome, verb: str) -> str:
    from zoo_cli.errors import ZooError
    from zoo_cli.models.build import Built

    result = outcome.result
    if isinstance(result, ZooError):
        return f"Not built: {outcome.request} ({result.code})"
    if not isinstance(result, Built) or result.is_same:
        return f"Nothing changes in index/{result.path}"
    counts = f"{len(result.added)} added, {len(result.removed)} removed, {len(result.changed)} changed"
    return f"{verb} index/{result.path}: {counts}"


def _summary(outcome: Outcome) -> dict[str, object]:
    from zoo_cli.cli.messages import message_for
    from zoo_cli.errors import ZooError
    from zoo_cli.models.batch import Kept

    result = outcome.result
    head: dict[str, object] = {"project": outcome.request.project, "version": outcome.request.version}
    if isinstance(result, ZooError):
        return {**head, "error": {"code": result.code, "what": message_for(result).what, "facts": result.fields()}}
    if isinstance(result, Kept):
        return {**head, "path": result.path, "is_same": True, "is_kept": True, "models": result.models}
    return {
        **head,
        "path": result.path,
        "is_new": result.is_new,
        "is_same": result.is_same,
        "is_kept": False,
        "metafiles": result.records.metafiles,
        "models": len(result.records.models),
        "added": list(result.added),
        "removed": list(result.removed),
        "changed": list(result.changed),
        "problems": [
            {"kind": each.kind, "at": each.at, "subject": each.subject, "detail": each.detail, "blocks": each.blocks}
            for each in result.records.issues
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
