"""Models in locks: `zoo lock --model` writes down their digests, `zoo sync` brings just these bytes.

The digest of a checkpoint is rarely published in full, so locking a model fetches it, into the store; what `zoo sync`
fetches later is held against that digest, whatever the index or a server says then.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.cli.fetching import fetch_models, make_access
from zoo_cli.packages.locked import LockedFile, LockedModel
from zoo_cli.packages.lockfile import ModelDiffers

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from zoo_cli.cli.console import Console
    from zoo_cli.models.download import PickReceipt, Receipt
    from zoo_cli.models.selection import Pick, Selection
    from zoo_cli.transfer.sources import Mirrors
    from zoo_cli.trust.verdict import Policy

_HOW = {"jobs": 4, "force": False, "yes": True}


def choose_models(catalog: sqlite3.Connection, names: Sequence[str]) -> Selection:
    """What these names mean.

    Raises:
        ZooError: As `models.selection.select`.
    """
    from zoo_cli.models.selection import Selection, Wish, select

    return select(catalog, Wish(tuple(names))) if names else Selection(())


def lock_models(
    console: Console, catalog: sqlite3.Connection, selection: Selection, mirrors: Mirrors, policy: Policy,
    *, allow_unverified: bool,
) -> tuple[LockedModel, ...]:  # fmt: skip
    """The models of a selection, fetched into the store, with their digests.

    Raises:
        ZooError: As `models.download.execute`; that of the first that did not come.
    """
    if not selection.picks:
        return ()
    access = make_access(console, catalog, mirrors, policy, allow_unverified=allow_unverified)
    with tempfile.TemporaryDirectory(prefix="zoo-lock-", dir=access.cache) as folder:
        receipt = fetch_models(console, selection, Path(folder), access, _HOW)
        _require_all(receipt)
        return tuple(_locked(done) for done in receipt.models)


def bring_models(
    console: Console, catalog: sqlite3.Connection, models: Sequence[LockedModel], dest: Path,
    mirrors: Mirrors, policy: Policy,
) -> tuple[Path, ...]:  # fmt: skip
    """Puts the models of a lock into a directory, by their digests, with receipts; the paths of all files.

    Raises:
        ModelDiffers: The index has other files for a model, or its config has other settings.
        ZooError: As `lock_models`.
    """
    from zoo_cli.catalog.database import index_date
    from zoo_cli.models.keeping import keep_receipt

    if not models:
        return ()
    selection, locked = _selection(catalog, models)
    date, now = index_date(catalog), console.now()

    def finish(done: PickReceipt) -> None:
        keep_receipt(done, dest, date, now, [])

    def accept(pick: Pick, config: str) -> None:
        _require_same(config, locked[pick])

    access = make_access(console, catalog, mirrors, policy, allow_unverified=False)  # a lock has digests
    receipt = fetch_models(console, selection, dest, access, _HOW, finish, accept)
    _require_all(receipt)
    configs = [done.config.path for done in receipt.models if done.config]
    return (*configs, *(file.path for done in receipt.models for file in done.files))


def locked_configs(
    console: Console, catalog: sqlite3.Connection, models: Sequence[LockedModel], mirrors: Mirrors
) -> dict[str, str]:
    """The texts of the configs of locked models, by file name; nothing else of the models is fetched.

    Raises:
        ModelDiffers: A config has other settings than when it was locked.
        ZooError: As `lock_models`.
    """
    from zoo_cli.trust.verdict import NOTHING_TRUSTED

    wanted = [model for model in models if model.config]
    if not wanted:
        return {}
    selection, locked = _selection(catalog, wanted)
    picks = {replace(pick, files=()): model for pick, model in locked.items()}
    access = make_access(console, catalog, mirrors, NOTHING_TRUSTED, allow_unverified=False)
    with tempfile.TemporaryDirectory(prefix="zoo-export-", dir=access.cache) as folder:
        receipt = fetch_models(console, replace(selection, picks=tuple(picks)), Path(folder), access, _HOW)
        _require_all(receipt)
        for done in receipt.models:
            _require_same(done.config.text if done.config else "", picks[done.pick])
        return {picks[done.pick].config: done.config.text for done in receipt.models if done.config}


def _require_all(receipt: Receipt) -> None:
    if receipt.failures:
        raise receipt.failures[0].error


def _locked(done: PickReceipt) -> LockedModel:
    model = done.pick.model
    files = tuple(
        LockedFile(file.name, file.urls[0], received.sha256, received.size_bytes)
        for file, received in zip(done.pick.files, done.files, strict=True)
    )
    package, release = (model.project, model.release.version) if model else ("", "")
    name, digest = (done.pick.config_name or "", _digest(done.config.text)) if done.config else ("", "")
    return LockedModel(done.pick.name, package, release, files, name, digest)


def _selection(catalog: sqlite3.Connection, models: Sequence[LockedModel]) -> tuple[Selection, dict[Pick, LockedModel]]:
    """The same models of the index, with the addresses and digests of the lock."""
    from zoo_cli.models.selection import Selection, Wish, select

    locked: dict[Pick, LockedModel] = {}
    for model in models:
        name = f"{model.package}/{model.name}" if model.package else model.name
        (pick,) = select(catalog, Wish((name,), release=model.release or None)).picks
        locked[_with_digests(pick, model)] = model
    return Selection(tuple(locked)), locked


def _with_digests(pick: Pick, model: LockedModel) -> Pick:
    known = {each.name: each for each in model.files}
    if known.keys() != {each.name for each in pick.files}:
        raise ModelDiffers(model.name, "the index has other files for it")
    files = []
    for file in pick.files:
        kept = known[file.name]
        urls = tuple(dict.fromkeys((kept.url, *file.urls)))
        files.append(replace(file, urls=urls, sha256=kept.sha256, size_bytes=kept.size_bytes))
    return replace(pick, files=tuple(files), config_name=model.config or None)


def _require_same(config: str, model: LockedModel) -> None:
    """Compares what a model's config says today with the lock; without a config both are empty."""
    if (_digest(config) if config else "") != model.config_sha256:
        raise ModelDiffers(model.name, f"its config {model.config or 'here'} has other settings")


def _digest(config: str) -> str:
    """The digest of a config's settings: without the comment at its head, which names the day's version of zoo."""
    lines = config.splitlines(keepends=True)
    first = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return sha256("".join(lines[first:]).encode()).hexdigest()
