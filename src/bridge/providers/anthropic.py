"""Anthropic, and whatever else speaks its API: a compatible broker, or the demo upstream.

Source: https://docs.anthropic.com/en/api/overview (read 2026-11-23); `api/event_logging` is what
Claude Code's telemetry asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from bridge.domain.errors import Unauthenticated
from bridge.domain.identity import Credential, CredentialKind, Secret, UserCredential, hint
from bridge.domain.interception import Api, Traffic
from bridge.providers.interface import Route
from bridge.wire.headers import Header

_GET = frozenset({b"GET", b"HEAD"})
_POST = frozenset({b"POST"})

MESSAGES_ROUTES: Sequence[Route] = (
    Route(
        pattern="/v1/messages",
        methods=_POST,
        traffic=Traffic.INTERCEPTED,
        api=Api.MESSAGES,
    ),
    Route(
        pattern="/v1/messages/count_tokens",
        methods=_POST,
        traffic=Traffic.PASSTHROUGH,
        api=None,
    ),
    Route(pattern="/v1/models", methods=_GET, traffic=Traffic.PASSTHROUGH, api=None),
    Route(pattern="/v1/models/*", methods=_GET, traffic=Traffic.PASSTHROUGH, api=None),
    Route(
        pattern="/api/event_logging/*",
        methods=_POST,
        traffic=Traffic.PASSTHROUGH,
        api=None,
        subtree=True,
    ),
)


class Anthropic:
    """One instance of the Anthropic API."""

    family = "anthropic"
    error_api = Api.MESSAGES
    routes = MESSAGES_ROUTES

    def __init__(self, *, name: str, base_url: str, keys: Sequence[Secret]) -> None:
        """Serve `name` from `base_url` (scheme, host, port, optional path; no query).

        Args:
            name: the configured instance.
            base_url: requests' paths are appended to its path.
            keys: the organisation's, best first; empty means that users bring their own.
        """
        parts = urlsplit(base_url)
        self.name = name
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self._path = parts.path.rstrip("/").encode("ascii")
        usable = [key.reveal() for key in keys if key]
        self._own = _organisations(usable[0]) if usable else None

    def target(self, path_and_query: bytes) -> bytes:
        """Return the base URL's path and what was asked, byte for byte."""
        return self._path + path_and_query

    def credential(self, own: UserCredential | None) -> Credential:
        """Choose the user's own credential if there is one, else the organisation's key.

        Raises:
            Unauthenticated: there is neither.
        """
        if own is not None:
            return Credential(
                kind=CredentialKind.BYOK,
                hint=hint(_secret_of(own)),
                header=own.header,
                value=own.value,
            )
        if self._own is None:
            raise Unauthenticated(
                f"The organisation has no key for the provider {self.name}. Send your own in "
                "X-Api-Key, and the bridge token in X-AI-Bridge-Token."
            )
        return self._own

    def headers(self, own: Credential) -> Sequence[Header]:
        """Return the one header that authenticates."""
        return ((own.header, own.value),) if own.header else ()


def _organisations(key: str) -> Credential:
    return Credential(
        kind=CredentialKind.CENTRALIZED,
        hint=hint(key),
        header=b"x-api-key",
        value=key.encode("utf-8"),
    )


def _secret_of(own: UserCredential) -> str:
    """Return the secret inside a header's value: without `Bearer`, so that the hint shows a key."""
    text = own.value.decode("utf-8", "replace").strip()
    _, _, rest = text.partition(" ")
    return rest.strip() if own.header == b"authorization" and rest else text
