"""Heads and bodies as they come over a socket, in any pieces; http.client is the reference for what a head means."""

from __future__ import annotations

import http.client
import io
import socket
import threading
from contextlib import closing, suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.server import Server
from tests.transfer.conftest import BODY, QUICK
from zoo_cli.transfer.addresses import parse_address
from zoo_cli.transfer.failures import BadAnswer, Failed, Unreachable
from zoo_cli.transfer.http import Session
from zoo_cli.transfer.pool import Pool
from zoo_cli.transfer.stream import Chunks, Ended, Malformed, Stream, parse_head


def fed(data: bytes, sizes: list[int]) -> tuple[Stream, socket.socket]:
    """A stream that gets the data in pieces of these sizes, then its end."""
    ours, theirs = socket.socketpair()

    def send() -> None:
        with closing(theirs), suppress(BrokenPipeError):  # the reader has had enough
            rest = data
            for size in sizes:
                theirs.sendall(rest[:size])
                rest = rest[size:]
            theirs.sendall(rest)

    threading.Thread(target=send, daemon=True).start()
    return Stream(ours), ours


def body_of(chunks: Chunks) -> bytes:
    found, view = b"", memoryview(bytearray(100))
    while count := chunks.read_into(view, 2):
        found += bytes(view[:count])
    return found


PIECES = st.lists(st.integers(1, 40), max_size=12)


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=6), PIECES)
def test_law_chunks_in_any_pieces_are_the_body(parts: list[bytes], sizes: list[int]) -> None:
    coded = b"".join(b"%x;a=b\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\nX: y\r\n\r\nnext"
    stream, ours = fed(coded, sizes)
    with closing(ours):
        chunks = Chunks(stream)
        assert body_of(chunks) == b"".join(parts) and chunks.is_complete
        rest = memoryview(bytearray(9))
        assert bytes(rest[: stream.read_into(rest, 2)]) in (b"n", b"ne", b"nex", b"next")  # what follows is not touched


@pytest.mark.parametrize(
    ("data", "error"),
    [(b"zz\r\n", Malformed), (b"5\r\nabc", Ended), (b"3\r\nabcX\r\n0\r\n\r\n", Malformed), (b"-1\r\n", Malformed),
     (b"3\r\nabc\r\n", Ended), (b"f" * 5000, Malformed), (b"\r\n", Malformed), (b"0x5\r\nabcde\r\n", Malformed)],
)  # fmt: skip
def test_broken_chunks(data: bytes, error: type[Exception]) -> None:
    stream, ours = fed(data, [])
    with closing(ours), pytest.raises(error):
        body_of(Chunks(stream))


NAMES = st.text("abcXYZ-_09", min_size=1, max_size=12)
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(200, 599), VALUES, st.lists(st.tuples(NAMES, VALUES), max_size=8), PIECES)
def test_law_a_head_means_what_http_client_reads(
    status: int, reason: str, fields: list[tuple[str, str]], sizes: list[int]
) -> None:
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in fields)]
    data = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    stream, ours = fed(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + data + b"body", sizes)
    with closing(ours):
        head = stream.head(2)

    class Sock:
        def makefile(self, _mode: str) -> io.BytesIO:
            return io.BytesIO(data)

    theirs = http.client.HTTPResponse(Sock())  # type: ignore[arg-type]
    theirs.begin()
    assert (head.status, head.reason) == (theirs.status, theirs.reason)
    assert head.fields == {name.lower(): value.strip() for name, value in theirs.getheaders()}


@given(st.binary(max_size=300))
def test_law_no_bytes_break_the_reader(data: bytes) -> None:
    stream, ours = fed(b"HTTP/1.1 200" + data, [])
    with closing(ours):
        try:
            head = stream.head(2)
        except (Malformed, Ended):
            return
        assert head.status == 200


def test_limits_of_a_head() -> None:
    with pytest.raises(Malformed, match="more than 100"):
        parse_head(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 101)
    stream, ours = fed(b"HTTP/1.1 200 OK\r\n" + b"a: " + b"b" * 70_000, [])
    with closing(ours), pytest.raises(Malformed, match="longer"):
        stream.head(2)
    assert parse_head(b"HTTP/1.0 200 OK\r\na: b\r\n  c\r\n\r\n").fields == {"a": "b c"}
    assert parse_head(b"HTTP/1.0 200 OK").closes and not parse_head(b"HTTP/1.1 200 OK").closes
    assert parse_head(b"HTTP/1.1 200 OK\r\nConnection: Close, te").closes


# -- kept connections -------------------------------------------------------------------------------------------------


def get(session: Session, url: str) -> bytes:
    with session.get(url) as answer:
        return answer.read(len(BODY) + 1)


def test_a_connection_is_used_again_and_a_dead_one_is_replaced(server: Server) -> None:
    address = parse_address(server.url("/a.pth"))
    with Pool() as pool, Session(QUICK, pool) as session:
        assert get(session, server.url("/a.pth")) == get(session, server.url("/b.pth")) == BODY
        connection = pool.take(address, QUICK, may_be_private=True)
        assert not connection.is_fresh
        connection.stream.sock.shutdown(socket.SHUT_RDWR)  # as a server does that had enough
        pool.give(connection, reusable=True)
        assert get(session, server.url("/a.pth")) == BODY


def test_a_host_bears_only_so_many_connections(server: Server) -> None:
    address = parse_address(server.url("/a.pth"))
    pool = Pool(per_host=2, in_all=3)
    with pool:
        first = pool.take(address, QUICK, may_be_private=True)
        second = pool.try_take(address, QUICK, may_be_private=True)
        assert second is not None and pool.try_take(address, QUICK, may_be_private=True) is None
        with pytest.raises(Unreachable, match="all are in use"):
            pool.take(address, QUICK.within(0.05), may_be_private=True)
        threading.Timer(0.1, lambda: pool.give(second, reusable=True)).start()
        assert pool.take(address, QUICK, may_be_private=True) is second
        pool.give(first, reusable=False)
        pool.give(second, reusable=True)
        elsewhere = parse_address(server.url("/a.pth").replace("127.0.0.1", "localhost"))
        others = [pool.try_take(elsewhere, QUICK, may_be_private=True) for _ in range(2)]
        assert None not in others  # the idle one was closed to make room
        for each in others:
            assert each is not None
            pool.give(each, reusable=False)


def test_a_failed_connect_frees_its_place() -> None:
    pool = Pool(per_host=1)
    for _ in range(3):
        with pytest.raises(Failed):
            pool.take(parse_address("http://127.0.0.1:1/x"), QUICK, may_be_private=True)


def test_headers_with_line_breaks_are_not_sent(server: Server) -> None:
    with Session(QUICK) as session, pytest.raises(BadAnswer):
        session.get(server.url("/a.pth"), {"If-Range": "x\r\nY: z"})
    assert server.requests == []
