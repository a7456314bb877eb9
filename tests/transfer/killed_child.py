"""A process that forks fetches, each of which kills itself before a file operation of its choice.

    python -m tests.transfer.killed_child URL DIGEST CACHE

Reads lines `start AT DESTINATION` (answers the process id; AT counts from 1, 0 is never) and `wait PID` (answers how it
ended). `after AT DESTINATION FILE` fetches FILE into that directory first, so that the one that counts is the second
file of a run. A fetch that comes to its operation says `reached`, one that ends without says `ended`, when AT is not 0.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from hashlib import sha256
from pathlib import Path

from tests.transfer.conftest import QUICK
from zoo_cli.transfer.fetch import Settings, Wanted, fetch
from zoo_cli.transfer.hashes import parse_sha256
from zoo_cli.transfer.store import Store

OPERATIONS = {"os.rename", "os.remove", "os.link", "os.truncate", "os.chmod", "os.utime", "os.mkdir", "fcntl.flock"}
UNHEARD = ("write", "pwrite", "fsync")  # what no audit event tells of
PAUSE_SECONDS = 0.03  # for a competitor to come and wait


def say(text: str) -> None:
    WRITE(1, f"{text}\n".encode())


class Countdown:
    """Ends this process before its `at`th file operation."""

    def __init__(self, at: int, folder: str) -> None:
        self.left, self.folder = at, folder

    def one(self) -> None:
        self.left -= 1
        if not self.left:
            say("reached")
            time.sleep(PAUSE_SECONDS)
            os.kill(os.getpid(), signal.SIGKILL)

    def hear(self, event: str, args: tuple[object, ...]) -> None:
        if event in OPERATIONS or (event == "open" and self._is_ours(*args)):
            self.one()

    def _is_ours(self, path: object, _mode: object, flags: object) -> bool:
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return bool(writes) and isinstance(path, (str, os.PathLike)) and str(path).startswith(self.folder)

    def watch(self) -> None:
        sys.addaudithook(self.hear)
        for name in UNHEARD:
            setattr(os, name, self._counted(getattr(os, name)))

    def _counted(self, function: object) -> object:
        def call(*args: object) -> object:
            self.one()
            return function(*args)  # type: ignore[operator]

        return call


WRITE = os.write


def start(at: int, destination: Path, url: str, digest: str, cache: Path, first: Path | None = None) -> None:
    told, tell = os.pipe()
    pid = os.fork()
    if pid:
        say(str(pid))
        os.write(tell, b"\n")
        os.close(tell)
        os.close(told)
        return
    code = 1
    try:
        os.read(told, 1)  # what it says comes after its number
        settings = Settings(connect_seconds=5, stall_seconds=5, proxies=QUICK.proxies, wait_seconds=0.01)
        store = Store(cache)
        if first:
            known = parse_sha256(sha256(first.read_bytes()).hexdigest())
            fetch(Wanted("first", (str(first),), sha256=known), destination.parent / "first", settings, store=store)
        if at:
            Countdown(at, str(cache.parent)).watch()
        fetch(Wanted("a.pth", (url,), sha256=parse_sha256(digest)), destination, settings, store=store)
        if at:
            say("ended")
        code = 0
    finally:
        os._exit(code)


def main(url: str, digest: str, cache: Path) -> None:
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        if word in ("start", "after"):
            at, destination, *first = rest.split()
            start(int(at), Path(destination), url, digest, cache, *(Path(each) for each in first))
        else:
            say(str(os.waitstatus_to_exitcode(os.waitpid(int(rest), 0)[1])))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
