"""`zoo download`: flattened configs, checkpoints and logs of models, checked, without any framework installed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.trusting import policy_of, trust_option
from zoo_cli.errors import ExitCode

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from zoo_cli.catalog.models import Release
    from zoo_cli.cli.console import Console
    from zoo_cli.cli.progress import Progress
    from zoo_cli.models.caches import Linked
    from zoo_cli.models.download import Access, PickFailed, PickReceipt
    from zoo_cli.models.outlook import Outlook
    from zoo_cli.models.selection import Selection, Wish
    from zoo_cli.transfer.sources import Mirrors
    from zoo_cli.trust.verdict import Policy

LARGE_BYTES = 50 * 1000**3  # from here on somebody is asked first


@click.command(
    "download",
    epilog="Examples: zoo download rtmdet_tiny_8xb32-300e_coco --dest .; "
    "zoo download mmdet --filter 'collection=RTMDet' --dest models --dry-run; "
    "zoo download open-mmlab://resnet50_caffe --link-caches; zoo download mmdet --config NAME --dest . (as mim).",
)
@click.argument("names", nargs=-1, metavar="MODEL...")
@click.option(
    "--dest", type=click.Path(path_type=Path), default=Path(), help="Directory; made if missing. [default: .]"
)
@click.option("--filter", "filter_", metavar="EXPR", help="All models that pass it (zoo help filters).")
@click.option("--config", "configs", metavar="NAME[,NAME]", multiple=True, help="mim's spelling: MODEL is a package.")
@click.option("--release", metavar="VERSION", help="Of this release of the package, not the newest.")
@click.option("--config-only", is_flag=True, help="Leave the checkpoint.")
@click.option("--weights-only", is_flag=True, help="Leave the config.")
@click.option("--logs", is_flag=True, help="The training logs, too.")
@click.option(
    "--layout",
    type=click.Choice(["flat", "by-model"]),
    default="flat",
    help="All files side by side, or a folder for each model.",
)
@click.option("--link-caches", is_flag=True, help="Let torch.hub, mmengine and mmcv find the checkpoints.")
@click.option("--no-receipt", is_flag=True, help="Write no receipt beside the files; zoo verify then knows nothing.")
@click.option("--force", is_flag=True, help="Replace other files of the same names.")
@trust_option
@click.option("-j", "--jobs", type=click.IntRange(1, 32), default=4, help="Files at once. [default: 4]")
@click.option(
    "--mirror", "mirror_options", metavar="FROM=TO", multiple=True, help="Try TO for addresses with FROM first."
)
@click.option("--list", "only_list", is_flag=True, help="Show which models and files that means; ask nobody.")
@click.option("--dry-run", is_flag=True, help="Show what would be fetched, its size and the room for it, and stop.")
@click.option("--yes", "-y", is_flag=True, help="Fetch more than 50 GB without asking.")
@common_options
@pass_console
def command(
    console: Console, /, names: tuple[str, ...], dest: Path, mirror_options: tuple[str, ...], **given: Any
) -> None:
    """Fetch checkpoints and their flattened configs.

    MODEL is a name (old ones work, too), package/name, a glob ('rtmdet*'), package::configs/x.py, a checkpoint's file
    name or its address, or a backbone (open-mmlab://resnet50_caffe). The paths of the files are written to stdout,
    everything else to stderr.
    """
    from zoo_cli.catalog.database import index_date, open_catalog
    from zoo_cli.catalog.models import releases
    from zoo_cli.cli import download_view as view
    from zoo_cli.models.outlook import look_ahead
    from zoo_cli.models.selection import select
    from zoo_cli.transfer.mirrors import load_mirrors

    _check_options(names, given)
    policy = policy_of(given["trust_globals"])
    mirrors = load_mirrors(mirror_options)
    connection = open_catalog()
    selection = select(connection, _wish(connection, names, given))
    if given["only_list"]:
        view.show_list(console, selection)
        return
    access = _access(console, mirrors, policy, releases(connection))
    files = {pick.place(file.name) for pick in selection.picks for file in pick.files}
    # One file needs no outlook: its own transfer looks for room before the first byte.
    outlook = look_ahead(selection, dest, access, given["jobs"]) if given["dry_run"] or len(files) > 1 else None
    if given["dry_run"] and outlook:
        view.show_plan(console, selection, outlook, mirrors)
        if not outlook.fits and console.json:
            raise click.exceptions.Exit(ExitCode.FAILED)
        outlook.require_space()
        return
    if outlook:
        outlook.require_space()
        _consent(console, outlook, yes=given["yes"])
    _act(console, selection, dest, access, outlook, given | {"index_date": index_date(connection)})


def _check_options(names: tuple[str, ...], given: dict[str, Any]) -> None:
    """Refuses options that contradict each other."""
    if not names and given["filter_"] is None:
        raise click.UsageError("Missing argument 'MODEL...', or --filter EXPR.")
    if given["config_only"] and given["weights_only"]:
        raise click.UsageError("--config-only and --weights-only leave nothing to fetch.")
    if given["only_list"] and given["dry_run"]:
        raise click.UsageError("--list asks nobody and --dry-run asks for sizes: say one of them.")
    if given["filter_"] is not None and given["configs"]:
        raise click.UsageError("--config names models and --filter finds them: say one of them.")


def _wish(connection: sqlite3.Connection, names: tuple[str, ...], given: dict[str, Any]) -> Wish:
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
    from zoo_cli.catalog.models import packages, releases

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


def _access(console: Console, mirrors: Mirrors, policy: Policy, releases: tuple[Release, ...]) -> Access:
    from zoo_cli.directories import CacheUnusable, cache_directory, state_directory
    from zoo_cli.models.download import Access
    from zoo_cli.transfer.settings import Settings
    from zoo_cli.transfer.store import users_store
    from zoo_cli.trust.seen import Seen

    try:
        cache = cache_directory()
    except CacheUnusable as error:
        console.warn(f"nothing is kept between runs: {error.path}: {error.reason}")
        cache = None
    settings = Settings(offline=console.offline)
    return Access(mirrors, settings, cache, Seen(state_directory()), users_store(), policy, releases)


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


def _act(
    console: Console, selection: Selection, dest: Path, access: Access, outlook: Outlook | None, given: dict[str, Any]
) -> None:
    from zoo_cli.cli import download_view as view
    from zoo_cli.cli.progress import Progress
    from zoo_cli.models.download import execute
    from zoo_cli.models.keeping import keep_receipt

    links: dict[str, tuple[Linked, ...]] = {}

    def finish(done: PickReceipt) -> None:
        made = _links(console, done) if given["link_caches"] else {}
        links.update(made)
        if not given["no_receipt"]:
            names = [str(link.path) for found in made.values() for link in found if link.state != "taken"]
            keep_receipt(done, dest, given["index_date"], console.now(), names)

    with Progress(console) as progress:
        view.tell_passed(console, selection)
        _introduce(progress, selection, outlook)
        receipt = execute(
            selection, dest, access, progress, replace_others=given["force"], jobs=given["jobs"], finish=finish
        )
    if len(selection.picks) == 1 and receipt.failures:
        raise receipt.failures[0].error
    view.tell(console, receipt, dest, links)
    if receipt.failures:
        raise click.exceptions.Exit(exit_code_of(receipt.failures))


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


def _links(console: Console, done: PickReceipt) -> dict[str, tuple[Linked, ...]]:
    """The names of a model's checkpoints in torch.hub's cache, by their path."""
    from zoo_cli.models.caches import hub_checkpoints, link_into_hub

    directory = hub_checkpoints(console.environ)
    return {
        str(received.path): link_into_hub(received.path, file.urls, directory)
        for file, received in zip(done.pick.files, done.files, strict=True)
        if file.role == "checkpoint"
    }


def exit_code_of(failures: Sequence[PickFailed]) -> ExitCode:
    """The exit code of several failures: wrong bytes before anything else, else the one they share, else 1."""
    codes = {failure.error.exit_code for failure in failures}
    if ExitCode.INTEGRITY in codes:
        return ExitCode.INTEGRITY
    return codes.pop() if len(codes) == 1 else ExitCode.FAILED
