"""Asking another program a question, with a bound on its time and on its words.

Edge: starts processes. The program gets no input, a process group of its own, and is ended with all it started when it
takes too long or says too much; what it said until then is kept.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_NOT_ITS_BUSINESS = ("PIP_", "UV_", "ZOO_SIGNING_PASSPHRASE")


class Answer(NamedTuple):
    """What a program said; `code` is its exit status, negative for a signal, None when it took too long."""

    code: int | None
    stdout: bytes
    stderr: bytes


class CannotStart(NamedTuple):
    """The program could not be started at all."""

    reason: str  # missing | not-executable | failed
    detail: str


def ask(
    argv: Sequence[str], environ: Mapping[str, str], *, timeout_seconds: float, limit_bytes: int = 1 << 20
) -> Answer | CannotStart:
    """Runs a program and returns what it said, at most `limit_bytes` of each stream.

    It gets the environment without the settings of installers, which may hold a password.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={name: value for name, value in environ.items() if not name.startswith(_NOT_ITS_BUSINESS)},
            start_new_session=True,
        )
    except FileNotFoundError as exc:
        return CannotStart("missing", str(exc.strerror))
    except PermissionError as exc:
        return CannotStart("not-executable", str(exc.strerror))
    except (OSError, ValueError, subprocess.SubprocessError) as exc:
        return CannotStart("failed", str(exc)[:300])
    return _listen(process, timeout_seconds, limit_bytes)


def _listen(process: subprocess.Popen[bytes], timeout_seconds: float, limit_bytes: int) -> Answer:
    said: dict[str, bytes] = {}

    def keep(name: str, stream: IO[bytes]) -> None:
        parts: list[bytes] = []
        left = limit_bytes
        with contextlib.suppress(OSError, ValueError):  # closed under us after a time-out
            while left > 0 and (part := os.read(stream.fileno(), min(left, 65536))):
                parts.append(part)
                left -= len(part)
                said[name] = b"".join(parts)
        stream.close()  # whoever goes on talking gets SIGPIPE

    assert process.stdout
    assert process.stderr
    threads = [
        threading.Thread(target=keep, args=("stdout", process.stdout), daemon=True),
        threading.Thread(target=keep, args=("stderr", process.stderr), daemon=True),
    ]
    for thread in threads:
        thread.start()
    code = _end(process, timeout_seconds)
    for thread in threads:
        thread.join(1)
        if thread.is_alive():  # something that the program started holds the pipe
            _kill(process)
            thread.join(1)
    return Answer(code, said.get("stdout", b""), said.get("stderr", b""))


def _end(process: subprocess.Popen[bytes], timeout_seconds: float) -> int | None:
    """Waits for the end, or makes one; what hangs inside the kernel cannot be ended and is left behind.

    A thread waits, because `Popen.wait` with a time-out polls and notices the end up to 50 ms late.
    """
    waiter = threading.Thread(target=process.wait, daemon=True)
    waiter.start()
    try:
        waiter.join(timeout_seconds)
    finally:  # also on Ctrl-C: the child goes first
        has_ended = not waiter.is_alive()
        if not has_ended:
            _kill(process)
            waiter.join(1)
    return process.returncode if has_ended else None


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
