"""Upstreams: the configured providers, each with its connections, as the gateway serves them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog

from bridge.config import options
from bridge.config.settings import ProviderSettings, Settings
from bridge.demo.process import DemoAddress, DemoProcess
from bridge.domain.clock import Clock
from bridge.intercept.attempts import Place
from bridge.policy.breaker import (
    BreakerRules,
    Circuit,
    CircuitBreakers,
    NoBreakers,
    State,
)
from bridge.policy.keyring import Keyring
from bridge.policy.retries import RetryPolicy
from bridge.policy.stored_objects import StoredAccess
from bridge.providers.anthropic import Anthropic
from bridge.providers.copilot import Copilot
from bridge.providers.demo import Demo
from bridge.providers.interface import Provider
from bridge.providers.keyed import AUTHORIZATION, X_API_KEY
from bridge.providers.openai import OpenAi
from bridge.telemetry.metrics import Metrics
from bridge.upstream.client import UpstreamClient
from bridge.upstream.proxy import Proxy
from bridge.upstream.trust import certificates_in, policy_trusting
from bridge.web.requests import Upstream

_log = structlog.get_logger("bridge.upstreams")

_NOWHERE = "http://127.0.0.1:9"


def build_upstreams(
    settings: Settings,
    *,
    reactor: Any,
    data_dir: Path,
    demo: DemoProcess | DemoAddress | None,
    breakers: CircuitBreakers | NoBreakers,
    metrics: Metrics,
) -> tuple[Upstream, ...]:
    """Return what is served, in the order of the configuration; nothing is connected yet."""
    places = _places(
        settings,
        reactor=reactor,
        data_dir=data_dir,
        demo=demo,
        breakers=breakers,
        metrics=metrics,
    )
    names = (settings[options.ACTOR_HEADER_ID], settings[options.ACTOR_HEADER_USERNAME])
    denied: tuple[str, ...] = settings[options.DENY_HEADERS]
    return tuple(
        Upstream(
            place=places[each.name],
            type=each.type,
            fallbacks=tuple(
                msgspec.structs.replace(places[name], models=each.fallback_models)
                for name in each.fallback
                if name in places
            ),
            actor_headers=names if each.send_actor_headers else None,
            staying=frozenset(name.encode("ascii") for name in denied),
            scope_headers_pass=each.forward_scope_headers,
            stored_access=StoredAccess(each.stored_objects),
            asks_for_usage=each.include_usage,
        )
        for each in settings.providers
    )


def start_upstreams(upstreams: Sequence[Upstream]) -> None:
    """Begin to look after credentials that have to be renewed."""
    for each in upstreams:
        each.provider.start()


async def close_upstreams(upstreams: Sequence[Upstream]) -> None:
    """Let go of unused connections, and look after no credentials any more.

    Connections in use are closed by their pool when they have been idle for its time.
    """
    for each in upstreams:
        await each.provider.close()
        await each.place.client.close()


def build_breakers(
    settings: Settings, *, clock: Clock, metrics: Metrics
) -> CircuitBreakers | NoBreakers:
    """Return the circuit breakers as they are configured."""
    if not settings[options.CIRCUIT_BREAKER_ENABLED]:
        return NoBreakers()

    def changed(circuit: Circuit, before: State, after: State) -> None:
        metrics.breaker_changed(
            circuit.provider, circuit.route, circuit.model, before.value, after.value
        )
        _log.warning(
            "circuit breaker changed",
            provider=circuit.provider,
            endpoint=circuit.route,
            model=circuit.model,
            before=before.value,
            after=after.value,
        )

    def rejected(circuit: Circuit) -> None:
        metrics.breaker_rejected(circuit.provider, circuit.route, circuit.model)

    rules = BreakerRules(
        failure_threshold=settings[options.CIRCUIT_BREAKER_FAILURE_THRESHOLD],
        interval=settings[options.CIRCUIT_BREAKER_INTERVAL],
        timeout=settings[options.CIRCUIT_BREAKER_TIMEOUT],
        max_requests=settings[options.CIRCUIT_BREAKER_MAX_REQUESTS],
    )
    return CircuitBreakers(rules=rules, clock=clock, on_change=changed, on_reject=rejected)


class _KeyCounts:
    """Counts what becomes of a provider's keys."""

    def __init__(self, metrics: Metrics, provider: str) -> None:
        self._metrics = metrics
        self._provider = provider

    def put_away(self, reason: str) -> None:
        self._metrics.key_put_away(self._provider, reason)
        _log.warning("key put away", provider=self._provider, reason=reason)

    def exhausted(self, outcome: str) -> None:
        self._metrics.keys_exhausted(self._provider, outcome)

    def tried(self, count: int) -> None:
        self._metrics.keys_tried(self._provider, count)


def _places(
    settings: Settings,
    *,
    reactor: Any,
    data_dir: Path,
    demo: DemoProcess | DemoAddress | None,
    breakers: CircuitBreakers | NoBreakers,
    metrics: Metrics,
) -> dict[str, Place]:
    """Return each provider with its connections and keys, by name."""
    ca_file = settings[options.CA_FILE]
    tls = policy_trusting(certificates_in(Path(ca_file)) if ca_file else ())
    proxy = _proxy(settings)
    found = {}
    for each in settings.providers:
        if each.type == "bedrock":
            # botocore takes a third of a second, which nobody else is to wait for.
            from bridge.bedrock import bedrock_from

            provider: Provider = bedrock_from(settings, each, reactor=reactor, data_dir=data_dir)
        else:
            provider = provider_from(each, demo)
        found[each.name] = Place(
            provider=provider,
            client=UpstreamClient(
                origin=provider.origin,
                reactor=reactor,
                connect_seconds=settings[options.CONNECT],
                first_byte_seconds=settings[options.FIRST_BYTE],
                keepalive_seconds=settings[options.UPSTREAM_KEEPALIVE],
                tls=tls,
                proxy=proxy,
            ),
            keyring=Keyring(
                [key.hint for key in provider.credentials],
                clock=reactor,
                events=_KeyCounts(metrics, each.name),
            ),
            retries=RetryPolicy(
                max_retries_answered=each.max_retries, longest_wait=settings[options.RETRY_WAIT]
            ),
            breakers=breakers,
        )
    return found


def provider_from(
    settings: ProviderSettings, demo: DemoProcess | DemoAddress | None = None
) -> Provider:
    """Return the provider of one entry that asks with keys.

    Raises:
        ValueError: it is of another type.
    """
    name, base_url, keys = settings.name, settings.base_url, settings.keys
    header = settings.key_header.encode("ascii")
    match settings.type:
        case "anthropic":
            return Anthropic(
                name=name, base_url=base_url, keys=keys, key_header=header or X_API_KEY
            )
        case "openai":
            return OpenAi(
                name=name,
                base_url=base_url,
                keys=keys,
                key_header=header or AUTHORIZATION,
                organization=settings.organization,
                project=settings.project,
            )
        case "copilot":
            return Copilot(name=name, base_url=base_url, keys=keys)
        case "demo":
            # Without a process the gateway is switched off, and nothing is sent anywhere.
            base_url, keys = (demo.base_url, (demo.secret,)) if demo else (_NOWHERE, ())
            return Demo(name=name, base_url=base_url, keys=keys)
    raise ValueError(settings.type)


def _proxy(settings: Settings) -> Proxy | None:
    address = settings[options.HTTPS_PROXY].reveal()
    bypass: tuple[str, ...] = settings[options.NO_PROXY]
    return Proxy(url=address, bypass=bypass) if address else None
