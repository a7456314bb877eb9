"""`zoo bundle`: models, and what runs them, in one file for machines without network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_cli.cli.download_view import counted
from zoo_cli.cli.fetching import exit_code_of, fetch_models, make_access, make_wish
from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.text import human_bytes
from zoo_cli.cli.trusting import policy_of, trust_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo_cli.cli.console import Console
    from zoo_cli.models.download import Access, PickReceipt
    from zoo_cli.models.selection import Selection
    from zoo_cli.trust.bundle import Written


@click.command(
    "bundle",
    epilog="Examples: zoo bundle rtmdet_tiny_8xb32-300e_coco -o models.zoo.tar; "
    "there: zoo download --from-bundle models.zoo.tar --dest models",
)
@click.argument("names", nargs=-1, metavar="MODEL...")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The file to write."
)
@click.option("--filter", "filter_", metavar="EXPR", help="All models that pass it (zoo help filters).")
@click.option("--release", metavar="VERSION", help="Of this release of the package, not the newest.")
@click.option("--config-only", is_flag=True, help="Leave the checkpoints.")
@click.option("--weights-only", is_flag=True, help="Leave the configs.")
@click.option("--logs", is_flag=True, help="The training logs, too.")
@click.option("--force", is_flag=True, help="Replace another file of that name.")
@click.option("--yes", "-y", is_flag=True, help="Fetch more than 50 GB without asking.")
@trust_option
@click.option("-j", "--jobs", type=click.IntRange(1, 32), default=4, help="Files at once. [default: 4]")
@click.option(
    "--mirror", "mirror_options", metavar="FROM=TO", multiple=True, help="Try TO for addresses with FROM first."
)
@common_options
@pass_console
def command(
    console: Console, /, names: tuple[str, ...], output: Path, mirror_options: tuple[str, ...], **given: Any
) -> None:
    """Write models into one file: configs, checkpoints and receipts.

    MODEL is anything that zoo download takes. The same input gives the same bytes. On the other machine zoo download
    --from-bundle FILE puts everything in place, checked, without any network.
    """
    from zoo_cli.catalog.database import index_date, open_catalog
    from zoo_cli.models.bundling import SECTION, models_section, staging
    from zoo_cli.models.selection import select
    from zoo_cli.transfer.mirrors import load_mirrors
    from zoo_cli.trust.bundle import write_bundle

    if not names and given["filter_"] is None:
        raise click.UsageError("Missing argument 'MODEL...', or --filter EXPR.")
    mirrors = load_mirrors(mirror_options)
    connection = open_catalog()
    selection = select(connection, make_wish(connection, names, given | {"layout": "by-model", "configs": ()}))
    access = make_access(console, connection, mirrors, policy_of(given["trust_globals"]))
    with staging(access.cache, (str(output.absolute()), *names, given["filter_"] or "")) as folder:
        done = _fetched(console, selection, folder, access, given)
        models, files = models_section(done, index_date(connection))
        sections = {SECTION: models, "index_date": index_date(connection)}
        written = write_bundle(output, sections, files, replace=given["force"])
    _tell(console, written, output, models)


def _fetched(
    console: Console, selection: Selection, folder: Path, access: Access, given: dict[str, Any]
) -> tuple[PickReceipt, ...]:
    """All the models in the staging directory; half a bundle is none."""
    from zoo_cli.cli.download_view import tell_failures

    receipt = fetch_models(console, selection, folder, access, given | {"force": True})
    if len(selection.picks) == 1 and receipt.failures:
        raise receipt.failures[0].error
    if receipt.failures:
        tell_failures(console, receipt.failures, len(receipt.models))
        raise click.exceptions.Exit(exit_code_of(receipt.failures))
    return receipt.models


def _tell(console: Console, written: Written, output: Path, models: Sequence[object]) -> None:
    if console.json:
        console.document({
            "ok": True, "command": "bundle", "path": str(output), "size_bytes": written.size_bytes,
            "digest": written.digest, "models": models, "blobs": written.blobs,
        })  # fmt: skip
        return
    console.say(f"  {counted(len(models), 'model')}, {human_bytes(written.size_bytes)}, contents {written.digest}")
    console.data(str(output))
