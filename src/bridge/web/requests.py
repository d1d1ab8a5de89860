"""What a request becomes: the facts of its interception, and the headers that go upstream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

import msgspec

from bridge.auth.authentication import Authenticated
from bridge.bodies import Body
from bridge.dialects.interface import Adaptation, RequestSummary
from bridge.domain.clients import agent_ids, client_session_id, detect_client
from bridge.domain.clock import utc
from bridge.domain.identity import Credential, CredentialKind, UserCredential
from bridge.domain.interception import Interception
from bridge.intercept.attempts import Place
from bridge.policy.stored_objects import StoredAccess
from bridge.providers.interface import Asked, Provider, Route
from bridge.telemetry.redact import redacted_text
from bridge.web.arrivals import RequestHead
from bridge.web.incoming import BridgeRequest
from bridge.wire.headers import SCOPE, Header, first, request_headers

_MAX_USER_AGENT = 1_000
_MAX_MODEL = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A provider that is served, and the connections to it."""

    place: Place
    type: str = ""
    """Its type in the configuration."""
    fallbacks: Sequence[Place] = ()
    """Who may stand in for it, in order."""
    actor_headers: tuple[str, str] | None = None
    """Names of the headers that tell the user's id and name, "" to leave one out; None for none."""
    staying: frozenset[bytes] = frozenset()
    """Lower-case names of further request headers that never go upstream."""
    scope_headers_pass: bool = False
    """Whether users may say on whose account a request is, beside the organisation's key."""
    stored_access: StoredAccess = StoredAccess.OWN
    asks_for_usage: bool = True
    """Whether a request may be edited so that its answer tells the token counts."""

    def places_for(self, route: Route, *, encoded: bool) -> Sequence[Place]:
        """Return who may be asked at `route`: others only for what is read and recorded.

        In an `encoded` body no other model can be named, so who calls it otherwise is left out.
        """
        if route.api is None or not self.fallbacks:
            return (self.place,)
        standing_in = (
            each
            for each in self.fallbacks
            if any(other.pattern == route.pattern for other in each.provider.routes)
            and not (encoded and each.models)
        )
        return (self.place, *standing_in)

    @property
    def provider(self) -> Provider:
        """The one that clients name."""
        return self.place.provider


class RequestRead(msgspec.Struct, frozen=True, kw_only=True):
    """What the body of a request says, and how it must be changed to be of use."""

    summary: RequestSummary
    adaptation: Adaptation | None = None


_NO_NAMES: frozenset[bytes] = frozenset()
NOTHING_READ = RequestSummary(model="", streaming=False, prompt=None, correlating_tool_call_id=None)


class Addressed(msgspec.Struct, frozen=True, kw_only=True):
    """What a request's head asks for."""

    upstream: Upstream
    route: Route | None
    """None for a probe, which is answered here."""
    path_and_query: bytes
    authenticated: Authenticated | None
    """None for a probe."""


def addressed(request: BridgeRequest) -> tuple[RequestHead, Addressed]:
    """Return head and address of a request that the gateway let in."""
    assert request.head is not None  # noqa: S101 - the channel sets it before the request is made
    assert request.arrival is not None  # noqa: S101 - likewise
    place = request.arrival.place
    assert isinstance(place, Addressed)  # noqa: S101 - root.py sends us nothing else
    return request.head, place


def with_model(summary: RequestSummary, named: tuple[str, bool] | None) -> RequestSummary:
    """Return `summary` with model and kind of answer that the path names, if it names them."""
    if named is None:
        return summary
    return msgspec.structs.replace(summary, model=named[0], streaming=named[1])


def recorded_of(summary: RequestSummary, route: Route) -> RequestSummary:
    """Return what is recorded of a body: of a passthrough's nothing but the model of its path."""
    if route.api is not None:
        return summary
    model = summary.model if route.request_api is None else ""
    return msgspec.structs.replace(NOTHING_READ, model=model)


def own_secrets(credential: UserCredential | None) -> tuple[str, ...]:
    """Return a user's own credential without its scheme, for what must not record it."""
    if credential is None:
        return ()
    value = credential.value.decode("latin-1")
    return (value.rpartition(" ")[2],)


def asking(
    head: RequestHead, asked: Addressed, credential: Credential, body: Body, summary: RequestSummary
) -> Callable[[], Asked]:
    """Return what tells an attempt what is asked; the body is looked at only then."""
    assert asked.authenticated is not None  # noqa: S101 - only a probe has none
    passing = passing_headers(head, asked.upstream, asked.authenticated, credential)

    def ask() -> Asked:
        return Asked(
            method=head.method,
            path_and_query=asked.path_and_query,
            headers=passing,
            body=body.content,
            model=summary.model,
            streaming=summary.streaming,
        )

    return ask


def names_account(head: RequestHead, upstream: Upstream) -> bool:
    """Return whether the client says beside the organisation's key on whose account it asks."""
    return upstream.scope_headers_pass and any(name in SCOPE for name, _ in head.headers)


def passing_headers(
    head: RequestHead, upstream: Upstream, authenticated: Authenticated, credential: Credential
) -> Sequence[Header]:
    """Return the client's headers that may pass, and who asks; nothing that authenticates."""
    actor = authenticated.actor
    told: list[Header] = []
    if upstream.actor_headers is not None:
        values = (str(actor.id), actor.username)
        told = [
            (name.lower().encode("ascii"), value.encode("ascii"))
            for name, value in zip(upstream.actor_headers, values, strict=True)
            if name
        ]
    ours = credential.kind is CredentialKind.CENTRALIZED and not upstream.scope_headers_pass
    names = frozenset(name for name, _ in told) if told else _NO_NAMES
    remove = _staying(authenticated.remove, upstream.staying, names, scope=ours)
    return [*request_headers(head.headers, remove=remove), *told]


@lru_cache(maxsize=64)
def _staying(
    removed: frozenset[bytes], staying: frozenset[bytes], told: frozenset[bytes], *, scope: bool
) -> frozenset[bytes]:
    """Return the names of what does not pass; nearly always the same few sets are asked for."""
    return removed | staying | told | (SCOPE if scope else _NO_NAMES)


@lru_cache(maxsize=1024)
def _without_keys(text: str) -> str:
    """Return `redacted_text` of what clients say again and again: models, programs, sessions."""
    return redacted_text(text)


def interception_of(
    *,
    identifier: UUID,
    started: float,
    head: RequestHead,
    asked: Addressed,
    credential: Credential,
    summary: RequestSummary,
    bytes_in: int,
) -> Interception:
    """Return the facts of an accepted request."""
    route, authenticated = asked.route, asked.authenticated
    assert route is not None and authenticated is not None  # noqa: S101 - see serve
    by_name = head.by_name()
    client = detect_client(by_name)
    user_agent = (first(head.headers, b"user-agent") or b"").decode("utf-8", "replace")
    agent = agent_ids(client, by_name)
    session = client_session_id(client, by_name, summary.session_hints)
    # Somebody may have put a key where it does not belong; it is not kept for that.
    return Interception(
        id=identifier,
        started_at=utc(started),
        traffic=route.traffic,
        actor=authenticated.actor,
        provider=asked.upstream.provider.family(route.api),
        provider_name=asked.upstream.provider.name,
        api=route.api,
        method=head.method.decode("latin-1"),
        route=route.pattern,
        model=_without_keys(summary.model[:_MAX_MODEL]),
        streaming=summary.streaming,
        client=client,
        client_session_id=_without_keys(session) if session is not None else None,
        user_agent=_without_keys(user_agent[:_MAX_USER_AGENT]),
        correlating_tool_call_id=summary.correlating_tool_call_id,
        tool_results=summary.tool_results,
        metadata={name: redacted_text(value) for name, value in agent.items()},
        credential_kind=credential.kind,
        credential_hint=credential.hint,
        prompt=summary.prompt,
        bytes_in=bytes_in,
        stores=credential.kind is CredentialKind.CENTRALIZED
        and (summary.stores or route.makes_in is not None),
        partially_observed=summary.partially_observed,
    )
