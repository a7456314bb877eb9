"""The files of dist-info and egg-info directories, as good and bad writers leave them."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_cli.machine.facts import DirectUrl
from zoo_cli.machine.metadata import (
    Headers,
    normalized_name,
    parse_direct_url,
    parse_headers,
    parse_record,
    parse_requires_txt,
    parse_torch_version,
    parse_wheel_tags,
)


def test_headers_end_at_the_first_empty_line() -> None:
    text = (
        "Metadata-Version: 2.1\nName: mmcv\nVersion: 2.1.0\nrequires-dist: addict\n"
        "Requires-Dist: regex ;\n   sys_platform == 'win32'\n\nName: other\nRequires-Dist: evil\n"
    )
    assert parse_headers(text) == Headers("mmcv", "2.1.0", ("addict", "regex ; sys_platform == 'win32'"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Headers()),
        ("no colon at all", Headers()),
        ("Name:\nVersion: 1", Headers("", "1")),
        ("Name: one\nName: two\nVersion: 1", Headers("one", "1")),
        ("\nName: late\n", Headers()),
        (" folded first\nName: x\n", Headers("x", "")),
    ],
)
def test_broken_headers(text: str, expected: Headers) -> None:
    assert parse_headers(text) == expected


def test_names_are_normalized() -> None:
    assert [normalized_name(name) for name in ("MMCV_full", "a.b-_c", "PyYAML")] == ["mmcv-full", "a-b-c", "pyyaml"]


def test_requires_txt_becomes_requires_dist() -> None:
    text = "addict\nnumpy>=1\n\n[tests]\npytest\n\n[:sys_platform == 'win32']\nregex\n\n"
    text += "[mim:python_version<'3.9']\nmmcv\n# no\n"
    assert parse_requires_txt(text) == (
        "addict",
        "numpy>=1",
        'pytest ; extra == "tests"',
        "regex ; (sys_platform == 'win32')",
        "mmcv ; (python_version<'3.9') and extra == \"mim\"",
    )


def test_wheel_tags() -> None:
    text = (
        "Wheel-Version: 1.0\nTag: cp310-cp310-manylinux_2_17_x86_64\ntag: cp310-cp310-manylinux2014_x86_64\nBuild: 1\n"
    )
    assert parse_wheel_tags(text) == ("cp310-cp310-manylinux_2_17_x86_64", "cp310-cp310-manylinux2014_x86_64")


letters = st.characters(blacklist_categories=["Cs", "Cc", "Zl", "Zp"], blacklist_characters="\\")
paths = st.text(letters, min_size=1, max_size=30)


@given(st.lists(paths, max_size=8))
def test_record_round_trip(files: list[str]) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([file, "sha256=x", "1"] for file in files)
    assert parse_record(out.getvalue()) == tuple(files)


def test_record_of_windows_and_of_nobody() -> None:
    assert parse_record("mmcv\\_ext.pyd,,\r\n") == ("mmcv/_ext.pyd",)
    assert parse_record(",,\n\n") == ()
    assert parse_record('"unclosed') == ("unclosed",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"url": "file:///src/mmdet", "dir_info": {"editable": true}}', DirectUrl("file:///src/mmdet", editable=True)),
        ('{"url": "https://host/a.whl", "archive_info": {}}', DirectUrl("https://host/a.whl")),
        ('{"url": "https://host/a", "archive_info": {"hash": "sha256=a1"}}', DirectUrl("https://host/a", sha256="a1")),
        (
            '{"url": "https://host/a", "archive_info": {"hash": "md5=b", "hashes": {"sha256": "a1"}}}',
            DirectUrl("https://host/a", sha256="a1"),
        ),
        (
            '{"url": "https://me:secret@host/p", "subdirectory": "python", '
            '"vcs_info": {"vcs": "git", "requested_revision": "main", "commit_id": "abc"}}',
            DirectUrl("https://host/p", "git", "abc", "main", "python"),
        ),
        ('{"url": "https://ghp_token@host/p", "vcs_info": 3}', DirectUrl("https://host/p")),
        ('{"url": "ssh://git@host/p", "vcs_info": {"vcs": ["git"]}}', DirectUrl("ssh://git@host/p")),
        ('{"url": "x", "dir_info": {"editable": "yes"}}', DirectUrl("x")),
        ('{"url": 7}', None),
        ("[]", None),
        ("", None),
        ("[" * 100_000, None),
    ],
)
def test_direct_url(text: str, expected: DirectUrl | None) -> None:
    assert parse_direct_url(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "from typing import Optional\n__all__ = ['x']\n__version__ = '2.13.0+cpu'\ndebug = False\n"
            "cuda: Optional[str] = None\ngit_version = 'abc'\nhip: Optional[str] = None\n",
            {"__version__": "2.13.0+cpu", "git_version": "abc", "cuda": None, "hip": None},
        ),
        ("__version__ = '1.8.1+cu102'\ncuda = '10.2'\n", {"__version__": "1.8.1+cu102", "cuda": "10.2"}),
        ("__version__ = compute()\ncuda: str\nx = y = 'z'\n", {"x": "z", "y": "z"}),
        ("a.b = 'c'\n(d, e) = 'fg'\n", {}),
        ("__version__ = '\\d'\n", {"__version__": "\\d"}),
        ("this is ( no Python", {}),
        ("\0", {}),
        ("-" * 60_000 + "1", {}),
        ("(" * 60_000, {}),
    ],
)
def test_torch_version_is_read_not_run(text: str, expected: dict[str, str | None]) -> None:
    assert parse_torch_version(text) == expected


@given(st.text(max_size=300))
def test_any_text_is_survived(text: str) -> None:
    headers = parse_headers(text)
    assert len(headers.name) <= 200
    assert all(line.strip() == line for line in parse_requires_txt(text))
    assert all(isinstance(tag, str) for tag in parse_wheel_tags(text))
    assert len(parse_record(text)) <= len(text.splitlines())
    assert parse_direct_url(text) is None
    assert parse_torch_version(text).keys() is not None
