"""The client of The Update Framework: from a trusted root to the size and digest of the newest index.

Edge: python-tuf keeps the metadata it verified in a directory of its own. The client workflow (TUF specification
1.0.33, section 5) is python-tuf's; every byte comes through zoo's transfer engine, so the same rules hold for
addresses, limits and redirects. Importing this module imports python-tuf: only `zoo index` does.
"""

from __future__ import annotations

import hashlib
import io
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from zoo_cli.transfer.addresses import local_path, redacted
from zoo_cli.transfer.documents import read_document
from zoo_cli.transfer.events import Listener, nothing
from zoo_cli.transfer.failures import DestinationUnusable, HttpFailed, TooLarge
from zoo_cli.transfer.hashes import Sha256, parse_sha256
from zoo_cli.trust.refusals import BadRoot, Fault, IndexRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoo_cli.errors import ZooError
    from zoo_cli.transfer.settings import Settings

_CONFIG = UpdaterConfig(
    max_root_rotations=64, max_delegations=4, root_max_length=512_000, timestamp_max_length=16_384,
    snapshot_max_length=500_000, targets_max_length=1_000_000,
)  # fmt: skip
_FAULTS: tuple[tuple[type[Exception], Fault], ...] = (
    (ExpiredMetadataError, "expired"),
    (BadVersionNumberError, "older"),
    (UnsignedMetadataError, "unsigned"),
    (LengthOrHashMismatchError, "other-bytes"),
    (DownloadLengthMismatchError, "endless"),
    (RepositoryError, "malformed"),
)


@dataclass(frozen=True, slots=True)
class SignedFile:
    """What the signers say of one file of a repository, and the metadata it was read from."""

    name: str
    size_bytes: int
    sha256: Sha256
    url: str
    expires: str  # when the first of the metadata is over: ISO 8601, UTC
    versions: dict[str, int]  # by role


@dataclass(frozen=True, slots=True)
class RootFacts:
    """What a person compares before trusting a root."""

    version: int
    expires: str
    threshold: int
    keys: tuple[str, ...]  # identifiers of the root keys


def root_facts(body: bytes, path: str) -> RootFacts:
    """What a root says of itself, once its own signatures are checked.

    Raises:
        BadRoot: It is no root metadata, or not signed by its own keys.
    """
    try:
        metadata = Metadata[Root].from_bytes(body)
        if not isinstance(metadata.signed, Root):
            raise BadRoot(path, f"it is metadata of the role {metadata.signed.type}, not of root")
        metadata.signed.verify_delegate(Root.type, metadata.signed_bytes, metadata.signatures)
    except RepositoryError as exc:
        raise BadRoot(path, _first_line(exc)) from exc
    role = metadata.signed.roles[Root.type]
    return RootFacts(metadata.signed.version, _iso(metadata.signed.expires), role.threshold, tuple(sorted(role.keyids)))


class Fetcher(FetcherInterface):
    """python-tuf's way to the network: zoo's transfer engine."""

    def __init__(self, settings: Settings, listen: Listener = nothing) -> None:
        self._settings, self._listen = settings, listen
        self.failure: ZooError | None = None  # of the last address that did not deliver

    def _fetch(self, url: str) -> Iterator[bytes]:
        yield self._body(url, _CONFIG.targets_max_length)

    @contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """The body as a file; the engine stops at `max_length`, so nothing endless is read."""
        yield io.BytesIO(self._body(url, max_length))

    def _body(self, url: str, max_length: int) -> bytes:
        path = local_path(url)
        if path is not None and not Path(path).exists():
            raise DownloadHTTPError(f"there is no {redacted(url)}", 404)
        try:
            return read_document(url, max_length, self._settings, listen=self._listen).body
        except HttpFailed as exc:
            self.failure = exc
            raise DownloadHTTPError(f"{exc.url} {exc.brief}", exc.status) from exc
        except TooLarge as exc:
            raise DownloadLengthMismatchError(f"{exc.url} sends more than {max_length} bytes") from exc


def signed_file(
    directory: Path, name: str, root: bytes, address: str, file: str, settings: Settings, listen: Listener = nothing
) -> SignedFile:
    """Brings the metadata up to date by TUF's client workflow, and gives what it says of one file.

    Args:
        directory: Where verified metadata of this root is kept.
        name: The root's name, for errors.
        root: The root metadata that the chain of signatures begins with.
        address: Of the repository.
        file: The file's name among the targets.
        settings: Limits of each transfer.
        listen: Gets events of the transfers.

    Raises:
        IndexRefused: The mirror's metadata is not what the keys signed last.
        Failed, AllSourcesFailed: The mirror did not deliver.
        DestinationUnusable: The directory cannot be written.
    """
    base, fetcher = address.rstrip("/"), Fetcher(settings, listen)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        updater = Updater(
            str(directory), f"{base}/metadata/", fetcher=fetcher, config=_CONFIG, bootstrap=root
        )  # fmt: skip
        updater.refresh()
        info = updater.get_targetinfo(file)
    except (DownloadError, RepositoryError) as exc:
        if isinstance(exc, DownloadHTTPError) and fetcher.failure is not None:
            raise fetcher.failure from exc
        fault: Fault = next((fault for kind, fault in _FAULTS if isinstance(exc, kind)), "missing")
        raise refused(name, address, fault, _first_line(exc)) from exc
    except OSError as exc:
        raise DestinationUnusable(str(directory), exc.strerror or str(exc)) from exc
    if info is None or "sha256" not in info.hashes:
        raise refused(name, address, "missing", f"nothing is signed under the name {file}")
    digest = parse_sha256(info.hashes["sha256"])
    roles = _roles(directory)
    expires = min(_iso(each.expires) for each in roles.values())
    url = f"{base}/targets/{digest}.{file}"
    return SignedFile(file, info.length, digest, url, expires, {role: each.version for role, each in roles.items()})


def metadata_directory(home: Path, name: str, root: bytes) -> Path:
    """Where the verified metadata of a root is kept: another root of the same name begins afresh."""
    return home / "metadata" / f"{name}-{hashlib.sha256(root).hexdigest()[:16]}"


def _roles(directory: Path) -> dict[str, Root | Timestamp | Snapshot | Targets]:
    """The metadata that was just verified, by role."""
    found: dict[str, Root | Timestamp | Snapshot | Targets] = {}
    for role in (Root.type, Timestamp.type, Snapshot.type, Targets.type):
        signed = Metadata.from_file(str(directory / f"{role}.json")).signed
        assert isinstance(signed, (Root, Timestamp, Snapshot, Targets))
        found[role] = signed
    return found


def refused(name: str, address: str, fault: Fault, reason: str) -> IndexRefused:
    """The refusal of what a mirror sent, with the day by this computer's clock."""
    return IndexRefused(name, redacted(address), fault, reason[:300], time.strftime("%Y-%m-%d", time.gmtime()))


def _iso(moment: object) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _first_line(exc: BaseException) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0][:300]
