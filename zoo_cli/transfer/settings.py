"""Limits and routes of transfers, as one value.

Pure. Times are seconds of a monotonic clock, rates are bytes a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo_cli.transfer.headers import Header
    from zoo_cli.transfer.health import Health
    from zoo_cli.transfer.throttle import Throttle

RETRY_AFTER_CAP_SECONDS = 60.0


class Proxies(NamedTuple):
    """Proxies by scheme of the address fetched, and hosts that are reached without one."""

    http: str | None = None
    https: str | None = None
    direct: tuple[str, ...] = ()  # NO_PROXY: host, .suffix, host:port, network such as 10.0.0.0/8, or *

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Proxies:
        """Reads HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, lower case first, as curl does.

        In a CGI process the upper-case HTTP_PROXY is a request header of a stranger (httpoxy) and is not read.
        """

        def value(name: str) -> str | None:
            upper = None if name == "http_proxy" and "REQUEST_METHOD" in environ else environ.get(name.upper())
            return environ.get(name) or upper or None

        every = value("all_proxy")
        direct = tuple((value("no_proxy") or "").lower().replace(",", " ").split())
        return cls(value("http_proxy") or every, value("https_proxy") or every, direct)

    def for_host(self, scheme: str, host: str, port: int) -> str | None:
        """The proxy to ask, or None to connect directly."""
        proxy = self.https if scheme == "https" else self.http
        if not proxy:
            return None
        return None if any(_is_meant(each, host, port) for each in self.direct) else proxy


def _is_meant(entry: str, host: str, port: int) -> bool:
    """Whether an entry of NO_PROXY is about a host, as curl has it."""
    if "/" in entry:
        return _is_within(host, entry)
    name, _, only_port = entry.rpartition(":") if entry.count(":") == 1 else (entry.strip("[]"), "", "")
    bare = name.lstrip("*").lstrip(".")
    matches = name == "*" or host == bare or host.endswith("." + bare)
    return matches and (not only_port or only_port == str(port))


def _is_within(host: str, network: str) -> bool:
    """Whether a host that is written as an IP address belongs to a network."""
    from ipaddress import ip_address, ip_network

    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False


class Settings(NamedTuple):
    """How patient a transfer is and what it may use.

    Attributes:
        connect_seconds: To look up a name, connect and agree on TLS.
        stall_seconds: Without a byte, or below `min_bytes_per_second` on average for so long: the address failed.
        min_bytes_per_second: The slowest transfer that is still waited for.
        rival_seconds: How long the rate of an address is watched. Where the rest would take five times as long, another
            address is asked whether it is much faster (see `rivals`).
        total_seconds: For the whole file with all its addresses; None is no limit.
        retries: Rounds through the addresses after the first one.
        wait_seconds: Before the second round; doubles with each. Retry-After goes first, up to 60 s.
        offline: Make no connection; local files still work.
        ca_bundle: PEM file with more authorities to trust; None reads ZOO_CA_BUNDLE. Verification cannot be off.
        proxies: None reads them from the environment.
        sync: Wait until the disk has a file before it gets its final name.
        sync_names: With `sync`, wait until the disk has that name, too; a batch waits once for each directory, at its
            end.
        connections: The most to one host at a time, for one file or for all of a batch; of one file further ones are
            added only where they help (see `split`).
        headers: Fields for mirrors that ask for a key; None reads the user's mirrors file.
        health: Which hosts failed a short while ago; None: every run and file begins with the first address.
        throttle: The bandwidth of all transfers that share it; None is no limit.
    """

    connect_seconds: float = 10.0
    stall_seconds: float = 30.0
    min_bytes_per_second: int = 1000
    rival_seconds: float = 3.0
    total_seconds: float | None = None
    retries: int = 3
    wait_seconds: float = 0.5
    offline: bool = False
    ca_bundle: str | None = None
    proxies: Proxies | None = None
    sync: bool = True
    sync_names: bool = True
    connections: int = 24
    throttle: Throttle | None = None
    health: Health | None = None
    headers: tuple[Header, ...] | None = None

    def within(self, seconds: float | None) -> Settings:
        """The same, with no single wait longer than the time that is left; None is no limit."""
        if seconds is None:
            return self
        left = max(0.01, seconds)
        connect, stall = min(self.connect_seconds, left), min(self.stall_seconds, left)
        return self._replace(connect_seconds=connect, stall_seconds=stall, total_seconds=left)
