"""The origin of a provider: where its connections go, and what it is called in their requests."""

from __future__ import annotations

from typing import Any

from twisted.internet.abstract import isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import TimeoutError  # noqa: A004 - the transport's own
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.web.client import URI
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from bridge.deferreds import limited
from bridge.upstream.proxy import Proxy
from bridge.upstream.trust import Resuming, SecuredEndpoint

_DEFAULT_PORTS = {b"http": 80, b"https": 443}


class Origin:
    """An origin, and the way to it."""

    def __init__(
        self,
        url: str,
        *,
        reactor: Any,
        tls: IPolicyForHTTPS,
        connect_seconds: float,
        proxy: Proxy | None = None,
    ) -> None:
        """Be `url` (`https://host[:port]`), reached through `proxy` if that is for it.

        Args:
            url: without a path.
            reactor: for connections and time.
            tls: whom to trust.
            connect_seconds: limit for all of a connection.
            proxy: through which https is spoken, unless it says otherwise.
        """
        self._resuming: Resuming | None = None
        parts = URI.fromBytes(f"{url}/".encode("ascii"))
        host, port = parts.host.decode("ascii"), parts.port
        endpoint: IStreamClientEndpoint = HostnameEndpoint(
            reactor, host, port, timeout=connect_seconds
        )
        if parts.scheme == b"https":
            if proxy is not None and proxy.is_for(host, port):
                endpoint = proxy.endpoint(
                    host, port, reactor=reactor, connect_seconds=connect_seconds
                )
            resuming = self._resuming = Resuming(tls.creatorForNetloc(parts.host, port))
            endpoint = wrapClientTLS(resuming, endpoint)
            endpoint = SecuredEndpoint(endpoint, host=host)
        self.endpoint: IStreamClientEndpoint = _LimitedEndpoint(
            endpoint, reactor=reactor, seconds=connect_seconds
        )
        """Makes connections that are ready to be asked."""
        name = f"[{host}]" if isIPv6Address(host) else host
        is_default = _DEFAULT_PORTS.get(parts.scheme) == port
        self.host = (name if is_default else f"{name}:{port}").encode("ascii")
        """Value of the Host header."""

    def answered(self, transport: Any) -> None:
        """Note that the first answer has come over a new connection."""
        if self._resuming is not None:
            self._resuming.remember(transport.getHandle())


@implementer(IStreamClientEndpoint)
class _LimitedEndpoint:
    """Makes whole connections within a time: names looked up, proxies asked, TLS spoken."""

    def __init__(self, beneath: IStreamClientEndpoint, *, reactor: Any, seconds: float) -> None:
        self._beneath = beneath
        self._reactor = reactor
        self._seconds = seconds

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:  # noqa: N803 - the interface's
        """Connect, or fail with TimeoutError."""
        connecting = self._beneath.connect(protocolFactory)
        return limited(connecting, self._seconds, self._reactor, TimeoutError)
