"""The ordeal of benchmarks/transfer/kills.py, smaller."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.transfer.kills import MIB, run


@pytest.mark.slow
def test_twenty_kills_of_four_processes(tmp_path: Path) -> None:
    result = run(tmp_path, 64 * MIB, kills=20, processes=4, rate=700_000, seed=1)
    assert result.wrong == ()
    assert result.kills >= 10
    # Under 1 MiB a kill: what the sockets of the killed process held. A download that starts anew sends 64 MiB.
    assert result.left_bytes - 64 * MIB < result.kills * MIB
