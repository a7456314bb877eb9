"""Archives from strangers: which entry names are harmless, and unpacking an sdist without being led out of its folder.

Edge: `unpack_sdist` writes files. The rules: no absolute path, drive, `..`, backslash, control character, device name,
trailing dot or space; no two names that one file system would merge (case, Unicode normal form); regular files and
directories only; bounded count, size and ratio. `tarfile`'s own "data" filter is not relied on: it is escaped on
Python 3.11.7 by a farm of links longer than PATH_MAX, so links are refused altogether.
"""

from __future__ import annotations

import lzma
import re
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from typing import TYPE_CHECKING

from zoo_cli.errors import ExitCode, ZooError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import IO

MAX_ENTRIES = 100_000
MAX_SDIST = 2 << 30  # bytes unpacked
DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError,
    NotImplementedError, OverflowError, RuntimeError, ValueError, IndexError,
)  # fmt: skip
"""All that zipfile and tarfile raise for damaged and hostile archives.

RuntimeError: an encrypted member; NotImplementedError: an unknown compression; ValueError: an offset before the file's
beginning, a name with a NUL; IndexError: an entry without a name.
"""
_CHUNK = 1 << 20
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?\Z", re.IGNORECASE)


class UnsafeArchive(ZooError):
    """An archive that would do more than put files into its own folder, or is no archive at all."""

    code = "unsafe-archive"
    exit_code = ExitCode.INTEGRITY

    archive: str
    member: str
    reason: str


def name_problem(name: str) -> str | None:
    """Why an entry name is refused, or None for a harmless one."""
    if not name or len(name) > 1000:
        return "is empty" if not name else "is too long"
    if "\\" in name or re.search(r"[\x00-\x1f\x7f]", name):
        return "has a backslash or a control character"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "is absolute"
    for part in name.rstrip("/").split("/"):
        if part in ("", ".", ".."):
            return f"has the part {part!r}"
        if part.endswith((".", " ")) or _DEVICE.match(part):
            return "is not a file name on every system"
    return None


def collisions(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of different or equal names that one file system would put in one place."""
    seen: dict[str, str] = {}
    found = []
    for name in names:
        key = unicodedata.normalize("NFC", name.rstrip("/")).casefold()
        if key in seen:
            found.append((seen[key], name))
        seen.setdefault(key, name)
    return found


def is_tar(beginning: bytes) -> bool:
    """Whether `tarfile` would read the first 512 bytes as a member's header, with or without a magic number."""
    try:
        tarfile.TarInfo.frombuf(beginning[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except tarfile.TarError:
        return beginning[257:262] == b"ustar"
    return True


def unpack_sdist(archive: Path, directory: Path) -> Path:
    """Unpacks a `.tar.gz` sdist into an existing directory and returns its one top folder.

    Raises:
        UnsafeArchive: an entry breaks the rules above, or the archive cannot be read.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            tops = _unpack(tar, archive.name, directory)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as exc:
        raise UnsafeArchive(archive.name, "", f"cannot be read: {exc}") from exc
    if len(tops) != 1:
        raise UnsafeArchive(archive.name, "", f"has {len(tops)} top folders; an sdist has one")
    return directory / tops.pop()


def _unpack(tar: tarfile.TarFile, name: str, directory: Path) -> set[str]:
    seen: dict[str, str] = {}
    total = 0
    tops: set[str] = set()
    for entry in tar:
        _check_entry(entry, name, seen)
        total += entry.size
        if total > MAX_SDIST:
            raise UnsafeArchive(name, entry.name, f"unpacks to more than {MAX_SDIST} bytes")
        tops.add(entry.name.split("/")[0])
        place = directory / entry.name
        if entry.isdir():
            place.mkdir(parents=True, exist_ok=True)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        source = tar.extractfile(entry)
        if source is not None:
            with source, place.open("xb") as target:
                copy(source, target)
            place.chmod(0o755 if entry.mode & 0o100 else 0o644)
    return tops


def _check_entry(entry: tarfile.TarInfo, archive: str, seen: dict[str, str]) -> None:
    if not (entry.isreg() or entry.isdir()):
        raise UnsafeArchive(archive, entry.name, "is a link or a special file")
    if problem := name_problem(entry.name):
        raise UnsafeArchive(archive, entry.name, problem)
    key = unicodedata.normalize("NFC", entry.name.rstrip("/")).casefold()
    other = seen.setdefault(key, entry.name)
    if len(seen) > MAX_ENTRIES:
        raise UnsafeArchive(archive, entry.name, f"has more than {MAX_ENTRIES} entries")
    if other is not entry.name and not (entry.isdir() and other.rstrip("/") == entry.name.rstrip("/")):
        raise UnsafeArchive(archive, entry.name, f"is the same place as {other}")


def copy(source: IO[bytes], target: IO[bytes]) -> None:
    """Copies to the end in pieces."""
    while chunk := source.read(_CHUNK):
        target.write(chunk)
