"""The server for a lab: what good clients get, and that bad ones get nothing more."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mirror.conftest import served
from zoo_cli.cli.app import run
from zoo_cli.mirror import serve
from zoo_cli.mirror.pages import JSON_TYPE
from zoo_cli.mirror.serve import FileServer, Served

BODY = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(100_000))  # 3.2 MB


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "lab"
    (folder / "host" / "torch+cpu").mkdir(parents=True)
    (folder / "host" / "a.pth").write_bytes(BODY)
    (folder / "host" / "torch+cpu" / "한글 x.whl").write_bytes(b"wheel")
    (folder / "host" / "empty").write_bytes(b"")
    (folder / "host" / ".a.pth.zoo-part").write_bytes(b"unfinished")
    (folder / "simple" / "torch").mkdir(parents=True)
    (folder / "simple" / "torch" / "index.html").write_text("<html>")
    (folder / "simple" / "torch" / "index.json").write_text("{}")
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "linked").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    return folder


@pytest.fixture
def server(root: Path, answers: list[Served]) -> Iterator[FileServer]:
    with served(root, answers.append) as server:
        yield server


@pytest.fixture
def client(server: FileServer) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    yield connection
    connection.close()


def ask(
    client: http.client.HTTPConnection, path: str, method: str = "GET", **headers: str
) -> tuple[int, bytes, http.client.HTTPResponse]:
    client.putrequest(method, path, skip_accept_encoding=True)
    for name, value in headers.items():
        client.putheader(name.replace("_", "-"), value)
    client.endheaders()
    answer = client.getresponse()
    return answer.status, answer.read(), answer


def test_files_heads_and_kept_connections(client: http.client.HTTPConnection, answers: list[Served]) -> None:
    status, body, answer = ask(client, "/host/a.pth")
    assert (status, body) == (200, BODY) and answer.getheader("Accept-Ranges") == "bytes"
    kept = client.sock
    status, body, answer = ask(client, "/host/a.pth", "HEAD")
    assert (status, body, answer.getheader("Content-Length")) == (200, b"", str(len(BODY)))
    assert ask(client, "/host/torch%2Bcpu/%ED%95%9C%EA%B8%80%20x.whl?download=true")[1] == b"wheel"
    assert ask(client, "/host/empty")[:2] == (200, b"")
    assert client.sock is kept, "one connection for all"
    assert answers[0] == Served("127.0.0.1", "GET", "/host/a.pth", 200, len(BODY))


@pytest.mark.parametrize(
    ("asked", "status", "found"),
    [
        ("bytes=0-0", 206, BODY[:1]),
        ("bytes=1000-1999", 206, BODY[1000:2000]),
        (f"bytes={len(BODY) - 5}-", 206, BODY[-5:]),
        ("bytes=-7", 206, BODY[-7:]),
        (f"bytes=10-{10**17}", 206, BODY[10:]),
        (f"bytes={len(BODY)}-", 416, b""),
        ("bytes=-0", 416, b""),
        ("bytes=9-3", 200, BODY),
        ("bytes=0-1,5-6", 200, BODY),
        ("bytes=-", 200, BODY),
        ("lines=1-2", 200, BODY),
    ],
)
def test_ranges(client: http.client.HTTPConnection, asked: str, status: int, found: bytes) -> None:
    answer = ask(client, "/host/a.pth", Range=asked)
    assert answer[:2] == (status, found)
    if status == 206:
        first = BODY.index(found) if len(found) > 4 else None
        told = re.fullmatch(rf"bytes (\d+)-(\d+)/{len(BODY)}", answer[2].getheader("Content-Range") or "")
        assert told and int(told[2]) - int(told[1]) + 1 == len(found) and first in (None, int(told[1]))


def test_validators(client: http.client.HTTPConnection, root: Path) -> None:
    headers = ask(client, "/host/a.pth", "HEAD")[2].headers
    etag, changed = headers["ETag"], headers["Last-Modified"]
    assert ask(client, "/host/a.pth", If_None_Match=f'W/"x", {etag}')[:2] == (304, b"")
    assert ask(client, "/host/a.pth", If_Modified_Since=changed)[0] == 304
    assert ask(client, "/host/a.pth", If_Modified_Since="nonsense")[0] == 200
    assert ask(client, "/host/a.pth", Range="bytes=0-1", If_Range=etag)[0] == 206
    assert ask(client, "/host/a.pth", Range="bytes=0-1", If_Range='"other"')[:2] == (200, BODY)
    (root / "host" / "a.pth").write_bytes(b"other")
    assert ask(client, "/host/a.pth", Range="bytes=0-1", If_Range=etag)[:2] == (200, b"other")


def test_pages_come_in_the_form_that_is_asked_for(client: http.client.HTTPConnection) -> None:
    status, _body, answer = ask(client, "/simple/torch")
    assert (status, answer.getheader("Location")) == (301, "/simple/torch/")
    assert ask(client, "/simple/torch/")[2].getheader("Content-Type") == "text/html; charset=utf-8"
    page = ask(client, "/simple/torch/", Accept=f"{JSON_TYPE}, text/html;q=0.1")
    assert page[1] == b"{}" and page[2].getheader("Content-Type") == JSON_TYPE and page[2].getheader("Vary") == "Accept"
    assert ask(client, "/host/")[0] == 404, "no listing of what has no page"
    status, body, answer = ask(client, "/")
    assert (status, answer.getheader("Content-Length")) == (200, str(len(body))) and b"zoo mirror use" in body
    assert ask(client, "/", "HEAD")[:2] == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/../secret", "/host/../../secret", "/%2e%2e/secret", "/host/%2e%2e%2f%2e%2e%2fsecret", "/..%5csecret", "/link",
        "/linked/secret", "/linked/", "/host/.a.pth.zoo-part", "/host/a.pth/", "/host/a.pth/x", "/pipe", "//etc/passwd",
        "/%00", "/host/a.pth%00.html", "/%ff%fe", "http://127.0.0.1/host/a.pth", "/" + "x/" * 500, "*",
    ],
)  # fmt: skip
def test_nothing_outside_and_nothing_hidden(client: http.client.HTTPConnection, path: str) -> None:
    status, body, _answer = ask(client, path)
    assert status == 404 and body == b"", path


def raw(server: FileServer, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_only_get_and_head_and_no_smuggling(server: FileServer) -> None:
    assert b" 501 " in raw(server, b"POST /host/a.pth HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    inner = b"GET /host/empty HTTP/1.1\r\nHost: x\r\n\r\n"
    body = b"GET /host/empty HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(inner), inner)
    assert raw(server, body).count(b"HTTP/1.1") == 1
    two = b"GET /host/empty HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: %d\r\n\r\n%s" % (
        len(inner),
        inner,
    )
    assert raw(server, two).count(b"HTTP/1.1") == 1
    chunked = b"GET /host/empty HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert b" 400 " in raw(server, chunked)
    assert b"200" not in raw(server, b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n")[:40]
    many = b"GET /host/empty HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n"
    assert b" 431 " in raw(server, many)


def test_slow_and_silent_clients_are_left_and_one_more_waits_for_that(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "_REQUEST_SECONDS", 0.3)
    monkeypatch.setattr(serve, "_BLOCK_SECONDS", 0.3)
    monkeypatch.setattr(serve, "MAX_CONNECTIONS", 4)
    with served(root) as server:
        idle = [socket.create_connection(("127.0.0.1", server.server_port), timeout=10) for _ in range(4)]
        time.sleep(0.1)
        idle[0].sendall(b"GET /host/a.pth HTTP/1.1\r\nX: ")  # never ends its head
        assert urllib.request.urlopen(f"{server.url}host/empty", timeout=10).status == 200
        assert [each.recv(1) for each in idle] == [b""] * 4, "each is left when its time is over"
        for each in idle:
            each.close()
        with socket.socket() as slow:  # takes nothing of the body
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(("127.0.0.1", server.server_port))
            slow.sendall(b"GET /host/a.pth HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(1)
            slow.settimeout(10)
            got = sum(map(len, iter(lambda: slow.recv(65536), b"")))
        assert got < len(BODY)
        assert urllib.request.urlopen(f"{server.url}host/empty", timeout=10).status == 200


def test_a_new_client_gets_the_place_of_one_that_rests(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "MAX_CONNECTIONS", 4)
    with served(root) as server:
        kept = [http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10) for _ in range(7)]
        assert [ask(each, "/host/empty")[0] for each in kept] == [200] * 7
        ended = [each for each in kept if select.select([each.sock], [], [], 0.5)[0]]
        assert len(ended) == 3 and kept[-1] not in ended
        assert [ask(each, "/host/empty")[0] for each in kept if each not in ended] == [200] * 4
        for each in kept:
            each.close()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--port", "{port}"], "--port 0"), (["--host", "192.0.2.1"], "--host 0.0.0.0"),
        (["--host", "none.invalid"], "--host 0.0.0.0"),
    ],
)  # fmt: skip
def test_an_address_that_is_not_to_be_had_is_one_error(
    server: FileServer, root: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    (root / "mirror.json").write_text('{"zoo-mirror": 1, "files": []}')
    asked = [word.format(port=server.server_port) for word in words]
    assert run(["mirror", "serve", str(root), *asked]) == 1
    err = capsys.readouterr().err
    assert "cannot-serve" in err and says in err


def test_many_at_once(server: FileServer) -> None:
    found: list[int] = []

    def fetch() -> None:
        for _ in range(3):
            found.append(len(urllib.request.urlopen(f"{server.url}host/a.pth", timeout=30).read()))

    threads = [threading.Thread(target=fetch) for _ in range(16)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == [len(BODY)] * 48


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_with_a_download_under_way(root: Path, number: signal.Signals) -> None:
    (root / "mirror.json").write_text('{"zoo-mirror": 1, "files": []}')
    argv = [sys.executable, "-m", "zoo_cli", "mirror", "serve", str(root), "--port", "0"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout and child.stderr
        line = child.stdout.readline()
        found = re.fullmatch(r"zoo mirror use (http://127\.0\.0\.1:\d+/)\n", line)
        assert found, line
        answer = urllib.request.urlopen(f"{found[1]}host/a.pth", timeout=10)
        child.send_signal(number)
        assert child.wait(timeout=15) == 0
        assert "Stopped." in child.stderr.read()
        answer.close()
