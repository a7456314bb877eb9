"""`zoo download`: flattened configs, checkpoints and logs of models, checked, without any framework installed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_cli.cli.fetching import exit_code_of, fetch_models, make_access, make_wish
from zoo_cli.cli.freshness import heed_expiry, stale_option
from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.trusting import policy_of, trust_option, unverified_option
from zoo_cli.errors import ExitCode

if TYPE_CHECKING:
    from zoo_cli.cli.console import Console
    from zoo_cli.models.caches import Linked
    from zoo_cli.models.download import PickReceipt
    from zoo_cli.models.modelfile import Access
    from zoo_cli.models.selection import Selection
    from zoo_cli.trust.verdict import Policy

_NOT_FROM_BUNDLE = (
    "filter_",
    "configs",
    "release",
    "config_only",
    "weights_only",
    "logs",
    "link_caches",
    "cross_check",
)


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
@click.option(
    "--from-bundle",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Take the models of a bundle (zoo bundle); no network.",
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
@unverified_option
@click.option("--cross-check", is_flag=True, help="Ask a second host for each file, too: both must send the same.")
@click.option("-j", "--jobs", type=click.IntRange(1, 32), default=4, help="Files at once. [default: 4]")
@click.option(
    "--mirror", "mirror_options", metavar="FROM=TO", multiple=True, help="Try TO for addresses with FROM first."
)
@click.option("--list", "only_list", is_flag=True, help="Show which models and files that means; ask nobody.")
@stale_option
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
    from zoo_cli.cli import download_view as view
    from zoo_cli.cli.sources import users_mirrors
    from zoo_cli.models.outlook import look_ahead
    from zoo_cli.models.selection import select

    _check_options(names, given)
    policy = policy_of(given["trust_globals"])
    if given["from_bundle"]:
        _unpack(console, names, dest, given, policy)
        return
    mirrors = users_mirrors(console, mirror_options)
    connection = open_catalog()
    selection = select(connection, make_wish(connection, names, given))
    fetched = [pick.model.project if pick.model else "" for pick in selection.picks]
    is_harmless = given["only_list"] or given["dry_run"]
    heed_expiry(console, fetches=not is_harmless, allowed=given["allow_stale_index"], packages=fetched)
    if given["only_list"]:
        view.show_list(console, selection)
        return
    access = make_access(
        console,
        connection,
        mirrors,
        policy,
        allow_unverified=given["allow_unverified"],
        cross_check=given["cross_check"],
    )
    if given["dry_run"]:
        outlook = look_ahead(selection, dest, access, given["jobs"])
        view.show_plan(console, selection, outlook, mirrors)
        if not outlook.fits and console.json:
            raise click.exceptions.Exit(ExitCode.FAILED)
        outlook.require_space()
        return
    _act(console, selection, dest, access, given | {"index_date": index_date(connection)})


def _check_options(names: tuple[str, ...], given: dict[str, Any]) -> None:
    """Refuses options that contradict each other."""
    if not names and given["filter_"] is None and not given["from_bundle"]:
        raise click.UsageError("Missing argument 'MODEL...', or --filter EXPR.")
    if given["from_bundle"]:
        other = next((flag for flag in _NOT_FROM_BUNDLE if given[flag]), None)
        if other:
            raise click.UsageError(
                f"--from-bundle takes what is in the bundle; leave --{other.strip('_').replace('_', '-')} out."
            )
    if given["config_only"] and given["weights_only"]:
        raise click.UsageError("--config-only and --weights-only leave nothing to fetch.")
    if given["only_list"] and given["dry_run"]:
        raise click.UsageError("--list asks nobody and --dry-run asks for sizes: say one of them.")
    if given["filter_"] is not None and given["configs"]:
        raise click.UsageError("--config names models and --filter finds them: say one of them.")


def _act(console: Console, selection: Selection, dest: Path, access: Access, given: dict[str, Any]) -> None:
    from zoo_cli.cli import download_view as view
    from zoo_cli.models.keeping import keep_receipt

    links: dict[str, tuple[Linked, ...]] = {}

    def finish(done: PickReceipt) -> None:
        made = _links(console, done) if given["link_caches"] else {}
        links.update(made)
        if not given["no_receipt"]:
            names = [str(link.path) for found in made.values() for link in found if link.state != "taken"]
            keep_receipt(done, dest, given["index_date"], console.now(), names)

    receipt = fetch_models(console, selection, dest, access, given, finish)
    if len(selection.picks) == 1 and receipt.failures:
        raise receipt.failures[0].error
    view.tell(console, receipt, dest, links)
    if receipt.failures:
        raise click.exceptions.Exit(exit_code_of(receipt.failures))


def _links(console: Console, done: PickReceipt) -> dict[str, tuple[Linked, ...]]:
    """The names of a model's checkpoints in torch.hub's cache, by their path."""
    from zoo_cli.models.caches import hub_checkpoints, link_into_hub

    directory = hub_checkpoints(console.environ)
    return {
        str(received.path): link_into_hub(received.path, file.urls, directory)
        for file, received in zip(done.pick.files, done.files, strict=True)
        if file.role == "checkpoint"
    }


def _unpack(console: Console, names: tuple[str, ...], dest: Path, given: dict[str, Any], policy: Policy) -> None:
    """Models out of a bundle, without any network."""
    from zoo_cli.cli import download_view as view
    from zoo_cli.cli.progress import Progress
    from zoo_cli.directories import state_directory
    from zoo_cli.models.bundling import Unpacking, models_of, unpack
    from zoo_cli.trust.bundle import Bundle
    from zoo_cli.trust.seen import Seen

    with Bundle(given["from_bundle"]) as bundle:
        models = models_of(bundle, names)
        if given["only_list"] or given["dry_run"]:
            view.show_bundle(console, bundle.path, models)
            return
        receipts, seen = not given["no_receipt"], Seen(state_directory())
        how = Unpacking(dest, console.now(), given["layout"], given["force"], receipts, seen, policy)
        with Progress(console) as progress:
            unpacked = unpack(bundle, models, how, progress)
    view.tell_unpacked(console, unpacked, dest)
