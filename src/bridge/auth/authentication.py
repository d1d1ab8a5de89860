"""From a request's headers to the person behind it, and to what of their own goes upstream.

=====================  ================  ================  =====================================
X-AI-Bridge-Token (1)  Authorization     X-Api-Key (4)     outcome
=====================  ================  ================  =====================================
token                  none, or a token  none, or a token  ours (the organisation's credential)
token                  other             none, or a token  BYOK with Authorization
token                  any               other             BYOK with X-Api-Key (2)
not a token            any               any               401
none                   Bearer token      any               ours; X-Api-Key stays here (3)
none                   none, or other    token             ours; Authorization stays here (3)
none                   other             none, or other    401
none                   none              other             401
none                   none              none              401, and says what to set
=====================  ================  ================  =====================================

1. or, in this order, X-Coder-AI-Governance-Token, Coder-Session-Token.
2. The provider says which headers may hold a credential of the user's own, and which counts when
   several do: X-Api-Key then Authorization at Anthropic, Authorization alone at OpenAI, where a
   key in X-Api-Key and none in Authorization is 400: it would be the organisation that pays.
3. Bring-your-own-key is asked for by giving the token its own header; a provider key that merely
   lies in the environment beside it never pays for the organisation's requests.
4. or, where that holds nothing, Api-Key, in which Azure's SDKs send what they are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bridge.auth.token import TOKEN_PREFIX, contains_token_shape
from bridge.domain.errors import BadRequest, Forbidden, Unauthenticated
from bridge.domain.identity import Actor, UserCredential

TOKEN_HEADERS = (b"x-ai-bridge-token", b"x-coder-ai-governance-token", b"coder-session-token")
"""Headers of our own for the token, the first one that holds anything counts."""
AUTHORIZATION = b"authorization"
API_KEY = b"x-api-key"
AZURE_KEY = b"api-key"

NOTHING_SENT = (
    "No AI Bridge token was sent. Set your client's API key (for example ANTHROPIC_AUTH_TOKEN, "
    "ANTHROPIC_API_KEY or OPENAI_API_KEY) to a token that begins with aib_; "
    "`aibridge token create --user NAME` makes one."
)
NOTHING_SENT_TO_MANAGE = (
    "No AI Bridge token was sent. Send one for management as Authorization: Bearer aib_...; "
    "`aibridge token create --user NAME --scope manage` makes one, and the first start of the "
    "bridge left one in the file admin-token of its data_dir."
)
NOT_VALID = (
    "The credential sent is not a valid AI Bridge token. Set your client's API key to a token that "
    "begins with aib_ (`aibridge token create --user NAME` makes one); to use a provider key of "
    "your own, send the token in the header X-AI-Bridge-Token beside it."
)
NOT_BEARER = (
    "The AI Bridge token is there, but not as it has to be to be valid: write "
    "Authorization: Bearer aib_..., without quotation marks."
)
NOT_FOR_MANAGING = (
    "This token is for sending requests only. Make one to manage with: "
    "`aibridge token create --user NAME --scope manage`."
)
NOT_FOR_ASKING = (
    "This token is for management. Make one to send requests with: "
    "`aibridge token create --user NAME --scope inference`."
)
NO_OWN_KEYS = (
    "Provider credentials of your own are not allowed here. Send only your AI Bridge token, as "
    "Authorization: Bearer or X-Api-Key."
)

_SIGNATURE = b"AWS4-HMAC-SHA256 "
_CREDENTIAL_HEADERS = (*TOKEN_HEADERS, AUTHORIZATION, API_KEY, AZURE_KEY)
_ALWAYS_REMOVED = frozenset(_CREDENTIAL_HEADERS)


class Directory(Protocol):
    """Who knows the tokens."""

    def identify(self, token: str, /) -> Actor:
        """Return who holds `token`.

        Raises:
            Unauthenticated: it is unknown, or no longer good.
            Unavailable: nobody can be known yet.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticated:
    """Who asks, and which of the request's headers are theirs alone."""

    actor: Actor
    user_credential: UserCredential | None
    """The user's own provider credential; None when ours is to be used."""
    remove: frozenset[bytes]
    """Names of headers never to be forwarded; the provider writes the credential's header anew."""


def authenticate(
    headers: Mapping[bytes, Sequence[bytes]],
    directory: Directory,
    *,
    allow_byok: bool,
    own_headers: Sequence[bytes] = (API_KEY, AUTHORIZATION),
    nothing_sent: str = NOTHING_SENT,
) -> Authenticated:
    """Return who sends a request with `headers`.

    Args:
        headers: values in order, by lower-case name.
        directory: who knows the tokens.
        allow_byok: whether users may bring a provider credential of their own.
        own_headers: which headers may hold such a credential, the first one that does counts.
        nothing_sent: what somebody is told who sends nothing.

    Raises:
        BadRequest: a credential header is given twice, or one of the user's own is in a header
            in which it would not be used.
        Unauthenticated: there is no token, or it is not a good one.
        Forbidden: the user's own credential is sent and not allowed.
        Unavailable: nobody can be known yet.
    """
    for name in _CREDENTIAL_HEADERS:
        if name in headers and len(headers[name]) > 1:
            raise BadRequest(f"The header {name.decode().title()} was given more than once.")
    own = b""
    for name in TOKEN_HEADERS:
        if name in headers:
            own = own or _value(headers, name)
    token = own or _shared(headers, nothing_sent)
    actor = directory.identify(token.decode("latin-1"))
    credential = _user_credential(headers, own_headers) if own else None
    if credential is not None and not allow_byok:
        raise Forbidden(NO_OWN_KEYS)
    if own and credential is None and allow_byok:
        _refuse_misplaced(headers, own_headers)
    leaking = _leaking(headers)
    return Authenticated(
        actor=actor,
        user_credential=credential,
        remove=_ALWAYS_REMOVED.union(leaking) if leaking else _ALWAYS_REMOVED,
    )


def bearer(value: bytes) -> bytes:
    """Return the token of an Authorization value `Bearer <token>`, b"" when it is anything else."""
    fields = value.split()
    return fields[1] if len(fields) == 2 and fields[0].lower() == b"bearer" else b""


def _shared(headers: Mapping[bytes, Sequence[bytes]], nothing_sent: str) -> bytes:
    """Return the token from the headers in which SDKs send their API key."""
    authorization = _value(headers, AUTHORIZATION)
    in_bearer = bearer(authorization)
    if in_bearer.startswith(TOKEN_PREFIX) and contains_token_shape(in_bearer):
        return in_bearer
    keys = (_value(headers, API_KEY), _value(headers, AZURE_KEY))
    ours = next((each for each in (in_bearer, *keys) if contains_token_shape(each)), b"")
    if ours.startswith(TOKEN_PREFIX):
        return ours
    if ours or contains_token_shape(authorization):
        raise Unauthenticated(NOT_BEARER)
    raise Unauthenticated(NOT_VALID if authorization or any(keys) else nothing_sent)


def _refuse_misplaced(
    headers: Mapping[bytes, Sequence[bytes]], own_headers: Sequence[bytes]
) -> None:
    for name in (API_KEY, AZURE_KEY):
        value = _value(headers, name)
        if value and name not in own_headers and not contains_token_shape(value):
            best = own_headers[0]
            expected = "Authorization: Bearer" if best == AUTHORIZATION else best.decode().title()
            raise BadRequest(
                f"This provider does not take a key of your own in {name.decode().title()}: send "
                f"it as {expected}, or leave it out to use the organisation's."
            )


def _user_credential(
    headers: Mapping[bytes, Sequence[bytes]], own_headers: Sequence[bytes]
) -> UserCredential | None:
    for name in own_headers:
        value = _value(headers, name)
        if not value or contains_token_shape(value):
            continue
        if name == AUTHORIZATION and len(value.split()) < 2:
            continue  # a scheme with nothing behind it, as from an unset variable
        if value.startswith(_SIGNATURE):
            continue  # of this request as it came to us: of no use to anybody else
        return UserCredential(header=name, value=value)
    return None


def _leaking(headers: Mapping[bytes, Sequence[bytes]]) -> list[bytes]:
    """Return further headers that hold a token, as when somebody guessed where it goes."""
    return [
        name
        for name, values in headers.items()
        if name not in _ALWAYS_REMOVED
        for value in values
        if contains_token_shape(value)
    ]


def _value(headers: Mapping[bytes, Sequence[bytes]], name: bytes) -> bytes:
    values = headers.get(name)
    return values[0].strip() if values else b""
