"""What of people's content is recorded, as it is configured."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bridge.config import recording
from bridge.config.settings import Settings
from bridge.domain.identity import Role
from bridge.domain.secret_patterns import ExtraPattern
from bridge.domain.secrets import Secrets
from bridge.recording.levels import LevelRules
from bridge.recording.recorder import Levels, strictest
from bridge.recording.redaction import Redaction


def redaction_from(
    settings: Settings,
    counted: Callable[[str, int], object] = lambda kind, count: None,  # noqa: ARG005 - nobody
) -> Redaction | None:
    """Return what takes secrets out of records; None when they are to be left in.

    Args:
        settings: what was configured.
        counted: told of which kind how many secrets are taken out, on any thread.
    """
    if not settings[recording.REDACT_SECRETS]:
        return None
    patterns: tuple[ExtraPattern, ...] = settings[recording.REDACT_PATTERNS]
    redaction = Redaction(Secrets(patterns, counted=counted))
    redaction.hold(held_credentials(settings))
    return redaction


def level_rules(settings: Settings) -> LevelRules:
    """Return which contents are recorded, of whom and where."""
    nothing = settings[recording.DISABLE_CONTENT_RECORDING]
    everywhere = {
        content: not nothing and settings[option] == recording.FULL
        for content, option in recording.CONTENTS.items()
    }
    at_provider = {
        each.name: Levels(
            **{content: level == recording.FULL for content, level in each.record.items()}
        )
        for each in settings.providers
    }
    by_role = {
        role: Levels(
            **{
                content: settings[recording.RECORD_BY_ROLE[role, content]] == recording.FULL
                for content in recording.CONTENTS
            }
        )
        for role in Role
    }
    return LevelRules(
        everywhere=Levels(**everywhere),
        # A request may be answered by one that stands in for the provider it was made to.
        by_provider={
            each.name: strictest(
                [at_provider[name] for name in (each.name, *each.fallback) if name in at_provider]
            )
            for each in settings.providers
        },
        by_role=by_role,
    )


def held_credentials(settings: Settings) -> Iterator[str]:
    """Return the credentials of providers, which are recorded nowhere, not even when echoed."""
    for provider in settings.providers:
        for key in provider.keys:
            yield key.reveal()
        if provider.bedrock is not None:
            yield provider.bedrock.access_key_secret.reveal()
