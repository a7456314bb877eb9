"""What the inspection of a wheel found, remembered by the wheel's digest, so that the same bytes are looked into once.

Edge: small files in the cache, `inspected/<32 hex digits>`, and a key in the state directory. Rules:

- A record is of exactly these bytes (SHA-256), this file name (it is compared with the content) and this inspection:
  the text of the modules that inspect is part of it, so a changed zoo or another Python looks again.
- It has facts of the wheel only. Whether a wheel can work in a target is judged from them each time (`arrivals`).
- A wheel that must not be installed is not remembered: refusing is always done on the file itself.
- A record is believed only with the mark (keyed BLAKE2b, RFC 7693) of the user's own key. So nobody else can say of a
  wheel that it was found sound: not the other users of a shared cache, nor whoever gets a file into it or moves one.
  The name of a record follows from the key, too. Who can read the key is the user, and needs no lie.
- What is damaged, foreign or too large is not there, and a cache or key that cannot be written is no fault: the wheel
  is inspected.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import zlib
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_cli.atomic import write_whole
from zoo_cli.trust.torchsymbols import TORCH_LIBRARY
from zoo_cli.trust.wheel import Extension, Problem, UnreadableWheel, WheelReport, inspect_wheel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo_cli.trust.elf import Elf

FOLDER = "inspected"
KEY = "inspection.key"  # in the state directory
MAX_RECORDS = 500
MAX_BYTES = 8 << 20  # of one record; that of torch has some 300 kB, of other wheels a few
_MAX_TEXT = 256 << 20  # bytes of a record unpacked
_KEY_BYTES, _MARK_BYTES = 32, 32
_INSPECTORS = ("wheel", "archive", "binary", "bounded", "elf", "fatbin", "macho", "pe", "torchsymbols", "inspected")


class Inspections:
    """The records of one user in one cache directory; neither need exist yet."""

    def __init__(self, cache: Path, state: Path) -> None:
        """`state` is the user's own directory, where the key is."""
        self._cache, self._state = cache, state

    def report(self, path: Path, sha256: str) -> WheelReport:
        """What a wheel is: remembered of the same bytes, else found by reading it whole.

        Args:
            path: the file; its name counts.
            sha256: of its bytes, as they were verified a moment ago.

        Returns:
            The report, of whose symbols those alone are there that a torch and its extensions share.

        Raises:
            UnreadableWheel: As `inspect_wheel`; or the file is not of that digest any more.
        """
        key = own_key(self._state)
        identity = json.dumps([sha256, path.name, sys.version, _inspection()]).encode()
        place = self._cache / FOLDER / _name(key, identity) if key else None
        if key and place and (kept := _recall(place, key, identity, path)):
            return kept
        found = inspect_wheel(path)
        if found.sha256 != sha256:
            raise UnreadableWheel(str(path), "it changed while it was read")
        found = _abridged(found)
        if key and place and not found.fatal:
            self._remember(place, _sealed(key, identity, _document(found)))
        return found

    def _remember(self, place: Path, record: bytes) -> None:
        from zoo_cli.transfer.store import is_shared

        if len(record) > MAX_BYTES:
            return
        with suppress(OSError):
            if not place.parent.is_dir():
                place.parent.mkdir(parents=True, exist_ok=True)
                if is_shared(self._cache):
                    place.parent.chmod(stat.S_IMODE(self._cache.stat().st_mode))
            _make_room(place.parent)
            write_whole(place, record, 0o600)


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


def _inspection() -> str:
    """The digest of the text of the modules that inspect: nobody has to remember to count a version up."""
    digest = blake2b(digest_size=16)
    for name in _INSPECTORS:
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()


def _name(key: bytes, identity: bytes) -> str:
    return blake2b(identity, key=key, digest_size=16, person=b"zoo wheel name").hexdigest()


def _mark(key: bytes, identity: bytes, packed: bytes) -> bytes:
    digest = blake2b(len(identity).to_bytes(8, "little"), key=key, digest_size=_MARK_BYTES, person=b"zoo wheel mark")
    digest.update(identity)
    digest.update(packed)
    return digest.digest()


def _sealed(key: bytes, identity: bytes, document: dict[str, Any]) -> bytes:
    packed = zlib.compress(json.dumps(document).encode(), 1)
    return _mark(key, identity, packed) + packed


def _recall(place: Path, key: bytes, identity: bytes, path: Path) -> WheelReport | None:
    """The report of a record that is ours; None when it is not there or anything about it is not as it should be."""
    from hmac import compare_digest

    try:
        with place.open("rb") as file:
            record = file.read(MAX_BYTES + 1)
        mark, packed = record[:_MARK_BYTES], record[_MARK_BYTES:]
        if len(record) > MAX_BYTES or not compare_digest(mark, _mark(key, identity, packed)):
            return None
        report = _report(json.loads(zlib.decompressobj().decompress(packed, _MAX_TEXT)), path)
        os.utime(place)  # used now, for `zoo cache prune` and for making room
    except (OSError, ValueError, LookupError, TypeError, zlib.error, RecursionError):
        return None
    return report


def _make_room(folder: Path) -> None:
    """Removes the records that were used longest ago, so that with one more there are no more than allowed."""
    times = []
    for each in folder.glob("[0-9a-f]*"):
        with suppress(OSError):
            times.append((each.stat().st_mtime, each))
    for _time, each in sorted(times)[: -(MAX_RECORDS - 1)]:
        with suppress(OSError):
            each.unlink()


def _abridged(report: WheelReport) -> WheelReport:
    """The report with the symbols alone that judging asks for: torch's own, offered by its libraries, needed by all."""
    return replace(report, extensions=tuple(map(_short, report.extensions)))


def _short(extension: Extension) -> Extension:
    from zoo_cli.trust.elf import torch_symbols

    elf = extension.elf
    if elf is None:
        return extension
    offers = TORCH_LIBRARY.match(extension.path.rpartition("/")[2])
    defined = torch_symbols(elf.defined) if offers else frozenset[str]()
    short = elf._replace(undefined=elf.torch_symbols, defined=defined)
    return replace(extension, binary=extension.binary._replace(elf=short))


def _document(report: WheelReport) -> dict[str, Any]:
    """The facts of a report as JSON can have them."""
    return {
        "name": report.name,
        "version": report.version,
        "tags": report.tags,
        "root_is_purelib": report.root_is_purelib,
        "requires": report.requires,
        "requires_python": report.requires_python,
        "extensions": [[each.path, each.binary._replace(elf=_lists(each.elf))] for each in report.extensions],
        "problems": [[each.code, each.detail, each.is_fatal] for each in report.problems],
        "sha256": report.sha256,
        "size_bytes": report.size_bytes,
    }


def _lists(elf: Elf | None) -> Any:
    return [sorted(part) if isinstance(part, frozenset) else part for part in elf] if elf else None


def _report(document: dict[str, Any], path: Path) -> WheelReport:
    """The report again.

    Raises:
        ValueError, LookupError, TypeError: The document is of another form.
    """
    values = {name: tuple(document[name]) for name in ("tags", "requires")}
    extensions = tuple(_extension(place, binary) for place, binary in document["extensions"])
    problems = tuple(Problem(*each) for each in document["problems"])
    return WheelReport(**{**document, **values, "path": path, "extensions": extensions, "problems": problems})


def _extension(path: str, values: Sequence[Any]) -> Extension:
    from zoo_cli.trust.binary import Binary
    from zoo_cli.trust.elf import Elf
    from zoo_cli.trust.fatbin import code_from

    kind, machines, needed, elf, code, problem = values
    symbols = Elf(elf[0], tuple(elf[1]), elf[2], *map(frozenset, elf[3:])) if elf else None
    return Extension(
        path, Binary(kind, tuple(machines), tuple(needed), symbols, code_from(code) if code else None, problem)
    )
