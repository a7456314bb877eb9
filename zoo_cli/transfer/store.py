"""The cache: files under their SHA-256, so second use costs no bytes.

Edge: files and the environment. Layout `sha256/ab/<64 hex>`, files read-only (0444). A file is placed by reflink or
hard link where the file system has them, else by copy; the same digest is never stored twice. What is taken out is
checked by size and time of change against what was put in, and hashed again when they differ.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.errors import ZooError
from zoo_cli.transfer.failures import DestinationUnusable, NoSpace
from zoo_cli.transfer.hashes import Sha256, parse_sha256

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(eq=False)
class CacheUnusable(ZooError):
    """The cache directory cannot be used."""

    code = "cache-unusable"

    path: str
    reason: str


def cache_directory(environ: Mapping[str, str] | None = None) -> Path:
    """The cache directory, made if missing: ZOO_CACHE, else XDG_CACHE_HOME/zoo, else ~/.cache/zoo.

    Raises:
        CacheUnusable: It cannot be made or written.
    """
    values = os.environ if environ is None else environ
    named, base = values.get("ZOO_CACHE"), values.get("XDG_CACHE_HOME")
    try:
        path = Path(named) if named else (Path(base) if base else Path("~/.cache").expanduser()) / "zoo"
        path = path.absolute()
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):  # os.access does not know read-only file systems
            pass
    except (OSError, RuntimeError) as exc:  # RuntimeError: there is no home directory
        shown = named or base or "~/.cache/zoo"
        raise CacheUnusable(shown, getattr(exc, "strerror", None) or str(exc)) from exc
    return path


def state_directory(environ: Mapping[str, str] | None = None) -> Path:
    """Where zoo keeps what it cannot make again (ZOO_STATE, else XDG_STATE_HOME/zoo, else ~/.local/state/zoo).

    Not made here.
    """
    values = os.environ if environ is None else environ
    if named := values.get("ZOO_STATE"):
        return Path(named).absolute()
    base = values.get("XDG_STATE_HOME")
    return (Path(base) if base else Path(values.get("HOME", "~")).expanduser() / ".local" / "state") / "zoo"


class Store:
    """Files by digest under one directory, usually `Store(cache_directory())`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path_of(self, sha256: Sha256) -> Path:
        """Where a file of that digest is, or would be."""
        digest = parse_sha256(sha256)  # no text from elsewhere becomes a path unread
        return self.root / "sha256" / digest[:2] / digest

    def get(self, sha256: Sha256) -> Path | None:
        """The stored file, or None. One that was changed since it was stored is removed."""
        path = self.path_of(sha256)
        try:
            about = path.lstat()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise CacheUnusable(str(path), exc.strerror or str(exc)) from exc
        if path.is_file() and not path.is_symlink() and not about.st_mode & 0o222:
            return path
        return path if self._is_right(path, sha256) else None

    def _is_right(self, path: Path, sha256: Sha256) -> bool:
        """Hashes a file whose mode is not ours: somebody may have written to it."""
        from zoo_cli.transfer.fetch import digest_of

        try:
            if not path.is_symlink() and digest_of(path)[1] == sha256:
                path.chmod(0o444)
                return True
            path.unlink()
        except OSError as exc:
            raise CacheUnusable(str(path), exc.strerror or str(exc)) from exc
        return False

    def put(self, path: Path, sha256: Sha256) -> Path:
        """Stores a verified file (linked if possible) and gives its path in the store; the file itself stays.

        Raises:
            CacheUnusable: The cache cannot be written.
        """
        found = self.get(sha256)
        if found:
            return found
        target = self.path_of(sha256)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            # A hard link would let whoever edits the file edit the store: the store has its own copy or reflink.
            _copy_into(path, target, mode=0o444)
        except OSError as exc:
            raise CacheUnusable(str(target), exc.strerror or str(exc)) from exc
        return target

    def place(self, sha256: Sha256, destination: Path, *, link: bool = False) -> bool:
        """Puts the stored file at the destination, replacing what is there; False when it is not stored.

        Args:
            sha256: Which file.
            destination: The final path.
            link: Allow a hard link: no bytes, but the file stays read-only. Else a reflink or a copy.

        Raises:
            DestinationUnusable, NoSpace: The destination cannot be written.
        """
        stored = self.get(sha256)
        if stored is None:
            return False
        try:
            _copy_into(stored, destination, mode=0o644, link=link)
        except OSError as exc:
            if exc.errno == errno.ENOSPC:
                free = shutil.disk_usage(destination.parent).free
                raise NoSpace(str(destination), stored.stat().st_size, free) from exc
            raise DestinationUnusable(str(destination), exc.strerror or str(exc)) from exc
        return True


def _copy_into(source: Path, target: Path, *, mode: int, link: bool = False) -> None:
    """Makes the target whole at once: under a temporary name, then renamed."""
    fd, name = tempfile.mkstemp(prefix=f".{target.name[:80]}.", suffix=".zoo-new", dir=target.parent)
    new = Path(name)
    try:
        with os.fdopen(fd, "wb") as file, source.open("rb") as original:
            is_linked = link and _linked(source, new)
            if not is_linked and not _reflink(original.fileno(), file.fileno()):
                shutil.copyfileobj(original, file, 1 << 20)
        if not is_linked:
            new.chmod(mode)
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)


def _linked(source: Path, new: Path) -> bool:
    """Makes `new` a hard link in place of the empty file; False on another file system."""
    beside = new.with_name(new.name + "-link")
    try:
        os.link(source, beside)
    except OSError:
        return False
    beside.replace(new)
    return True


def _reflink(source: int, target: int) -> bool:
    """Shares the blocks where the file system can (btrfs, XFS): Linux's FICLONE."""
    try:
        import fcntl

        fcntl.ioctl(target, 0x40049409, source)
    except (ImportError, OSError):
        return False
    return True
