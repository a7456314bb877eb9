"""What can be wrong with a signed index, its roots and its keys, as facts.

Pure; imports nothing of TUF, so that showing one of these errors costs nothing.
"""

from __future__ import annotations

from typing import Literal

from zoo_cli.errors import ExitCode, ZooError

Fault = Literal["expired", "older", "unsigned", "other-bytes", "endless", "malformed", "missing", "outside"]
"""Why metadata or an index is refused.

expired: withheld updates (freeze), or nobody signs any more. older: a version below one that was seen
(rollback), or one that does not belong to the others (mix and match). unsigned: too few signatures of the keys that
count. other-bytes: not the length or digest that was signed. endless: more bytes than may come. malformed: no metadata
or file that can be read. missing: nothing for this version of zoo. outside: a lab's index names what is not the lab's.
"""


class IndexRefused(ZooError):
    """What a mirror offers as the index is not what its signers signed last; the index that is here stays."""

    code = "index-refused"
    exit_code = ExitCode.INTEGRITY

    root: str  # the name of the trusted root
    mirror: str
    fault: Fault
    reason: str
    today: str  # by this computer's clock, since expiry is judged by it


class IndexExpired(ZooError):
    """The signatures of the index in use have expired: what is there is read, nothing new is fetched by it."""

    code = "index-expired"
    exit_code = ExitCode.INTEGRITY

    root: str
    date: str
    source: str
    expires: str
    today: str


class IndexBusy(ZooError):
    """Another process updates the index."""

    code = "index-busy"

    path: str
    seconds: float
    holder: str


class ClockBehind(ZooError):
    """The clock says a day on which this index did not exist: nothing can be told about expiry by it."""

    code = "clock-behind"
    exit_code = ExitCode.ENVIRONMENT

    today: str
    known: str  # a day that is certainly over


class NoRoot(ZooError):
    """There is no trusted root to update from."""

    code = "no-trusted-root"
    exit_code = ExitCode.USAGE

    name: str


class BadRoot(ZooError):
    """A file is no root that anything could be trusted by."""

    code = "bad-root"
    exit_code = ExitCode.INTEGRITY

    path: str
    reason: str


class RootKnown(ZooError):
    """Another root has that name; one is never replaced silently."""

    code = "root-known"
    exit_code = ExitCode.USAGE

    name: str
    is_shipped: bool


class RootNameTaken(ZooError):
    """The name of a root is the namespace of its entries, and something else is called so already."""

    code = "root-name-taken"
    exit_code = ExitCode.USAGE

    name: str
    reason: str


class RootNotAgreed(ZooError):
    """Trusting a root needs somebody who compares its keys, and nobody can be asked."""

    code = "root-not-agreed"
    exit_code = ExitCode.USAGE

    name: str
    keys: tuple[str, ...]


class BadKey(ZooError):
    """A file is no key that can be used, or its passphrase is missing or wrong."""

    code = "bad-key"
    exit_code = ExitCode.USAGE

    path: str
    reason: str


class BadRepository(ZooError):
    """A directory is not in a state that can be published or signed from."""

    code = "bad-repository"

    path: str
    reason: str


class SignaturesMissing(ZooError):
    """Metadata has fewer valid signatures than its role needs; it waits where it is."""

    code = "signatures-missing"

    path: str  # the file to sign; empty for what only `publish` writes
    role: str
    valid: int
    needed: int
    keys: tuple[str, ...]  # identifiers of keys that may sign and have not
