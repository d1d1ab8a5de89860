"""Reload: what of a changed configuration is put in force while answers go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bridge.assembly import Bridge
from bridge.config import options
from bridge.config.settings import ProviderSettings, Settings
from bridge.config.table import Option
from bridge.deferreds import run_in_background
from bridge.privacy import held_credentials, level_rules
from bridge.recording_changes import note_recording
from bridge.upstreams import build_upstreams, close_upstreams, start_upstreams

_WITH_PROVIDERS: frozenset[Option[Any]] = frozenset(
    {
        options.ANTHROPIC_KEY,
        options.ANTHROPIC_BASE_URL,
        options.OPENAI_KEY,
        options.OPENAI_BASE_URL,
        options.BEDROCK_REGION,
        options.BEDROCK_ACCESS_KEY,
        options.BEDROCK_ACCESS_KEY_SECRET,
        options.BEDROCK_BASE_URL,
        options.BEDROCK_MODEL,
        options.BEDROCK_SMALL_FAST_MODEL,
        options.SEND_ACTOR_HEADERS,
        options.ACTOR_HEADER_ID,
        options.ACTOR_HEADER_USERNAME,
        options.STORED_OBJECTS,
        options.FORWARD_SCOPE_HEADERS,
        options.DENY_HEADERS,
        options.ALLOW_BYOK,
        options.CONNECT,
        options.FIRST_BYTE,
        options.RETRY_WAIT,
        options.UPSTREAM_KEEPALIVE,
        options.HTTPS_PROXY,
        options.NO_PROXY,
        options.CA_FILE,
    }
)
"""Options that are in force with the providers, which are built anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """What a reload did."""

    providers: Sequence[str]
    """Names of those served now."""
    waiting: Sequence[str]
    """Paths of options that were changed, and are in force only after a restart."""


def reload(bridge: Bridge, settings: Settings) -> Reloaded:
    """Put `settings` in force, as far as that can be done under running answers.

    Providers, their keys and limits are new: keys that a provider had refused are tried again.
    """
    upstreams = build_upstreams(
        settings,
        reactor=bridge.reactor,
        data_dir=bridge.data_dir,
        demo=bridge.demo,
        breakers=bridge.breakers,
        metrics=bridge.metrics,
    )
    start_upstreams(upstreams)
    former = bridge.gateway.serve_now(upstreams, allow_byok=settings[options.ALLOW_BYOK])
    run_in_background("close former connections", close_upstreams(former))
    if bridge.redaction is not None:
        bridge.redaction.hold(held_credentials(settings))
    bridge.levels.apply(level_rules(settings))
    bridge.admission.configure(
        max_concurrency=settings[options.MAX_CONCURRENCY],
        rate_limit=settings[options.RATE_LIMIT],
        max_streams_per_user=settings[options.MAX_STREAMS_PER_USER],
    )
    if not bridge.part.is_worker:
        note_recording(
            started=bridge.settings,
            read=settings,
            data_dir=bridge.data_dir,
            append=bridge.journal.append,
            now=bridge.reactor.seconds(),
            source="reload",
        )
    return Reloaded(
        providers=[each.provider.name for each in upstreams],
        waiting=_waiting(bridge, settings),
    )


def _waiting(bridge: Bridge, settings: Settings) -> Sequence[str]:
    in_force = bridge.settings
    changed = [
        option.path
        for option in options.ALL
        if not option.reloadable
        and option not in _WITH_PROVIDERS
        and settings[option] != in_force[option]
    ]
    if bridge.demo is None and any(_is_demo(each) for each in settings.providers):
        changed.append("aibridge.providers (a demo provider starts with the bridge)")
    return changed


def _is_demo(provider: ProviderSettings) -> bool:
    return provider.type == "demo"
