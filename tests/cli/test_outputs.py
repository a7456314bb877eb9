"""Where the answer goes: a reader that leaves, a full disk, a stream that is closed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = (("--help",), ("help", "filters"), ("list", "mmdet"), ("list", "mmdet", "--json"), ("fetch", "--help"))


def _run(words: tuple[str, ...], shell: str) -> subprocess.CompletedProcess[str]:
    """`zoo WORDS` with its stdout as a shell arranges it; the exit code is zoo's own."""
    script = f'set -o pipefail; "$0" -m zoo_cli "$@" {shell}'
    return subprocess.run(
        ("bash", "-c", script, sys.executable, *words), capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("reader", ["head -1", "true"])
def test_a_reader_that_leaves_is_no_fault(words: tuple[str, ...], reader: str) -> None:
    done = _run(words, f"| {reader}")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", ["| true", "2>&1 | true", "--events | head -1", "--json | true"])
def test_work_goes_on_when_the_reader_leaves_and_its_end_is_told(tmp_path: Path, shell: str) -> None:
    names = [f"{number}.txt" for number in range(20)]
    for name in names:
        (tmp_path / name).write_text(name)
    words = ("fetch", *(str(tmp_path / name) for name in (*names, "none")), "-o", str(tmp_path / "here"))
    assert _run(words, shell).returncode == 5
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == sorted(names)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
@pytest.mark.parametrize("words", COMMANDS[1:4], ids=" ".join)
def test_a_full_disk_is_told(words: tuple[str, ...]) -> None:
    done = _run(words, ">/dev/full")
    assert done.returncode == 1
    assert done.stderr.startswith("error[output-lost]: the answer cannot be written: No space left on device\n")
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_closed_stream_takes_nothing(words: tuple[str, ...]) -> None:
    done = _run(words, ">&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
