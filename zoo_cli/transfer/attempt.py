"""One attempt: the bytes of a file from one address into the part file, checked.

Edge: network and files, through `http` and `part`. Ends with every byte in the part and the digest right, or with the
one thing the address did wrong. Bytes that may be gone on from stay in the part, wrong ones are dropped.
"""

from __future__ import annotations

import time
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.transfer.addresses import local_path, place_of, redacted
from zoo_cli.transfer.body import gather, pour
from zoo_cli.transfer.events import Advanced, Listener, SourceFailed, Started
from zoo_cli.transfer.failures import (
    BadAnswer,
    CutShort,
    Failed,
    HashMismatch,
    NotTheFile,
    SizeMismatch,
    TooLarge,
)
from zoo_cli.transfer.hashes import Sha256, is_full
from zoo_cli.transfer.http import Answer, Session, require_success
from zoo_cli.transfer.inspection import BEGINNING_BYTES, FIRST_LOOK_BYTES, Refused
from zoo_cli.transfer.relay import BLOCK_BYTES
from zoo_cli.transfer.resume import State, content_range, judge, range_headers
from zoo_cli.transfer.split import Judge, Split
from zoo_cli.transfer.webpages import BEGIN_BYTES, begins_page, is_binary, is_said_page

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo_cli.transfer.inspection import Inspector
    from zoo_cli.transfer.localfile import LocalFile
    from zoo_cli.transfer.part import Part
    from zoo_cli.transfer.pool import Pool
    from zoo_cli.transfer.relay import Digest
    from zoo_cli.transfer.rivals import Rivals, Watch
    from zoo_cli.transfer.settings import Settings
    from zoo_cli.transfer.sources import Wanted

_PAGE_BYTES = 1 << 20  # a page is not larger


class Delivered(NamedTuple):
    """The part is complete and right."""

    sha256: Sha256
    url: str  # after redirects, to show
    is_mixed: bool = False  # other addresses have brought some of it


class Attempt:
    """One try of one address for one wanted file; `run` it once."""

    def __init__(
        self,
        wanted: Wanted,
        url: str,
        part: Part,
        settings: Settings,
        listen: Listener,
        check_time: Callable[[], None],
        pool: Pool | None = None,
        rivals: Rivals | None = None,
    ) -> None:
        self._pool, self._rivals = pool, rivals
        self._watch: Watch | None = None
        self._is_mixed = False
        self._wanted, self._url, self._part = wanted, url, part
        self._settings, self._listen, self._check_time = settings, listen, check_time
        self._shown = redacted(url)
        self._digest: Digest = sha256()
        self._next_look = FIRST_LOOK_BYTES

    def run(self) -> Delivered:
        """Completes the part.

        Raises:
            Failed: What the address did wrong.
            Refused: The inspector does not let the file through.
        """
        path = local_path(self._url)
        try:
            if path is not None:
                return self._rightly(lambda: self._from_disk(path))
            with Session(self._settings, self._pool) as session:
                return self._rightly(lambda: self._from_server(session))
        except Failed:
            state = self._part.state
            if state is None or not state.may_resume(self._wanted, state.url):
                self._part.discard()
            raise
        finally:
            if self._watch is not None:
                self._watch.close()

    def _rightly(self, deliver: Callable[[], Delivered]) -> Delivered:
        try:
            return deliver()
        except HashMismatch as failure:
            if not self._is_mixed:
                raise
            # Which address sent the wrong bytes is not known: this one shows what it has, from the first byte.
            self._listen(SourceFailed(self._wanted.name, place_of(self._url), failure.brief))
            self._digest, self._is_mixed = sha256(), False
            return deliver()

    def _from_server(self, session: Session) -> Delivered:
        kept = self._kept()
        if kept and self._is_whole(kept):  # killed between the last byte and the final name
            if self._is_right():
                return self._verified(self._shown)
            self._part.discard()  # the address has no part in it
            kept = 0
        answer, verdict = self._ask(session, kept)
        with answer:
            if verdict == "from-zero":
                self._is_mixed = False
            if verdict == "complete":
                return self._verified(answer.url)
            total = answer.length
            if verdict == "append":
                total = self._whole_size(answer, kept)
                self._note_mixed()
            self._check_head(answer, total)
            if verdict == "from-zero":
                self._digest = sha256()
                etag, modified = answer.headers.get("etag"), answer.headers.get("last-modified")
                self._part.start(State(self._shown, etag, modified, total, self._wanted.digest))
            self._pour(answer, total, answer.url, session)
            return self._verified(answer.url)

    def _kept(self) -> int:
        """How many bytes of an earlier try are gone on from; their digest is taken up."""
        part = self._part
        if part.state is None and is_full(self._wanted.sha256) and 0 < part.size_bytes <= BLOCK_BYTES:
            part.read_again(self._digest.update)  # a body that came in one piece has no record (`Part.is_whole`)
            return part.size_bytes if self._is_right() else 0
        if not part.state or not part.state.may_resume(self._wanted, self._shown):
            return 0
        if part.size_bytes > min(self._wanted.limit, part.state.size_bytes or self._wanted.limit):
            return 0
        if part.alone or self._settings.connections == 1:
            part.end_map()
        part.read_again(self._digest.update)
        self._is_mixed = part.size_bytes > 0 and (part.state.is_mixed or part.state.url != self._shown)
        return part.size_bytes

    def _is_whole(self, kept: int) -> bool:
        """Whether nothing is missing: servers answer a request for what follows the last byte in many ways."""
        state, wanted = self._part.state, self._wanted
        return kept == wanted.size_bytes or (wanted.digest is not None and (state is None or kept == state.size_bytes))

    def _is_right(self) -> bool:
        return self._wanted.digest is None or self._digest.hexdigest().startswith(self._wanted.digest)

    def _ask(self, session: Session, kept: int) -> tuple[Answer, str]:
        """The answer to go on with; a server that lies about ranges is asked once more for the whole."""
        state = self._part.state
        for asked_from in (kept, 0) if kept else (0,):
            until = self._part.ranges[0][0] if self._part.ranges else None
            headers = range_headers(state, asked_from, self._shown, until) if asked_from and state else {}
            answer = session.get(self._url, headers)
            require_success(answer, (200, 206, 416) if asked_from else (200, 206))
            verdict = judge(answer.status, answer.headers, asked_from, state, self._shown)
            if verdict != "ask-again":
                return answer, verdict
            answer.close()
        raise BadAnswer(self._shown, "it answers neither for a part nor for the whole")

    def _whole_size(self, answer: Answer, kept: int) -> int | None:
        """The size of the file, from the head of an answer that brings a part of it."""
        said = content_range(answer.headers["content-range"])[1]
        if said is None and self._part.ranges and self._part.state:
            return self._part.state.size_bytes
        return said if said is not None or answer.length is None else answer.length + kept

    def _check_head(self, answer: Answer, total: int | None) -> None:
        """What can be known before the first byte: size and kind."""
        wanted = self._wanted
        content_type = answer.headers.get("content-type", "")
        if is_said_page(content_type) and is_binary(wanted.name):
            raise NotTheFile(answer.url, wanted.name, content_type[:100], _begin(answer))
        if total is None:
            return
        if wanted.size_bytes is not None and total != wanted.size_bytes:
            if total < _PAGE_BYTES:  # the usual reason: say so
                self._check_first(memoryview(answer.read(BEGIN_BYTES)))
            raise SizeMismatch(answer.url, wanted.name, wanted.size_bytes, total)
        if total > wanted.max_bytes:
            raise TooLarge(answer.url, wanted.name, wanted.max_bytes, total)

    def _check_first(self, view: memoryview) -> None:
        begins = bytes(view[:BEGIN_BYTES])
        if begins_page(begins) and is_binary(self._wanted.name):
            raise NotTheFile(self._shown, self._wanted.name, "", _text(begins))

    def _pour(self, body: Answer | LocalFile, total: int | None, url: str, session: Session | None = None) -> None:
        wanted, part = self._wanted, self._part
        size = wanted.size_bytes if total is None else total
        part.require_space(size)
        self._listen(Started(wanted.name, size, part.kept_bytes, place_of(url)))
        if size is not None and size == total and size <= BLOCK_BYTES and not part.kept_bytes:
            gather(body, part, self._digest, size, self._check_first)
            if part.size_bytes == size:
                self._advanced(size)
                return
        if size is not None and self._rivals and not part.alone:
            self._watch = self._rivals.watch(self._url, size, part.kept_bytes)
        if isinstance(body, Answer) and session and total is not None and self._may_split(body):
            self._pour_widely(body, total, session)
            return
        ended = pour(body, part, self._digest, wanted.limit, self._check_first, self._advanced)
        if size is not None and part.size_bytes < size:
            raise CutShort(url, part.size_bytes, size)
        # With a digest the bytes up to the known size decide, whatever an endless body would send after them.
        if not ended and total is None and not (wanted.digest and wanted.size_bytes is not None):
            self._require_end(body, url)

    def _may_split(self, answer: Answer) -> bool:
        """Whether ranges of this file can be told to be of one version, or be found wrong in the end."""
        tied = self._wanted.digest is not None or State(self._shown, answer.headers.get("etag")).validator is not None
        refused = answer.headers.get("accept-ranges", "").strip().lower() == "none"
        return tied and not refused and not self._part.alone and self._settings.connections > 1

    def _pour_widely(self, answer: Answer, total: int, session: Session) -> None:
        """One stream, and several where that is slow."""
        part, settings = self._part, self._settings
        rate = settings.throttle.bytes_per_second if settings.throttle else None
        judge = Judge(total, part.kept_bytes, answer.connection.connect_seconds, rate, time.monotonic())
        if not part.ranges:
            part.end_map()

            def enough(have_bytes: int) -> bool:
                return judge.wants_more(have_bytes, time.monotonic())

            pour(answer, part, self._digest, total, self._check_first, self._advanced, enough)
            if part.size_bytes == total:
                return
        etag = State(self._shown, answer.headers.get("etag")).validator
        condition = {"If-Range": etag} if etag else {}
        asked = judge if part.ranges else None
        split = Split(
            session, answer, part, self._digest, total, condition, self._advanced, settings.connections, asked
        )
        try:
            split.run()
        except BadAnswer:
            part.alone = True  # it does not do ranges as it should
            raise

    def _require_end(self, body: Answer | LocalFile, url: str) -> None:
        if not body.read_into(memoryview(bytearray(1))):
            return
        self._part.discard()
        if self._wanted.size_bytes is not None:
            raise SizeMismatch(url, self._wanted.name, self._wanted.size_bytes, self._wanted.size_bytes + 1)
        raise TooLarge(url, self._wanted.name, self._wanted.max_bytes, None)

    def _advanced(self, have_bytes: int) -> None:
        self._listen(Advanced(self._wanted.name, have_bytes))
        self._check_time()
        if self._watch is not None:
            self._watch.saw(have_bytes)
        if self._wanted.inspector is not None and have_bytes >= self._next_look:
            self._next_look = 2 * have_bytes if have_bytes < BEGINNING_BYTES else self._wanted.limit + 1
            self._inspect(lambda inspector: inspector.beginning(self._part.beginning(BEGINNING_BYTES)))

    def _inspect(self, look: Callable[[Inspector], None]) -> None:
        """Asks the inspector; what it refuses for good is not kept."""
        if self._wanted.inspector is None:
            return
        try:
            look(self._wanted.inspector)
        except Refused as refusal:
            if not refusal.may_be_kept:
                self._part.discard()
            raise

    def _inspect_whole(self, inspector: Inspector) -> None:
        with self._part.reader() as file:
            inspector.whole(file)

    def _verified(self, url: str) -> Delivered:
        received, expected = self._digest.hexdigest(), self._wanted.digest
        if expected is not None and not self._is_right():
            self._part.discard()
            self._part.alone = True  # a server that mixes up ranges may still have the file
            basis = self._wanted.basis if self._wanted.sha256 else "prefix"
            raise HashMismatch(url, self._wanted.name, expected, received, basis)
        self._inspect(self._inspect_whole)
        return Delivered(Sha256(received), url, self._is_mixed)

    def _from_disk(self, path: str) -> Delivered:
        from zoo_cli.transfer.localfile import LocalFile  # what comes over the network needs none

        part, wanted = self._part, self._wanted
        with LocalFile(path, self._shown) as file:
            total, kept = file.size_bytes, self._kept()
            if wanted.size_bytes not in (None, total):
                raise SizeMismatch(self._shown, wanted.name, wanted.size_bytes or 0, total)
            if 0 < kept <= total:  # ranges after a hole are read again: the disk is near
                part.end_map()
                self._note_mixed()
                file.seek(kept)
            else:
                self._digest, self._is_mixed = sha256(), False
                part.start(State(self._shown, None, None, total, wanted.digest))
            self._pour(file, total, self._url)
            file.require_end()
        return self._verified(self._shown)

    def _note_mixed(self) -> None:
        if self._is_mixed and self._part.state:
            self._part.note(self._part.state._replace(is_mixed=True))


def _begin(answer: Answer) -> str:
    try:
        return _text(answer.read(BEGIN_BYTES))
    except Failed:
        return ""


def _text(data: bytes) -> str:
    return " ".join(data.decode("utf-8", "replace").split())[:120]
