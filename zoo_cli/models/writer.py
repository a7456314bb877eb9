"""A flat config as a Python file that people read and compare: the law is `load(write(settings)) == settings`.

Pure. One assignment a top-level key, sorted as mmengine's dump sorts them; inside, the order of the config. A value
that fits stands on one line, else one item a line with a trailing comma, so that a change of one item is a change of
one line; long lists of plain numbers are filled. The same settings give the same bytes, on every machine and day.
mmengine reads the file to the equal dict: strings that it would take for path or base variables are written in two
adjoining pieces.
"""

from __future__ import annotations

import itertools
import keyword
import math
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo_cli.errors import ZooError
from zoo_cli.models.bounded import SCALARS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zoo_cli.models.configs import Flat

_READABLE = 88  # columns up to which a value stays on one line
_WIDTH = 120  # columns up to which numbers are filled
_VARIABLE = re.compile(r"\{(?=\{\s*(?:file[A-Z]\w*|_base_\.[\w.]+)\s*\}\})")
_ANY_VARIABLE = re.compile(_VARIABLE.pattern + r"|\{(?=\{['\"]?\s*\$)")
_OWN_NAMES = frozenset({"dict", "set", "frozenset", "range", "float"})  # names that the file itself calls
_LOGGING = re.compile(r"##(?=vso\[|\[)", re.IGNORECASE)  # of Azure and older runners of GitHub, anywhere in a line


class CannotWrite(ZooError):
    """The settings hold something that a config file cannot say."""

    code = "config-not-writable"

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Header:
    """What the first lines say of a file's origin; no time and no path of a machine, so that it stays the same."""

    name: str  # the model or config asked for
    release: str  # mmdet 3.3.0
    files: tuple[str, ...]  # the config's files, bases first
    zoo: str  # the version of zoo


def write_flat(flat: Flat, header: Header | None = None) -> str:
    """The text of a flattened config; see `write_config`. Braces in a new-style config are text and stay text."""
    return write_config(flat.settings, header, keep_environment=not flat.new_style)


def write_config(settings: Mapping[str, Any], header: Header | None = None, *, keep_environment: bool = True) -> str:
    """The text of a config file with these settings, in UTF-8 and with a newline at its end.

    `keep_environment` leaves `{{$NAME:default}}` in strings to mmengine, which fills it in; else it is text, too.

    Raises:
        CannotWrite: A key is no name, or a value has no literal.
    """
    style = _Style(braces="dict" in settings, variable=_VARIABLE if keep_environment else _ANY_VARIABLE)
    lines = [*(f"# {line}" for line in header_lines(header)), ""] if header else []
    for key in sorted(settings, key=lambda name: (name in _OWN_NAMES, str(name))):
        _check_name(key)
        if key in _OWN_NAMES:
            style.taken.add(key)
        try:
            lines.append(f"{key} = " + style.written(settings[key], len(key) + 3, 0))
        except (_NoLiteral, RecursionError) as error:
            raise CannotWrite(key, str(error)[:200]) from error
    return "\n".join(lines) + "\n"


def write_value(value: Any, column: int = 0, readable: int = _READABLE) -> str:
    """One value as source, its first line to be shown behind so many columns, its lines within so many where it can.

    Raises:
        CannotWrite: It has no literal.
    """
    try:
        return _Style(braces=False, variable=_VARIABLE, readable=readable).written(value, column, 0)
    except (_NoLiteral, RecursionError) as error:
        raise CannotWrite("", str(error)[:200]) from error


class _NoLiteral(Exception):
    """A value that has no literal form."""


def header_lines(header: Header) -> list[str]:
    """The lines of comment at the top of a file, without their signs."""
    origin = f"{header.name}, flattened by zoo {header.zoo} from {header.release}; nothing was executed."
    made = ["Made from, bases first:", *(f"  {file}" for file in header.files)] if header.files else []
    return [_comment(line) for line in (origin, *made)]


def _comment(text: str) -> str:
    """The text as it can stand in a comment: one line, and no declaration of an encoding (PEP 263)."""
    return re.sub(r"coding(?=[:=])", "coding ", text if text.isprintable() else ascii(text))


def _check_name(key: object) -> None:
    if not isinstance(key, str) or not key.isidentifier() or keyword.iskeyword(key):
        raise CannotWrite(str(key)[:80], "a top-level key must be a Python name")
    if key.startswith("__") or key in ("_base_", "_deprecation_") or unicodedata.normalize("NFKC", key) != key:
        raise CannotWrite(key, "a config's loader drops or changes a key of this name")


def _is_argument(key: object) -> bool:
    """Whether the key can stand in `dict(key=...)`."""
    return (
        type(key) is str and key.isascii() and key.isidentifier() and not keyword.iskeyword(key) and key != "__debug__"
    )


class _Style:
    """How values are written; `braces` where the name `dict` means something else in this file."""

    def __init__(self, *, braces: bool, variable: re.Pattern[str], readable: int = _READABLE) -> None:
        self.braces = braces
        self.readable = readable
        self.filled = _WIDTH if readable == _READABLE else readable
        self.variable = variable
        self.taken: set[str] = set()

    def written(self, value: Any, column: int, indent: int) -> str:
        """The value as source, beginning in that column; later lines are indented from `indent`."""
        flat = self._flat(value, self.readable - column)
        if flat is not None:
            return flat
        if isinstance(value, dict):
            return self._dict_lines(value, indent)
        if isinstance(value, list | tuple):
            return self._list_lines(value, indent)
        return self._scalar(value)

    def _flat(self, value: Any, room: int) -> str | None:
        """The value on one line, or None when it does not fit the room."""
        if room < 2:
            return None
        if isinstance(value, dict):
            parts, (start, end) = self._dict_parts(value, room), self._brackets(value)
        elif isinstance(value, list | tuple):
            parts = self._flat_parts(value, room)
            start, end = "[]" if isinstance(value, list) else "()"
            if isinstance(value, tuple) and len(value) == 1:
                end = ",)"
        else:
            text = self._scalar(value)
            return text if len(text) <= room else None
        if parts is None:
            return None
        text = start + ", ".join(parts) + end
        return text if len(text) <= room else None

    def _flat_parts(self, values: Iterable[Any], room: int) -> list[str] | None:
        parts = []
        for value in values:
            part = self._flat(value, room)
            if part is None:
                return None
            room -= len(part) + 2
            parts.append(part)
        return parts

    def _dict_parts(self, value: dict[Any, Any], room: int) -> list[str] | None:
        named = self._brackets(value)[0] == "dict("
        parts = []
        for key, item in value.items():
            start = f"{key}=" if named else f"{self._scalar(key)}: "
            part = self._flat(item, room - len(start))
            if part is None:
                return None
            room -= len(start) + len(part) + 2
            parts.append(start + part)
        return parts

    def _brackets(self, value: dict[Any, Any]) -> tuple[str, str]:
        named = bool(value) and not self.braces and all(map(_is_argument, value))
        return ("dict(", ")") if named else ("{", "}")

    def _dict_lines(self, value: dict[Any, Any], indent: int) -> str:
        start, end = self._brackets(value)
        inner = indent + 4
        lines = []
        for key, item in value.items():
            name = f"{key}=" if start == "dict(" else f"{self._scalar(key)}: "
            lines.append(f"{' ' * inner}{name}{self.written(item, inner + len(name) + 1, inner)},")
        return "\n".join([start, *lines, " " * indent + end])

    def _list_lines(self, value: list[Any] | tuple[Any, ...], indent: int) -> str:
        start, end = "[]" if isinstance(value, list) else "()"
        inner = indent + 4
        if len(value) > 1 and all(type(item) in (int, float, bool) for item in value):
            lines = self._filled([self._scalar(item) for item in value], inner)
        else:
            lines = [f"{' ' * inner}{self.written(item, inner + 1, inner)}," for item in value]
        return "\n".join([start, *lines, " " * indent + end])

    def _filled(self, items: list[str], indent: int) -> list[str]:
        lines = [" " * indent]
        for item in items:
            if len(lines[-1]) + len(item) + 1 > self.filled and lines[-1].strip():
                lines[-1] = lines[-1].rstrip()
                lines.append(" " * indent)
            lines[-1] += item + ", "
        lines[-1] = lines[-1].rstrip()
        return lines

    def _scalar(self, value: Any) -> str:
        """A value without items of its own to break at: numbers, strings, sets, ranges."""
        kind = type(value)
        if kind is str:
            return _text(value, self.variable)
        if kind is float and not math.isfinite(value):
            return self._call("float", repr(str(value)))
        if kind is bytes and b"{{" in value:
            raise _NoLiteral("bytes with {{ cannot be kept from mmengine's variables")
        if kind in SCALARS:
            return repr(value)
        if kind is tuple:  # as a key
            return "(" + ", ".join(map(self._scalar, value)) + (",)" if len(value) == 1 else ")")
        if kind in (set, frozenset):
            items = "{" + ", ".join(sorted(map(self._scalar, value))) + "}" if value else ""
            return items if value and kind is set else self._call(kind.__name__, items)
        if kind is range:
            return self._call("range", f"{value.start}, {value.stop}, {value.step}")
        raise _NoLiteral(f"a {kind.__name__} has no literal")

    def _call(self, name: str, arguments: str) -> str:
        if name in self.taken:
            raise _NoLiteral(f"the key {name} hides the function {name}()")
        return f"{name}({arguments})"


def _text(value: str, variable: re.Pattern[str]) -> str:
    """A string literal; broken up where mmengine would fill in `{{ fileDirname }}`, or a CI system obey `##vso[`."""
    marks = [
        *(found.end() for found in variable.finditer(value)),
        *(each.start() + 1 for each in _LOGGING.finditer(value)),
    ]
    cuts = [0, *sorted(marks), len(value)]
    return " ".join(repr(value[start:end]) for start, end in itertools.pairwise(cuts)) if len(cuts) > 2 else repr(value)
