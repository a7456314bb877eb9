"""What the commands around mirrors of one's own share: the place of a mirror, and the files that it shall have."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.mirror.manifest import INDEX, place_of_url
from zoo_cli.mirror.s3 import is_bucket, open_bucket
from zoo_cli.mirror.sync import Item
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

    from zoo_cli.catalog.models import ModelFile, Release
    from zoo_cli.cli.console import Console
    from zoo_cli.machine.facts import Machine
    from zoo_cli.mirror.tree import Tree
    from zoo_cli.models.modelfile import Access
    from zoo_cli.models.selection import Selection
    from zoo_cli.packages.locked import Lock
    from zoo_cli.packages.mirrored import MirroredWheel
    from zoo_cli.transfer.events import Listener
    from zoo_cli.transfer.fetch import Received
    from zoo_cli.transfer.sources import Wanted
    from zoo_cli.transfer.store import Store

    Bring = Callable[[Path, Store | None, Listener], Received]


@contextmanager
def opened(place: str, cache: Path | None) -> Iterator[Tree]:
    """The tree at a place: a directory, or s3://bucket/prefix with a staging directory in the cache.

    Raises:
        UsageError: It is neither.
        BadBucket, NoS3Client, S3Failed: See `mirror.s3`.
    """
    from zoo_cli.mirror.tree import DirectoryTree
    from zoo_cli.models.bundling import staging
    from zoo_cli.transfer.addresses import local_path

    if not is_bucket(place):
        if not (path := local_path(place)):
            raise click.UsageError(f"'{printable(place, 200)}' is neither a directory nor s3://BUCKET/PREFIX.")
        yield DirectoryTree(Path(path).absolute())
        return
    with staging(cache, ("mirror", place)) as folder:
        yield open_bucket(place, folder)


def index_item(connection: sqlite3.Connection, access: Access) -> Item:
    """The index itself, as ZOO_INDEX takes it."""
    from zoo_cli.transfer.sources import Wanted
    from zoo_cli.transfer.store import digest_of

    path = Path(connection.execute("PRAGMA database_list").fetchone()[2])
    size, sha256 = digest_of(path)
    return Item(INDEX, "index", "", _plainly(Wanted("zoo.db", (str(path),), size, sha256), access), sha256, size)


def _plainly(wanted: Wanted, access: Access) -> Bring:
    """How a file of known digest comes: from the user's store where that has it, else from its addresses."""

    def bring(place: Path, store: Store | None, listen: Listener) -> Received:
        from zoo_cli.transfer.fetch import fetch

        kept = access.store.get(wanted.sha256) if access.store and wanted.sha256 else None
        urls = (str(kept), *wanted.urls) if kept else wanted.urls
        return fetch(wanted._replace(urls=urls), place, access.settings, listen, store=store, replace=True)

    return bring


def model_items(console: Console, selection: Selection, access: Access) -> list[Item]:
    """Checkpoints and logs of a selection, and the releases that hold its configs."""
    files = {place_of_url(file.urls[0]): file for pick in selection.picks for file in pick.files}
    releases = {place_of_url(each.wheel_url): each for each in _releases(console, selection, access)}
    return [
        *(_file_item(path, file, access) for path, file in files.items()),
        *(_release_item(path, release, access) for path, release in releases.items()),
    ]


def _file_item(path: str, file: ModelFile, access: Access) -> Item:
    from zoo_cli.models.modelfile import fetch_model_file

    def bring(place: Path, store: Store | None, listen: Listener) -> Received:
        return fetch_model_file(file, place, replace(access, store=store), listen, replace_others=True).received

    kind = "log" if file.role == "log" else "checkpoint"
    return Item(path, kind, file.urls[0], bring, file.sha256, file.size_bytes)


def _release_item(path: str, release: Release, access: Access) -> Item:
    from zoo_cli.models.flatten import wheel_of
    from zoo_cli.transfer.hashes import parse_sha256
    from zoo_cli.transfer.sources import Wanted

    digest, size = parse_sha256(release.wheel_sha256), release.wheel_size
    wanted = Wanted(release.wheel_name, wheel_of(release, access.mirrors).urls, size, digest)
    return Item(path, "release", release.wheel_url, _plainly(wanted, access), digest, size)


def _releases(console: Console, selection: Selection, access: Access) -> list[Release]:
    """The releases that flattening the configs needs: it is tried, since only that tells of bases elsewhere."""
    from zoo_cli.errors import ZooError
    from zoo_cli.models.flatten import Releases

    found: dict[Release, None] = {}
    with Releases(access.mirrors, access.settings, access.cache, access.releases) as releases:
        for pick in selection.picks:
            if pick.config_name is None or pick.model is None or pick.model.config_path is None:
                continue
            found[pick.model.release] = None
            try:
                found |= dict.fromkeys(releases.flatten(pick.model.config_path, pick.model.release).neighbours)
            except ZooError as error:
                console.warn(f"{pick.asked_as}: its config cannot be had there either ({error.code})")
    return list(found)


def wheel_items(lock: Lock, machine: Machine, shown: str, access: Access) -> list[Item]:
    """The wheels that a machine takes of a lock.

    Raises:
        LockDoesNotFit: The lock is for other machines.
    """
    from zoo_cli.packages.mirrored import wheels_for

    return [_wheel_item(each, access) for each in wheels_for(lock, machine, shown)]


def _wheel_item(each: MirroredWheel, access: Access) -> Item:
    from zoo_cli.packages.mirrored import metadata_of
    from zoo_cli.transfer.hashes import parse_sha256
    from zoo_cli.transfer.sources import Wanted

    wheel, digest = each.wheel, parse_sha256(each.wheel.sha256)
    is_local = wheel.url.startswith("file:")
    path = f"wheels/{digest[:16]}/{wheel.name}" if is_local else place_of_url(wheel.url)
    urls = (wheel.url,) if is_local else access.mirrors.all_addresses((wheel.url,), "wheels")
    wanted = Wanted(wheel.name, urls, wheel.size_bytes, digest)
    upstream = "" if is_local else wheel.url
    is_listed = each.is_stack and not is_local
    return Item(
        path, "wheel", upstream, _plainly(wanted, access), digest, wheel.size_bytes, metadata_of, is_listed
    )  # fmt: skip


def lock_machine(lock: Lock) -> str | None:
    """The machine that a lock was made for, as `--machine` takes it; None when the lock does not say."""
    facts = {name: value for name, value in lock.machine.items() if name != "gpu" and "," not in value}
    return ",".join(f"{name}={value}" for name, value in facts.items()) or None
