"""Anthropic, and whatever else speaks its API.

Source: https://docs.anthropic.com/en/api/overview (read 2026-11-23); `api/event_logging` is what
Claude Code's telemetry asks for.
"""

from __future__ import annotations

from collections.abc import Sequence

from bridge.domain.identity import Secret
from bridge.domain.interception import Api, Traffic
from bridge.providers.interface import GET, POST, Route
from bridge.providers.keyed import AUTHORIZATION, X_API_KEY, KeyedProvider

MESSAGES_ROUTE = Route(
    pattern="/v1/messages", methods=POST, traffic=Traffic.INTERCEPTED, api=Api.MESSAGES
)
MESSAGES_ROUTES: Sequence[Route] = (
    MESSAGES_ROUTE,
    Route(
        pattern="/v1/messages/count_tokens",
        methods=POST,
        traffic=Traffic.PASSTHROUGH,
        api=None,
    ),
    Route(pattern="/v1/models", methods=GET, traffic=Traffic.PASSTHROUGH, api=None),
    Route(pattern="/v1/models/*", methods=GET, traffic=Traffic.PASSTHROUGH, api=None),
    Route(
        pattern="/api/event_logging/*",
        methods=POST,
        traffic=Traffic.PASSTHROUGH,
        api=None,
        subtree=True,
    ),
)


class Anthropic(KeyedProvider):
    """One instance of the Anthropic API."""

    wire_family = "anthropic"
    error_api = Api.MESSAGES
    routes = MESSAGES_ROUTES
    own_headers = (X_API_KEY, AUTHORIZATION)

    def __init__(
        self, *, name: str, base_url: str, keys: Sequence[Secret], key_header: bytes = X_API_KEY
    ) -> None:
        """Serve `name` from `base_url`; see KeyedProvider."""
        super().__init__(name=name, base_url=base_url, keys=keys, key_header=key_header)
