"""Records in the cache that are believed only with the mark of the user's own key.

Edge: small files in folders of the cache, and the key in the state directory, which only the user can read. The mark is
keyed BLAKE2b (RFC 7693) over what the record is of and what it says; its name follows from the key, too. So nobody else
can make a record count: not the other users of a shared cache, nor whoever gets a file into it or moves one. Who can
read the key is the user, and needs no lie. What is damaged, foreign or too large is not there, and a cache or key that
cannot be written is no fault: what a record would say is found out again.
"""

from __future__ import annotations

import json
import os
import stat
import zlib
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.atomic import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

KEY = "record.key"  # in the state directory
_KEY_BYTES, _MARK_BYTES = 32, 32


class Records(NamedTuple):
    """The records of one kind and one user; neither directory need exist yet.

    `folder`: of the cache, and what the records are for (at most 16 letters): a record counts in its own folder only.
    `most`: records that are kept; those used longest ago make room. `most_bytes`: of one record, and sixteen times as
    much unpacked. `level`: of packing; 0 where time counts more than room.
    """

    cache: Path
    state: Path
    folder: str
    most: int
    most_bytes: int
    level: int = 1

    def recall(self, identity: Sequence[object]) -> bytes | None:
        """What was remembered of exactly this; None when there is no such record, or it is not as it should be."""
        from hmac import compare_digest

        if not (key := own_key(self.state)):
            return None
        name = _bytes_of(identity)
        place = self._place(key, name)
        try:
            with place.open("rb") as file:
                record = file.read(self.most_bytes + 1)
            mark, packed = record[:_MARK_BYTES], record[_MARK_BYTES:]
            if len(record) > self.most_bytes or not compare_digest(mark, self._mark(key, name, packed)):
                return None
            content = zlib.decompressobj().decompress(packed, self.most_bytes * 16)
            os.utime(place)  # used now, for `zoo cache prune` and for making room
        except (OSError, zlib.error):
            return None
        return content

    def remember(self, identity: Sequence[object], content: bytes) -> None:
        """Keeps what is to be remembered, instead of what was."""
        packed = zlib.compress(content, self.level)
        if len(packed) + _MARK_BYTES > self.most_bytes or not (key := own_key(self.state)):
            return
        name = _bytes_of(identity)
        with suppress(OSError):
            self._prepare()
            self._make_room()
            write_whole(self._place(key, name), self._mark(key, name, packed) + packed, 0o600)

    def _place(self, key: bytes, name: bytes) -> Path:
        digest = blake2b(name, key=key, digest_size=16, person=self.folder.encode(), salt=b"name")
        return self.cache / self.folder / digest.hexdigest()

    def _mark(self, key: bytes, name: bytes, packed: bytes) -> bytes:
        digest = blake2b(key=key, digest_size=_MARK_BYTES, person=self.folder.encode(), salt=b"mark")
        for part in (len(name).to_bytes(8, "little"), name, packed):
            digest.update(part)
        return digest.digest()

    def _prepare(self) -> None:
        from zoo_cli.transfer.store import is_shared

        folder = self.cache / self.folder
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            if is_shared(self.cache):
                folder.chmod(stat.S_IMODE(self.cache.stat().st_mode))

    def _make_room(self) -> None:
        """Removes the records used longest ago, so that with one more there are no more than allowed."""
        times = []
        for each in (self.cache / self.folder).glob("[0-9a-f]*"):
            with suppress(OSError):
                times.append((each.stat().st_mtime, each))
        for _time, each in sorted(times)[: -(self.most - 1)]:
            with suppress(OSError):
                each.unlink()


def _bytes_of(identity: Sequence[object]) -> bytes:
    return json.dumps(identity).encode()


def own_key(state: Path) -> bytes | None:
    """The key of this user, made when there is none that is nobody else's; None where none can be kept."""
    place = state / KEY
    for _ in range(2):  # the second time, the key that was made; another process may have made it
        if key := _read_key(place):
            return key
        try:
            state.mkdir(parents=True, exist_ok=True)
            write_whole(place, os.urandom(_KEY_BYTES), 0o600)
        except OSError:
            return None
    return None


def _read_key(place: Path) -> bytes | None:
    """The key in a file that only this user can read; None when it is missing, cut off, or was open to others."""
    try:
        fd = os.open(place, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        about, key = os.fstat(fd), file.read(_KEY_BYTES + 1)
    is_own = os.name != "posix" or (about.st_uid == os.getuid() and not about.st_mode & 0o077)
    return key if stat.S_ISREG(about.st_mode) and is_own and len(key) == _KEY_BYTES else None
