"""What nvidia-smi prints, from texts as real machines give them: one generic test, one file a machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from zoo_cli.machine.facts import Capability, Gpu
from zoo_cli.machine.smi import OLD_QUERY, parse_banner, parse_query

CASES = sorted((Path(__file__).parent.parent / "cases" / "nvidia-smi").glob("*.yaml"))


def load(path: Path) -> dict[str, Any]:
    case: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return case


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_captured_text_is_read(path: Path) -> None:
    case = load(path)
    report = parse_query(case["query"])
    if report.is_old:
        report = parse_query(case["old_query"], OLD_QUERY)
    expect = case["expect"]
    assert report.driver == expect["driver"]
    assert report.has_mig == expect["mig"]
    assert [problem.code for problem in report.problems] == expect["problems"]
    found = [(gpu.name, str(gpu.capability) if gpu.capability else None, gpu.memory_bytes) for gpu in report.gpus]
    assert found == [tuple(row) for row in expect["gpus"]]
    banner = parse_banner(case["banner"])
    assert banner.cuda == expect["cuda"]
    if banner.driver:
        assert banner.driver == expect["driver"]


BANNERS = yaml.safe_load((Path(__file__).parent.parent / "cases" / "nvidia-smi-banners.yaml").read_text("utf-8"))


@pytest.mark.parametrize("case", BANNERS, ids=lambda case: f"{case['driver']}-{case['cuda']}")
def test_the_version_line_of_real_machines(case: dict[str, str]) -> None:
    report = parse_banner(case["line"])
    assert (report.driver, report.cuda, report.problems) == (case["driver"], case["cuda"], ())
    assert case["where"]


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 11


def test_old_tool_is_told_by_its_own_words() -> None:
    assert parse_query('Field "compute_cap" is not a valid field to query.').is_old
    assert not parse_query("535.1, 8.6, 1, [N/A], X").is_old


def test_a_problem_keeps_the_original_words() -> None:
    (problem,) = parse_query("Failed to initialize NVML: Insufficient Permissions").problems
    assert (problem.code, problem.source) == ("no-permission", "nvidia-smi")
    assert problem.detail == "Failed to initialize NVML: Insufficient Permissions"


names = st.from_regex(r"[A-Za-z][A-Za-z0-9 ,-]{0,40}[A-Za-z0-9]", fullmatch=True)
rows = st.tuples(names, st.integers(1, 99), st.integers(0, 9), st.integers(0, 10**6), st.booleans())


@given(st.lists(rows, min_size=1, max_size=8))
def test_every_row_becomes_a_gpu(described: list[tuple[str, int, int, int, bool]]) -> None:
    text = "".join(
        f"560.35.03, {major}.{minor}, {size}, {'Enabled' if mig else 'Disabled'}, {name}\n"
        for name, major, minor, size, mig in described
    )
    report = parse_query(text)
    expected = tuple(
        Gpu(name, Capability(major, minor), size * 2**20, source="nvidia-smi")
        for name, major, minor, size, _ in described
    )
    assert report.gpus == expected
    assert report.has_mig == any(row[4] for row in described)


@given(st.text(max_size=500), st.binary(max_size=500))
def test_hostile_text_gives_a_report(text: str, data: bytes) -> None:
    for hostile in (text, data.decode("utf-8", "replace"), "535.1, " + text, text * 50):
        report = parse_query(hostile)
        assert len(report.gpus) <= 1000
        assert parse_banner(hostile).gpus == ()
