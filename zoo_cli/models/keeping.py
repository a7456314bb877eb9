"""Receipts on the disk: written beside the files, found again, and everything compared with them later.

Edge: the directories of downloads, the caches that hold links to them. Nothing is followed that is a link, nothing is
removed that a receipt does not list, and what somebody changed since stays unless that is asked.
"""

from __future__ import annotations

import os
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from zoo_cli import __version__
from zoo_cli.atomic import write_whole
from zoo_cli.catalog.models import Model
from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.models.config_findings import imports_of
from zoo_cli.models.receipts import (
    MAX_BYTES,
    SUFFIX,
    BadReceipt,
    ConfigSource,
    Receipt,
    ReceiptFile,
    merged,
    read_receipt,
    receipt_name,
    receipt_text,
    without,
)
from zoo_cli.transfer.addresses import redacted
from zoo_cli.transfer.failures import DestinationExists, DestinationUnusable
from zoo_cli.transfer.parallel import together
from zoo_cli.transfer.store import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from zoo_cli.models.download import PickReceipt

_MAX_RECEIPTS = 100_000
State = Literal["ok", "missing", "changed", "extra", "unreadable"]


class NoReceipt(ZooError):
    """Nothing that was asked about has a receipt."""

    code = "no-receipt"
    exit_code = ExitCode.USAGE

    asked: str
    directory: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A receipt and the file it stands in."""

    path: Path
    receipt: Receipt

    def place(self, file: ReceiptFile) -> Path:
        """Where a file of it is."""
        return self.path.parent / file.path


@dataclass(frozen=True, slots=True)
class Checked:
    """A file compared with its receipt; `problem` says what is wrong with it."""

    path: Path
    state: State
    problem: str = ""
    file: ReceiptFile | None = None  # as the receipt has it


# -- writing ---------------------------------------------------------------------------------------------------------


def keep_receipt(done: PickReceipt, destination: Path, index_date: str, date: str, links: Sequence[str] = ()) -> Path:
    """Writes what was done for a model beside its files; what an earlier receipt there knows is kept.

    Args:
        done: From `download.execute`.
        destination: As it was given there.
        index_date: The newest day of the index's facts.
        date: The time of the download, UTC.
        links: Names made in the caches of others.

    Raises:
        DestinationExists: Another file has the receipt's name.
        DestinationUnusable: It cannot be written.
    """
    new = replace(receipt_of_pick(done, index_date, date), links=tuple(links))
    path = destination / done.pick.place(receipt_name(done.pick.stem))
    write_receipt(path, new)
    return path


def receipt_of_pick(done: PickReceipt, index_date: str, date: str) -> Receipt:
    """What was done for a model, as a receipt; see `keep_receipt`."""
    pick = done.pick
    return Receipt(
        asked_as=pick.asked_as,
        name=pick.name,
        package=pick.model.project if pick.model else None,
        release=pick.model.release.version if pick.model else None,
        index_date=index_date,
        date=date,
        zoo=__version__,
        files=tuple(_files(done)),
        config=_config_source(done),
    )


def write_receipt(path: Path, new: Receipt) -> None:
    """Writes a receipt; what one that is there knows of the same model is kept.

    Raises:
        DestinationExists: Another file has its name.
        DestinationUnusable: It cannot be written.
    """
    try:
        old = read_kept(path).receipt
    except FileNotFoundError:
        pass
    except BadReceipt as exc:
        raise DestinationExists(str(path), None, digest_of(path)[1]) from exc
    else:
        new = merged(old, new) if old.is_of == new.is_of else new
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, receipt_text(new).encode())
    except OSError as exc:
        raise DestinationUnusable(str(path), exc.strerror or str(exc)) from exc


def _files(done: PickReceipt) -> Iterator[ReceiptFile]:
    if done.config:
        size, digest = digest_of(done.config.path)
        yield ReceiptFile(done.config.path.name, "config", size, digest, done.config.evidence)
    for file, received in zip(done.pick.files, done.files, strict=True):
        url = None if received.already_here or "://" not in received.url else redacted(received.url)
        yield ReceiptFile(
            received.path.name, file.role, received.size_bytes, received.sha256, received.evidence, url, file.urls[0],
            received.verdict.sentence if received.verdict else None,
            *((received.signed.root, received.signed.updated) if received.signed else ()),
        )  # fmt: skip


def _config_source(done: PickReceipt) -> ConfigSource | None:
    subject = done.pick.subject
    if done.config is None or not isinstance(subject, Model) or subject.config_path is None:
        return None
    release, flat = subject.release, done.config.flat
    return ConfigSource(release.wheel_name, release.wheel_sha256, subject.config_path, flat.files, imports_of(flat))


# -- finding ---------------------------------------------------------------------------------------------------------


def read_kept(path: Path) -> Kept:
    """The receipt in a file.

    Raises:
        FileNotFoundError: There is none.
        BadReceipt: It is none, or cannot be read.
    """
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise BadReceipt(str(path), "it is a link or no plain file")
        with path.open("rb") as file:
            return Kept(path, read_receipt(file.read(MAX_BYTES + 1), str(path)))
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise BadReceipt(str(path), exc.strerror or str(exc)) from exc


def find_receipts(asked: str, directory: Path = Path()) -> list[Kept | BadReceipt]:
    """The receipts that a text means: of a directory, of a file, of a receipt itself, or of a model below `directory`.

    Raises:
        NoReceipt: There is none.
    """
    place = Path(asked)
    if place.is_dir():
        found = list(_below(place))
    elif place.name.endswith(SUFFIX) and place.exists():
        found = [_try(place)]
    elif place.exists():
        beside = (_try(path) for path in sorted(place.parent.glob(f"*{SUFFIX}")))
        found = [each for each in beside if isinstance(each, Kept) and _lists(each, place.name)]
    else:
        named = (each for each in _below(directory) if isinstance(each, Kept))
        found = [each for each in named if asked in _names_of(each.receipt)]
    if not found:
        raise NoReceipt(asked, str(place if place.is_dir() else place.parent if place.exists() else directory))
    return found


def _names_of(receipt: Receipt) -> tuple[str, ...]:
    return (
        receipt.name,
        receipt.asked_as,
        f"{receipt.package}/{receipt.name}",
        f"{receipt.package}/{receipt.asked_as}",
    )


def _lists(kept: Kept, name: str) -> bool:
    return any(each.path == name for each in kept.receipt.files)


def _try(path: Path) -> Kept | BadReceipt:
    try:
        return read_kept(path)
    except FileNotFoundError:
        return BadReceipt(str(path), "it went away")
    except BadReceipt as error:
        return error


def _below(directory: Path) -> Iterator[Kept | BadReceipt]:
    """Every receipt in a directory and below it; hidden directories and links are passed over."""
    count = 0
    for folder, folders, names in os.walk(directory):  # does not follow links
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in sorted(names):
            if name.endswith(SUFFIX) and not name.startswith("."):
                count += 1
                if count > _MAX_RECEIPTS:
                    yield BadReceipt(str(directory), f"there are more than {_MAX_RECEIPTS} receipts")
                    return
                yield _try(Path(folder) / name)


# -- comparing -------------------------------------------------------------------------------------------------------


def verify_place(asked: str, jobs: int = 4) -> list[Checked]:
    """What became of a directory, of all that one receipt lists, or of one file.

    Raises:
        NoReceipt: No receipt tells of it.
    """
    place = Path(asked)
    only = None if place.is_dir() or place.name.endswith(SUFFIX) else place.name
    return verify(find_receipts(asked), only, jobs)


def verify(receipts: Sequence[Kept | BadReceipt], only: str | None = None, jobs: int = 4) -> list[Checked]:
    """Every file of the receipts read again, in their order; then what lies beside them and is in none.

    Args:
        receipts: From `find_receipts`.
        only: The name of the one file to look at.
        jobs: How many files are read at once.
    """
    good = [each for each in receipts if isinstance(each, Kept)]
    bad = [Checked(Path(each.path), "unreadable", each.problem) for each in receipts if isinstance(each, BadReceipt)]
    wanted = {
        each.place(file): file for each in good for file in each.receipt.files if only is None or file.path == only
    }
    with closing(together(list(wanted), lambda path: check(path, wanted[path]), jobs, in_order=True)) as results:
        found = [result for _path, result in results if isinstance(result, Checked)]
    return [*bad, *found, *([] if only else _extra(good))]


def check(path: Path, file: ReceiptFile) -> Checked:
    """One file compared with what its receipt says."""
    try:
        if path.is_symlink():
            return Checked(path, "changed", "it is a link now", file)
        if path.exists() and not path.is_file():
            return Checked(path, "changed", "it is no plain file now", file)
        size = path.stat().st_size
        if size != file.size_bytes:
            return Checked(path, "changed", f"it has {size:,} bytes, not {file.size_bytes:,}", file)
        digest = digest_of(path)[1]
    except FileNotFoundError:
        return Checked(path, "missing", "it is gone", file)
    except OSError as exc:
        return Checked(path, "unreadable", exc.strerror or str(exc), file)
    if digest != file.sha256:
        return Checked(path, "changed", f"its sha256 is {digest}", file)
    return Checked(path, "ok", "", file)


def _extra(receipts: Iterable[Kept]) -> Iterator[Checked]:
    """Plain files in the receipts' directories that none of them lists."""
    listed: dict[Path, set[str]] = {}
    for each in receipts:
        names = listed.setdefault(each.path.parent, set())
        names |= {each.path.name, *(file.path for file in each.receipt.files)}
    for folder, names in sorted(listed.items()):
        for path in sorted(folder.iterdir()):
            if path.name not in names and not path.name.startswith(".") and path.is_file():
                yield Checked(path, "extra", "no receipt lists it")


# -- removing --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Removal:
    """What removing would do: files to unlink, files that stay with the reason, links, and the receipts concerned."""

    receipts: tuple[Kept, ...]
    files: tuple[Path, ...]
    stays: tuple[Checked, ...]  # changed since, or unreadable
    shared: tuple[Path, ...]  # another receipt lists them too
    links: tuple[Path, ...]
    size_bytes: int


def plan_removal(receipts: Sequence[Kept | BadReceipt], *, changed_too: bool = False) -> Removal:
    """What goes and what stays; reads every file once.

    Raises:
        BadReceipt: One of the receipts cannot be read.
    """
    good: list[Kept] = []
    for each in receipts:
        if isinstance(each, BadReceipt):
            raise each
        good.append(each)
    others = _other_owners(good)
    files, stays, shared = [], [], []
    for path, checked in {each.path: each for each in verify(good) if each.file}.items():
        if path in others:
            shared.append(path)
        elif checked.state == "ok" or (checked.state == "changed" and changed_too and not path.is_dir()):
            files.append(path)
        elif checked.state != "missing":
            stays.append(checked)
    # Before a file goes its links are known by being the same file.
    links = [link for each in good for link in map(Path, each.receipt.links) if _is_ours(link, files)]
    size = sum(path.lstat().st_size for path in files)
    return Removal(tuple(good), tuple(files), tuple(stays), tuple(shared), tuple(links), size)


def _other_owners(going: Sequence[Kept]) -> set[Path]:
    """Files that receipts in the same directories list and that are not to be removed themselves."""
    mine = {each.path for each in going}
    folders = {path.parent for path in mine}
    beside = (_try(path) for folder in folders for path in folder.glob(f"*{SUFFIX}") if path not in mine)
    return {each.place(file) for each in beside if isinstance(each, Kept) for file in each.receipt.files}


def _is_ours(link: Path, files: Sequence[Path]) -> bool:
    with suppress(OSError):
        return any(link.samefile(path) for path in files)
    return False


def remove(removal: Removal) -> None:
    """Does it: links, files, then the receipts, and a model's own folder when it is empty then.

    Raises:
        DestinationUnusable: Something cannot be removed; the receipts still list what is left.
    """
    gone: set[Path] = set()
    try:
        for path in (*removal.links, *removal.files):
            path.unlink(missing_ok=True)
            gone.add(path)
    except OSError as exc:
        raise DestinationUnusable(str(exc.filename), exc.strerror or str(exc)) from exc
    finally:
        for each in removal.receipts:
            _close(each, gone, removal)


def _close(kept: Kept, gone: set[Path], removal: Removal) -> None:
    """The receipt without what is gone; no receipt when that is everything."""
    stays = {each.path for each in removal.stays}
    left = [file.path for file in kept.receipt.files if kept.place(file) in stays]
    waiting = [file.path for file in kept.receipt.files if kept.place(file) in {*removal.files} - gone]
    rest = without(kept.receipt, {file.path for file in kept.receipt.files} - {*left, *waiting}, map(str, gone))
    with suppress(OSError):
        if rest.files:
            write_whole(kept.path, receipt_text(rest).encode())
            return
        kept.path.unlink(missing_ok=True)
        folder = kept.path.parent
        if folder.name == kept.path.name.removesuffix(SUFFIX):  # made for this model; stays when anything is left
            folder.rmdir()
