"""Whom to trust: the system's certificate authorities, and a company's own beside them.

A connection is ready once that is settled, which Twisted's endpoints do not wait for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from OpenSSL import SSL, crypto
from service_identity import VerificationError
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import BrowserLikePolicyForHTTPS
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

_BEGIN = b"-----BEGIN CERTIFICATE-----"
_END = b"-----END CERTIFICATE-----"


class HandshakeFailed(ConnectError):  # noqa: N818 - named after what happened
    """TLS did not come about; says why, for the operator."""


def certificates_in(path: Path) -> Sequence[crypto.X509]:
    """Return the certificates of a PEM file.

    Raises:
        ValueError: it cannot be read, or holds none; a sentence for the operator.
    """
    try:
        text = path.read_bytes()
    except OSError as e:
        msg = f"names the file {path}, which cannot be read: {e.strerror or type(e).__name__}"
        raise ValueError(msg) from e
    blocks = [_BEGIN + each.partition(_END)[0] + _END for each in text.split(_BEGIN)[1:]]
    try:
        found = [crypto.load_certificate(crypto.FILETYPE_PEM, block) for block in blocks]
    except (crypto.Error, ValueError) as e:
        msg = f"names the file {path}, in which a certificate is damaged"
        raise ValueError(msg) from e
    if not found:
        msg = f"names the file {path}, which holds no certificate (PEM)"
        raise ValueError(msg)
    return found


def policy_trusting(certificates: Sequence[crypto.X509]) -> IPolicyForHTTPS:
    """Return the policy that trusts the system's authorities, and `certificates` besides."""
    system = BrowserLikePolicyForHTTPS()
    return _SystemAnd(system, certificates) if certificates else system


@implementer(IPolicyForHTTPS)
class _SystemAnd:
    def __init__(self, system: IPolicyForHTTPS, certificates: Sequence[crypto.X509]) -> None:
        self._system = system
        self._certificates = certificates

    def creatorForNetloc(  # noqa: N802 - the interface's
        self, hostname: bytes, port: int
    ) -> IOpenSSLClientConnectionCreator:
        """Return what makes TLS connections to `hostname`."""
        return _AlsoTrusting(self._system.creatorForNetloc(hostname, port), self._certificates)


@implementer(IOpenSSLClientConnectionCreator)
class _AlsoTrusting:
    def __init__(self, creator: Any, certificates: Sequence[crypto.X509]) -> None:
        self._creator = creator
        self._certificates = certificates

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:  # noqa: N802, N803 - the interface's
        """Return a TLS connection that trusts the certificates too."""
        connection: SSL.Connection = self._creator.clientConnectionForTLS(tlsProtocol)
        store: Any = connection.get_context().get_cert_store()
        # A company may give out the authority that issues, and not the root that nobody else has.
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
        for each in self._certificates:
            store.add_cert(each)  # the context is kept; one that is there is not added again
        return connection


@implementer(IOpenSSLClientConnectionCreator)
class Resuming:
    """Makes TLS connections to one host that take up the session of an earlier one.

    The host's certificate was checked when that session began, by the same rules, and is still
    asked for its name; the server says how long a session may be taken up, and may refuse to.
    """

    def __init__(self, creator: IOpenSSLClientConnectionCreator) -> None:
        """Have `creator` make the connections."""
        self._creator = creator
        self._session: SSL.Session | None = None

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:  # noqa: N802, N803 - the interface's
        """Return a TLS connection that offers the session."""
        made: Any = self._creator.clientConnectionForTLS(tlsProtocol)
        connection: SSL.Connection = made
        if self._session is not None:
            connection.set_session(self._session)
        return connection

    def remember(self, connection: SSL.Connection) -> None:
        """Keep the session of a connection over which something has come: then it is known."""
        self._session = connection.get_session() or self._session


@implementer(IStreamClientEndpoint)
class SecuredEndpoint:
    """An endpoint whose connections have their TLS handshake behind them."""

    def __init__(self, beneath: IStreamClientEndpoint, *, host: str) -> None:
        """Wait for the handshakes of `beneath`, which speaks TLS with `host`."""
        self._beneath = beneath
        self._host = host

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:  # noqa: N803 - the interface's
        """Connect, and hand the connection on once the other side is trusted."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        made = Factory.forProtocol(_Handshake)
        made.noisy = False
        handshake: Any = await self._beneath.connect(made)
        await handshake.done(self._host)
        inner = factory.buildProtocol(handshake.transport.getPeer())
        if inner is None:
            handshake.transport.abortConnection()
            raise HandshakeFailed(string="Nobody wants the connection any more.")
        handshake.hand_over(inner)
        return inner


@implementer(IHandshakeListener)
class _Handshake(Protocol):
    """The beginning of a TLS connection; out of the way once the other side is trusted."""

    transport: Any

    def __init__(self) -> None:
        self._waiting: Deferred[None] | None = None
        self._completed = False
        self._failed: Failure | None = None
        self._expired = False

    async def done(self, host: str) -> None:
        """Wait for the end of the handshake; a cancelled one ends the connection.

        Raises:
            HandshakeFailed: with the reason.
        """
        if not self._completed and self._failed is None:
            self._waiting = Deferred(lambda _: self.transport.abortConnection())
            await self._waiting
        if self._failed is not None:
            reason: Any = self._failed.value
            raise HandshakeFailed(string=_why(reason, host, expired=self._expired)) from reason

    def hand_over(self, inner: IProtocol) -> None:
        """Let `inner` have the connection."""
        self.transport.wrappedProtocol = inner
        inner.makeConnection(self.transport)

    def handshakeCompleted(self) -> None:  # noqa: N802 - the interface's
        """Go on; nothing was received yet that is not the handshake's."""
        self._completed = True
        self._settle()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Keep the reason, and how it stands with the certificate."""
        chain = self.transport.getHandle().get_peer_cert_chain() or ()
        self._failed = reason
        self._expired = any(each.has_expired() for each in chain)
        self._settle()

    def _settle(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.called:
            waiting.callback(None)


def _why(reason: BaseException, host: str, *, expired: bool) -> str:
    """Return why a handshake failed; OpenSSL itself says no more than that it did."""
    if isinstance(reason, VerificationError):
        return f"The certificate shown by {host} is for another host."
    if not isinstance(reason, SSL.Error):
        return f"The connection to {host} was closed within the TLS handshake."
    errors = reason.args[0] if reason.args else ()
    said = "; ".join(str(each[-1]) for each in errors) or "no reason given"
    if "certificate verify failed" not in said:
        return f"The TLS handshake with {host} failed: {said}."
    if expired:
        return f"The certificate shown by {host} has expired."
    return f"The certificate shown by {host} is issued by nobody that is trusted (ca_file): {said}."
