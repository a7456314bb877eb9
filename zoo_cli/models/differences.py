"""What differs between two configs, as dotted keys.

Pure. Keys are those of mmengine's `--cfg-options`: `train_pipeline.2.scale`. Dicts are compared key by key. Lists of
dicts, such as pipelines, are laid side by side by the items' `type` first, so that one transform more is one line and
not a difference in all that follow; other lists are values of their own, long ones are compared item by item. A number
is not the boolean it equals, nor a list the tuple with the same items.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from zoo_cli.models.bounded import SCALARS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Kind = Literal["changed", "added", "removed"]
_SHORT = 12  # items up to which a list of plain values is shown as one value
_LONG = 2000  # items from which lists are compared by position: laying them side by side costs their product


class Difference(NamedTuple):
    """One difference; `before` is None where it was added, `after` where it was removed."""

    kind: Kind
    key: str
    before: Any
    after: Any


def differences(before: dict[Any, Any], after: dict[Any, Any]) -> list[Difference]:
    """Everything that differs, in the order of the first config, what is new in the second after its neighbours."""
    return list(_dicts(before, after, ""))


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same, of the same kinds, all the way down; the order of keys does not count."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) or (one != one and other != other)


def value_at(settings: Any, key: str) -> Any:
    """The value under a dotted key: `model.backbone.depth`, `train_pipeline.2.scale`.

    Raises:
        LookupError: There is none; with the part of the key that is not there.
    """
    value = settings
    done: list[str] = []
    for part in key.split("."):
        done.append(part)
        if isinstance(value, dict):
            names = [name for name in value if str(name) == part]
            if not names:
                raise LookupError(".".join(done))
            value = value[names[0]]
        elif isinstance(value, list | tuple) and re.fullmatch(r"\d{1,9}", part) and int(part) < len(value):
            value = value[int(part)]
        else:
            raise LookupError(".".join(done))
    return value


def _below(key: str, name: object) -> str:
    return f"{key}.{name}" if key else str(name)


def _values(before: Any, after: Any, key: str) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _dicts(before, after, key)
    elif type(before) is type(after) and isinstance(before, list | tuple) and _side_by_side(before, after):
        yield from _lists(before, after, key)
    elif not same(before, after):
        yield Difference("changed", key, before, after)


def _dicts(before: dict[Any, Any], after: dict[Any, Any], key: str) -> Iterator[Difference]:
    for name, value in before.items():
        if name in after:
            yield from _values(value, after[name], _below(key, name))
        else:
            yield Difference("removed", _below(key, name), value, None)
    for name, value in after.items():
        if name not in before:
            yield Difference("added", _below(key, name), None, value)


def _side_by_side(before: Sequence[Any], after: Sequence[Any]) -> bool:
    """Whether lists are compared item by item: those that hold more than plain values, and long ones."""
    if max(len(before), len(after)) > _SHORT:
        return True
    return any(isinstance(item, dict) for item in (*before, *after))


def _lists(before: Sequence[Any], after: Sequence[Any], key: str) -> Iterator[Difference]:
    if max(len(before), len(after)) > _LONG:
        yield from _paired(before, after, 0, 0, key)
        return
    matcher = SequenceMatcher(None, [_mark(item) for item in before], [_mark(item) for item in after], autojunk=False)
    for kind, start, end, other, stop in matcher.get_opcodes():
        if kind == "equal":
            for at in range(end - start):
                yield from _values(before[start + at], after[other + at], _below(key, start + at))
        else:
            yield from _paired(before[start:end], after[other:stop], start, other, key)


def _paired(before: Sequence[Any], after: Sequence[Any], start: int, other: int, key: str) -> Iterator[Difference]:
    """Items that do not belong together by their type: changed while both have one, then removed or added."""
    for at in range(max(len(before), len(after))):
        if at >= len(after):
            yield Difference("removed", _below(key, start + at), before[at], None)
        elif at >= len(before):
            yield Difference("added", _below(key, other + at), None, after[at])
        elif isinstance(before[at], dict) and isinstance(after[at], dict) and _mark(before[at]) != _mark(after[at]):
            yield Difference("removed", _below(key, start + at), before[at], None)
            yield Difference("added", _below(key, other + at), None, after[at])
        else:
            yield from _values(before[at], after[at], _below(key, start + at))


def _mark(item: Any) -> tuple[str, str]:
    """By what an item is recognized in the other list: a dict by its type, a plain value by itself."""
    if isinstance(item, dict):
        return ("dict", str(item.get("type")))
    if type(item) in SCALARS:
        return (type(item).__name__, repr(item))
    return (type(item).__name__, "")
