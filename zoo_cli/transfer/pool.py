"""Connections: kept for the next request to the same origin, and never more than a host and this machine should bear.

Edge: threads. One pool serves all transfers of a run. Who needs a connection waits while its host has as many as it may
have; `try_take` does not wait, for further connections of one file.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from zoo_cli.transfer.addresses import redacted
from zoo_cli.transfer.connect import checked_proxy, connect
from zoo_cli.transfer.failures import Unreachable
from zoo_cli.transfer.stream import Stream

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from zoo_cli.transfer.addresses import Address
    from zoo_cli.transfer.settings import Settings

PER_HOST = 24
IN_ALL = 64
_IDLE_SECONDS = 30.0  # a server that keeps connections usually does so for a minute


class Connection:
    """One connection to an origin, taken from a pool by one user at a time."""

    def __init__(self, address: Address, settings: Settings, *, may_be_private: bool) -> None:
        self.origin = address.origin
        self.proxy = checked_proxy(address, settings)
        self.is_fresh = True
        began = time.monotonic()
        sock, self.is_private = connect(address, settings, may_be_private=may_be_private)
        self.connect_seconds = time.monotonic() - began
        self.stream = Stream(sock, is_final=True)
        self.idle_since = 0.0

    def close(self) -> None:
        """Closes the socket."""
        with suppress(OSError):
            self.stream.sock.close()


class Pool:
    """Open connections by origin; a context manager that closes the idle ones."""

    def __init__(self, per_host: int = PER_HOST, in_all: int = IN_ALL) -> None:
        self._per_host, self._in_all = per_host, in_all
        self._idle: list[Connection] = []
        self._open: Counter[str] = Counter()  # by host: idle ones, those in use, and those being made
        self._changed = threading.Condition()
        self._is_closed = False

    def take(self, address: Address, settings: Settings, *, may_be_private: bool) -> Connection:
        """A connection to the address's origin, kept or new; waits for a free one as long as the whole may take.

        Those in use have limits of their own, so one comes free: a file that waits behind large ones has not failed.

        Raises:
            Unreachable, AddressRefused, BadCaBundle, BadAddress: As `connect`.
        """
        found = self._reserve(address, may_be_private, settings.total_seconds)
        if found is None:
            raise Unreachable(redacted(address.url), "get a free connection", "all are in use")
        return found if isinstance(found, Connection) else self._made(address, settings, may_be_private)

    def try_take(self, address: Address, settings: Settings, *, may_be_private: bool) -> Connection | None:
        """A connection, or None when there may be no more."""
        found = self._reserve(address, may_be_private, 0.0)
        if found is None or isinstance(found, Connection):
            return found
        return self._made(address, settings, may_be_private)

    def _made(self, address: Address, settings: Settings, may_be_private: bool) -> Connection:
        with ExitStack() as undo:
            undo.callback(self._left, address.host)
            connection = Connection(address, settings, may_be_private=may_be_private)
            undo.pop_all()
        return connection

    def _reserve(self, address: Address, may_be_private: bool, seconds: float | None) -> Connection | bool | None:
        """A kept connection; True: one may be made; None: the time is over."""
        until = None if seconds is None else time.monotonic() + seconds
        with self._changed:
            while True:
                kept = self._kept(address, may_be_private)
                if kept is not None:
                    return kept
                if self._open[address.host] < self._per_host and (
                    self._open.total() < self._in_all or self._forget_idle()
                ):
                    self._open[address.host] += 1
                    return True
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self._changed.wait(left)

    def _kept(self, address: Address, may_be_private: bool) -> Connection | None:
        now = time.monotonic()
        for connection in self._idle[::-1]:
            if now - connection.idle_since > _IDLE_SECONDS:
                self._drop(connection)
            elif connection.origin == address.origin and (may_be_private or not connection.is_private):
                self._idle.remove(connection)
                return connection
        return None

    def _forget_idle(self) -> bool:
        if not self._idle:
            return False
        self._drop(self._idle[0])
        return True

    def _drop(self, connection: Connection) -> None:
        self._idle.remove(connection)
        self._open[connection.origin[1]] -= 1
        connection.close()

    def _left(self, host: str) -> None:
        with self._changed:
            self._open[host] -= 1
            self._changed.notify_all()

    def give(self, connection: Connection, *, reusable: bool) -> None:
        """Takes a connection back; one that cannot be used again is closed."""
        if not reusable or self._is_closed:
            connection.close()
            self._left(connection.origin[1])
            return
        connection.is_fresh, connection.idle_since = False, time.monotonic()
        with self._changed:
            self._idle.append(connection)
            self._changed.notify()

    def close(self) -> None:
        """Closes the idle connections; those in use close when they are given back."""
        with self._changed:
            self._is_closed = True
            for connection in list(self._idle):
                self._drop(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
