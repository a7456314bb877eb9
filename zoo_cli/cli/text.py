"""Text for a terminal: foreign text made harmless, columns counted as a terminal shows them.

Pure. Everything that came from outside (names, pages, headers, other programs' output) passes `printable` before it
is shown. Width follows Unicode's East Asian Width (UAX 11): wide and fullwidth letters take two cells.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from zoo_cli.plaintext import printable, without_passwords

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_OURS = re.compile(r"(\x1b\[(?:[01]|3[1-6])m|\n|\t)")  # what lines of zoo's own are made of
_WORKFLOW = re.compile(r"^(\s*)::(?=\S)", re.MULTILINE)  # GitHub: a command at the beginning of a line
_LOGGING = re.compile(r"##(?=vso\[|\[)", re.IGNORECASE)  # Azure, older runners of GitHub: anywhere
_JSON_UNSAFE = re.compile("[\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")


def harmless(text: str) -> str:
    """What is about to be shown, with zoo's own colours and line ends kept and nothing that a reader could obey.

    The last gate, behind `printable`: no control sequence, and no line that a CI system takes for a command
    (`::set-env`, `##vso[`; GitHub's workflow commands, Azure's logging commands). Nor is a password in an address.
    """
    text = without_passwords(text)
    if not text.isprintable():
        text = "".join(part if _OURS.fullmatch(part) else printable(part, len(part)) for part in _OURS.split(text))
    if "::" in text:
        text = _WORKFLOW.sub(r"\1: :", text)
    return _LOGGING.sub("# #", text) if "##" in text else text


def harmless_json(text: str) -> str:
    """A JSON document that says the same in letters that no terminal, log or CI system obeys."""
    text = _JSON_UNSAFE.sub(lambda hit: f"\\u{ord(hit[0]):04x}", without_passwords(text))
    return _LOGGING.sub(r"\\u0023#", text) if "##" in text else text


def width(text: str) -> int:
    """Cells that the text takes in a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def pad(text: str, cells: int, *, right: bool = False) -> str:
    """The text filled with blanks to so many cells, at the left when `right` is asked."""
    blanks = " " * (cells - width(text))
    return blanks + text if right else text + blanks


def columns(rows: Iterable[Sequence[str]], *, right: frozenset[int] = frozenset(), gap: str = "  ") -> list[str]:
    """Rows as aligned lines without boxes; columns in `right` are set flush right, the last is never padded."""
    table = [tuple(printable(cell) for cell in row) for row in rows]
    if not table:
        return []
    widths = [max(width(row[index]) for row in table) for index in range(len(table[0]))]
    return [
        gap.join(pad(cell, widths[index], right=index in right) for index, cell in enumerate(row)).rstrip()
        for row in table
    ]


def human_bytes(size: int | None) -> str:
    """A size in decimal units: 94 MB, 2.2 GB; "?" when unknown."""
    if size is None:
        return "?"
    value, unit = float(size), "B"
    for following in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, following
    return f"{value:.0f} {unit}" if unit == "B" or value >= 9.95 else f"{value:.1f} {unit}"
