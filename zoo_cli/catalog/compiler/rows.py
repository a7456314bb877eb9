"""Rows of the index as strict, typed values: nothing unknown passes, nothing needed is missing.

Pure. A `Row` is one mapping of a source file. Every key must be asked for exactly as the schema has it; what is left
over when a row is done, and every value of the wrong form, is a `BrokenRow` that names the file, the line and the row.
All scalars arrive as text (see `sources`), so "1.10" never turns into a number on the way.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn

from zoo_cli.errors import ExitCode, ZooError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EVIDENCE = ("seen", "listed", "reported", "inferred")
PLATFORMS = ("linux_x86_64", "linux_aarch64", "win_amd64", "macos_x86_64", "macos_arm64")

DATE = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
PYTHON_TAG = re.compile(r"cp[23]\d{1,2}t?")
CODE_TARGET = re.compile(r"\d{1,2}\.\d[af]?(\+PTX)?")
SHA256 = re.compile(r"[0-9a-f]{64}")
URL = re.compile(r"https://[^\s<>\"]+")
DRIVER = re.compile(r"\d+(\.\d+)*")

MAX_TEXT = 2000  # characters of one value; the longest real one has a few hundred


class BrokenRow(ZooError):
    """A row of the index that does not follow its schema."""

    code = "broken-row"
    exit_code = ExitCode.FAILED

    file: str  # path inside the index: "compat/torch.yaml"
    line: int  # first line of the row; 0 when it concerns the whole file
    row: str  # the row as a reader would name it: "releases: 2.1.2"
    problem: str


class Record(dict[str, object]):
    """A mapping of a source file that knows the line it starts in."""

    line: int = 0


class Row:
    """One mapping of a source file; each method takes one key, in the form the schema asks for."""

    def __init__(self, data: Record, file: str, path: str = "") -> None:
        self._data = data
        self._taken: set[str] = set()
        self.file = file
        self.path = path

    def broken(self, problem: str) -> NoReturn:
        """Raise BrokenRow for this row."""
        raise BrokenRow(self.file, self._data.line, self.name, problem)

    @property
    def line(self) -> int:
        """Where the row starts in its file."""
        return self._data.line

    @property
    def name(self) -> str:
        """The row for a reader: where it stands and the words that identify it."""
        words = [
            value
            for key in ("id", "project", "name", "version", "op", "cuda", "gpu", "platform", "torch", "variant", "url")
            if isinstance(value := self._data.get(key), str)
        ]
        return f"{self.path}: {' '.join(words)}".rstrip(": ")

    def has(self, key: str) -> bool:
        """Whether the row has that key; asking does not take it."""
        return key in self._data

    def _take(self, key: str, kind: type) -> object:
        if key not in self._data:
            self.broken(f"{key} is missing")
        self._taken.add(key)
        value = self._data[key]
        if not isinstance(value, kind):
            form = "one value" if kind is str else "a list" if kind is list else "a mapping"
            self.broken(f"{key} must be {form}")
        return value

    def is_row(self, key: str) -> bool:
        """Whether the value of that key is a mapping; asking does not take it."""
        return isinstance(self._data.get(key), Record)

    def names(self) -> tuple[str, ...]:
        """Every key of the row, for mappings whose keys are data; asking does not take them."""
        return tuple(self._data)

    def done(self) -> None:
        """Raises BrokenRow when the row has a key nobody asked for."""
        unknown = sorted(set(self._data) - self._taken)
        if unknown:
            self.broken(f"unknown key {unknown[0]}")

    def text(self, key: str, pattern: re.Pattern[str] | None = None) -> str:
        """A value that is not empty, of that form."""
        value = str(self._take(key, str))
        if not value or len(value) > MAX_TEXT:
            self.broken(f"{key} is empty or longer than {MAX_TEXT} characters")
        if pattern and not pattern.fullmatch(value):
            self.broken(f"{key}: {value[:80]!r} has the wrong form")
        return value

    def text_or_empty(self, key: str) -> str:
        """A value that may be empty but must be there."""
        return str(self._take(key, str))

    def optional(self, key: str, pattern: re.Pattern[str] | None = None) -> str | None:
        """The same, or None when the key is left out."""
        return self.text(key, pattern) if self.has(key) else None

    def choice(self, key: str, allowed: tuple[str, ...]) -> str:
        """One of the words the schema allows."""
        value = self.text(key)
        if value not in allowed:
            self.broken(f"{key}: {value[:80]!r} is none of {', '.join(allowed)}")
        return value

    def flag(self, key: str) -> bool:
        """`true` or `false`; false when left out."""
        return self.has(key) and self.choice(key, ("true", "false")) == "true"

    def texts(self, key: str, pattern: re.Pattern[str] | None = None) -> tuple[str, ...]:
        """A list of values without repetition; a single value stands for a list of one."""
        if isinstance(self._data.get(key), str):
            return (self.text(key, pattern),)
        values = self._take(key, list)
        assert isinstance(values, list)
        for value in values:
            if not isinstance(value, str) or not value or len(value) > MAX_TEXT:
                self.broken(f"{key} must hold plain values")
            if pattern and not pattern.fullmatch(value):
                self.broken(f"{key}: {value[:80]!r} has the wrong form")
        if len(set(values)) != len(values):
            self.broken(f"{key} holds a value twice")
        return tuple(values)

    def mapping(self, key: str, check: Callable[[Row, str], None] | None = None) -> dict[str, str]:
        """A mapping of names to values; empty when the key is left out. `check` sees each value."""
        if not self.has(key):
            return {}
        values = self._take(key, Record)
        assert isinstance(values, Record)
        for name, value in values.items():
            if not isinstance(value, str) or len(value) > MAX_TEXT:
                self.broken(f"{key}: {name} must have one value")
            if check:
                check(self, value)
        return {name: str(value) for name, value in values.items()}

    def row(self, key: str) -> Row:
        """A mapping as a row of its own; the caller calls `done()` on it."""
        value = self._take(key, Record)
        assert isinstance(value, Record)
        return Row(value, self.file, f"{self.path}.{key}".lstrip("."))

    def fields(self, key: str) -> Iterator[tuple[str, Row]]:
        """The mappings in a mapping, by name; each is done when the next one is asked for."""
        outer = self.row(key)
        for name in outer._data:
            inner = outer.row(name)
            yield name, inner
            inner.done()

    def rows(self, key: str) -> Iterator[Row]:
        """The mappings in a list; each is done when the next one is asked for. None when the key is left out."""
        if not self.has(key):
            return
        values = self._take(key, list)
        assert isinstance(values, list)
        for value in values:
            if not isinstance(value, Record):
                self.broken(f"{key} must hold mappings")
            row = Row(value, self.file, key)
            yield row
            row.done()


def specifier(row: Row, text: str) -> None:
    """Check a version specifier (PEP 440); the empty one allows any version."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        row.broken(f"{text[:80]!r} is no version specifier")


def version(row: Row, text: str) -> str:
    """Check a version (PEP 440) and return it."""
    from packaging.version import Version

    try:
        Version(text)
    except ValueError:  # no version, or a number of too many digits
        row.broken(f"{text[:80]!r} is no version")
    return text
