"""A worker's life: it accepts on sockets that it has inherited, and on nothing else."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any

from bridge.lifecycle import Lifecycle
from bridge.listening import is_inherited
from bridge.policy.shared_limits import SharedLimits, Total
from bridge.workers.handing import Receiving, Sharing
from bridge.workers.messages import Hello
from bridge.workers.sockets import Adopting, Choice, as_adopted


class WorkerLifecycle(Lifecycle):
    """Accepts on inherited sockets, and on nothing else."""

    def __init__(self, *, hello: Hello, shared: SharedLimits, **parts: Any) -> None:
        """Be given the rest as a Lifecycle is."""
        super().__init__(**parts)
        self._hello = hello
        self._shared = shared
        self._choice = Choice([], shared)
        self._receiving: Receiving | None = None
        self._closed_to_new = False
        # The sockets are the parent's, too, and a successor's.
        self._shut_out = False

    def serve_clients(self) -> None:
        """Accept on all addresses.

        Raises:
            StartFailed: one is not to be had.
        """
        bridge = self._bridge
        bridge.site.counted = self._count
        for each in self._hello.addresses:
            adopting = Adopting(bridge.reactor, fd=each.fd, family=each.family)
            port = self._listen("listen", as_adopted(each.description), bridge.site, adopting)
            self._ports.append(port)
            if is_inherited(each.description):
                self._inherited.append(port)
            os.close(each.fd)
        apart = zip(self._hello.addresses, self._ports, strict=True)
        groups = [getattr(port, "socket") for each, port in apart if each.apart]  # noqa: B009
        self._choice = Choice(groups, self._shared)
        self._share(self._ports)
        self._count(0)

    def parent_gone(self) -> None:
        """Nobody will accept on the sockets after this process and its like."""
        self._shut_out = True

    async def drain_clients(self) -> None:
        """Take no more connections, and let running answers end."""
        self._closed_to_new = True
        self._count(0)
        await self._stop_listening(self._ports)
        if self._receiving is not None:
            # Nobody hands over any more since a tenth of a second.
            self._receiving.doRead()
            self._bridge.reactor.removeReader(self._receiving)
        await self._drain()

    def _share(self, ports: Sequence[Any]) -> None:
        """Hand over connections, and take them."""
        hello, shared = self._hello, self._shared
        ways = {n: _pair_end(fd) for n, fd in hello.ways.items()}
        for n, port in enumerate(ports):
            port.socket = Sharing(port.socket, address=n, me=hello.number, ways=ways, shared=shared)
        self._receiving = Receiving(
            _pair_end(hello.takes),
            ports=[
                (each.family, port.factory)
                for each, port in zip(hello.addresses, ports, strict=True)
            ],
            shared=shared,
            reactor=self._bridge.reactor,
        )
        self._bridge.reactor.addReader(self._receiving)

    def _count(self, connections: int) -> None:
        taken = float("inf") if self._closed_to_new else connections
        self._shared.set_total(Total.CONNECTIONS, taken)
        self._choice.look()


def _pair_end(fd: int) -> socket.socket:
    return socket.socket(fileno=fd)
