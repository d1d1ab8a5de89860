"""Who asks, and with which credential: actors, roles, scopes, secrets and their masked hints."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

_MASK = "..."


class Role(StrEnum):
    """What a user may do; a user may hold several."""

    OWNER = "owner"
    """Manages users, tokens, settings; does not by itself read content."""
    AUDITOR = "auditor"
    """Reads everybody's records."""
    MEMBER = "member"
    """Reads their own records."""


class Scope(StrEnum):
    """What a token may be used for."""

    INFERENCE = "inference"
    """The data plane only; 403 on every management path."""
    MANAGE = "manage"
    """Management API, command line and pages, within the user's roles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Whose a token is, good or not."""

    user_id: UUID
    username: str


class CredentialKind(StrEnum):
    """Whose provider credential went upstream."""

    CENTRALIZED = "centralized"
    BYOK = "byok"


def hint(secret: str) -> str:
    """Return the masked form of `secret` that may be shown and stored.

    Reveals 4, 2, 1 or 0 characters at each end for lengths of at least 20, 10, 5, 0 code points.
    """
    length = len(secret)
    if length == 0:
        return ""
    reveal = 4 if length >= 20 else 2 if length >= 10 else 1 if length >= 5 else 0
    if reveal == 0 or length <= 2 * reveal:
        return _MASK
    return f"{secret[:reveal]}{_MASK}{secret[-reveal:]}"


class Secret:
    """A text that never prints itself: repr and str are the masked hint."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Wrap `value`."""
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself; only for the bytes that go to its owner."""
        return self._value

    def __repr__(self) -> str:
        """Return the masked hint."""
        return hint(self._value)

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        """Compare by value (configuration reload); never for authentication."""
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        """Hash by value."""
        return hash(self._value)

    def __bool__(self) -> bool:
        """Whether there is anything in it."""
        return bool(self._value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The authenticated person behind a request."""

    id: UUID
    """The user's id; what `initiator_id` is in the records."""
    username: str
    roles: frozenset[Role]
    token_id: str
    """The public 12 characters of the bridge token; what `api_key_id` is in the records."""
    scope: Scope
    expires_at: float | None = None
    """Seconds since the epoch at which the token ends; None for never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserCredential:
    """The user's own provider credential, as it came (bring your own key)."""

    header: bytes
    """Lower-case name of the header it came in: b"authorization" or b"x-api-key"."""
    value: bytes = field(repr=False)
    """The whole header value, forwarded as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What goes upstream to authenticate, and how it is recorded."""

    kind: CredentialKind
    hint: str
    header: bytes
    """Lower-case header name; b"" when nothing is sent."""
    value: bytes
    """The whole header value."""

    def __repr__(self) -> str:
        """Return kind and hint, never the value."""
        return f"Credential(kind={self.kind.value}, hint={self.hint!r})"
