"""Settings that would let credentials or records travel unprotected; refused unless `insecure`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from psycopg2 import ProgrammingError
from psycopg2.extensions import parse_dsn

from bridge.config import options
from bridge.config.listening import Listener, is_loopback
from bridge.config.settings import ProviderSettings, Value, problem
from bridge.config.table import Option
from bridge.domain.identity import Secret
from bridge.listening import is_inherited

Values = Mapping[Option[Any], Value[Any]]

_TLS_MODES = frozenset({"require", "verify-ca", "verify-full"})
_EVEN_SO = "or set insecure: true if that is meant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposed:
    """A listener that is not this machine's alone."""

    description: str
    listener: Listener


def refusals(
    values: Values,
    providers: Sequence[ProviderSettings],
    listeners: Sequence[tuple[str, Listener]],
    environ: Mapping[str, str],
) -> Iterator[str]:
    """Yield a problem for each setting that is unsafe.

    Args:
        values: every option.
        providers: those in force.
        listeners: of `listen`, with the description of each.
        environ: for what PostgreSQL's own library reads there.
    """
    exposed = [
        Exposed(description=description, listener=listener)
        for description, listener in listeners
        if not listener.local
    ]
    yield from _unprotected_listening(values, exposed)
    yield from _exposed_demo(providers, exposed)
    for provider in providers:
        yield from _unprotected_base_url(provider)
    yield from _unprotected_database(values[options.DATABASE_ADDRESS], environ)


def malformed_database(address: Value[Secret]) -> Iterator[str]:
    """Yield a problem when PostgreSQL's library cannot read the database's address."""
    if address.value.reveal() != "embedded" and _dsn_parts(address.value) is None:
        sentence = (
            "is not an address that PostgreSQL understands; write for example "
            "postgresql://user:password@host/database, with %40 for an @ in the password"
        )
        yield problem(address.path, sentence, address.origin)


def _unprotected_listening(values: Values, exposed: Sequence[Exposed]) -> Iterator[str]:
    if values[options.BEHIND_PROXY].value:
        return
    listen = values[options.LISTEN]
    for each in exposed:
        if not each.listener.tls:
            nearer = (
                "have systemd listen on this machine only (ListenStream=127.0.0.1:4001)"
                if is_inherited(each.description)
                else "add interface=127.0.0.1, use an ssl: endpoint"
            )
            sentence = (
                f"{each.description} can be reached from other machines without TLS; {nearer}, "
                f"set behind_proxy: true when a proxy in front speaks TLS, {_EVEN_SO}"
            )
            yield problem(listen.path, sentence, listen.origin)


def _exposed_demo(
    providers: Sequence[ProviderSettings], exposed: Sequence[Exposed]
) -> Iterator[str]:
    demos = [provider for provider in providers if provider.type == "demo"]
    for provider in demos if exposed else ():
        sentence = (
            f"is of the type demo, which has no place where {exposed[0].description} can be "
            f"reached from other machines; remove it, listen on interface=127.0.0.1, {_EVEN_SO}"
        )
        yield problem(provider.label, sentence, provider.origin)


def _unprotected_base_url(provider: ProviderSettings) -> Iterator[str]:
    try:
        parts = urlsplit(provider.base_url)
    except ValueError:
        return  # refused for that already
    label = provider.label if provider.label.endswith("base_url") else f"{provider.label}.base_url"
    if "@" in parts.netloc:
        sentence = (
            "holds a user name or password, which would end up in logs; give the credential as "
            f"the provider's key, {_EVEN_SO}"
        )
        yield problem(label, sentence, provider.origin)
    if parts.scheme == "http" and provider.keys and not is_loopback(parts.hostname or ""):
        sentence = f"would carry the provider's key over plain http; use https, {_EVEN_SO}"
        yield problem(label, sentence, provider.origin)


def _unprotected_database(address: Value[Secret], environ: Mapping[str, str]) -> Iterator[str]:
    parts = _dsn_parts(address.value)
    if parts is None:
        return
    hosts = (parts.get("hostaddr") or parts.get("host") or environ.get("PGHOST", "")).split(",")
    remote = [host for host in hosts if host and not host.startswith(("/", "@"))]
    mode = parts.get("sslmode") or environ.get("PGSSLMODE", "prefer")
    if mode not in _TLS_MODES and not all(is_loopback(host) for host in remote):
        sentence = (
            "is on another machine and may be reached without TLS; add ?sslmode=verify-full (or "
            f"require), {_EVEN_SO}"
        )
        yield problem(address.path, sentence, address.origin)


def _dsn_parts(address: Secret) -> Mapping[str, str] | None:
    """Return the parts as libpq reads them; None for the embedded database and for nonsense."""
    dsn = address.reveal()
    if dsn == "embedded":
        return None
    try:
        parts: Mapping[str, str] = parse_dsn(dsn)
    except ProgrammingError:
        return None  # its message may repeat the password
    return parts
