"""Names: how a metric is called in a query, and which known names are really near an unknown one.

Pure. "Really near" is strict on purpose: a wrong suggestion costs more than none. An exact name is its own nearest.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_SEPARATORS = re.compile(r"[-_\s./+]+")
_LONGEST = 200
CUTOFF = 0.8  # difflib ratio of normalised names; 0.8 is about one wrong letter in five


def query_name(label: str) -> str:
    """A metric's name as one word: `box AP` -> `box_AP`, `mIoU(ms+flip)` -> `mIoU_ms_flip`, `AP@0.5` stays."""
    text = re.sub(r"<[^<>]*>", " ", label)
    return re.sub(r"[^0-9A-Za-z@.]+", "_", text).strip("_.") or "_"


def normalised(name: str) -> str:
    """The name without case, with every run of separators as one dash."""
    return _SEPARATORS.sub("-", name.casefold()).strip("-")


def storable(text: str) -> str:
    """The text as a database takes it: bytes of an argument that are no UTF-8 become U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def near(asked: str, names: Iterable[str], limit: int = 3) -> tuple[str, ...]:
    """At most `limit` of `names` that `asked` may have meant, the nearest first; ties in order of length, then name.

    A name is near when it is the same but for case and separators, when it begins with what was asked, when it has
    every word of it as a prefix of one of its own in the same order, or when few letters differ.
    """
    from difflib import SequenceMatcher

    wanted = normalised(asked[:_LONGEST])
    if not wanted:
        return ()
    matcher: SequenceMatcher[str] = SequenceMatcher(autojunk=False)
    matcher.set_seq2(wanted)

    def distance(name: str) -> float | None:
        own = normalised(name)
        if name == asked:
            return 0.0
        if own == wanted:
            return 0.1
        if own.startswith(wanted):
            return 0.2
        if _has_words(own, wanted):
            return 0.3
        matcher.set_seq1(own)
        if matcher.real_quick_ratio() < CUTOFF or matcher.quick_ratio() < CUTOFF:
            return None
        ratio = matcher.ratio()
        return 2.0 - ratio if ratio >= CUTOFF else None

    found = ((distance(name), len(name), name) for name in set(names))
    ranked = sorted((far, length, name) for far, length, name in found if far is not None)
    return tuple(name for _far, _length, name in ranked[:limit])


def _has_words(own: str, wanted: str) -> bool:
    """Whether every word of `wanted` begins a word of `own`, in the same order and from the first word on."""
    words = iter(own.split("-"))
    asked = wanted.split("-")
    return (
        len(asked) > 1
        and own.startswith(asked[0])
        and all(any(word.startswith(part) for word in words) for part in asked)
    )
