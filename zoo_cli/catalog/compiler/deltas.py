"""Documents of models as text, and a release told by what it has that the one before has not.

Pure. A document is a mapping of `schema`, `release` and the lists `collections`, `models` and `issues`; its text holds
one record a line. The document of a release whose project has an older one is mostly written as a delta: `like` names
the older release with the SHA-256 of its whole text, `moved` the lines of metafiles that other lines pushed on,
`without` what is gone; the lists hold what is new or changed. `expanded` undoes `shortened` exactly (docs/adr/0010).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Document: TypeAlias = "dict[str, Any]"
Record: TypeAlias = "dict[str, Any]"
Steps: TypeAlias = "list[list[int]]"  # [line, shift]: from this line of the older release on, lines move by shift

SECTIONS = ("collections", "models", "issues")
_LINE = re.compile(r":([1-9]\d*)$")


def text_of(document: Document) -> str:
    """The document as it stands in the index: valid JSON, each record on a line of its own."""
    return "{\n" + ",\n".join(f'"{key}": {_block(value, key)}' for key, value in document.items()) + "\n}\n"


def _block(value: object, key: str) -> str:
    if key in SECTIONS and isinstance(value, list) and value:
        return "[\n" + ",\n".join(map(_one_line, value)) + "\n]"
    if key in ("moved", "without") and isinstance(value, dict) and value:
        return "{\n" + ",\n".join(f"{_one_line(each)}: {_one_line(value[each])}" for each in value) + "\n}"
    return _one_line(value)


def _one_line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def digest_of(document: Document) -> str:
    """SHA-256 of the text of a whole document."""
    return hashlib.sha256(text_of(document).encode()).hexdigest()


def place_of(at: str) -> tuple[str, int]:
    """Metafile and line of a record's `at`; the line is 0 where it has none."""
    found = _LINE.search(at)
    return (at[: found.start()], int(found[1])) if found else (at, 0)


def shortened(document: Document, base: Document) -> Document:
    """The document as a delta of the older one; itself where that is no shorter."""
    steps = _Steps()
    lists: dict[str, list[Record]] = {}
    gone: dict[str, list[str]] = {}
    for section in SECTIONS:
        before, now = _grouped(base[section], section), _grouped(document[section], section)
        same = {key for key, records in now.items() if steps.lead(before.get(key, []), records)}
        lists[section] = [each for each in document[section] if _key(each, section) not in same]
        if missing := [key for key in before if key not in now]:
            gone[section] = missing
    delta = {
        "schema": document["schema"],
        "like": {"version": base["release"]["version"], "sha256": digest_of(base)},
        "release": document["release"],
        "moved": steps.shown(),
        "without": gone,
        **lists,
    }
    is_better = len(text_of(delta)) < len(text_of(document)) and expanded(delta, base) == document
    return delta if is_better else document


def expanded(delta: Document, base: Document) -> Document:
    """The whole document that a delta of this older one stands for."""
    whole = {"schema": delta["schema"], "release": delta["release"]}
    for section in SECTIONS:
        groups = _grouped(base[section], section)
        new = _grouped(delta[section], section)
        gone = {*delta["without"].get(section, ()), *new}
        kept = [_moved(each, delta["moved"]) for key, group in groups.items() if key not in gone for each in group]
        whole[section] = sorted([*kept, *delta[section]], key=_ORDER[section])
    return whole


def _key(record: Record, section: str) -> str:
    """What makes a record the same one in the next release, if it says the same; not its line, not its number."""
    if section == "models":
        return str(record["name"])
    path = place_of(record["at"])[0]
    if section == "collections":
        return f"{record['name']} in {path}"
    return f"{record['kind']} in {path}: {record.get('subject', '')}: {record['detail']}"


def _grouped(records: Iterable[Record], section: str) -> dict[str, list[Record]]:
    groups: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[_key(record, section)].append(record)
    return groups


# As `zoo index build` sorts them.
_ORDER: dict[str, Callable[[Record], tuple[Any, ...]]] = {
    "collections": lambda each: (each["name"], each["at"]),
    "models": lambda each: (each["name"], each.get("ordinal", 1)),
    "issues": lambda each: (*place_of(each["at"]), each["kind"], each["detail"], each.get("subject", "")),
}


def _moved(record: Record, moved: Mapping[str, Steps]) -> Record:
    path, line = place_of(record["at"])
    shift = next((by for start, by in reversed(moved.get(path, [])) if line >= start), 0)
    return {**record, "at": f"{path}:{line + shift}"} if shift else record


class _Steps:
    """By how much the lines of each metafile move, as far as is known from the records that stayed the same."""

    def __init__(self) -> None:
        self._shifts: defaultdict[str, dict[int, int]] = defaultdict(dict)

    def lead(self, before: list[Record], now: list[Record]) -> bool:
        """Whether records are the same but for lines that move as those of other records of the metafile do."""
        if len(before) != len(now):
            return False
        found: list[tuple[str, int, int]] = []
        for old, new in zip(before, now, strict=True):
            path, line = place_of(old["at"])
            new_path, new_line = place_of(new["at"])
            shift = new_line - line
            is_line_lost = bool(line) != bool(new_line)
            if path != new_path or is_line_lost or old != {**new, "at": old["at"]}:
                return False
            if self._shifts[path].get(line, shift) != shift:
                return False
            found.append((path, line, shift))
        for path, line, shift in found:
            self._shifts[path][line] = shift
        return True

    def shown(self) -> dict[str, Steps]:
        moved: dict[str, Steps] = {}
        for path, shifts in sorted(self._shifts.items()):
            before = 0
            for line, shift in sorted(shifts.items()):
                if shift != before:
                    moved.setdefault(path, []).append([line, shift])
                before = shift
        return moved
