"""What is written down beside a part file, and what of the bytes counts after another start of the machine."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.transfer.conftest import DIGEST
from zoo_cli.transfer import part as part_module
from zoo_cli.transfer.part import Part
from zoo_cli.transfer.ranges import merged
from zoo_cli.transfer.resume import State

if TYPE_CHECKING:
    from pathlib import Path

    from zoo_cli.transfer.ranges import Range

URL = "https://host/x.bin"
SIZE = 1000
BODY = os.urandom(SIZE)


def start_anew(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(part_module, "boot", lambda: name)


def begun(folder: Path, digest: str | None = None) -> Part:
    part = Part(folder / "x.bin", lambda: None)
    part.start(State(URL, '"1"', None, SIZE, digest))
    return part


def cut_off(part: Part) -> None:
    """What a power cut leaves of the process: nothing is told any more."""
    part._writeback.close()
    os.close(part._fd)
    part._fd = -1


def found(folder: Path) -> tuple[int, tuple[Range, ...]]:
    with Part(folder / "x.bin", lambda: None) as part:
        return part.size_bytes, part.ranges


def test_what_was_ended_in_order_counts_after_a_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start_anew(monkeypatch, "first")
    with begun(tmp_path) as part:
        part.write(memoryview(BODY[:300]))
    for name in ("first", "second", "third"):
        start_anew(monkeypatch, name)
        assert found(tmp_path) == (300, ())


def test_what_was_cut_off_counts_in_the_same_start_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start_anew(monkeypatch, "first")
    part = begun(tmp_path)
    part.write(memoryview(BODY[:300]))
    cut_off(part)
    part = Part(tmp_path / "x.bin", lambda: None)
    assert part.size_bytes == 300
    cut_off(part)
    start_anew(monkeypatch, "second")
    assert found(tmp_path) == (0, ())
    assert not list(tmp_path.iterdir())  # an empty part leaves nothing behind


def test_a_digest_tells_itself_what_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start_anew(monkeypatch, "first")
    part = begun(tmp_path, DIGEST)
    part.write(memoryview(BODY[:300]))
    cut_off(part)
    start_anew(monkeypatch, "second")
    assert found(tmp_path) == (300, ())


def test_bytes_added_after_a_start_count_when_they_are_ended_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_anew(monkeypatch, "first")
    with begun(tmp_path) as part:
        part.write(memoryview(BODY[:300]))
    start_anew(monkeypatch, "second")
    part = Part(tmp_path / "x.bin", lambda: None)
    part.write(memoryview(BODY[300:500]))
    record = json.loads((tmp_path / ".x.bin.zoo-part.json").read_text())
    assert (record["boot"], record["kept"]) == ("second", [[0, 300]])
    cut_off(part)
    start_anew(monkeypatch, "third")
    assert found(tmp_path) == (300, ())
    assert (tmp_path / ".x.bin.zoo-part").read_bytes() == BODY[:300]


RANGES = st.lists(st.tuples(st.integers(0, SIZE), st.integers(1, SIZE)), max_size=5).map(
    lambda pairs: [(first, min(SIZE, first + count)) for first, count in pairs if first < SIZE]
)


@given(before=RANGES, after=RANGES)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_never_more_is_told_than_the_disk_had(
    before: list[Range], after: list[Range], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several connections bring `before`, all ends in order; others bring `after`, and the power goes."""
    start_anew(monkeypatch, "first")
    with begun(tmp_path) as part:
        bring(part, before)
    start_anew(monkeypatch, "second")
    part = Part(tmp_path / "x.bin", lambda: None)
    if part.state is None:
        part.start(State(URL, '"1"', None, SIZE, None))
    bring(part, after)
    cut_off(part)
    start_anew(monkeypatch, "third")
    with Part(tmp_path / "x.bin", lambda: None) as part:
        data = (tmp_path / ".x.bin.zoo-part").read_bytes()
        told = {at for first, end in [(0, part.size_bytes), *part.ranges] for at in range(first, end)}
        assert told == {at for first, end in before for at in range(first, end)}
        assert all(data[at] == BODY[at] for at in told)
        part.restart()


def bring(part: Part, ranges: list[Range]) -> None:
    have = ((0, part.size_bytes), *part.ranges)
    file = part.begin_map(have)
    for number, (first, end) in enumerate(ranges, len(have)):
        file.write(memoryview(BODY[first:end]), number, first, first)
    file.release()
    part.keep_ranges(merged([*have, *ranges]))
