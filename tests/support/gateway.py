"""A gateway on real TCP in the test's reactor, with a journal in memory and an upstream of ours."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from bridge.assembly import DIALECTS
from bridge.bodies import BodyMemory
from bridge.domain.errors import Unauthenticated, Unavailable
from bridge.domain.identity import Actor, Role, Scope, Secret
from bridge.domain.interception import Ending, Interception
from bridge.domain.records import (
    AuditRecorded,
    InterceptionEnded,
    InterceptionStarted,
    Record,
    TokenUsageRecorded,
)
from bridge.intercept.attempts import Place
from bridge.intercept.exchange import ReadingLimits
from bridge.intercept.interceptor import Interceptor
from bridge.journal.format import encode_body
from bridge.policy.admission import Admission
from bridge.policy.breaker import CircuitBreakers, NoBreakers
from bridge.policy.keyring import Keyring
from bridge.policy.retries import RetryPolicy
from bridge.policy.stored_objects import StoredObjects
from bridge.providers.anthropic import Anthropic
from bridge.providers.interface import Provider
from bridge.recording.recorder import Levels, Recorder
from bridge.recording.refusals import Refusals
from bridge.upstream.client import UpstreamClient
from bridge.upstream.draining import DrainLimits
from bridge.upstream.relay import RelayLimits
from bridge.web.addresses import ClientAddresses
from bridge.web.channel import SiteLimits
from bridge.web.gateway import Gateway
from bridge.web.health import Health
from bridge.web.requests import Upstream
from bridge.web.root import Root, RootGate
from bridge.web.router import Router
from bridge.web.site import BridgeSite
from tests.support.fakes import BODY, FakeUpstream, Script
from tests.support.rawclient import RawClient, raw_request

TOKEN = "aib_Abcdefghijkl_" + "s" * 43 + "crc000"
MANAGE_TOKEN = "aib_Managemanage_" + "s" * 43 + "crc000"
KEY = "sk-ant-the-organisations-own-key"
ADA = UUID("018f3c1e-0000-7000-8000-0000000000ad")
MIB = 1024 * 1024

ASK = b'{"model":"claude-sonnet-5","max_tokens":64,"messages":[{"role":"user","content":"Hello"}]}'
ASK_STREAM = ASK[:-1] + b',"stream":true}'


class MemoryJournal:
    """Keeps records in a list; takes no more, or makes durable() wait, when told to."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.full = False
        self.broken = False
        """Even ends cannot be written."""
        self.most_at_once = 1000
        """Records that fit into one append."""
        self.slow = False
        """Nothing is durable until `release`."""
        self._waiting: list[Deferred[None]] = []

    def append(self, records: Sequence[Record], *, final: bool = False) -> bool:
        too_many = len(records) > self.most_at_once
        if self.broken or too_many or (self.full and not final):
            raise Unavailable("The journal is full.")
        self.records.extend(records)
        return any(encode_body(record)[1] for record in records)

    def durable(self) -> Deferred[None]:
        if not self.slow:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def release(self) -> None:
        self.slow = False
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def of(self, kind: type) -> list[Any]:
        return [record for record in self.records if isinstance(record, kind)]

    @property
    def started(self) -> InterceptionStarted:
        (record,) = self.of(InterceptionStarted)
        return record

    @property
    def ended(self) -> InterceptionEnded:
        (record,) = self.of(InterceptionEnded)
        return record

    @property
    def usage(self) -> TokenUsageRecorded:
        return self.of(TokenUsageRecorded)[-1]

    @property
    def refusals(self) -> list[AuditRecorded]:
        return self.of(AuditRecorded)


class KnownTokens:
    """Knows two tokens."""

    def __init__(self) -> None:
        self.away = False
        self.actors = {
            TOKEN: Actor(
                id=ADA,
                username="ada",
                roles=frozenset({Role.MEMBER}),
                token_id="Abcdefghijkl",
                scope=Scope.INFERENCE,
            ),
            MANAGE_TOKEN: Actor(
                id=ADA,
                username="ada",
                roles=frozenset({Role.OWNER}),
                token_id="Managemanage",
                scope=Scope.MANAGE,
            ),
        }

    def identify(self, token: str, /) -> Actor:
        if self.away:
            raise Unavailable("The bridge has not loaded its tokens yet.", retry_after=1)
        if token not in self.actors:
            raise Unauthenticated("The credential sent is not a valid AI Bridge token.")
        return self.actors[token]


class GatewayTestCase(TestCase):
    """Real TCP, because that is where the ends of connections can be seen."""

    timeout = 20
    reactor: Any = reactor

    relay_limits = RelayLimits(upstream_idle=30.0, client_stall=30.0, exchange=60.0, ping=0.0)
    site_limits = SiteLimits(
        request_header_seconds=10.0,
        request_body_idle_seconds=10.0,
        header_bytes=64 * 1024,
        connections=500,
        connections_per_address=400,
    )
    first_byte_seconds = 10.0
    connect_seconds = 5.0
    max_body_bytes = 2 * MIB
    body_memory_bytes = 64 * MIB
    allow_byok = True
    enabled = True
    max_concurrency = 0
    rate_limit = 0
    drain: DrainLimits | None = None
    max_event_bytes = MIB
    actor_headers: tuple[str, str] | None = None
    keys: Sequence[str] = (KEY,)
    retries = RetryPolicy(max_retries_connect=0)
    breakers: CircuitBreakers | NoBreakers = NoBreakers()
    upstream_options: Mapping[str, Any] = {}

    async def start(self, script: Script = (), *, begin: str = BODY, path: str = "") -> None:
        """Start an upstream with `script` and a gateway in front of it, called anthropic."""
        self.upstream = FakeUpstream(reactor, script, begin=begin)
        await self.upstream.start()
        self.addCleanup(self._stop_upstream)
        self.start_gateway(self.upstream.url + path)

    def start_gateway(self, base_url: str) -> None:
        """Start a gateway in front of whatever is at `base_url`."""
        self.journal = MemoryJournal()
        self.tokens = KnownTokens()
        provider = self.provider(base_url, [Secret(key) for key in self.keys])
        client = UpstreamClient(
            origin=provider.origin,
            reactor=reactor,
            connect_seconds=self.connect_seconds,
            first_byte_seconds=self.first_byte_seconds,
            keepalive_seconds=30.0,
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(client.close()))
        self.memory = BodyMemory(limit_bytes=self.body_memory_bytes)
        self.admission = Admission(
            max_concurrency=self.max_concurrency,
            rate_limit=self.rate_limit,
            clock=reactor,  # type: ignore[arg-type]
            recording=lambda: not self.journal.full,
        )
        self.interceptor = Interceptor(
            clock=reactor,  # type: ignore[arg-type]
            limits=self.relay_limits,
            reading_limits=ReadingLimits(
                max_event=self.max_event_bytes, max_document=4 * MIB, drain=self.drain
            ),
        )
        self.stored_elsewhere: set[tuple[UUID, str, str]] = set()
        """Objects that only the store knows: user, provider, id."""
        self.stored = StoredObjects(makers=self._makers)
        self.refusals = Refusals(append=self.journal.append, clock=reactor)  # type: ignore[arg-type]
        gateway = Gateway(
            upstreams=[
                Upstream(
                    place=Place(
                        provider=provider,
                        client=client,
                        keyring=Keyring(
                            [each.hint for each in provider.credentials], clock=reactor
                        ),  # type: ignore[arg-type]
                        retries=self.retries,
                        breakers=self.breakers,
                    ),
                    actor_headers=self.actor_headers,
                    **self.upstream_options,
                )
            ],
            dialects=DIALECTS,
            directory=self.tokens,
            allow_byok=self.allow_byok,
            enabled=self.enabled,
            max_body_bytes=self.max_body_bytes,
            admission=self.admission,
            recorder=Recorder(
                journal=self.journal,
                levels=Levels(),
                clock=reactor,  # type: ignore[arg-type]
                on_end=self._ended,
            ),
            refusals=self.refusals,
            interceptor=self.interceptor,
            reactor=reactor,
            addresses=ClientAddresses(behind_proxy=False),
            stored=self.stored,
        )
        management = Router()
        Health(not_ready=lambda: None).serve_on(management)
        self.site = BridgeSite(
            resource=Root(gateway=gateway, management=management),
            gate=RootGate(gateway=gateway),
            memory=self.memory,
            limits=self.site_limits,
            reactor=reactor,
        )
        listening = self.reactor.listenTCP(0, self.site, interface="127.0.0.1")
        self.addCleanup(listening.stopListening)
        self.port: int = listening.getHost().port
        self._clients: list[RawClient] = []
        self.addCleanup(self._close_clients)

    def provider(self, base_url: str, keys: Sequence[Secret]) -> Provider:
        """Return the provider that is served."""
        return Anthropic(name="anthropic", base_url=base_url, keys=keys)

    def _ended(self, interception: Interception, ending: Ending) -> None:
        if interception.stores and ending.response_id:
            self.stored.note(interception.actor.id, interception.provider_name, ending.response_id)

    async def _makers(self, provider: str, object_ids: Collection[str]) -> Mapping[str, UUID]:
        return {
            each: user
            for user, name, each in self.stored_elsewhere
            if name == provider and each in object_ids
        }

    async def connect(self) -> RawClient:
        """Return a new connection to the gateway."""
        client = await RawClient.to(reactor, self.port)
        self._clients.append(client)
        return client

    async def ask(
        self,
        body: bytes = ASK,
        *,
        method: bytes = b"POST",
        target: bytes = b"/anthropic/v1/messages",
        headers: Sequence[tuple[bytes, bytes]] = (),
        token: str | None = TOKEN,
        client: RawClient | None = None,
    ) -> Any:
        """Send one request and return its whole answer."""
        connection = client if client is not None else await self.connect()
        connection.reader.expect_no_body(method == b"HEAD")
        connection.send(request(body, method=method, target=target, headers=headers, token=token))
        return await connection.response()

    async def a_turn(self) -> None:
        """Let the reactor do what is due."""
        await deferLater(self.reactor, 0.01)

    async def settled(self) -> None:
        """Wait until no exchange is running."""
        await self.interceptor.idle()

    def _stop_upstream(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.upstream.stop())

    def _close_clients(self) -> Deferred[None]:
        async def close() -> None:
            for client in self._clients:
                if client.gone is None:
                    await client.reset()
            while self.site.connections:  # our side hears of it a turn later
                await deferLater(self.reactor, 0.01)

        return Deferred.fromCoroutine(close())


def request(
    body: bytes = ASK,
    *,
    method: bytes = b"POST",
    target: bytes = b"/anthropic/v1/messages",
    headers: Sequence[tuple[bytes, bytes]] = (),
    token: str | None = TOKEN,
) -> bytes:
    """Return a request with our token."""
    every = list(headers)
    if token is not None:
        every.append((b"x-api-key", token.encode()))
    if body:
        every.append((b"content-type", b"application/json"))
    return raw_request(method, target, body, every)
