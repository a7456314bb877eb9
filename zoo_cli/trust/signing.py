"""Signing an index: keys, roots, and a repository of The Update Framework in a directory (docs/signing.md).

Edge: key files and the repository. The repository holds `metadata/` and `targets/`, as clients and mirrors read them,
and `staged/`: metadata that waits for signatures. Nothing gets from there into `metadata/` before enough keys of its
role signed it, and `timestamp.json`, which clients read first, is written last: whoever reads while something is
published sees the former state or the new one. Needs the extra `sign` (cryptography); clients do not.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, TypeVar

from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Key, Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization.json import JSONSerializer

from zoo_cli.atomic import write_whole
from zoo_cli.trust.refusals import BadKey, BadRepository, SignaturesMissing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Role = TypeVar("Role", Root, Timestamp, Snapshot, Targets)

ROLES = (Root.type, Targets.type, Snapshot.type, Timestamp.type)
LIFETIME_DAYS = {Root.type: 365, Targets.type: 365, Snapshot.type: 365, Timestamp.type: 90}
RENEW_DAYS = 90  # a snapshot that is over sooner is signed again with the timestamp
_SERIALIZER = JSONSerializer(compact=False)


@dataclass(frozen=True, slots=True)
class Published:
    """What `publish` wrote."""

    versions: dict[str, int]  # by role
    expires: str  # the timestamp's end, ISO 8601


def new_key(path: Path, passphrase: bytes) -> str:
    """Makes an Ed25519 key: the private half encrypted at `path` (mode 0600), the public half at `path`.pub.

    Returns:
        The key's identifier.

    Raises:
        BadKey: The passphrase is empty, or a file is there already or cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

    if not passphrase:
        raise BadKey(str(path), "a key is kept under a passphrase only")
    private = Ed25519PrivateKey.generate()
    public = SSlibKey.from_crypto(private.public_key())
    body = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase))
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(body)
        text = json.dumps({"keyid": public.keyid, **public.to_dict()}, indent=1)
        write_whole(_public_path(path), f"{text}\n".encode())
    except OSError as exc:
        raise BadKey(str(path), exc.strerror or str(exc)) from exc
    return public.keyid


def read_signer(path: Path, passphrase: bytes) -> CryptoSigner:
    """The private key of a file.

    Raises:
        BadKey: It cannot be read, is no key, or the passphrase is wrong.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(path.read_bytes(), passphrase)
    except OSError as exc:
        raise BadKey(str(path), exc.strerror or str(exc)) from exc
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise BadKey(str(path), "it is no encrypted private key, or the passphrase is another") from exc
    if not isinstance(private, Ed25519PrivateKey):
        raise BadKey(str(path), "it is no Ed25519 key")
    return CryptoSigner(private)


def read_public(path: Path) -> SSlibKey:
    """The public key of a `.pub` file.

    Raises:
        BadKey: It cannot be read, or is no Ed25519 key.
    """
    try:
        document = json.loads(path.read_bytes())
        key = Key.from_dict(document.pop("keyid"), document)
    except OSError as exc:
        raise BadKey(str(path), exc.strerror or str(exc)) from exc
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise BadKey(str(path), "it is no public key as `zoo index key` writes it") from exc
    if not isinstance(key, SSlibKey) or key.keytype != "ed25519":
        raise BadKey(str(path), "it is no Ed25519 key")
    return key


def stage_root(
    repository: Path, keys: Mapping[str, Sequence[SSlibKey]], thresholds: Mapping[str, int], now: datetime
) -> Path:
    """Writes the next root, unsigned, to be signed by each holder.

    Args:
        repository: Its directory; made for the first root.
        keys: For each role that changes, all its keys from now on; the first root needs every role.
        thresholds: How many of them must sign; the former number where it is not named, else 1.
        now: The moment that its lifetime is counted from.

    Returns:
        The file to sign.

    Raises:
        BadRepository: A role has no key, or fewer than must sign.
    """
    path = repository / "metadata"
    former = _current_root(repository)
    root = former.signed if former else Root(consistent_snapshot=True)
    root.version += former is not None
    root.expires = _later(now, LIFETIME_DAYS[Root.type])
    for role, held in keys.items():
        for keyid in list(root.roles[role].keyids):
            root.revoke_key(keyid, role)
        for key in held:
            root.add_key(key, role)
    for role, count in thresholds.items():
        root.roles[role].threshold = count
    for role in ROLES:
        if not 0 < root.roles[role].threshold <= len(root.roles[role].keyids):
            held_by, needed = len(root.roles[role].keyids), root.roles[role].threshold
            raise BadRepository(str(path), f"the role {role} has {held_by} keys, {needed} must sign")
    return _stage(repository, f"{root.version}.root.json", Metadata(root))


def sign_file(path: Path, signers: Sequence[CryptoSigner]) -> tuple[str, ...]:
    """Adds signatures to a staged file.

    Returns:
        The identifiers of all keys that signed it so far.

    Raises:
        BadRepository: It cannot be read, or is no metadata.
    """
    metadata = _read(path)
    for signer in signers:
        metadata.sign(signer, append=True)
    _write(path, metadata)
    return tuple(sorted(metadata.signatures))


def stage_index(repository: Path, file: Path, name: str, signers: Sequence[CryptoSigner], now: datetime) -> Path:
    """Puts a file among the targets and writes the next list of targets, signed by the keys at hand.

    Raises:
        BadRepository: There is no root yet, or the file cannot be read.
        SignaturesMissing: A root is staged and waits for signatures.
    """
    _take_roots(repository)
    root = _root_of(repository).signed
    try:
        target = TargetFile.from_file(name, str(file), ["sha256"])
        directory = repository / "targets"
        directory.mkdir(parents=True, exist_ok=True)
        write_whole(directory / f"{target.hashes['sha256']}.{name}", file.read_bytes())
    except OSError as exc:
        raise BadRepository(str(file), exc.strerror or str(exc)) from exc
    former = _newest(repository, Targets)
    targets = former.signed if former else Targets()
    targets.version += former is not None
    targets.expires = _later(now, LIFETIME_DAYS[Targets.type])
    targets.targets[name] = target
    metadata = Metadata(targets)
    _sign(metadata, root, signers)
    return _stage(repository, f"{targets.version}.targets.json", metadata)


def publish(repository: Path, signers: Sequence[CryptoSigner], now: datetime) -> Published:
    """Takes what is staged and fully signed into `metadata/`, and signs snapshot and timestamp.

    Without anything staged it renews the timestamp, which is the regular work of whoever holds the online key.

    Raises:
        SignaturesMissing: Staged metadata, the snapshot or the timestamp lacks signatures; what was published stays.
        BadRepository: There is no root, or no list of targets, or a file cannot be read or written.
    """
    _take_roots(repository)
    root = _root_of(repository).signed
    targets = _newest(repository, Targets)
    staged = sorted((repository / "staged").glob("*.targets.json"), key=_version)
    if staged:
        targets = _read_as(staged[-1], Targets)
    elif targets is not None and _valid(root, targets) < root.roles[Targets.type].threshold:
        targets.signed.version += 1  # the root has other keys for this role now: the same list, signed again
        targets.signed.expires = _later(now, LIFETIME_DAYS[Targets.type])
        targets.signatures.clear()
        _sign(targets, root, signers)
        staged = [_stage(repository, f"{targets.signed.version}.targets.json", targets)]
    if targets is None:
        raise BadRepository(str(repository), "there is no index in it yet")
    _require(root, targets, str(staged[-1]) if staged else "")
    snapshot = _next_snapshot(repository, root, targets, signers, now)
    timestamp = _next_timestamp(repository, root, snapshot, signers, now)
    metadata = repository / "metadata"
    _write(metadata / f"{targets.signed.version}.targets.json", targets)
    _write(metadata / f"{snapshot.signed.version}.snapshot.json", snapshot)
    _write(metadata / "timestamp.json", timestamp)
    for path in staged:
        path.unlink()
    roles = (_root_of(repository), targets, snapshot, timestamp)
    expires = f"{timestamp.signed.expires:%Y-%m-%dT%H:%M:%SZ}"
    return Published({each.signed.type: each.signed.version for each in roles}, expires)


def _take_roots(repository: Path) -> None:
    for path in sorted((repository / "staged").glob("*.root.json"), key=_version):
        _take_root(repository, path)


def _take_root(repository: Path, path: Path) -> None:
    """A staged root that the former root's keys and its own signed becomes the current one."""
    new, former = _read_as(path, Root), _current_root(repository)
    expected = former.signed.version + 1 if former else 1
    if new.signed.version != expected:
        raise BadRepository(str(path), f"it is version {new.signed.version}, the next one is {expected}")
    for delegator in (new.signed, *([former.signed] if former else [])):
        _require(delegator, new, str(path))
    _write(repository / "metadata" / path.name, new)
    path.unlink()


def _next_snapshot(
    repository: Path, root: Root, targets: Metadata[Targets], signers: Sequence[CryptoSigner], now: datetime
) -> Metadata[Snapshot]:
    """The snapshot of these targets: the former one while it holds, else a new one."""
    former = _newest(repository, Snapshot)
    if former is not None:
        holds = _valid(root, former) >= root.roles[Snapshot.type].threshold
        is_same = former.signed.meta["targets.json"].version == targets.signed.version
        if holds and is_same and former.signed.expires > _later(now, RENEW_DAYS):
            return former
    version = former.signed.version + 1 if former else 1
    body = targets.to_bytes(_SERIALIZER)
    meta = {"targets.json": MetaFile.from_data(targets.signed.version, body, ["sha256"])}
    metadata = Metadata(Snapshot(version, expires=_later(now, LIFETIME_DAYS[Snapshot.type]), meta=meta))
    _sign(metadata, root, signers)
    _require(root, metadata, "")
    return metadata


def _next_timestamp(
    repository: Path, root: Root, snapshot: Metadata[Snapshot], signers: Sequence[CryptoSigner], now: datetime
) -> Metadata[Timestamp]:
    path = repository / "metadata" / "timestamp.json"
    version = _read_as(path, Timestamp).signed.version + 1 if path.is_file() else 1
    meta = MetaFile.from_data(snapshot.signed.version, snapshot.to_bytes(_SERIALIZER), ["sha256"])
    metadata = Metadata(
        Timestamp(version, expires=_later(now, LIFETIME_DAYS[Timestamp.type]), snapshot_meta=meta)
    )  # fmt: skip
    _sign(metadata, root, signers)
    _require(root, metadata, "")
    return metadata


def _sign(metadata: Metadata[Role], root: Root, signers: Sequence[CryptoSigner]) -> None:
    """Signs with those keys that the root gives the role."""
    for signer in signers:
        if signer.public_key.keyid in root.roles[metadata.signed.type].keyids:
            metadata.sign(signer, append=True)


def _valid(root: Root, metadata: Metadata[Role]) -> int:
    """How many keys of the role signed it validly."""
    result = root.get_verification_result(metadata.signed.type, metadata.signed_bytes, metadata.signatures)
    return len(result.signed)


def _require(root: Root, metadata: Metadata[Role], path: str) -> None:
    role, valid = root.roles[metadata.signed.type], _valid(root, metadata)
    if valid < role.threshold:
        waiting = tuple(sorted(set(role.keyids) - set(metadata.signatures)))
        raise SignaturesMissing(path, metadata.signed.type, valid, role.threshold, waiting)


def _current_root(repository: Path) -> Metadata[Root] | None:
    return _newest(repository, Root)


def _root_of(repository: Path) -> Metadata[Root]:
    root = _current_root(repository)
    if root is None:
        raise BadRepository(str(repository), "there is no root in it: the key ceremony comes first")
    return root


def _newest(repository: Path, role: type[Role]) -> Metadata[Role] | None:
    """The published metadata of a role with the highest version."""
    paths = sorted((repository / "metadata").glob(f"*.{role.type}.json"), key=_version)
    return _read_as(paths[-1], role) if paths else None


def _version(path: Path) -> int:
    number = path.name.partition(".")[0]
    return int(number) if number.isdecimal() else 0


def _read_as(path: Path, role: type[Role]) -> Metadata[Role]:
    metadata = _read(path)
    if not isinstance(metadata.signed, role):
        raise BadRepository(str(path), f"it is metadata of the role {metadata.signed.type}, not of {role.type}")
    return metadata


def _read(path: Path) -> Metadata[Role]:
    try:
        return Metadata.from_bytes(path.read_bytes())
    except OSError as exc:
        raise BadRepository(str(path), exc.strerror or str(exc)) from exc
    except RepositoryError as exc:
        raise BadRepository(str(path), "it is no metadata of a signed index") from exc


def _write(path: Path, metadata: Metadata[Role]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, metadata.to_bytes(_SERIALIZER))
    except OSError as exc:
        raise BadRepository(str(path), exc.strerror or str(exc)) from exc


def _stage(repository: Path, name: str, metadata: Metadata[Role]) -> Path:
    path = repository / "staged" / name
    _write(path, metadata)
    return path


def _later(now: datetime, days: int) -> datetime:
    return now.astimezone(timezone.utc).replace(microsecond=0) + timedelta(days=days)


def _public_path(path: Path) -> Path:
    return path.with_name(path.name + ".pub")
