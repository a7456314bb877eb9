"""Addresses: reading them, where a redirect may lead, which network addresses are never connected to.

Pure. http and https only; user names and passwords belong to one origin (scheme, host, port) and never appear in a
text that is shown. Rules for hops and networks: a public page must not be able to point zoo into a private network
or at a cloud's metadata service (server-side request forgery).
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Literal, NamedTuple
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit, urlunsplit

from zoo_cli.transfer.failures import BadAddress, PasswordKept, RedirectRefused

MAX_REDIRECTS = 5
_MAX_LENGTH = 8000
_SAFE = "%/:=&?~#+!$,;'@()*[]"
_PORTS = {"http": 80, "https": 443}
# Metadata services outside the link-local ranges: Alibaba, Azure, AWS over IPv6.
_METADATA = frozenset({"100.100.100.200", "168.63.129.16", "fd00:ec2::254"})
_NAT64 = IPv6Network("64:ff9b::/96")
_CONTROL = re.compile("[\0-\x20\x7f]")
_PLAIN = re.compile(
    r"(https?)://([a-z0-9-]+(?:\.[a-z0-9-]+)*)(?::([1-9][0-9]{0,3}|[1-5][0-9]{4}))?((?:/[A-Za-z0-9._~%+@:,=-]+)+/?)\Z"
)
"""What most addresses are: there is nothing to be made lower case, decoded or quoted in them."""
_UNFIT = re.compile("[\0\r\n]")  # for a name: no system takes the first, and lines of names could not be told apart
_SECRET_QUERY = re.compile(r"(?i)(token|signature|sig|secret|password|credential|key)=[^&#]*")


class Address(NamedTuple):
    """One http or https address, taken apart."""

    scheme: Literal["http", "https"]
    host: str  # lower case, ASCII, no brackets
    port: int
    target: str  # path and query as sent
    credentials: str | None = None  # "user:password", decoded

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: what credentials belong to (RFC 6454)."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """Host and port as the Host header has them: without the scheme's own port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The address without credentials."""
        return f"{self.scheme}://{self.authority}{self.target}"


@lru_cache(maxsize=128)  # a transfer reads its address in several places
def parse_address(text: str) -> Address:
    """Reads an http or https address.

    Raises:
        BadAddress: Another scheme, no host, a port out of range, control characters, or longer than 8,000 letters.
    """
    if len(text) <= _MAX_LENGTH and (plain := _PLAIN.match(text)):
        known: Literal["http", "https"] = "https" if plain[1] == "https" else "http"
        return Address(known, plain[2], int(plain[3] or _PORTS[known]), plain[4])
    if len(text) > _MAX_LENGTH or _CONTROL.search(text.strip()):
        raise BadAddress(redacted(text[:200]), "it has blanks or control characters, or is too long")
    try:
        parts = urlsplit(text.strip())
        host, port = _ascii_host(parts), parts.port
    except ValueError as exc:
        raise BadAddress(redacted(text), str(exc)) from exc
    if parts.scheme not in _PORTS:
        raise BadAddress(redacted(text), "only http, https and file addresses can be fetched")
    if not host or port == 0:
        raise BadAddress(redacted(text), "it names no host")
    target = quote(urlunsplit(("", "", parts.path or "/", parts.query, "")), safe=_SAFE)
    scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
    return Address(scheme, host, port or _PORTS[scheme], target, _credentials(parts))


def _ascii_host(parts: SplitResult) -> str:
    host = (parts.hostname or "").rstrip(".")
    if not host.isascii():
        host = host.encode("idna").decode("ascii")  # UnicodeError is a ValueError
    if not re.fullmatch(r"[A-Za-z0-9._:%-]*", host):
        raise ValueError("its host has letters no host name has")
    return host.lower()


def _credentials(parts: SplitResult) -> str | None:
    if parts.username is None:
        return None
    return f"{unquote(parts.username)}:{unquote(parts.password or '')}"


def next_hop(current: Address, location: str) -> Address:
    """The address a redirect leads to.

    Credentials stay with their origin; a redirect that brings its own is refused.

    Raises:
        RedirectRefused: It leads to another scheme, from https to http, or cannot be read.
    """
    shown = redacted(location[:300])
    if any(ord(char) < 32 for char in location):  # urljoin would drop them silently
        raise RedirectRefused(current.url, shown, "it has control characters")
    try:
        following = parse_address(urljoin(current.url, location.strip()))
    except (BadAddress, ValueError) as exc:
        why = exc.why if isinstance(exc, BadAddress) else str(exc)
        raise RedirectRefused(current.url, shown, why) from exc
    if current.scheme == "https" and following.scheme == "http":
        raise RedirectRefused(current.url, shown, "it leaves https for http")
    if following.credentials:
        raise RedirectRefused(current.url, shown, "it brings a user name of its own")
    keep = current.credentials if following.origin == current.origin else None
    return following._replace(credentials=keep)


def network_of(address: str) -> Literal["public", "private", "never"]:
    """What kind of network an IP address belongs to; IPv4 inside IPv6 is unwrapped first.

    never: link-local, multicast, unspecified, and the metadata services of clouds. private: everything else that is
    not globally reachable, loopback included (IANA special-purpose registries, RFC 6890).
    """
    ip: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = IPv4Address(int(ip) & 0xFFFFFFFF)
        ip = inner or ip
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified or str(ip) in _METADATA:
        return "never"
    return "public" if ip.is_global else "private"


_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_DRIVE = re.compile(r"/[A-Za-z]:/")  # file:///C:/wheels; urllib.request.url2pathname costs 50 ms


def local_path(text: str) -> str | None:
    """The path of a file: address or of a plain path; None for an address of another scheme.

    Raises:
        BadAddress: A file: address that names another host.
    """
    if text.startswith(("http://", "https://")):
        return None
    if text[:5].lower() == "file:":
        try:
            parts = urlsplit(text)
        except ValueError as exc:
            raise BadAddress(redacted(text[:300]), str(exc)) from exc
        if parts.netloc not in ("", "localhost"):
            raise BadAddress(redacted(text[:300]), "a file: address names a file of this computer: file:///path")
        path = unquote(parts.path)
        return path[1:] if _DRIVE.match(path) else path
    return None if _SCHEME.match(text) else text


@lru_cache(maxsize=128)
def redacted(url: str) -> str:
    """The address without user name, password and the values of query fields that look secret."""
    bare = re.sub(r"(?<=//)[^/?#@\s]*@", "", url) if "@" in url else url
    return _SECRET_QUERY.sub(r"\1=...", bare) if "=" in bare else bare


def check_keepable(url: str, file: str) -> None:
    """Refuses to write an address down that has a user name, a password or a key in it.

    Raises:
        PasswordKept: It has.
    """
    if redacted(url) != url:
        raise PasswordKept(redacted(url), file)


@lru_cache(maxsize=128)
def place_of(url: str) -> str:
    """Where an address leads, to show: host (and port if unusual), or `file:`."""
    try:
        return "file:" if local_path(url) is not None else parse_address(url).authority
    except BadAddress:
        return redacted(url[:80])


def file_name_of(url: str) -> str:
    """The last part of the address's path, decoded; empty when there is none that a file may have.

    Raises:
        BadAddress: It cannot be read.
    """
    path = local_path(url)
    if path is None:  # an encoded backslash is no way out of a directory on Windows
        path = unquote(parse_address(url).target.partition("?")[0]).replace("\\", "/")
    name = path.rpartition("/")[2]
    return "" if name in (".", "..") or _UNFIT.search(name) else name
