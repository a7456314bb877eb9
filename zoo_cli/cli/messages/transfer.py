"""Sentences for the errors of `zoo_cli.transfer`."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import PurePath
from urllib.parse import urlsplit

from zoo_cli.cli.messages import Message, WayOut, describe
from zoo_cli.cli.text import human_bytes
from zoo_cli.directories import CacheUnusable
from zoo_cli.errors import ZooError
from zoo_cli.transfer.addresses import local_path, place_of, redacted
from zoo_cli.transfer.batch import SamePlace
from zoo_cli.transfer.failures import (
    AddressRefused,
    AllSourcesFailed,
    BadAddress,
    BadAnswer,
    BadCaBundle,
    CutShort,
    DestinationExists,
    DestinationUnusable,
    HashMismatch,
    HeaderUnusable,
    HttpFailed,
    LocalFileFailed,
    NoSpace,
    NotTheFile,
    OfflineRefused,
    Overtaken,
    PasswordKept,
    RedirectRefused,
    SizeMismatch,
    Stalled,
    TookTooLong,
    TooLarge,
    Unreachable,
)
from zoo_cli.transfer.hashes import BadDigest
from zoo_cli.transfer.lists import BadList
from zoo_cli.transfer.mirrors import load_mirrors
from zoo_cli.transfer.sources import Mirrors, Rule, kind_of
from zoo_cli.transfer.store import BadLinking


def same_command(*more: str) -> str:
    """The command line of this run, to be pasted, with more words at its end."""
    return shlex.join(["zoo", *(redacted(word) for word in sys.argv[1:]), *more])


def _again(text: str = "Try again; what was fetched is kept") -> WayOut:
    return WayOut(text, same_command())


def _other_address(url: str) -> WayOut:
    """Another host for an address: known mirrors that were not chosen, else a rule of one's own."""
    try:
        mirrors = load_mirrors()
    except ZooError:  # which is told where it matters
        mirrors = Mirrors()
    found = [each for each in mirrors.known if each.name not in mirrors.used and _applies(each.rule, url)]
    if not found:
        if sys.argv[1:2] == ["fetch"]:
            return WayOut("From another address of the same file", same_command("--mirror", "URL"))
        origin = "://".join(urlsplit(redacted(url))[:2])
        return WayOut("From another host that has it", shlex.join(["zoo", "mirror", "add", f"{origin}=http://HOST"]))
    regions = ", ".join(dict.fromkeys(each.region for each in found))
    names = dict.fromkeys((*mirrors.used, *(each.name for each in found)))
    return WayOut(f"From a known mirror ({regions}) that may have it", shlex.join(["zoo", "mirror", "use", *names]))


def _applies(rule: Rule, url: str) -> bool:
    return rule.rest_of(url, kind_of(url.partition("?")[0])) is not None


_DO_NOT_LOAD = WayOut("Do not load a file with another digest: checkpoints can run code. If it stays, report it")


@describe.register
def unreachable(error: Unreachable) -> Message:
    """No connection."""
    via = f"; proxy: {error.proxy}" if error.proxy else "; proxy: none used"
    ways = [_again("Try again")]
    if error.is_certificate:
        ways = [WayOut("Behind an inspecting proxy: trust its authority too", "export ZOO_CA_BUNDLE=/path/to/ca.pem")]
    elif error.proxy:
        host = urlsplit(error.url).hostname or ""
        ways.append(WayOut("Without the proxy", f"NO_PROXY={shlex.quote(host)} {same_command()}"))
    else:
        ways.append(WayOut("Behind a proxy", f"export {_proxy_variable(error.url)}=http://host:port"))
    return Message(
        f"cannot reach {place_of(error.url)}",
        (f"address  {error.url}", f"failed   {error.doing}: {error.reason}{via}"),
        (*ways, _other_address(error.url)),
    )


def _proxy_variable(url: str) -> str:
    return "HTTPS_PROXY" if url.startswith("https:") else "HTTP_PROXY"


@describe.register
def offline(error: OfflineRefused) -> Message:
    """The network is needed and not allowed."""
    words = [redacted(word) for word in sys.argv[1:] if word != "--offline"]
    unset = ["env", "-u", "ZOO_OFFLINE"] if os.environ.get("ZOO_OFFLINE") else []
    return Message(
        f"{place_of(error.url)} would have to be asked, and no connection may be made",
        (f"address  {error.url}",),
        (WayOut("With the network", shlex.join([*unset, "zoo", *words])),),
    )


@describe.register
def header_unusable(error: HeaderUnusable) -> Message:
    """The key of a mirror is not in the environment."""
    return Message(
        f"{place_of(error.url)} gets the header {error.header}, and {error.variable} {error.why}",
        (f"address  {error.url}", "asked by headers: in your mirrors file"),
        (
            WayOut("With the key", f"export {error.variable}=...; {same_command()}"),
            WayOut("What is asked of which address", "zoo mirror list"),
        ),
    )


@describe.register
def http_failed(error: HttpFailed) -> Message:
    """A status that is no success."""
    if error.status == 407:
        return _proxy_asks(error)
    facts = [f"address  {error.url}"]
    if error.retry_after_seconds is not None:
        facts.append(f"it asks to wait {error.retry_after_seconds:.0f} s")
    ways = [_again("Try again later")] if error.again else []
    if error.status in (401, 403):
        facts.append("it wants a user name or a key; zoo sends what the address has, or a header of your mirrors file")
        ways.append(WayOut("With a key from the environment: headers in your mirrors file", "zoo help mirrors"))
    return Message(
        f"{place_of(error.url)} answered {error.status} {error.reason}".rstrip(),
        tuple(facts),
        (*ways, WayOut("See what the host has there", f"curl -I {shlex.quote(error.url)}"), _other_address(error.url)),
    )


def _proxy_asks(error: HttpFailed) -> Message:
    """It came from the proxy, not from the host."""
    proxy = f"export {_proxy_variable(error.url)}=http://USER:PASSWORD@host:port"
    return Message(
        f"the proxy on the way to {place_of(error.url)} answered {error.status} {error.reason}".rstrip(),
        (f"address  {error.url}", "it wants a user name and a password, or other ones"),
        (WayOut("With them, in the address of the proxy", proxy),),
    )


@describe.register
def stalled(error: Stalled) -> Message:
    """Nothing came any more."""
    return Message(
        f"{place_of(error.url)} sent almost nothing for {error.seconds:g} s",
        (f"address   {error.url}", f"received  {human_bytes(error.received_bytes)} in the last connection"),
        (_again(), _other_address(error.url)),
    )


@describe.register
def overtaken(error: Overtaken) -> Message:
    """Another address was much faster, and then had nothing."""
    return Message(
        f"{place_of(error.url)} was left for {place_of(error.by)}, which brought much more",
        (
            f"address  {error.url}: {human_bytes(error.bytes_per_second)}/s",
            f"instead  {error.by}: {human_bytes(error.by_bytes_per_second)}/s",
        ),
        (_again(),),
    )


@describe.register
def cut_short(error: CutShort) -> Message:
    """The connection ended too early."""
    expected = "" if error.expected_bytes is None else f" of {error.expected_bytes}"
    return Message(
        f"{place_of(error.url)} broke off before the end",
        (f"address   {error.url}", f"received  {error.received_bytes}{expected} bytes: {error.reason}"),
        (_again(), _other_address(error.url)),
    )


@describe.register
def bad_answer(error: BadAnswer) -> Message:
    """HTTP was broken."""
    return Message(
        f"{place_of(error.url)} sent an answer that cannot be used",
        (f"address  {error.url}", f"because  {error.what}"),
        (_again("Try again"), _other_address(error.url)),
    )


@describe.register
def not_the_file(error: NotTheFile) -> Message:
    """An HTML page came."""
    return Message(
        f"{place_of(error.url)} sent an HTML page in place of {error.file}",
        (f"address  {error.url}", f"begins   {error.begins or error.content_type}"),
        (WayOut("Look at the page: a login, a consent form or a parked domain", error.url), _other_address(error.url)),
    )


@describe.register
def redirect_refused(error: RedirectRefused) -> Message:
    """A redirect that is not followed."""
    return Message(
        f"{place_of(error.url)} redirects to where zoo does not go",
        (f"from     {error.url}", f"to       {error.to}", f"because  {error.why}"),
        (_other_address(error.url),),
    )


@describe.register
def address_refused(error: AddressRefused) -> Message:
    """A network that is not connected to."""
    return Message(
        f"{place_of(error.url)} leads to {error.address}, which zoo does not connect to",
        (f"address  {error.url}", f"because  {error.why}"),
        (_other_address(error.url),),
    )


@describe.register
def local_file_failed(error: LocalFileFailed) -> Message:
    """A local source cannot be read."""
    is_address = error.url.lower().startswith("file:")
    return Message(
        f"cannot read {error.url}: {error.reason}",
        () if is_address else ("it was taken for a path; an address begins with https://, http:// or file:///",),
        (WayOut("See what is there", f"ls -l {shlex.quote(local_path(error.url) or error.url)}"),),
    )


@describe.register
def too_large(error: TooLarge) -> Message:
    """More than may come."""
    declared = "without end" if error.declared_bytes is None else f"of {human_bytes(error.declared_bytes)}"
    return Message(
        f"{place_of(error.url)} sends a body {declared}; at most {human_bytes(error.limit_bytes)} are taken",
        (f"address  {error.url}", "nothing of it was kept"),
        (_other_address(error.url),),
    )


@describe.register
def size_mismatch(error: SizeMismatch) -> Message:
    """Another size."""
    return Message(
        f"{place_of(error.url)} has a file of another size under the name {error.file}",
        (
            f"address   {error.url}",
            f"expected  {error.expected_bytes} bytes",
            f"there     {error.received_bytes} bytes",
        ),
        (_other_address(error.url), _DO_NOT_LOAD),
    )


@describe.register
def hash_mismatch(error: HashMismatch) -> Message:
    """Other bytes."""
    kind = "sha256" if len(error.expected) == 64 else "sha256 begins"
    return Message(
        f"{place_of(error.url)} has other bytes than expected; they were dropped",
        (
            f"file      {error.file}",
            f"address   {error.url}",
            f"expected  {kind} {error.expected}   ({_basis(error.basis)})",
            f"received  sha256 {error.received}",
        ),
        (_other_address(error.url), _DO_NOT_LOAD),
    )


def _basis(word: str) -> str:
    return {"given": "given on the command line", "prefix": "the file name says so", "signed": "signed index"}.get(
        word, "recorded earlier"
    )


@describe.register
def all_sources_failed(error: AllSourcesFailed) -> Message:
    """No address delivered."""
    facts = [f"{place_of(each.url)}: {each.code}: {each.brief}" for each in error.failures]
    facts += [f"  {each.url}" for each in error.failures]
    wrong = [each for each in error.failures if isinstance(each, HashMismatch)]
    ways = [_again()] if any(each.again for each in error.failures) else []
    if len({each.received for each in wrong}) == 1 and len(wrong) > 1:
        facts.append("these sources agree with each other, so what is expected may be out of date")
    if wrong:
        facts.append(f"expected sha256 {wrong[0].expected}   ({_basis(wrong[0].basis)})")
        ways = [_DO_NOT_LOAD]
    return Message(
        f"none of {len(error.failures)} sources has {error.file}",
        tuple(facts),
        (*ways, _other_address(error.failures[0].url)),
    )


@describe.register
def took_too_long(error: TookTooLong) -> Message:
    """The time is over."""
    return Message(
        f"{error.file} is not here after {error.seconds:g} s, the limit for all of it",
        (f"received  {human_bytes(error.received_bytes)}",),
        (_again(),),
    )


@describe.register
def bad_address(error: BadAddress) -> Message:
    """No address."""
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "fetch")
    way = WayOut("How", shlex.join(["zoo", command, "--help"]))
    return Message(f"cannot fetch from {error.url or 'nowhere'}: {error.why}", (), (way,))


@describe.register
def password_kept(error: PasswordKept) -> Message:
    """A password is kept in no file."""
    start = error.url.split("?", maxsplit=1)[0]
    header = f'headers: [{{for: "{start}", name: Authorization, scheme: Basic, from-environment: LAB_KEY}}]'
    return Message(
        "the address has a user name, password or key, which zoo writes into no file",
        (f"address  {error.url}", f"file     {error.file}"),
        (
            WayOut("From the environment: write in your mirrors file (zoo help mirrors)", header),
            WayOut(
                "and give the address without it; the value is then", "export LAB_KEY=$(printf user:password | base64)"
            ),
        ),
    )


@describe.register
def bad_digest(error: BadDigest) -> Message:
    """No digest."""
    return Message(
        f"{error.text} is no SHA-256 digest: those have 64 hex digits",
        (),
        (WayOut("Make one of a file you trust", "sha256sum FILE"),),
    )


@describe.register
def bad_ca_bundle(error: BadCaBundle) -> Message:
    """No authorities."""
    return Message(
        f"cannot use the certificate authorities in {error.path}: {error.reason}",
        (),
        (WayOut("Without them", "unset ZOO_CA_BUNDLE"),),
    )


@describe.register
def destination_exists(error: DestinationExists) -> Message:
    """Another file is there."""
    expected = f"sha256 {error.expected}" if error.expected else "nothing is known of the file to compare with"
    is_unknown = not error.expected and sys.argv[1:2] == ["fetch"]
    taken = (WayOut("Take what is there for it", same_command("--skip-existing")),) if is_unknown else ()
    return Message(
        f"{error.path} is there and is not known to be this file",
        (f"expected  {expected}", f"there     sha256 {error.found}"),
        (
            WayOut("Keep it under another name", f"mv {shlex.quote(error.path)} {shlex.quote(error.path + '.old')}"),
            WayOut("Replace it", same_command("--force")),
            *taken,
        ),
    )


@describe.register
def destination_unusable(error: DestinationUnusable) -> Message:
    """The destination cannot be written."""
    return Message(
        f"cannot write {error.path}: {error.reason}",
        (),
        (WayOut("See what is there", shlex.join(["ls", "-ld", str(PurePath(error.path).parent), error.path])),),
    )


@describe.register
def no_space(error: NoSpace) -> Message:
    """The disk is full."""
    needed = "" if error.needed_bytes is None else f"needed {human_bytes(error.needed_bytes)}, "
    disk = f'"$(df --output=target {shlex.quote(str(PurePath(error.path).parent))} | tail -n 1)"'
    return Message(
        f"no room on the disk for {error.path}",
        (f"{needed}free {human_bytes(error.free_bytes)}",),
        (WayOut("See what takes the room", f"du -xh --max-depth=2 {disk} | sort -h"), _again("After making room")),
    )


@describe.register
def cache_unusable(error: CacheUnusable) -> Message:
    """The cache cannot be used."""
    return Message(
        f"cannot use the cache directory {error.path}: {error.reason}",
        (),
        (WayOut("Choose another one", "export ZOO_CACHE=/path/with/room"),),
    )


@describe.register
def same_place(error: SamePlace) -> Message:
    """Two files, one name."""
    return Message(
        f"two files would become {error.path}",
        error.urls if len(set(error.urls)) > 1 else (f"{error.urls[0]}, named twice",),
        (WayOut("Give each its own place, in a list: address, tab, destination", "zoo fetch --from LIST.tsv"),),
    )


@describe.register
def bad_list(error: BadList) -> Message:
    """A list cannot be read."""
    place = f"{error.file}:{error.line}" if error.line else error.file
    return Message(
        f"cannot read the list {place}: {error.why}",
        ("nothing was fetched; a line is address, tab, destination, tab, sha256",),
        (WayOut("For example", r"printf 'https://host/a.pth\tmodels/a.pth\n' | zoo fetch --from - -o data"),),
    )


@describe.register
def bad_linking(error: BadLinking) -> Message:
    """ZOO_LINK cannot be read."""
    return Message(
        f"ZOO_LINK is {error.text}, not one of {', '.join(error.known)}",
        ("it says how files leave the cache: by links where that is possible, or as copies",),
        (WayOut("As usual", "unset ZOO_LINK"),),
    )
