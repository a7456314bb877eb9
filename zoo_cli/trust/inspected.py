"""What the inspection of a wheel found, remembered by the wheel's digest, so that the same bytes are looked into once.

Edge: reads the text of the modules that inspect. Rules:

- A record is of exactly these bytes (SHA-256), this file name (it is compared with the content) and this inspection:
  the text of the modules that inspect is part of it, so a changed zoo or another Python looks again.
- It has facts of the wheel only. Whether a wheel can work in a target is judged from them each time (`arrivals`).
- A wheel that must not be installed is not remembered: refusing is always done on the file itself.
- It is believed with the user's own mark only (`marked`).
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_cli.trust.marked import Records
from zoo_cli.trust.torchsymbols import TORCH_LIBRARY
from zoo_cli.trust.wheel import UnreadableWheel, inspect_wheel
from zoo_cli.trust.wheelreport import Extension, Problem, WheelReport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo_cli.trust.elf import Elf

FOLDER = "inspected"
MAX_RECORDS = 500
MAX_BYTES = 16 << 20  # of one record; that of torch has some 300 kB, of other wheels a few
_INSPECTORS = (
    "wheel", "wheelreport", "archive", "binary", "bounded", "elf", "fatbin", "macho", "pe", "torchsymbols", "inspected",
)  # fmt: skip


class Inspections:
    """The records of one user in one cache directory; neither need exist yet."""

    def __init__(self, cache: Path, state: Path) -> None:
        """`state` is the user's own directory, where the key is."""
        self._records = Records(cache, state, FOLDER, MAX_RECORDS, MAX_BYTES)

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
        identity = [sha256, path.name, sys.version, _inspection()]
        if kept := _report(self._records.recall(identity), path):
            return kept
        found = inspect_wheel(path)
        if found.sha256 != sha256:
            raise UnreadableWheel(str(path), "it changed while it was read")
        found = _abridged(found)
        if not found.fatal:
            self._records.remember(identity, json.dumps(_document(found)).encode())
        return found


def _inspection() -> str:
    """The digest of the text of the modules that inspect: nobody has to remember to count a version up."""
    digest = blake2b(digest_size=16)
    for name in _INSPECTORS:
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()


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


def _report(record: bytes | None, path: Path) -> WheelReport | None:
    """The report again; None without a record, or of one that another zoo wrote in another form."""
    try:
        document = json.loads(record or b"null")
        values = {name: tuple(document[name]) for name in ("tags", "requires")}
        extensions = tuple(_extension(place, binary) for place, binary in document["extensions"])
        problems = tuple(Problem(*each) for each in document["problems"])
        return WheelReport(**{**document, **values, "path": path, "extensions": extensions, "problems": problems})
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _extension(path: str, values: Sequence[Any]) -> Extension:
    from zoo_cli.trust.binary import Binary
    from zoo_cli.trust.elf import Elf
    from zoo_cli.trust.fatbin import code_from

    kind, machines, needed, elf, code, problem = values
    symbols = Elf(elf[0], tuple(elf[1]), elf[2], *map(frozenset, elf[3:])) if elf else None
    return Extension(
        path, Binary(kind, tuple(machines), tuple(needed), symbols, code_from(code) if code else None, problem)
    )
