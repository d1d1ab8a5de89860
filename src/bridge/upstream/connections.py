"""Connections to one origin: asked one thing at a time, and kept while nobody asks.

Twisted's client protocol under a pool of ours. Private parts touched: the states and parser of
`HTTP11ClientProtocol`, whose public `request` would write and read heads in its own, slower way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure
from twisted.web._newclient import (
    HTTP11ClientProtocol,
    RequestNotSent,
    TransportProxyProducer,
)

from bridge.deadlines import Deadlines
from bridge.sending import Sender
from bridge.upstream.heads import AnswerParser, Sent

_MAX_IDLE = 512
_SENT_WITH_HEAD_BYTES = 128 * 1024
"""More than Twisted sends at once; a larger body waits for a turn, and is copied once less."""
_OVER = Failure(ConnectionDone("the answer is over"))


class Connection(HTTP11ClientProtocol):
    """One connection."""

    transport: Any
    _parser: Any
    _currentRequest: Any  # noqa: N815 - Twisted's name
    _responseDeferred: Any  # noqa: N815 - Twisted's name
    _transportProxy: Any  # noqa: N815 - Twisted's name

    def __init__(self, pool: Connections) -> None:
        """Belong to `pool`."""
        super().__init__()
        self._pool = pool
        self._is_new = True
        self._send: Callable[[bytes], None]

    def connectionMade(self) -> None:
        """Get ready to be asked."""
        super().connectionMade()
        self._send = Sender(self.transport).send

    def ask(self, sent: Sent, head: bytes, body: bytes) -> Deferred[Any]:
        """Send a whole request, and fire with the head of its answer.

        That is an Answer, or Twisted's Response where the head is an odd one. Cancelling it closes
        the connection.
        """
        if self._state != "QUIESCENT":
            return fail(RequestNotSent())
        self._state = "WAITING"
        self._currentRequest = sent
        if len(body) <= _SENT_WITH_HEAD_BYTES:
            self._send(head + body)
        else:
            self.transport.writeSequence((head, body))
        # Nothing comes before the reactor's next turn: the provider need not wait for this.
        self._transportProxy = TransportProxyProducer(self.transport)
        parser = self._parser = AnswerParser(sent, self._finishResponse, self._abandon)
        parser.makeConnection(self._transportProxy)
        self._responseDeferred = parser.answered
        return parser.answered

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell whoever waits for an answer, and the pool."""
        super().connectionLost(reason)
        self._pool.lost(self)

    def _abandon(self, _: Deferred[Any]) -> None:
        """Close, and tell nobody: who waited is told that it is cancelled."""
        self.transport.abortConnection()
        if self._parser is not None:
            self._parser.forget()
        self._disconnectParser(_OVER)

    def _finishResponse_WAITING(self, rest: bytes) -> None:  # noqa: N802 - Twisted's name
        """Be told by the parser that the answer is over, with what came after it."""
        self._state = "QUIESCENT"
        if self._parser is None:
            return  # the connection is lost
        if self._is_new:
            self._is_new = False
            self._pool.answered(self.transport)
        if rest or self._parser.closes or not self._currentRequest.persistent:
            # What comes unasked might be taken for the next answer.
            self._giveUp(_OVER)
            return
        self.transport.resumeProducing()
        self._pool.keep(self)  # before whoever has the answer asks again
        self._disconnectParser(_OVER)


class Connections:
    """Makes connections to one endpoint, and keeps those that nobody uses."""

    def __init__(
        self,
        *,
        endpoint: IStreamClientEndpoint,
        clock: IReactorTime,
        keepalive_seconds: float,
        answered: Callable[[Any], None],
    ) -> None:
        """Make connections.

        Args:
            endpoint: where to.
            clock: for the time that unused ones are kept.
            keepalive_seconds: how long that is; 0 keeps none.
            answered: told of each new connection's transport when its first answer has come.
        """
        self._endpoint = endpoint
        self.answered = answered
        self._idle: dict[Connection, int] = {}
        self._deadlines = Deadlines(clock, keepalive_seconds)
        self._closed = False
        self.persistent = keepalive_seconds > 0

    def idle(self) -> Connection | None:
        """Return a connection that has been used before and is free now; None when there is none.

        It is the one used last, so that those which are not needed grow old.
        """
        if not self._idle:
            return None
        connection, wait = self._idle.popitem()
        self._deadlines.end(wait)
        return connection

    def new(self) -> Deferred[Connection]:
        """Fire with a connection that has just been made."""
        factory = Factory.forProtocol(partial(Connection, self))
        factory.noisy = False
        made: Any = self._endpoint.connect(factory)
        connecting: Deferred[Connection] = made
        return connecting

    async def close(self) -> None:
        """Close the connections that nobody uses, and keep none from now on."""
        self._closed = True
        idle, self._idle = [*self._idle.items()], {}
        closing = []
        for connection, wait in idle:
            self._deadlines.end(wait)
            closing.append(connection.abort())
        self._deadlines.close()
        for each in closing:
            await each

    def keep(self, connection: Connection) -> None:
        """Keep a connection until somebody asks for one."""
        if self._closed:
            connection.transport.loseConnection()
            return
        if len(self._idle) >= _MAX_IDLE:
            self._drop(next(iter(self._idle)))
        self._idle[connection] = self._deadlines.begin(partial(self._drop, connection))

    def lost(self, connection: Connection) -> None:
        """Keep a connection no more."""
        wait = self._idle.pop(connection, None)
        if wait is not None:
            self._deadlines.end(wait)

    def _drop(self, connection: Connection) -> None:
        self.lost(connection)
        connection.transport.loseConnection()
