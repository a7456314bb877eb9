"""The system is told of every step of bytes once, wherever in the file they came."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo_cli.transfer import writeback
from zoo_cli.transfer.writeback import Writeback

if TYPE_CHECKING:
    from pathlib import Path

STEP = writeback._STEP_BYTES

pytestmark = pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="there is no posix_fadvise here")


@given(writes=st.lists(st.tuples(st.integers(0, 3), st.integers(1, STEP)), max_size=40))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_told_was_written_and_never_twice(
    writes: list[tuple[int, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _fd, at, count, _advice: told.append((at, at + count)))
    ends = [piece * (1 << 40) for piece in range(4)]
    with (tmp_path / "f").open("wb") as file:
        back = Writeback(file.fileno())
        for piece, count in writes:
            back.wrote(ends[piece], count)
            ends[piece] += count
        back.close()
    for piece in range(4):
        first = piece * (1 << 40)
        ours = [each for each in told if first <= each[0] < first + (1 << 39)]
        assert [each[0] for each in ours] == [first, *(each[1] for each in ours)][: len(ours)]  # one follows the other
        assert all(STEP <= after - at < 2 * STEP for at, after in ours)
        told_up_to = ours[-1][1] if ours else first
        assert ends[piece] - STEP < told_up_to <= ends[piece]


def test_the_bytes_stay_as_they_are(tmp_path: Path) -> None:
    data = os.urandom(1 << 20) * 20
    with (tmp_path / "f").open("w+b", buffering=0) as file:
        back = Writeback(file.fileno())
        for at in range(0, len(data), 1 << 20):
            back.wrote(at, file.write(data[at : at + (1 << 20)]))
        back.close()
    assert (tmp_path / "f").read_bytes() == data
