"""`zoo mirror sync` and `zoo mirror verify`: a mirror of one's own, in a directory or a bucket."""

from __future__ import annotations

import shlex
from collections import Counter
from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_cli.cli.choices import Choices, planning_options
from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.text import human_bytes
from zoo_cli.cli.trusting import policy_of, trust_option, unverified_option
from zoo_cli.errors import ExitCode
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from zoo_cli.cli.console import Console
    from zoo_cli.cli.messages import WayOut
    from zoo_cli.errors import ZooError
    from zoo_cli.machine.facts import Machine
    from zoo_cli.mirror.sync import Checked, Decision, Item, Synced
    from zoo_cli.models.modelfile import Access
    from zoo_cli.packages.locked import Lock


_TELL_SECONDS = 15.0  # between two lines about how far a long verification is


@click.command(
    "sync",
    epilog="Examples: zoo mirror sync mmdet --filter 'box_AP>=50' --to /srv/mirror; "
    "zoo mirror sync --wheels mmdet --machine gpu=A100,driver=535.183.01,python=3.10 --to s3://bucket/zoo",
)
@click.argument("names", nargs=-1, metavar="[MODEL...]")
@click.option("--to", "place", required=True, metavar="DIR|s3://BUCKET/PREFIX", help="Where the mirror is, or begins.")
@click.option("--filter", "filter_", metavar="EXPR", help="All models that pass it (zoo help filters).")
@click.option("--release", metavar="VERSION", help="Of this release of the package, not the newest.")
@click.option("--config-only", is_flag=True, help="Leave the checkpoints.")
@click.option("--weights-only", is_flag=True, help="Leave the configs.")
@click.option("--logs", is_flag=True, help="The training logs, too.")
@click.option(
    "--wheels", "packages", multiple=True, metavar="PACKAGE", help="All wheels of a stack with it; repeatable."
)
@click.option(
    "--lock", "locks", multiple=True, type=click.Path(path_type=Path, dir_okay=False),
    help="All wheels of a lock (zoo lock); repeatable.",
)  # fmt: skip
@click.option(
    "--machine", "described", multiple=True, metavar="FACTS|FILE",
    help="The wheels for this machine: zoo help machine; repeatable.",
)  # fmt: skip
@click.option("--python", metavar="PATH|VERSION", help="The wheels for this interpreter.")
@planning_options
@trust_option
@unverified_option
@click.option("--prune", is_flag=True, help="Remove what earlier syncs brought and this one does not name.")
@click.option("--dry-run", is_flag=True, help="Say what would come and go, and stop.")
@click.option("-j", "--jobs", type=click.IntRange(1, 32), default=4, help="Files at once. [default: 4]")
@common_options
@pass_console
@click.pass_context
def sync_command(context: click.Context, console: Console, /, place: str, prune: bool, **given: Any) -> None:
    """Copy models and wheels into a tree that any web server, S3 store or zoo mirror serve can serve.

    MODEL is anything that zoo download takes, with --filter also a package. What is there is not fetched again; a
    sync that was stopped goes on. Credentials for S3 come from where AWS tools look for them (AWS_*, ~/.aws).
    """
    from zoo_cli.catalog.database import index_date, open_catalog
    from zoo_cli.cli.fetching import make_access
    from zoo_cli.cli.mirroring import opened
    from zoo_cli.cli.progress import Progress
    from zoo_cli.cli.sources import users_mirrors
    from zoo_cli.mirror.sync import decide, execute

    connection = open_catalog()
    mirrors = users_mirrors(console, given["mirrors"])
    access = make_access(
        console, connection, mirrors, policy_of(given["trust_globals"]), allow_unverified=given["allow_unverified"]
    )
    items = _items(console, connection, access, given)
    with opened(place, access.cache) as tree, nullcontext() if given["dry_run"] else tree.alone():
        decision = decide(tree, items, prune=prune, index_date=index_date(connection))
        if given["dry_run"]:
            _tell_decision(console, tree.place, decision)
            return
        with Progress(console) as progress:
            progress.expect(len(decision.coming), None)
            done = execute(tree, decision, progress, given["jobs"])
    _tell(console, tree.place, done)
    if done.failures:
        context.exit(_exit_code(done))


def _items(console: Console, connection: sqlite3.Connection, access: Access, given: dict[str, Any]) -> tuple[Item, ...]:
    """Every file that the options ask for, each once; and the index."""
    from zoo_cli.cli.fetching import make_wish
    from zoo_cli.cli.mirroring import index_item, model_items, wheel_items
    from zoo_cli.models.selection import select

    has_models = bool(given["names"]) or given["filter_"] is not None
    if not (has_models or given["packages"] or given["locks"]):
        raise click.UsageError("Say what the mirror shall have: MODEL..., --filter EXPR, --wheels PACKAGE or --lock.")
    if given["config_only"] and given["weights_only"]:
        raise click.UsageError("--config-only and --weights-only leave nothing to mirror.")
    items = [index_item(connection, access)]
    if has_models:
        wish = make_wish(connection, given["names"], given | {"layout": "by-model", "configs": ()})
        items += model_items(console, select(connection, wish), access)
    for lock, machine, shown in _locks(console, connection, access, given):
        items += wheel_items(lock, machine, shown, access)
    return tuple({item.path: item for item in items}.values())


def _locks(
    console: Console, connection: sqlite3.Connection, access: Access, given: dict[str, Any]
) -> Iterator[tuple[Lock, Machine, str]]:
    """Each lock with each machine whose wheels are wanted, and what the lock is called."""
    from zoo_cli.cli.messages.transfer import same_command
    from zoo_cli.cli.mirroring import lock_machine
    from zoo_cli.cli.stack_lock import lock_stack, plan_stack
    from zoo_cli.cli.target import find_target
    from zoo_cli.packages.locking import read_lock

    machines: tuple[str | None, ...] = given["described"] or (None,)
    for path in given["locks"]:
        lock = read_lock(path)
        for facts in given["described"] or (None if given["python"] else lock_machine(lock),):
            machine = find_target(connection, console, python=given["python"], described=facts).machine
            if machine.python:
                machine = machine._replace(python=machine.python._replace(distributions=(), torch=None))
            yield lock, machine, str(path)
    if given["packages"]:
        options = {each.name: given[each.name] for each in fields(Choices)}
        choices = Choices(**options)
        for facts in machines:
            words = tuple(shlex.split(same_command()))
            stack = plan_stack(console, connection, choices, words, python=given["python"], described=facts)
            lock, _supply = lock_stack(console, connection, stack, access.mirrors)
            yield lock, stack.machine, facts or "this machine"


def _exit_code(done: Synced) -> ExitCode:
    """Wrong bytes before anything else, else the code that all failures share, else 1."""
    codes = {error.exit_code for _item, error in done.failures}
    if ExitCode.INTEGRITY in codes:
        return ExitCode.INTEGRITY
    return codes.pop() if len(codes) == 1 else ExitCode.FAILED


def _tell_decision(console: Console, place: str, decision: Decision) -> None:
    coming, known = decision.coming, [each.size_bytes for each in decision.coming if each.size_bytes is not None]
    if console.json:
        console.document({
            "ok": True, "command": "mirror sync", "dry_run": True, "place": place,
            "coming": [{"path": each.path, "kind": each.kind, "size_bytes": each.size_bytes} for each in coming],
            "kept": len(decision.kept), "removed": sorted(decision.removed),
        })  # fmt: skip
        return
    for each in coming:
        console.data(f"+ {printable(each.path)}")
    for path in sorted(decision.removed):
        console.data(f"- {printable(path)}")
    unsaid = f", {len(coming) - len(known)} of unknown size" if len(known) < len(coming) else ""
    console.say(
        f"{place}: {len(coming)} files to come ({human_bytes(sum(known))}{unsaid}), {len(decision.kept)} there, "
        f"{len(decision.removed)} to remove"
    )


def _tell(console: Console, place: str, done: Synced) -> None:
    manifest = done.manifest
    if console.json:
        console.document({
            "ok": not done.failures, "command": "mirror sync", "place": place,
            "came": [{"path": each.path, "sha256": each.sha256, "size_bytes": each.size_bytes} for each in done.came],
            "kept": done.kept, "removed": list(done.removed), "stayed": list(done.stayed), "pages": done.pages,
            "files": len(manifest.files), "size_bytes": manifest.size_bytes, "shared_names": list(done.shared),
            "failures": [{**error.fields(), "path": item.path, "code": error.code} for item, error in done.failures],
        })  # fmt: skip
        return
    _tell_failures(console, done.failures)
    for path in done.stayed:
        console.warn(f"{path} is not as the mirror left it, and stays")
    for name in done.shared:
        console.warn(f"{name} means several files: it stands on the pages of its directories only")
    came = sum(each.size_bytes for each in done.came)
    console.say(
        f"{place}: {len(done.came)} files came ({human_bytes(came)}), {done.kept} were there, "
        f"{len(done.removed)} removed, {len(done.failures)} failed"
    )
    console.say(f"It holds {_holding(manifest.files.values())}, {human_bytes(manifest.size_bytes)}")
    console.data(place)


def _tell_failures(console: Console, failures: Sequence[tuple[Item, ZooError]]) -> None:
    """Each with its reason; the same way out once for all of them."""
    from zoo_cli.cli.app import error_lines
    from zoo_cli.cli.messages import message_for

    told: set[WayOut] = set()
    for item, error in failures:
        message = message_for(error)
        console.complain(f"{console.paint('FAIL', 'red')}  {printable(item.path)}")
        shown = replace(message, ways_out=tuple(way for way in message.ways_out if way not in told))
        told |= set(message.ways_out)
        for line in error_lines(console, error.code, shown):
            console.complain(f"      {line}".rstrip())


def _holding(files: Any) -> str:
    counts = Counter(each.kind for each in files if each.kind not in ("page", "metadata"))
    return ", ".join(f"{counts[kind]} {kind}{'s' if counts[kind] != 1 else ''}" for kind in sorted(counts))


@click.command("verify", epilog="Example: zoo mirror verify /srv/mirror")
@click.argument("place", metavar="DIR|s3://BUCKET/PREFIX")
@click.option("-j", "--jobs", type=click.IntRange(1, 32), default=4, help="Files at once. [default: 4]")
@common_options
@pass_console
@click.pass_context
def verify_command(context: click.Context, console: Console, place: str, jobs: int) -> None:
    """Read every file of a mirror and compare it with its digest; what is damaged is removed.

    The next sync brings it again.
    """
    from zoo_cli.cli.mirroring import opened
    from zoo_cli.mirror.sync import load, verify

    checked: list[Checked] = []
    with opened(place, None) as tree:
        manifest, told_at = load(tree, must_exist=True), console.clock()
        for each in verify(tree, manifest, jobs):
            checked.append(each)
            if not console.json and console.clock() - told_at >= _TELL_SECONDS:
                told_at = console.clock()
                console.say(f"{len(checked)} of {len(manifest.files)} files read")
    bad = [each for each in checked if each.state != "ok"]
    _tell_checked(console, place, checked, bad)
    if bad:
        context.exit(ExitCode.INTEGRITY)


def _tell_checked(console: Console, place: str, checked: Sequence[Checked], bad: Sequence[Checked]) -> None:
    size = sum(each.held.size_bytes for each in checked if each.state == "ok")
    if console.json:
        console.document({
            "ok": not bad, "command": "mirror verify", "place": place, "files": len(checked), "size_bytes": size,
            "bad": [{"path": each.held.path, "state": each.state} for each in bad],
        })  # fmt: skip
        return
    for each in bad:
        console.data(f"{each.state}\t{printable(each.held.path)}")
    console.say(f"{place}: {len(checked) - len(bad)} of {len(checked)} files are right, {human_bytes(size)}")
