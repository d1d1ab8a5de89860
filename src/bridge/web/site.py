"""The site: makes channels, within the limits of connections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.web import http
from twisted.web.resource import IResource
from twisted.web.server import Site

from bridge.bodies import BodyMemory
from bridge.deadlines import Deadlines
from bridge.web.arrivals import Gate
from bridge.web.channel import (
    HEAD_WAITS_SECONDS,
    KEEPALIVE_SECONDS,
    BridgeChannel,
    SiteLimits,
    host_of,
)


class BridgeSite(Site):
    """Makes channels, within the limits of connections."""

    noisy = False

    def __init__(
        self,
        *,
        resource: IResource,
        gate: Gate,
        memory: BodyMemory,
        limits: SiteLimits,
        reactor: Any,
    ) -> None:
        """Serve `resource` to what `gate` lets in, with bodies in `memory`."""
        super().__init__(resource, reactor=reactor)
        self.gate = gate
        self.memory = memory
        self.connections = 0
        self.counted: Callable[[int], object] = lambda _: None
        """Told of the number of connections whenever that changes."""
        self.draining = False
        """Set when the process is about to stop: each connection ends with its next answer."""
        self._limits = limits
        self._by_address: Counter[str] = Counter()
        self._waiting_until_empty: list[Deferred[None]] = []
        self.displayTracebacks = False
        self.idle = Deadlines(reactor, KEEPALIVE_SECONDS)
        """Of connections between requests."""
        self.heads = Deadlines(reactor, HEAD_WAITS_SECONDS)
        """Of heads that wait for their bodies."""
        self._date = (0, b"")

    def buildProtocol(self, addr: Any) -> Any:
        """Take a connection, or close it at once when there are too many."""
        address = host_of(addr)
        per_address = self._limits.connections_per_address
        if self.connections >= self._limits.connections:
            return None
        if per_address and self._by_address[address] >= per_address:
            return None
        self.connections += 1
        self._by_address[address] += 1
        self.counted(self.connections)
        return BridgeChannel(self, self._limits, self.reactor)

    def date(self) -> bytes:
        """Return the value of Date, written once a second."""
        second = int(self.reactor.seconds())
        if self._date[0] != second:
            self._date = (second, http.datetimeToString(second))
        return self._date[1]

    def stopFactory(self) -> None:
        """Leave no timers behind."""
        self.idle.close()
        self.heads.close()
        super().stopFactory()

    def disconnected(self, address: str) -> None:
        """Count a connection out."""
        self.connections -= 1
        self.counted(self.connections)
        self._by_address[address] -= 1
        if self._by_address[address] <= 0:
            del self._by_address[address]
        if not self.connections:
            waiting, self._waiting_until_empty = self._waiting_until_empty, []
            for each in waiting:
                each.callback(None)

    def empty(self) -> Deferred[None]:
        """Return what fires when there is no connection."""
        if not self.connections:
            return succeed(None)
        done: Deferred[None] = Deferred(self._waiting_until_empty.remove)
        self._waiting_until_empty.append(done)
        return done

    def log(self, request: Any) -> None:
        """Write no access log: every request is an interception or an audit row."""
