"""Models in a bundle (`trust.bundle`), and out of it again without any network.

Edge: the staging directory, and through `trust.bundle` and `keeping` the destination. In the manifest a model is its
receipt, without the day and the mirror of this download, so the same models give the same bytes. Out of a bundle
everything is foreign: receipts are read strictly, names become plain file names again, a config must be data that the
evaluator can read without running anything, a checkpoint must have the digits of its name and the digest that this user
has seen before under its address, and it is scanned before it has its final name.
"""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from zoo_cli import __version__, filelock
from zoo_cli.directories import own_cache
from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.models.config_errors import ConfigError
from zoo_cli.models.config_findings import imports_of
from zoo_cli.models.configs import ConfigTree
from zoo_cli.models.keeping import receipt_of_pick, write_receipt
from zoo_cli.models.modelfile import CheckpointChanged
from zoo_cli.models.receipts import BadReceipt, Receipt, ReceiptFile, receipt_name, receipt_of, receipt_text
from zoo_cli.models.selection import Layout, SameDestination, safe_name
from zoo_cli.transfer.events import Finished, Listener, Noted, nothing
from zoo_cli.transfer.hashes import prefix_in_name
from zoo_cli.trust.bundle import BadBundle
from zoo_cli.trust.screening import Screening
from zoo_cli.trust.verdict import NOTHING_TRUSTED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zoo_cli.models.download import PickReceipt
    from zoo_cli.trust.bundle import Bundle
    from zoo_cli.trust.seen import Seen
    from zoo_cli.trust.verdict import Policy

SECTION = "models"
MAX_CONFIG = 4_000_000  # bytes; the largest flattened config has 0.2 MB


class NotInBundle(ZooError):
    """The bundle has no such model."""

    code = "not-in-bundle"
    exit_code = ExitCode.USAGE

    asked: str
    bundle: str
    models: tuple[str, ...]


# -- into a bundle ---------------------------------------------------------------------------------------------------


@contextmanager
def staging(cache: Path | None, words: Sequence[str]) -> Iterator[Path]:
    """A directory for what goes into a bundle; a stopped command leaves it, and the same one goes on there."""
    if cache is None:
        with TemporaryDirectory() as temporary:
            yield Path(temporary)
        return
    own = own_cache(cache)
    folder = own / "bundling" / sha256("\0".join(words).encode(errors="replace")).hexdigest()[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.with_name(f".{folder.name}.lock")  # `zoo cache prune` leaves a folder whose lock is held
    with filelock.hold(lock, wait_seconds=None):
        yield folder
        shutil.rmtree(folder, ignore_errors=True)
        lock.unlink(missing_ok=True)
    with suppress(OSError):
        folder.parent.rmdir()


def models_section(done: Sequence[PickReceipt], index_date: str) -> tuple[list[dict[str, Any]], dict[str, Path]]:
    """The models as the manifest has them, and their files by digest."""
    files: dict[str, Path] = {}
    receipts = []
    for each in done:
        receipt = _timeless(receipt_of_pick(each, index_date, index_date), each)
        places = [*([each.config.path] if each.config else []), *(file.path for file in each.files)]
        files |= {file.sha256: place for file, place in zip(receipt.files, places, strict=True)}
        receipts.append(receipt)
    receipts.sort(key=lambda one: (one.package or "", one.release or "", one.name, one.asked_as))
    return [json.loads(receipt_text(each)) for each in receipts], files


def _timeless(receipt: Receipt, done: PickReceipt) -> Receipt:
    """The receipt without what another run of the same command would write otherwise."""
    model = done.pick.model
    on_config = "record" if model and model.release.record_sha256 else "crc"
    on_file = {file.name: _rests_on(file.name, file.role, file.sha256) for file in done.pick.files}
    files = tuple(
        replace(
            each,
            url=None,
            scan=None,
            signer=None,
            verified=None,
            evidence=on_config if each.role == "config" else on_file[each.path],
        )
        for each in receipt.files
    )
    return replace(receipt, files=files)


def _rests_on(name: str, role: str, known: str | None = None) -> str:
    if known:
        return "locked"
    return "prefix" if role == "checkpoint" and prefix_in_name(name) else "none"


# -- out of a bundle -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A model that came out of a bundle: its receipt, and the places of its files below the destination."""

    receipt: Receipt
    places: tuple[str, ...]


def models_of(bundle: Bundle, names: Sequence[str] = ()) -> tuple[Receipt, ...]:
    """The models of a bundle, or those of these names.

    Raises:
        BadBundle: Its section of models is not what zoo writes.
        NotInBundle: It has no model of that name.
    """
    listed = bundle.manifest.get(SECTION, [])
    if not isinstance(listed, list):
        raise BadBundle(str(bundle.path), "its models are no list")
    try:
        found = tuple(receipt_of(each, str(bundle.path)) for each in listed)
    except BadReceipt as exc:
        raise BadBundle(str(bundle.path), f"a model in it: {exc.problem}") from exc
    if not names:
        return found
    chosen: dict[int, Receipt] = {}
    for name in names:
        hits = [number for number, each in enumerate(found) if name in _names(each)]
        if not hits:
            raise NotInBundle(name, str(bundle.path), tuple(each.asked_as for each in found))
        chosen |= {number: found[number] for number in hits}
    return tuple(chosen.values())


def _names(receipt: Receipt) -> tuple[str, ...]:
    return (receipt.asked_as, receipt.name, f"{receipt.package}/{receipt.name}")


@dataclass(frozen=True, slots=True)
class Unpacking:
    """How models leave a bundle: where to, laid out how, at what time, against which memory of digests."""

    destination: Path
    date: str
    layout: Layout = "flat"
    replace_others: bool = False
    with_receipts: bool = True
    seen: Seen | None = None
    policy: Policy = NOTHING_TRUSTED


def unpack(bundle: Bundle, models: Sequence[Receipt], how: Unpacking, listen: Listener = nothing) -> list[Unpacked]:
    """Puts models of a bundle in place; configs are looked at before anything is written.

    Raises:
        BadBundle: Something in it is not what it says, or a config would run code.
        CheckpointChanged: A checkpoint is another than this user saw before under its address.
        CheckpointRefused: A checkpoint asks for code.
        SameDestination: Two different files would get one name.
        DestinationExists, DestinationUnusable, NoSpace: The destination's side.
    """
    _check_places(models, how.layout)
    for model in models:
        for file in model.files:
            _check(bundle, file, how.seen)
    return [_unpacked(bundle, model, how, listen) for model in models]


def _folder(model: Receipt, layout: Layout) -> str:
    return f"{_stem(model)}/" if layout == "by-model" else ""


def _stem(model: Receipt) -> str:
    return safe_name(model.asked_as.replace("://", "-").replace("/", "-"))


def _check_places(models: Sequence[Receipt], layout: Layout) -> None:
    taken: dict[str, tuple[str, str]] = {}
    for model in models:
        for file in model.files:
            place = _folder(model, layout) + safe_name(file.path)
            before = taken.setdefault(place.casefold(), (file.sha256, model.asked_as))
            if before[0] != file.sha256:
                raise SameDestination(place, (before[1], model.asked_as), layout == "flat")


def _check(bundle: Bundle, file: ReceiptFile, seen: Seen | None) -> None:
    """What can be known of a file before it is put anywhere."""
    if bundle.sizes.get(file.sha256) != file.size_bytes:  # type: ignore[call-overload]
        raise BadBundle(str(bundle.path), f"{file.path} is not in it, or has another size there")
    digits = prefix_in_name(file.path) if file.role == "checkpoint" else None
    if digits and not file.sha256.startswith(digits):
        raise BadBundle(str(bundle.path), f"{file.path} does not have the digits of its name")
    first = seen.digest_of(file.upstream) if seen and file.upstream else None
    if seen and first and first != file.sha256:
        raise CheckpointChanged(file.path, file.upstream or "", first, file.sha256, str(seen.path))
    if file.role == "config":
        _imports_of(bundle, file)


def _imports_of(bundle: Bundle, file: ReceiptFile) -> tuple[str, ...]:
    """What a config would import when built; the config is read as data.

    Raises:
        BadBundle: It can only be read by running it.
    """
    body = bundle.read(file.sha256, MAX_CONFIG)
    try:
        return imports_of(ConfigTree({"config.py": body}.get).flatten("config.py"))
    except ConfigError as exc:
        raise BadBundle(str(bundle.path), f"{file.path} is no flattened config ({exc.code})") from exc


def _unpacked(bundle: Bundle, model: Receipt, how: Unpacking, listen: Listener) -> Unpacked:
    folder, files, places = _folder(model, how.layout), [], []
    for file in model.files:
        name = safe_name(file.path)
        screening = Screening(name, how.policy) if file.role == "checkpoint" else None
        place = how.destination / (folder + name)
        is_new = bundle.put(file.sha256, place, replace=how.replace_others, inspector=screening)
        evidence = "bundle" if file.role == "config" else _rests_on(name, file.role)
        listen(Finished(name, file.size_bytes, evidence, bundle.path.name, already_here=not is_new))
        if file.role == "config" and (imports := _imports_of(bundle, file)):
            listen(Noted(f"{name}: whoever uses it will import {', '.join(imports)}"))
        scan = screening.verdict.sentence if screening and screening.verdict else None
        files.append(replace(file, path=name, url=None, evidence=evidence, scan=scan))
        places.append(folder + name)
    receipt = replace(model, files=tuple(files), date=how.date, zoo=__version__, links=(), bundle=bundle.digest)
    if how.with_receipts:
        write_receipt(how.destination / (folder + receipt_name(_stem(model))), receipt)
    return Unpacked(receipt, tuple(places))
