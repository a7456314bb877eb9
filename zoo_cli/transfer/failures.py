"""Everything that can go wrong between an address and a file, as facts.

Pure. `Failed` is what one address did wrong, so that the next may be tried; `again` says whether the same address is
worth another try. What is wrong at this end (destination, disk, an address that cannot be read) ends the transfer.
Addresses in fields are already without passwords.
"""

from __future__ import annotations

from zoo_cli.errors import ExitCode, ZooError

_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


class Failed(ZooError):
    """Base: one address did not deliver."""

    exit_code = ExitCode.NETWORK
    url: str

    @property
    def again(self) -> bool:
        """Whether the same address may do better a moment later."""
        return False

    @property
    def brief(self) -> str:
        """What happened in a few words, for one line of progress."""
        return self.code.replace("-", " ")


class Unreachable(Failed):
    """No connection: name look-up, connect or TLS failed, in `doing`."""

    code = "network"

    url: str
    doing: str  # "look up the name" | "connect" | "agree on TLS"
    reason: str
    proxy: str | None = None
    is_certificate: bool = False

    @property
    def again(self) -> bool:
        """A bad certificate stays bad."""
        return not self.is_certificate

    @property
    def brief(self) -> str:
        """What happened in a few words."""
        return f"cannot {self.doing}: {self.reason}"


class OfflineRefused(Failed):
    """An address needs the network and --offline was asked."""

    code = "offline"

    url: str


class HeaderUnusable(Failed):
    """The mirrors file says that this address gets a header, and its value is not to be had; the value is not kept."""

    code = "header-unusable"
    exit_code = ExitCode.USAGE

    url: str
    header: str
    variable: str  # of the environment
    why: str  # "is not set" | "has characters that no header may have"

    @property
    def brief(self) -> str:
        """What happened in a few words."""
        return f"needs the header {self.header}, and {self.variable} {self.why}"


class HttpFailed(Failed):
    """The server answered with a status that is no success."""

    code = "http-status"

    url: str
    status: int
    reason: str
    retry_after_seconds: float | None = None

    @property
    def again(self) -> bool:
        """Too many requests, a gateway or a server in trouble."""
        return self.status in _AGAIN

    @property
    def brief(self) -> str:
        """What happened in a few words."""
        return f"answered {self.status} {self.reason}".rstrip()


class Stalled(Failed):
    """Nothing, or almost nothing, came for `seconds`."""

    code = "stalled"

    url: str
    seconds: float
    received_bytes: int
    bytes_per_second: float

    @property
    def again(self) -> bool:
        """Another connection may be faster."""
        return True

    @property
    def brief(self) -> str:
        """What happened in a few words."""
        return f"sent almost nothing for {self.seconds:g} s"


class Overtaken(Failed):
    """It brings the file, and another address of it is much faster; what came is kept."""

    code = "overtaken"

    url: str
    by: str  # the other address
    bytes_per_second: int
    by_bytes_per_second: int

    @property
    def again(self) -> bool:
        """It is still good for the file."""
        return True

    @property
    def brief(self) -> str:
        """What happened in a few words."""
        return f"brings {self.bytes_per_second / 1e6:.2g} MB/s, the next address {self.by_bytes_per_second / 1e6:.2g}"


class CutShort(Failed):
    """The connection ended before the body did."""

    code = "cut-short"

    url: str
    received_bytes: int
    expected_bytes: int | None
    reason: str = "the connection was closed"

    @property
    def again(self) -> bool:
        """What came is kept."""
        return True

    @property
    def brief(self) -> str:
        """What happened in a few words."""
        return f"broke off after {self.received_bytes} bytes"


class BadAnswer(Failed):
    """The server broke HTTP (RFC 9110, 9112), in `what`."""

    code = "bad-answer"

    url: str
    what: str

    @property
    def again(self) -> bool:
        """It may have been one broken process of many."""
        return True

    @property
    def brief(self) -> str:
        """What happened in a few words."""
        return self.what


class NotTheFile(Failed):
    """An HTML page came where a binary file was expected: a login, a parked domain, an error with status 200."""

    code = "not-the-file"

    url: str
    file: str
    content_type: str
    begins: str  # the first characters of the body

    @property
    def brief(self) -> str:
        """What happened in a few words."""
        return "sent an HTML page in place of the file"


class RedirectRefused(Failed):
    """A redirect leads where zoo does not go."""

    code = "redirect-refused"

    url: str
    to: str
    why: str


class AddressRefused(Failed):
    """A name leads to a network address zoo does not connect to."""

    code = "address-refused"

    url: str
    address: str
    why: str


class LocalFileFailed(Failed):
    """A file: address or a path as source cannot be read."""

    code = "cannot-read-source"

    url: str
    reason: str


class TooLarge(Failed):
    """More bytes than may come."""

    code = "too-large"
    exit_code = ExitCode.INTEGRITY

    url: str
    file: str
    limit_bytes: int
    declared_bytes: int | None  # None: the body went on without end


class SizeMismatch(Failed):
    """The file has another size than is known of it."""

    code = "size-mismatch"
    exit_code = ExitCode.INTEGRITY

    url: str
    file: str
    expected_bytes: int
    received_bytes: int

    @property
    def brief(self) -> str:
        """What happened in a few words."""
        return f"has a file of {self.received_bytes} bytes, not {self.expected_bytes}"


class HashMismatch(Failed):
    """The bytes received are not the bytes promised; they were dropped."""

    code = "hash-mismatch"
    exit_code = ExitCode.INTEGRITY

    url: str
    file: str
    expected: str  # 64 hex digits, or fewer when only a prefix is known
    received: str
    basis: str  # what `expected` rests on: an evidence word

    @property
    def again(self) -> bool:
        """One flipped byte heals by fetching again; the engine counts."""
        return True

    @property
    def brief(self) -> str:
        """What happened in a few words."""
        return f"sent other bytes than expected: {self.received[:8]}..., not {self.expected[:8]}..."


class AllSourcesFailed(ZooError):
    """Several addresses were tried and none delivered; `failures` has the last failure of each, in order."""

    code = "all-sources-failed"

    file: str
    failures: tuple[Failed, ...]

    @property
    def exit_code(self) -> ExitCode:  # type: ignore[override]
        """Integrity when any source sent wrong bytes, else network."""
        return max(failure.exit_code for failure in self.failures)

    def fields(self) -> dict[str, object]:
        """The facts, each failure as a document of its own."""
        failures = [{"code": each.code, **each.fields()} for each in self.failures]
        return {"file": self.file, "failures": failures}


class TookTooLong(ZooError):
    """The time limit for the whole transfer is over."""

    code = "took-too-long"
    exit_code = ExitCode.NETWORK

    file: str
    seconds: float
    received_bytes: int


class BadAddress(ZooError):
    """A text is no address zoo can fetch from."""

    code = "bad-address"
    exit_code = ExitCode.USAGE

    url: str
    why: str


class PasswordKept(ZooError):
    """An address with a password or a key would be written to a file of settings."""

    code = "password-kept"
    exit_code = ExitCode.USAGE

    url: str  # without it
    file: str


class BadCaBundle(ZooError):
    """The file with certificate authorities cannot be used."""

    code = "bad-ca-bundle"
    exit_code = ExitCode.USAGE

    path: str
    reason: str


class DestinationExists(ZooError):
    """Another file is at the destination and replacing it was not asked; `expected` None: nothing to compare with."""

    code = "destination-exists"

    path: str
    expected: str | None
    found: str  # its SHA-256


class DestinationUnusable(ZooError):
    """The destination cannot be written."""

    code = "destination-unusable"

    path: str
    reason: str


class NoSpace(ZooError):
    """The disk has no room for the file."""

    code = "no-space"

    path: str
    needed_bytes: int | None
    free_bytes: int
