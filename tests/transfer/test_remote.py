from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.server import Cut, Exchange, OtherFile, Server, Status, honest, ignores_range
from tests.transfer.conftest import BODY, QUICK
from zoo_cli.transfer.documents import read_document
from zoo_cli.transfer.failures import AllSourcesFailed, BadAnswer, HttpFailed, LocalFileFailed, TooLarge
from zoo_cli.transfer.remote import BLOCK_BYTES, RemoteFile


def archive() -> bytes:
    """A zip with one small member among 4 MB of others."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for number in range(10):
            file.writestr(f"big{number}.bin", BODY)
        file.writestr("pkg/config.py", "model = dict(type='X')\n")
    return buffer.getvalue()


ARCHIVE = archive()


def test_one_member_of_a_zip_costs_little() -> None:
    with Server({"/x.whl": ARCHIVE}) as server, RemoteFile(server.url("/x.whl"), QUICK) as remote:
        with zipfile.ZipFile(remote) as file:
            assert file.read("pkg/config.py") == b"model = dict(type='X')\n"
            assert remote.fetched_bytes <= 2 * BLOCK_BYTES
            assert file.read("big3.bin") == BODY
        assert remote.size_bytes == len(ARCHIVE)
        assert remote.fetched_bytes < len(ARCHIVE) / 3
        assert len(server.requests) < 10


def test_a_server_without_ranges_gives_the_whole_within_the_limit() -> None:
    with Server({"/x.whl": ARCHIVE}) as server:
        server.always("/x.whl", ignores_range)
        with RemoteFile(server.url("/x.whl"), QUICK) as remote, zipfile.ZipFile(remote) as file:
            assert file.read("big3.bin") == BODY
        assert len(server.requests) == 1
        with pytest.raises(TooLarge):
            RemoteFile(server.url("/x.whl"), QUICK, max_bytes=1_000_000)
        server.misbehave("/x.whl", Status(501))
        with RemoteFile(server.url("/x.whl"), QUICK) as remote:
            assert remote.size_bytes == len(ARCHIVE)


def first_for_last(exchange: Exchange) -> None:
    """Takes the last N bytes for the first N and one more, as s3rver does."""
    count = (exchange.request.range or "").removeprefix("bytes=-")
    if count.isdigit():
        last = min(int(count), len(exchange.body) - 1)
        where = f"bytes 0-{last}/{len(exchange.body)}"
        exchange.head(206, {"ETag": exchange.etag, "Content-Length": last + 1, "Content-Range": where})
        exchange.send(exchange.body[: last + 1])
    else:
        exchange.honest()


@pytest.mark.parametrize("size", [len(ARCHIVE), BLOCK_BYTES // 2, BLOCK_BYTES, BLOCK_BYTES + 1])
def test_a_server_that_takes_the_end_for_the_beginning(size: int) -> None:
    body = ARCHIVE[:size]
    with Server({"/x": body}) as server:
        server.always("/x", first_for_last)
        with RemoteFile(server.url("/x"), QUICK) as remote:
            assert remote.size_bytes == len(body) and remote.fetched_bytes <= BLOCK_BYTES
            remote.seek(-10, io.SEEK_END)
            assert remote.read() == body[-10:]
            remote.seek(0)
            assert remote.read() == body


def test_a_file_that_changes_while_it_is_read_is_an_error_never_a_mixture() -> None:
    with Server({"/x": BODY}) as server, RemoteFile(server.url("/x"), QUICK._replace(retries=0)) as remote:
        server.always("/x", OtherFile(BODY[::-1]))
        with pytest.raises(BadAnswer, match="changed"):
            remote.read(10)


def test_a_cut_range_is_asked_again() -> None:
    with Server({"/x": BODY}) as server:
        server.misbehave("/x", Cut(100), honest, Cut(100))
        with RemoteFile(server.url("/x"), QUICK) as remote:
            assert remote.read(100) == BODY[:100]


def test_local_files_and_several_addresses(tmp_path: Path) -> None:
    path = tmp_path / "x.whl"
    path.write_bytes(ARCHIVE)
    for url in (str(path), path.as_uri()):
        with RemoteFile((str(tmp_path / "none"), url), QUICK) as remote, zipfile.ZipFile(remote) as file:
            assert len(file.namelist()) == 11
    with pytest.raises(LocalFileFailed):
        RemoteFile(str(tmp_path / "none"), QUICK)
    with Server({}) as server:
        with pytest.raises(HttpFailed):
            RemoteFile(server.url("/none"), QUICK)
        with pytest.raises(AllSourcesFailed):
            RemoteFile((server.url("/none"), str(tmp_path / "none")), QUICK)


@pytest.fixture(scope="module")
def remote() -> Iterator[RemoteFile]:
    with Server({"/x": BODY}) as server, RemoteFile(server.url("/x"), QUICK) as file:
        yield file


@given(st.integers(0, len(BODY) + 10), st.integers(0, 200_000), st.integers(0, 2))
def test_every_read_is_what_a_local_file_gives(remote: RemoteFile, start: int, count: int, whence: int) -> None:
    local = io.BytesIO(BODY)
    offset = start - (0, local.tell(), len(BODY))[whence]
    remote.seek(0)
    assert remote.seek(offset, whence) == local.seek(offset, whence) == remote.tell()
    assert remote.read(count) == local.read(count)


def test_it_is_a_file_object(remote: RemoteFile) -> None:
    assert remote.readable() and remote.seekable() and not remote.writable()
    with pytest.raises(ValueError, match="negative"):
        remote.seek(-1)
    remote.seek(len(BODY) - 5)
    assert remote.read() == BODY[-5:] and remote.read() == b""


def test_documents(tmp_path: Path) -> None:
    page = "<a href='ü'>".encode("latin-1")
    with Server({"/page/": page, "/x.json": b"{}"}) as server:
        found = read_document(server.url("/x.json"), 100, QUICK, accept="application/json")
        assert (found.body, found.content_type, found.text) == (b"{}", "application/json", "{}")
        assert server.requests[0].headers["accept"] == "application/json"
        assert read_document((server.url("/none"), server.url("/page/")), 100, QUICK).body == page
        with pytest.raises(TooLarge):
            read_document(server.url("/page/"), 5, QUICK)
        (tmp_path / "page.html").write_bytes(page)
        local = read_document(str(tmp_path / "page.html"), 100, QUICK)
        assert local.url == (tmp_path / "page.html").as_uri() and "�" in local.text
        with pytest.raises(TooLarge):
            read_document(str(tmp_path / "page.html"), 5, QUICK)
        with pytest.raises(LocalFileFailed):
            read_document(str(tmp_path), 5, QUICK)
