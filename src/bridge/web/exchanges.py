"""What a request becomes: the facts of its interception, and the headers that go upstream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec

from bridge.auth.authentication import Authenticated
from bridge.dialects.interface import Adaptation, RequestSummary
from bridge.domain.clients import client_session_id, detect_client
from bridge.domain.clock import utc
from bridge.domain.identity import Credential, CredentialKind
from bridge.domain.interception import Interception
from bridge.policy.stored_objects import StoredAccess
from bridge.providers.interface import Provider, Route
from bridge.telemetry.redact import redacted_text
from bridge.upstream.client import UpstreamClient
from bridge.web.arrivals import RequestHead
from bridge.wire.headers import SCOPE, Header, first, request_headers

_MAX_USER_AGENT = 1_000
_MAX_MODEL = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A provider that is served, and the connections to it."""

    provider: Provider
    client: UpstreamClient
    actor_headers: tuple[str, str] | None = None
    """Names of the headers that tell the user's id and name, "" to leave one out; None for none."""
    staying: frozenset[bytes] = frozenset()
    """Lower-case names of further request headers that never go upstream."""
    scope_headers_pass: bool = False
    """Whether users may say on whose account a request is, beside the organisation's key."""
    stored_access: StoredAccess = StoredAccess.OWN
    asks_for_usage: bool = True
    """Whether a request may be edited so that its answer tells the token counts."""


class RequestRead(msgspec.Struct, frozen=True, kw_only=True):
    """What the body of a request says, and how it must be changed to be of use."""

    summary: RequestSummary
    adaptation: Adaptation | None = None


NOTHING_READ = RequestSummary(model="", streaming=False, prompt=None, correlating_tool_call_id=None)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a request's head asks for."""

    upstream: Upstream
    route: Route | None
    """None for a probe, which is answered here."""
    path_and_query: bytes
    authenticated: Authenticated | None
    """None for a probe."""


def outgoing_headers(
    head: RequestHead, upstream: Upstream, authenticated: Authenticated, credential: Credential
) -> Sequence[Header]:
    """Return the headers of the request upstream: the client's that may pass, and our own."""
    actor = authenticated.actor
    told: list[Header] = []
    if upstream.actor_headers is not None:
        values = (str(actor.id), actor.username)
        told = [
            (name.lower().encode("ascii"), value.encode("ascii"))
            for name, value in zip(upstream.actor_headers, values, strict=True)
            if name
        ]
    ours = [*upstream.provider.headers(credential), *told]
    remove = authenticated.remove | upstream.staying | {name for name, _ in ours}
    if credential.kind is CredentialKind.CENTRALIZED and not upstream.scope_headers_pass:
        remove |= SCOPE
    return [*request_headers(head.headers, remove=remove), *ours]


def interception_of(
    *,
    identifier: UUID,
    started: float,
    head: RequestHead,
    asked: Asked,
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
        model=redacted_text(summary.model[:_MAX_MODEL]),
        streaming=summary.streaming,
        client=client,
        client_session_id=redacted_text(session) if session is not None else None,
        user_agent=redacted_text(user_agent[:_MAX_USER_AGENT]),
        correlating_tool_call_id=summary.correlating_tool_call_id,
        credential_kind=credential.kind,
        credential_hint=credential.hint,
        prompt=summary.prompt,
        bytes_in=bytes_in,
        stores=credential.kind is CredentialKind.CENTRALIZED
        and (summary.stores or route.makes_stored),
        partially_observed=summary.partially_observed,
    )
