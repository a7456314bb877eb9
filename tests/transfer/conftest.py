from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.server import Server
from zoo_cli.transfer.events import Event
from zoo_cli.transfer.fetch import Settings, Wanted
from zoo_cli.transfer.hashes import Sha256
from zoo_cli.transfer.settings import Proxies

# Bytes of which each block differs, so that a piece in the wrong place is seen.
BODY = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(12_000))  # 384 kB
DIGEST = Sha256(hashlib.sha256(BODY).hexdigest())
QUICK = Settings(
    connect_seconds=2, stall_seconds=0.4, min_bytes_per_second=2000, wait_seconds=0.01, proxies=Proxies(), sync=False
)


@dataclass
class Heard:
    """A listener that keeps what it is told."""

    events: list[Event] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[Event]) -> list[Event]:
        return [each for each in self.events if isinstance(each, kind)]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server({"/a.pth": BODY, "/b.pth": BODY}) as server:
        yield server


def wanted(*urls: str, **facts: object) -> Wanted:
    """`a.pth` with its digest known, unless told otherwise."""
    return Wanted("a.pth", urls, **{"sha256": DIGEST, **facts})  # type: ignore[arg-type]


def nothing_but(folder: Path, *names: str) -> None:
    """The folder has these files and no part, lock or temporary file."""
    assert sorted(each.name for each in folder.iterdir()) == sorted(names)
