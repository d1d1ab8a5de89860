"""Whom to trust: the system's certificate authorities, and a company's own beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from OpenSSL import crypto
from twisted.internet._sslverify import IOpenSSLTrustRoot
from twisted.internet.ssl import platformTrust
from twisted.web.client import BrowserLikePolicyForHTTPS
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

_BEGIN = b"-----BEGIN CERTIFICATE-----"
_END = b"-----END CERTIFICATE-----"


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
    return BrowserLikePolicyForHTTPS(trustRoot=_SystemAnd(certificates) if certificates else None)


@implementer(IOpenSSLTrustRoot)
class _SystemAnd:
    def __init__(self, certificates: Sequence[crypto.X509]) -> None:
        self._certificates = certificates

    def _addCACertsToContext(self, context: Any) -> None:  # noqa: N802 - the interface's only method
        """Let an OpenSSL context trust them all."""
        platformTrust()._addCACertsToContext(context)  # noqa: SLF001 - likewise
        store = context.get_cert_store()
        for each in self._certificates:
            store.add_cert(each)
