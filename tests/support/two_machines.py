"""Two computers with one cable: network namespaces that have an address each, and nothing else.

    with TwoMachines() as pair:
        pair.start_there([...])                 # on the machine `there`, 10.77.0.1
        pair.run([...], env=..., cwd=...)       # on the machine `here`, 10.77.0.2, which sees only that one

Needs root (or a skip). Namespaces end with the processes that hold them, which end with the `with`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from typing_extensions import Self

THERE, HERE = "10.77.0.1", "10.77.0.2"


class TwoMachines:
    """See the module's text."""

    def __init__(self) -> None:
        if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
            pytest.skip("making network namespaces needs root, unshare, nsenter and ip")
        self._children: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        try:
            self._there, self._here = self._namespace(), self._namespace()
            self._ip(self._there, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", self._here)
            for machine, address in ((self._there, THERE), (self._here, HERE)):
                self._ip(machine, "addr", "add", f"{address}/30", "dev", "cable")
                self._ip(machine, "link", "set", "cable", "up")
                self._ip(machine, "link", "set", "lo", "up")
        except BaseException:
            self._end()
            raise
        return self

    def _namespace(self) -> str:
        """A network namespace of its own, by the process that holds it."""
        argv = ["unshare", "--net", "sh", "-c", "echo ready; exec sleep 3600"]
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        self._children.append(child)
        assert child.stdout and child.stdout.readline() == "ready\n"
        return str(child.pid)

    @staticmethod
    def _ip(machine: str, *words: str) -> None:
        done = subprocess.run([*_inside(machine), "ip", *words], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no veth pair here: {done.stderr.strip()}")

    def start_there(self, argv: Sequence[object], env: Mapping[str, str]) -> str:
        """Starts a server on the other machine; gives the first line it says on stdout."""
        words = [*_inside(self._there), *map(str, argv)]
        child = subprocess.Popen(words, env=dict(env), stdout=subprocess.PIPE, text=True)
        self._children.append(child)
        assert child.stdout
        return child.stdout.readline().strip()

    def run(
        self, argv: Sequence[str | Path], env: Mapping[str, str], cwd: Path, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """A command on this machine."""
        return subprocess.run(
            [*_inside(self._here), *map(str, argv)], env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    def _end(self) -> None:
        for child in reversed(self._children):
            child.terminate()
            child.wait(timeout=15)
            if child.stdout:
                child.stdout.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()


def _inside(machine: str) -> list[str]:
    return ["nsenter", f"--net=/proc/{machine}/ns/net", "--"]
