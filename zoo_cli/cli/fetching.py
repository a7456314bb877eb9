"""Fetching models as commands do it: the wish, a look ahead, consent, the transfers under one progress display."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zoo_cli.errors import ExitCode

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from zoo_cli.cli.console import Console
    from zoo_cli.cli.progress import Progress
    from zoo_cli.models.download import PickFailed, PickReceipt, Receipt
    from zoo_cli.models.modelfile import Access
    from zoo_cli.models.outlook import Outlook
    from zoo_cli.models.selection import Pick, Selection, Wish
    from zoo_cli.transfer.sources import Mirrors
    from zoo_cli.trust.verdict import Policy

LARGE_BYTES = 50 * 1000**3  # from here on somebody is asked first


def make_wish(connection: sqlite3.Connection, names: tuple[str, ...], given: dict[str, Any]) -> Wish:
    """What the options of a command ask for."""
    from zoo_cli.models.selection import Wish

    return Wish(
        names=names if given["filter_"] is not None else _asked(connection, names, given["configs"]),
        filter=given["filter_"],
        release=given["release"],
        config=not given["weights_only"],
        weights=not given["config_only"],
        logs=given["logs"],
        layout=given["layout"],
    )


def _asked(connection: sqlite3.Connection, names: tuple[str, ...], configs: tuple[str, ...]) -> tuple[str, ...]:
    """The models by name: MODEL..., or with --config the models of one package."""
    from zoo_cli.catalog.models import releases
    from zoo_cli.catalog.scope import packages

    listed = tuple(name.strip() for text in configs for name in text.split(",") if name.strip())
    if configs:
        if len(names) != 1:
            raise click.UsageError("With --config there is one package: zoo download mmdet --config NAME --dest .")
        if not listed:
            raise click.UsageError("--config names no model.")
        project = releases(connection, names[0])[0].project
        return tuple(f"{project}/{name}" for name in listed)
    for name in names:
        if name in packages(connection):
            raise click.UsageError(
                f"{name} is a package. Its models: zoo list {name}; one of them: zoo download NAME; "
                f"all of them: zoo download '{name}/*'"
            )
    return names


def make_access(
    console: Console,
    connection: sqlite3.Connection,
    mirrors: Mirrors,
    policy: Policy,
    *,
    allow_unverified: bool,
    cross_check: bool = False,
) -> Access:
    """What a download of this user may use."""
    from zoo_cli.catalog.database import signed_in_use
    from zoo_cli.catalog.models import releases
    from zoo_cli.directories import CacheUnusable, cache_directory, state_directory
    from zoo_cli.models.modelfile import Access
    from zoo_cli.transfer.health import users_health
    from zoo_cli.transfer.settings import Settings
    from zoo_cli.transfer.store import users_store
    from zoo_cli.trust.seen import Seen

    try:
        cache = cache_directory()
    except CacheUnusable as error:
        console.warn(f"nothing is kept between runs: {error.path}: {error.reason}")
        cache = None
    settings = Settings(offline=console.offline, health=users_health(console.environ))
    seen, store = Seen(state_directory()), users_store()
    current, now = signed_in_use(console.environ), console.now()
    signed = tuple(each for each in current.used if each.expires >= now) if current else ()
    return Access(
        mirrors, settings, cache, seen, store, policy, releases(connection), cross_check, signed, allow_unverified
    )


def fetch_models(
    console: Console,
    selection: Selection,
    dest: Path,
    access: Access,
    given: dict[str, Any],
    finish: Callable[[PickReceipt], None] = lambda _done: None,
    accept: Callable[[Pick, str], None] = lambda _pick, _config: None,
) -> Receipt:
    """Fetches a selection, after looking whether there is room and consent for it.

    Args:
        console: Where to talk.
        selection: What to fetch.
        dest: Where to.
        access: What may be used.
        given: The options `jobs`, `force` and `yes`.
        finish: Called with each model that is complete.
        accept: As in `models.download.execute`.
    """
    from zoo_cli.cli.download_view import tell_passed
    from zoo_cli.cli.progress import Progress
    from zoo_cli.models.download import execute
    from zoo_cli.models.outlook import look_ahead

    files = {pick.place(file.name) for pick in selection.picks for file in pick.files}
    # One file needs no outlook: its own transfer looks for room before the first byte.
    outlook = look_ahead(selection, dest, access, given["jobs"]) if len(files) > 1 else None
    if outlook:
        outlook.require_space()
        _consent(console, outlook, yes=given["yes"])
    with Progress(console) as progress:
        tell_passed(console, selection)
        _introduce(progress, selection, outlook)
        return execute(
            selection, dest, access, progress, replace_others=given["force"], jobs=given["jobs"], finish=finish,
            accept=accept,
        )  # fmt: skip


def _consent(console: Console, outlook: Outlook, *, yes: bool) -> None:
    """Asks before very much is fetched, unless that was allowed."""
    from zoo_cli.cli.download_view import total_text
    from zoo_cli.models.outlook import VeryLarge

    if yes or outlook.to_fetch <= LARGE_BYTES:
        return
    if not console.can_ask:
        raise VeryLarge(len(outlook.sizes), outlook.to_fetch, LARGE_BYTES)
    if not console.ask(f"{len(outlook.sizes)} files, {total_text(outlook)}. Go on?"):
        console.say("Nothing was fetched.")
        raise click.exceptions.Exit(ExitCode.FAILED)


def _introduce(progress: Progress, selection: Selection, outlook: Outlook | None) -> None:
    from zoo_cli.cli.download_view import counted, introduction, total_text

    if outlook and len(outlook.sizes) > 1:
        progress.expect(len(outlook.sizes), None if outlook.unknown else outlook.total)
    if len(selection.picks) > 3 and outlook:
        files = counted(len(outlook.sizes), "file")
        progress.step(f"{counted(len(selection.picks), 'model')}, {files}: {total_text(outlook)}")
        return
    for pick in selection.picks:
        progress.step(introduction(pick))


def exit_code_of(failures: Sequence[PickFailed]) -> ExitCode:
    """The exit code of several failures: wrong bytes before anything else, else the one they share, else 1."""
    codes = {failure.error.exit_code for failure in failures}
    if ExitCode.INTEGRITY in codes:
        return ExitCode.INTEGRITY
    return codes.pop() if len(codes) == 1 else ExitCode.FAILED
