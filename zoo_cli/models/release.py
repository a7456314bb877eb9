"""The config tree of a release, read from its wheel where it is: only the members that are needed.

Some releases have no wheel: their sdist is fetched whole, compared with the index's SHA-256, and read as it is.

Edge: the network (by HTTP range), the cache directory. A member comes from the small files kept by an earlier run, else
from the wheel on the package index. The index knows the SHA-256 of each wheel's RECORD, and RECORD has the SHA-256 of
every member: so a member read by range is checked as well as the whole wheel would be, and a mirror that changes a
config is noticed and passed over. Where the index has no such digest a member is checked by its CRC-32 only, and
`evidence` says so. What was read is kept, so that the same config works offline. Nothing in a wheel is unpacked or run.
"""

from __future__ import annotations

import posixpath
import tempfile
import zipfile
from base64 import urlsafe_b64encode
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar, cast

from zoo_cli.atomic import write_whole
from zoo_cli.directories import own_cache
from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.models.upstream import BadRelease, Tree
from zoo_cli.models.upstream import ReleaseFile as UpstreamFile
from zoo_cli.transfer.failures import Failed
from zoo_cli.transfer.fetch import RemoteFile, Wanted, fetch
from zoo_cli.transfer.hashes import parse_sha256
from zoo_cli.trust.archive import DAMAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo_cli.transfer.settings import Settings

Opened = TypeVar("Opened")

MAX_MEMBERS = 50_000
MAX_MEMBER_BYTES = 1_000_000
MAX_SDIST_BYTES = 64 * 1024 * 1024
MAX_WHEEL_BYTES = 512 * 1024 * 1024


class BadWheel(ZooError):
    """A release's wheel, or a config in it, is damaged or not what the index says of it."""

    code = "bad-release-wheel"
    exit_code = ExitCode.INTEGRITY

    wheel: str
    member: str
    problem: str


@dataclass(frozen=True, slots=True)
class Wheel:
    """A release's wheel as the index knows it."""

    name: str
    urls: tuple[str, ...]  # mirrors included, in the order to try
    sha256: str
    root: str  # the folder in it below which config paths stand: "mmdet/.mim/"
    record_sha256: str | None = None  # of its RECORD
    namespace: str = ""  # of the lab whose index says all this; what is kept of it is kept for that namespace alone


class Release:
    """The config tree of one wheel, for `configs.ConfigTree`; close it, or use it in a `with`."""

    def __init__(self, wheel: Wheel, settings: Settings, cache: Path | None = None) -> None:
        """Opens nothing yet.

        Args:
            wheel: Where it is and what it is.
            settings: Limits of the transfer.
            cache: zoo's cache directory; None keeps nothing.
        """
        self.wheel = wheel
        # Of what was read last: kept | record (against RECORD, that against the index) | crc | whole (the whole file)
        self.evidence = "kept"
        self._settings = settings
        own = own_cache(cache) if cache else None  # a config names what is imported: nobody else may put it there
        self._kept = own / "configs" / wheel.namespace / parse_sha256(wheel.sha256) if own else None
        self._open = ExitStack()
        self._archive: zipfile.ZipFile | None = None
        self._sdist: Tree | None = None
        self._digests: dict[str, str] = {}  # member -> digest as RECORD writes it
        self._failure: ZooError | None = None  # why the wheel cannot be had; it is not asked again for each config

    def __enter__(self) -> Release:  # noqa: PYI034 (typing.Self is 3.11)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._open.close()

    def read(self, path: str) -> bytes | None:
        """A file of the config tree (`configs/x.py`); None when the release has none of that path.

        Raises:
            BadWheel: It is damaged or too large.
            Failed, AllSourcesFailed, TookTooLong: The wheel cannot be reached.
        """
        if not _is_plain(path):
            return None
        found = self._from_kept(path)
        if found is None:
            is_wheel = self.wheel.name.endswith(".whl")
            found = self._from_wheel(path) if is_wheel else self._from_sdist(path)
            if found is not None:
                self._keep(path, found)
        return found

    def _from_kept(self, path: str) -> bytes | None:
        if self._kept is None:
            return None
        try:
            with (self._kept / path).open("rb") as file:
                return file.read(MAX_MEMBER_BYTES)
        except OSError:
            return None

    def _keep(self, path: str, body: bytes) -> None:
        """Keeps a member for the next run; a cache that cannot be written costs nothing but time."""
        if self._kept is None:
            return
        target = self._kept / path
        with suppress(OSError):
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, body)

    def _from_wheel(self, path: str) -> bytes | None:
        archive = self._archive or self._once(self._opened)
        self.evidence = "record" if self.wheel.record_sha256 else "crc"
        name = self.wheel.root + path
        body = self._member(archive, name)
        if body is not None and self._digests and self._digests.get(name) != _record_digest(body):
            raise BadWheel(self.wheel.name, path, "it is not what the wheel's RECORD promises")
        return body

    def _from_sdist(self, path: str) -> bytes | None:
        try:
            if self._sdist is None:
                self._sdist = self._open.enter_context(self._once(self._opened_sdist))
            self.evidence = "whole"
            return self._sdist.read(path) if path in self._sdist.paths else None
        except BadRelease as exc:
            raise BadWheel(self.wheel.name, path, exc.problem) from exc

    def _opened_sdist(self) -> Tree:
        place = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="zoo-")))
        wanted = Wanted(
            name=self.wheel.name,
            urls=self.wheel.urls,
            size_bytes=None,
            sha256=parse_sha256(self.wheel.sha256),
            max_bytes=MAX_SDIST_BYTES,
        )
        path = fetch(wanted, place / self.wheel.name, self._settings).path
        known = UpstreamFile("", "", self.wheel.name, self.wheel.urls[0], self.wheel.sha256, None, "", "")
        tree = Tree(path, known)
        if tree.release.config_root != self.wheel.root:
            raise BadWheel(self.wheel.name, self.wheel.root, "its configs are in another folder than the index says")
        return tree

    def _member(self, archive: zipfile.ZipFile, name: str) -> bytes | None:
        try:
            member = archive.getinfo(name)
        except KeyError:
            return None
        try:
            with archive.open(member) as file:
                body = file.read(MAX_MEMBER_BYTES + 1)
        except DAMAGE as exc:
            raise BadWheel(self.wheel.name, name, str(exc)[:200]) from exc
        if len(body) > MAX_MEMBER_BYTES:
            raise BadWheel(self.wheel.name, name, f"it is larger than {MAX_MEMBER_BYTES} bytes")
        return body

    def _once(self, opened: Callable[[], Opened]) -> Opened:
        if self._failure is not None:
            raise self._failure
        try:
            return opened()
        except ZooError as error:
            self._failure = error
            raise

    def _opened(self) -> zipfile.ZipFile:
        """The wheel at the first address that has the right one.

        Raises:
            BadWheel: what the last address has is damaged, or another wheel.
        """
        *others, last = self.wheel.urls
        for url in others:
            with suppress(BadWheel, Failed):
                return self._opened_at(url)
        return self._opened_at(last)

    def _opened_at(self, url: str) -> zipfile.ZipFile:
        remote = self._open.enter_context(RemoteFile((url,), self._settings, max_bytes=MAX_WHEEL_BYTES))
        try:
            archive = self._open.enter_context(zipfile.ZipFile(cast("BinaryIO", remote)))
        except DAMAGE as exc:
            raise BadWheel(self.wheel.name, "", str(exc)[:200]) from exc
        if len(archive.namelist()) > MAX_MEMBERS:
            raise BadWheel(self.wheel.name, "", f"it has more than {MAX_MEMBERS} files")
        self._digests, self._archive = self._checked_record(archive), archive
        return archive

    def _checked_record(self, archive: zipfile.ZipFile) -> dict[str, str]:
        """What RECORD says of each member, after RECORD itself was compared with the index."""
        if not self.wheel.record_sha256:
            return {}
        name = next((each for each in archive.namelist() if each.endswith(".dist-info/RECORD")), "")
        record = self._member(archive, name) if name else None
        if record is None or sha256(record).hexdigest() != self.wheel.record_sha256:
            raise BadWheel(self.wheel.name, name, "its RECORD is not the one the index knows")
        rows = (line.rsplit(",", 2) for line in record.decode("utf-8", "replace").splitlines())
        return {row[0].strip('"'): row[1] for row in rows if len(row) == 3}


def _record_digest(body: bytes) -> str:
    """A digest as RECORD writes it: sha256=<base64, URL-safe, unpadded> (PEP 376, PEP 427)."""
    return "sha256=" + urlsafe_b64encode(sha256(body).digest()).rstrip(b"=").decode("ascii")


def _is_plain(path: str) -> bool:
    """Whether a path stays where it is put: relative, normal, no letter that a file system reads otherwise."""
    return (
        path == posixpath.normpath(path)
        and not path.startswith(("/", ".."))
        and path.isprintable()
        and not set(path) & set('\\:*?"<>|')
    )
