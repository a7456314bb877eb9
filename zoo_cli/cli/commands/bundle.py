"""`zoo bundle`: models, and what runs them, in one file for machines without network."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_cli.cli.choices import Choices, planning_options, typed
from zoo_cli.cli.download_view import counted
from zoo_cli.cli.fetching import exit_code_of, fetch_models, make_access, make_wish
from zoo_cli.cli.freshness import heed_expiry, stale_option
from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.text import human_bytes
from zoo_cli.cli.trusting import policy_of, trust_option, unverified_option

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from zoo_cli.cli.console import Console
    from zoo_cli.models.download import PickReceipt
    from zoo_cli.models.modelfile import Access
    from zoo_cli.models.selection import Selection
    from zoo_cli.trust.bundle import Written


@click.command(
    "bundle",
    epilog="Examples: zoo bundle rtmdet_tiny_8xb32-300e_coco -o models.zoo.tar; "
    "there: zoo install --from-bundle models.zoo.tar --env env; zoo download --from-bundle models.zoo.tar",
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
@unverified_option
@click.option("-j", "--jobs", type=click.IntRange(1, 32), default=4, help="Files at once. [default: 4]")
@click.option("--with-env", is_flag=True, help="Also every wheel of an environment that runs the models.")
@click.option("--python", metavar="PATH|VERSION", help="The environment is for this interpreter.")
@click.option(
    "--machine", "described", metavar="FACTS|FILE", help="The environment is for another machine: zoo help machine."
)
@planning_options
@stale_option
@common_options
@pass_console
def command(console: Console, /, names: tuple[str, ...], output: Path, **given: Any) -> None:
    """Write models into one file: configs, checkpoints, receipts, and with --with-env all wheels to run them.

    MODEL is anything that zoo download takes. The same input gives the same bytes. On the other machine zoo install
    and zoo download take the file with --from-bundle and need no network.
    """
    from zoo_cli.catalog.database import index_date, open_catalog
    from zoo_cli.cli.sources import users_mirrors
    from zoo_cli.models.bundling import SECTION, models_section, staging
    from zoo_cli.models.selection import select
    from zoo_cli.trust.bundle import write_bundle

    if not names and given["filter_"] is None:
        raise click.UsageError("Missing argument 'MODEL...', or --filter EXPR.")
    if not given["with_env"] and (given["described"] or given["python"]):
        raise click.UsageError("--machine and --python say what the environment is for: add --with-env.")
    connection = open_catalog()
    selection = select(connection, make_wish(connection, names, given | {"layout": "by-model", "configs": ()}))
    packages = [pick.model.project for pick in selection.picks if pick.model]
    packages += [""] if given["with_env"] else []
    heed_expiry(console, fetches=True, allowed=given["allow_stale_index"], packages=packages)
    mirrors = users_mirrors(console, given["mirrors"])
    access = make_access(
        console, connection, mirrors, policy_of(given["trust_globals"]), allow_unverified=given["allow_unverified"]
    )
    with staging(access.cache, (str(output.absolute()), *names, given["filter_"] or "")) as folder:
        done = _fetched(console, selection, folder, access, given)
        models, files = models_section(done, index_date(connection))
        sections: dict[str, Any] = {SECTION: models, "index_date": index_date(connection)}
        if given["with_env"]:
            environment, wheels = _environment(console, connection, selection, access, given)
            sections |= environment
            files |= wheels
        written = write_bundle(output, sections, files, replace=given["force"])
    _tell(console, written, output, models)


def _environment(
    console: Console, connection: sqlite3.Connection, selection: Selection, access: Access, given: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Path]]:
    """The section of the environment that runs the models, and its wheels by digest."""
    from zoo_cli import __version__
    from zoo_cli.cli.progress import Progress
    from zoo_cli.cli.stack_lock import lock_stack, plan_stack
    from zoo_cli.packages.wheelhouse import SECTION, environment_section

    options = {each.name: given[each.name] for each in fields(Choices) if each.name != "packages"}
    choices = Choices(_packages(connection, selection), **options)
    how = {"python": given["python"], "described": given["described"]}
    stack = plan_stack(console, connection, choices, typed("bundle", choices), **how)
    lock, supply = lock_stack(console, connection, stack, access.mirrors)
    with Progress(console) as progress:
        section, wheels = environment_section(
            lock, stack.machine, replace(supply, listen=progress), f"zoo {__version__}"
        )
    return {SECTION: section}, wheels


def _packages(connection: sqlite3.Connection, selection: Selection) -> tuple[str, ...]:
    """The packages that run the models, in the models' releases.

    Raises:
        click.UsageError: The models are of two releases of one package, or of none that zoo installs.
    """
    from zoo_cli.catalog.compat import projects

    known = projects(connection)
    found = {pick.model.release.project: pick.model.release.version for pick in selection.picks if pick.model}
    pairs = {(pick.model.release.project, pick.model.release.version) for pick in selection.picks if pick.model}
    if len(pairs) > len(found):
        raise click.UsageError("The models are of several releases of one package: they need bundles of their own.")
    if not found.keys() & known.keys():
        raise click.UsageError("None of these models is of a package that zoo installs: leave --with-env out.")
    return tuple(f"{name}=={version}" for name, version in sorted(found.items()) if name in known)


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
