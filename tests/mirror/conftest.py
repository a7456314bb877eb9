"""The small model zoo on loopback, and a mirror of it that is served."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.models.conftest import index, site
from zoo_cli.mirror.serve import FileServer, Served

__all__ = ["index", "site"]


@contextmanager
def served(root: Path, listen: Callable[[Served], None] = lambda _served: None) -> Iterator[FileServer]:
    """zoo's own server of a directory, in a thread of this process."""
    server = FileServer(root, "127.0.0.1", 0, listen)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def answers() -> list[Served]:
    """What a server told of its answers."""
    return []
