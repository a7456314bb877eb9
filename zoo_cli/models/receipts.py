"""Receipts: what a download put where, from what, and what that rests on, as one JSON file beside the files.

Pure. A receipt names its files relative to its own directory, by plain names only, so it can be moved with them and
never leads elsewhere. It is read as strictly as anything foreign: by the time it is read again it may be anybody's.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.transfer.hashes import BadDigest, parse_sha256
from zoo_cli.trust.archive import name_problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SCHEMA = 1
SUFFIX = ".zoo.json"
MAX_BYTES = 4_000_000
_MAX_FILES = 1000
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a letter, which JSON can hold and no file
_ROLES = ("config", "checkpoint", "log")


class BadReceipt(ZooError):
    """A file is called like a receipt and is none that this version of zoo reads."""

    code = "bad-receipt"
    exit_code = ExitCode.INTEGRITY

    path: str
    problem: str


@dataclass(frozen=True, slots=True)
class ReceiptFile:
    """One file: its name beside the receipt, what it was when it came, and from where.

    `evidence` is what its identity rested on then: for checkpoints and logs as in `hashes.Evidence`, for configs as in
    `release.Release`. `url` is the address that delivered it, None when it was there already; `upstream` the one in
    the index. `scan` is what the scanner said of a checkpoint, with its allow list and what the user trusted. With the
    evidence `signed`, `signer` is the name of the trusted root and `verified` the time its signatures were verified.
    """

    path: str
    role: str  # config | checkpoint | log
    size_bytes: int
    sha256: str
    evidence: str
    url: str | None = None
    upstream: str | None = None
    scan: str | None = None
    signer: str | None = None
    verified: str | None = None


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """What a flattened config was made of."""

    wheel: str
    wheel_sha256: str
    path: str  # in the release
    files: tuple[str, ...]
    imports: tuple[str, ...]  # what whoever loads it will import


@dataclass(frozen=True, slots=True)
class Receipt:
    """All that one model or backbone brought."""

    asked_as: str
    name: str  # upstream's; the alias of a backbone
    package: str | None  # None: a backbone
    release: str | None
    index_date: str  # the newest day of the facts it was chosen by
    date: str  # of the download, UTC
    zoo: str
    files: tuple[ReceiptFile, ...]
    config: ConfigSource | None = None
    links: tuple[str, ...] = ()  # names in caches of others, absolute
    bundle: str | None = None  # sha256 of the bundle it came from
    schema: int = field(default=SCHEMA)

    @property
    def is_of(self) -> tuple[str, str | None, str | None]:
        """What it is a receipt of."""
        return (self.name, self.package, self.release)


def receipt_text(receipt: Receipt) -> str:
    """The receipt as it stands in its file."""
    document = {key: value for key, value in asdict(receipt).items() if value not in (None, ()) or key == "files"}
    document["files"] = [{key: value for key, value in each.items() if value is not None} for each in document["files"]]
    return json.dumps({"schema": document.pop("schema"), **document}, indent=2, ensure_ascii=False) + "\n"


def merged(old: Receipt, new: Receipt) -> Receipt:
    """The new receipt, with what the old one knows of files that are the same or that the new one does not name."""
    before = {each.path: each for each in old.files}
    files = []
    for each in new.files:
        known = before.pop(each.path, None)
        files.append(_better(known, each) if known and known.sha256 == each.sha256 else each)
    order = {role: number for number, role in enumerate(_ROLES)}
    files = sorted((*files, *before.values()), key=lambda each: (order[each.role], each.path))
    links = tuple(sorted({*old.links, *new.links}))
    both = replace(new, files=tuple(files), links=links, config=new.config or old.config)
    # What says the same as before is the receipt of before: its day is the day it came.
    same = replace(both, date=old.date, index_date=old.index_date, zoo=old.zoo, asked_as=old.asked_as)
    return old if same == old else both


def _better(known: ReceiptFile, new: ReceiptFile) -> ReceiptFile:
    """What was known of a file, with a signature that came to it since."""
    if new.signer is None or known.signer is not None:
        return known
    return replace(known, evidence=new.evidence, signer=new.signer, verified=new.verified)


def without(receipt: Receipt, paths: Iterable[str], links: Iterable[str] = ()) -> Receipt:
    """The receipt without these files and links."""
    gone, unlinked = set(paths), set(links)
    return replace(
        receipt,
        files=tuple(each for each in receipt.files if each.path not in gone),
        links=tuple(each for each in receipt.links if each not in unlinked),
    )


# -- reading ---------------------------------------------------------------------------------------------------------


def read_receipt(body: bytes, path: str) -> Receipt:
    """The receipt in a file.

    Raises:
        BadReceipt: It is damaged, of another version, or names what a receipt may not name.
    """
    if len(body) > MAX_BYTES:
        raise BadReceipt(path, f"it is larger than {MAX_BYTES} bytes")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise BadReceipt(path, "it is no JSON") from exc
    return receipt_of(document, path)


def receipt_of(document: object, path: str) -> Receipt:
    """The receipt in a JSON value; see `read_receipt`."""
    reader = _Reader(path)
    fields = reader.mapping(document, "the receipt")
    if fields.get("schema") != SCHEMA:
        raise BadReceipt(path, f"its schema is {str(fields.get('schema'))[:20]!r}; this zoo reads {SCHEMA}")
    files = tuple(reader.file(each) for each in reader.items(fields.get("files"), "files"))
    if len({each.path.casefold() for each in files}) < len(files):
        raise BadReceipt(path, "it names a file twice")
    return Receipt(
        asked_as=reader.text(fields, "asked_as"),
        name=reader.text(fields, "name"),
        package=reader.maybe(fields, "package"),
        release=reader.maybe(fields, "release"),
        index_date=reader.text(fields, "index_date"),
        date=reader.text(fields, "date"),
        zoo=reader.text(fields, "zoo"),
        files=files,
        config=reader.config(fields["config"]) if "config" in fields else None,
        links=reader.texts(fields, "links"),
        bundle=reader.maybe(fields, "bundle"),
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Takes values out of a foreign document, or says what is wrong with it."""

    path: str

    def mapping(self, value: object, what: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise BadReceipt(self.path, f"{what} is no mapping")
        return value

    def items(self, value: object, what: str) -> list[Any]:
        if not isinstance(value, list) or len(value) > _MAX_FILES:
            raise BadReceipt(self.path, f"{what} is no list, or too long")
        return value

    def text(self, fields: Mapping[str, object], key: str) -> str:
        value = fields.get(key)
        if not isinstance(value, str) or not 0 < len(value) < 5000 or _SURROGATE.search(value):
            raise BadReceipt(self.path, f"{key} is no text, or too long")
        return value

    def maybe(self, fields: Mapping[str, object], key: str) -> str | None:
        return self.text(fields, key) if fields.get(key) is not None else None

    def texts(self, fields: Mapping[str, object], key: str) -> tuple[str, ...]:
        listed = self.items(fields.get(key, []), key)
        return tuple(self.text({key: each}, key) for each in listed)

    def digest(self, fields: Mapping[str, object], key: str) -> str:
        try:
            return parse_sha256(self.text(fields, key))
        except BadDigest as exc:
            raise BadReceipt(self.path, f"{key} is no SHA-256") from exc

    def file(self, value: object) -> ReceiptFile:
        fields = self.mapping(value, "a file")
        name, role, size = self.text(fields, "path"), self.text(fields, "role"), fields.get("size_bytes")
        if problem := name_problem(name):
            raise BadReceipt(self.path, f"the file name {name[:100]!r} {problem}")
        if "/" in name or name.startswith("."):
            raise BadReceipt(self.path, f"the file name {name[:100]!r} is no plain name beside the receipt")
        if role not in _ROLES or not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise BadReceipt(self.path, f"role or size of {name[:100]!r} is none")
        return ReceiptFile(
            name, role, size, self.digest(fields, "sha256"), self.text(fields, "evidence"),
            self.maybe(fields, "url"), self.maybe(fields, "upstream"), self.maybe(fields, "scan"),
            self.maybe(fields, "signer"), self.maybe(fields, "verified"),
        )  # fmt: skip

    def config(self, value: object) -> ConfigSource:
        fields = self.mapping(value, "config")
        return ConfigSource(
            self.text(fields, "wheel"), self.digest(fields, "wheel_sha256"), self.text(fields, "path"),
            self.texts(fields, "files"), self.texts(fields, "imports"),
        )  # fmt: skip


def receipt_name(stem: str) -> str:
    """The name of a receipt's file."""
    return re.sub(r"\.zoo\.json$", "", stem)[:190] + SUFFIX
