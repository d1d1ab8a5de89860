"""A provider that is authenticated by one header, which holds a key or a bearer token."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from bridge.domain.errors import Unauthenticated
from bridge.domain.identity import Credential, CredentialKind, Secret, UserCredential, hint
from bridge.domain.interception import Api
from bridge.providers.interface import Asked, Frames, Prepared, Route
from bridge.wire.headers import Header

AUTHORIZATION = b"authorization"
X_API_KEY = b"x-api-key"
API_KEY = b"api-key"
"""Azure's."""


class KeyedProvider:
    """What the providers with a key have in common; see Provider for its members."""

    error_api: Api
    routes: Sequence[Route]
    own_headers: Sequence[bytes]
    wire_family: str
    encoded_slash_in: re.Pattern[bytes] | None = None
    rewords_errors = False

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        keys: Sequence[Secret],
        key_header: bytes,
        account: Sequence[Header] = (),
    ) -> None:
        """Serve `name` from `base_url` (scheme, host, port, optional path; no query).

        Args:
            name: the configured instance.
            base_url: requests' paths are appended to its path.
            keys: the organisation's, best first; empty means that users bring their own.
            key_header: the header in which the organisation's key is sent.
            account: further headers that go with the organisation's key.
        """
        parts = urlsplit(base_url)
        self.name = name
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self._path = parts.path.rstrip("/").encode("ascii")
        self._account = tuple(account)
        self.credentials = tuple(_organisations(key.reveal(), key_header) for key in keys if key)

    def family(self, api: Api | None) -> str:  # noqa: ARG002 - one family, whatever is asked
        """Return the wire family, what the `provider` column says."""
        return self.wire_family

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
        if not self.credentials:
            raise Unauthenticated(self._keyless())
        return self.credentials[0]

    def slow_to_prepare(self, asked: Asked) -> bool:  # noqa: ARG002 - headers are all there is to it
        """Return False: bodies go as they are."""
        return False

    def prepare(self, asked: Asked, credential: Credential) -> Prepared:
        """Return the request with the header that authenticates in place of any such of its own."""
        own = self.headers(credential)
        names = {name for name, _ in own}
        passing = [each for each in asked.headers if each[0] not in names]
        return Prepared(
            target=self.target(asked.path_and_query), headers=[*passing, *own], body=asked.body
        )

    def named_in_path(self, path: bytes) -> tuple[str, bool] | None:  # noqa: ARG002 - the body does
        """Return None: bodies name the model."""
        return None

    def sent_model(self, asked: Asked) -> str:
        """Return the model as it was asked for."""
        return asked.model

    def frames(self, route: Route, content_type: bytes | None) -> Frames | None:  # noqa: ARG002 - none are framed
        """Return None: answers come as their API says."""
        return None

    def error_body(
        self,
        route: Route,  # noqa: ARG002 - all pass
        status: int,  # noqa: ARG002
        headers: Sequence[Header],  # noqa: ARG002
        body: bytes,  # noqa: ARG002
    ) -> tuple[int, bytes] | None:
        """Return None: errors come as their API says."""
        return None

    def start(self) -> None:
        """Do nothing: keys last."""

    async def close(self) -> None:
        """Do nothing: keys last."""

    def headers(self, own: Credential) -> Sequence[Header]:
        """Return the one header that authenticates, and whose account the organisation's key is."""
        if not own.header:
            return ()
        account = self._account if own.kind is CredentialKind.CENTRALIZED else ()
        return ((own.header, own.value), *account)

    def _keyless(self) -> str:
        """Return what to do where the organisation has no key."""
        name = self.own_headers[0].decode("ascii").title()
        return (
            f"The organisation has no key for the provider {self.name}. Send your own in "
            f"{name}, and the bridge token in X-AI-Bridge-Token."
        )


def _organisations(key: str, header: bytes) -> Credential:
    value = key.encode("utf-8")
    return Credential(
        kind=CredentialKind.CENTRALIZED,
        hint=hint(key),
        header=header,
        value=b"Bearer " + value if header == AUTHORIZATION else value,
    )


def _secret_of(own: UserCredential) -> str:
    """Return the secret inside a header's value: without `Bearer`, so that the hint shows a key."""
    text = own.value.decode("utf-8", "replace").strip()
    _, _, rest = text.partition(" ")
    return rest.strip() if own.header == AUTHORIZATION and rest else text
