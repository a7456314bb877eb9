"""Bringing what the holders of a root signed up to date: verified metadata, the file it names, the file in its place.

Edge: the directory of the signed indexes, its lock and the clock. Order of things: the metadata is verified, the file
fetched and compared with the size and digest that were signed, unpacked under a bound, read (zoo's own: a database of
this zoo, not older than the floor; a lab's: documents below the lab's namespace and nothing else), and only then named
by `current`. Whatever fails before leaves what is in use as it is.
"""

from __future__ import annotations

import hashlib
import os
import time
import zlib
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from zoo_cli import filelock
from zoo_cli.catalog.compiler.labs import LAB_SCHEMA, MAX_BYTES, OutsideNamespace, read_lab, tables_of
from zoo_cli.catalog.compiler.rows import BrokenRow
from zoo_cli.catalog.current import LOCK_NAME, Current, Signed, read_current, write_current
from zoo_cli.catalog.database import SCHEMA_VERSION, CatalogUnusable, index_date, open_file
from zoo_cli.catalog.joined import is_whole
from zoo_cli.transfer.addresses import redacted
from zoo_cli.transfer.events import Listener, Noted, SourceFailed, nothing
from zoo_cli.transfer.failures import DestinationUnusable, Failed
from zoo_cli.trust.refusals import ClockBehind, IndexBusy, IndexRefused
from zoo_cli.trust.roots import UPSTREAM
from zoo_cli.trust.tufclient import metadata_directory, refused, signed_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from zoo_cli.errors import ZooError
    from zoo_cli.transfer.settings import Settings
    from zoo_cli.trust.refusals import Fault
    from zoo_cli.trust.roots import TrustedRoot
    from zoo_cli.trust.tufclient import SignedFile

TARGET = f"zoo-{SCHEMA_VERSION}.db.gz"  # the file's name among the signed targets: one for each version of the tables
LAB_TARGET = f"zoo-models-{LAB_SCHEMA}.json.gz"  # the same of a lab: documents, whatever the tables
MAX_PACKED_BYTES = 128 << 20
MAX_DATABASE_BYTES = 512 << 20
LOCK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Updated:
    """How an update ended."""

    signed: Signed
    before: str  # the newest day of the facts in use before
    is_new: bool  # another file than before
    passed_over: tuple[ZooError, ...]  # mirrors that were tried before and refused or did not deliver


def update(
    home: Path,
    root: TrustedRoot,
    addresses: tuple[str, ...],
    floor: str,
    settings: Settings,
    listen: Listener = nothing,
    wait_seconds: float = LOCK_SECONDS,
    now: float | None = None,
) -> Updated:
    """Puts the newest index in use that one of the mirrors offers under this root's signatures.

    Args:
        home: The directory of the signed indexes.
        root: What the chain of signatures begins with; a root that is not zoo's signs for the namespace of its name.
        addresses: Of mirrors of the repository, in order; none of them is believed anything.
        floor: The newest day of the facts that came with zoo: nothing older is taken in their place.
        settings: Limits of each transfer.
        listen: Gets events.
        wait_seconds: How long to wait for another process.
        now: Seconds since the epoch; by default the clock's.

    Raises:
        IndexRefused: What the mirrors offer is not what was signed last, is older than the floor, or names what is not
            the root's to name.
        Failed, AllSourcesFailed: No mirror delivered, and none was refused.
        ClockBehind, IndexBusy, DestinationUnusable: This computer's side.
    """
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() if now is None else now))
    with _locked(home, listen, wait_seconds):
        current = read_current(home) or Current()
        _check_clock(moment, max((floor, *(each.updated[:10] for each in current.signed))))
        before = current.of(root.name)
        failures: list[ZooError] = []
        for address in addresses:
            try:
                found = _update_from(home, root, address, floor, before, settings, listen)
            except (IndexRefused, Failed) as failure:
                failures.append(failure)
                listen(SourceFailed(_what(root.name), redacted(address), failure.code))
                continue
            signed = found._replace(updated=moment, source=redacted(address.rstrip("/")))
            _put(home, current, signed)
            since = before.date if before else ""
            was = since if signed.namespace else max(since, floor)
            return Updated(signed, was, before is None or before.sha256 != signed.sha256, tuple(failures))
    raise max(failures, key=lambda each: each.exit_code)  # a refusal weighs more than a dead host


def forget(home: Path, name: str, wait_seconds: float = LOCK_SECONDS) -> None:
    """Takes what was signed under a root out of use; that root is trusted no longer.

    Raises:
        IndexBusy, DestinationUnusable: This computer's side.
    """
    if (read_current(home) or Current()).of(name) is None:
        return
    with _locked(home, nothing, wait_seconds):
        _write(home, (read_current(home) or Current()).replaced(name, ()))


def _what(name: str) -> str:
    return "the index" if name == UPSTREAM else f"the index of {name}"


def _update_from(
    home: Path,
    root: TrustedRoot,
    address: str,
    floor: str,
    before: Signed | None,
    settings: Settings,
    listen: Listener,
) -> Signed:
    """What a mirror offers, verified and in its file; not in use yet."""
    is_own = root.name == UPSTREAM
    target, limit = (TARGET, MAX_PACKED_BYTES) if is_own else (LAB_TARGET, MAX_BYTES)
    directory = metadata_directory(home, root.name, root.root)
    signed = signed_file(directory, root.name, root.root, address, target, settings, listen)
    if signed.size_bytes > limit:
        raise refused(root.name, address, "endless", f"an index of {signed.size_bytes} bytes is signed")
    name = f"{root.name}-{signed.sha256}.{'db' if is_own else 'json'}"
    if before and before.file == name and is_whole(home, before):
        digest = before.sha256
    else:
        digest = _fetch(home / name, signed, root.name, address, settings, listen)
    try:
        date = _date_of(home / name, root.name, address, floor)
    except IndexRefused:
        (home / name).unlink(missing_ok=True)
        raise
    versions = " ".join(f"{role}={version}" for role, version in sorted(signed.versions.items()))
    return Signed(root.name, "" if is_own else root.name, name, digest, date, signed.expires, "", "", versions)


def _date_of(file: Path, name: str, address: str, floor: str) -> str:
    """The newest day of the facts in a file that was fetched, which is read for that as a whole."""
    if name == UPSTREAM:
        return _database_date(file, name, address, floor)
    return _documents_date(file, name, address)


def _database_date(file: Path, name: str, address: str, floor: str) -> str:
    try:
        with closing(open_file(file)) as catalog:
            date = index_date(catalog)
    except CatalogUnusable as exc:
        raise refused(name, address, "malformed", exc.problem) from exc
    if date < floor:
        raise refused(name, address, "older", f"its facts are of {date}, those that came with zoo of {floor}")
    return date


def _documents_date(file: Path, name: str, address: str) -> str:
    try:
        lab = read_lab(file.read_bytes(), name)
        tables_of(lab).close()
    except OutsideNamespace as exc:
        raise refused(name, address, "outside", f"{exc.row} {exc.problem}".strip()) from exc
    except BrokenRow as exc:
        raise refused(name, address, "malformed", f"{exc.row} {exc.problem}".strip()) from exc
    return lab.date


def _fetch(file: Path, signed: SignedFile, name: str, address: str, settings: Settings, listen: Listener) -> str:
    """Brings the signed file and unpacks it under its name; returns the SHA-256 of what was unpacked."""
    from zoo_cli.transfer.failures import HashMismatch, SizeMismatch, TooLarge
    from zoo_cli.transfer.fetch import fetch
    from zoo_cli.transfer.sources import Wanted

    packed = file.with_name(f"{signed.sha256}.{signed.name}")
    wanted = Wanted(_what(name), (signed.url,), signed.size_bytes, signed.sha256, basis="signed")
    try:
        fetch(wanted, packed, settings, listen, replace=True)
        return _unpack(packed, file, MAX_DATABASE_BYTES if name == UPSTREAM else MAX_BYTES)
    except (HashMismatch, SizeMismatch, TooLarge) as exc:
        fault: Fault = "endless" if isinstance(exc, TooLarge) and exc.declared_bytes is None else "other-bytes"
        raise refused(name, address, fault, f"{signed.name} {exc.brief}") from exc
    except (zlib.error, EOFError, ValueError) as exc:
        raise refused(name, address, "malformed", f"{signed.name} cannot be unpacked: {exc}") from exc
    finally:
        packed.unlink(missing_ok=True)


def _unpack(packed: Path, file: Path, most_bytes: int) -> str:
    """Unpacks a gzip file of bounded size; the file appears whole. Returns its SHA-256.

    Raises:
        EOFError, zlib.error, ValueError: It is cut off, damaged, or larger than it may be.
        DestinationUnusable: It cannot be written.
    """
    part = file.with_name(f".{file.name}.{os.getpid()}.zoo-new")
    unpacker, written, digest = zlib.decompressobj(wbits=31), 0, hashlib.sha256()
    try:
        with packed.open("rb") as source, part.open("xb") as target:
            while not unpacker.eof:
                piece = unpacker.unconsumed_tail or source.read(1 << 20)
                if not piece:
                    raise EOFError("it ends too early")
                plain = unpacker.decompress(piece, 4 << 20)
                written += target.write(plain)
                digest.update(plain)
                if written > most_bytes:
                    raise ValueError(f"it holds more than {most_bytes} bytes")
            target.flush()
            os.fsync(target.fileno())
        part.replace(file)
    except OSError as exc:
        raise DestinationUnusable(str(file), exc.strerror or str(exc)) from exc
    finally:
        part.unlink(missing_ok=True)
    return digest.hexdigest()


def _put(home: Path, current: Current, signed: Signed) -> None:
    """Names the file as what the root's holders said last, and drops the former one."""
    before = current.of(signed.root)
    is_same = before is not None and before._replace(updated="", source="", versions="", expires="") == signed._replace(
        updated="", source="", versions="", expires="", state=before.state
    )
    if is_same and before is not None and before.state != "unusable":  # which database is opened stays decided
        rest = tuple(signed._replace(state=before.state) if each is before else each for each in current.signed)
        _write(home, current._replace(signed=rest))
    else:
        _write(home, current.replaced(signed.root, (signed,)))
    for other in home.glob(f"{signed.root}-*"):
        is_file_of_root = other.name[len(signed.root) + 1 :].partition(".")[0].isalnum()
        if other.name != signed.file and is_file_of_root:
            with suppress(OSError):  # Windows: another process reads it
                other.unlink()


def _write(home: Path, current: Current) -> None:
    try:
        write_current(home, current)
    except OSError as exc:
        raise DestinationUnusable(str(home), exc.strerror or str(exc)) from exc


def _check_clock(moment: str, known: str) -> None:
    """A clock behind a day that is certainly over cannot judge expiry; a day is left for time zones."""
    if datetime.fromisoformat(moment[:10]) < datetime.fromisoformat(known) - timedelta(days=1):
        raise ClockBehind(moment[:10], known)


@contextmanager
def _locked(home: Path, listen: Listener, wait_seconds: float) -> Iterator[None]:
    """One process at a time: TUF's client keeps its metadata in files that two must not write."""
    path = home / LOCK_NAME

    def waiting() -> None:
        listen(Noted("another process updates the index: waiting for it"))

    with ExitStack() as stack:
        try:
            home.mkdir(parents=True, exist_ok=True)
            stack.enter_context(filelock.hold(path, f"process {os.getpid()}", wait_seconds, waiting))
        except filelock.HeldElsewhere as exc:
            raise IndexBusy(str(path), wait_seconds, exc.holder) from exc
        except OSError as exc:
            raise DestinationUnusable(str(home), exc.strerror or str(exc)) from exc
        yield
