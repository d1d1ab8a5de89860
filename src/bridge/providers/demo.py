"""The demo upstream, which speaks every API there is."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.domain.identity import Secret
from bridge.domain.interception import Api
from bridge.providers.anthropic import MESSAGES_ROUTES
from bridge.providers.keyed import AUTHORIZATION, X_API_KEY, KeyedProvider
from bridge.providers.openai import OPENAI_ROUTES


class Demo(KeyedProvider):
    """A small upstream of our own; see bridge.demo."""

    wire_family = "anthropic"
    error_api = Api.MESSAGES
    routes = (*MESSAGES_ROUTES, *OPENAI_ROUTES)
    own_headers = (X_API_KEY, AUTHORIZATION)

    def __init__(self, *, name: str, base_url: str, keys: Sequence[Secret]) -> None:
        """Serve `name` from `base_url`."""
        super().__init__(name=name, base_url=base_url, keys=keys, key_header=X_API_KEY)

    def family(self, api: Api | None) -> str:
        """Return the family of the API that was asked."""
        openai = api in (Api.CHAT_COMPLETIONS, Api.RESPONSES)
        return "openai" if openai else self.wire_family
