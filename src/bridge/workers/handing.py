"""Handing over: a worker that has more connections than another gives it those that come next.

The kernel chooses a worker for a connection without knowing how many it has; of a few connections
one may get most. Each worker has a pair of sockets, made by the parent, on which the others send
it connections.
"""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from bridge.policy.shared_limits import SharedLimits

ALLOWED = 2
"""Connections that a worker may have more than another before it hands any over …"""
ALLOWED_SHARE = 16
"""… and one more for so many of its own: a hand-over costs a little, too."""
_AT_ONCE = 64

_log = structlog.get_logger("bridge.worker")


class Sharing:
    """A listening socket, of which `accept` gives only those that stay here."""

    def __init__(
        self,
        listening: socket.socket,
        *,
        address: int,
        me: int,
        ways: Mapping[int, socket.socket],
        shared: SharedLimits,
    ) -> None:
        """Accept on `listening`.

        Args:
            listening: what Twisted's port has.
            address: its number, by which the others know what is spoken on it.
            me: this worker's number.
            ways: a socket to each of the others.
            shared: knows how many connections everybody has.
        """
        self._listening = listening
        self._address = address
        self._me = me
        self._ways = ways
        self._shared = shared

    def __getattr__(self, name: str) -> Any:
        """Be the socket in every other way."""
        return getattr(self._listening, name)

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection for this worker, as a socket does.

        Raises:
            OSError: there is none, or as a socket's.
        """
        while True:
            accepted, peer = self._listening.accept()
            way = self._better()
            if way is None or not self._send(way, accepted):
                return accepted, peer
            accepted.close()

    def _better(self) -> int | None:
        expected = self._shared.expected()
        mine = expected[self._me]
        best = min(self._ways, key=lambda n: expected[n], default=None)
        if best is None or math.isinf(expected[best]):
            return None
        allowed = 0 if math.isinf(mine) else ALLOWED + mine // ALLOWED_SHARE
        return best if mine - expected[best] >= allowed else None

    def _send(self, way: int, accepted: socket.socket) -> bool:
        try:
            socket.send_fds(self._ways[way], [bytes([self._address])], [accepted.fileno()])
        except OSError:
            return False  # its queue is full: then it is no better off
        self._shared.handed(way)
        return True


@implementer(IReadDescriptor)
class Receiving:
    """Takes the connections that other workers hand over."""

    def __init__(
        self,
        end: socket.socket,
        *,
        ports: Sequence[tuple[int, Any]],
        shared: SharedLimits,
        reactor: Any,
    ) -> None:
        """Take from `end`; `ports` are the address family and the factory of each address."""
        self._end = end
        self._ports = ports
        self._shared = shared
        self._reactor = reactor

    def fileno(self) -> int:
        """Return the descriptor that is waited on."""
        return self._end.fileno()

    def logPrefix(self) -> str:
        """Return what Twisted's log calls it."""
        return "handed connections"

    def doRead(self) -> None:
        """Take what is there."""
        for _ in range(_AT_ONCE):
            try:
                data, descriptors, _, _ = socket.recv_fds(self._end, 1, 1)
            except BlockingIOError:
                return
            if not data:
                self._reactor.removeReader(self)
                return
            for fd in descriptors:
                self._take(data[0], fd)

    def connectionLost(self, reason: Failure) -> None:
        """Do nothing: the parent has both ends."""

    def _take(self, address: int, fd: int) -> None:
        self._shared.took()
        family, factory = self._ports[address]
        try:
            self._reactor.adoptStreamConnection(fd, family, factory)
        except OSError as error:
            _log.info("a client left before its connection was handed over", reason=str(error))
        finally:
            os.close(fd)


def pairs(count: int) -> list[tuple[socket.socket, socket.socket]]:
    """Return, for each of so many workers, where it takes and where the others send."""
    found = []
    for _ in range(count):
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in pair:
            end.setblocking(False)
        found.append(pair)
    return found
