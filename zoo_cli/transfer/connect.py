"""Connections: name look-up, sockets, TLS and proxies, each with a time limit and each address checked.

Edge: opens sockets, reads proxy and CA settings from the environment when the caller gives none. The address that is
connected to is checked, not the name (DNS rebinding, `::ffff:169.254.169.254`). Behind a proxy the proxy resolves;
then only addresses written out can be checked. TLS verification cannot be switched off; `ca_bundle` adds authorities.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from contextlib import ExitStack
from functools import lru_cache
from itertools import zip_longest
from typing import TYPE_CHECKING, cast

from zoo_cli.transfer.addresses import Address, network_of, parse_address, redacted
from zoo_cli.transfer.failures import AddressRefused, BadAddress, BadCaBundle, Unreachable
from zoo_cli.transfer.settings import Proxies
from zoo_cli.transfer.stream import Malformed, Stream

if TYPE_CHECKING:
    import selectors
    import ssl

    from zoo_cli.transfer.settings import Settings

_MAX_TRIED = 6  # addresses of one name
_HEAD_START_SECONDS = 0.25  # of an address over the next one (RFC 8305, section 8)


def proxy_for(address: Address, settings: Settings) -> Address | None:
    """The proxy this address is reached through, from the settings or the environment."""
    proxies = settings.proxies if settings.proxies is not None else Proxies.from_environ(os.environ)
    proxy = proxies.for_host(address.scheme, address.host, address.port)
    if not proxy:
        return None
    return parse_address(proxy if "://" in proxy else f"http://{proxy}")


def proxy_authorization(proxy: Address) -> dict[str, str]:
    """The header that a proxy with a user name wants."""
    return {"Proxy-Authorization": basic(proxy.credentials)} if proxy.credentials else {}


def basic(credentials: str) -> str:
    """Credentials as HTTP Basic (RFC 7617)."""
    import base64  # few addresses have any

    return "Basic " + base64.b64encode(credentials.encode()).decode()


def connect(address: Address, settings: Settings, *, may_be_private: bool) -> tuple[socket.socket, bool]:
    """A connected socket to the address, through TLS for https, and whether its network is private.

    Raises:
        AddressRefused: The name leads into a network that is not connected to.
        Unreachable: Look-up, connect or TLS failed.
        BadCaBundle: The extra authorities cannot be read.
    """
    proxy = proxy_for(address, settings)
    hop = proxy or address
    found = _look_up(hop, address, settings)  # which prepares for TLS meanwhile
    if proxy:
        is_private = _check_written(address, may_be_private)
    else:
        is_private = _check(address, [ip for _family, ip in found], may_be_private)
    raw = _first_that_answers(hop, address, found, settings, proxy)
    with ExitStack() as undo:
        undo.callback(raw.close)
        if proxy and proxy.scheme == "https":
            raw = undo.enter_context(_tls(raw, proxy, address, settings))
        if proxy and address.scheme == "https":
            _tunnel(raw, proxy, address, settings)
        if address.scheme == "https":
            raw = _tls(raw, address, address, settings)
        undo.pop_all()
    return raw, is_private


def _look_up(hop: Address, address: Address, settings: Settings) -> list[tuple[int, str]]:
    """Families and addresses of a host. The system's resolver has no time limit, so it runs in a thread."""
    answer: list[tuple[int, str]] = []
    failure: list[OSError | UnicodeError] = []

    host = hop.host.encode("ascii")  # it is ASCII; of a str Python would import the IDNA codec

    def ask() -> None:
        try:
            for family, _type, _proto, _name, place in socket.getaddrinfo(host, hop.port, type=socket.SOCK_STREAM):
                answer.append((family, str(place[0])))
        except (OSError, UnicodeError) as exc:
            failure.append(exc)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    if "https" in (hop.scheme, address.scheme):
        _context(_ca_bundle(settings))  # some 40 ms with the system's authorities, now that there is nothing to do
    thread.join(settings.connect_seconds)
    if failure or not answer:
        reason = _words(failure[0]) if failure else f"no answer in {settings.connect_seconds:g} s"
        raise Unreachable(redacted(address.url), f"look up {hop.host}", reason, _shown(hop, address))
    return list(dict.fromkeys(answer))[:_MAX_TRIED]


def _check(address: Address, addresses: list[str], may_be_private: bool) -> bool:
    kinds = {ip: network_of(ip) for ip in addresses}
    for ip, kind in kinds.items():
        if kind == "never":
            raise AddressRefused(
                redacted(address.url), ip, "link-local, multicast and metadata addresses are never used"
            )
        if kind == "private" and not may_be_private:
            raise AddressRefused(
                redacted(address.url), ip, "a redirect of a public address leads into a private network"
            )
    return "private" in kinds.values()


def _check_written(address: Address, may_be_private: bool) -> bool:
    try:
        ip = socket.inet_ntoa(socket.inet_aton(address.host)) if address.host[:1].isdigit() else address.host
        return _check(address, [ip], may_be_private)
    except (OSError, ValueError):
        return False  # a name: the proxy looks it up


def _first_that_answers(
    hop: Address, address: Address, found: list[tuple[int, str]], settings: Settings, proxy: Address | None
) -> socket.socket:
    """A connected socket to the address that answers first, of those that were found."""
    failures: list[str] = []
    connect_to = _only if len(found) == 1 else _raced
    sock = connect_to(found, hop.port, settings.connect_seconds, failures)
    if sock is None:
        raise Unreachable(redacted(address.url), "connect", "; ".join(failures), _shown(proxy, address))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.settimeout(settings.connect_seconds)
    return sock


def _only(found: list[tuple[int, str]], port: int, seconds: float, failures: list[str]) -> socket.socket | None:
    """The socket of one address; None with the reason added to the failures."""
    ((family, ip),) = found
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(seconds)
        sock.connect((ip, port))
    except OSError as exc:
        sock.close()
        failures.append(f"{ip} port {port}: {_words(exc)}")
        return None
    return sock


def _raced(found: list[tuple[int, str]], port: int, seconds: float, failures: list[str]) -> socket.socket | None:
    """The socket that is connected first (RFC 8305): the next address is begun beside those that have not answered.

    So a dead IPv6 address, which is listed first, costs a quarter of a second and not the whole time.
    """
    import selectors

    waiting, until = _alternating(found), time.monotonic() + seconds
    with selectors.DefaultSelector() as racing:
        try:
            while waiting or racing.get_map():
                if waiting:
                    _begin(racing, *waiting.pop(0), port, failures)
                left = until - time.monotonic()
                if left <= 0:
                    break
                for key, _events in racing.select(min(left, _HEAD_START_SECONDS) if waiting else left):
                    sock = cast("socket.socket", key.fileobj)
                    racing.unregister(sock)
                    error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if not error:
                        return sock
                    sock.close()
                    failures.append(f"{key.data} port {port}: {os.strerror(error)}")
            failures.extend(f"{key.data} port {port}: no answer in time" for key in racing.get_map().values())
        finally:
            for key in list(racing.get_map().values()):
                cast("socket.socket", key.fileobj).close()
    return None


def _begin(racing: selectors.BaseSelector, family: int, ip: str, port: int, failures: list[str]) -> None:
    """Begins to connect to one address more."""
    import selectors

    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    error = sock.connect_ex((ip, port))
    if error in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
        racing.register(sock, selectors.EVENT_WRITE, ip)
    else:
        sock.close()
        failures.append(f"{ip} port {port}: {os.strerror(error)}")


def _alternating(found: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """The addresses in their order, the families by turns (RFC 8305, section 4)."""
    first = [each for each in found if each[0] == found[0][0]]
    others = [each for each in found if each[0] != found[0][0]]
    pairs = zip_longest(first, others)
    return [each for pair in pairs for each in pair if each is not None]


def _tls(raw: socket.socket, peer: Address, address: Address, settings: Settings) -> ssl.SSLSocket:
    import ssl  # costs as much as all the rest of the engine, and plain http needs none

    context = _context(_ca_bundle(settings))
    try:
        # A TLS stream that ends without close_notify is a cut, not an end: suppress_ragged_eofs=False.
        return context.wrap_socket(raw, server_hostname=peer.host.encode("ascii"), suppress_ragged_eofs=False)
    except ssl.SSLCertVerificationError as exc:
        reason = f"certificate of {peer.host} refused: {exc.verify_message}"
        raise Unreachable(redacted(address.url), "agree on TLS", reason, is_certificate=True) from exc
    except (OSError, ValueError) as exc:
        raise Unreachable(redacted(address.url), "agree on TLS", _words(exc)) from exc


def _ca_bundle(settings: Settings) -> str | None:
    return settings.ca_bundle or os.environ.get("ZOO_CA_BUNDLE") or None


@lru_cache(maxsize=4)
def _context(ca_bundle: str | None) -> ssl.SSLContext:
    import ssl

    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_bundle:
        try:
            context.load_verify_locations(cafile=ca_bundle)
        except (OSError, ssl.SSLError) as exc:
            raise BadCaBundle(ca_bundle, _words(exc)) from exc
    return context


def _tunnel(raw: socket.socket, proxy: Address, address: Address, settings: Settings) -> None:
    """Asks an HTTP proxy for a connection to the address (RFC 9110, CONNECT)."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    lines = [f"CONNECT {host}:{address.port} HTTP/1.1", f"Host: {host}:{address.port}"]
    lines += [f"{name}: {value}" for name, value in proxy_authorization(proxy).items()]
    stream = Stream(raw)
    try:
        stream.send("\r\n".join([*lines, "", ""]).encode("ascii"), settings.connect_seconds)
        head = stream.head(settings.connect_seconds)
    except (OSError, Malformed) as exc:
        raise Unreachable(redacted(address.url), "ask the proxy", _words(exc), proxy.authority) from exc
    if head.status != 200 or not stream.is_quiet:
        reason = f"it answered {head.status} {head.reason}"
        raise Unreachable(redacted(address.url), "ask the proxy", reason, proxy.authority)


def _shown(proxy: Address | None, address: Address) -> str | None:
    return proxy.authority if proxy is not None and proxy is not address else None


def _words(error: Exception) -> str:
    """What an exception of the operating system says, in a few words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def checked_proxy(address: Address, settings: Settings) -> Address | None:
    """`proxy_for`, with an unreadable proxy as a failure of the setting.

    Raises:
        BadAddress: The proxy's own address cannot be read.
    """
    try:
        return proxy_for(address, settings)
    except BadAddress as exc:
        why = exc.why if "://" not in exc.url or exc.url.startswith("http") else "only http and https proxies are used"
        raise BadAddress(exc.url, f"{why} (it is set as a proxy in the environment)") from exc
