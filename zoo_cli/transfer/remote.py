"""A remote file read in place: the members that are needed, without the rest.

Edge: reads sockets, and a temporary file when the server has no ranges. `zipfile.ZipFile(RemoteFile(url))` reads a
wheel's directory with its first request (the end of the file) and then only what it is asked for. All ranges must
come from one version of the file: a changed ETag or size is an error, never a mixture.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.transfer.addresses import local_path, place_of, redacted
from zoo_cli.transfer.failures import BadAnswer, CutShort, Failed, LocalFileFailed, TooLarge
from zoo_cli.transfer.http import Answer, Session, require_success
from zoo_cli.transfer.resume import content_range
from zoo_cli.transfer.rounds import Rounds
from zoo_cli.transfer.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

BLOCK_BYTES = 64 * 1024
_MAX_RUN = 32  # blocks in one request when reading on and on: 2 MiB
_KEPT_BLOCKS = 128  # 8 MiB of memory
_DEFAULT_MAX_BYTES = 4 * 1000**3


class RemoteFile(io.RawIOBase):
    """A seekable, read-only file at an address; http, https, file, or a path.

    Attributes:
        url: The address it is read from, to show.
        size_bytes: Its size.
        fetched_bytes: How many bytes came over the network so far.
    """

    def __init__(
        self, urls: str | Sequence[str], settings: Settings | None = None, *, max_bytes: int = _DEFAULT_MAX_BYTES
    ) -> None:
        """Opens the first address that answers.

        Args:
            urls: One address or several equal ones; reading stays with the one that answered.
            settings: Limits; the defaults when None.
            max_bytes: The most that is taken when the server has no ranges and all of it must be fetched.

        Raises:
            Failed, AllSourcesFailed, TookTooLong, BadAddress: As `fetch`.
        """
        super().__init__()
        self._settings = settings or Settings()
        self._max_bytes = max_bytes
        self._session = Session(self._settings)
        self._blocks: dict[int, bytes] = {}
        self._whole: BinaryIO | None = None
        self._etag: str | None = None
        self._position = self._next_block = 0
        self._run = 1
        self.size_bytes = self.fetched_bytes = 0
        addresses = (urls,) if isinstance(urls, str) else tuple(urls)
        name = place_of(addresses[0]) if addresses else ""
        try:
            self._address = Rounds(name, addresses, self._settings, self._open).run()
        except Failed:
            self.close()
            raise
        self.url = redacted(self._address)

    def _open(self, url: str, _settings: Settings) -> str:
        path = local_path(url)
        if path is not None:
            self._open_local(path)
            return url
        # The end first: that is where a zip has its directory, and the answer tells the size.
        with self._session.get(url, {"Range": f"bytes=-{BLOCK_BYTES}"}) as answer:
            first, total = content_range(answer.headers.get("content-range", ""))
            if answer.status == 206 and first is not None and total is not None:
                self.size_bytes, self._etag = total, answer.headers.get("etag")
                if total - first == min(BLOCK_BYTES, total):  # else it took "the last N" for "the first N", as some do
                    self._take(answer, first)
                return url
            if answer.status == 200:
                self._take_whole(answer)
                return url
        with self._session.get(url) as answer:  # some servers know no suffix ranges
            self._take_whole(require_success(answer))
        return url

    def _open_local(self, path: str) -> None:
        try:
            self._whole = Path(path).open("rb")  # noqa: SIM115 - closed by close()
            self.size_bytes = Path(path).stat().st_size
        except (OSError, ValueError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
            raise LocalFileFailed(path, reason) from exc

    def _take(self, answer: Answer, first: int) -> None:
        data = answer.read(BLOCK_BYTES)
        if len(data) != self.size_bytes - first:
            raise CutShort(answer.url, len(data), self.size_bytes - first)
        self.fetched_bytes += len(data)
        start = -(-first // BLOCK_BYTES)  # the first block that is complete
        self._keep(start, data[start * BLOCK_BYTES - first :])

    def _take_whole(self, answer: Answer) -> None:
        """The fallback: all of it into a temporary file, within the limit."""
        if answer.length is not None and answer.length > self._max_bytes:
            raise TooLarge(answer.url, answer.url, self._max_bytes, answer.length)
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._whole = file
        block = memoryview(bytearray(1 << 20))
        while count := answer.read_into(block):
            file.write(block[:count])
            self.fetched_bytes += count
            if self.fetched_bytes > self._max_bytes:
                raise TooLarge(answer.url, answer.url, self._max_bytes, None)
        self.size_bytes = file.tell()

    def _keep(self, number: int, data: bytes) -> None:
        for start in range(0, len(data), BLOCK_BYTES):
            self._blocks[number] = data[start : start + BLOCK_BYTES]
            number += 1
        self._next_block = number
        while len(self._blocks) > _KEPT_BLOCKS:
            del self._blocks[next(iter(self._blocks))]

    def _block(self, number: int, wanted: int) -> bytes:
        """One block, fetched with those after it: as many as are wanted, and more each time when reading on."""
        found = self._blocks.get(number)
        if found is not None:
            return found
        self._run = min(self._run * 2, _MAX_RUN) if number == self._next_block else 1
        count = min(max(self._run, wanted), _MAX_RUN)
        last = min((number + count) * BLOCK_BYTES, self.size_bytes) - 1
        data = Rounds(
            self.url,
            (self._address,),
            self._settings,
            lambda url, _limits: self._range(url, number * BLOCK_BYTES, last),
        ).run()
        self._keep(number, data)
        return self._blocks[number]

    def _range(self, url: str, first: int, last: int) -> bytes:
        headers = {"Range": f"bytes={first}-{last}"}
        if self._etag and not self._etag.startswith("W/"):
            headers["If-Range"] = self._etag
        with self._session.get(url, headers) as answer:
            require_success(answer, (200, 206))
            begins, total = content_range(answer.headers.get("content-range", ""))
            if answer.status != 206 or begins != first or total not in (None, self.size_bytes):
                raise BadAnswer(answer.url, "the file changed while it was read, or ranges stopped working")
            data = answer.read(last + 1 - first)
        if len(data) != last + 1 - first:
            raise CutShort(answer.url, len(data), last + 1 - first)
        self.fetched_bytes += len(data)
        return data

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves the place of the next read; see `io.IOBase.seek`."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size_bytes}[whence]
        if base + offset < 0:
            raise ValueError("negative seek position")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: object) -> int:
        """Fills the buffer as far as the file goes; never less, so that one read is one read."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        count = max(0, min(len(view), self.size_bytes - self._position))
        if self._whole is not None:
            self._whole.seek(self._position)
            view[:count] = self._whole.read(count)
        else:
            self._copy(view[:count])
        self._position += count
        return count

    def _copy(self, view: memoryview) -> None:
        position = self._position
        while view:
            number, offset = divmod(position, BLOCK_BYTES)
            piece = self._block(number, -(-(offset + len(view)) // BLOCK_BYTES))[offset : offset + len(view)]
            view[: len(piece)] = piece
            view, position = view[len(piece) :], position + len(piece)

    def close(self) -> None:
        """Closes the connection and the temporary file."""
        if not self.closed:
            self._session.close()
            if self._whole is not None:
                self._whole.close()
        super().close()
