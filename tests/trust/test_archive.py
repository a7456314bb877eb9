"""Entry names, collisions, and sdists that try to leave their folder."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_cli.trust.archive import UnsafeArchive, collisions, name_problem, unpack_sdist


def sdist(path: Path, *entries: tuple[str, bytes | None], kind: bytes = tarfile.REGTYPE, link: str = "") -> Path:
    """A .tar.gz; content None makes an entry of the given kind."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            if content is None:
                entry.type, entry.linkname = kind, link
                tar.addfile(entry)
            else:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["a/b.py", "mmcv-2.1.0/", "x.dist-info/RECORD", "a/…/ü.py", "console", "a..b/c"])
def test_harmless_names(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize(
    "name",
    [
        *("", "/etc/passwd", "../x", "a/../../x", "a/./b", "a//b", "C:/x", "c:x", "a\\b", "a\nb", "a\x00b"),
        *("nul", "a/CON.txt", "a./b", "b ", "x" * 1001),
    ],
)
def test_harmful_names(name: str) -> None:
    assert name_problem(name)


@given(st.text(max_size=60))
def test_a_harmless_name_stays_below_its_folder(name: str) -> None:
    root = Path("root").resolve()
    if name_problem(name) is None:
        inside = Path(f"{root}/{name}").resolve()
        assert inside != root
        assert root in inside.parents


def test_names_that_a_file_system_merges() -> None:
    assert collisions(["a", "b", "A", "ü", "u\u0308", "b"]) == [("a", "A"), ("ü", "u\u0308"), ("b", "b")]
    assert collisions(["a/", "b/", "a/c"]) == []


def test_an_honest_sdist(tmp_path: Path) -> None:
    archive = sdist(tmp_path / "x-1.tar.gz", ("x-1/setup.py", b"print()"), ("x-1/src/a.cpp", b"int a;"))
    top = unpack_sdist(archive, tmp_path)
    assert (top / "setup.py").read_bytes() == b"print()"
    assert (top / "src/a.cpp").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "entries",
    [
        (("x/../../escaped", b"1"),),
        (("/tmp-absolute/escaped", b"1"),),
        (("x/a", b"1"), ("x/A", b"2")),
        (("x/a", b"1"), ("x/a", b"2")),
        (("x/a", b"1"), ("y/b", b"2")),
        (),
    ],
)
def test_unsafe_sdists(tmp_path: Path, entries: tuple[tuple[str, bytes], ...]) -> None:
    archive = sdist(tmp_path / "x.tar.gz", *entries)
    (tmp_path / "into").mkdir()
    with pytest.raises(UnsafeArchive):
        unpack_sdist(archive, tmp_path / "into")
    assert not list(tmp_path.glob("escaped"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    archive = sdist(tmp_path / "x.tar.gz", ("x/a", b"1"), ("x/link", None), kind=kind, link="x/a")
    (tmp_path / "into").mkdir()
    with pytest.raises(UnsafeArchive, match="link or a special file"):
        unpack_sdist(archive, tmp_path / "into")


def test_a_link_farm_does_not_lead_out(tmp_path: Path) -> None:
    """Directories replaced by links between two entries: the way out of tarfile's own filter."""
    archive = tmp_path / "x.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        link = tarfile.TarInfo("x/out")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        tar.addfile(link)
        entry = tarfile.TarInfo("x/out/escaped")
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"1"))
    (tmp_path / "into").mkdir()
    with pytest.raises(UnsafeArchive):
        unpack_sdist(archive, tmp_path / "into")
    assert not (tmp_path / "escaped").exists()


@given(cut=st.integers(0, 199), flip=st.integers(0, 199))
def test_a_broken_archive_is_one_error(tmp_path_factory: pytest.TempPathFactory, cut: int, flip: int) -> None:
    folder = tmp_path_factory.mktemp("broken")
    data = bytearray(sdist(folder / "x.tar.gz", ("x/a", bytes(range(256)) * 4)).read_bytes())
    data[flip % len(data)] ^= 0xFF
    (folder / "x.tar.gz").write_bytes(data[: max(cut, 1) if cut < 150 else None])
    (folder / "into").mkdir()
    try:
        top = unpack_sdist(folder / "x.tar.gz", folder / "into")
    except UnsafeArchive as error:
        assert error.reason
    else:
        assert top.parent == folder / "into"


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    """The header promises more than any sdist has; nothing is unpacked for it."""
    entry = tarfile.TarInfo("x/a")
    entry.size = 3 << 30
    import gzip

    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(entry.tobuf() + bytes(1024)))
    with pytest.raises(UnsafeArchive, match="more than"):
        unpack_sdist(tmp_path / "x.tar.gz", tmp_path)
