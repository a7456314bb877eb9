"""Numbers as metafiles write them: metric values, quantities with a unit letter, and the scale of a metric.

Pure. A value that is no single number keeps its text; nothing is guessed from a list such as `58.17/87.00/69.30`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_LONE = re.compile(rf"\s*({_NUMBER})\s*(%?)\s*")
_WITH_NOTE = re.compile(rf"\s*({_NUMBER})\s*(%?)\s*\([^()]*\)\s*")
_QUANTITY = re.compile(rf"\s*({_NUMBER})\s*([kKMGBT]?)\s*(?:FLOPs|FLOPS|params?|parameters)?\s*")
_POWERS = {"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12}
_LARGEST = 1e18
_FLOPS = re.compile(r"(?:^|[-_])(\d+(?:\.\d+)?)([mg])f(?:[-_]|$)", re.IGNORECASE)

# Metrics that are a share of a whole: upstream writes them as 0..100 or as 0..1.
_SHARES = re.compile(
    r"\b(m?AP[0-9]*|AR|m?IoU|m?Dice|PQ|PCK\w*|AUC|MOTA|MOTP|IDF1|HOTA|IDs?F1|NDS|Top|Acc\w*|accuracy|Precision|Recall|"
    r"hmean\S*|F1|F-?score|Success|Norm|word_acc\w*|EAO|J&F)(?![a-zA-Z])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric value: a number, or only text; `text` is None where the number says all."""

    value: float | None
    text: str | None = None
    is_percent: bool = False  # the text says so


def measure(raw: object) -> Measure | None:
    """The value of a metric; None when there is none (null, or an empty text)."""
    if isinstance(raw, bool) or raw is None or raw == "":
        return None
    if isinstance(raw, (int, float)):
        if not math.isfinite(raw) or abs(raw) > _LARGEST:
            return Measure(None, str(raw)[:60])
        return Measure(float(raw))
    text = " ".join(str(raw).split())
    if lone := _LONE.fullmatch(text):
        return Measure(float(lone[1]), text if lone[2] else None, bool(lone[2]))
    if noted := _WITH_NOTE.fullmatch(text):
        return Measure(float(noted[1]), text, bool(noted[2]))
    return Measure(None, text[:200])


def quantity(raw: object) -> float | None:
    """A number of things, such as 24300000.0 for `24.3M`; None when it cannot be read."""
    if isinstance(raw, bool):
        return None
    if isinstance(raw, (int, float)):
        return float(raw) if math.isfinite(raw) and 0 <= raw <= _LARGEST else None
    match = _QUANTITY.fullmatch(raw) if isinstance(raw, str) else None
    if match is None:
        return None
    value = float(match[1]) * _POWERS[match[2]]
    return value if 0 <= value <= _LARGEST else None


def flops_in_name(name: str) -> float | None:
    """The FLOPs that a name tells, such as 3200000000.0 for `regnetx-3.2gf_8xb64_in1k`; None when it tells none."""
    found = _FLOPS.search(name)
    return float(found[1]) * _POWERS[found[2].upper()] if found else None


def unit_of(name: str, values: list[float]) -> str:
    """The scale of a metric in one release: `percent`, `fraction`, or `none` when it is no share of a whole.

    `values` are all the release's values of this metric on one dataset: shares are written in one scale there.
    """
    if not _SHARES.search(name.replace("_", " ")):
        return "none"
    return "fraction" if values and max(values) <= 1 else "percent"
