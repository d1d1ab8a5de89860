"""OpenAI, and everything that is compatible with it: OpenRouter, Azure, Ollama, vLLM, ChatGPT.

Source: https://platform.openai.com/docs/api-reference (read 2026-11-25). `/v1/completions` is left
out on purpose: a privileged key must not reach what nobody needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from bridge.domain.identity import Secret
from bridge.domain.interception import Api, Traffic
from bridge.providers.interface import GET, POST, Route
from bridge.providers.keyed import API_KEY, AUTHORIZATION, KeyedProvider
from bridge.wire.headers import Header

_VERSION = b"/v1"
_ANY = GET | POST | frozenset({b"DELETE"})
_OPENAI_HOST = "api.openai.com"


def _routes(prefix: str) -> Sequence[Route]:
    def intercepted(pattern: str, api: Api) -> Route:
        return Route(
            pattern=prefix + pattern,
            methods=POST,
            traffic=Traffic.INTERCEPTED,
            api=api,
            refuses_websocket=api is Api.RESPONSES,
        )

    def passing(
        pattern: str, methods: frozenset[bytes], *, made: bool = False, builds: bool = False
    ) -> Route:
        return Route(
            pattern=prefix + pattern,
            methods=methods,
            traffic=Traffic.PASSTHROUGH,
            api=None,
            makes_in=Api.RESPONSES if made else None,
            builds_in=Api.RESPONSES if builds else None,
            error_api=Api.RESPONSES,
        )

    def kept(pattern: str) -> Route:
        return Route(
            pattern=prefix + pattern,
            methods=_ANY,
            traffic=Traffic.PASSTHROUGH,
            api=None,
            subtree=True,
            stored=True,
            error_api=Api.RESPONSES,
        )

    return (
        intercepted("/chat/completions", Api.CHAT_COMPLETIONS),
        intercepted("/responses", Api.RESPONSES),
        passing("/responses/compact", POST, builds=True),
        passing("/responses/input_tokens", POST, builds=True),
        kept("/responses/*"),
        passing("/conversations", POST, made=True),
        kept("/conversations/*"),
        passing("/models", GET),
        passing("/models/*", GET),
        passing("/embeddings", POST),
    )


OPENAI_ROUTES: Sequence[Route] = (*_routes("/v1"), *_routes(""))
"""With and without the version, because clients' base URLs come in both forms."""


class OpenAi(KeyedProvider):
    """One instance of the OpenAI API."""

    wire_family = "openai"
    error_api = Api.CHAT_COMPLETIONS
    routes = OPENAI_ROUTES
    own_headers: Sequence[bytes] = (AUTHORIZATION,)

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        keys: Sequence[Secret],
        key_header: bytes = AUTHORIZATION,
        organization: str = "",
        project: str = "",
    ) -> None:
        """Serve `name` from `base_url`, to which the SDKs' paths are appended: with its `/v1`.

        Args:
            name: the configured instance.
            base_url: as an SDK would be given it; OpenAI's own may lack its version.
            keys: the organisation's, best first; empty means that users bring their own.
            key_header: `authorization`, or Azure's `api-key`.
            organization: sent with the organisation's key, "" for its default.
            project: likewise.
        """
        named = (
            (b"openai-organization", organization.encode("ascii")),
            (b"openai-project", project.encode("ascii")),
        )
        account: list[Header] = [(header, value) for header, value in named if value]
        super().__init__(
            name=name,
            base_url=_with_version(base_url),
            keys=keys,
            key_header=key_header,
            account=account,
        )
        if key_header == API_KEY:
            self.own_headers = (API_KEY, AUTHORIZATION)

    def target(self, path_and_query: bytes) -> bytes:
        """Return the base URL's path and what was asked, without the version that it holds."""
        if path_and_query.startswith(_VERSION + b"/"):
            path_and_query = path_and_query[len(_VERSION) :]
        return self._path + path_and_query


def _with_version(base_url: str) -> str:
    """Return `base_url`, with the version where somebody wrote OpenAI's address without it."""
    parts = urlsplit(base_url)
    if parts.hostname == _OPENAI_HOST and parts.path in ("", "/"):
        return f"{parts.scheme}://{parts.netloc}/v1"
    return base_url
