"""Where installed projects came from, put right after an installer: the record, its row, and nobody else's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.wheels import write_wheel
from zoo_cli.machine.facts import DirectUrl
from zoo_cli.machine.installed import read_files, read_installed
from zoo_cli.packages.directurl import NotRecorded, record
from zoo_cli.packages.executor import find_uv

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SOURCES = [
    DirectUrl("https://host/tiny.git", "git", COMMIT, "main", "python"),
    DirectUrl("file:///work/tiny", editable=True),
    DirectUrl("file:///work/tiny"),
    DirectUrl("https://host/tiny-1.0.tar.gz", sha256="ab" * 32),
]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Two projects, installed by uv from files."""
    wheels = [write_wheel(tmp_path, name, "1.0", files={f"{name}/__init__.py": ""}) for name in ("tiny", "other")]
    place = tmp_path / "site"
    argv = (str(find_uv()), "pip", "install", "--no-config", "--no-index", "--target", str(place), *map(str, wheels))
    subprocess.run(argv, check=True, capture_output=True, timeout=60)
    return place


@pytest.mark.parametrize("source", SOURCES, ids=lambda each: each.url)
def test_what_is_recorded_is_read_back(site: Path, source: DirectUrl) -> None:
    linked = site / "linked"
    linked.hardlink_to(site / "tiny-1.0.dist-info/direct_url.json")
    former = linked.read_bytes()
    record({"tiny": source}, [site])
    other, tiny = read_installed([site]).distributions
    assert tiny.direct_url == source
    assert tiny.built_from == source
    assert read_files(tiny).count("tiny-1.0.dist-info/direct_url.json") == 1
    assert other.direct_url and other.direct_url.is_wheel
    assert linked.read_bytes() == former  # a snapshot's link keeps what it had


def test_a_project_of_the_package_index_has_no_record(site: Path) -> None:
    record({"tiny": None}, [site, site])
    other, tiny = read_installed([site]).distributions
    assert tiny.direct_url is None
    assert "tiny-1.0.dist-info/direct_url.json" not in read_files(tiny)
    assert len(read_files(tiny)) == len(read_files(other)) - 1


def test_a_record_that_cannot_be_read_is_one_error(site: Path) -> None:
    (site / "tiny-1.0.dist-info/RECORD").write_bytes(b"\xff")
    with pytest.raises(NotRecorded, match="tiny"):
        record({"tiny": SOURCES[0]}, [site])
