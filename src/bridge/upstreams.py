"""Upstreams: the configured providers, each with its connections, as the gateway serves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bridge.config import options
from bridge.config.settings import ProviderSettings, Settings
from bridge.demo.process import DemoProcess
from bridge.intercept.attempts import Place
from bridge.policy.breaker import NoBreakers
from bridge.policy.keyring import Keyring
from bridge.policy.retries import RetryPolicy
from bridge.policy.stored_objects import StoredAccess
from bridge.providers.anthropic import Anthropic
from bridge.providers.copilot import Copilot
from bridge.providers.demo import Demo
from bridge.providers.interface import Provider
from bridge.providers.keyed import AUTHORIZATION, X_API_KEY
from bridge.providers.openai import OpenAi
from bridge.upstream.client import UpstreamClient
from bridge.upstream.proxy import Proxy
from bridge.upstream.trust import certificates_in, policy_trusting
from bridge.web.exchanges import Upstream

_NOWHERE = "http://127.0.0.1:9"


def build_upstreams(
    settings: Settings, *, reactor: Any, demo: DemoProcess | None
) -> tuple[Upstream, ...]:
    """Return what is served, in the order of the configuration; nothing is connected yet."""
    names = (settings[options.ACTOR_HEADER_ID], settings[options.ACTOR_HEADER_USERNAME])
    ca_file = settings[options.CA_FILE]
    tls = policy_trusting(certificates_in(Path(ca_file)) if ca_file else ())
    proxy = _proxy(settings)
    denied: tuple[str, ...] = settings[options.DENY_HEADERS]
    found = []
    for each in settings.providers:
        if not each.served:
            continue
        provider = provider_from(each, demo)
        client = UpstreamClient(
            origin=provider.origin,
            reactor=reactor,
            connect_seconds=settings[options.CONNECT],
            first_byte_seconds=settings[options.FIRST_BYTE],
            keepalive_seconds=settings[options.UPSTREAM_KEEPALIVE],
            tls=tls,
            proxy=proxy,
        )
        found.append(
            Upstream(
                place=Place(
                    provider=provider,
                    client=client,
                    keyring=Keyring([each.hint for each in provider.credentials], clock=reactor),
                    retries=RetryPolicy(),
                    breakers=NoBreakers(),
                ),
                actor_headers=names if each.send_actor_headers else None,
                staying=frozenset(name.encode("ascii") for name in denied),
                scope_headers_pass=each.forward_scope_headers,
                stored_access=StoredAccess(each.stored_objects),
                asks_for_usage=each.include_usage,
            )
        )
    return tuple(found)


def provider_from(settings: ProviderSettings, demo: DemoProcess | None = None) -> Provider:
    """Return the provider of one entry.

    Raises:
        ValueError: its type is not served.
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
