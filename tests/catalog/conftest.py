"""The catalogue as the tests read it: the compatibility facts of the real index, compiled once a session."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from zoo_cli.catalog.compat import Matrix, read_matrix
from zoo_cli.catalog.compiler import compile_index
from zoo_cli.catalog.database import open_catalog

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

INDEX = Path(__file__).parent.parent.parent / "index"
PLATFORMS = ("linux_x86_64", "linux_aarch64", "win_amd64", "macos_x86_64", "macos_arm64")


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """zoo.db of this checkout's index/compat, without models, in a directory of its own."""
    directory = tmp_path_factory.mktemp("catalog")
    shutil.copytree(INDEX / "compat", directory / "index/compat")
    (directory / "index/models").mkdir()
    compile_index(directory / "index", directory / "zoo.db")
    return directory / "zoo.db"


@pytest.fixture(scope="session")
def catalog(compiled: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_catalog(compiled)) as connection:
        yield connection


@pytest.fixture(scope="session")
def matrices(catalog: sqlite3.Connection) -> dict[str, Matrix]:
    """The matrix of each platform."""
    return {platform: read_matrix(catalog, platform) for platform in PLATFORMS}
