"""The rest of one file over several connections, where one alone is slow.

Edge: threads and the clock. A transfer begins as one stream. What it brings in its first moments decides: a stream that
fills the machine stays alone; where the server limits each connection, or the way is long, others are added, first a
few, then more as long as they bring more. Each takes half of what the slowest has left, so that all end together. What
is read lands at its place in the part file; this thread hashes it in order as it becomes whole.

A server that refuses further connections or ranges, or sends something else on them, costs nothing but the attempt: the
first stream goes on.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from zoo_cli.transfer.failures import BadAnswer, CutShort, DestinationUnusable, Failed, NoSpace
from zoo_cli.transfer.ranges import Range, gaps, merged, prefix
from zoo_cli.transfer.resume import content_range

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zoo_cli.transfer.http import Answer, Session
    from zoo_cli.transfer.part import Part
    from zoo_cli.transfer.relay import Digest

MIN_BYTES = 4 << 20  # below that a further connection costs more than it brings
FAST_BYTES_PER_SECOND = 250_000_000  # one stream that is so fast is limited by this machine
_LONG_CONNECT_SECONDS = 0.02
_MEASURE_SECONDS = 0.05
_WINDOW_SECONDS = 0.08
_WORTH_SECONDS = 0.5  # what is left of the transfer, for further connections to be worth their making
_GAIN = 1.3
_BLOCK_BYTES = 256 * 1024
_LEAST_BYTES = 256 * 1024  # of a piece that is cut in two
_PATIENCE_SECONDS = 1.0  # a connection that brings nothing for so long gives up its piece to another
_TELL_SECONDS = 0.05


class Judge:
    """Whether one stream should become several, from what it has brought so far; works on times it is given."""

    def __init__(
        self, total: int, begun_at: int, connect_seconds: float, limit_bytes_per_second: int | None, now: float
    ) -> None:
        self._total, self._begun_at, self._since = total, begun_at, now
        self._limit = limit_bytes_per_second
        long_way = connect_seconds >= _LONG_CONNECT_SECONDS
        self._measure = _MEASURE_SECONDS / 2 if long_way else _MEASURE_SECONDS

    def wants_more(self, have_bytes: int, now: float) -> bool:
        """Whether further connections are likely to shorten the rest."""
        elapsed, left = now - self._since, self._total - have_bytes
        if elapsed < self._measure or left < MIN_BYTES:
            return False
        rate = (have_bytes - self._begun_at) / elapsed
        if self._limit is not None and rate > self._limit / 2:
            return False
        return rate < FAST_BYTES_PER_SECOND and left > rate * _WORTH_SECONDS


class _Piece:
    """One range on its way: what is missing of it is `at` to `end`; `end` may be moved by who takes the rest over."""

    def __init__(self, number: int, first: int, end: int) -> None:
        self.number, self.first, self.at, self.end = number, first, first, end
        self.moved = time.monotonic()

    @property
    def left(self) -> int:
        return max(0, self.end - self.at)


class Split:
    """Brings every missing byte of a part; `run` it once.

    Args:
        session: For further connections.
        answer: The stream that is there; it stands at the first missing byte.
        part: Where the bytes go.
        digest: Has the bytes up to the first missing one.
        total: Size of the file.
        condition: Headers that tie a range to this version of the file.
        told: Gets the number of bytes that are here, now and then.
        most: How many connections at once.
        judge: Asked before others are added; None: it has been.
    """

    def __init__(
        self,
        session: Session,
        answer: Answer,
        part: Part,
        digest: Digest,
        total: int,
        condition: Mapping[str, str],
        told: Callable[[int], None],
        most: int,
        judge: Judge | None = None,
    ) -> None:
        self._judge = judge
        self._session, self._first, self._part, self._digest = session, answer, part, digest
        self._total, self._condition, self._told, self._most = total, condition, told, most
        self._hashed = part.size_bytes
        self._have = merged([(0, part.size_bytes), *part.ranges])
        self._had = sum(after - first for first, after in self._have)
        self._pieces = [
            _Piece(number, *gap) for number, gap in enumerate(gaps(self._have, total), max(1, len(self._have)))
        ]
        self._waiting = self._pieces[1:]  # pieces that nobody works at
        self._working = 0
        self._changed = threading.Condition()
        self._is_over = False
        self._some_hang = False
        self._failure: Failed | None = None
        self._broken: DestinationUnusable | NoSpace | None = None
        self._open: set[Answer] = set()

    def run(self) -> None:
        """Brings the rest.

        Raises:
            Failed: No connection could bring what is missing; what came is kept.
            DestinationUnusable, NoSpace: The disk.
        """
        self._file = self._part.begin_map(self._have)
        try:
            self._start(self._pieces[0], self._first)
            self._oversee()
        finally:
            self._stop()
            self._part.keep_ranges(self._ranges())
        try:
            self._hash_up_to(self._total)
        finally:
            self._file.release()

    def _ranges(self) -> tuple[Range, ...]:
        return merged([*self._have, *((each.first, min(each.at, self._total)) for each in self._pieces)])

    # -- the thread that oversees ---------------------------------------------------------------------------------

    def _oversee(self) -> None:
        growth = Growth(self._most, self._first.connection.connect_seconds)
        last_told = 0.0
        while True:
            with self._changed:
                if not self._working or self._broken or not any(each.left for each in self._pieces):
                    break  # a connection that hangs has nothing left to bring: it is not waited for
            now, came = time.monotonic(), self._came()
            self._take_back(now)
            if self._judge is not None and self._judge.wants_more(self._had + came, now):
                self._judge = None
            if (
                self._failure is None and self._judge is None and not self._some_hang
            ):  # who refused one connection is not asked for more
                for _ in range(growth.more(now, came, self._total - came - self._had, self._working)):
                    self._add()
            if now - last_told >= _TELL_SECONDS:
                last_told = now
                self._told(self._had + came)
            frontier = prefix(self._ranges())
            if frontier > self._hashed:
                self._hash_up_to(min(frontier, self._hashed + (4 << 20)))
            else:
                with self._changed:
                    self._changed.wait(0.02)
        if self._broken:
            raise self._broken
        if any(each.left for each in self._pieces):
            raise self._failure or CutShort(self._first.url, self._came(), None)

    def _take_back(self, now: float) -> None:
        """What a hanging connection should have brought goes back to the stream it was taken from, if that is well."""
        patience = max(_PATIENCE_SECONDS, 8 * self._first.connection.connect_seconds)
        with self._changed:
            for piece in self._pieces:
                if piece.left and piece.at == piece.first and now - piece.moved > patience:
                    before = next((each for each in self._pieces if each.end == piece.first and each.left), None)
                    if before and before not in self._waiting and now - before.moved < patience:
                        before.end, piece.end = piece.end, piece.at
                        self._some_hang = True

    def _came(self) -> int:
        return sum(each.at - each.first for each in self._pieces)

    def _hash_up_to(self, end: int) -> None:
        while self._hashed < end:
            block = self._file.read(self._hashed, min(1 << 20, end - self._hashed))
            if not block:
                raise CutShort(self._first.url, self._hashed, self._total, "the part file was cut")
            self._digest.update(memoryview(block))
            self._hashed += len(block)

    def _add(self) -> None:
        """One more connection, if there is something for it to do."""
        with self._changed:
            piece = self._take()
        if piece is not None:
            self._start(piece, None)

    def _start(self, piece: _Piece, answer: Answer | None) -> None:
        with self._changed:
            self._working += 1
        self._file.retain()
        threading.Thread(target=self._work, args=(piece, answer), daemon=True).start()

    def _stop(self) -> None:
        """Ends the other threads; those still waiting for an answer end by themselves and write nothing."""
        with self._changed:
            self._is_over = True
            for answer in self._open:
                with suppress(OSError):
                    # The plain method: TLS would touch what the reading thread uses.
                    socket.socket.shutdown(answer.connection.stream.sock, socket.SHUT_RDWR)
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._open, timeout=2.0)

    # -- the threads that bring ------------------------------------------------------------------------------------

    def _work(self, piece: _Piece | None, answer: Answer | None) -> None:
        view = memoryview(bytearray(_BLOCK_BYTES))
        try:
            while piece is not None and not self._has_ended():
                answer = answer or self._ask(piece)
                if answer is None:
                    break
                self._bring(piece, answer, view)
                answer = None
                piece = self._next()
        except Failed as failure:
            self._failure = failure
        except (DestinationUnusable, NoSpace) as error:
            self._broken = error
        finally:
            self._file.release()
            with self._changed:
                if piece is not None and piece.left:
                    self._give_back(piece)
                self._working -= 1
                self._changed.notify_all()

    def _give_back(self, piece: _Piece) -> None:
        """To whom it was taken from, if that one still works and nothing came; else to whoever is free."""
        before = next((each for each in self._pieces if each.end == piece.first and each.left), None)
        if before is not None and piece.at == piece.first and before not in self._waiting:
            before.end, piece.end = piece.end, piece.at
        else:
            self._waiting.append(piece)

    def _ask(self, piece: _Piece) -> Answer | None:
        """A connection for a piece; None when there may be no more."""
        headers = {"Range": f"bytes={piece.at}-{piece.end - 1}", **self._condition}
        answer = self._session.also(self._first, headers)
        if answer is None:
            return None
        first, total = content_range(answer.headers.get("content-range", ""))
        etag = self._first.headers.get("etag")
        if answer.status != 206 or first != piece.at or total not in (None, self._total):
            answer.close()
            raise BadAnswer(answer.url, f"it answered {answer.status} to a request for a part of the file")
        if etag and answer.headers.get("etag", etag) != etag:
            answer.close()
            raise BadAnswer(answer.url, "the file changed while it was fetched")
        return answer

    def _bring(self, piece: _Piece, answer: Answer, view: memoryview) -> None:
        with self._changed:
            self._open.add(answer)
        try:
            while (piece.left or self._goes_on(piece, answer)) and not self._has_ended():
                count = answer.read_into(view[: piece.left])
                if not count:
                    raise CutShort(answer.url, answer.received, answer.length)
                if self._has_ended():
                    return
                self._file.write(view[:count], piece.number, piece.first, piece.at)
                with self._changed:
                    piece.at += count
                    piece.moved = time.monotonic()
        finally:
            with self._changed:
                self._open.discard(answer)
                self._changed.notify_all()
            answer.close()

    def _goes_on(self, piece: _Piece, answer: Answer) -> bool:
        """Whether this body has the next piece too, and the connection for that one has not brought a byte of it."""
        if answer.length is None or answer.received >= answer.length:
            return False
        with self._changed:
            after = next((each for each in self._pieces if each.left and each.at == each.first == piece.end), None)
            if after is None:
                return False
            if after in self._waiting:
                self._waiting.remove(after)
            piece.end, after.end = after.end, after.first
        return True

    def _has_ended(self) -> bool:
        return self._is_over

    def _next(self) -> _Piece | None:
        """Another piece for a thread that has finished its own; None when nothing is left to take over."""
        with self._changed:
            while not self._has_ended():
                piece = self._take()
                if piece is not None:
                    return piece
                if not any(each.left for each in self._pieces):
                    return None
                self._changed.wait(0.1)
        return None

    def _take(self) -> _Piece | None:
        """A piece that nobody works at, else half of the largest, else one whose connection brings nothing."""
        if self._waiting:
            return self._waiting.pop()
        largest = max(self._pieces, key=lambda each: each.left, default=None)
        if largest is None or not largest.left:
            return None
        if largest.left >= 2 * _LEAST_BYTES:
            middle = largest.at + largest.left // 2
        elif time.monotonic() - largest.moved > _PATIENCE_SECONDS:
            middle = largest.at
        else:
            return None
        piece = _Piece(len(self._pieces) + max(1, len(self._have)), middle, largest.end)
        largest.end = middle
        self._pieces.append(piece)
        return piece


class Growth:
    """How many connections to add, from what the last ones brought; works on times it is given."""

    def __init__(self, most: int, connect_seconds: float) -> None:
        self._most = most
        # On a long way the first bytes of a new connection come after two round trips, and slowly.
        self._is_long = connect_seconds >= _LONG_CONNECT_SECONDS
        self._window = max(_WINDOW_SECONDS, 8 * connect_seconds)
        self._since = self._before = 0.0
        self._came = 0
        self._settled = False

    def more(self, now: float, came: int, left: int, working: int) -> int:
        """How many to add now."""
        if self._settled or working >= self._most:
            return 0
        if not self._since:
            self._since, self._came = now, came
            return self._step(working, 4 if self._is_long or left < (64 << 20) else 8)
        if now - self._since < self._window:
            return 0
        rate = (came - self._came) / (now - self._since)
        if rate > 2 * FAST_BYTES_PER_SECOND or left < rate * _WORTH_SECONDS or rate < self._before * _GAIN:
            self._settled = True
            return 0
        self._since, self._came, self._before = now, came, rate
        return self._step(working, working * 2 if self._is_long else working * 3)

    def _step(self, working: int, target: int) -> int:
        return max(0, min(target, self._most) - working)
