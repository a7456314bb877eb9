"""Versions and ranges of versions, compared quickly.

Pure. Versions are PEP 440 (`packaging.version`); a range is a specifier set whose pre-releases are decided by order
alone, because OpenMMLab's import-time assertions compare that way: `2.0.0rc4 < 2.0.0 < 2.0.0+cpu < 2.1.0`. Two PEP 440
rules are kept: `<2.2.0` does not admit `2.2.0rc1`, and `>2.2.0` does not admit `2.2.0.post1`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from packaging.version import InvalidVersion, Version

LONGEST = 300  # letters of a version
_CLAUSE = re.compile(r"\s*(===|==|!=|~=|>=|<=|>|<)\s*v?([^\s,;]+?)(\.\*)?\s*$")


@lru_cache(maxsize=4096)
def version(text: str) -> Version:
    """The parsed version.

    Raises:
        InvalidVersion: if the text is no PEP 440 version.
    """
    if len(text) > LONGEST:  # Python turns no more than 4,300 digits into a number
        raise InvalidVersion(f"a version of {len(text)} letters")
    return Version(text)


def public(text: str) -> str:
    """The version without its local part: `2.1.2+cu121` gives `2.1.2`."""
    return text.partition("+")[0]


def local(text: str) -> str:
    """The local part of a version, "" if there is none: `2.1.2+cu121` gives `cu121`."""
    return text.partition("+")[2]


def minor(text: str) -> str:
    """Major and minor: `2.1.2+cu121` gives `2.1`."""
    return ".".join(public(text).split(".")[:2])


class _Clause(NamedTuple):
    operator: str
    bound: Version
    is_prefix: bool

    def admits(self, candidate: Version) -> bool:
        if self.is_prefix:
            count = len(self.bound.release)
            same = (*candidate.release, 0, 0, 0, 0)[:count] == self.bound.release
            return same if self.operator == "==" else not same
        bound, operator = self.bound, self.operator
        if candidate.local and not bound.local:
            candidate = version(candidate.public)
        if operator in ("==", "==="):
            return candidate == bound
        if operator == "!=":
            return candidate != bound
        if operator == ">=":
            return candidate >= bound
        if operator == ">":
            is_own_post = candidate.is_postrelease and not bound.is_postrelease and _same_release(candidate, bound)
            return candidate > bound and not is_own_post
        if operator == "<=":
            return candidate <= bound
        if operator == "<":
            is_own_pre = candidate.is_prerelease and not bound.is_prerelease and _same_release(candidate, bound)
            return candidate < bound and not is_own_pre
        head = bound.release[:-1]  # ~=
        return candidate >= bound and candidate.release[: len(head)] == head


def _same_release(one: Version, other: Version) -> bool:
    """Whether two versions are of one release: 2.1rc1 and 2.1.0.post1 are."""
    return one.epoch == other.epoch and version(one.base_version) == version(other.base_version)


@dataclass(frozen=True, slots=True, eq=False)
class Range:
    """A set of versions, as a specifier set writes it; equal when it is written alike."""

    text: str
    clauses: tuple[_Clause, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Range) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def admits(self, candidate: str) -> bool:
        """Whether the version lies in the range; a version that is not PEP 440 lies in none but the open one."""
        return _admits(self, candidate)

    def __str__(self) -> str:
        return self.text or "any version"


@lru_cache(maxsize=1024)
def without_upper(text: str) -> str:
    """A specifier set without its upper bounds: `>=2.0.0rc4,<2.2.0` gives `>=2.0.0rc4`."""
    return ",".join(part.strip() for part in text.split(",") if not part.strip().startswith(("<", "==", "~=")))


@lru_cache(maxsize=65536)
def _admits(span: Range, candidate: str) -> bool:
    if not span.clauses:
        return True
    try:
        parsed = version(candidate)
    except InvalidVersion:
        return False
    return all(clause.admits(parsed) for clause in span.clauses)


@lru_cache(maxsize=4096)
def parse_range(text: str) -> Range:
    """The range a specifier set describes; "" and "any" admit everything.

    Raises:
        InvalidVersion: if a clause cannot be read.
    """
    if text.strip() in ("", "any", "*"):
        return Range("", ())
    clauses = []
    for part in text.split(","):
        found = _CLAUSE.match(part)
        if not found:
            raise InvalidVersion(f"not a version specifier: {part.strip()!r}")
        clauses.append(_Clause(found[1], version(found[2]), found[3] is not None))
    return Range(text.strip(), tuple(clauses))
