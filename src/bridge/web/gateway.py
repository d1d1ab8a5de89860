"""The data plane: from a request at a provider's path to a running, recorded exchange.

Two steps. `arrive` decides when the headers are in: provider, route, token. `serve` goes on when
the body is there: read, admit, write down, run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import random
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes
from uuid import UUID

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from bridge.auth.authentication import NOT_FOR_ASKING, Authenticated, Directory, authenticate
from bridge.auth.token import contains_token_shape
from bridge.dialects.interface import Dialect
from bridge.domain.errors import (
    BadRequest,
    BridgeError,
    Forbidden,
    NotFound,
    Unauthenticated,
    Unavailable,
    UpgradeRefused,
)
from bridge.domain.identity import CredentialKind, Scope
from bridge.domain.ids import uuid7
from bridge.domain.interception import Api
from bridge.intercept.attempts import Attempts
from bridge.intercept.exchange import Exchange
from bridge.intercept.interceptor import Interceptor
from bridge.policy.admission import Admission
from bridge.policy.stored_objects import StoredObjects
from bridge.providers.interface import Route
from bridge.recording.recorder import Recorder
from bridge.recording.refusals import Refusals
from bridge.web.addresses import ClientAddresses
from bridge.web.answer import ClientAnswer, error_headers
from bridge.web.arrivals import Arrival, Refusal, RequestHead
from bridge.web.incoming import BridgeRequest
from bridge.web.requests import (
    NOTHING_READ,
    Addressed,
    RequestRead,
    Upstream,
    addressed,
    asking,
    interception_of,
    names_account,
    own_secrets,
    recorded_of,
    with_model,
)
from bridge.web.router import as_bridge_error, cut_off
from bridge.web.routes import asks_for_websocket, route_for
from bridge.wire.encodings import content_coding, decode_body
from bridge.wire.paths import collapsed, safe, safe_query, split_target

T = TypeVar("T")

PREFIXES = (b"/api/v2/aibridge", b"/api/v2/ai-gateway")
"""Where providers are served besides `/<provider>`."""

_READ_IN_THREAD_BYTES = 1024 * 1024
# Reading a larger body takes longer than the reactor may be kept.
_PROBES = (b"/", b"/api/hello")


class Gateway:
    """Serves the providers' paths."""

    def __init__(
        self,
        *,
        upstreams: Sequence[Upstream],
        dialects: Mapping[Api, Dialect],
        directory: Directory,
        allow_byok: bool,
        enabled: bool,
        max_body_bytes: int,
        admission: Admission,
        recorder: Recorder,
        refusals: Refusals,
        interceptor: Interceptor,
        reactor: Any,
        addresses: ClientAddresses,
        stored: StoredObjects,
    ) -> None:
        """Serve `upstreams`.

        Args:
            upstreams: what is served, by the provider's name.
            dialects: the API families that can be read.
            directory: who knows the tokens.
            allow_byok: whether users may send provider credentials of their own.
            enabled: when false, every request is answered 503.
            max_body_bytes: limit of a request body, encoded and decoded.
            admission: whether there is room.
            recorder: begins the records.
            refusals: notes what is refused.
            interceptor: runs the exchanges.
            reactor: time and threads.
            addresses: says where a request comes from.
            stored: knows who made what a provider keeps.
        """
        self._upstreams = {each.provider.name.encode("ascii"): each for each in upstreams}
        self._dialects = dialects
        self._directory = directory
        self._allow_byok = allow_byok
        self._enabled = enabled
        self._max_body_bytes = max_body_bytes
        self._admission = admission
        self._recorder = recorder
        self._refusals = refusals
        self._interceptor = interceptor
        self._reactor = reactor
        self._clock: IReactorTime = reactor
        self._addresses = addresses
        self._stored = stored

    @property
    def upstreams(self) -> Sequence[Upstream]:
        """What is served."""
        return tuple(self._upstreams.values())

    def serve_now(self, upstreams: Sequence[Upstream], *, allow_byok: bool) -> Sequence[Upstream]:
        """Serve other providers from now on; return the former, whose answers go on."""
        former = self.upstreams
        self._upstreams = {each.provider.name.encode("ascii"): each for each in upstreams}
        self._allow_byok = allow_byok
        return former

    def upstream_at(self, target: bytes) -> tuple[Upstream, bytes] | None:
        """Return the provider that a request target names, and what comes after its name.

        None when the target is not the data plane's. The rest begins with a slash, and keeps its
        query; slashes doubled directly after the name are one.
        """
        for prefix in PREFIXES:
            if target.startswith(prefix + b"/"):
                target = target[len(prefix) :]
                break
        path, query = split_target(target)
        name, _, rest = path[1:].partition(b"/")
        upstream = self._upstreams.get(name) if path.startswith(b"/") else None
        return None if upstream is None else (upstream, collapsed(rest) + query)

    def arrive(self, head: RequestHead, upstream: Upstream, rest: bytes) -> Arrival:
        """Decide whether the body of a request for `rest` at `upstream` may come.

        Raises:
            Unavailable: switched off, or no token can be known yet.
            NotFound: the path or the method is not served.
            UpgradeRefused: a WebSocket is asked for.
            BadRequest: the credentials are contradictory.
            Unauthenticated: no good token.
            Forbidden: a token for management, or an own credential that is not allowed.
        """
        if not self._enabled:
            raise Unavailable("The AI gateway is switched off here (aibridge.enabled).")
        path, query = split_target(rest)
        slashes = upstream.provider.encoded_slash_in
        if not safe(path, encoded_slash_in=slashes) or not safe_query(query):
            raise NotFound("There is nothing at this path.")
        if contains_token_shape(rest) or (
            b"%" in rest and contains_token_shape(unquote_to_bytes(rest))
        ):
            raise BadRequest("A bridge token belongs in a header, never in the URL.")
        if head.method == b"HEAD" and path in _PROBES:
            return self._arrival(upstream, None, rest, None)
        if head.method == b"GET" and asks_for_websocket(upstream.provider, head, path):
            # Whoever asks falls back to HTTP at once; any other status costs them seconds, or all.
            raise UpgradeRefused("This path is served over HTTP: POST the request instead.")
        route = route_for(upstream.provider, head.method, path)
        authenticated = authenticate(
            head.by_name(),
            self._directory,
            allow_byok=self._allow_byok,
            own_headers=upstream.provider.own_headers,
        )
        if authenticated.actor.scope is not Scope.INFERENCE:
            raise Forbidden(NOT_FOR_ASKING)
        return self._arrival(upstream, route, rest, authenticated)

    def refusal(self, head: RequestHead, upstream: Upstream, error: BridgeError) -> Refusal:
        """Return `error` as a whole answer in the caller's shape, and note it."""
        request_id = str(uuid7(self._clock.seconds()))
        self._note(head, error, None)
        return Refusal(
            status=error.status,
            headers=error_headers(error, request_id.encode("ascii")),
            body=self._shape_at(upstream, head.target).error_body(error, request_id),
        )

    def render(self, request: BridgeRequest) -> None:
        """Answer a request whose body is there; cancelled when the client leaves.

        A leaf: `arrive` has found the route, and Klein would only look for it once more.
        """
        serving = Deferred.fromCoroutine(self.serve(request))
        request.on_leave = serving.cancel
        serving.addErrback(self._failed, request)

    async def serve(self, request: BridgeRequest) -> None:
        """Answer a request whose body is there, to the end."""
        head, asked = addressed(request)
        if asked.route is None or asked.authenticated is None:
            nothing = [(b"content-length", b"0"), (b"x-content-type-options", b"nosniff")]
            request.begin(200, None, nothing)
            request.finish()
            return
        started = self._clock.seconds()
        identifier = uuid7(started)
        answer = ClientAnswer(request, str(identifier))
        try:
            exchange, ticket = await self._accepted(
                request, head, asked, answer, identifier, started
            )
        except BridgeError as error:
            request.body.drop()
            self._note(head, error, asked.authenticated)
            shape = self._shape(asked.upstream, asked.route)
            answer.refuse(error, shape.error_body(error, str(identifier)))
            return
        try:
            await self._interceptor.run(exchange)
        except CancelledError:
            return  # the client has gone, and that is written down
        except Exception:
            answer.flush()  # so that nobody writes another head
            raise
        finally:
            ticket.release()

    def _failed(self, failure: Failure, request: BridgeRequest) -> None:
        """Answer for a fault of our own, as far as that is still possible."""
        if failure.check(CancelledError) is not None:
            return  # the client left before anything was written down
        error = as_bridge_error(request, failure.value)
        if request.startedWriting:
            cut_off(request)
            return
        _, asked = addressed(request)
        identifier = str(uuid7(self._clock.seconds()))
        shape = self._shape(asked.upstream, asked.route)
        ClientAnswer(request, identifier).refuse(error, shape.error_body(error, identifier))

    async def _accepted(
        self,
        request: BridgeRequest,
        head: RequestHead,
        asked: Addressed,
        answer: ClientAnswer,
        identifier: UUID,
        started: float,
    ) -> tuple[Exchange, Any]:
        """Read, admit, and write down that the request was accepted."""
        route, authenticated, upstream = asked.route, asked.authenticated, asked.upstream
        assert route is not None and authenticated is not None  # noqa: S101 - see serve
        provider = upstream.provider
        read = await self._read(asked, route, head, request.body.content)
        credential = provider.credential(authenticated.user_credential)
        if route.own_credential_only and credential.kind is CredentialKind.CENTRALIZED:
            raise Unauthenticated(
                f"This path of {provider.name} takes only a credential of your own, with the "
                "bridge token in X-AI-Bridge-Token."
            )
        ticket = self._admission.admit(
            authenticated.actor, counted=route.api is not None or route.runs_model
        )
        try:
            await self._require_own(asked, read.summary.references)
            if read.adaptation is not None:
                request.body.replace(read.adaptation.body)
            recording = await self._recorder.begun(
                interception_of(
                    identifier=identifier,
                    started=started,
                    head=head,
                    asked=asked,
                    credential=credential,
                    summary=recorded_of(read.summary, route),
                    bytes_in=request.body.size,
                ),
                own_secrets(authenticated.user_credential),
            )
        except BaseException:  # the client may leave while the store is asked
            ticket.release()
            raise
        exchange = Exchange(
            recording=recording,
            attempts=Attempts(
                places=upstream.places_for(route, encoded=bool(content_coding(head.headers))),
                own=authenticated.user_credential,
                blames_keys=not names_account(head, upstream),
                asked=asking(head, asked, credential, request.body, read.summary),
                route=route.pattern,
                clock=self._clock,
                chance=random,
            ),
            body=request.body,
            route=route,
            dialect=self._dialect(route.answer_api),
            passage=read.adaptation.passage if read.adaptation is not None else None,
            error_dialect=self._shape(upstream, route),
            streaming=read.summary.streaming,
            answer=answer,
            in_thread=self._in_thread,
            request_id=answer.request_id,
            started=started,
        )
        return exchange, ticket

    async def _read(
        self, asked: Addressed, route: Route, head: RequestHead, body: bytes
    ) -> RequestRead:
        """Return what we need to know of a body; nothing of most passthroughs'."""
        path, _ = split_target(asked.path_and_query)
        named = asked.upstream.provider.named_in_path(path)
        dialect = self._dialect(route.request_api)
        if dialect is None:
            return RequestRead(summary=with_model(NOTHING_READ, named))
        encoding = content_coding(head.headers)
        adapts = route.api is not None and asked.upstream.asks_for_usage and not encoding

        def read() -> RequestRead:
            summary = dialect.summarize(decode_body(body, encoding, limit=self._max_body_bytes))
            summary = with_model(summary, named)
            adaptation = dialect.adapted(body, summary) if adapts else None
            return RequestRead(summary=summary, adaptation=adaptation)

        if len(body) < _READ_IN_THREAD_BYTES and not encoding:
            return read()
        return await self._in_thread(read)

    def _in_thread(self, work: Callable[[], T]) -> Deferred[T]:
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), work)

    async def _require_own(self, asked: Addressed, references: Sequence[str]) -> None:
        """Return if what the provider keeps, and the request is about, is the user's own."""
        route, authenticated = asked.route, asked.authenticated
        assert route is not None and authenticated is not None  # noqa: S101 - see serve
        about = tuple(references)
        if route.stored:
            named = route.stored_id(split_target(asked.path_and_query)[0])
            about = (*about, named) if named is not None else about
        if about:
            await self._stored.require(
                authenticated.actor,
                asked.upstream.provider.name,
                about,
                access=asked.upstream.stored_access,
                own_key=authenticated.user_credential is not None,
            )

    def _dialect(self, api: Api | None) -> Dialect | None:
        return self._dialects[api] if api is not None else None

    def _arrival(
        self,
        upstream: Upstream,
        route: Route | None,
        rest: bytes,
        authenticated: Authenticated | None,
    ) -> Arrival:
        asked = Addressed(
            upstream=upstream, route=route, path_and_query=rest, authenticated=authenticated
        )
        # A probe comes from anybody, so nothing of it is kept.
        longest = self._max_body_bytes if route is not None else 0
        return Arrival(max_body_bytes=longest, place=asked, answer=self.render)

    def _shape_at(self, upstream: Upstream, target: bytes) -> Dialect:
        """Return the shape of our errors for whoever asks at `target`, whatever the method."""
        found = self.upstream_at(target)
        path = split_target(found[1])[0] if found is not None else b""
        routes = upstream.provider.routes
        return self._shape(upstream, next((each for each in routes if each.matches(path)), None))

    def _shape(self, upstream: Upstream, route: Route | None = None) -> Dialect:
        api = (route.api or route.error_api) if route is not None else None
        return self._dialects[api or upstream.provider.error_api]

    def _note(
        self, head: RequestHead, error: BridgeError, authenticated: Authenticated | None
    ) -> None:
        if isinstance(error, UpgradeRefused):
            return  # asked by every new session of some clients, and refused to all
        self._refusals.note(
            error,
            actor=authenticated.actor if authenticated is not None else None,
            path=split_target(head.target)[0].decode("latin-1"),
            source=self._addresses.of(head),
        )
