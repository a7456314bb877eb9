"""The config tree of a release, read from its wheel where it is: only the members that are needed.

Edge: the network (by HTTP range), the cache directory. A member comes, in this order, from the small files kept by an
earlier run, from the wheel in zoo's store (its SHA-256 was compared), or from the wheel on the package index. Read by
range, a member is checked by its CRC-32 only: damage is found, the wheel's digest is not compared, and `evidence` says
so. What was read is kept, so that the same config works offline. Nothing in a wheel is unpacked or run.
"""

from __future__ import annotations

import os
import posixpath
import zipfile
import zlib
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.transfer.fetch import RemoteFile
from zoo_cli.transfer.hashes import parse_sha256
from zoo_cli.transfer.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from zoo_cli.transfer.settings import Settings

MAX_MEMBERS = 50_000
MAX_MEMBER_BYTES = 1_000_000
MAX_WHEEL_BYTES = 512 * 1024 * 1024
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)


@dataclass(eq=False)
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
        self.evidence = "kept"  # kept | locked (the wheel's SHA-256 was compared) | crc
        self._settings = settings
        self._kept = cache / "configs" / parse_sha256(wheel.sha256) if cache else None
        self._store = Store(cache) if cache else None
        self._open = ExitStack()
        self._archive: zipfile.ZipFile | None = None

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
            found = self._from_wheel(path)
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
        part = target.with_name(f".{target.name[:80]}.{os.getpid()}")
        with suppress(OSError):
            target.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(body)
            part.replace(target)

    def _from_wheel(self, path: str) -> bytes | None:
        archive = self._archive or self._opened()
        try:
            member = archive.getinfo(self.wheel.root + path)
        except KeyError:
            return None
        try:
            with archive.open(member) as file:
                body = file.read(MAX_MEMBER_BYTES + 1)
        except _DAMAGE as exc:
            raise BadWheel(self.wheel.name, path, str(exc)[:200]) from exc
        if len(body) > MAX_MEMBER_BYTES:
            raise BadWheel(self.wheel.name, path, f"it is larger than {MAX_MEMBER_BYTES} bytes")
        return body

    def _opened(self) -> zipfile.ZipFile:
        stored = self._store.get(parse_sha256(self.wheel.sha256)) if self._store else None
        self.evidence = "locked" if stored else "crc"
        addresses: Sequence[str] = (str(stored),) if stored else self.wheel.urls
        remote = self._open.enter_context(RemoteFile(addresses, self._settings, max_bytes=MAX_WHEEL_BYTES))
        try:
            archive = self._open.enter_context(zipfile.ZipFile(cast("BinaryIO", remote)))
        except _DAMAGE as exc:
            raise BadWheel(self.wheel.name, "", str(exc)[:200]) from exc
        if len(archive.namelist()) > MAX_MEMBERS:
            raise BadWheel(self.wheel.name, "", f"it has more than {MAX_MEMBERS} files")
        self._archive = archive
        return archive


def _is_plain(path: str) -> bool:
    """Whether a path stays where it is put: relative, normal, no letter that a file system reads otherwise."""
    return (
        path == posixpath.normpath(path)
        and not path.startswith(("/", ".."))
        and path.isprintable()
        and not set(path) & set('\\:*?"<>|')
    )
