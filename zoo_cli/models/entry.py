"""One mapping of a metafile, read by key with tolerance and a note for every deviation.

Pure. `Entry.text("Config")` gives a text or None and never raises; what is of another kind, stands under another
spelling of the key, or is too long, becomes an issue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_cli.models.measures import quantity
from zoo_cli.models.records import Issue, Paper

if TYPE_CHECKING:
    from zoo_cli.models.safe_yaml import Value

LONGEST_TEXT = 2000
MOST_ITEMS = 200


class Notes:
    """The issues of one entry, collected while it is read."""

    def __init__(self, at: str, subject: str = "") -> None:
        self.at = at
        self.subject = subject
        self.issues: list[Issue] = []

    def add(self, kind: str, detail: str, *, blocks: bool = False) -> None:
        """Records one oddity of this entry."""
        self.issues.append(Issue(kind, self.at, self.subject, detail[:LONGEST_TEXT], blocks))


class Entry:
    """A mapping of the document, and the keys of it that were asked for."""

    def __init__(self, value: dict[str, Value], notes: Notes) -> None:
        self._value = value
        self._used: set[str] = set()
        self._notes = notes

    def has(self, key: str) -> bool:
        """Whether exactly this key is there."""
        return key in self._value

    def get(self, key: str, *spellings: str) -> Value:
        """The value under `key`, or under another spelling or case of it (then an issue says so)."""
        if key in self._value:
            self._used.add(key)
            return self._value[key]
        wanted = {key.casefold(), *(each.casefold() for each in spellings)}
        for found, value in self._value.items():
            if found.casefold() in wanted and found not in self._used:
                self._used.add(found)
                self._notes.add("odd-key", f"{found!r} read as {key!r}")
                return value
        return None

    def text(self, key: str, *spellings: str) -> str | None:
        """One line of text; a number is written out."""
        value = self.get(key, *spellings)
        if value is None or value == "":
            return None
        if isinstance(value, (dict, list)):
            self._notes.add("odd-value", f"{key}: expected a text, found a {type(value).__name__}")
            return None
        return self._short(key, " ".join(str(value).split()))

    def texts(self, key: str, *spellings: str) -> tuple[str, ...]:
        """Texts, from one text or a sequence of them."""
        value = self.get(key, *spellings)
        items = value if isinstance(value, list) else [value]
        if len(items) > MOST_ITEMS:
            self._notes.add("odd-value", f"{key}: {len(items)} items, the first {MOST_ITEMS} kept")
        found: list[str] = []
        for item in items[:MOST_ITEMS]:
            if isinstance(item, (dict, list)):
                self._notes.add("odd-value", f"{key}: expected texts, found a {type(item).__name__}")
            elif item is not None and str(item).strip():
                found.append(self._short(key, str(item).strip()))
        return tuple(found)

    def entry(self, key: str, *spellings: str) -> Entry:
        """The mapping under a key; an empty one when there is none."""
        value = self.get(key, *spellings)
        if value is not None and not isinstance(value, dict):
            self._notes.add("odd-value", f"{key}: expected a mapping, found a {type(value).__name__}")
        return Entry(value if isinstance(value, dict) else {}, self._notes)

    def number(self, key: str, *spellings: str) -> float | None:
        """A quantity; a text such as `24.3M` is read and noted."""
        raw = self.get(key, *spellings)
        if raw is None or raw == "":
            return None
        value = quantity(raw)
        if value is None:
            self._notes.add("not-a-number", f"{key}: {str(raw)[:60]!r}")
        elif isinstance(raw, str):
            self._notes.add("number-as-text", f"{key}: {raw!r} read as {value:g}")
        return value

    def paper(self, key: str) -> Paper | None:
        """A publication, from a mapping with URL and Title, or from an address or title alone; the first of several."""
        value = self._value.get(key)
        if isinstance(value, dict):
            inner = self.entry(key)
            paper = Paper(inner.text("Title"), inner.text("URL"))
        else:
            all_of_them = self.texts(key) if isinstance(value, list) else ()
            if len(all_of_them) > 1:
                self._notes.add("several-papers", f"the first is taken; the others: {', '.join(all_of_them[1:])}")
            alone = next(iter(all_of_them), None) if isinstance(value, list) else self.text(key)
            is_address = alone is not None and alone.startswith(("http://", "https://"))
            paper = Paper(None if is_address else alone, alone if is_address else None)
        return paper if paper != Paper() else None

    def address(self, key: str) -> str | None:
        """An address, from a mapping with URL or a text alone."""
        return self.entry(key).text("URL") if isinstance(self._value.get(key), dict) else self.text(key)

    def rest(self) -> dict[str, object]:
        """What was not asked for."""
        return {key: value for key, value in self._value.items() if key not in self._used}

    def _short(self, key: str, text: str) -> str:
        if len(text) > LONGEST_TEXT:
            self._notes.add("odd-value", f"{key}: {len(text)} characters, cut")
        return text[:LONGEST_TEXT]
