"""YAML of strangers: values as they are, lines of entries, and hostile documents refused in no time."""

from __future__ import annotations

import pytest

from zoo_cli.models.safe_yaml import Limits, UnreadableYaml, read_yaml


def test_values_and_lines() -> None:
    document = read_yaml(
        b"Collections:\n  - Name: DDQ\nModels:\n  - Name: a\n    Day: 2020-01-02\n    Memory: 5.4\n"
        b"\n  - Name: b\n    Yes: ~\n"
    )
    assert document.value == {
        "Collections": [{"Name": "DDQ"}],
        "Models": [{"Name": "a", "Day": "2020-01-02", "Memory": 5.4}, {"Name": "b", "True": None}],
    }
    assert document.lines == {("Collections", 0): 2, ("Models", 0): 4, ("Models", 1): 8}


def test_a_list_of_models_has_lines_too() -> None:
    assert read_yaml(b"- Name: a\n- Name: b\n").lines == {("", 0): 1, ("", 1): 2}


def test_anchors_as_mmpose_uses_them() -> None:
    document = read_yaml(b"a: &id001\n  - x\nb: *id001\n")
    assert document.value == {"a": ["x"], "b": ["x"]}


def test_an_empty_document_is_nothing() -> None:
    assert read_yaml(b"").value is None
    assert read_yaml(b"\xef\xbb\xbf# only a comment\n").value is None


BOMB = b"a: &a [x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (98 + step, 98 + step, b",".join([b"*%c" % (97 + step)] * 10)) for step in range(12)
)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"a: [1, 2", "did not find"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"a: \x07", "control characters"),
        (b"x: !!python/object/apply:os.system [touch ran]", "tag"),
        (b"!!set {a, b}", "tag"),
        (b"&a [*a]", "holds itself"),
        (b"&a {x: {<<: *a}}", "holds itself"),
        (BOMB, "expanded"),
        (b"[" * 100_000, "nested deeper"),
        (b"{a: " * 41 + b"1" + b"}" * 41, "nested deeper"),
        (b"- 1\n" * 300_000, "nodes"),
        (b"x: " + b"7" * 5000, "digits"),
        (b"x: 0x" + b"f" * 5000, "digits"),
        (b"x: " + b"1:" + b"59:" * 2000 + b"9", "digits"),
        (b"x: 2020-99-99", "month"),
        (b"? [a]\n: b", "unhashable"),
        (b"<<: 3", "merging"),
        (b"--- a\n--- b\n", "another document"),
        (b"*nobody", "undefined alias"),
        (b"%YAML 3.0\n--- a", "incompatible"),
        (b"a" * 5_000_000, "larger than"),
    ],
)  # fmt: skip
def test_what_is_refused(body: bytes, problem: str) -> None:
    with pytest.raises(UnreadableYaml, match=problem):
        read_yaml(body)


def test_the_limits_are_inclusive() -> None:
    assert read_yaml(b"{a: " * 40 + b"1" + b"}" * 40).value is not None
    assert read_yaml(b"abc", Limits(bytes=3)).value == "abc"
    with pytest.raises(UnreadableYaml):
        read_yaml(b"abcd", Limits(bytes=3))


def test_a_problem_names_its_line() -> None:
    with pytest.raises(UnreadableYaml) as caught:
        read_yaml(b"a: 1\nb: 2\nc: !!python/name:os.system x\n")
    assert caught.value.line == 3
    assert str(caught.value).startswith("line 3: tag")
