"""Fetching models: the flattened configs and every file of them, in the order that harms least.

Flow: `selection.select` decides from the index what is meant, `execute` does it. All configs are flattened and all
destinations of configs looked at before anything is written; files come next, several at once, each complete and
checked under its final name or not there at all; the config of a model, which is small, is put in place when its files
are there. What goes wrong with one model stops no other.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zoo_cli.errors import ZooError
from zoo_cli.models.config_findings import imports_of
from zoo_cli.models.flatten import Releases
from zoo_cli.models.modelfile import Access, ReceivedFile, fetch_model_file
from zoo_cli.models.placing import is_placed, place
from zoo_cli.models.writer import write_flat
from zoo_cli.transfer.events import Listener, Noted, nothing
from zoo_cli.transfer.fetch import Wanted, fetch
from zoo_cli.transfer.parallel import Shared, together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from zoo_cli.catalog.current import Signed
    from zoo_cli.catalog.models import ModelFile
    from zoo_cli.models.configs import Flat
    from zoo_cli.models.selection import Pick, Selection

JOBS = 4  # files at once


@dataclass(frozen=True, slots=True)
class PlacedConfig:
    """A flattened config and its place. `evidence`: record, crc or kept (see `release.Release`)."""

    path: Path
    text: str
    flat: Flat
    evidence: str
    already_here: bool  # the same stood there before


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
    ready: dict[int, PlacedConfig | None] = field(default_factory=dict)  # by the pick's number
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
        return original._replace(path=copy.path, already_here=copy.already_here)

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


def _prepared(pick: Pick, destination: Path, releases: Releases, replace_others: bool) -> PlacedConfig | None:
    if pick.config_name is None or pick.model is None or pick.model.config_path is None:
        return None
    made = releases.flatten(pick.model.config_path, pick.model.release)
    text = write_flat(made.flat, made.header(pick.asked_as))
    path = destination / pick.place(pick.config_name)
    return PlacedConfig(path, text, made.flat, made.evidence, is_placed(path, text, replace=replace_others))


def _placed(config: PlacedConfig, listen: Listener) -> PlacedConfig:
    count = len(config.flat.files)
    if config.already_here:
        listen(Noted(f"{config.path.name}: already here, flattened from {count} files"))
    else:
        place(config.path, config.text)
        listen(Noted(f"{config.path.name}: flattened from {count} files"))
    if imports := imports_of(config.flat):
        listen(Noted(f"{config.path.name}: whoever uses it will import {', '.join(imports)}"))
    return config
