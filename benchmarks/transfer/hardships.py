"""Faults of what surrounds a transfer: TLS, proxies, names and addresses, disks, the clock, very many files.

Each case prepares a trial's surroundings (`Trial.before` runs in a mount namespace of the client alone) and lets the
client run. The server is reached as files.example, by the client's own /etc/hosts or resolver; the authority of its
certificate is in the client's own list of the system and in the variables that libraries read.
"""

from __future__ import annotations

import hashlib
import itertools
import shlex
import socket
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.transfer.peers import Programs, many_files
from benchmarks.transfer.trials import BODY, HANG_SECONDS, SLACK_BYTES, SOME, Case, End, Trial, must
from tests.support.certificates import Authority
from tests.support.clock import Clock
from tests.support.network import Relay, Resolver, stuck
from tests.support.server import Cut, Server, Slow

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from tests.support.server import Behaviour, Exchange

NAME = "files.example"
_TRUSTED = "/etc/ssl/certs/ca-certificates.crt"
_HOSTS = f"127.0.0.1 localhost\n127.0.0.1 {NAME}\n"
_ADDRESSES = itertools.count(1)  # of name servers: each trial has its own


def trust(trial: Trial, authority: Authority) -> None:
    """The client trusts the authority, however it looks for those it trusts."""
    system = Path(_TRUSTED)
    trial.bind((system.read_text() if system.exists() else "") + authority.file.read_text(), _TRUSTED)
    mine = str(trial.folder / _TRUSTED.replace("/", "_"))
    trial.environ |= {"REQUESTS_CA_BUNDLE": mine, "SSL_CERT_FILE": mine, "CURL_CA_BUNDLE": mine}


@contextmanager
def secure(trial: Trial, made: Callable[[Authority], ssl.SSLContext]) -> Iterator[Server]:
    """A server with TLS beside the trial's; the client is sent there by name."""
    authority = Authority(trial.folder / "tls")
    trust(trial, authority)
    trial.bind(_HOSTS, "/etc/hosts")
    with Server({"/a.pth": BODY}, tls=made(authority)) as server:
        trial.address = f"https://{NAME}:{server.port}/a.pth"
        yield server


def over_tls(*once: Behaviour, days: int = 2, host: str = NAME, self_signed: bool = False) -> Case:
    """A certificate of a kind, and faults that pass."""

    def case(trial: Trial) -> End:
        with secure(trial, lambda authority: authority.context(host, days=days, self_signed=self_signed)) as server:
            server.misbehave("/a.pth", *once)
            return trial.run()

    return case


def without_length_cut(exchange: Exchange) -> None:
    """A body that only its end delimits, which comes without close_notify and too early."""
    exchange.head(200, {"Connection": "close"})
    exchange.close()
    exchange.send(exchange.body[:SOME])


def before_tls(*modes: str) -> Case:
    """What becomes of the first connections, before or in the handshake."""

    def case(trial: Trial) -> End:
        with secure(trial, lambda authority: authority.context(NAME)) as server, Relay(server.port) as relay:
            relay.next = list(modes)
            trial.address = f"https://{NAME}:{relay.port}/a.pth"
            return trial.run()

    return case


def no_tls(trial: Trial) -> End:
    """HTTP where HTTPS is expected."""
    trial.bind(_HOSTS, "/etc/hosts")
    trial.address = f"https://{NAME}:{trial.server.port}/a.pth"
    return trial.run()


def by_proxy(*modes: str, for_ever: str = "pass", tls: bool = False) -> Case:
    """Everything through a proxy, which treats the first connections so, and later ones for ever so."""

    def case(trial: Trial) -> End:
        with ExitStack() as stack:
            relay = stack.enter_context(Relay())
            relay.next, relay.always = list(modes), for_ever
            if tls:
                stack.enter_context(secure(trial, lambda authority: authority.context(NAME)))
            else:
                trial.address = f"http://{NAME}:{trial.server.port}/a.pth"
            _use_proxy(trial, relay.port)
            end = trial.run()
            # Who went past the proxy reached nothing: the name is unknown without it, or it is not seen there.
            return end if end != "right" or relay.seen else "silent"

    return case


def _use_proxy(trial: Trial, port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        trial.environ[name] = url
    trial.environ |= {"NO_PROXY": "", "no_proxy": ""}


def dead_proxy(trial: Trial) -> End:
    """Nobody listens there."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    _use_proxy(trial, port)
    trial.address = f"http://{NAME}:{trial.server.port}/a.pth"
    return trial.run()


def on_disk(size: str, *, ends: Callable[[Case], Case] = lambda case: case) -> Case:
    """The destination is a disk of its own, of this size."""

    def case(trial: Trial) -> End:
        trial.out.parent.mkdir(exist_ok=True)
        place, trial.found = shlex.quote(str(trial.out.parent)), trial.folder / "found"
        trial.before.append(f"mount -t tmpfs -o size={size} none {place}")
        out, found = shlex.quote(str(trial.out)), shlex.quote(str(trial.found))
        trial.after.append(f"if [ -e {out} ]; then cp {out} {found}; fi")
        return trial.run()

    return ends(case)


def home(command: str) -> Case:
    """HOME, and with it every cache, is a disk of a kind; the destination is another one."""

    def case(trial: Trial) -> End:
        folder = trial.folder / "home"
        folder.mkdir()
        trial.environ["HOME"] = str(folder)
        trial.before.append(command.format(shlex.quote(str(folder))))
        return trial.run()

    return must(case)


def read_only_destination(trial: Trial) -> End:
    """The file system of the destination is mounted read-only."""
    trial.out.parent.mkdir(exist_ok=True)
    place = shlex.quote(str(trial.out.parent))
    trial.before.append(f"mount --bind {place} {place} && mount -o remount,bind,ro {place}")
    return trial.run()


def clock_moves(seconds: int, *, at_once: bool = False) -> Case:
    """The time of day jumps, before the client begins or in the middle of the body."""

    def case(trial: Trial) -> End:
        clock = Clock(trial.folder / "clock")
        trial.environ |= clock.environ
        if at_once:
            clock.move(seconds)
            return trial.run()
        trial.server.misbehave("/a.pth", trial.counted(Slow(2_000_000)))
        process, until = trial.start(), time.monotonic() + HANG_SECONDS
        while trial.sent < SOME and process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        clock.move(seconds)
        end = trial.verdict(trial.ended(process))
        return "again" if end == "right" and trial.sent > len(BODY) + SLACK_BYTES else end

    return must(case)


def moved_between(trial: Trial) -> End:
    """Cut off, then the clock goes back by ten years, then run again: what was kept is gone on from."""
    clock = Clock(trial.folder / "clock")
    trial.environ |= clock.environ
    trial.server.always("/a.pth", trial.counted(Cut(SOME)))
    trial.run()
    clock.move(-10 * 365 * 86400)
    trial.server.always("/a.pth", trial.counted(lambda exchange: exchange.honest()))
    trial.sent = SOME
    end = trial.run()
    return "again" if end == "right" and trial.sent > len(BODY) + SLACK_BYTES else end


def at(*ips: str, dead: tuple[str, ...] = (), stuck_at: tuple[str, ...] = (), host: str = "127.0.0.1") -> Case:
    """A name with these addresses, before them some that refuse (`dead`) and some that answer nothing."""

    def case(trial: Trial) -> End:
        with Server({"/a.pth": BODY}, host=host) as server:
            held = [
                each
                for ip in stuck_at
                for each in stuck(socket.AF_INET6 if ":" in ip else socket.AF_INET, ip, server.port)
            ]
            trial.bind("".join(f"{ip} {NAME}\n" for ip in (*stuck_at, *dead, *ips)), "/etc/hosts")
            trial.address = f"http://{NAME}:{server.port}/a.pth"
            try:
                return trial.run()
            finally:
                for each in held:
                    each.close()

    return case


def by_resolver(*modes: str, for_ever: str = "answer") -> Case:
    """The name is asked of a name server that treats questions so."""

    def case(trial: Trial) -> End:
        number = next(_ADDRESSES)
        host = f"127.53.{number // 250}.{number % 250 + 1}"
        trial.bind(f"nameserver {host}\n", "/etc/resolv.conf")
        trial.bind("127.0.0.1 localhost\n", "/etc/hosts")
        trial.address = f"http://{NAME}:{trial.server.port}/a.pth"
        with Resolver(host, list(modes), for_ever):
            return trial.run()

    return case


def very_many(trial: Trial) -> End:
    """Ten thousand small files of one server, the digest of each checked; all of them or an error."""
    bodies = {f"f{number:05}": b"%d " % number * 20 for number in range(10_000)}
    digests = [hashlib.sha256(body).hexdigest() for body in bodies.values()]
    out = trial.folder / "many"
    out.mkdir()
    trial.server.files |= {f"/{name}": body for name, body in bodies.items()}
    labels = {"zoo": "zoo fetch --from", "aria2c": "aria2c -j16", "curl": "curl -Z + openssl"}
    programs = Programs(str(Path(sys.executable).with_name("zoo")), "", all_peers=True)
    argv = many_files(trial.server.url("").rstrip("/"), list(bodies), digests, out, programs)[labels[trial.client]]
    trial.argv = lambda _url, _out, _other: argv
    code = trial.ended(trial.start())
    if code is None:
        return "hang"
    there = {each.name: each.read_bytes() for each in out.iterdir() if not each.name.startswith(".")}
    wrong = any(bodies.get(name, body) != body for name, body in there.items())
    return "wrong" if wrong else "error" if code else "right" if len(there) == len(bodies) else "silent"


_AGES = 10 * 365 * 86400
HARDSHIPS: dict[str, Case] = {
    "tls: as it should be": must(over_tls()),
    "tls: another name": over_tls(host="other.example"),
    "tls: over since a week": over_tls(days=-7),
    "tls: vouched for by itself": over_tls(self_signed=True),
    "tls: reset in the handshake": before_tls("reset"),
    "tls: ended in the handshake": before_tls("refuse"),
    "tls: cut without close_notify": over_tls(Cut(SOME)),
    "tls: without a length, cut without close_notify": over_tls(without_length_cut),
    "tls: no TLS there": no_tls,
    "tls: a handshake that never ends": before_tls("mute"),
    "proxy: as it should be": must(by_proxy()),
    "proxy: a tunnel as it should be": must(by_proxy(tls=True)),
    "proxy: refuses the tunnel": by_proxy(for_ever="refuse", tls=True),
    "proxy: wants a login": by_proxy(for_ever="login"),
    "proxy: wants a login for the tunnel": by_proxy(for_ever="login", tls=True),
    "proxy: dies midway": by_proxy("die"),
    "proxy: the tunnel dies midway": by_proxy("die", tls=True),
    "proxy: never answers": by_proxy(for_ever="mute"),
    "proxy: nobody there": dead_proxy,
    "disk: full": on_disk("1m"),
    "disk: another file system": on_disk("8m", ends=must),
    "disk: read-only destination": read_only_destination,
    "cache: read-only": home("mount --bind {0} {0} && mount -o remount,bind,ro {0}"),
    "cache: on another file system": home("mount -t tmpfs none {0}"),
    "cache: on a full disk": home("mount -t tmpfs -o size=64k none {0}"),
    "clock: back by an hour midway": clock_moves(-3600),
    "clock: back by ten years midway": clock_moves(-_AGES),
    "clock: on by a day midway": clock_moves(86400),
    "clock: ten years ago": clock_moves(-_AGES, at_once=True),
    "clock: back by ten years before it is run again": must(moved_between),
    "address: IPv6 alone": must(at("::1", host="::1")),
    "address: IPv6 refuses, IPv4 is fine": must(at("127.0.0.1", dead=("::1",))),
    "address: IPv6 answers nothing, IPv4 is fine": must(at("127.0.0.1", stuck_at=("::1",))),
    "address: the first answers nothing, the second is fine": must(at("127.0.0.1", stuck_at=("127.0.0.9",))),
    "address: none answers": at(stuck_at=("127.0.0.8", "127.0.0.9")),
    "name: does not exist": by_resolver(for_ever="nxdomain"),
    "name: the server is in trouble, once": by_resolver("servfail", "servfail"),
    "name: the server is in trouble": by_resolver(for_ever="servfail"),
    "name: nobody answers": by_resolver(for_ever="mute"),
    "name: found at last": must(by_resolver("mute")),
    "many: ten thousand small files": very_many,
}
ONLY = {"many: ten thousand small files": ("zoo", "aria2c", "curl")}
"""Cases that are not put to every client."""
