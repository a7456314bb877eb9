"""A signed index as its maintainers make it, in a directory that a loopback server can offer; also made badly."""

from __future__ import annotations

import gzip
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata

from zoo_cli.catalog.database import SCHEMA_VERSION
from zoo_cli.trust.roots import UPSTREAM, TrustedRoot
from zoo_cli.trust.signing import publish, sign_file, stage_index, stage_root
from zoo_cli.updates.publishing import packed_index
from zoo_cli.updates.updating import LAB_TARGET, TARGET

ROLES = ("root", "targets", "snapshot", "timestamp")


def database(path: Path, date: str, filler: str = "") -> Path:
    """A database that is no more than its date, and bytes to make it larger."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
        facts = {"schema": str(SCHEMA_VERSION), "index_date": date, "filler": filler}
        connection.executemany("INSERT INTO meta VALUES (?, ?)", facts.items())
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        connection.commit()
    return path


def database_of(publisher: Publisher, file: Path) -> None:
    """Publishes a whole database of zoo's own facts."""
    with packed_index(file) as packed:
        stage_index(publisher.repository, packed, TARGET, [publisher.targets_key], publisher.now)
    publisher.publish()


class Publisher:
    """Holders of keys and their repository: root 2 of 3, targets 1, one online key for snapshot and timestamp."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.repository = directory / "repository"
        directory.mkdir(parents=True, exist_ok=True)
        self.now = datetime.now(timezone.utc)
        self.root_keys = [CryptoSigner.generate_ed25519() for _ in range(3)]
        self.targets_key = CryptoSigner.generate_ed25519()
        self.online_key = CryptoSigner.generate_ed25519()
        self.rotate(
            self.root_keys[:2],
            {
                "root": self.root_keys, "targets": [self.targets_key], "snapshot": [self.online_key],
                "timestamp": [self.online_key],
            },
            {"root": 2},
        )  # fmt: skip

    def rotate(
        self,
        signers: list[CryptoSigner],
        keys: dict[str, list[CryptoSigner]] | None = None,
        thresholds: dict[str, int] | None = None,
    ) -> Path:
        """Stages the next root and signs it with these keys."""
        public = {role: [each.public_key for each in held] for role, held in (keys or {}).items()}
        path = stage_root(self.repository, public, thresholds or {}, self.now)
        sign_file(path, signers)
        return path

    @property
    def trusted(self) -> TrustedRoot:
        """The first root, as a package would ship it."""
        return self.trusted_as(UPSTREAM)

    def trusted_as(self, name: str) -> TrustedRoot:
        """The first root under a name."""
        return TrustedRoot(name, (self.repository / "metadata" / "1.root.json").read_bytes(), (), is_shipped=True)

    def index(self, date: str, filler: str = "", days_ago: int = 0) -> None:
        """Publishes an index with facts up to that day."""
        with packed_index(database(self.directory / "new.db", date, filler)) as packed:
            stage_index(self.repository, packed, TARGET, [self.targets_key], self.now - timedelta(days=days_ago))
        self.publish(days_ago)

    def lab(self, body: bytes, days_ago: int = 0) -> None:
        """Publishes a lab's documents as they are given: `labs.lab_text`, or what a hostile lab would sign."""
        packed = self.directory / "lab.gz"
        packed.write_bytes(gzip.compress(body, mtime=0))
        stage_index(self.repository, packed, LAB_TARGET, [self.targets_key], self.now - timedelta(days=days_ago))
        self.publish(days_ago)

    def publish(self, days_ago: int = 0) -> None:
        """Takes what is staged, and signs the timestamp as it would have been signed so many days ago."""
        publish(self.repository, [self.targets_key, self.online_key], self.now - timedelta(days=days_ago))

    def files(self) -> dict[str, bytes]:
        """The repository as it is now, by path below it: a mirror may keep it."""
        paths = [each for part in ("metadata", "targets") for each in (self.repository / part).rglob("*")]
        return {each.relative_to(self.repository).as_posix(): each.read_bytes() for each in paths if each.is_file()}

    def put(self, files: dict[str, bytes]) -> None:
        """Lays files into the repository, as a mirror could that has them."""
        for name, body in files.items():
            (self.repository / name).write_bytes(body)

    def forge(self, name: str, signers: list[CryptoSigner], change: Any) -> None:
        """Changes published metadata and signs it with these keys alone."""
        path = self.repository / "metadata" / name
        metadata: Metadata[Any] = Metadata.from_file(str(path))
        change(metadata.signed)
        metadata.signatures.clear()
        for each in signers:
            metadata.sign(each, append=True)
        metadata.to_file(str(path))
