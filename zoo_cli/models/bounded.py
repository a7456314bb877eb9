"""Operations on config values with a price: what a config may compute, and how much of it.

Pure. Python's own operators would let a ten-byte config fill the memory (`1 << 10**11`, `'a' * 10**12`) or recurse in
C until the process dies (hashing a tuple nested 100,000 deep). Here every operation is paid from a `Budget` before it
is done: one step each, plus the size of what it makes or walks through.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

SCALARS = frozenset({int, float, str, bool, type(None), bytes})


class Exhausted(Exception):
    """A limit is reached; `evaluate` adds the place and raises ConfigTooLarge."""

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(what, limit)
        self.what = what
        self.limit = limit


class Refused(Exception):
    """A construct is not offered; `evaluate` adds the place and raises CannotEvaluate."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one flattened config may cost; real ones need less than a tenth of each."""

    steps: int = 2_000_000  # evaluated nodes and handled elements, over all files of a chain
    length: int = 200_000  # elements of one container
    text: int = 2_000_000  # characters of one string
    bits: int = 4096  # of one integer
    depth: int = 100  # of nested containers
    files: int = 200  # in one chain of bases
    chain: int = 20  # bases of bases of bases
    file_bytes: int = 1_000_000
    operators: int = 50_000  # signs in one file that could nest; CPython 3.10 dies at about 200,000


class Budget:
    """What is left to spend; every method raises Exhausted when it is not enough."""

    __slots__ = ("left", "limits")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.left = limits.steps

    def spend(self, steps: int) -> None:
        """Takes so many steps."""
        self.left -= steps
        if self.left < 0:
            raise Exhausted("steps", self.limits.steps)

    def container(self, length: int) -> None:
        """Pays for a container of that length."""
        if length > self.limits.length:
            raise Exhausted("elements of a container", self.limits.length)
        self.spend(length)

    def text(self, length: int) -> None:
        """Pays for a string of that length."""
        if length > self.limits.text:
            raise Exhausted("characters of a string", self.limits.text)
        self.spend(length >> 4)

    def integer(self, bits: int) -> None:
        """Pays for an integer of that size."""
        if bits > self.limits.bits:
            raise Exhausted("bits of an integer", self.limits.bits)
        self.spend(bits >> 6)

    def walk(self, value: object, depth: int = 0) -> None:
        """Pays for an operation that goes through the whole value (comparing, hashing, printing)."""
        kind = type(value)
        if kind in SCALARS:
            self.left -= 1
            if kind is str or kind is bytes:
                self.spend(len(value) >> 4)  # type: ignore[arg-type]
            return
        if depth > self.limits.depth:
            raise Exhausted("depth of nested values", self.limits.depth)
        self.spend(1)
        if isinstance(value, dict):
            for key, item in value.items():
                self.walk(key, depth + 1)
                self.walk(item, depth + 1)
        elif isinstance(value, list | tuple | set | frozenset):
            for item in value:
                self.walk(item, depth + 1)

    def sized(self, value: Any) -> Any:
        """The value itself, after paying for its own size (not that of what it holds)."""
        kind = type(value)
        if kind is int:
            self.integer(value.bit_length())
        elif kind is str or kind is bytes:
            self.text(len(value))
        elif isinstance(value, list | tuple | dict | set | frozenset):
            self.container(len(value))
        return value


def listed(budget: Budget, items: object) -> list[Any]:
    """The items of an iterable value as a list, paid before it is made."""
    if isinstance(items, str | list | tuple | dict | set | frozenset | range | bytes):
        budget.container(len(items))
    else:
        raise TypeError(f"'{type(items).__name__}' object is not iterable")
    return list(items)


# -- arithmetic ------------------------------------------------------------------------------------------------------

_WIDE = re.compile(r"\d{5}|\*")  # a width or precision that could make a huge string
_SEQUENCES = (str, bytes, list, tuple)


def _bits(value: object) -> int:
    return value.bit_length() if isinstance(value, int) else 64


def _pay_binary(budget: Budget, sign: str, left: Any, right: Any) -> None:
    """Pays for `left sign right` where the result may be much larger than both."""
    integers = isinstance(left, int) and isinstance(right, int)
    if sign == "*":
        if integers:
            budget.integer(_bits(left) + _bits(right))
        for sequence, times in ((left, right), (right, left)):
            if isinstance(sequence, _SEQUENCES) and isinstance(times, int):
                length = len(sequence) * max(0, times)
                (budget.text if isinstance(sequence, str | bytes) else budget.container)(length)
    elif sign == "**" and integers:
        budget.integer(_bits(left) * max(0, right))
    elif sign == "<<" and integers:
        budget.integer(_bits(left) + max(0, right))
    elif sign == "+" and isinstance(left, _SEQUENCES) and isinstance(right, _SEQUENCES):
        length = len(left) + len(right)
        (budget.text if isinstance(left, str | bytes) else budget.container)(length)
    elif sign == "%" and isinstance(left, str | bytes):
        _pay_percent(budget, left, right)


def _pay_percent(budget: Budget, left: str | bytes, right: object) -> None:
    if isinstance(left, bytes):
        raise Refused("formatting bytes with %")
    pay_format(budget, left, left.count("%"))
    budget.walk(right)


def pay_format(budget: Budget, specification: str, fields: int = 1) -> None:
    """Pays for formatting with widths from a specification; none is above 9,999."""
    if _WIDE.search(specification):
        raise Refused("formatting with a huge or computed width")
    budget.text(len(specification) + 10_000 * fields)


def formatted(budget: Budget, value: object, specification: str, conversion: str | None = None) -> str:
    """The value as f-strings and `str.format` write it; `conversion` is r, s or a."""
    budget.walk(value)
    pay_format(budget, specification)
    if conversion:
        value = ascii(value) if conversion == "a" else repr(value) if conversion == "r" else str(value)
    return format(value, specification)


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv,
    "%": operator.mod, "**": operator.pow, "<<": operator.lshift, ">>": operator.rshift, "&": operator.and_,
    "|": operator.or_, "^": operator.xor,
}  # fmt: skip
IN_PLACE: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.iadd, "*": operator.imul, "|": operator.ior, "&": operator.iand, "^": operator.ixor,
    "-": operator.isub,
}  # fmt: skip


def binary(budget: Budget, sign: str, left: Any, right: Any, *, in_place: bool = False) -> Any:
    """`left sign right`, or `left sign= right` as Python does it (a list is extended, not copied)."""
    if type(left) not in SCALARS or type(right) not in SCALARS:
        if isinstance(left, dict) and (sign != "|" or type(left) is not dict or not isinstance(right, dict)):
            raise TypeError(f"unsupported operand for {sign}: 'dict'")
        if isinstance(left, set | frozenset | dict) and isinstance(right, set | frozenset | dict):
            budget.container(len(left) + len(right))
        if in_place and sign == "+" and isinstance(left, list):
            right = listed(budget, right)
    _pay_binary(budget, sign, left, right)
    function = IN_PLACE.get(sign, BINARY[sign]) if in_place else BINARY[sign]
    result = function(left, right)
    if type(result) is complex:
        raise Refused("complex numbers")
    return result


COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "is": operator.is_, "is not": operator.is_not, "in": lambda item, box: item in box,
    "not in": lambda item, box: item not in box,
}  # fmt: skip


def compare(budget: Budget, sign: str, left: Any, right: Any) -> Any:
    """`left sign right` for the comparison signs, paying for what has to be walked through."""
    if sign not in ("is", "is not"):
        budget.walk(left)
        if isinstance(right, range):
            if not isinstance(left, int):
                raise Refused("looking for something other than an integer in a range")
        else:
            budget.walk(right)
    return COMPARE[sign](left, right)
