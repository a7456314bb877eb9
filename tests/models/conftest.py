"""A small model zoo on loopback for every test that downloads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models.site import Site, build_index, environ_of, files_to_serve
from tests.support.server import Server


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build_index(tmp_path_factory.mktemp("index"))


@pytest.fixture
def site(index: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    database, wheel = index
    with Server(files_to_serve(wheel)) as server:
        environ = environ_of(tmp_path, database, server)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        yield Site(tmp_path, server, wheel, environ)
