"""GPU product names and their compute capability: matching what people and drivers write.

Pure. A driver says "NVIDIA A100-SXM4-80GB", the published tables say "A100", a person writes "3090 Ti". A name is
reduced to its distinguishing letters and digits; what says only vendor, memory, form factor or licence is dropped. A
reduced name that stands for two different capabilities (the two "TITAN X") matches neither.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from zoo_cli.machine.facts import Capability

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_NAME_LETTERS = 200

# Memory sizes, form factors, vGPU profiles (A40-48Q), laptop and edition words: never decide the capability.
_DROPPED = re.compile(
    r"\d+(?:gi?b?|mi?b)|\d+[qcab]|hbm\d?e?|gddr\d?x?|pcie|sxm\d?|nvl|nvidia|nvgpu|corporation|geforce|gpu|laptop|notebook"
    r"|mobile|pascal|max|q|with|design|generation|edition|server|workstation|grid|vgpu|r|tm"
)
_LINES = ("tesla", "quadro", "jetson", "agx")  # product lines people leave out
_SERIES = ("rtx", "gtx", "gt")


def name_key(name: str) -> str:
    """The distinguishing part of a GPU's name: "NVIDIA A100-SXM4-80GB" -> "a100"; "" when nothing is left."""
    text = re.sub(r"\bmig\b.*", "", name[:MAX_NAME_LETTERS].lower())
    words = re.findall(r"[a-z0-9]+", re.sub(r"\((?:r|tm|c)\)", " ", text))
    return "".join(word for word in words if not _DROPPED.fullmatch(word))


def _keys(name: str) -> tuple[str, ...]:
    """The key of a name, then the shorter ones under which people know it."""
    keys = [name_key(name)]
    for prefix in (*_LINES, *_SERIES):
        keys += [key.removeprefix(prefix) for key in keys if key.startswith(prefix)]
    return tuple(dict.fromkeys(key for key in keys if key))


def name_to_capability(rows: Iterable[tuple[str, str]]) -> dict[str, Capability]:
    """Rows (name, capability as "8.6") as the mapping that this room's functions take."""
    return {name: Capability(*map(int, capability.split("."))) for name, capability in rows}


def find_capability(name: str, gpus: Mapping[str, Capability]) -> Capability | None:
    """The capability of a GPU by its name; None when the name is unknown or stands for several capabilities.

    A name as published wins over a shortened one: "TITAN X" is the Pascal card, although "GeForce GTX TITAN X", the
    Maxwell card, shortens to the same.
    """
    asked = name_key(name)
    if not asked:
        return None
    shortened: set[Capability] = set()
    whole: set[Capability] = set()
    bare = {asked.removeprefix(line) for line in _LINES} - {asked}  # drivers say "Tesla T4", the tables "T4"
    for known, capability in gpus.items():
        first, *shorter = _keys(known)
        if asked == first:
            whole.add(capability)
        elif asked in shorter or first in bare:
            shortened.add(capability)
    for found in (whole, shortened):
        if found:
            return next(iter(found)) if len(found) == 1 else None
    return None


def near_names(name: str, gpus: Mapping[str, Capability], count: int = 3) -> tuple[str, ...]:
    """Known names closest to one that was not found."""
    from difflib import get_close_matches

    by_key = {key: known for known in sorted(gpus, reverse=True) for key in _keys(known)}
    found = get_close_matches(name_key(name), sorted(by_key), n=count * 2, cutoff=0.6)
    return tuple(dict.fromkeys(by_key[key] for key in found))[:count]
