"""GitHub Copilot: the user's own GitHub token, always; chat, responses and Claude's messages.

The plan decides the address: api.individual, api.business or api.enterprise.githubcopilot.com.
Source of these: https://docs.github.com/enterprise-cloud@latest/copilot/reference/copilot-allowlist-reference
(read 2026-11-25). No page lists the paths; what is not here is 404.
"""

from __future__ import annotations

from collections.abc import Sequence

from bridge.domain.identity import Secret
from bridge.domain.interception import Api, Traffic
from bridge.providers.anthropic import MESSAGES_ROUTE
from bridge.providers.interface import GET, POST, Route
from bridge.providers.keyed import AUTHORIZATION, KeyedProvider

_ANY = GET | POST | frozenset({b"PUT", b"PATCH", b"DELETE"})


def _passing(pattern: str, methods: frozenset[bytes], *, own: bool = False) -> Route:
    return Route(
        pattern=pattern,
        methods=methods,
        traffic=Traffic.PASSTHROUGH,
        api=None,
        subtree=pattern.endswith("*"),
        own_credential_only=own,
    )


COPILOT_ROUTES: Sequence[Route] = (
    Route(
        pattern="/chat/completions",
        methods=POST,
        traffic=Traffic.INTERCEPTED,
        api=Api.CHAT_COMPLETIONS,
    ),
    Route(
        pattern="/responses",
        methods=POST,
        traffic=Traffic.INTERCEPTED,
        api=Api.RESPONSES,
        refuses_websocket=True,
    ),
    MESSAGES_ROUTE,
    _passing("/models", GET),
    _passing("/models/*", GET),
    # A model's policy is accepted, agents are set to work and tools change things here.
    _passing("/models/*", _ANY, own=True),
    _passing("/agents/*", _ANY, own=True),
    _passing("/mcp/", _ANY, own=True),
    _passing("/mcp/*", _ANY, own=True),
    _passing("/.well-known/*", GET),
)


class Copilot(KeyedProvider):
    """One plan of GitHub Copilot."""

    wire_family = "copilot"
    error_api = Api.CHAT_COMPLETIONS
    routes = COPILOT_ROUTES
    own_headers = (AUTHORIZATION,)

    def __init__(self, *, name: str, base_url: str, keys: Sequence[Secret] = ()) -> None:
        """Serve `name` from `base_url`; `keys` is for whoever has a token for everybody."""
        super().__init__(name=name, base_url=base_url, keys=keys, key_header=AUTHORIZATION)

    def _keyless(self) -> str:
        return (
            f"The provider {self.name} needs your own GitHub Copilot token: send it as "
            "Authorization: Bearer, and the bridge token in X-AI-Bridge-Token."
        )
