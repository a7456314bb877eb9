"""A repository of The Update Framework that can say anything, and a client that is asked to believe it.

The metadata is python-tuf's; what is published stays as it was signed. Written for `tests/trust/test_tuf_cases.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from tests.support.server import Page, Server
from tests.support.tuf_client import main

TOP = ("root", "timestamp", "snapshot", "targets")
BELOW = ("targets", "snapshot", "timestamp")  # in the order in which each names the one before


def days(count: float) -> datetime:
    """That many days from now."""
    return datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=count)


class Repository:
    """Its metadata by role, the keys that sign it, and what a server has of it."""

    def __init__(self) -> None:
        self.files: dict[str, bytes | Page | Path] = {}
        self.has_hashes = False  # of snapshot in timestamp, of targets in snapshot
        self.signers: dict[str, list[CryptoSigner]] = {}
        self.published: dict[str, list[bytes]] = {}
        expires = days(30)
        self.metadata: dict[str, Metadata[Any]] = {
            "root": Metadata(Root(expires=expires, consistent_snapshot=True)),
            "timestamp": Metadata(Timestamp(expires=expires)),
            "snapshot": Metadata(Snapshot(expires=expires)),
            "targets": Metadata(Targets(expires=expires)),
        }
        for role in TOP:
            self.add_key(role)
        self.publish(*BELOW, "root")

    def __getitem__(self, role: str) -> Any:
        """What a role says, to be changed."""
        return self.metadata[role].signed

    def add_key(self, role: str, signer: CryptoSigner | None = None, *, delegator: str = "root") -> CryptoSigner:
        """Another key of a role, that signs from now on."""
        signer = signer or CryptoSigner.generate_ed25519()
        self[delegator].add_key(signer.public_key, role)
        self.signers.setdefault(role, []).append(signer)
        return signer

    def rotate(self, role: str) -> None:
        """One new key in place of all that the role has."""
        for keyid in list(self["root"].roles[role].keyids):
            self["root"].revoke_key(keyid, role)
        self.signers[role] = []
        self.add_key(role)

    def publish(self, *roles: str) -> None:
        """Signs what the roles say as their next version, and lets the level above name it."""
        for role in roles:
            signed = self[role]
            signed.version += role in self.published
            self.put(role, self.sign(role))

    def sign(self, role: str) -> bytes:
        """What a role says now, signed by its keys."""
        metadata = self.metadata[role]
        metadata.signatures.clear()
        for signer in self.signers[role]:
            metadata.sign(signer, append=True)
        return metadata.to_bytes()

    def put(self, role: str, body: bytes) -> None:
        """Serves a body as the current version of a role."""
        version = self[role].version
        name = "timestamp.json" if role == "timestamp" else f"{version}.{role}.json"
        self.files[f"/metadata/{name}"] = body
        self.published.setdefault(role, []).append(body)
        meta = MetaFile.from_data(version, body, ["sha256"]) if self.has_hashes else MetaFile(version)
        if role == "snapshot":
            self["timestamp"].snapshot_meta = meta
        elif role not in ("root", "timestamp"):
            self["snapshot"].meta[f"{role}.json"] = meta

    def reput(self, role: str, change: Any) -> None:
        """Changes the JSON of what was published last, signatures and all, and serves that."""
        document = json.loads(self.published[role].pop())
        change(document)
        body = json.dumps(document).encode()
        version = document["signed"]["version"]
        self.files[f"/metadata/{'timestamp' if role == 'timestamp' else f'{version}.{role}'}.json"] = body
        self.published[role].append(body)

    def add_file(self, path: str, body: bytes, role: str = "targets", hashes: Iterable[str] = ("sha256",)) -> None:
        """A file among the targets of a role, served by the name with each of its digests."""
        file = TargetFile.from_data(path, body, list(hashes))
        self[role].targets[path] = file
        self.serve(path, body)

    def serve(self, path: str, body: bytes) -> None:
        """Serves a body wherever any version of that file was signed to be, and where it is signed to be now."""
        folder, slash, name = path.rpartition("/")
        for role in self.metadata.values():
            if isinstance(role.signed, Targets) and path in role.signed.targets:
                for digest in role.signed.targets[path].hashes.values():
                    self.files[f"/targets/{folder}{slash}{digest}.{name}"] = body

    def delegate(
        self, delegator: str, role: str, paths: Iterable[str] = ("*",), *, terminating: bool = False,
        expires: datetime | None = None,
    ) -> None:  # fmt: skip
        """A role that may sign for some paths, last in the delegator's order."""
        signed = self[delegator]
        if signed.delegations is None:
            signed.delegations = Delegations({}, roles={})
        signed.delegations.roles[role] = DelegatedRole(role, [], 1, terminating, list(paths))
        if role not in self.metadata:
            self.metadata[role] = Metadata(Targets(expires=expires or days(30)))
            self.add_key(role, delegator=delegator)
        else:  # another delegator of a role that is there: by the same key
            signed.add_key(self.signers[role][0].public_key, role)


class Client:
    """The client under test and the server that it asks."""

    def __init__(self, folder: Path, repository: Repository, server: Server) -> None:
        self.repository, self.server, self.folder = repository, server, folder
        self.metadata_dir, self.target_dir = folder / "metadata", folder / "targets"
        self.target_dir.mkdir(parents=True)

    def init(self, root: bytes | None = None) -> int:
        """Gives it its first root: the repository's."""
        file = self.folder / "first.json"
        file.write_bytes(self.repository.published["root"][0] if root is None else root)
        return self._run("init", str(file))

    def refresh(self) -> int:
        return self._run("--metadata-url", self.server.url("/metadata"), "refresh")

    def download(self, name: str) -> int:
        return self._run(
            "--metadata-url", self.server.url("/metadata"), "--target-name", name,
            "--target-base-url", self.server.url("/targets"), "--target-dir", str(self.target_dir), "download",
        )  # fmt: skip

    def _run(self, *words: str) -> int:
        return main(["--metadata-dir", str(self.metadata_dir), *words])

    @property
    def trusted(self) -> dict[str, int]:
        """The versions it believes, by role."""
        return {unquote(path.stem): self.of(path.stem).version for path in sorted(self.metadata_dir.glob("*.json"))}

    def of(self, role: str) -> Any:
        """What it believes of a role."""
        return Metadata.from_file(str(self.metadata_dir / f"{role}.json")).signed

    def bytes_of(self, role: str) -> bytes:
        return (self.metadata_dir / f"{role}.json").read_bytes()

    @property
    def downloaded(self) -> set[bytes]:
        return {path.read_bytes() for path in self.target_dir.rglob("*") if path.is_file()}

    @property
    def asked(self) -> list[str]:
        """Metadata it asked for, in order, as it stood in the request."""
        paths = [urlsplit(each.path).path for each in self.server.requests]
        return [
            path.removeprefix("/metadata/").removesuffix(".json") for path in paths if path.startswith("/metadata/")
        ]

    @property
    def asked_files(self) -> int:
        """How many requests were for files."""
        return sum(each.path.startswith("/targets/") for each in self.server.requests)


def quoted(role: str) -> str:
    """A role's name as it stands in an address and in a file's name."""
    return quote(role, "")
