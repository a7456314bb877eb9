"""The store: verified files under their SHA-256, so that second use costs no bytes.

Edge: files, owners and the clock. Layout `sha256/ab/<64 hex digits>`; `sha256/notes-<user>` tells what files are
called, a line for each: a file of its own took more time and room than most of what it told of. A file is sealed when
the disk has it: read-only, with a time of change that could hardly come about by itself (its sub-second part follows
from digest and size). Who edits a sealed file breaks the seal, so a look at size, time, mode and owner tells whether
it must be hashed again. That needs no clock that goes forward and no database: a crash can only leave a file unsealed.
Two processes never write one file: `part.Part` is the lock.

A store that cannot be written still serves what it has. In a shared cache (see `is_shared`) files of other users are
hashed on every use.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256 as new_digest
from typing import TYPE_CHECKING, Literal, NamedTuple, cast, get_args

from zoo_cli.directories import cache_path
from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.transfer.hashes import BadDigest, Sha256, parse_sha256

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from zoo_cli.transfer.part import Part
    from zoo_cli.transfer.settings import Settings

Linking = Literal["auto", "copy"]
"""How files leave the store. auto: shared blocks, else a hard link, else a copy. copy: shared blocks, else a copy."""

LINKINGS: tuple[str, ...] = get_args(Linking)
FOLDER = "sha256"
_NOTE_BYTES = 64 * 1024  # the longest line
_SEAL_STEP = 100  # nanoseconds: as fine as NTFS and SMB keep them


class BadLinking(ZooError):
    """ZOO_LINK is none of the known words."""

    code = "bad-link-setting"
    exit_code = ExitCode.USAGE

    text: str
    known: tuple[str, ...]


class Stored(NamedTuple):
    """A file that is in the store, as it is now; only a sealed one is right without being read."""

    path: Path
    about: os.stat_result
    is_sealed: bool


class Store:
    """Files by digest under one cache directory, which need not exist yet."""

    def __init__(self, root: Path, linking: Linking = "auto") -> None:
        self.root = root
        self.linking = linking
        self._linked: set[Path] = set()  # directories that took a hard link of ours in this run
        self._notes = root / FOLDER / f"notes-{os.getuid() if hasattr(os, 'getuid') else 0}"

    def path_of(self, sha256: Sha256) -> Path:
        """Where a file of that digest is, or would be."""
        return _path_of(self.root, sha256)

    def look(self, sha256: Sha256) -> Stored | None:
        """The stored file, unread; None when there is none or it cannot be read."""
        path = self.path_of(sha256)
        try:
            about = path.lstat()
        except OSError:
            return None
        if not stat.S_ISREG(about.st_mode) or not os.access(path, os.R_OK):
            return None
        return Stored(path, about, is_sealed(about, sha256))

    def get(self, sha256: Sha256) -> Path | None:
        """The stored file, read again if its seal is broken; what is damaged is removed."""
        stored = self.look(sha256)
        if stored is None:
            return None
        if not stored.is_sealed:
            try:
                _size, digest = digest_of(stored.path)
            except OSError:
                return None
            if digest != sha256:
                self.discard(sha256)
                return None
            self.seal(stored, sha256)
        self.touch(stored)
        return stored.path

    def is_same(self, sha256: Sha256, about: os.stat_result) -> bool:
        """Whether a file is the sealed one itself, by a hard link: then it need not be read."""
        stored = self.look(sha256)
        return stored is not None and stored.is_sealed and os.path.samestat(stored.about, about)

    def prepare(self, sha256: Sha256) -> Path:
        """Makes the directories for a file, and gives its path.

        Raises:
            OSError: They cannot be made.
        """
        path = self.path_of(sha256)
        self.make_directory(path.parent)
        return path

    def make_directory(self, folder: Path) -> None:
        """Makes a directory and those above it; below a group's cache with its mode, whatever the umask is.

        Raises:
            OSError: They cannot be made.
        """
        if folder.is_dir():
            return
        if self.root not in folder.parents:
            folder.mkdir(parents=True, exist_ok=True)
            return
        self.make_directory(folder.parent)
        folder.mkdir(exist_ok=True)
        if is_shared(self.root):
            with suppress(PermissionError):  # another user made it at this moment
                folder.chmod(stat.S_IMODE(self.root.stat().st_mode))

    def place(self, stored: Stored, part: Part, *, replace: bool, settings: Settings) -> bool:
        """Gives the destination of a part a sealed file without copying its bytes.

        Returns:
            False: neither shared blocks nor a hard link are possible there; nothing was done.
        """
        if _share_blocks(stored.path, part):
            done = part.publish(replace=replace, sync=settings.sync, sync_name=settings.sync_names)
        else:
            sync = settings.sync and settings.sync_names
            done = self.linking == "auto" and part.publish_link(stored.path, replace=replace, sync=sync)
            if done:
                self._linked.add(part.destination.parent)
        return done

    def may_link(self, destination: Path) -> bool:
        """Whether a hard link is how a file gets there, as far as this run has seen; then `link` needs no part file."""
        return destination.parent in self._linked

    @staticmethod
    def link(stored: Stored, destination: Path) -> bool:
        """Gives a sealed file its final name by a hard link, which replaces nothing.

        Returns:
            False: it cannot, or something is there.
        """
        try:
            os.link(stored.path, destination, follow_symlinks=False)
        except OSError:
            return False
        return True

    def adopt(self, part: Part, sha256: Sha256, *, sync: bool) -> None:
        """Stores the verified bytes of a part that is about to get its final name elsewhere.

        Raises:
            OSError, DestinationUnusable, NoSpace: The store cannot take it; the part is as it was.
        """
        from zoo_cli.transfer.part import Part

        if self.look(sha256) is not None:
            return
        target = self.prepare(sha256)
        if sync:
            part.sync()
        with Part(target, lambda: None, wait_seconds=0.0) as kept:  # who has the lock is storing the same file
            if self.look(sha256) is not None:
                return
            if not _share_blocks(part.path, kept):
                if self.linking == "auto" and _link(part.path, target):
                    self._seal_opened(part.fd, sha256, part.size_bytes, time.time_ns(), sync=sync)
                    return
                kept.restart()
                part.read_again(kept.write)
            kept.publish(replace=False, sync=sync, sync_name=False)
            self._seal_opened(kept.fd, sha256, kept.size_bytes, time.time_ns(), sync=sync)

    def publish(self, part: Part, sha256: Sha256, *, sync: bool) -> Stored:
        """Gives a verified part, whose destination is in the store, its name there.

        The disk has the bytes before (`sync`). It gets the name when it likes: a crash of the machine that takes the
        name leaves the part file, which is whole, or another name of the same file.
        """
        part.publish(replace=True, sync=sync, sync_name=False)
        self._seal_opened(part.fd, sha256, part.size_bytes, time.time_ns(), sync=sync)
        about = os.fstat(part.fd)
        return Stored(part.destination, about, is_sealed(about, sha256))

    def note(self, sha256: Sha256, name: str, url: str) -> None:
        """Remembers what a file was called and where it came from, for people who list the cache."""
        import json

        about = {"sha256": sha256, "name": name, "url": url, "stored": int(time.time())}
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        with suppress(OSError):
            fd = os.open(self._notes, flags, 0o666)
            try:  # one write, into which no other comes; the break is first: what a full disk cut off ends there
                os.write(fd, f"\n{json.dumps(about)}".encode())
            finally:
                os.close(fd)

    def noted(self) -> dict[str, dict[str, object]]:
        """What `note` remembered of each digest, the first time; lines that are damaged are left out."""
        found: dict[str, dict[str, object]] = {}
        for path in sorted((self.root / FOLDER).glob("notes-*")):
            for note in _read_notes(path):
                found.setdefault(str(note.get("sha256")), note)
        return found

    def trim_notes(self) -> None:
        """Forgets what this user noted of files that are not there any more."""
        import json

        from zoo_cli.atomic import write_whole

        notes = list(_read_notes(self._notes))
        kept = [each for each in notes if _is_there(self.root, str(each.get("sha256")))]
        with suppress(OSError):
            if not kept:
                self._notes.unlink(missing_ok=True)
            elif len(kept) < len(notes):
                write_whole(self._notes, "".join(f"\n{json.dumps(each)}" for each in kept).encode())

    def touch(self, stored: Stored) -> None:
        """Records that a file was used now, for `cache.prune`; the time of access is ours, whatever the mount says."""
        with suppress(OSError):  # a read-only cache, or another user's file
            os.utime(stored.path, ns=(time.time_ns(), stored.path.lstat().st_mtime_ns), follow_symlinks=False)

    def seal(self, stored: Stored, sha256: Sha256) -> None:
        """Seals a file whose bytes were found right, unless it changed since `stored` was made."""
        with suppress(OSError):
            fd = os.open(stored.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0))
            try:
                now = os.fstat(fd)
                if (now.st_ino, now.st_mtime_ns, now.st_size) == (
                    stored.about.st_ino,
                    stored.about.st_mtime_ns,
                    stored.about.st_size,
                ):
                    os.fsync(fd)
                    self._seal_opened(fd, sha256, now.st_size, now.st_mtime_ns, sync=True)
            finally:
                os.close(fd)

    @staticmethod
    def _seal_opened(fd: int, sha256: Sha256, size_bytes: int, changed_ns: int, *, sync: bool) -> None:
        """Makes a file read-only and, if the disk has its bytes, gives it the time that says so."""
        with suppress(OSError, NotImplementedError):
            os.fchmod(fd, 0o444)
            if sync:
                sealed_ns = changed_ns - changed_ns % 10**9 + _seal_of(sha256, size_bytes)
                os.utime(fd, ns=(time.time_ns(), sealed_ns))

    def discard(self, sha256: Sha256) -> None:
        """Removes a file; another user's file in a shared cache stays."""
        with suppress(OSError):
            self.path_of(sha256).unlink()


def users_store(environ: Mapping[str, str] | None = None) -> Store:
    """The store in the user's cache directory, whether or not that is there and can be written.

    Raises:
        BadLinking: ZOO_LINK is none of auto and copy.
    """
    linking = (os.environ if environ is None else environ).get("ZOO_LINK") or "auto"
    if linking not in LINKINGS:
        raise BadLinking(linking[:100], LINKINGS)
    return Store(cache_path(environ), cast("Linking", linking))


@lru_cache(maxsize=256)  # a transfer asks several times
def _path_of(root: Path, sha256: str) -> Path:
    digest = parse_sha256(sha256)  # no text from elsewhere becomes a path unread
    return root / f"{FOLDER}/{digest[:2]}/{digest}"


def _read_notes(path: Path) -> Iterator[dict[str, object]]:
    import json

    with suppress(OSError), path.open("rb") as file:
        while line := file.readline(_NOTE_BYTES):
            with suppress(ValueError, RecursionError):
                value = json.loads(line)
                if isinstance(value, dict):
                    yield value


def _is_there(root: Path, digest: str) -> bool:
    try:
        return os.path.lexists(_path_of(root, digest))
    except BadDigest:
        return False


def digest_of(path: Path) -> tuple[int, Sha256]:
    """Size and SHA-256 of a file, read once.

    Raises:
        OSError: It cannot be read.
    """
    digest, size = new_digest(), 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
    return size, Sha256(digest.hexdigest())


def is_shared(root: Path) -> bool:
    """Whether a cache directory is meant for a group: its mode has the group's write and set-group-ID bits (2775).

    With the sticky bit too (3775) nobody removes what others stored.
    """
    try:
        mode = root.stat().st_mode
    except OSError:
        return False
    return bool(mode & stat.S_IWGRP and mode & stat.S_ISGID)


def is_sealed(about: os.stat_result, sha256: Sha256) -> bool:
    """Whether a file is as the store left it: ours or root's, read-only, and with the seal in its time of change."""
    ours = not hasattr(os, "getuid") or about.st_uid in (os.getuid(), 0)
    is_read_only = not about.st_mode & 0o222
    return ours and is_read_only and about.st_mtime_ns % 10**9 == _seal_of(sha256, about.st_size)


def _seal_of(sha256: Sha256, size_bytes: int) -> int:
    """The nanoseconds within the second that a sealed file has."""
    return (int(sha256[:12], 16) + size_bytes) % (10**9 // _SEAL_STEP) * _SEAL_STEP


def _share_blocks(source: Path, part: Part) -> bool:
    """Makes a part a copy that shares its blocks with a file, where the file system can (btrfs, XFS: FICLONE)."""
    try:
        import fcntl

        fd = os.open(source, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except (ImportError, OSError):
        return False
    try:
        fcntl.ioctl(part.fd, 0x40049409, fd)  # FICLONE, linux/fs.h
    except OSError:
        return False
    finally:
        os.close(fd)
    part.filled(os.fstat(part.fd).st_size)
    return True


def _link(source: Path, target: Path) -> bool:
    """A hard link under a new name; False where there can be none."""
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        return True
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EROFS):
            raise
        return False
    return True
