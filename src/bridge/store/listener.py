"""Hearing NOTIFY: one connection of its own that comes back and listens again."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred

from bridge.deferreds import run_in_background
from bridge.store.address import Address
from bridge.store.connection import CONNECT_SECONDS, Connection, open_connection
from bridge.store.errors import StoreError

FIRST_RETRY_SECONDS = 0.25
LAST_RETRY_SECONDS = 5.0

_CHANNEL = re.compile(r"[a-z][a-z0-9_]{0,62}")


class Listener:
    """Calls who asked for a channel at every notification, and after every new connection."""

    def __init__(self, *, address: Address, reactor: Any, log: FilteringBoundLogger) -> None:
        """Keep where to listen; connects at the first `add`."""
        self._address = address
        self._reactor = reactor
        self._log = log
        self._callbacks: dict[str, list[Callable[[], object]]] = {}
        self._connection: Connection | None = None
        self._working: Deferred[object] | None = None
        self._retry: Any = None
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._closed = False
        self._again = False

    def add(self, channel: str, callback: Callable[[], object]) -> None:
        """Call `callback` from now on; a name is lower-case ASCII."""
        if not _CHANNEL.fullmatch(channel):
            raise ValueError(channel)
        self._callbacks.setdefault(channel, []).append(callback)
        self._listen()

    def close(self) -> None:
        """Listen no more."""
        self._closed = True
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._working is not None:
            self._working.cancel()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _listen(self) -> None:
        if self._closed or self._retry is not None:
            return
        if self._working is not None:
            self._again = True
            return
        self._working = run_in_background("listen to database", self._connect_and_listen())
        self._working.addBoth(self._worked)

    def _worked(self, _: object) -> None:
        self._working = None
        if self._again:
            self._again = False
            self._listen()

    async def _connect_and_listen(self) -> None:
        try:
            if self._connection is None:
                connection = await open_connection(
                    self._address,
                    reactor=self._reactor,
                    statement_seconds=CONNECT_SECONDS,
                    lost=self._lost,
                )
                if self._closed:
                    connection.close()
                    return
                self._connection = connection
                connection.notify(self._notified)
            for channel in tuple(self._callbacks):
                await self._connection.execute(f"LISTEN {channel}", seconds=CONNECT_SECONDS)
        except StoreError as e:
            self._try_later(str(e))
            return
        self._retry_seconds = FIRST_RETRY_SECONDS
        for channel in tuple(self._callbacks):
            self._notified(channel)

    def _lost(self, _: Connection) -> None:
        self._try_later("the connection was lost")

    def _try_later(self, reason: str) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._closed or self._retry is not None:
            return
        self._log.debug("not listening to database", reason=reason)
        self._retry = self._reactor.callLater(self._retry_seconds, self._try_now)
        self._retry_seconds = min(2 * self._retry_seconds, LAST_RETRY_SECONDS)

    def _try_now(self) -> None:
        self._retry = None
        self._listen()

    def _notified(self, channel: str) -> None:
        for callback in tuple(self._callbacks.get(channel, ())):
            callback()
