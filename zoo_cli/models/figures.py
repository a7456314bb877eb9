"""The figures of a release, counted from its records, and how they compare with those that somebody else counted.

Pure. A difference is explained by an entry of the expectation that names the release, the column, both numbers and
the reason; anything else is an error, and so is an explanation of a difference that is not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_cli.errors import ExitCode, ZooError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo_cli.models.records import ReleaseRecords
    from zoo_cli.models.safe_yaml import Value

COLUMNS = (
    "collections", "models", "names", "weights", "found", "both", "urls", "hash", "miss", "not_imported",
)  # fmt: skip


class BadExpectation(ZooError):
    """The file of expected figures cannot be read."""

    code = "bad-expectation"
    exit_code = ExitCode.USAGE

    path: str
    problem: str


@dataclass(frozen=True, slots=True)
class Difference:
    """One column of one release that is not as expected; `reason` is empty when nobody explained it."""

    column: str
    expected: int
    found: int
    kind: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Expectation:
    """Figures by `project==version`, with where they come from, and the explained differences."""

    source: str
    date: str
    releases: Mapping[str, Mapping[str, int]]
    differences: Mapping[tuple[str, str], Difference]


def figures_of(records: ReleaseRecords) -> dict[str, int]:
    """The columns for one release. `found` are configs exactly where upstream says, `miss` those that are not there."""
    models = records.models
    found = [each for each in models if each.config_state == "found"]
    files = {file.url: file for each in models for file in each.weights}
    left_out = (each.detail.split(" ", 1)[0] for each in records.issues if each.kind == "not-imported")
    values = (
        len(records.collections),
        len(models),
        len({each.name for each in models}),
        sum(bool(each.weights) for each in models),
        len(found),
        sum(bool(each.weights) for each in found),
        len(files),
        sum(file.prefix is not None for file in files.values()),
        sum(each.config_state in ("missing", "repaired") for each in models),
        sum(int(count) for count in left_out if count.isdigit()),
    )
    return dict(zip(COLUMNS, values, strict=True))


def compare(release: str, figures: Mapping[str, int], expectation: Expectation) -> tuple[Difference, ...]:
    """Every column that is not as expected, with the explanation where there is one that fits."""
    expected = expectation.releases.get(release, {})
    differences: list[Difference] = []
    for column in COLUMNS:
        explained = expectation.differences.get((release, column))
        if column in expected and (figures[column] != expected[column] or explained):
            difference = Difference(column, expected[column], figures[column])
            fits = explained and (explained.expected, explained.found) == (difference.expected, difference.found)
            differences.append(explained if explained and fits else difference)
    return tuple(differences)


def read_expectation(value: Value, path: str) -> Expectation:
    """The expectation in a parsed document.

    Raises:
        BadExpectation: It has another form.
    """
    try:
        if not isinstance(value, dict) or value["schema"] != 1 or value["columns"] != list(COLUMNS):
            raise BadExpectation(path, f"needs schema 1 and the columns {', '.join(COLUMNS)}")
        releases = {
            str(name): dict(zip(COLUMNS, map(int, numbers), strict=True))  # type: ignore[arg-type]
            for name, numbers in value["releases"].items()  # type: ignore[union-attr]
        }
        rows = [dict(each) for each in value["differences"] or ()]  # type: ignore[union-attr,arg-type]
        differences = {
            (str(row["release"]), str(row["column"])): Difference(
                str(row["column"]), int(row["expected"]), int(row["found"]), str(row["kind"]), str(row["reason"])
            )
            for row in rows
        }
        return Expectation(str(value["source"]), str(value["date"]), releases, differences)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise BadExpectation(path, f"{type(exc).__name__}: {exc}"[:200]) from exc
