"""The treq client of one provider: a pool of connections, and requests that go out exactly as told.

treq rewrites URLs, asks for gzip and decodes it, keeps cookies and follows redirects. An IAgent of
ours beneath it takes the first two back; the rest is switched off where it is called (client.py).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from weakref import WeakSet

from hyperlink import EncodedURL
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.error import TimeoutError  # noqa: A004 - the transport's own
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.web.client import URI, Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IPolicyForHTTPS, IResponse
from zope.interface import implementer

from bridge.deferreds import limited
from bridge.upstream.proxy import Proxy
from bridge.upstream.trust import SecuredEndpoint
from bridge.wire.headers import Header

HIDDEN_ENCODING = b"x-aibridge-content-encoding"
"""Where a response's Content-Encoding is kept while treq must not see it."""

_MAX_IDLE_CONNECTIONS = 512


class OriginUrl(EncodedURL):
    """The URL of an origin, written once; treq has it normalised and written at every request.

    An origin is ASCII when it comes here. treq's normalising adds nothing, and refuses `[::1]`.
    """

    _text = ""

    def to_uri(self) -> EncodedURL:
        """Return itself."""
        return self

    def to_text(self, with_password: bool = False) -> str:
        """Return the text, made at the first call."""
        if not self._text:
            self._text = super().to_text(with_password)
        return self._text


class SentHeaders(Headers):
    """Headers of one request, checked when they are added and not again by every layer."""

    __slots__ = ()

    @classmethod
    def of(cls, headers: Iterable[Header]) -> SentHeaders:
        """Return `headers`, in order, each in one line."""
        made = cls()
        raw = made._rawHeaders
        for name, value in headers:
            if b"\n" in value or b"\r" in value:
                value = b" ".join(value.splitlines())  # noqa: PLW2901 - the same value, made safe
            raw.setdefault(_spelled(name), []).append(value)
        return made

    def copy(self) -> SentHeaders:
        """Return a copy; the layers of treq make several, of which each is the last one used."""
        made = type(self)()
        raw = {name: [*values] for name, values in self._rawHeaders.items()}
        made._rawHeaders = raw  # noqa: SLF001 - of our own class; no public way leaves them alone
        return made


@lru_cache(maxsize=4096)
def _spelled(name: bytes) -> bytes:
    """Return a header's name as Twisted spells it, under which alone it is found again."""
    ((spelled, _),) = Headers({name: [b""]}).getAllRawHeaders()
    return spelled


class Pool(HTTPConnectionPool):
    """A connection pool that knows which connections it has handed out before."""

    def __init__(self, reactor: Any, *, keepalive_seconds: float) -> None:
        """Keep unused connections for `keepalive_seconds`; 0 keeps none."""
        super().__init__(reactor, persistent=keepalive_seconds > 0)
        self.maxPersistentPerHost = _MAX_IDLE_CONNECTIONS
        self.cachedConnectionTimeout = keepalive_seconds  # type: ignore[assignment]  # any number
        # Twisted's own retry is for GET only, and silent; client.py retries what it may.
        self.retryAutomatically = False
        self._seen: WeakSet[Any] = WeakSet()
        self.last_reused = False
        """Whether the connection handed out last had been used before."""

    def getConnection(self, key: Hashable, endpoint: IStreamClientEndpoint) -> Deferred[Any]:
        """Hand out a connection, and note whether it is a used one."""
        found = super().getConnection(key, endpoint)

        def note(connection: Any) -> Any:
            self.last_reused = connection in self._seen
            self._seen.add(connection)
            return connection

        return found.addCallback(note)


class ExactAgent(Agent):
    """An Agent to one origin that sends a request target byte for byte."""

    def __init__(
        self,
        reactor: Any,
        *,
        origin: bytes,
        pool: Pool,
        tls: IPolicyForHTTPS,
        connect_seconds: float,
        proxy: Proxy | None = None,
    ) -> None:
        """Talk to `origin` (`https://host:port`), through `proxy` if it is for that."""
        super().__init__(reactor, contextFactory=tls, connectTimeout=connect_seconds, pool=pool)
        self._pool_of_ours = pool
        self._origin = URI.fromBytes(origin)
        self._key = (self._origin.scheme, self._origin.host, self._origin.port)
        secure = self._origin.scheme == b"https"
        host, port = self._origin.host.decode("ascii"), self._origin.port
        endpoint = self._getEndpoint(self._origin)
        if proxy is not None and secure and proxy.is_for(host, port):
            tunnel = proxy.endpoint(host, port, reactor=reactor, connect_seconds=connect_seconds)
            endpoint = wrapClientTLS(tls.creatorForNetloc(self._origin.host, port), tunnel)
        if secure:
            endpoint = SecuredEndpoint(endpoint, host=host)
        self._endpoint = _LimitedEndpoint(endpoint, reactor=reactor, seconds=connect_seconds)
        self.host = self._computeHostValue(*self._key)
        """Value of the Host header."""

    def send(
        self, method: bytes, target: bytes, headers: Headers, body: IBodyProducer | None
    ) -> Deferred[IResponse]:
        """Send a request with `target` as its request target."""
        # The one step that Agent does not offer by a public name: the public one parses the URL and
        # writes it anew.
        return self._requestWithEndpoint(
            self._key, self._endpoint, method, self._origin, headers, body, target
        )


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


@implementer(IAgent)
class _OneRequest:
    """What treq talks to: puts back the target and hides the encodings, for one request."""

    def __init__(self, agent: ExactAgent, target: bytes) -> None:
        self._agent = agent
        self._target = target

    def request(
        self,
        method: bytes,
        uri: bytes,  # noqa: ARG002 - treq's rewriting of it
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """Send it with the raw target; `uri` is treq's rewriting of it."""
        sent = headers if headers is not None else Headers()
        sent.setRawHeaders(b"accept-encoding", [b"identity"])
        sent.setRawHeaders(b"host", [self._agent.host])
        return self._agent.send(method, self._target, sent, bodyProducer).addCallback(
            _hide_encoding
        )


def build_client(agent: ExactAgent, target: bytes) -> HTTPClient:
    """Return a treq client for one request to `target`; cookies are never kept nor sent."""
    return HTTPClient(_OneRequest(agent, target), cookiejar=NO_COOKIES)  # type: ignore[arg-type]  # any jar


class _NoCookies(CookieJar):
    """A jar into which nothing goes, so that nothing has to be looked for."""

    def add_cookie_header(self, request: Any) -> None:
        """Add none."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Keep none."""


NO_COOKIES = _NoCookies(policy=DefaultCookiePolicy(allowed_domains=[]))


def _hide_encoding(response: IResponse) -> IResponse:
    values = response.headers.getRawHeaders(b"content-encoding")
    if values:
        response.headers.setRawHeaders(HIDDEN_ENCODING, values)
        response.headers.removeHeader(b"content-encoding")
    return response
