"""Certificates of an authority that only a test trusts, and servers on real TCP that show them."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.tls import TLSMemoryBIOFactory

_BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
_PAST = datetime(2021, 1, 1, tzinfo=UTC)
_FUTURE = datetime(2120, 1, 1, tzinfo=UTC)


class Issued:
    """A certificate, its key, and the certificates between it and its root."""

    def __init__(
        self,
        *,
        certificate: x509.Certificate,
        key: ec.EllipticCurvePrivateKey,
        chain: tuple[x509.Certificate, ...] = (),
    ) -> None:
        self.certificate = certificate
        self.key = key
        self.chain = chain

    @property
    def certificate_pem(self) -> bytes:
        """The certificate alone."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def options(self) -> CertificateOptions:
        """Return what a server needs in order to show it."""
        return CertificateOptions(
            privateKey=crypto.PKey.from_cryptography_key(self.key),
            certificate=crypto.X509.from_cryptography(self.certificate),
            extraCertChain=[crypto.X509.from_cryptography(each) for each in self.chain] or None,
        )

    def write(self, directory: Path) -> tuple[Path, Path]:
        """Write both files; return the paths of key and certificate."""
        key, certificate = directory / "key.pem", directory / "certificate.pem"
        key.write_bytes(self.key_pem)
        certificate.write_bytes(self.certificate_pem)
        return key, certificate


class Authority(Issued):
    """An authority, by itself a root."""

    @classmethod
    def root(cls, name: str = "A Company's Root") -> Authority:
        """Return a new root."""
        key = ec.generate_private_key(ec.SECP256R1())
        return cls(certificate=_signed(name, key, by=None, authority=True), key=key)

    def intermediate(self, name: str = "A Company's Issuer") -> Authority:
        """Return an authority below this one."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _signed(name, key, by=self, authority=True)
        return Authority(certificate=certificate, key=key, chain=(certificate,))

    def issue(self, *hosts: str, expired: bool = False) -> Issued:
        """Return a server's certificate for `hosts`, names or addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        until = _PAST if expired else _FUTURE
        certificate = _signed(hosts[0], key, by=self, hosts=hosts, until=until)
        return Issued(certificate=certificate, key=key, chain=self.chain)


def self_signed(*hosts: str) -> Issued:
    """Return a server's certificate that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    return Issued(certificate=_signed(hosts[0], key, by=None, hosts=hosts), key=key)


class SecureListening:
    """A reactor whose TCP servers speak TLS; keeps which hosts were asked for by name."""

    def __init__(self, reactor: Any, issued: Issued) -> None:
        """Show `issued` to whoever connects."""
        self.server_names: list[bytes | None] = []
        """One for each handshake, in order; None where no name was sent."""
        self._reactor = reactor
        self.options = issued.options()
        """May be made stricter before the first handshake."""
        self.options.getContext().set_tlsext_servername_callback(self._named)

    def listenTCP(  # the reactor's
        self, port: int, factory: IProtocolFactory, interface: str = ""
    ) -> Any:
        secured = TLSMemoryBIOFactory(self.options, False, factory, clock=self._reactor)
        secured.noisy = False
        return self._reactor.listenTCP(port, secured, interface=interface)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def _named(self, connection: SSL.Connection) -> None:
        self.server_names.append(connection.get_servername())


def _signed(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    by: Authority | None,
    hosts: tuple[str, ...] = (),
    until: datetime = _FUTURE,
    authority: bool = False,
) -> x509.Certificate:
    subject = _named(name)
    signer, issuer = (key, subject) if by is None else (by.key, by.certificate.subject)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_BEGIN)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if hosts:
        names = x509.SubjectAlternativeName([_host(each) for each in hosts])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
