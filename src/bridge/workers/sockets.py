# ruff: noqa: ARG002  # the methods are called as those of a reactor
"""The sockets that clients connect to: opened in the parent, for every worker one; accepted there.

Endpoints know how to make ports of a reactor, with TLS and whatever else a description says. Here
something else is in the reactor's place: in the parent it opens sockets and accepts nothing, in a
worker it takes the socket that was inherited.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from bridge.listening import is_inherited, let_nobody_in, take_turns
from bridge.policy.shared_limits import SharedLimits, Total

BACKLOG = 1024
"""Connections that wait for a worker, also for the successor of one that died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """One address."""

    sockets: Sequence[socket.socket]
    """The n-th is the n-th worker's; it may be the same for all."""
    port: Any = None
    """What Twisted keeps of a UNIX socket, whose file it removes at the end."""
    inherited: bool = False
    """Whether whoever started us goes on with it when we end."""

    @property
    def apart(self) -> bool:
        """Whether every worker has its own socket."""
        return len(set(self.sockets)) > 1

    def getHost(self) -> Any:
        """Return the address, as ports do."""
        first = self.sockets[0]
        if first.family == socket.AF_INET:
            return IPv4Address("TCP", *first.getsockname())
        if first.family == socket.AF_INET6:
            return IPv6Address("TCP", *first.getsockname()[:2])
        return self.port.getHost() if self.port is not None else first.getsockname()

    def refuse(self) -> None:
        """Let nobody new in; who comes to an inherited socket waits there for our successor."""
        if not self.inherited:
            for each in self.sockets:
                let_nobody_in(each)

    def close(self) -> None:
        """Let go; the workers that still have it close it last."""
        if self.port is not None:
            self.port.connectionLost(Failure(ConnectionDone()))
            return
        for each in set(self.sockets):
            each.close()


class Opening:
    """In the parent, in the reactor's place: ports are sockets on which nobody accepts here."""

    def __init__(self, reactor: Any, *, processes: int) -> None:
        """Open for so many workers."""
        self._reactor = reactor
        self._processes = processes

    def listenTCP(
        self, port: int, factory: object, backlog: int = 0, interface: str = ""
    ) -> Opened:
        """Open a socket for every worker; `factory` and `backlog` are as a reactor's.

        Raises:
            OSError: the address is not there, or in use.
        """
        family = socket.AF_INET6 if ":" in interface else socket.AF_INET
        with _bound(family, interface, port, shared=False) as probe:
            # Only so is a bridge noticed that runs already: it shares its address, as we do.
            probe.listen(1)
            address = probe.getsockname()
        sockets: list[socket.socket] = []
        try:
            while len(sockets) < self._processes:
                sockets.append(_bound(family, interface, address[1], shared=True))
            for each in sockets:  # in this order the kernel counts them
                each.listen(max(backlog, BACKLOG))
        except OSError:
            for each in sockets:
                each.close()
            raise
        return Opened(sockets=sockets)

    def listenSSL(
        self,
        port: int,
        factory: object,
        contextFactory: object,
        backlog: int = 0,
        interface: str = "",
    ) -> Opened:
        """Open as for TCP: TLS is spoken by the workers."""
        return self.listenTCP(port, factory, backlog, interface)

    def listenUNIX(self, address: Any, factory: Any, *args: Any, **keywords: Any) -> Opened:
        """Open one socket for all."""
        port = self._reactor.listenUNIX(address, factory, *args, **keywords)
        port.stopReading()
        port._shouldShutdown = False  # noqa: SLF001  # workers still have it when we let go
        return Opened(sockets=[port.socket] * self._processes, port=port)

    def adoptStreamPort(self, fd: int, family: int, factory: object) -> Opened:
        """Have all accept on a socket that somebody else has opened."""
        inherited = socket.fromfd(fd, family, socket.SOCK_STREAM)
        inherited.setblocking(False)
        return Opened(sockets=[inherited] * self._processes, inherited=True)


class Adopting:
    """In a worker, in the reactor's place: whatever is to be listened on, it is this socket."""

    def __init__(self, reactor: Any, *, fd: int, family: int) -> None:
        """Listen on the open socket `fd`, of an address family."""
        self._reactor = reactor
        self._fd = fd
        self._family = family

    def listenTCP(self, port: int, factory: Any, *args: Any, **keywords: Any) -> Any:
        """Accept on the socket."""
        return self._reactor.adoptStreamPort(self._fd, self._family, factory)

    def listenSSL(
        self, port: int, factory: Any, contextFactory: Any, *args: Any, **keywords: Any
    ) -> Any:
        """Accept on the socket, and speak TLS."""
        return self.listenTCP(
            port, TLSMemoryBIOFactory(contextFactory, isClient=False, wrappedFactory=factory)
        )

    def listenUNIX(
        self, address: Any, factory: Any, backlog: int = 0, mode: int = 0o666, wantPID: int = 0
    ) -> Any:
        """Accept on the socket."""
        port = _UnixPort(address, factory, max(backlog, BACKLOG), mode, self._reactor)
        port._preexistingSocket = socket.fromfd(  # noqa: SLF001  # as adoptStreamPort does
            self._fd, self._family, socket.SOCK_STREAM
        )
        port._shouldShutdown = False  # noqa: SLF001  # others have it, too
        port.startListening()
        return port


class _UnixPort(unix.Port):
    """A UNIX socket of several processes: whoever closes it leaves its file to the parent."""

    connectionLost = tcp.Port.connectionLost


def as_adopted(description: str) -> str:
    """Return a description that a worker can read: what the parent inherited, it does not find."""
    if not is_inherited(description):
        return description
    return "haproxy:tcp:0" if description.startswith("haproxy:") else "tcp:0"


class Choice:
    """Has the kernel give new connections only to the workers that take some."""

    def __init__(self, groups: Sequence[socket.socket], shared: SharedLimits) -> None:
        """Choose at addresses, of each of which one socket is given, where all have their own."""
        self._groups = groups
        self._shared = shared
        self._chosen: list[int] = []

    def look(self) -> None:
        """Look at who takes any; costs a system call only when that has changed."""
        connections = self._shared.each(Total.CONNECTIONS)
        chosen = [n for n, each in enumerate(connections) if not math.isinf(each)]
        if chosen and chosen != self._chosen:
            self._chosen = chosen
            for group in self._groups:
                take_turns(group, chosen)


def _bound(family: int, interface: str, port: int, *, shared: bool) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.setblocking(False)
        opened.bind((interface, port))
    except OSError:
        opened.close()
        raise
    return opened
