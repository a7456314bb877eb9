"""Fetching models: the flattened configs and every file of them, in the order that harms least.

Flow: `selection.select` decides from the index what is meant, `execute` does it. All configs are flattened and all
destinations of configs looked at before anything is written; files come next, several at once, each complete and
checked under its final name or not there at all; the config of a model, which is small, is put in place when its files
are there. What goes wrong with one model stops no other.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

from zoo_cli.catalog.scope import namespace_of
from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.models.config_findings import imports_of
from zoo_cli.models.flatten import Releases
from zoo_cli.models.levels import known_prefix, level_of
from zoo_cli.models.placing import is_placed, place
from zoo_cli.models.writer import write_flat
from zoo_cli.transfer.events import Listener, Noted, nothing
from zoo_cli.transfer.failures import AllSourcesFailed, Failed, HashMismatch
from zoo_cli.transfer.fetch import Received, Wanted, fetch
from zoo_cli.transfer.hashes import parse_sha256
from zoo_cli.transfer.parallel import Shared, together
from zoo_cli.transfer.second import operator_of, second_opinion
from zoo_cli.trust.quarantine import Quarantine, withdraw
from zoo_cli.trust.screening import Screening
from zoo_cli.trust.verdict import NOTHING_TRUSTED, Policy, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from zoo_cli.catalog.current import Signed
    from zoo_cli.catalog.models import ModelFile
    from zoo_cli.catalog.models import Release as IndexRelease
    from zoo_cli.models.configs import Flat
    from zoo_cli.models.selection import Pick, Selection
    from zoo_cli.transfer.settings import Settings
    from zoo_cli.transfer.sources import Mirrors
    from zoo_cli.transfer.store import Store
    from zoo_cli.trust.seen import Seen

JOBS = 4  # files at once


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


@dataclass(frozen=True, slots=True)
class PlacedConfig:
    """A config under its final name. `evidence`: record, crc or kept (see `release.Release`)."""

    path: Path
    text: str
    flat: Flat
    evidence: str
    already_here: bool


@dataclass(frozen=True, slots=True)
class ReceivedFile(Received):
    """A file of a model; `verdict` is the scanner's on the complete file, None for a log, which is only text.

    `signed` is what the evidence `signed` rests on.
    """

    verdict: Verdict | None = None
    signed: Signed | None = None


@dataclass(frozen=True, slots=True)
class PickReceipt:
    """What was done for one model: its config, and its files in the order of `pick.files`."""

    pick: Pick
    config: PlacedConfig | None
    files: tuple[ReceivedFile, ...]


@dataclass(frozen=True, slots=True)
class PickFailed:
    """A model that did not come, and why."""

    pick: Pick
    error: ZooError


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was done, model by model, in the order asked."""

    models: tuple[PickReceipt, ...]
    failures: tuple[PickFailed, ...]


@dataclass(frozen=True, slots=True)
class Access:
    """What a download may use: rules, limits, cache of configs, record of digests, store (None: none), trust.

    `releases` are those of the index, for configs that are built on other packages. `cross_check`: every file whose
    digest no index states is asked of a second operator, too. `allow_unverified`: checkpoints of the level `none` may
    come. `signed` is what the index in use rests on, as far as its
    signatures hold.
    """

    mirrors: Mirrors
    settings: Settings
    cache: Path | None = None
    seen: Seen | None = None
    store: Store | None = None
    policy: Policy = NOTHING_TRUSTED
    releases: tuple[IndexRelease, ...] = ()
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


def execute(
    selection: Selection,
    destination: Path,
    access: Access,
    listen: Listener = nothing,
    *,
    replace_others: bool = False,
    jobs: int = JOBS,
    finish: Callable[[PickReceipt], None] = lambda _receipt: None,
    accept: Callable[[Pick, str], None] = lambda _pick, _config: None,
) -> Receipt:
    """Fetches everything of the selection into the directory.

    Args:
        selection: From `selection.select`.
        destination: A directory; made when it is missing.
        access: Mirrors, limits, cache, record of digests.
        listen: Gets the events of transfers, and a line for each config.
        replace_others: Whether other files under the same names may be replaced.
        jobs: How many files at once.
        finish: Called with each model as soon as all of it is in place.
        accept: Called with the text of each model's config before anything of the model is placed; an error that it
            raises gives the model up.

    Returns:
        What came, and what did not with its error: ConfigError, BadWheel, CannotWrite for a config; Failed,
        AllSourcesFailed, TookTooLong, CheckpointChanged, CheckpointRefused for a file; DestinationExists,
        DestinationUnusable, NoSpace for the destination's side.
    """
    shared = Shared(listen)
    run = _Run(selection, destination, access, shared, replace_others, finish, accept)
    run.prepare()
    work = run.transfers()
    with closing(together([each for each in work if not each.copies], run.fetched, jobs, shared)) as results:
        for transfer, result in results:
            run.take(transfer, result)
    for transfer in work:
        if transfer.copies:
            run.take(transfer, run.copied(transfer))
    return run.receipt()


@dataclass(frozen=True, slots=True)
class _Ready:
    """A flattened config on its way to its place."""

    path: Path
    text: str
    flat: Flat
    evidence: str
    already_here: bool


@dataclass(frozen=True, slots=True)
class _Transfer:
    """A file and its place below the destination; `copies` is where the same file is fetched to."""

    place: str
    file: ModelFile
    package: str | None
    copies: str | None


@dataclass
class _Run:
    """One download on its way: what is ready, what came, what failed."""

    selection: Selection
    destination: Path
    access: Access
    listen: Listener
    replace_others: bool
    finish: Callable[[PickReceipt], None]
    accept: Callable[[Pick, str], None]
    ready: dict[int, _Ready | None] = field(default_factory=dict)  # by the pick's number
    done: dict[int, PickReceipt] = field(default_factory=dict)
    failed: dict[int, ZooError] = field(default_factory=dict)
    came: dict[str, ReceivedFile | ZooError] = field(default_factory=dict)  # by place

    def prepare(self) -> None:
        """Flattens every config; a model whose config cannot be had is given up here."""
        access = self.access
        with Releases(access.mirrors, access.settings, access.cache, access.releases) as releases:
            for number, pick in enumerate(self.selection.picks):
                try:
                    ready = _prepared(pick, self.destination, releases, self.replace_others)
                    self.accept(pick, ready.text if ready else "")
                    self.ready[number] = ready
                except ZooError as error:
                    self.failed[number] = error
        self._finish_complete()

    def transfers(self) -> list[_Transfer]:
        """Every file that is still wanted, each place once; of one file in several places the first is fetched."""
        first: dict[tuple[ModelFile, Signed | None], str] = {}
        found: dict[str, _Transfer] = {}
        for number in self.ready:
            pick = self.selection.picks[number]
            for file in pick.files:
                where = pick.place(file.name)
                package = pick.model.project if pick.model else None
                origin = first.setdefault((file, self.access.signer_of(package)), where)
                found.setdefault(where, _Transfer(where, file, package, origin if origin != where else None))
        return list(found.values())

    def fetched(self, transfer: _Transfer) -> ReceivedFile:
        """The file of a transfer, fetched."""
        path = self.destination / transfer.place
        signed = self.access.signer_of(transfer.package)
        return fetch_model_file(
            transfer.file, path, self.access, self.listen, replace_others=self.replace_others, signed=signed
        )

    def copied(self, transfer: _Transfer) -> ReceivedFile | ZooError:
        """The file of a transfer that came to another place already."""
        original = self.came[transfer.copies or ""]
        if isinstance(original, ZooError):
            return original
        wanted = Wanted(transfer.file.name, (str(original.path),), original.size_bytes, original.sha256)
        path = self.destination / transfer.place
        try:
            access, listen = self.access, self.listen
            copy = fetch(wanted, path, access.settings, listen, store=access.store, replace=self.replace_others)
        except ZooError as error:
            return error
        return replace(original, path=copy.path, already_here=copy.already_here)

    def take(self, transfer: _Transfer, result: ReceivedFile | ZooError) -> None:
        """Remembers what became of a transfer and finishes the models that have all their files now."""
        self.came[transfer.place] = result
        self._finish_complete()

    def _finish_complete(self) -> None:
        for number in [each for each in self.ready if each not in self.done and each not in self.failed]:
            pick = self.selection.picks[number]
            results = [self.came.get(pick.place(file.name)) for file in pick.files]
            if None not in results:
                self._finish(number, pick, [each for each in results if each is not None])

    def _finish(self, number: int, pick: Pick, results: Iterable[ReceivedFile | ZooError]) -> None:
        files: list[ReceivedFile] = []
        for result in results:
            if isinstance(result, ZooError):
                self.failed[number] = result
                return
            files.append(result)
        ready = self.ready[number]
        try:
            receipt = PickReceipt(pick, _placed(ready, self.listen) if ready else None, tuple(files))
            self.finish(receipt)
        except ZooError as error:
            self.failed[number] = error
        else:
            self.done[number] = receipt

    def receipt(self) -> Receipt:
        """What was done, in the order asked."""
        picks = self.selection.picks
        failures = tuple(PickFailed(picks[number], self.failed[number]) for number in sorted(self.failed))
        return Receipt(tuple(self.done[number] for number in sorted(self.done)), failures)


def addresses_of(file: ModelFile, mirrors: Mirrors) -> tuple[str, ...]:
    """Where a checkpoint or log may come from, in the order to try."""
    return mirrors.all_addresses(file.urls, "checkpoints")


def _prepared(pick: Pick, destination: Path, releases: Releases, replace_others: bool) -> _Ready | None:
    if pick.config_name is None or pick.model is None or pick.model.config_path is None:
        return None
    made = releases.flatten(pick.model.config_path, pick.model.release)
    text = write_flat(made.flat, made.header(pick.asked_as))
    path = destination / pick.place(pick.config_name)
    return _Ready(path, text, made.flat, made.evidence, is_placed(path, text, replace=replace_others))


def _placed(config: _Ready, listen: Listener) -> PlacedConfig:
    count = len(config.flat.files)
    if config.already_here:
        listen(Noted(f"{config.path.name}: already here, flattened from {count} files"))
    else:
        place(config.path, config.text)
        listen(Noted(f"{config.path.name}: flattened from {count} files"))
    if imports := imports_of(config.flat):
        listen(Noted(f"{config.path.name}: whoever uses it will import {', '.join(imports)}"))
    return PlacedConfig(config.path, config.text, config.flat, config.evidence, config.already_here)


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
    if file.stale:
        digits = f"compared with {file.prefix} instead" if file.prefix else "not compared"
        listen(Noted(f"{file.name}: the digits in its name are not the file's any more, {digits} ({file.stale})"))
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
    if verdict and (verdict.findings or verdict.trusted):
        names = ", ".join((*verdict.trusted, *(each.what for each in verdict.findings[:5])))
        listen(Noted(f"{file.name}: whoever loads it runs code of {names}"))
    common = {each.name: getattr(received, each.name) for each in fields(Received)}
    return ReceivedFile(**common, verdict=verdict, signed=signed if received.evidence == "signed" else None)


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
    return replace(received, evidence="agreed") if received.evidence in ("prefix", "none") else received


def _mismatch(error: Failed | AllSourcesFailed) -> HashMismatch | None:
    failures = error.failures if isinstance(error, AllSourcesFailed) else (error,)
    return next((each for each in failures if isinstance(each, HashMismatch)), None)
