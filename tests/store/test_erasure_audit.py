"""What erasing a user leaves in the audit log: everything of others, as it was."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from bridge.domain.identity import Role
from bridge.domain.tokens import User
from bridge.store import erasure, identity
from tests.store.administered import (
    Somebody,
    read,
    read_by_name,
    tokens_made_and_revoked,
    user_made_and_changed,
)
from tests.store.journalled import ALICE, BOB
from tests.store.test_blanking import PrivacyCase

_ROWS = "SELECT action, detail FROM audit_log"


class AuditErasureCase(PrivacyCase):
    """Erases, and tells what somebody is called then."""

    async def erased(self, user: UUID = ALICE) -> str:
        """Erase somebody, and return what she is called now."""
        await self.erase(user)
        ((pseudonym,),) = await self.fetch(
            "SELECT pseudonym FROM aibridge_erasures WHERE initiator_id = %s", str(user)
        )
        return str(pseudonym)


class AuditErasureTests(AuditErasureCase):
    """Entries that are stored when it begins, and what belongs to others."""

    async def test_rows_about_tokens_and_searches_tell_the_pseudonym(self) -> None:
        """What the token was called goes; that it was made and revoked stays."""
        await self.store(await tokens_made_and_revoked(self.pool, "alice"))
        await self.store(await read_by_name(self.pool, "alice"))

        name = await self.erased()

        rows = await self.fetch(_ROWS)
        self.assertEqual(
            sorted((action, detail["user"]) for action, detail in rows if "user" in detail),
            [("token.create", name)] * 2 + [("token.revoke", name)] * 2,
        )
        self.assertEqual([each["name"] for _, each in rows if "name" in each], ["", ""])
        self.assertCountEqual(
            [(each["q"], each.get("search")) for _, each in rows if "q" in each],
            [
                (name, None),
                (f'model:m "initiator":{name}', None),
                (f"INITIATOR:{name}", None),
                ({"initiator": name}, f"initiator:{name}"),
            ],
        )

    async def test_what_a_refusal_told_the_user_tells_no_name(self) -> None:
        """Nor does one that is stored after the erasure."""
        told = "The user {0} was disabled; `aibridge token create --user {0}`."

        async def refuse(identifier: UUID, name: str) -> None:
            row = self.maker.audit(
                action="refusal", actor_id=identifier, actor_name=name, target=name,
                status=401, reason=told.format(name), detail={"code": "unauthorized"},
            )  # fmt: skip
            await self.store([row])

        await refuse(ALICE, "alice")
        await refuse(BOB, "bob")
        pseudonym = await self.erased()
        await refuse(ALICE, "alice")

        self.assertCountEqual(
            await self.fetch("SELECT actor_name, target, reason FROM audit_log"),
            [(name, name, told.format(name)) for name in (pseudonym, pseudonym, "bob")],
        )

    async def test_others_stay_as_they_were(self) -> None:
        """Their rows, and words that only hold the name of who is erased."""
        await self.store(await tokens_made_and_revoked(self.pool, "bob"))
        rows = await read(
            self.pool,
            {"q": "initiator:alice2 model:alice client:'alice'"},
            {"q": 'malice initiator:"Alice"', "search": "alice in wonderland"},
            {"q": "initiator:bob"},
            users=(Somebody(BOB, "bob"),),
        )
        await self.store(rows)
        before = await self.fetch(_ROWS)
        await self.store(await read(self.pool, {"search": 'the "alice" initiator:alice -x'}))

        name = await self.erased()

        changed = {"search": f'the "alice" initiator:{name} -x', "users": []}
        self.assertCountEqual(await self.fetch(_ROWS), [*before, ("content.read", changed)])


class RefusedTokenTests(AuditErasureCase):
    """Refusals of tokens that were good once: nobody asked, but the reason names somebody."""

    TOLD = (
        "The AI Bridge token kFWkFWkFWkFW expired; make another with `token create --user {0}`.",
        "The user {0} was disabled on 2026-11-24 12:00 UTC; ask an administrator to enable it.",
    )

    async def refused(self, name: str, told: str, **members: Any) -> None:
        given = {"target": "/anthropic/v1/messages", "detail": {"code": "unauthenticated"}}
        row = self.maker.audit(
            await self.now(), action="refusal", actor_id=None, actor_name=None, status=401,
            reason=told.format(name), **(given | members),
        )  # fmt: skip
        await self.store([row])

    async def reasons(self) -> list[str]:
        return [reason for (reason,) in await self.fetch("SELECT reason FROM audit_log")]

    async def test_those_without_an_id_lose_the_name_where_it_is_one(self) -> None:
        """Whole, and as the bridge writes it: somebody may be called like any word."""
        token = UUID(int=7)
        user = User(id=token, username="token", roles=frozenset({Role.MEMBER}),
                    created_at=await self.now())  # fmt: skip
        await self.pool.transaction(lambda cursor: identity.create_user(cursor, user))
        for name in ("alice", "alice2", "alice-b", "alice.b", "token"):
            for told in self.TOLD:
                await self.refused(name, told)

        erased = [await self.erased(), await self.erased(token)]

        self.assertCountEqual(
            await self.reasons(),
            [
                told.format(name)
                for name in ("alice2", "alice-b", "alice.b", *erased)
                for told in self.TOLD
            ],
        )

    async def test_those_with_an_id_lose_it_whenever_they_are_stored(self) -> None:
        """And they are known by it: another may be called so by now."""
        detail = {"code": "unauthenticated", "user": "alice", "user_id": str(ALICE)}
        others = {**detail, "user_id": str(UUID(int=7))}
        await self.refused("alice", self.TOLD[0], detail=detail)
        await self.refused("alice", self.TOLD[0], detail=others)

        name = await self.erased()
        await self.refused("alice", self.TOLD[1], detail=detail)

        self.assertCountEqual(
            await self.fetch("SELECT reason, detail ->> 'user' FROM audit_log"),
            [
                (self.TOLD[0].format(name), name),
                (self.TOLD[0].format("alice"), "alice"),
                (self.TOLD[1].format(name), name),
            ],
        )

    async def test_path_that_names_the_user_loses_the_name(self) -> None:
        """Who may not manage users asked for this one."""
        for path in ("/users/alice", "/users/alice/tokens", "/users/alice2", "/alice/v1/messages"):
            await self.refused("", "Not for you.", target=f"/api{path}")

        name = await self.erased()

        self.assertCountEqual(
            await self.fetch("SELECT target FROM audit_log"),
            [
                (f"/api{path}",)
                for path in (f"/users/{name}", f"/users/{name}/tokens", "/users/alice2",
                             "/alice/v1/messages")
            ],
        )  # fmt: skip


class LateEntriesTests(AuditErasureCase):
    """Entries that a journal brings when the user is erased already."""

    async def test_what_was_done_to_the_user_tells_the_pseudonym(self) -> None:
        rows = [
            *await user_made_and_changed(self.pool, "carol"),
            *await tokens_made_and_revoked(self.pool, "carol"),
        ]
        ((carol,),) = await self.fetch("SELECT id FROM users WHERE username = 'carol'")
        name = await self.erased(UUID(str(carol)))

        await self.store(rows)

        self.assertNotIn("carol", str(await self.fetch("SELECT a::text FROM audit_log a")))
        about = "SELECT count(*) FROM audit_log WHERE %s IN (target, detail ->> 'user')"
        self.assertEqual(await self.fetch(about, name), [(len(rows),)])

    async def test_reading_tells_the_pseudonym_beside_the_others(self) -> None:
        """Also of several who are erased, and of one who has the same name now."""
        alices = (Somebody(ALICE, "alice"), Somebody(UUID(int=7), "alice"), Somebody(BOB, "bob"))
        rows = [
            *await read(self.pool, {"q": "initiator:alice"}, users=alices[:1]),
            *await read(self.pool, {"q": "initiator:alice"}, users=alices),
        ]
        his, name = await self.erased(BOB), await self.erased()

        await self.store(rows)

        self.assertCountEqual(
            await self.fetch("SELECT detail - 'whose' FROM audit_log"),
            [
                ({"q": f"initiator:{name}", "users": [name]},),
                ({"q": "initiator:alice", "users": sorted(["alice", name, his])},),
            ],
        )
        self.assertNotIn("bob", str(await self.fetch("SELECT detail FROM audit_log")))

    async def test_what_comes_while_the_erasure_is_under_way_is_known_by_the_name_too(
        self,
    ) -> None:
        """The pass may be over that day already."""
        pseudonym = await self.pool.transaction(lambda cursor: erasure.begin(cursor, ALICE))
        row = self.maker.audit(
            await self.now(), action="token.revoke", actor_id=BOB, actor_name="bob",
            target="Aib2aib2aib2", detail={"user": "alice"},
        )  # fmt: skip

        await self.store([row])

        self.assertEqual(await self.fetch("SELECT detail FROM audit_log"), [({"user": pseudonym},)])
