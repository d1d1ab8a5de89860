"""What the bridge is measured against: the least that Klein and treq can do as a proxy.

Run as a process: `python -m benchmarks.bare UPSTREAM_PORT`; it prints its port. It relays status,
type and bytes, unbuffered, over persistent connections; it reads and records nothing.
"""

from __future__ import annotations

import sys
from typing import Any

from klein import Klein
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, ResponseDone
from twisted.web.server import Site

_MOST_CONNECTIONS = 512
_FORWARDED = (b"content-type", b"x-api-key", b"anthropic-version")
_KNOBS = b"x-demo-"
_RETURNED = (b"content-type", b"content-length")


class Bare:
    """A proxy to one port."""

    app = Klein()

    def __init__(self, reactor: Any, upstream_port: int) -> None:
        pool = HTTPConnectionPool(reactor, persistent=True)
        pool.maxPersistentPerHost = _MOST_CONNECTIONS
        self._treq = HTTPClient(Agent(reactor, pool=pool))
        self._upstream = f"http://127.0.0.1:{upstream_port}"

    @app.route("/", branch=True)
    async def relay(self, request: Any) -> None:
        """Pass a request on, and its answer back as it comes."""
        headers = {
            name: values
            for name, values in request.requestHeaders.getAllRawHeaders()
            if name.lower() in _FORWARDED or name.lower().startswith(_KNOBS)
        }
        response = await self._treq.request(
            request.method.decode(),
            self._upstream + request.uri.decode(),
            headers=headers,
            data=request.content.read(),
            unbuffered=True,
            allow_redirects=False,
        )
        request.setResponseCode(response.code)
        for name, values in response.headers.getAllRawHeaders():
            if name.lower() in _RETURNED:
                request.responseHeaders.setRawHeaders(name, values)
        relay = _Relay(request)
        response.deliverBody(relay)
        await relay.finished


class _UntilClosed(Protocol):
    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002  # Twisted's
        from twisted.internet import reactor as installed

        running: Any = installed
        running.stop()


class _Relay(Protocol):
    transport: Any

    def __init__(self, request: Any) -> None:
        self._request = request
        self._left = False
        self.finished: Deferred[None] = Deferred(self._leave)  # Klein cancels when the client goes

    def connectionMade(self) -> None:
        self._request.registerProducer(self.transport, True)

    def dataReceived(self, data: bytes) -> None:
        self._request.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._left:
            return
        self._request.unregisterProducer()
        if reason.check(ResponseDone):
            self.finished.callback(None)
        else:
            self.finished.errback(reason)

    def _leave(self, _: object) -> None:
        self._left = True
        self.transport.loseConnection()


def main() -> None:
    """Serve until stdin closes."""
    from twisted.internet import reactor as installed

    reactor: Any = installed
    site = Site(Bare(reactor, int(sys.argv[1])).app.resource())
    port = reactor.listenTCP(0, site, backlog=1024, interface="127.0.0.1")
    sys.stdout.write(f"{port.getHost().port}\n")
    sys.stdout.flush()
    StandardIO(_UntilClosed())
    reactor.run()


if __name__ == "__main__":
    main()
