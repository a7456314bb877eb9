"""Finished changes of an environment: what each did to the distributions, and which of them stand.

Pure. Their records are written and read by the `journal`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from zoo_cli.machine.facts import DirectUrl

if TYPE_CHECKING:
    from collections.abc import Mapping


class Change(NamedTuple):
    """One finished change of an environment."""

    number: int
    command: tuple[str, ...]
    started: str  # UTC, ISO 8601
    before: Mapping[str, str]  # distributions: normalised name -> version
    after: Mapping[str, str]
    undoes: int | None = None  # the change before which this one went back
    came_from: tuple[tuple[str, DirectUrl], ...] = ()  # what came by it and was built from a source

    @property
    def steps(self) -> tuple[tuple[str, str | None, str | None], ...]:
        """What became of each distribution: (name, version before, version after), None where it was not there."""
        versions = ((name, self.before.get(name), self.after.get(name)) for name, _source in self.came_from)
        again = (each for each in versions if each[1] == each[2])  # another source of one version is a change, too
        return tuple(sorted((*steps(self.before, self.after), *again)))


def change_of(record: dict[str, Any]) -> Change:
    """A change from its record, as `_asdict` and JSON have it.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: it is none.
    """
    number, undoes = record["number"], record["undoes"]
    if type(number) is not int or (undoes is not None and type(undoes) is not int):
        raise ValueError("a change has a number")
    before, after = ({str(name): str(each) for name, each in record[when].items()} for when in ("before", "after"))
    sources = tuple(
        (str(name), DirectUrl(**_source_fields(each))) for name, each in record.get("came_from", {}).items()
    )
    return Change(number, tuple(map(str, record["command"])), str(record["started"]), before, after, undoes, sources)


def _source_fields(record: dict[str, Any]) -> dict[str, Any]:
    """The fields of a source; ValueError when one is of another type."""
    if any(type(value) is not (bool if name == "editable" else str) for name, value in record.items()):
        raise ValueError("a source is told in texts")
    return record


def steps(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[tuple[str, str | None, str | None], ...]:
    """What became of each distribution: (name, version before, version after), None where it was not there."""
    pairs = ((name, before.get(name), after.get(name)) for name in sorted(before.keys() | after.keys()))
    return tuple(each for each in pairs if each[1] != each[2])


def in_effect(changes: tuple[Change, ...]) -> tuple[int, ...]:
    """The numbers of the changes whose result stands, oldest first: undoing goes back to where one began."""
    states: dict[int, tuple[int, ...]] = {}  # what stood when a change began
    now: tuple[int, ...] = ()
    for change in changes:
        states[change.number] = now
        now = (*now, change.number) if change.undoes is None else states.get(change.undoes, ())
    return now
