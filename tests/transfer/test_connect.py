"""TLS, proxies and networks, with real certificates, a real proxy and real redirects."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.network import stuck
from tests.support.server import Redirect, Server
from tests.transfer.conftest import BODY, QUICK, wanted
from zoo_cli.transfer import connect as connecting
from zoo_cli.transfer.addresses import parse_address
from zoo_cli.transfer.connect import connect
from zoo_cli.transfer.failures import AddressRefused, BadCaBundle, CutShort, RedirectRefused, Unreachable
from zoo_cli.transfer.fetch import fetch
from zoo_cli.transfer.settings import Proxies, Settings

ONCE = QUICK._replace(retries=0)
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="makes its certificate with openssl")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key in the same file."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-days", "2", "-subj", "/CN=zoo test",
            "-addext", "subjectAltName=IP:127.0.0.1",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return folder


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    with Server({"/a.pth": BODY}, tls=context) as server:
        yield server


@needs_openssl
def test_an_unknown_certificate_is_refused_and_a_lab_authority_can_be_added(
    tls_server: Server, certificate: Path, tmp_path: Path
) -> None:
    url = tls_server.url("/a.pth")
    with pytest.raises(Unreachable) as caught:
        fetch(wanted(url), tmp_path / "a.pth", QUICK)
    assert caught.value.is_certificate and "self-signed" in caught.value.reason.replace("self signed", "self-signed")
    settings = QUICK._replace(ca_bundle=str(certificate / "cert.pem"))
    assert fetch(wanted(url), tmp_path / "a.pth", settings).size_bytes == len(BODY)
    with pytest.raises(Unreachable, match=r"mismatch|not valid"):
        fetch(wanted(url.replace("127.0.0.1", "localhost")), tmp_path / "b.pth", settings._replace(retries=0))


@needs_openssl
def test_https_never_leads_to_http(tls_server: Server, certificate: Path, server: Server, tmp_path: Path) -> None:
    tls_server.always("/a.pth", Redirect(server.url("/a.pth")))
    with pytest.raises(RedirectRefused, match="leaves https"):
        fetch(
            wanted(tls_server.url("/a.pth")), tmp_path / "a.pth", ONCE._replace(ca_bundle=str(certificate / "cert.pem"))
        )
    assert server.requests == []


@needs_openssl
def test_a_tls_stream_cut_without_a_goodbye_is_no_end(certificate: Path, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        raw, _peer = listener.accept()
        stream = context.wrap_socket(raw, server_side=True)
        stream.recv(65536)
        stream.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY[:1000])
        stream.detach()  # the socket goes away below TLS: no close_notify
        socket.close(raw_fd.pop())

    raw_fd: list[int] = []
    original = context.wrap_socket

    def wrap(raw: socket.socket, server_side: bool) -> ssl.SSLSocket:
        raw_fd.append(raw.fileno())
        return original(raw, server_side=server_side)

    context.wrap_socket = wrap  # type: ignore[method-assign, assignment]
    thread = threading.Thread(target=answer)
    thread.start()
    settings = ONCE._replace(ca_bundle=str(certificate / "cert.pem"))
    with listener, pytest.raises(CutShort):
        fetch(wanted(f"https://127.0.0.1:{listener.getsockname()[1]}/a", sha256=None), tmp_path / "a", settings)
    thread.join()


def test_a_ca_bundle_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/a"
        for path in ("ca.pem", "none.pem"):
            with pytest.raises(BadCaBundle):
                fetch(wanted(url), tmp_path / "a.pth", ONCE._replace(ca_bundle=str(tmp_path / path)))


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "0.0.0.0", "224.0.0.1", "[::ffff:169.254.169.254]"])
def test_networks_that_are_never_connected_to(host: str, tmp_path: Path) -> None:
    with pytest.raises(AddressRefused):
        fetch(wanted(f"http://{host}/latest/meta-data"), tmp_path / "x", ONCE)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]"])
def test_a_public_page_cannot_lead_into_a_private_network(host: str) -> None:
    """The check is on the address connected to, so no spelling of it helps."""
    with pytest.raises(AddressRefused):
        connect(parse_address(f"http://{host}:9/x"), QUICK, may_be_private=False)


class _Proxy(BaseHTTPRequestHandler):
    """A forward proxy: absolute-form GET, and CONNECT tunnels."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self._note()
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def do_CONNECT(self) -> None:
        self._note()
        host, port = self.path.rsplit(":", 1)
        if host == "refused.example":
            self.send_error(403)
            return
        with socket.create_connection((host, int(port))) as upstream:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_pump, args=(upstream, self.connection))
            back.start()
            _pump(self.connection, upstream)
            back.join()
        self.close_connection = True

    def _note(self) -> None:
        type(self).seen.append((self.requestline, self.headers.get("Proxy-Authorization")))

    def log_message(self, *_args: object) -> None: ...


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    _Proxy.seen = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Proxy)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://me:pw@127.0.0.1:{server.server_address[1]}", _Proxy.seen
    server.shutdown()
    server.server_close()
    thread.join()


def test_http_goes_through_a_proxy(proxy: tuple[str, list[tuple[str, str | None]]], tmp_path: Path) -> None:
    url, seen = proxy
    settings = QUICK._replace(proxies=Proxies(http=url, direct=("127.0.0.1",)))
    fetch(wanted("http://somewhere.example/a.pth?x=1"), tmp_path / "a.pth", settings)
    assert seen == [("GET http://somewhere.example/a.pth?x=1 HTTP/1.1", "Basic bWU6cHc=")]


@needs_openssl
def test_https_goes_through_a_tunnel(
    proxy: tuple[str, list[tuple[str, str | None]]], tls_server: Server, certificate: Path, tmp_path: Path
) -> None:
    url, seen = proxy
    settings = ONCE._replace(proxies=Proxies(https=url), ca_bundle=str(certificate / "cert.pem"))
    fetch(wanted(tls_server.url("/a.pth")), tmp_path / "a.pth", settings)
    assert seen == [(f"CONNECT 127.0.0.1:{tls_server.port} HTTP/1.1", "Basic bWU6cHc=")]
    assert "proxy-authorization" not in tls_server.requests[0].headers
    with pytest.raises(Unreachable, match="403") as caught:
        fetch(wanted("https://refused.example/a"), tmp_path / "b", settings)
    assert "pw" not in str(caught.value)


@needs_openssl
def test_authorities_are_read_while_the_name_is_looked_up(
    tls_server: Server, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up, read = socket.getaddrinfo, threading.Event()

    def patient(*words: object, **more: object) -> object:
        assert read.wait(5), "nothing was read while the resolver was asked"
        return look_up("127.0.0.1", tls_server.port, type=socket.SOCK_STREAM)

    class Context(ssl.SSLContext):
        def load_verify_locations(self, *words: object, **more: object) -> None:
            super().load_verify_locations(*words, **more)  # type: ignore[arg-type]
            read.set()

    monkeypatch.setattr(ssl, "create_default_context", lambda: Context(ssl.PROTOCOL_TLS_CLIENT))
    monkeypatch.setattr(socket, "getaddrinfo", patient)
    connecting._context.cache_clear()
    fetch(wanted(tls_server.url("/a.pth")), tmp_path / "a.pth", ONCE._replace(ca_bundle=str(certificate / "cert.pem")))
    assert (tmp_path / "a.pth").read_bytes() == BODY
    connecting._context.cache_clear()


def test_proxies_are_read_as_curl_reads_them() -> None:
    environ = {"HTTPS_PROXY": "http://p:1", "http_proxy": "http://q:2", "NO_PROXY": "localhost,.lab.example,h:81, *.x"}
    proxies = Proxies.from_environ(environ)
    assert proxies.for_host("https", "pypi.org", 443) == "http://p:1"
    assert proxies.for_host("http", "pypi.org", 80) == "http://q:2"
    for host, port in (("localhost", 80), ("a.lab.example", 1), ("lab.example", 1), ("h", 81), ("a.x", 1)):
        assert proxies.for_host("http", host, port) is None
    assert proxies.for_host("http", "h", 82) == "http://q:2"
    assert proxies.for_host("http", "notlab.example", 1) == "http://q:2"
    lab = Proxies.from_environ(
        {"ALL_PROXY": "http://a", "NO_PROXY": "localhost 127.0.0.0/8,10.1.0.0/16, [::1] fd00::/8 x/y"}
    )
    for host in ("localhost", "127.0.0.1", "10.1.255.3", "::1", "fd00::2"):
        assert lab.for_host("https", host, 443) is None
    for host in ("10.2.0.1", "fe80::1", "host.10.1.0.0"):
        assert lab.for_host("https", host, 443) == "http://a"
    assert Proxies.from_environ({"NO_PROXY": "*", "ALL_PROXY": "http://a"}).for_host("http", "h", 1) is None
    assert Proxies.from_environ({"HTTP_PROXY": "http://evil", "REQUEST_METHOD": "GET"}).http is None


def test_time_left_bounds_every_wait() -> None:
    settings = Settings(connect_seconds=10, stall_seconds=30)
    assert settings.within(None) is settings
    assert (settings.within(3).connect_seconds, settings.within(3).stall_seconds) == (3, 3)
    assert settings.within(100) == settings._replace(total_seconds=100)


def found_as(monkeypatch: pytest.MonkeyPatch, *ips: str) -> None:
    """What the resolver says of two.example; everything below it is real."""
    families = [(socket.AF_INET6 if ":" in ip else socket.AF_INET, ip) for ip in ips]
    monkeypatch.setattr(connecting, "_look_up", lambda *_: families)


@pytest.mark.parametrize("dead", ["::1", "127.0.0.2"])
def test_a_dead_address_before_a_good_one_costs_a_moment(
    dead: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found_as(monkeypatch, dead, "127.0.0.1")
    held = stuck(socket.AF_INET6 if ":" in dead else socket.AF_INET, dead, server.port)
    began = time.monotonic()
    url = f"http://two.example:{server.port}/a.pth"
    fetch(wanted(url), tmp_path / "a.pth", ONCE._replace(connect_seconds=8))
    assert time.monotonic() - began < 2 and (tmp_path / "a.pth").read_bytes() == BODY
    for each in held:
        each.close()
    fetch(wanted(url), tmp_path / "b.pth", ONCE)  # refused at once: the next one is not waited for


def test_all_dead_is_one_error_in_bounded_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.3", 0)) as found:
        port = found.getsockname()[1]
    held = [*stuck(socket.AF_INET, "127.0.0.2", port), *stuck(socket.AF_INET6, "::1", port)]
    found_as(monkeypatch, "::1", "127.0.0.2", "127.0.0.4", "100::1")
    began = time.monotonic()
    with pytest.raises(Unreachable) as caught:
        fetch(wanted(f"http://two.example:{port}/a"), tmp_path / "a", ONCE._replace(connect_seconds=1.5))
    assert 1 < time.monotonic() - began < 3
    for ip, why in (("::1", "no answer"), ("127.0.0.2", "no answer"), ("127.0.0.4", "refused"), ("100::1", "")):
        assert f"{ip} port {port}: " in caught.value.reason and why in caught.value.reason
    for each in held:
        each.close()


def test_families_are_tried_by_turns() -> None:
    six, four = [(socket.AF_INET6, f"::{n}") for n in (1, 2, 3)], [(socket.AF_INET, "127.0.0.1")]
    assert connecting._alternating([*six, *four]) == [six[0], four[0], *six[1:]]
    assert connecting._alternating([*four, *six]) == [*four, *six]
