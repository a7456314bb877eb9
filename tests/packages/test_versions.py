"""Ranges against packaging's own specifier sets, and the one rule that differs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion

from zoo_cli.packages.versions import local, minor, parse_range, public

NUMBERS = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)).map(lambda t: ".".join(map(str, t)))
SUFFIXES = st.sampled_from(["", "", "", "rc1", "rc4", ".post1", "a1"])
VERSIONS = st.tuples(NUMBERS, SUFFIXES).map("".join)
CLAUSES = st.tuples(st.sampled_from([">=", "<=", ">", "<", "==", "!=", "~="]), NUMBERS).map("".join)
RANGES = st.lists(CLAUSES, min_size=0, max_size=3).map(",".join)


@given(RANGES, VERSIONS)
def test_a_range_admits_what_packaging_admits_with_prereleases(text: str, candidate: str) -> None:
    assert parse_range(text).admits(candidate) == SpecifierSet(text, prereleases=True).contains(candidate)


@given(RANGES, RANGES, VERSIONS)
def test_two_ranges_joined_admit_what_both_admit(one: str, other: str, candidate: str) -> None:
    joined = parse_range(",".join(part for part in (one, other) if part))
    assert joined.admits(candidate) == (parse_range(one).admits(candidate) and parse_range(other).admits(candidate))


@pytest.mark.parametrize(
    ("text", "candidate", "expected"),
    [
        (">=2.0.0rc4,<2.2.0", "2.0.0rc4", True),
        (">=2.0.0rc4,<2.2.0", "2.2.0rc1", False),
        (">=2.0.0rc4,<2.2.0", "2.1.0+cu121", True),
        ("==2.1.*", "2.1.2", True),
        ("==2.1.*", "2.10.0", False),
        ("!=4.5.5.*", "4.5.5.62", False),
        ("any", "0.0.1", True),
        (">0.2.0", "0.2.0.post1", False),
        (">0.2", "0.2.0.post1", False),
        (">0.2.0.post1", "0.2.0.post2", True),
        ("<2.2", "2.2.0rc1", False),
        ("<2", "not a version", False),
        ("", "not a version", True),
        (">=v3.4.0-rc1", "3.4.0rc1", True),
    ],
)
def test_ranges_as_frameworks_write_them(text: str, candidate: str, expected: bool) -> None:
    assert parse_range(text).admits(candidate) is expected


@pytest.mark.parametrize("text", [">>2", "2.1", ">=", "=>2", ">=1;<2"])
def test_what_is_no_range_is_said(text: str) -> None:
    with pytest.raises(InvalidVersion):
        parse_range(text)


def test_parts_of_a_version() -> None:
    assert (public("2.1.2+cu121"), local("2.1.2+cu121"), minor("2.1.2+cu121")) == ("2.1.2", "cu121", "2.1")
    assert (public("2.1"), local("2.1"), minor("2.10.0")) == ("2.1", "", "2.10")
