"""`zoo download`: the flattened config and the checkpoint of models, checked, without any framework installed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.text import human_bytes, printable

if TYPE_CHECKING:
    import sqlite3

    from zoo_cli.catalog.models import Model
    from zoo_cli.cli.console import Console
    from zoo_cli.models.download import Access, Parts, Pick, PickReceipt, Receipt, Selection
    from zoo_cli.transfer.sources import Mirrors


@click.command(
    "download",
    epilog="Examples: zoo download rtmdet_tiny_8xb32-300e_coco --dest .; "
    "zoo download mmdet --config NAME --dest . (as mim). Exit codes: zoo help exit-codes.",
)
@click.argument("names", nargs=-1, required=True, metavar="MODEL...")
@click.option(
    "--dest", type=click.Path(path_type=Path), default=Path(), help="Directory; made if missing. [default: .]"
)
@click.option("--config", "configs", metavar="NAME[,NAME]", multiple=True, help="mim's spelling: MODEL is a package.")
@click.option("--release", metavar="VERSION", help="Of this release of the package, not the newest.")
@click.option("--config-only", is_flag=True, help="Leave the checkpoint.")
@click.option("--weights-only", is_flag=True, help="Leave the config.")
@click.option("--force", is_flag=True, help="Replace other files of the same names.")
@click.option(
    "--mirror", "mirror_options", metavar="FROM=TO", multiple=True, help="Try TO for addresses with FROM first."
)
@click.option("--dry-run", is_flag=True, help="Show what would be fetched, and stop.")
@common_options
@pass_console
def command(
    console: Console,
    names: tuple[str, ...],
    dest: Path,
    configs: tuple[str, ...],
    release: str | None,
    config_only: bool,
    weights_only: bool,
    force: bool,
    mirror_options: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Fetch a checkpoint and its flattened config.

    MODEL is a name (old ones work, too), package/name, package::configs/x.py, a checkpoint's file name or its address.
    The paths of the files are written to stdout, everything else to stderr.
    """
    from zoo_cli.catalog.database import open_catalog
    from zoo_cli.cli.progress import Progress
    from zoo_cli.models.download import execute, select
    from zoo_cli.transfer.mirrors import load_mirrors

    if config_only and weights_only:
        raise click.UsageError("--config-only and --weights-only leave nothing to fetch.")
    parts: Parts = "config" if config_only else "weights" if weights_only else "both"
    mirrors = load_mirrors(mirror_options)
    connection = open_catalog()
    asked = _asked(connection, names, configs)
    selection = select(connection, asked, release, parts)
    if dry_run:
        _show(console, selection, dest, mirrors)
        return
    with Progress(console) as progress:
        for pick in selection.picks:
            progress.step(introduction(pick))
        receipt = execute(selection, dest, _access(console, mirrors), progress, replace_others=force)
    _tell(console, receipt, dest)


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
            raise click.UsageError(f"{name} is a package. Its models: zoo list {name}; one of them: zoo download NAME")
    return names


def _access(console: Console, mirrors: Mirrors) -> Access:
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
    return Access(mirrors, Settings(offline=console.offline), cache, Seen(state_directory()), users_store())


def introduction(pick: Pick) -> str:
    """One line on a model: what it is, and what it is called today when it was asked by another name."""
    model = pick.model
    known = f" ({model.name} in {model.project} {model.release.version})" if pick.asked_as != model.name else ""
    return f"{pick.asked_as}{known}: {_about(model)}"


def _about(model: Model) -> str:
    """What a model is, in a few words: RTMDet on COCO, box AP 51.3."""
    metric = next((each for each in model.metrics if each.value is not None), None)
    about = model.collection or model.project
    if metric is None:
        return about
    dataset = f" on {metric.dataset}" if metric.dataset else ""
    return f"{about}{dataset}, {metric.label} {metric.value:g}"


def _show(console: Console, selection: Selection, dest: Path, mirrors: Mirrors) -> None:
    """What would be fetched, from where, to where."""
    from zoo_cli.models.download import addresses_of, wheel_of

    rows: list[tuple[str, str, str, tuple[str, ...]]] = []
    for pick in selection.picks:
        if pick.config_name:
            path = f"{wheel_of(pick.model, mirrors).name}: {pick.model.config_path}"
            rows.append(("config", _shown(dest, pick.config_name), path, wheel_of(pick.model, mirrors).urls))
        for file in pick.files:
            rows.append(
                ("checkpoint", str(dest / file.name), human_bytes(file.size_bytes), addresses_of(file, mirrors))
            )
    if console.json:
        files = [{"kind": kind, "path": path, "urls": list(urls)} for kind, path, _what, urls in rows]
        console.document({"ok": True, "command": "download", "dry_run": True, "files": files})
        return
    console.table(("kind", "path", "what", "from"), [(kind, path, what, urls[0]) for kind, path, what, urls in rows])
    console.say(f"Would fetch {len(rows)} files.")


def _tell(console: Console, receipt: Receipt, dest: Path) -> None:
    if console.json:
        models = [_document(each, dest) for each in receipt.models]
        console.document({"ok": True, "command": "download", "models": models})
        return
    for each in receipt.models:
        if not each.pick.model.files and each.pick.config_name:
            console.say(f"  {printable(each.pick.asked_as)}: upstream publishes no checkpoint of it")
        if each.config:
            console.data(_shown(dest, each.config.path.name))
        for checkpoint in each.checkpoints:
            console.data(_shown(dest, checkpoint.path.name))


def _shown(dest: Path, name: str) -> str:
    """The path as the user would write it: beside here with a leading ./, so that it is never an option."""
    return f"./{name}" if dest == Path() else str(dest / name)


def _document(receipt: PickReceipt, dest: Path) -> dict[str, object]:
    pick, config = receipt.pick, receipt.config
    return {
        "name": pick.model.name,
        "asked_as": pick.asked_as,
        "package": pick.model.project,
        "release": pick.model.release.version,
        "config": config
        and {
            "path": _shown(dest, config.path.name),
            "files": list(config.flat.files),
            "imports": list(config.flat.imports),
            "evidence": config.evidence,
            "already_here": config.already_here,
        },
        "checkpoints": [
            {
                "path": _shown(dest, each.path.name),
                "size_bytes": each.size_bytes,
                "sha256": each.sha256,
                "evidence": each.evidence,
                "url": each.url,
                "already_here": each.already_here,
                "from_cache": each.from_cache,
            }
            for each in receipt.checkpoints
        ],
    }
