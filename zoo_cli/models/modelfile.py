"""One file of a model: where it may come from, what it is compared with, and whether it may come at all.

What nothing is known of needs to be allowed or to come alike from two operators; what was fetched before under an
address must be what comes; a checkpoint must hold no code. Each file comes with what its identity rests on (`levels`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.catalog.scope import namespace_of
from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.models.levels import known_prefix, level_of
from zoo_cli.transfer.events import Listener, Noted
from zoo_cli.transfer.failures import AllSourcesFailed, Failed, HashMismatch
from zoo_cli.transfer.fetch import Received, Wanted, fetch
from zoo_cli.transfer.hashes import parse_sha256
from zoo_cli.transfer.second import operator_of, second_opinion
from zoo_cli.trust.quarantine import Quarantine, withdraw
from zoo_cli.trust.screening import Screening
from zoo_cli.trust.verdict import NOTHING_TRUSTED, Policy, Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from zoo_cli.catalog.current import Signed
    from zoo_cli.catalog.models import ModelFile, Release
    from zoo_cli.transfer.hashes import Evidence, Sha256
    from zoo_cli.transfer.settings import Settings
    from zoo_cli.transfer.sources import Mirrors
    from zoo_cli.transfer.store import Store
    from zoo_cli.trust.seen import Seen


class CheckpointChanged(ZooError):
    """Upstream sends other bytes under an address than when this user first fetched it."""

    code = "checkpoint-changed"
    exit_code = ExitCode.INTEGRITY

    file: str
    url: str
    expected: str
    received: str
    record: str  # the file that remembers


class SourcesDisagree(ZooError):
    """Two operators send different files under one name, so at least one of them is wrong."""

    code = "sources-disagree"
    exit_code = ExitCode.INTEGRITY

    file: str
    one: str  # an address, or the path of the file that is here
    sha256: str  # what it sent
    other: str
    other_sha256: str
    quarantine: str | None  # where the file that came is kept, to be looked into


class Unverified(ZooError):
    """Nothing is known of a checkpoint that its bytes could be compared with, and nobody said that this will do."""

    code = "unverified"
    exit_code = ExitCode.INTEGRITY

    file: str
    url: str
    second_host: bool  # a second one was asked for, and there is none


class ReceivedFile(NamedTuple):
    """A file of a model: what `Received` tells of it, and what else is known.

    `verdict` is the scanner's on the complete file, None for a log, which is only text. `signed` is what the evidence
    `signed` rests on.
    """

    path: Path
    size_bytes: int
    sha256: Sha256
    url: str
    evidence: Evidence
    already_here: bool
    from_cache: bool
    is_mixed: bool
    verdict: Verdict | None
    signed: Signed | None

    @property
    def received(self) -> Received:
        """It as any other file."""
        return Received(*self[:-2])


@dataclass(frozen=True, slots=True)
class Access:
    """What a download may use: rules, limits, cache of configs, record of digests, store (None: none), trust.

    `releases` are those of the index, for configs that are built on other packages. `cross_check`: every file whose
    digest no index states is asked of a second operator, too. `allow_unverified`: checkpoints of the level `none` may
    come. `signed` is what the index in use rests on, as far as its signatures hold.
    """

    mirrors: Mirrors
    settings: Settings
    cache: Path | None = None
    seen: Seen | None = None
    store: Store | None = None
    policy: Policy = NOTHING_TRUSTED
    releases: tuple[Release, ...] = ()
    cross_check: bool = False
    signed: tuple[Signed, ...] = ()
    allow_unverified: bool = False

    def signer_of(self, package: str | None) -> Signed | None:
        """Under whose signatures the index's facts on a package are; None for what came with zoo."""
        space = None if package is None else namespace_of(package)
        return next((each for each in self.signed if each.namespace == space), None)

    @property
    def quarantine(self) -> Quarantine | None:
        """Where refused files are kept."""
        return Quarantine(self.cache) if self.cache else None


def addresses_of(file: ModelFile, mirrors: Mirrors) -> tuple[str, ...]:
    """Where a checkpoint or log may come from, in the order to try."""
    return mirrors.all_addresses(file.urls, "checkpoints")


def fetch_model_file(
    file: ModelFile,
    path: Path,
    access: Access,
    listen: Listener,
    *,
    replace_others: bool,
    signed: Signed | None = None,
) -> ReceivedFile:
    """Fetches one file; what was seen before under its address must be what comes, and it must hold no code.

    `signed` is what the facts on it rest on: a whole digest that it states is a signed one.

    Raises:
        Unverified: Nothing is known to compare it with.
        Failed, AllSourcesFailed, TookTooLong, CheckpointChanged, CheckpointRefused: The file's side.
        DestinationExists, DestinationUnusable, NoSpace: The destination's side.
    """
    url = file.urls[0]
    seen = access.seen.digest_of(url) if access.seen and not file.sha256 else None
    level = level_of(file, is_signed=bool(signed), is_seen=seen is not None)
    must_agree = level == "none" and file.role != "log" and not access.allow_unverified
    if must_agree and not access.cross_check:
        raise Unverified(file.name, url, second_host=False)
    _tell_stale(file, listen)
    screening = Screening(file.name, access.policy, access.quarantine) if file.role != "log" else None
    wanted = Wanted(
        name=file.name,
        urls=addresses_of(file, access.mirrors),
        size_bytes=file.size_bytes,
        sha256=parse_sha256(file.sha256) if file.sha256 else seen,
        prefix=known_prefix(file),
        inspector=screening,
        basis="signed" if level == "signed" else "locked",
    )
    try:
        received = fetch(wanted, path, access.settings, listen, store=access.store, replace=replace_others)
    except (Failed, AllSourcesFailed) as error:
        mismatch = _mismatch(error)
        if seen is None or mismatch is None or access.seen is None:
            raise
        raise CheckpointChanged(file.name, url, seen, mismatch.received, str(access.seen.path)) from error
    if access.cross_check:
        received = _cross_checked(file, received, wanted, access, listen)
    if must_agree and received.evidence == "none":
        if not received.already_here:
            withdraw(received.path, {}, None)
        raise Unverified(file.name, url, second_host=True)
    if access.seen and not file.sha256 and not access.seen.record(url, received.sha256):
        listen(Noted(f"{file.name}: its digest could not be written to {access.seen.path}"))
    verdict = screening.verdict if screening else None
    _tell_code(file, verdict, listen)
    return ReceivedFile(*received, verdict=verdict, signed=signed if received.evidence == "signed" else None)


def _tell_stale(file: ModelFile, listen: Listener) -> None:
    if file.stale:
        digits = f"compared with {file.prefix} instead" if file.prefix else "not compared"
        listen(Noted(f"{file.name}: the digits in its name are not the file's any more, {digits} ({file.stale})"))


def _tell_code(file: ModelFile, verdict: Verdict | None, listen: Listener) -> None:
    if verdict and (verdict.findings or verdict.trusted):
        names = ", ".join((*verdict.trusted, *(each.what for each in verdict.findings[:5])))
        listen(Noted(f"{file.name}: whoever loads it runs code of {names}"))


def _cross_checked(file: ModelFile, received: Received, wanted: Wanted, access: Access, listen: Listener) -> Received:
    """The file with the level `agreed`, when two operators send it; as it was, when no second one can be asked.

    Raises:
        SourcesDisagree: Another operator sends another file.
    """
    is_new = not (received.already_here or received.from_cache or received.is_mixed)
    heard, origin = (operator_of(received.url) if is_new else None), received.url if is_new else str(received.path)
    for _ in range(1 if heard else 2):  # who sent a file that was here before, or came from several, is not known
        opinion = second_opinion(file.name, wanted.urls, heard, received.size_bytes, access.settings, listen)
        if opinion is None:
            return received
        if opinion.sha256 != received.sha256:
            found = SourcesDisagree(file.name, origin, received.sha256, opinion.url, opinion.sha256, None)
            if not received.already_here:
                reason = {"code": found.code, **found.fields()}
                found.quarantine = str(withdraw(received.path, reason, access.quarantine) or "") or None
            raise found
        heard = operator_of(opinion.url)
    listen(Noted(f"{file.name}: {heard} sends the same sha256"))
    return received._replace(evidence="agreed") if received.evidence in ("prefix", "none") else received


def _mismatch(error: Failed | AllSourcesFailed) -> HashMismatch | None:
    failures = error.failures if isinstance(error, AllSourcesFailed) else (error,)
    return next((each for each in failures if isinstance(each, HashMismatch)), None)
