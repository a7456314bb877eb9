"""Programs that are asked something: bounded in time and words, ended with all they started."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from zoo_cli.machine.child import Answer, CannotStart, ask


def run(script: str, *, timeout: float = 20, limit: int = 1 << 20) -> Answer:
    answer = ask((sys.executable, "-I", "-S", "-c", script), {}, timeout_seconds=timeout, limit_bytes=limit)
    assert isinstance(answer, Answer)
    return answer


def test_both_streams_and_the_exit_status() -> None:
    answer = run("import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)")
    assert answer == Answer(7, b"out\n", b"err\n")


def test_no_input_is_given() -> None:
    assert run("import sys; print(repr(sys.stdin.read()))").stdout == b"''\n"


def test_an_endless_talker_is_stopped() -> None:
    answer = run("while True: print('y' * 1000)", limit=50_000)
    assert len(answer.stdout) == 50_000
    assert answer.code != 0


def test_who_takes_too_long_is_ended_and_heard() -> None:
    answer = run("import time; print('so far', flush=True); time.sleep(600)", timeout=1.0)
    assert answer == Answer(None, b"so far\n", b"")


def test_grandchildren_end_too(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\ntime.sleep(600)"
    )
    pid = int(run(script, timeout=1.5).stdout)
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            break
        if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":  # ended; its new parent has not looked yet
            break
        time.sleep(0.05)
    else:
        raise AssertionError(f"process {pid} is still there")


def test_a_daemon_that_holds_the_pipe_is_not_waited_for() -> None:
    script = (
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)'])\nprint('done')"
    )
    assert run(script, timeout=20) == Answer(0, b"done\n", b"")


def test_programs_that_cannot_start(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("hello")
    assert ask((str(tmp_path / "gone"),), {}, timeout_seconds=5) == CannotStart("missing", "No such file or directory")
    plain = ask((str(text),), {}, timeout_seconds=5)
    assert isinstance(plain, CannotStart)
    assert plain.reason == "not-executable"
    text.chmod(0o755)
    foreign = ask((str(text),), {}, timeout_seconds=5)
    assert isinstance(foreign, CannotStart)
    assert foreign.reason == "failed"
    assert isinstance(ask(("a\0b",), {}, timeout_seconds=5), CannotStart)
