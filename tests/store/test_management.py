"""The management API on a real server: who may read what, and what that leaves behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from twisted.internet import reactor

from bridge.administration import Lifetimes, administration_by
from bridge.bodies import BodyMemory
from bridge.domain.errors import Unauthenticated, Unavailable
from bridge.domain.identity import Actor, Role, Scope
from bridge.domain.records import AuditRecorded, Record
from bridge.recording.refusals import Refusals
from bridge.store.writes import write_batch
from bridge.web.addresses import ClientAddresses
from bridge.web.arrivals import Arrival, Refusal, RequestHead
from bridge.web.channel import SiteLimits
from bridge.web.management import Management
from bridge.web.management_interceptions import Transactions
from bridge.web.root import MAX_MANAGEMENT_BODY_BYTES
from bridge.web.site import BridgeSite
from tests.store.followed import follow_everything
from tests.store.journalled import ALICE, BOB, START, Maker, lines
from tests.support.postgres import StoreTestCase
from tests.support.rawclient import RawClient, raw_request


def person(identifier: UUID, name: str, *roles: Role, scope: Scope = Scope.MANAGE) -> Actor:
    return Actor(
        id=identifier, username=name, roles=frozenset(roles), token_id=name * 2, scope=scope
    )


CLIENT_STALL = 120.0
ACTORS = {
    "aib_alice": person(ALICE, "alice", Role.MEMBER),
    "aib_owner": person(BOB, "bob", Role.OWNER),
    "aib_auditor": person(BOB, "bob", Role.AUDITOR),
    "aib_agent": person(ALICE, "alice", Role.OWNER, Role.AUDITOR, scope=Scope.INFERENCE),
}


class Tokens:
    """Knows everybody above; a token is good if it looks like one, and not ended."""

    def __init__(self) -> None:
        self.ended: set[str] = set()
        """Names of users."""

    def undiminished(self, actor: Actor, now: float) -> bool:
        return actor.username not in self.ended

    def identify(self, token: str, /) -> Actor:
        for known, actor in ACTORS.items():
            if token.startswith(known):
                return actor
        raise Unauthenticated("The credential sent is not a valid AI Bridge token.")


class Everybody:
    """Lets every request in, as root.py does with what is no provider's."""

    def arrive(self, head: RequestHead) -> Arrival:
        return Arrival(max_body_bytes=MAX_MANAGEMENT_BODY_BYTES, place=None, query_is_ours=True)

    def refusal(self, head: RequestHead, error: Exception) -> Refusal:
        raise AssertionError(error)


class ManagementTestCase(StoreTestCase):
    clock: Any = reactor
    """For what the API does; connections have the real one."""

    async def setUp(self) -> None:
        await super().setUp()
        self.maker = Maker()
        self.audited: list[Record] = []
        self.journal_full = False
        self.cutoff: datetime | None = None
        self.not_ready: str | None = None
        real: Any = reactor
        self.tokens = Tokens()
        self.management = Management(
            directory=self.tokens,
            pool=self.transactions(),
            cutoff=lambda: self.cutoff,
            append=self._append,
            refusals=Refusals(append=self._append, clock=real),
            not_ready=lambda: self.not_ready,
            clock=self.clock,
            addresses=ClientAddresses(behind_proxy=False),
            administration=administration_by(
                pool=self.pool, append=self._append, durable=self._durable, clock=real
            ),
            lifetimes=Lifetimes(default=30 * 86400.0, longest=365 * 86400.0),
            client_stall=CLIENT_STALL,
        )
        site = BridgeSite(
            resource=self.resource(),
            gate=Everybody(),
            memory=BodyMemory(limit_bytes=100_000),
            limits=SiteLimits(
                request_header_seconds=10,
                request_body_idle_seconds=10,
                header_bytes=65536,
                connections=10,
                connections_per_address=10,
            ),
            reactor=real,
        )
        self.port = real.listenTCP(0, site, interface="127.0.0.1")
        self.client = await RawClient.to(real, self.port.getHost().port)

    async def tearDown(self) -> None:
        await self.client.close()
        await self.port.stopListening()
        await super().tearDown()

    def resource(self) -> Any:
        """Return what is served."""
        return self.management.app.resource()

    def transactions(self) -> Transactions:
        """Return where the API's statements run."""
        return self.pool

    def _append(self, records: Any) -> None:
        if self.journal_full:
            raise Unavailable("The journal is full.")
        self.audited += records

    async def _durable(self) -> None:
        """Be on disk already."""

    async def ended(self, at: datetime = START, **members: object) -> UUID:
        records = self.maker.whole(at, **members)
        batch = lines(*records)
        await self.pool.transaction(lambda cursor: write_batch(cursor, batch))
        return records[0].id

    async def get(
        self,
        target: str,
        token: str | None = "aib_auditor",
        method: bytes = b"GET",
        body: object = None,
    ) -> tuple[int, Any]:
        headers = []
        if token is not None:
            value = f"{token}_{'x' * (12 - 0)}"
            headers = [(b"coder-session-token", value.encode())]
        content = json.dumps(body).encode() if body is not None else b""
        self.client.send(raw_request(method, target.encode(), headers=headers, body=content))
        response = await self.client.response()
        self.assertEqual(response.header(b"cache-control"), b"no-store")
        self.assertEqual(response.header(b"x-content-type-options"), b"nosniff")
        if response.header(b"content-type") == b"application/json":
            return response.status, json.loads(response.body)
        return response.status, response.body

    async def listed(self, query: str = "", token: str = "aib_auditor") -> list[str]:
        status, found = await self.get(f"/api/v2/aibridge/interceptions{query}", token)
        self.assertEqual(status, 200, found)
        return [each["id"] for each in found["results"]]

    def rows(self, choose: Callable[[AuditRecorded], bool]) -> list[AuditRecorded]:
        return [row for row in self.audited if isinstance(row, AuditRecorded) and choose(row)]


class ListTests(ManagementTestCase):
    async def test_the_shape_is_the_established_one_and_more(self) -> None:
        identifier = await self.ended()

        _, found = await self.get("/api/v2/aibridge/interceptions")

        self.assertEqual(found["count"], 1)
        (row,) = found["results"]
        self.assertEqual(row["id"], str(identifier))
        self.assertEqual(row["initiator"], {"id": str(ALICE), "username": "alice"})
        self.assertEqual(row["user_prompts"][0]["prompt"], "What is the time?")
        for name in ("token_usages", "tool_usages", "status", "duration_ms", "bytes_out"):
            self.assertIn(name, row)

    async def test_both_established_paths_serve_it(self) -> None:
        await self.ended()

        status, found = await self.get("/api/v2/ai-gateway/interceptions?limit=1")

        self.assertEqual((status, found["count"]), (200, 1))

    async def test_pages_follow_each_other(self) -> None:
        ids = [str(await self.ended(START + timedelta(minutes=n))) for n in range(5)]

        first = await self.listed("?limit=2")
        second = await self.listed(f"?limit=2&after_id={first[-1]}")

        self.assertEqual([*first, *second], ids[::-1][:4])

    async def test_a_search(self) -> None:
        wanted = await self.ended(model="claude-opus-5")
        await self.ended()

        found = await self.listed("?q=model:claude-opus-5%20alice")

        # Names are looked up among the users, and nobody here was made one.
        self.assertEqual(found, [])
        self.assertEqual(await self.listed("?q=model:claude-opus-5"), [str(wanted)])

    async def test_what_is_wrong_is_named_by_field(self) -> None:
        for query, field in (
            ("?q=colour:red", "colour"),
            ("?limit=1001", "limit"),
            ("?limit=-1", "limit"),
            ("?after_id=nonsense", "after_id"),
            ("?colour=red", "colour"),
            ("?q=a&q=b", "q"),
            ("?q=%ff", "q"),
        ):
            status, found = await self.get(f"/api/v2/aibridge/interceptions{query}")
            self.assertEqual(status, 400, query)
            self.assertEqual([each["field"] for each in found["validations"]], [field], query)

    async def test_what_retention_has_ended_is_hidden_at_once(self) -> None:
        await self.ended(START - timedelta(days=2))
        kept = await self.ended(START)
        self.cutoff = START - timedelta(days=1)

        self.assertEqual(await self.listed(), [str(kept)])

    async def test_one_has_its_legs(self) -> None:
        identifier = await self.ended()

        status, found = await self.get(f"/api/v2/aibridge/interceptions/{identifier}")

        self.assertEqual((status, found["id"]), (200, str(identifier)))
        self.assertIn("legs", found)

    async def test_what_is_not_there_is_a_404(self) -> None:
        for identifier in ("01890000-0000-7000-8000-00000000000a", "nonsense", "%00"):
            status, _ = await self.get(f"/api/v2/aibridge/interceptions/{identifier}")
            self.assertEqual(status, 404)


class WhoTests(ManagementTestCase):
    async def test_members_see_their_own_and_leave_no_trace(self) -> None:
        own = await self.ended()
        other = await self.ended(initiator_id=BOB, username="bob")

        self.assertEqual(await self.listed("", "aib_alice"), [str(own)])
        status, _ = await self.get(f"/api/v2/aibridge/interceptions/{other}", "aib_alice")
        self.assertEqual(status, 404)
        self.assertEqual(self.audited, [])

    async def test_owners_who_are_no_auditors_see_their_own(self) -> None:
        await self.ended()
        own = await self.ended(initiator_id=BOB, username="bob")

        self.assertEqual(await self.listed("", "aib_owner"), [str(own)])

    async def test_a_search_cannot_widen_what_is_seen(self) -> None:
        await self.ended(initiator_id=BOB, username="bob")

        self.assertEqual(await self.listed(f"?q=initiator:{BOB}", "aib_alice"), [])

    async def test_auditors_see_everybodys_and_it_is_written_down(self) -> None:
        identifier = await self.ended()

        await self.listed("?q=model:claude-sonnet-4-5")
        (row,) = self.rows(lambda row: row.action == "content.read")

        self.assertEqual((row.actor_name, row.target), ("bob", str(identifier)))
        self.assertEqual(row.detail["users"], ["alice"])
        self.assertEqual(row.detail["q"], "model:claude-sonnet-4-5")
        self.assertEqual(row.source, "127.0.0.1")

    async def test_a_key_that_was_looked_for_is_not_written_down(self) -> None:
        key = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"
        await self.ended(prompt="a numbat")
        await follow_everything(self.pool)

        await self.get(f"/api/v2/aibridge/search?q=numbat%20OR%20{key}")
        (row,) = self.rows(lambda row: row.action == "content.read")

        self.assertIn("numbat OR", str(row.detail["search"]))
        self.assertNotIn(key, str(row))

    async def test_what_cannot_be_written_down_is_not_shown(self) -> None:
        await self.ended()
        self.journal_full = True

        status, found = await self.get("/api/v2/aibridge/interceptions")

        self.assertEqual(status, 503)
        self.assertNotIn("results", found)

    async def test_an_inference_token_is_refused_whatever_its_users_roles(self) -> None:
        for path in ("interceptions", "interceptions/01890000-0000-7000-8000-00000000000a"):
            status, found = await self.get(f"/api/v2/aibridge/{path}", "aib_agent")
            self.assertEqual(status, 403)
            self.assertIn("create --user NAME --scope manage", found["message"])
        self.assertEqual({row.status for row in self.rows(lambda _: True)}, {403})

    async def test_without_a_token(self) -> None:
        status, found = await self.get("/api/v2/aibridge/interceptions", None)

        self.assertEqual(status, 401)
        self.assertEqual(set(found), {"message", "detail", "validations"})
        self.assertIn("`aibridge token create --user NAME --scope manage`", found["message"])
        self.assertIn("admin-token", found["message"])
        self.assertNotIn("ANTHROPIC", found["message"])

    async def test_a_query_that_is_too_long_for_a_head_is_answered(self) -> None:
        for query in (f"?q={'x' * 70_000}", f"?q={'x' * 500_000}"):
            await self.client.close()
            self.client = await RawClient.to(reactor, self.port.getHost().port)
            status, found = await self.get(f"/api/v2/aibridge/interceptions{query}")
            self.assertEqual((status, set(found)), (431, {"message", "detail", "validations"}))
            self.assertIn("limits.header_bytes", found["message"])

    async def test_other_methods_are_not_taken(self) -> None:
        status, _ = await self.get("/api/v2/aibridge/interceptions", method=b"DELETE")

        self.assertEqual(status, 405)

    async def test_a_database_that_is_away_is_a_503_and_says_no_more(self) -> None:
        await self.pool.close()

        status, found = await self.get("/api/v2/aibridge/interceptions")

        self.assertEqual(status, 503)
        self.assertNotIn("postgres", json.dumps(found).lower())


class HealthTests(ManagementTestCase):
    async def test_one_word_each(self) -> None:
        self.assertEqual(await self.get("/healthz", None), (200, b"ok\n"))
        self.assertEqual(await self.get("/readyz", None), (200, b"ready\n"))

        self.not_ready = "draining"
        self.assertEqual(await self.get("/readyz", None), (503, b"draining\n"))
        self.assertEqual(await self.get("/healthz", None), (200, b"ok\n"))
