"""One client and one misbehaving server: how a trial runs, in what surroundings, and what came of it."""

from __future__ import annotations

import hashlib
import os
import random
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tests.support.server import Behaviour, Exchange, Server

BODY = random.Random(3).randbytes(2 << 20)
DIGEST = hashlib.sha256(BODY).hexdigest()
HANG_SECONDS = 180.0
SOME = 900_000  # bytes before a fault in the middle
SLACK_BYTES = 700_000  # that may be sent again: what sockets held

End = Literal["right", "error", "wrong", "silent", "again", "hang"]
GOOD: tuple[End, ...] = ("right", "error")
Command = Callable[[str, Path, str | None], list[str]]  # of address, final name and second address


@dataclass
class Trial:
    """One client and one case: a server, a place, and what is done there."""

    client: str
    argv: Command
    folder: Path
    server: Server
    other: str | None = None  # the second address
    sent: int = 0
    address: str | None = None  # instead of the server's own
    environ: dict[str, str] = field(default_factory=dict)  # on top of the usual one
    before: list[str] = field(default_factory=list)  # shell commands, in a mount namespace of the client
    after: list[str] = field(default_factory=list)
    found: Path | None = (
        None  # where the file is in the end, when it is not `out`: a copy out of a namespace, a name in a directory
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def out(self) -> Path:
        """The final name."""
        return self.folder / "place" / "a.pth"

    def counted(self, behaviour: Behaviour) -> Behaviour:
        """The same, with the bytes of its body counted."""

        def behave(exchange: Exchange) -> None:
            before = exchange.send

            def send(data: bytes | memoryview) -> None:
                before(data)
                with self._lock:
                    self.sent += len(data)

            exchange.send = send  # type: ignore[method-assign]
            behaviour(exchange)

        return behave

    def start(self) -> subprocess.Popen[bytes]:
        """The client, begun."""
        self.out.parent.mkdir(exist_ok=True)
        environ = {**os.environ, "HOME": str(self.folder), "NO_PROXY": "*", "PYTHONPATH": "", **self.environ}
        for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "ZOO_CACHE", "ZOO_MIRRORS"):
            environ.pop(name, None)
        argv = self.argv(self.address or self.server.url("/a.pth"), self.out, self.other)
        if self.before:
            lines = ["set -e", *self.before, "set +e", '"$@"', "code=$?", *self.after, "exit $code"]
            argv = ["unshare", "-rm", "sh", "-c", "\n".join(lines), "sh", *argv]
        return subprocess.Popen(
            argv, env=environ, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip

    def ended(self, process: subprocess.Popen[bytes]) -> int | None:
        """Its exit status; None when it hangs, and was ended."""
        try:
            return process.wait(HANG_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return None

    def bind(self, text: str, over: str) -> None:
        """For the client a file of the system says this: /etc/hosts, /etc/resolv.conf."""
        mine = self.folder / over.replace("/", "_")
        mine.write_text(text)
        self.before.append(f"mount --bind {shlex.quote(str(mine))} {over}")

    def run(self) -> End:
        """The client to its end."""
        return self.verdict(self.ended(self.start()))

    def verdict(self, code: int | None, before: bytes | None = None) -> End:
        """What came of it; `before` stood under the final name."""
        if code is None:
            return "hang"
        out = self.found or self.out
        there = out.read_bytes() if out.is_file() else None
        if code == 0:
            return "right" if there == BODY else "silent"
        return "error" if there in (before, BODY) else "wrong"


Case = Callable[[Trial], End]


def always(behaviour: Behaviour) -> Case:
    """The fault stays, or it is none."""

    def case(trial: Trial) -> End:
        trial.server.always("/a.pth", behaviour)
        return trial.run()

    return case


def must(case: Case) -> Case:
    """Where only the right file is right."""

    def right(trial: Trial) -> End:
        end = case(trial)
        return "silent" if end == "error" else end

    return right
