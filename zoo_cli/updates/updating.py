"""Bringing the signed index up to date: verified metadata, the file it names, the database in its place.

Edge: the directory of the signed index, its lock and the clock. Order of things: the metadata is verified, the file
fetched and compared with the size and digest that were signed, unpacked under a bound, opened as a database of this
zoo, held against the floor, and only then named by `current`. Whatever fails before leaves the index in use as it is.
"""

from __future__ import annotations

import os
import time
import zlib
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from zoo_cli import filelock
from zoo_cli.catalog.current import Current, read_current, write_current
from zoo_cli.catalog.database import SCHEMA_VERSION, CatalogUnusable, index_date, open_catalog
from zoo_cli.transfer.addresses import redacted
from zoo_cli.transfer.events import Listener, Noted, SourceFailed, nothing
from zoo_cli.transfer.failures import DestinationUnusable, Failed
from zoo_cli.trust.refusals import ClockBehind, IndexBusy, IndexRefused
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
MAX_PACKED_BYTES = 128 << 20
MAX_DATABASE_BYTES = 512 << 20
LOCK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Updated:
    """How an update ended."""

    current: Current
    before: str  # the newest day of the facts of the index in use before
    is_new: bool  # another database than before
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
    """Puts the newest signed index in use that one of the mirrors offers.

    Args:
        home: The directory of the signed index.
        root: What the chain of signatures begins with.
        addresses: Of mirrors of the repository, in order; none of them is believed anything.
        floor: The newest day of the facts that came with zoo: nothing older is taken.
        settings: Limits of each transfer.
        listen: Gets events.
        wait_seconds: How long to wait for another process.
        now: Seconds since the epoch; by default the clock's.

    Raises:
        IndexRefused: What the mirrors offer is not what was signed last, or is older than the floor.
        Failed, AllSourcesFailed: No mirror delivered, and none was refused.
        ClockBehind, IndexBusy, DestinationUnusable: This computer's side.
    """
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() if now is None else now))
    with _locked(home, listen, wait_seconds):
        current = read_current(home)
        _check_clock(moment, max(floor, current.updated[:10] if current else ""))
        failures: list[ZooError] = []
        for address in addresses:
            try:
                found = _update_from(home, root, address, floor, settings, listen)
            except (IndexRefused, Failed) as failure:
                failures.append(failure)
                listen(SourceFailed("the index", redacted(address), failure.code))
                continue
            return _put(home, found, current, floor, moment, tuple(failures))
    raise max(failures, key=lambda each: each.exit_code)  # a refusal weighs more than a dead host


@dataclass(frozen=True, slots=True)
class _Found:
    signed: SignedFile
    database: Path
    date: str


def _update_from(
    home: Path, root: TrustedRoot, address: str, floor: str, settings: Settings, listen: Listener
) -> _Found:
    directory = metadata_directory(home, root.name, root.root)
    signed = signed_file(directory, root.name, root.root, address, TARGET, settings, listen)
    if signed.size_bytes > MAX_PACKED_BYTES:
        raise refused(root.name, address, "endless", f"an index of {signed.size_bytes} bytes is signed")
    database = home / f"zoo-{signed.sha256}.db"
    if not database.is_file():
        _fetch(home, database, signed, root.name, address, settings, listen)
    try:
        with closing(open_catalog(database)) as catalog:
            date = index_date(catalog)
    except CatalogUnusable as exc:
        raise refused(root.name, address, "malformed", exc.problem) from exc
    if date < floor:
        raise refused(root.name, address, "older", f"its facts are of {date}, those that came with zoo of {floor}")
    return _Found(signed, database, date)


def _fetch(
    home: Path, database: Path, signed: SignedFile, name: str, address: str, settings: Settings, listen: Listener
) -> None:
    """Brings the signed file and unpacks it under the database's name."""
    from zoo_cli.transfer.failures import HashMismatch, SizeMismatch, TooLarge
    from zoo_cli.transfer.fetch import fetch
    from zoo_cli.transfer.sources import Wanted

    packed = home / f"{signed.sha256}.{TARGET}"
    wanted = Wanted("the index", (signed.url,), signed.size_bytes, signed.sha256, basis="signed")
    try:
        fetch(wanted, packed, settings, listen, replace=True)
        _unpack(packed, database)
    except (HashMismatch, SizeMismatch, TooLarge) as exc:
        fault: Fault = "endless" if isinstance(exc, TooLarge) and exc.declared_bytes is None else "other-bytes"
        raise refused(name, address, fault, f"{TARGET} {exc.brief}") from exc
    except (zlib.error, EOFError, ValueError) as exc:
        raise refused(name, address, "malformed", f"{TARGET} cannot be unpacked: {exc}") from exc
    finally:
        packed.unlink(missing_ok=True)


def _unpack(packed: Path, database: Path) -> None:
    """Unpacks a gzip file of bounded size; the database appears whole.

    Raises:
        EOFError, zlib.error, ValueError: It is cut off, damaged, or larger than a database may be.
        DestinationUnusable: It cannot be written.
    """
    part = database.with_name(f".{database.name}.{os.getpid()}.zoo-new")
    unpacker, written = zlib.decompressobj(wbits=31), 0
    try:
        with packed.open("rb") as source, part.open("xb") as target:
            while not unpacker.eof:
                piece = unpacker.unconsumed_tail or source.read(1 << 20)
                if not piece:
                    raise EOFError("it ends too early")
                written += target.write(unpacker.decompress(piece, 4 << 20))
                if written > MAX_DATABASE_BYTES:
                    raise ValueError(f"it holds more than {MAX_DATABASE_BYTES} bytes")
            target.flush()
            os.fsync(target.fileno())
        part.replace(database)
    except OSError as exc:
        raise DestinationUnusable(str(database), exc.strerror or str(exc)) from exc
    finally:
        part.unlink(missing_ok=True)


def _put(
    home: Path, found: _Found, before: Current | None, floor: str, moment: str, failures: tuple[ZooError, ...]
) -> Updated:
    """Names the database as the one in use, and drops the former one."""
    signed = found.signed
    source = redacted(signed.url.rpartition("/targets/")[0])
    versions = " ".join(f"{role}={version}" for role, version in sorted(signed.versions.items()))
    current = Current(found.database, found.date, signed.expires, moment, source, versions)
    try:
        write_current(current)
    except OSError as exc:
        raise DestinationUnusable(str(home), exc.strerror or str(exc)) from exc
    for other in home.glob("zoo-*.db"):
        if other != found.database:
            with suppress(OSError):  # Windows: another process reads it
                other.unlink()
    was = max(before.date, floor) if before else floor
    return Updated(current, was, before is None or before.file != current.file, failures)


def _check_clock(moment: str, known: str) -> None:
    """A clock behind a day that is certainly over cannot judge expiry; a day is left for time zones."""
    if datetime.fromisoformat(moment[:10]) < datetime.fromisoformat(known) - timedelta(days=1):
        raise ClockBehind(moment[:10], known)


@contextmanager
def _locked(home: Path, listen: Listener, wait_seconds: float) -> Iterator[None]:
    """One process at a time: TUF's client keeps its metadata in files that two must not write."""
    path = home / "lock"

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
