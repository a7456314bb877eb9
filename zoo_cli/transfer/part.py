"""The part file: bytes of a transfer under a hidden name beside the destination, until they are right.

Edge: files and locks. `.NAME.zoo-part` holds the bytes, `.NAME.zoo-part.json` what is known of them, its `.map` which
of them are there when they did not come in order (`mapped`). The part file is the lock between processes as well: who
holds it writes; who waited finds either the finished file or the kept bytes. Links are not followed, and a part file
that is not a plain file of ours is thrown away.

A kill -9 between any two of its operations leaves what the next process goes on from or sweeps away
(`tests/transfer/test_every_kill.py` kills before each of them). A small body that comes at once and has a full digest
is written whole and needs no record: the digest tells whether it is all there.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING

from zoo_cli import filelock
from zoo_cli.transfer.failures import DestinationUnusable, NoSpace
from zoo_cli.transfer.finalname import give_link, give_name, sync_directory
from zoo_cli.transfer.hashes import is_full
from zoo_cli.transfer.mapped import Mapped
from zoo_cli.transfer.ranges import Range, merged, prefix
from zoo_cli.transfer.record import COMPANIONS, Record, boot
from zoo_cli.transfer.writeback import Writeback

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType
    from typing import BinaryIO

    from typing_extensions import Self

    from zoo_cli.transfer.resume import State

_BLOCK = 1 << 20
_MARGIN_BYTES = 1 << 20  # left on the disk for the state file and others
_FLAGS = (
    os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)


def part_path(destination: Path) -> Path:
    """The part file of a destination; a very long name is shortened, with a digest to keep it apart."""
    return destination.with_name(os.path.basename(part_name(destination)))


def part_name(destination: Path) -> str:
    """`part_path` as a text: paths as objects cost more than the calls they are for."""
    folder, slash, name = str(destination).rpartition(os.sep)
    if len(os.fsencode(name)) > 200:
        name = f"{name[:40]}.{sha256(os.fsencode(name)).hexdigest()[:16]}"
    return f"{folder}{slash}.{name}.zoo-part"


def is_free(path: Path) -> bool:
    """Whether nobody is writing a part file at this moment."""
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        filelock.take(fd)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def sweep(destination: Path) -> None:
    """Removes what a process that was killed left beside a finished file; bytes kept for another one stay."""
    part = part_name(destination)
    if any(os.path.lexists(part + ending) for ending in ("", *COMPANIONS)):
        with suppress(DestinationUnusable), Part(destination, lambda: None, wait_seconds=0.0) as found:
            found.record.may_exist = True


class Part:
    """The locked part file of one destination; a context manager that releases it.

    Attributes:
        state: What is known of the kept bytes; None when nothing is kept.
        size_bytes: How many bytes are kept, from the first on.
        ranges: Bytes after a hole, that several connections brought; see `split`.
        alone: Several connections brought wrong bytes: the next try is one stream.
        finished_meanwhile: Another process completed the destination while this one waited.
        record: What stands beside it.
    """

    def __init__(self, destination: Path, waiting: Callable[[], None], wait_seconds: float | None = None) -> None:
        """Opens and locks the part file.

        Args:
            destination: The final path; its directory exists.
            waiting: Called once when another process has the lock.
            wait_seconds: How long to wait for it; None is as long as it takes (the other has its own limits).

        Raises:
            DestinationUnusable: The directory cannot be written, or the wait was in vain.
        """
        self.destination = destination
        self._name = part_name(destination)
        self.record = Record(self._name)
        self.finished_meanwhile = False
        self.alone = self._has_bytes = self._is_published = False
        self.ranges: tuple[Range, ...] = ()
        self._fd = -1
        try:
            self._acquire(waiting, wait_seconds)
            self._writeback = Writeback(self._fd)
            self.state = self.record.read() if self.size_bytes else None
            mapped = self.record.ranges(self.size_bytes)
            if mapped is not None:
                self.keep_ranges(mapped)
            self._drop_what_may_be_lost()
        except OSError as exc:
            self.close()
            raise self.unusable(exc) from exc

    @property
    def path(self) -> Path:
        """The part file."""
        return part_path(self.destination)

    @property
    def fd(self) -> int:
        """The open file."""
        return self._fd

    @property
    def kept_bytes(self) -> int:
        """How many bytes are here in all, those after a hole too."""
        rest = sum(after - first for first, after in self.ranges) if self.ranges else 0
        return self.size_bytes + rest

    def _acquire(self, waiting: Callable[[], None], wait_seconds: float | None) -> None:
        """Opens and locks; starts again when the file was finished or removed by the one who held it."""
        while True:
            self._fd = self._open()
            try:
                filelock.take(self._fd, wait_seconds, waiting)
            except OSError:
                os.close(self._fd)  # and no more than that: an empty part is another process's that begins
                self._fd = -1
                raise
            about = os.fstat(self._fd)
            if self._same(self._name, about):
                if about.st_nlink == 1:
                    self.size_bytes = about.st_size
                    return
                os.unlink(self._name)  # it is another file too, perhaps a finished one: never write to that
            self.finished_meanwhile = self.finished_meanwhile or self._same(self.destination, about)
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> int:
        with suppress(FileExistsError):
            # The part file goes last: nothing stands beside where none was.
            return os.open(self._name, _FLAGS | os.O_EXCL, 0o666)
        self.record.may_exist = True
        try:
            fd = os.open(self._name, _FLAGS, 0o666)
        except IsADirectoryError as exc:
            raise IsADirectoryError(errno.EISDIR, f"{os.path.basename(self._name)} beside it is a directory") from exc
        except OSError as exc:
            if exc.errno != errno.ELOOP:
                raise
            os.unlink(self._name)  # a link somebody laid there; what it points to stays
            return self._open()
        about = os.fstat(fd)
        foreign = hasattr(os, "getuid") and about.st_uid != os.getuid()
        if not stat.S_ISREG(about.st_mode) or foreign:
            try:
                if foreign:
                    filelock.take(fd)  # who is at work is not disturbed, and not waited for: it may be for ever
            except filelock.HeldElsewhere as exc:
                raise PermissionError(errno.EPERM, "another user is writing it") from exc
            finally:
                os.close(fd)
            os.unlink(self._name)
            return self._open()
        self._has_bytes = about.st_size > 0
        return fd

    @staticmethod
    def _same(path: str | Path, ours: os.stat_result) -> bool:
        try:
            there = os.lstat(path)
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def _drop_what_may_be_lost(self) -> None:
        """After another start of the machine, bytes that no digest will judge count if the disk had them for sure."""
        state = self.state
        if state is None or state.digest is not None or state.boot == boot():
            return
        size_bytes = os.fstat(self._fd).st_size
        kept = merged(each for each in state.kept if each[1] <= size_bytes)
        self.keep_ranges(kept)
        if self.ranges:  # a map of what is kept before the file is cut, else one too many after it: never too much told
            self.record.write_map(kept)
        os.ftruncate(self._fd, kept[-1][1] if kept else 0)
        if not self.ranges:
            self.record.write_map(())
        self.state = state._replace(boot=boot())

    def _note_what_is_kept(self) -> None:
        """Has the disk take what came without a digest, and says how much that is."""
        state, kept = self.state, merged([(0, self.size_bytes), *self.ranges])
        if state is None or state.digest is not None or kept == state.kept:
            return
        os.fsync(self._fd)
        self.state = state._replace(kept=kept)
        self.record.write(self.state)

    def keep_ranges(self, ranges: tuple[Range, ...]) -> None:
        """What of the file is here."""
        self.size_bytes = prefix(ranges)
        self.ranges = tuple(each for each in ranges if each[0] > self.size_bytes)

    def begin_map(self, have: tuple[Range, ...]) -> Mapped:
        """The part as a file that several threads write into; from now on its map tells what is there."""
        try:
            self.record.write(self.state)
            self.record.may_exist = self._has_bytes = True
            return Mapped(self._fd, self.record.map_path, have, self.wrote, self.unusable)
        except OSError as exc:
            raise self.unusable(exc) from exc

    def end_map(self) -> None:
        """Back to bytes in order: what follows a hole is dropped."""
        try:
            self.ranges = ()
            if self.record.may_exist:
                os.ftruncate(self._fd, self.size_bytes)
                self.record.write_map(())
        except OSError as exc:
            raise self.unusable(exc) from exc

    def start(self, state: State) -> None:
        """Drops the kept bytes and says what the new ones are; it is recorded before the first of them is written."""
        self.restart()
        self.state = state if state.digest else state._replace(boot=boot())

    def note(self, state: State) -> None:
        """Records what is known of the bytes."""
        self.state = state
        try:
            self.record.write(state)
        except OSError as exc:
            raise self.unusable(exc) from exc

    def require_space(self, size_bytes: int | None) -> None:
        """Whether the rest of a file of this size fits on the disk.

        Raises:
            NoSpace: It does not.
        """
        if size_bytes is None:
            return
        needed, free = size_bytes - self.kept_bytes, self._free_bytes()
        if needed + _MARGIN_BYTES > free and hasattr(os, "sync"):
            os.sync()  # btrfs counts the room of removed files only once it has written that down
            free = self._free_bytes()
        if needed + _MARGIN_BYTES > free:
            raise NoSpace(str(self.destination), needed, free)

    def write(self, view: memoryview) -> None:
        """Appends all of the view."""
        try:
            if self.size_bytes or not self.is_whole(len(view)):
                self.record.write(self.state)
            if self._has_bytes:
                os.lseek(self._fd, self.size_bytes, os.SEEK_SET)
            self._has_bytes = True
            while view:
                count = os.write(self._fd, view)
                self._writeback.wrote(self.size_bytes, count)
                self.size_bytes += count
                view = view[count:]
        except OSError as exc:
            raise self.unusable(exc) from exc

    def is_whole(self, size_bytes: int) -> bool:
        """Whether so many bytes are all of a file whose full digest is known: nobody needs to be told what they are."""
        state = self.state
        return state is not None and is_full(state.digest) and state.size_bytes == size_bytes

    def filled(self, size_bytes: int) -> None:
        """The file has so many bytes now, which came another way."""
        self.size_bytes, self._has_bytes = size_bytes, True

    def wrote(self, at: int, count: int) -> None:
        """So many bytes were written at this place, through a map."""
        self._writeback.wrote(at, count)

    def read_again(self, take: Callable[[memoryview], object]) -> None:
        """Gives the kept bytes, in order, to a function: a digest goes on from them."""
        at = 0
        while block := os.pread(self._fd, min(_BLOCK, self.size_bytes - at), at):
            take(memoryview(block))
            at += len(block)

    def _forget(self) -> None:
        self.size_bytes, self.state, self.ranges = 0, None, ()
        self.record.remove()

    def restart(self) -> None:
        """Drops the kept bytes, of which nothing is known."""
        try:
            self._forget()
            self._empty()
        except OSError as exc:
            raise self.unusable(exc) from exc

    def _empty(self) -> None:
        if self._has_bytes:
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
        self._has_bytes = False

    def sync(self) -> None:
        """Waits until the disk has every byte."""
        try:
            self._writeback.close()
            os.fsync(self._fd)
        except OSError as exc:
            raise self.unusable(exc) from exc

    def publish_link(self, source: Path, *, replace: bool, sync: bool = True) -> bool:
        """Gives the final name to a hard link of another file; what the part has is dropped.

        Args:
            source: The other file.
            replace: Whether what is there may be replaced.
            sync: Whether the disk must have the name.

        Returns:
            False when there can be no link here, or something is there that may not be replaced; nothing was done.
        """
        self.record.may_exist = True
        way = self._name + "-link"  # only who has the lock makes it
        if not give_link(source, way, self.destination, replace=replace):
            return False
        self.restart()
        if sync:
            sync_directory(self.destination.parent)
        return True

    def beginning(self, count: int) -> bytes:
        """The first kept bytes, at most `count`."""
        os.lseek(self._fd, 0, os.SEEK_SET)
        return os.read(self._fd, min(count, self.size_bytes))

    def reader(self) -> BinaryIO:
        """The kept bytes as a file of their own to close, whatever lies under the name meanwhile."""
        return os.fdopen(os.dup(self._fd), "rb")

    def publish(self, *, replace: bool, sync: bool = True, sync_name: bool = True) -> bool:
        """Gives the bytes their final name; the only place where that name appears.

        Args:
            replace: Whether what is there may be replaced.
            sync: Whether the disk must have the bytes before.
            sync_name: Whether the disk must have the name, too, when it has the bytes.

        Returns:
            False when something is there that may not be replaced; then nothing was done.
        """
        try:
            if sync:
                self.sync()
            self._writeback.close()
            if not give_name(self._name, self.destination, replace=replace):
                return False
            self._is_published = True
            self.record.remove()
            if sync and sync_name:
                sync_directory(self.destination.parent)
        except OSError as exc:
            raise self.unusable(exc) from exc
        return True

    def discard(self) -> None:
        """Removes part and state: the bytes are wrong or cannot be gone on from."""
        with suppress(OSError):
            self._empty()
            self._forget()

    def close(self) -> None:
        """Releases the lock; an empty part leaves nothing behind."""
        if self._fd < 0:
            return
        self._writeback.close()
        with suppress(OSError):
            about = None if self._is_published else os.fstat(self._fd)
            if about is None or not self._same(self._name, about):
                pass
            elif about.st_size:
                self._note_what_is_kept()
            else:
                self.record.remove()
                os.unlink(self._name)
        os.close(self._fd)
        self._fd = -1

    def unusable(self, exc: OSError) -> DestinationUnusable | NoSpace:
        """What an error of the operating system means for the destination."""
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            return NoSpace(str(self.destination), None, self._free_bytes())
        return DestinationUnusable(str(self.destination), exc.strerror or str(exc))

    def _free_bytes(self) -> int:
        if hasattr(os, "statvfs"):
            about = os.statvfs(self.destination.parent)
            return about.f_bavail * about.f_frsize
        import shutil  # Windows; it imports every archive format

        return shutil.disk_usage(self.destination.parent).free

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
