"""Fetching models: the flattened config and every checkpoint file, in the order that harms least.

Flow: `select` decides from the index what is meant, `execute` does it. All configs are flattened and all destinations
of configs looked at before anything is written; checkpoints come next, each complete and checked under its final name
or not there at all; the configs, which are small, are put in place last.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from zoo_cli import __version__
from zoo_cli.catalog.models import Model, ModelFile, find_models
from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.models.configs import ConfigTree, Flat
from zoo_cli.models.placing import is_placed, place
from zoo_cli.models.release import Release, Wheel
from zoo_cli.models.writer import Header, write_config
from zoo_cli.transfer.events import Listener, Noted, nothing
from zoo_cli.transfer.failures import AllSourcesFailed, Failed, HashMismatch
from zoo_cli.transfer.fetch import Received, Wanted, fetch
from zoo_cli.transfer.hashes import parse_sha256, prefix_in_name

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from zoo_cli.transfer.settings import Settings
    from zoo_cli.transfer.sources import Mirrors
    from zoo_cli.transfer.store import Store
    from zoo_cli.trust.seen import Seen

Parts = Literal["both", "config", "weights"]


@dataclass(eq=False)
class NothingToFetch(ZooError):
    """The model has none of what was asked; `part` is "config", "checkpoint" or "config and no checkpoint"."""

    code = "nothing-to-fetch"

    model: str
    package: str
    part: str


@dataclass(eq=False)
class NotInRelease(ZooError):
    """The model is in the index, but not in the release asked."""

    code = "not-in-release"
    exit_code = ExitCode.USAGE

    asked: str
    release: str
    package: str
    releases: tuple[str, ...]  # those that have it, newest first


@dataclass(eq=False)
class SameDestination(ZooError):
    """Two different files of one command would get the same name."""

    code = "same-destination"
    exit_code = ExitCode.USAGE

    name: str
    asked: tuple[str, ...]


@dataclass(eq=False)
class CheckpointChanged(ZooError):
    """Upstream sends other bytes under an address than when this user first fetched it."""

    code = "checkpoint-changed"
    exit_code = ExitCode.INTEGRITY

    file: str
    url: str
    expected: str
    received: str
    record: str  # the file that remembers


@dataclass(frozen=True, slots=True)
class Pick:
    """One model to fetch: what for, and under which names."""

    model: Model
    asked_as: str
    via: str  # name | alias | config | file | url
    config_name: str | None  # file name; None: not wanted, or there is none
    files: tuple[ModelFile, ...]  # their names are safe here


@dataclass(frozen=True, slots=True)
class Selection:
    """All models of one command."""

    picks: tuple[Pick, ...]


@dataclass(frozen=True, slots=True)
class PlacedConfig:
    """A config under its final name. `evidence`: record, crc or kept (see `release.Release`)."""

    path: Path
    flat: Flat
    evidence: str
    already_here: bool


@dataclass(frozen=True, slots=True)
class PickReceipt:
    """What was done for one model."""

    pick: Pick
    config: PlacedConfig | None
    checkpoints: tuple[Received, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was done, model by model."""

    models: tuple[PickReceipt, ...]


@dataclass(frozen=True, slots=True)
class Access:
    """What a download may use: rules, limits, the cache of configs, the record of digests, the store (None: none)."""

    mirrors: Mirrors
    settings: Settings
    cache: Path | None = None
    seen: Seen | None = None
    store: Store | None = None


def select(
    connection: sqlite3.Connection, names: Sequence[str], release: str | None = None, parts: Parts = "both"
) -> Selection:
    """The models that the names mean, each once.

    Raises:
        UnknownModel, AmbiguousModel, UnknownPackage: As `find_models`.
        NotInRelease, NothingToFetch, SameDestination: See there.
    """
    picks: dict[tuple[int, str], Pick] = {}
    for name in names:
        found = find_models(connection, name)
        model = _of_release(found.models, release, name) if release else found.models[0]
        pick = _pick(model, found.asked_as, found.via, parts)
        picks[(model.id, pick.asked_as)] = pick
    selection = Selection(tuple(picks.values()))
    _check_names(selection)
    return selection


def _of_release(models: tuple[Model, ...], release: str, asked: str) -> Model:
    for model in models:
        if model.release.version == release:
            return model
    versions = tuple(dict.fromkeys(model.release.version for model in models))
    raise NotInRelease(asked, release, models[0].project, versions)


def _pick(model: Model, asked_as: str, via: str, parts: Parts) -> Pick:
    has_config = model.config_path is not None and model.config_state in ("found", "repaired")
    config_name = _safe_name(f"{asked_as}.py") if has_config and parts != "weights" else None
    files = tuple(replace(file, name=_safe_name(file.name)) for file in model.files) if parts != "config" else ()
    if config_name is None and not files:
        part = {"config": "config", "weights": "checkpoint", "both": "config and no checkpoint"}[parts]
        raise NothingToFetch(model.name, model.project, part)
    return Pick(model, asked_as, via, config_name, files)


def _safe_name(name: str) -> str:
    """The name as a plain file name: foreign text never becomes a path, a hidden file or an option."""
    return re.sub(r"[^\w.+@=,()\[\] -]", "_", name).lstrip(".- ")[-200:] or "model"


def _check_names(selection: Selection) -> None:
    taken: dict[str, tuple[object, str]] = {}
    for pick in selection.picks:
        things: list[tuple[str, object]] = [(file.name, file) for file in pick.files]
        if pick.config_name:
            things.append((pick.config_name, (pick.model.release, pick.model.config_path)))
        for name, thing in things:
            before = taken.setdefault(name.casefold(), (thing, pick.asked_as))
            if before[0] != thing:
                raise SameDestination(name, (before[1], pick.asked_as))


@dataclass(frozen=True, slots=True)
class _Ready:
    """A flattened config on its way to its place."""

    path: Path
    text: str
    flat: Flat
    evidence: str
    already_here: bool


def execute(
    selection: Selection, destination: Path, access: Access, listen: Listener = nothing, *, replace_others: bool = False
) -> Receipt:
    """Fetches everything of the selection into the directory.

    Args:
        selection: From `select`.
        destination: A directory; made when it is missing.
        access: Mirrors, limits, cache, record of digests.
        listen: Gets the events of transfers, and a line for each config.
        replace_others: Whether other files under the same names may be replaced.

    Raises:
        ConfigError, BadWheel, CannotWrite: A config cannot be had; nothing was written then.
        DestinationExists, DestinationUnusable, NoSpace: The destination's side.
        Failed, AllSourcesFailed, TookTooLong, CheckpointChanged: A file did not come, or came wrong.
    """
    ready = [_prepared(pick, destination, access, replace_others) for pick in selection.picks]
    receipts = []
    for pick, config in zip(selection.picks, ready, strict=True):
        checkpoints = tuple(_checkpoint(file, destination, access, listen, replace_others) for file in pick.files)
        receipts.append(PickReceipt(pick, _placed(config, listen) if config else None, checkpoints))
    return Receipt(tuple(receipts))


def wheel_of(model: Model, mirrors: Mirrors) -> Wheel:
    """The wheel with the model's config, and where it may come from."""
    release = model.release
    urls = mirrors.addresses(release.wheel_url, "configs")
    if urls == (release.wheel_url,):  # no rule for configs: those for package indexes hold
        urls = mirrors.addresses(release.wheel_url, "package-index")
    return Wheel(release.wheel_name, urls, release.wheel_sha256, release.config_root, release.record_sha256)


def addresses_of(file: ModelFile, mirrors: Mirrors) -> tuple[str, ...]:
    """Where a checkpoint may come from, in the order to try."""
    return mirrors.all_addresses(file.urls, "checkpoints")


def _prepared(pick: Pick, destination: Path, access: Access, replace_others: bool) -> _Ready | None:
    if pick.config_name is None or pick.model.config_path is None:
        return None
    release = pick.model.release
    with Release(wheel_of(pick.model, access.mirrors), access.settings, access.cache) as tree:
        flat = ConfigTree(tree.read).flatten(pick.model.config_path)
        evidence = tree.evidence
    header = Header(pick.asked_as, f"{release.project} {release.version}", flat.files, __version__)
    text = write_config(flat.settings, header)
    path = destination / pick.config_name
    return _Ready(path, text, flat, evidence, is_placed(path, text, replace=replace_others))


def _placed(config: _Ready, listen: Listener) -> PlacedConfig:
    count = len(config.flat.files)
    if config.already_here:
        listen(Noted(f"{config.path.name}: already here, flattened from {count} files"))
    else:
        place(config.path, config.text)
        listen(Noted(f"{config.path.name}: flattened from {count} files"))
    if config.flat.imports:
        listen(Noted(f"{config.path.name}: whoever loads it will import {', '.join(config.flat.imports)}"))
    return PlacedConfig(config.path, config.flat, config.evidence, config.already_here)


def _checkpoint(file: ModelFile, destination: Path, access: Access, listen: Listener, replace_others: bool) -> Received:
    """Fetches one checkpoint; what was seen before under its address must be what comes."""
    url = file.urls[0]
    seen = access.seen.digest_of(url) if access.seen and not file.sha256 else None
    wanted = Wanted(
        name=file.name,
        urls=addresses_of(file, access.mirrors),
        size_bytes=file.size_bytes,
        sha256=parse_sha256(file.sha256) if file.sha256 else seen,
        prefix=_prefix(file),
    )
    try:
        path = destination / file.name
        received = fetch(wanted, path, access.settings, listen, store=access.store, replace=replace_others)
    except (Failed, AllSourcesFailed) as error:
        mismatch = _mismatch(error)
        if seen is None or mismatch is None or access.seen is None:
            raise
        raise CheckpointChanged(file.name, url, seen, mismatch.received, str(access.seen.path)) from error
    if access.seen and not file.sha256 and not access.seen.record(url, received.sha256):
        listen(Noted(f"{file.name}: its digest could not be written to {access.seen.path}"))
    return received


def _prefix(file: ModelFile) -> str | None:
    """The digits to compare; other digests than SHA-256 (detectron2's MD5) say nothing here."""
    if file.prefix and file.prefix_algorithm in (None, "sha256"):
        return file.prefix
    return prefix_in_name(file.name) if not file.prefix_algorithm else None


def _mismatch(error: Failed | AllSourcesFailed) -> HashMismatch | None:
    failures = error.failures if isinstance(error, AllSourcesFailed) else (error,)
    return next((each for each in failures if isinstance(each, HashMismatch)), None)
