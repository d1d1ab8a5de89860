"""What of people's content is recorded, as it is configured."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.config import options
from bridge.config.settings import Settings
from bridge.domain.secrets import ExtraPattern, Secrets
from bridge.recording.redaction import Redaction


def redaction_from(settings: Settings) -> Redaction | None:
    """Return what takes secrets out of records; None when they are to be left in."""
    if not settings[options.REDACT_SECRETS]:
        return None
    patterns: tuple[ExtraPattern, ...] = settings[options.REDACT_PATTERNS]
    redaction = Redaction(Secrets(patterns))
    redaction.hold(held_credentials(settings))
    return redaction


def held_credentials(settings: Settings) -> Iterator[str]:
    """Return the credentials of providers, which are recorded nowhere, not even when echoed."""
    for provider in settings.providers:
        for key in provider.keys:
            yield key.reveal()
        if provider.bedrock is not None:
            yield provider.bedrock.access_key_secret.reveal()
