"""Bundles: one file that carries models and an environment to a machine without network.

Edge: the bundle's file, and files that are put in place from it. A bundle is a plain POSIX tar archive that `tar tf`
lists: first `zoo-bundle.json`, then every file it names, once, as `blobs/<sha256>`, sorted. The manifest says which
blob is what; no name from outside is a name in the archive.

Written: no time, owner or machine is in it, so the same input gives the same bytes. Read: the archive must be, header
by header, the one this module would have written for that manifest, with nothing before, between or behind. So there
are no links, no second entry of one name, no trick that two readers see differently; and each blob is hashed on its way
out, under a temporary name, before it gets its final one.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from tarfile import BLOCKSIZE, GNU_FORMAT, TarError, TarInfo
from typing import TYPE_CHECKING, Any

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.transfer.failures import DestinationExists, DestinationUnusable
from zoo_cli.transfer.hashes import BadDigest, Sha256, parse_sha256
from zoo_cli.transfer.part import Part
from zoo_cli.transfer.store import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from typing_extensions import Self

    from zoo_cli.transfer.inspection import Inspector

MANIFEST = "zoo-bundle.json"
SCHEMA = 1
MAX_MANIFEST = 64_000_000  # bytes
MAX_BLOBS = 100_000
MAX_SIZE = 1 << 60  # bytes of one entry; a header can say larger numbers, and not every one
_CHUNK = 1 << 20
_END = bytes(2 * BLOCKSIZE)


class BadBundle(ZooError):
    """A file is no bundle of this version of zoo, is damaged, or holds what a bundle must not hold."""

    code = "bad-bundle"
    exit_code = ExitCode.INTEGRITY

    bundle: str
    problem: str


@dataclass(frozen=True, slots=True)
class Written:
    """A bundle under its final name; `digest` is of its manifest, and so of all it holds."""

    path: Path
    size_bytes: int
    digest: Sha256
    blobs: int


def write_bundle(
    path: Path, sections: Mapping[str, Any], files: Mapping[str, Path], *, replace: bool = False
) -> Written:
    """Writes a bundle, whole or not at all; files of any size are streamed.

    Args:
        path: Where to; its directory exists.
        sections: What the manifest holds beside the list of blobs, as JSON.
        files: Every file by its SHA-256.
        replace: Whether another file there may be replaced.

    Raises:
        BadBundle: A file is not what its digest says: it was changed meanwhile.
        DestinationExists, DestinationUnusable, NoSpace: The destination's side.
    """
    path = path.absolute()
    if path.exists() and not replace:
        raise DestinationExists(str(path), None, digest_of(path)[1] if path.is_file() else "")
    sizes = {digest: file.stat().st_size for digest, file in sorted(files.items())}
    blobs = [{"sha256": digest, "size_bytes": size} for digest, size in sizes.items()]
    manifest = json.dumps({"schema": SCHEMA, **sections, "blobs": blobs}, sort_keys=True, ensure_ascii=False, indent=1)
    body = manifest.encode()
    with Part(path, lambda: None) as part, ExitStack() as cleanup:
        cleanup.callback(part.discard)
        part.restart()
        part.require_space(sum(_rounded(size) + BLOCKSIZE for size in sizes.values()) + len(body))
        _write_entry(part, MANIFEST, len(body), [body])
        for digest, size in sizes.items():
            _write_entry(part, _name(digest), size, _checked(files[digest], digest, str(path)))
        part.write(memoryview(_END))
        total = part.size_bytes
        if not part.publish(replace=replace):
            raise DestinationExists(str(path), None, digest_of(path)[1])
        cleanup.pop_all()
    return Written(path, total, Sha256(sha256(body).hexdigest()), len(blobs))


def _name(digest: str) -> str:
    return f"blobs/{digest}"


def _rounded(size: int) -> int:
    return -(-size // BLOCKSIZE) * BLOCKSIZE


def _header(name: str, size: int) -> bytes:
    """The one header an entry can have; sizes from 8 GiB on are written as GNU tar does."""
    entry = TarInfo(name)
    entry.size = size
    return entry.tobuf(GNU_FORMAT)


def _write_entry(part: Part, name: str, size: int, pieces: Iterator[bytes] | list[bytes]) -> None:
    part.write(memoryview(_header(name, size)))
    for piece in pieces:
        part.write(memoryview(piece))
    part.write(memoryview(bytes(_rounded(size) - size)))


def _checked(file: Path, digest: str, bundle: str) -> Iterator[bytes]:
    """The file in pieces; it must end as the digest says."""
    found = sha256()
    with file.open("rb") as stream:
        while piece := stream.read(_CHUNK):
            found.update(piece)
            yield piece
    if found.hexdigest() != digest:
        raise BadBundle(bundle, f"{file.name} was changed while the bundle was written")


# -- reading ---------------------------------------------------------------------------------------------------------


class Bundle:
    """An open bundle whose frame has been checked: manifest and blobs; a context manager that closes it.

    Attributes:
        manifest: All of it but the list of blobs; still foreign, whoever reads a section checks it.
        digest: SHA-256 of the manifest, and so of everything.
        sizes: The size of each blob by its digest.
    """

    def __init__(self, path: Path) -> None:
        """Opens it and checks its frame without reading the blobs.

        Raises:
            BadBundle: It is none, or not exactly as zoo writes one.
        """
        self.path = path
        try:
            self._file: BinaryIO = path.open("rb")
        except OSError as exc:
            raise BadBundle(str(path), exc.strerror or str(exc)) from exc
        try:
            body = self._read_manifest()
            self.digest = Sha256(sha256(body).hexdigest())
            self.manifest = self._parsed(body)
            self.sizes = self._sizes(self.manifest.pop("blobs", None))
            self._offsets = self._walk(BLOCKSIZE + _rounded(len(body)))
        except OSError as exc:
            self._file.close()
            raise BadBundle(str(path), exc.strerror or str(exc)) from exc
        except BadBundle:
            self._file.close()
            raise

    def _bad(self, problem: str) -> BadBundle:
        return BadBundle(str(self.path), problem)

    def _read_manifest(self) -> bytes:
        first = self._file.read(BLOCKSIZE)
        try:
            size = TarInfo.frombuf(first, "utf-8", "strict").size
        except (TarError, ValueError) as exc:
            raise self._bad("it is no bundle of zoo") from exc
        if not 0 <= size < MAX_SIZE or first != _header(MANIFEST, size):
            raise self._bad("it is no bundle of zoo")
        if size > MAX_MANIFEST:
            raise self._bad(f"its manifest is larger than {MAX_MANIFEST} bytes")
        body = self._file.read(_rounded(size))
        if len(body) < _rounded(size) or any(body[size:]):
            raise self._bad("it ends within its manifest")
        return body[:size]

    def _parsed(self, body: bytes) -> dict[str, Any]:
        try:
            manifest = json.loads(body)
        except (ValueError, RecursionError) as exc:
            raise self._bad("its manifest is no JSON") from exc
        if not isinstance(manifest, dict) or manifest.pop("schema", None) != SCHEMA:
            raise self._bad(f"its manifest is of another version than {SCHEMA}")
        return manifest

    def _sizes(self, blobs: object) -> dict[Sha256, int]:
        if not isinstance(blobs, list) or len(blobs) > MAX_BLOBS:
            raise self._bad("its list of blobs is none, or too long")
        found: dict[Sha256, int] = {}
        for each in blobs:
            size = each.get("size_bytes") if isinstance(each, dict) else None
            if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < MAX_SIZE:
                raise self._bad("a blob has no size")
            try:
                found[parse_sha256(str(each.get("sha256")))] = size
            except BadDigest as exc:
                raise self._bad("a blob has no SHA-256") from exc
        if list(found) != sorted(found) or len(found) < len(blobs):
            raise self._bad("its blobs are not sorted, or one is there twice")
        return found

    def _walk(self, offset: int) -> dict[Sha256, int]:
        """Where each blob begins; every header, and the end, must be exactly as written."""
        offsets: dict[Sha256, int] = {}
        for digest, size in self.sizes.items():
            self._file.seek(offset)
            if self._file.read(BLOCKSIZE) != _header(_name(digest), size):
                raise self._bad(f"blob {digest[:16]}... is not where it must be")
            offsets[digest] = offset + BLOCKSIZE
            offset += BLOCKSIZE + _rounded(size)
        self._file.seek(offset)
        if self._file.read(len(_END) + 1) != _END:
            raise self._bad("it is cut off, or something is behind its end")
        return offsets

    def read(self, digest: str, limit: int) -> bytes:
        """A small blob as bytes.

        Raises:
            BadBundle: There is none, it is larger than the limit, or not what its digest says.
        """
        size = self._size(digest)
        if size > limit:
            raise self._bad(f"blob {digest[:16]}... is larger than {limit} bytes")
        self._file.seek(self._offsets[Sha256(digest)])
        body = self._file.read(size)
        if sha256(body).hexdigest() != digest:
            raise self._bad(f"blob {digest[:16]}... is not what its digest says")
        return body

    def _size(self, digest: str) -> int:
        if digest not in self.sizes:
            raise self._bad(f"it has no blob {digest[:64]!r}")
        return self.sizes[Sha256(digest)]

    def put(self, digest: str, destination: Path, *, replace: bool = False, inspector: Inspector | None = None) -> bool:
        """Puts a blob in place, hashed before it has its final name; False when the right file is there already.

        Raises:
            Refused: The inspector does not let it through.
            BadBundle: There is none, or it is not what its digest says.
            DestinationExists, DestinationUnusable, NoSpace: The destination's side.
        """
        size, destination = self._size(digest), destination.absolute()
        try:
            destination.parent.mkdir(parents=True, exist_ok=True)
            if _is_there(destination, digest, replace=replace):
                if inspector is not None:
                    with destination.open("rb") as there:
                        inspector.whole(there)
                return False
        except OSError as exc:
            raise DestinationUnusable(str(destination), exc.strerror or str(exc)) from exc
        with Part(destination, lambda: None) as part, ExitStack() as cleanup:
            cleanup.callback(part.discard)
            part.restart()
            part.require_space(size)
            found, left = sha256(), size
            self._file.seek(self._offsets[Sha256(digest)])
            while left and (piece := self._file.read(min(left, _CHUNK))):
                found.update(piece)
                part.write(memoryview(piece))
                left -= len(piece)
            if found.hexdigest() != digest:
                raise self._bad(f"blob {digest[:16]}... is not what its digest says")
            if inspector is not None:
                with part.reader() as whole:
                    inspector.whole(whole)
            if not part.publish(replace=replace):
                raise DestinationExists(str(destination), digest, digest_of(destination)[1])
            cleanup.pop_all()
        return True

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def _is_there(destination: Path, digest: str, *, replace: bool) -> bool:
    """Whether the right file is in place.

    Raises:
        DestinationExists: Another one is, and may not be replaced.
        DestinationUnusable: What is there is no plain file.
    """
    if not os.path.lexists(destination):
        return False
    if not destination.is_file():
        raise DestinationUnusable(str(destination), "it is there and is no plain file")
    found = digest_of(destination)[1]
    if found != digest and not replace:
        raise DestinationExists(str(destination), digest, found)
    return found == digest
