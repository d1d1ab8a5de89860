"""Tests for bridge.store.audit_about, on a real server: whose a name in the audit log is."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from twisted.internet import reactor

from bridge.cli.personal import export_user
from bridge.domain.identity import Role
from bridge.domain.tokens import User
from bridge.store import identity
from tests.cli.running import RecordingSession
from tests.store.journalled import ALICE, BOB
from tests.store.test_blanking import DAY, PrivacyCase

OLD = UUID("01890000-0000-7000-8000-00000000000c")
NEW = UUID("01890000-0000-7000-8000-00000000000d")
_ROWS = "SELECT action, target, detail FROM audit_log ORDER BY created_at"
BETWEEN = 4 * DAY
"""So long ago the old carol was deleted, and the new one was not there yet."""


class NamesCase(PrivacyCase):
    """A user whose name was given again, and entries as they were written without ids."""

    async def setUp(self) -> None:
        await super().setUp()
        now = await self.now()
        await self.created(OLD, "carol", now - 10 * DAY)
        await self.pool.transaction(
            lambda cursor: identity.delete_user(cursor, "carol", now - 5 * DAY)
        )
        await self.created(NEW, "carol", now - 3 * DAY)

    async def created(self, identifier: UUID, name: str, at: datetime) -> None:
        user = User(id=identifier, username=name, roles=frozenset({Role.MEMBER}), created_at=at)
        await self.pool.transaction(lambda cursor: identity.create_user(cursor, user))

    async def told(self, ago: timedelta, action: str, target: str, **detail: Any) -> None:
        """Store that bob did something."""
        await self.wrote(ago, action=action, target=target, detail=detail)

    async def wrote(self, ago: timedelta = timedelta(0), **members: Any) -> None:
        """Store an entry, of bob's unless something else is said."""
        given = {"actor_id": BOB, "actor_name": "bob", **members}
        await self.store([self.maker.audit(await self.now() - ago, **given)])

    async def about_carol(self, ago: timedelta) -> None:
        """Store one of each kind of entry in which her name stands."""
        await self.told(ago, "user.disable", "carol")
        await self.told(ago, "token.create", "Aib2aib2aib2", user="carol", name="laptop of carol")
        await self.told(ago, "content.read", "2 sessions", users=["bob", "carol"], q="carol")

    def expected(self, name: str) -> list[tuple[str, str, dict[str, Any]]]:
        token_name = "laptop of carol" if name == "carol" else ""
        return [
            ("user.disable", name, {}),
            ("token.create", "Aib2aib2aib2", {"user": name, "name": token_name}),
            ("content.read", "2 sessions", {"users": ["bob", name], "q": name}),
        ]

    async def erased(self, user: UUID) -> str:
        """Erase a user, and return what it is called now."""
        await self.erase(user)
        ((pseudonym,),) = await self.fetch(
            "SELECT pseudonym FROM aibridge_erasures WHERE initiator_id = %s", str(user)
        )
        return str(pseudonym)

    async def exported(self, user: UUID) -> list[str]:
        """Return what each entry that is exported of a user is about."""
        said: list[str] = []
        session = RecordingSession(reactor=reactor, pool=self.pool)
        await export_user(session, str(user), said.append)
        rows = [json.loads(line) for line in said]
        return [each["target"] for each in rows if each["type"] == "audit"]


class NameGivenAgainTests(NamesCase):
    """What was written about one of them is not about the other."""

    async def test_erasing_the_first_leaves_what_is_about_the_second(self) -> None:
        """Up to the moment in which the second was created the name is the first's."""
        for ago in (7 * DAY, BETWEEN, DAY):
            await self.about_carol(ago)

        name = await self.erased(OLD)

        self.assertEqual(
            await self.fetch(_ROWS),
            [*self.expected(name), *self.expected(name), *self.expected("carol")],
        )

    async def test_erasing_the_second_leaves_what_is_about_the_first(self) -> None:
        for ago in (7 * DAY, DAY):
            await self.about_carol(ago)

        name = await self.erased(NEW)

        self.assertEqual(await self.fetch(_ROWS), [*self.expected("carol"), *self.expected(name)])

    async def test_each_is_exported_what_is_about_them(self) -> None:
        await self.told(7 * DAY, "token.create", "of the first", user="carol")
        await self.told(DAY, "token.create", "of the second", user="carol")

        self.assertEqual(await self.exported(OLD), ["of the first"])
        self.assertEqual(await self.exported(NEW), ["of the second"])


class OtherTextsTests(NamesCase):
    """What is only spelled like a name stays."""

    async def test_export_stays_an_export_when_a_user_called_so_is_erased(self) -> None:
        await self.created(UUID(int=7), "export", await self.now() - 3 * DAY)
        await self.told(DAY, "content.read", "export", users=[], format="jsonl")

        await self.erased(UUID(int=7))

        self.assertEqual(
            await self.fetch(_ROWS), [("content.read", "export", {"users": [], "format": "jsonl"})]
        )

    async def test_session_that_is_called_like_the_user_is_still_the_one_that_was_read(
        self,
    ) -> None:
        """Clients choose what sessions are called."""
        await self.told(timedelta(0), "content.read", "alice", users=["bob"])
        await self.wrote(action="token.revoke", target="alice", detail={}, actor_id=ALICE,
                         actor_name="alice")  # fmt: skip
        await self.wrote(action="content.read", target="alice", detail={"users": ["bob"]},
                         actor_id=ALICE, actor_name="alice")  # fmt: skip

        name = await self.erased(ALICE)

        self.assertEqual([target for _, target, _ in await self.fetch(_ROWS)], ["alice"] * 3)
        self.assertEqual(
            await self.fetch("SELECT actor_name FROM audit_log ORDER BY created_at"),
            [("bob",), (name,), (name,)],
        )

    async def test_export_of_a_person_has_no_session_that_is_called_like_them(self) -> None:
        await self.told(timedelta(0), "content.read", "alice", users=["bob"])

        self.assertEqual(await self.exported(ALICE), [])
