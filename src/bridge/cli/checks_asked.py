"""What `aibridge doctor` asks others: the database, the providers, and what time they have."""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet import error as network
from twisted.internet.defer import CancelledError, Deferred, gatherResults

from bridge.cli.checks import Finding, failed, ok, warning
from bridge.cli.checks_bedrock import (
    bedrock_answered,
    bedrock_checked,
    bedrock_request,
    bedrock_without_credentials,
)
from bridge.cli.session import EMBEDDED_DIRECTORY, Session, with_store
from bridge.config import options
from bridge.config.settings import ProviderSettings, Settings
from bridge.database import EMBEDDED
from bridge.deferreds import limited
from bridge.domain.errors import BridgeError, Unavailable, UpstreamTimedOut
from bridge.domain.identity import Credential
from bridge.providers.interface import Asked, Provider
from bridge.store.connection import Cursor
from bridge.store.errors import SchemaTooNew, ServerTooOld, StoreError, WrongPassword
from bridge.store.migrations import schema_status
from bridge.store.rows import one
from bridge.store.siem import backlog
from bridge.telemetry.redact import redacted_text
from bridge.upstream.client import Outgoing, Response, Unwanted, UpstreamClient
from bridge.upstream.proxy import Proxy
from bridge.upstream.trust import certificates_in, policy_trusting
from bridge.upstreams import provider_from
from bridge.wire.headers import Header

PROVIDER_SECONDS = 15.0
"""Limit of one request to a provider."""
DATABASE_SECONDS = 60.0
"""An embedded one may have to be started first."""
APART_SECONDS = 5.0
"""Clocks that are further apart make records hard to read."""
FAR_APART_SECONDS = 240.0
"""AWS refuses signatures from 5 minutes on."""
SIEM_SECONDS = 600.0

_MODELS = b"/v1/models"
_VERSION: Header = (b"anthropic-version", b"2023-06-01")
_HEADERS: Sequence[Header] = (
    (b"accept", b"application/json"),
    (b"user-agent", b"aibridge-doctor"),
)
_NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"


async def database_findings(reactor: Any, settings: Settings) -> list[Finding]:
    """Ask the database for itself, its schema and its time."""
    embedded = settings[options.DATABASE_ADDRESS].reveal() == EMBEDDED
    if embedded and not (settings[options.DATA_DIR] / EMBEDDED_DIRECTORY).exists():
        says = "The embedded one has not been made yet."
        return [warning("database", says, "The first start of the bridge makes it.")]
    work = Deferred.fromCoroutine(
        with_store(
            reactor,
            settings,
            lambda session: _ask_database(session, settings),
            schema_ready=False,
        )
    )
    try:
        return await limited(work, DATABASE_SECONDS, reactor, lambda: StoreError("It hangs."))
    except CancelledError:
        raise
    except StoreError as error:
        return [failed("database", str(error), _database_advice(error))]


async def provider_findings(reactor: Any, settings: Settings) -> list[Finding]:
    """Ask every provider for its models, with each of the organisation's keys."""
    asking = [
        Deferred.fromCoroutine(_ask_provider(reactor, settings, each))
        for each in settings.providers
    ]
    results: list[list[Finding]] = await gatherResults(asking, consumeErrors=True)
    return [finding for found in results for finding in found]


async def _ask_database(session: Session, settings: Settings) -> list[Finding]:
    status = await schema_status(session.pool)
    says = f"PostgreSQL {status.server_version}, schema {status.database_version}."
    if status.too_new:
        return [
            failed(
                "database",
                f"{says} A version that knows schema {status.min_reader} is needed.",
                "Use the newer version of the bridge.",
            )
        ]
    if status.pending:
        return [
            failed(
                "database",
                f"{says} Schema changes are pending: {', '.join(status.pending)}.",
                "Run `aibridge db migrate`, or start the bridge.",
            )
        ]

    async def ask(cursor: Cursor) -> list[Finding]:
        before = session.reactor.seconds()
        (theirs,) = await one(cursor, _NOW)
        ours = (before + session.reactor.seconds()) / 2
        found = [ok("database", says), _clock("the database", theirs - ours)]
        waiting = await backlog(cursor)
        if settings[options.SIEM_FILE] and waiting.oldest_at is not None:
            age = ours - waiting.oldest_at.timestamp()
            if age > SIEM_SECONDS:
                found.append(
                    warning(
                        "SIEM backlog",
                        f"{waiting.records} records wait, the first for {age:.0f} s.",
                        "Look into the bridge's log for what is in the way of siem.file.",
                    )
                )
        return found

    return await session.pool.transaction(ask, read_only=True)


def _database_advice(error: StoreError) -> str:
    match error:
        case WrongPassword():
            return "Correct user and password in the option database."
        case ServerTooOld():
            return "Use PostgreSQL 14 or later."
        case SchemaTooNew():
            return "Use the newer version of the bridge."
    return "Requests go on without it, and their records wait; start it, or correct database."


def _clock(whose: str, apart: float) -> Finding:
    check = f"clock against {whose}"
    if abs(apart) <= APART_SECONDS:
        return ok(check, f"{abs(apart):.1f} s apart.")
    where = "behind" if apart > 0 else "ahead"
    says = f"This machine's clock is {abs(apart):.0f} s {where}."
    advice = "Have it set by NTP (`timedatectl`)."
    if abs(apart) > FAR_APART_SECONDS:
        return failed(check, says, advice)
    return warning(check, says, advice)


async def _ask_provider(
    reactor: Any, settings: Settings, provider: ProviderSettings
) -> list[Finding]:
    check = f"provider {provider.name}"
    if provider.type == "demo":
        return [ok(check, "It comes and goes with the bridge.")]
    ca_file = settings[options.CA_FILE]
    address = settings[options.HTTPS_PROXY].reveal()
    bypass: tuple[str, ...] = settings[options.NO_PROXY]
    client = UpstreamClient(
        origin=_origin(provider),
        reactor=reactor,
        connect_seconds=min(settings[options.CONNECT], PROVIDER_SECONDS),
        first_byte_seconds=PROVIDER_SECONDS,
        keepalive_seconds=0,
        tls=policy_trusting(certificates_in(Path(ca_file)) if ca_file else ()),
        proxy=Proxy(url=address, bypass=bypass) if address else None,
    )
    try:
        return await _ask(client, check, settings, provider, reactor)
    finally:
        await client.close()


def _origin(provider: ProviderSettings) -> str:
    scheme, _, rest = provider.base_url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


async def _ask(
    client: UpstreamClient,
    check: str,
    settings: Settings,
    provider: ProviderSettings,
    reactor: Any,
) -> list[Finding]:
    if provider.type == "bedrock" and not provider.own_keys_only:
        return await _ask_bedrock(client, check, settings, provider, reactor)
    keyed = None if provider.type == "bedrock" else provider_from(provider)
    credentials: Sequence[Credential] = keyed.credentials if keyed is not None else ()
    found: list[Finding] = []
    apart: float | None = None
    for credential in credentials or (None,):
        try:
            response = await client.send(_request(keyed, provider, credential))
        except BridgeError as error:
            return [*found, _unreachable(check, provider, error)]
        response.deliver(Unwanted())
        apart = _apart(response, reactor.seconds())
        found.append(_answered(check, provider, credential, response.status))
    return [*found, *_clocks(provider, apart)]


async def _ask_bedrock(
    client: UpstreamClient,
    check: str,
    settings: Settings,
    provider: ProviderSettings,
    reactor: Any,
) -> list[Finding]:
    bedrock = bedrock_checked(settings, provider, reactor)
    if isinstance(bedrock, Finding):
        return [bedrock]
    try:
        request = await bedrock_request(bedrock, provider)
    except Unavailable as error:
        return [bedrock_without_credentials(check, error)]
    try:
        response = await client.send(request)
    except BridgeError as error:
        return [_unreachable(check, provider, error)]
    response.deliver(Unwanted())
    found = bedrock_answered(check, provider, response)
    return [found, *_clocks(provider, _apart(response, reactor.seconds()))]


def _clocks(provider: ProviderSettings, apart: float | None) -> list[Finding]:
    if apart is None or abs(apart) <= APART_SECONDS:
        return []
    return [_clock(f"provider {provider.name}", apart)]


def _request(
    keyed: Provider | None, provider: ProviderSettings, credential: Credential | None
) -> Outgoing:
    if keyed is None or credential is None:
        target = b"/" if keyed is None else keyed.target(_models(provider))
        host = _origin(provider).partition("://")[2].encode("ascii")
        headers: Sequence[Header] = ((b"host", host), *_HEADERS)
        return Outgoing(method=b"GET", target=target, headers=headers, body=b"")
    version = (_VERSION,) if provider.type == "anthropic" else ()
    prepared = keyed.prepare(
        Asked(
            method=b"GET",
            path_and_query=_models(provider),
            headers=(*_HEADERS, *version),
            body=b"",
            model="",
            streaming=False,
        ),
        credential,
    )
    return Outgoing(
        method=b"GET", target=prepared.target, headers=prepared.headers, body=prepared.body
    )


def _models(provider: ProviderSettings) -> bytes:
    """Return the path of the list of models, which costs nothing."""
    return b"/models" if provider.type == "copilot" else _MODELS


def _answered(
    check: str, provider: ProviderSettings, credential: Credential | None, status: int
) -> Finding:
    if credential is None:
        whose = (
            "Users bring their own keys."
            if provider.own_keys_only
            else "Its credentials were not tried."
        )
        return ok(check, f"It answers ({status}). {whose}")
    key = f"the key {credential.hint}"
    if status in (401, 403):
        return failed(
            check,
            f"It refuses {key} ({status}).",
            f"Put a good key in place ({provider.origin}), then `aibridge reload`.",
        )
    if status == 429:
        return warning(
            check, f"It answers 429 to {key}.", "The quota is used up; add a key, or wait."
        )
    if status >= 500:
        return warning(
            check, f"It answers {status}.", "It is in trouble itself; see its status page."
        )
    if status >= 400:
        return ok(check, f"It answers ({status}); whether {key} is good cannot be seen from that.")
    return ok(check, f"It accepts {key}.")


def _unreachable(check: str, provider: ProviderSettings, error: BridgeError) -> Finding:
    host = _origin(provider)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, network.DNSLookupError):
            return failed(
                check,
                f"The name in {host} is not known.",
                "Correct base_url, or look at the name server (`resolvectl query`).",
            )
        if isinstance(cause, network.ConnectionRefusedError):
            return failed(check, f"Nobody listens at {host}.", _NETWORK)
        if isinstance(cause, SSL.Error) or "certificate" in str(cause).lower():
            return failed(
                check,
                f"Its certificate is not trusted, or {host} speaks no TLS.",
                "If a company's proxy stands between, name its certificate in ca_file.",
            )
        reasons = getattr(cause, "reasons", None)
        if reasons:
            cause = reasons[0].value
            continue
        cause = cause.__cause__
    if isinstance(error, UpstreamTimedOut):
        return failed(check, f"{host}: {redacted_text(error.message)}", _NETWORK)
    return failed(check, f"{host} cannot be reached: {redacted_text(error.message)}", _NETWORK)


_NETWORK = "Look at firewall and proxy (https_proxy, no_proxy), or correct base_url."


def _apart(response: Response, now: float) -> float | None:
    """Return how far the sender's clock is ahead of ours, in seconds; None when it does not say."""
    for name, value in response.headers:
        if name == b"date":
            try:
                return parsedate_to_datetime(value.decode("ascii")).timestamp() - now
            except (ValueError, TypeError):
                return None
    return None
