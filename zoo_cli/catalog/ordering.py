"""Which of two models is better: the direction of a field or metric, sorting, and the Pareto front of two of them.

Pure. A direction is `max` or `min`. It is known for shares of a whole (AP, mIoU, accuracy: more is better), for the
usual scores and errors by name, and for costs such as memory; for the rest it is asked for, never assumed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from zoo_cli.errors import ExitCode, ZooError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from zoo_cli.catalog.listing import Row

Scalar: TypeAlias = "str | float | int | None"

COSTS = frozenset({"inference_ms", "memory_gb", "params", "flops", "size_bytes", "epochs", "iterations"})
_LESS = re.compile(
    r"(?:^|_)(?:FID|KID|LPIPS|NIQE|PPL|SWD|MSE|RMSE|MAE|SAD|GRAD|CONN|EPE|NME|MR|mMR|Fl_all|ID_?sw\w*|IDs|FP|FN|"
    r"mA[TSOVA]E|AbsRel|Abs_Rel|(?:P|PA|N)?_?(?:MPJPE|EPE)\w*|\w*error\w*)(?=_|$|@|\d)",
    re.IGNORECASE,
)
_MORE = re.compile(r"(?:^|_)(?:PSNR|SSIM|IS|NDS|R2|VIF|CLIP_?score)(?=_|$|@|\d)", re.IGNORECASE)
_NO_SCORE = re.compile(r"(?:^|_)(?:Iters?|Version|Steps?)$", re.IGNORECASE)  # FID_Iter: the iteration, not the FID
_GOALS = {"max": "max", "desc": "max", "descending": "max", "min": "min", "asc": "min", "ascending": "min"}


class Axis(NamedTuple):
    """A field or metric, and what is better of it: `max`, `min`, or None when that was not said."""

    name: str
    goal: str | None = None


class UnknownGoal(ZooError):
    """It is not known whether more or less of a field is better, and the command needs to know."""

    code = "unknown-goal"
    exit_code = ExitCode.USAGE

    field: str
    asked: str  # the axes as written


class BadAxes(ZooError):
    """A front or a plot needs two different fields or metrics that are numbers."""

    code = "bad-axes"
    exit_code = ExitCode.USAGE

    asked: str
    problem: str


def axis_of(text: str) -> Axis:
    """`box_AP`, `box_AP:max`, `memory_gb:asc`, as an axis; what follows the colon must be a known word."""
    name, colon, word = text.strip().rpartition(":")
    goal = _GOALS.get(word.strip().casefold())
    return Axis(name.strip(), goal) if colon and name and goal else Axis(text.strip())


def goal_of(name: str, is_share: bool) -> str | None:
    """What is better of a field or metric; None when that is not known. `is_share`: it is a share of a whole."""
    if _NO_SCORE.search(name):
        return None
    if name in COSTS or _LESS.search(name):
        return "min"
    return "max" if is_share or _MORE.search(name) else None


def sorted_rows(rows: Sequence[Row], name: str, goal: str) -> list[Row]:
    """Rows by a fact or metric, largest first for `max`; the unknown last, equal ones as they were."""
    known = [row for row in rows if row.value(name) is not None]
    unknown = [row for row in rows if row.value(name) is None]
    if any(isinstance(row.value(name), str) for row in known):
        key: Callable[[Row], object] = lambda row: str(row.value(name)).casefold()  # noqa: E731
    else:
        key = lambda row: row.value(name)  # noqa: E731
    known.sort(key=key, reverse=goal == "max")  # type: ignore[arg-type]
    return known + unknown


def front(rows: Iterable[Row], first: Axis, second: Axis) -> tuple[Row, ...]:
    """The rows that no other beats: none is as good in both and better in one. Best of the first axis first.

    Rows with an unknown value are in no front. Equal rows are in it together.
    """

    def cost(row: Row, axis: Axis) -> float:
        value = float(row.value(axis.name) or 0)
        return -value if axis.goal == "max" else value

    known = [row for row in rows if row.number(first.name) is not None and row.number(second.name) is not None]
    known.sort(key=lambda row: (cost(row, first), cost(row, second)))
    kept: list[Row] = []
    for row in known:
        if not kept or cost(row, second) < cost(kept[-1], second) or _equal(row, kept[-1], first, second):
            kept.append(row)
    return tuple(kept)


def _equal(one: Row, other: Row, *axes: Axis) -> bool:
    return all(one.value(axis.name) == other.value(axis.name) for axis in axes)
