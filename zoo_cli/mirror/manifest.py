"""The manifest of a mirror: every file of its tree with digest, size and upstream address.

Pure. A tree repeats upstream's addresses (`https://host/a/b.whl` is `host/a/b.whl` in it), so one rule, `https://` to
the mirror, leads everything there. The manifest is `mirror.json`; what is not named in it is not the mirror's: it is
neither verified nor ever removed. The same files give the same bytes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.transfer.addresses import parse_address, redacted

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "mirror.json"
VERSION = 1
MAX_BYTES = 64 << 20
INDEX = "index/zoo.db"
_OURS = (NAME, "index/", "simple/", "wheels/", "sha256/")  # what a tree has besides hosts
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_MAX_PATH = 1000


class BadMirror(ZooError):
    """A place is no mirror that `zoo mirror sync` made, or its manifest is damaged."""

    code = "bad-mirror"
    exit_code = ExitCode.USAGE

    place: str
    problem: str
    is_damaged: bool = True  # False: there is no manifest


class NotMirrorable(ZooError):
    """An address that has no place in a tree."""

    code = "not-mirrorable"

    url: str
    reason: str


class Held(NamedTuple):
    """One file of a mirror.

    `kind`: checkpoint | log | release (the file with a package's configs) | wheel | metadata (of a wheel, PEP 658) |
    page | index.
    """

    path: str  # below the root, decoded: "download.openmmlab.com/mmdetection/.../x.pth"
    kind: str
    sha256: str
    size_bytes: int
    upstream: str = ""  # the address it came from
    requires_python: str = ""  # of a wheel, as its METADATA says
    pages: bool = False  # a wheel that upstream lists on a page of its directory

    @property
    def name(self) -> str:
        """The file name."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Manifest:
    """What a mirror holds.

    Attributes:
        files: By path.
        pending: Paths that a sync which did not end may have left: the mirror's own, and not to be relied on.
        index_date: The day of the facts in its index.
    """

    files: Mapping[str, Held] = field(default_factory=dict)
    pending: tuple[str, ...] = ()
    index_date: str = ""

    @property
    def size_bytes(self) -> int:
        """All files together, each digest once."""
        return sum({each.sha256: each.size_bytes for each in self.files.values()}.values())

    def to_bytes(self) -> bytes:
        """The manifest as it is written."""
        rows = [_row(self.files[path]) for path in sorted(self.files)]
        document = {"zoo-mirror": VERSION, "index-date": self.index_date, "pending": sorted(self.pending)}
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        return f'{json.dumps(document, ensure_ascii=False)[:-1]}, "files": [\n{lines}\n]}}\n'.encode()


def _row(held: Held) -> dict[str, Any]:
    row: dict[str, Any] = {
        "path": held.path, "kind": held.kind, "sha256": held.sha256, "size": held.size_bytes,
        "upstream": held.upstream, "requires-python": held.requires_python, "pages": held.pages,
    }  # fmt: skip
    return {name: value for name, value in row.items() if value not in ("", False)}


def read_manifest(body: bytes, place: str) -> Manifest:
    """The manifest in these bytes; foreign text, so every path in it is checked.

    Raises:
        BadMirror: They are no manifest of a version that is known here.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise BadMirror(place, f"its {NAME} is no JSON") from exc
    if not isinstance(document, dict) or document.get("zoo-mirror") != VERSION:
        raise BadMirror(place, f"its {NAME} is not of version {VERSION}, the only one known here")
    rows, pending = document.get("files"), document.get("pending", [])
    if not isinstance(rows, list) or not isinstance(pending, list) or not all(map(_is_place, pending)):
        raise BadMirror(place, f"its {NAME} has no list of files")
    files = [_held(row, place) for row in rows]
    date = document.get("index-date")
    return Manifest({each.path: each for each in files}, tuple(pending), date if isinstance(date, str) else "")


def _held(row: object, place: str) -> Held:
    if isinstance(row, dict) and _is_place(row.get("path")):
        texts = [row.get(name, "") for name in ("path", "kind", "sha256", "upstream", "requires-python")]
        size = row.get("size", 0)
        if all(isinstance(text, str) for text in texts) and _SHA256.match(texts[2]) and type(size) is int and size >= 0:
            path, kind, sha256, upstream, python = texts
            return Held(path, kind, sha256, size, upstream, python, row.get("pages") is True)
    raise BadMirror(place, f"a file in its {NAME} has no safe path, no digest or no size")


def _is_place(path: object) -> bool:
    """Whether a path stays below the root, and names no hidden file and not the manifest."""
    if not isinstance(path, str) or not 0 < len(path) <= _MAX_PATH or not path.isprintable() or path == NAME:
        return False
    return "\\" not in path and all(part and not part.startswith(".") for part in path.split("/"))


def place_of_url(url: str) -> str:
    """Where the file of an address stands in a tree: host and path, decoded, without its query.

    Raises:
        NotMirrorable: It is no http or https address, or its path would leave the tree.
        BadAddress: It cannot be read.
    """
    address = parse_address(url)
    path = address.authority + unquote(urlsplit(address.url).path)
    if not _is_place(path) or any(path == each or path.startswith(each) for each in _OURS):
        raise NotMirrorable(redacted(url[:300]), "its path has no place in a tree of files")
    return path
