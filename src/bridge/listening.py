"""Closing a port without dropping who is just connecting."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IListeningPort, IReadDescriptor
from twisted.python.failure import Failure

_TURNS = 6
"""Twisted accepts some twenty connections more in each turn than in the one before."""


async def close_port(port: IListeningPort) -> None:
    """Stop listening, and serve the connections that the kernel has made until now.

    A socket takes those that nobody has accepted with it when it is closed. Twisted's ports do not
    look for any, and are closed only a turn of the reactor after they have been asked to, so under
    load some would be lost: here they are looked for, and the socket is closed in the same moment.
    """
    if IReadDescriptor.providedBy(port):
        for _ in range(_TURNS):
            port.doRead()
        port.connectionLost(Failure(ConnectionDone()))
        return
    stopping = port.stopListening()
    if isinstance(stopping, Deferred):
        await stopping
