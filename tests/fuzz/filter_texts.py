"""Texts for the filter fuzzer: the grammar with mistakes, SQL and other languages mixed in, and mutations of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_cli.catalog.filters import FIELDS, OPERATORS

if TYPE_CHECKING:
    import random

METRICS = ("box_AP", "box AP", "'box AP'", "mask_AP", "mIoU", "BOX_ap", "boxAP", "no_such")
_NAMES = (*(name for field in FIELDS for name in (field.name, *field.aliases)), *METRICS)
VALUES = (
    "*ha_r5*", "'*ta-l?is'", "*a?LPHA-R50*",
    "COCO", "'LVIS v1'", '"Object Detection"', "alpha*", "'*[a-z]?*'", "[", "50", "-1", "1e3", "30M", "1e999", "nan",
    "0x10", "50%", "yes", "no", "2.0", "ADE20K", "''", "*" * 20, "*a" * 20, "1" * 40, "\U0001f600",
    "\u212a\u0130\u0131",
)  # fmt: skip
HOSTILE = (
    "\uac80\ucd9c \ubaa8\ub378", "\u76ee\u6807\u68c0\u6d4b", "alhpa_r50",
    "alpha r50 coco", "beta-LVIS", "AND", "NOT", "NEAR(a b)", "name:x", "a*",
    "'; DROP TABLE model; --", "1=1", "x' OR '1'='1", "UNION SELECT * FROM model", "--", "/*", "*/", ";", "?", "?1",
    ":name", "@x", "$x", "%s", "{0}", "\\", "\x00", "\x1b[31m", "\u202e", "\ud800", "NULL", "rowid", "sqlite_master",
    "load_extension('x')", "randomblob(1e9)", "zq7x", "\u00a0", "\u2028", "\t", "\n",
)  # fmt: skip
GLUE = (" and ", " or ", " not ", ", ", " & ", " && ", " || ", "(", ")", " in ", " in (", "'", '"', " ", "not(", ")(")
WORDS = tuple(dict.fromkeys((*_NAMES, *OPERATORS, "==", "=<", ">>", *(v for v in VALUES if v), *GLUE, *HOSTILE[:20])))


def a_comparison(chance: random.Random) -> str:
    """One comparison, right more often than wrong."""
    field = chance.choice(_NAMES)
    kind = chance.random()
    if kind < 0.1:
        return field
    if kind < 0.25:
        return f"{field} in ({', '.join(chance.choice(VALUES) for _ in range(chance.randint(1, 4)))})"
    blank = chance.choice(("", " "))
    return f"{field}{blank}{chance.choice((*OPERATORS[:-1], '=='))}{blank}{chance.choice(VALUES)}"


def a_text(chance: random.Random, depth: int = 0) -> str:
    """A filter of the grammar, sometimes with something foreign in it."""
    kind = chance.random()
    if kind < 0.4 or depth > 6:
        text = a_comparison(chance)
    elif kind < 0.5:
        text = f"not {a_text(chance, depth + 1)}"
    elif kind < 0.6:
        text = f"({a_text(chance, depth + 1)})"
    else:
        parts = [a_text(chance, depth + 1) for _ in range(chance.randint(2, 3))]
        text = chance.choice((" and ", " or ", ", ", " AND ", " && ")).join(parts)
    return mutated(chance, text) if chance.random() < 0.05 else text


def mutated(chance: random.Random, text: str) -> str:
    """The text with one to three things cut out, put in, doubled or repeated."""
    for _ in range(chance.randint(1, 3)):
        start = chance.randint(0, len(text))
        end = min(len(text), start + chance.randint(0, 8))
        kind = chance.randrange(6)
        if kind == 0:
            text = text[:start] + text[end:]
        elif kind == 1:
            text = text[:start] + chance.choice(WORDS) + text[start:]
        elif kind == 2:
            text = text[:start] + chance.choice(HOSTILE) + text[end:]
        elif kind == 3:
            text = text[:start] + text[start:end] * chance.choice((2, 3, 50)) + text[end:]
        elif kind == 4:
            text = text[:start] + chr(chance.choice((chance.randrange(128), chance.randrange(0x3000)))) + text[end:]
        else:
            text = f"{text}{chance.choice(GLUE)}{a_comparison(chance)}"
        text = text[:2100]
    return text
