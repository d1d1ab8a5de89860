"""Reaching providers through a company's HTTP proxy: a tunnel by CONNECT, TLS inside it.

Twisted has no client for that. Source: RFC 9110, section 9.3.6 (read 2026-11-25).
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError, DNSLookupError, TCPTimedOutError, UserError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

_NAME = re.compile(r"\*?\.?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?")
_MAX_ANSWER_BYTES = 16 * 1024
_VERSION = b"HTTP/1."
_END = b"\r\n\r\n"
_DEFAULT_PORT = 80
_EXPECTED = (
    "must be a proxy's address such as http://proxy.example:3128 or "
    "http://user:password@proxy.example:3128, with %2F for a / in the password, and so on"
)


class ProxyRefused(ConnectError):  # noqa: N818 - named after what happened
    """The proxy does not let us through; says why, for the operator."""


class Proxy:
    """A proxy as `HTTPS_PROXY` names it, and what is reached without it."""

    def __init__(self, *, url: str, bypass: Sequence[str]) -> None:
        """Use the proxy at `url` (`http://[user:password@]host[:port]`).

        Args:
            url: its address.
            bypass: as in `NO_PROXY`: hosts, `.domains`, addresses, networks, `host:port`, `*`.

        Raises:
            ValueError: the address is none; a sentence that does not repeat it.
        """
        parts = _parts(url)
        self.host = parts.hostname or ""
        self.port = parts.port or _DEFAULT_PORT
        self.authorization = b""
        if parts.username is not None:
            account = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self.authorization = b"Basic " + b64encode(account.encode("utf-8"))
        # Some write spaces where the others write commas.
        self._bypass = tuple(word for each in bypass for word in each.lower().split())

    def is_for(self, host: str, port: int) -> bool:
        """Return whether `host` is reached through the proxy."""
        name = host.strip("[]").lower().rstrip(".")
        return not any(_covers(each, name, port) for each in self._bypass)

    def endpoint(
        self, host: str, port: int, *, reactor: Any, connect_seconds: float
    ) -> IStreamClientEndpoint:
        """Return an endpoint that connects to `host` through the proxy.

        The limit is for TCP alone; whoever connects limits the whole.
        """
        return _TunnelEndpoint(
            proxy=HostnameEndpoint(reactor, self.host, self.port, timeout=connect_seconds),
            authority=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            authorization=self.authorization,
        )


@implementer(IStreamClientEndpoint)
class _TunnelEndpoint:
    def __init__(
        self, *, proxy: IStreamClientEndpoint, authority: str, authorization: bytes
    ) -> None:
        self._proxy = proxy
        self._authority = authority.encode("ascii")
        self._authorization = authorization

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:  # noqa: N803 - the interface's
        """Connect to the proxy, ask for the tunnel, and hand the connection on."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        made = Factory.forProtocol(Tunnel)
        made.noisy = False
        try:
            tunnel: Any = await self._proxy.connect(made)
        except (UserError, TCPTimedOutError):
            raise  # cancelled, or out of time
        except (ConnectError, DNSLookupError) as e:
            raise ProxyRefused(string=f"The proxy cannot be reached: {e}") from e
        await tunnel.open(self._authority, self._authorization)
        inner = factory.buildProtocol(tunnel.transport.getPeer())
        if inner is None:
            tunnel.transport.abortConnection()
            raise ProxyRefused(string="Nobody wants the connection any more.")
        tunnel.hand_over(inner)
        return inner


class Tunnel(Protocol):
    """The beginning of a connection to a proxy; passes everything on once the way is open."""

    transport: Any

    def __init__(self) -> None:
        """Wait for `open`."""
        self._received = b""
        self._opened: Deferred[None] | None = None
        self._inner: Any = None
        self._lost: Failure | None = None

    def open(self, authority: bytes, authorization: bytes) -> Deferred[None]:
        """Ask for a tunnel to `authority` (`host:port`); fire when it is there.

        The Deferred fails with ProxyRefused, or with what ended the connection.
        """
        lines = [b"CONNECT %b HTTP/1.1" % authority, b"Host: %b" % authority]
        if authorization:
            lines.append(b"Proxy-Authorization: %b" % authorization)
        self.transport.write(b"\r\n".join(lines) + _END)
        self._opened = Deferred(lambda _: self.transport.abortConnection())
        return self._opened

    def hand_over(self, inner: IProtocol) -> None:
        """Let `inner` have the connection."""
        self._inner = inner
        self._inner.makeConnection(self.transport)
        if self._lost is not None:
            self._inner.connectionLost(self._lost)

    def dataReceived(self, data: bytes) -> None:
        """Read the proxy's answer; then pass on what comes."""
        if self._inner is not None:
            self._inner.dataReceived(data)
            return
        self._received += data
        end = self._received.find(_END)
        if not self._received.startswith(_VERSION[: len(self._received)]):
            self._refuse("What answers at the proxy's address is no HTTP proxy.")
        elif end < 0:
            if len(self._received) > _MAX_ANSWER_BYTES:
                self._refuse("The proxy's answer to CONNECT has no end.")
        elif not self._status.startswith(b"2"):
            self._refuse(f"The proxy answered {self._status.decode('latin-1')} to CONNECT.")
        elif len(self._received) > end + len(_END):
            self._refuse("The proxy sent bytes of its own into the tunnel.")  # we speak first
        else:
            self._settle(None)

    @property
    def _status(self) -> bytes:
        word = self._received.split(b"\r\n", 1)[0].partition(b" ")[2].strip()[:3]
        return word if word.isdigit() else b"something that is no status"

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell whoever has the connection, or waits for it."""
        self._lost = reason
        if self._inner is not None:
            self._inner.connectionLost(reason)
        else:
            self._refuse("The proxy closed the connection before it answered CONNECT.")

    def _refuse(self, sentence: str) -> None:
        self._settle(Failure(ProxyRefused(string=sentence)))
        self.transport.abortConnection()

    def _settle(self, result: Failure | None) -> None:
        opened, self._opened = self._opened, None
        if opened is not None and not opened.called:
            opened.callback(result)


def names_hosts(word: str) -> bool:
    """Return whether one word of `NO_PROXY` can name a host at all."""
    pattern, _ = _without_port(word.lower())
    if pattern == "*":
        return True
    try:
        ip_network(pattern, strict=False)
    except ValueError:
        # What ends in a number would be an address.
        return _NAME.fullmatch(pattern) is not None and not pattern.split(".")[-1].isdecimal()
    return True


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is no number or too large
        raise ValueError(_EXPECTED) from None
    more = parts.path.strip("/") or parts.query or parts.fragment  # a password's / ? # ends up here
    if parts.scheme != "http" or not usable or more or not parts.netloc.isprintable():
        raise ValueError(_EXPECTED)
    return parts


def _covers(word: str, host: str, port: int) -> bool:
    """Return whether one word of `NO_PROXY` names `host`, a name or an address without brackets."""
    pattern, only_port = _without_port(word)
    if only_port not in (None, port):
        return False
    if pattern == "*":
        return True
    address = _address(host)
    if address is None:
        domain = pattern.removeprefix("*").strip(".")
        return bool(domain) and (host == domain or host.endswith(f".{domain}"))
    try:
        return address in ip_network(pattern, strict=False)
    except ValueError:
        return False


def _without_port(word: str) -> tuple[str, int | None]:
    pattern, _, number = word.rpartition(":")
    if number.isdecimal() and (pattern.endswith("]") or (pattern and ":" not in pattern)):
        return pattern.strip("[]"), int(number)
    return word.strip("[]"), None


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
