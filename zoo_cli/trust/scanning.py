"""Checkpoints where they are: files, directories, and addresses that are judged before they are fetched.

Edge: opens files and reads sockets. Only plain files are opened; links in a directory are not followed.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.trust.checkpoint import is_named_like_one, looks_like_one, scan_checkpoint
from zoo_cli.trust.verdict import Policy, UnreadableCheckpoint, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from zoo_cli.transfer.settings import Settings

_HEAD_BYTES = 512


def scan_file(path: Path, policy: Policy | None = None) -> Verdict:
    """The verdict on a file.

    Raises:
        UnreadableCheckpoint: It is no plain file, or cannot be read.
    """
    try:
        with open_plain(path) as file:
            return scan_checkpoint(file, os.fstat(file.fileno()).st_size, policy)
    except OSError as exc:
        raise UnreadableCheckpoint(str(path), exc.strerror or str(exc)) from exc


def scan_url(urls: Sequence[str], settings: Settings, policy: Policy | None = None) -> tuple[Verdict, int]:
    """The verdict on a file that stays where it is, and how many bytes were fetched for it.

    Raises:
        Failed, AllSourcesFailed, TookTooLong, BadAddress: As `RemoteFile`.
    """
    from zoo_cli.transfer.remote import RemoteFile

    with RemoteFile(urls, settings) as file:
        verdict = scan_checkpoint(file, file.size_bytes, policy, every_header=False)  # type: ignore[arg-type]
        return verdict, file.fetched_bytes


def checkpoints_at(path: Path) -> Iterator[Path]:
    """The file itself, or files of a directory that are called like checkpoints or begin like one, sorted.

    Raises:
        UnreadableCheckpoint: A directory or file cannot be read: nothing is passed over in silence.
    """

    def fail(error: OSError) -> None:
        raise UnreadableCheckpoint(str(error.filename), error.strerror or str(error)) from error

    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path, onerror=fail):
        folders.sort()
        for name in sorted(names):
            file = Path(folder) / name
            if stat.S_ISREG(file.lstat().st_mode) and (is_named_like_one(name) or _begins_like_one(file)):
                yield file


def _begins_like_one(path: Path) -> bool:
    try:
        with open_plain(path) as file:
            return looks_like_one(file.read(_HEAD_BYTES))
    except OSError as exc:
        raise UnreadableCheckpoint(str(path), exc.strerror or str(exc)) from exc


def open_plain(path: Path) -> BinaryIO:
    """The file, open and unbuffered; anything but a plain file is refused without waiting for it.

    Raises:
        OSError: It cannot be opened, or is no plain file.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is no plain file")
    return os.fdopen(descriptor, "rb", buffering=0)
