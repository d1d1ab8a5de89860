"""Users and tokens over the API: who may do what, and what that leaves behind."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from bridge.auth.token import digest_of
from bridge.domain.clock import utc
from bridge.domain.identity import Role, Scope
from bridge.domain.ids import uuid7
from bridge.domain.tokens import Token, User
from bridge.store import identity
from tests.store.journalled import ALICE, BOB, START
from tests.store.test_management import ManagementTestCase

API = "/api/v2/aibridge"
EVE = uuid7(START.timestamp())


class AccountsCase(ManagementTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        for identifier, name in ((ALICE, "alice"), (BOB, "bob"), (EVE, "eve")):
            await self.user(identifier, name)

    async def user(self, identifier: Any, name: str) -> None:
        user = User(id=identifier, username=name, roles=frozenset({Role.MEMBER}), created_at=START)
        await self.pool.transaction(lambda cursor: identity.create_user(cursor, user))

    async def token(self, identifier: str, owner: Any, name: str, *, minutes: int = 0) -> str:
        made = START + timedelta(minutes=minutes)
        token = Token(
            id=identifier,
            digest=digest_of(identifier),
            user_id=owner,
            username=name,
            name="laptop",
            scope=Scope.INFERENCE,
            created_at=made,
            expires_at=utc(4_000_000_000.0),
        )
        await self.pool.transaction(lambda cursor: identity.create_token(cursor, token))
        return identifier

    async def ask(
        self, method: str, path: str, body: object = None, token: str = "aib_owner"
    ) -> tuple[int, Any]:
        return await self.get(f"{API}{path}", token, method.encode(), body)

    def changes(self) -> list[tuple[str, str, str | None]]:
        return [
            (row.action, row.target, row.actor_name)
            for row in self.rows(lambda row: row.action.partition(".")[0] in ("user", "token"))
        ]


class UserTests(AccountsCase):
    async def test_an_owner_creates_changes_and_deletes(self) -> None:
        status, made = await self.ask(
            "POST", "/users", {"username": "zoe", "roles": ["member", "auditor"]}
        )
        self.assertEqual((status, made["username"]), (201, "zoe"))
        self.assertEqual(made["roles"], ["auditor", "member"])

        status, changed = await self.ask(
            "PATCH", "/users/zoe", {"roles": ["owner"], "disabled": True}
        )
        self.assertEqual((status, changed["roles"]), (200, ["owner"]))
        self.assertIsNotNone(changed["disabled_at"])
        _, changed = await self.ask("PATCH", "/users/zoe", {"disabled": False})
        self.assertIsNone(changed["disabled_at"])

        token = await self.token("0" * 12, made["id"], "zoe")
        self.assertEqual(await self.ask("DELETE", "/users/zoe"), (200, {"revoked": [token]}))
        self.assertEqual((await self.ask("GET", "/users/zoe"))[0], 404)
        self.assertEqual(
            self.changes(),
            [
                (action, "zoe", "bob")
                for action in (
                    "user.create", "user.set-role", "user.disable", "user.enable", "user.delete",
                )
            ],
        )  # fmt: skip
        self.assertEqual({row.source for row in self.rows(lambda _: True)}, {"127.0.0.1"})

    async def test_both_prefixes_serve_it(self) -> None:
        status, found = await self.get("/api/v2/ai-gateway/users", "aib_owner")

        self.assertEqual((status, len(found["users"])), (200, 3))

    async def test_a_name_is_taken_once(self) -> None:
        status, found = await self.ask("POST", "/users", {"username": "eve"})

        self.assertEqual((status, found["message"]), (409, "There is a user eve already."))
        self.assertEqual(self.changes(), [])

    async def test_what_makes_no_user_is_refused(self) -> None:
        for body in (
            {}, {"username": "Eve"}, {"username": "a\n"}, {"username": "x", "roles": []},
            {"username": "x", "roles": ["boss"]}, {"username": "x", "colour": "red"}, [], None,
            {"username": "me"},
        ):  # fmt: skip
            status, _ = await self.ask("POST", "/users", body)
            self.assertEqual(status, 400, body)
        self.assertEqual((await self.ask("PATCH", "/users/eve", {}))[0], 400)
        self.assertEqual((await self.ask("PATCH", "/users/nobody", {"disabled": True}))[0], 404)
        self.assertEqual((await self.ask("DELETE", "/users/nobody"))[0], 404)

    async def test_what_is_wrong_in_a_body_is_named_by_field(self) -> None:
        for body, field, detail in (
            ({"username": "Eve"}, "username", "matching regex"),
            ({"username": "x", "roles": ["boss"]}, "roles[0]", "Invalid enum value"),
            ({"username": "x", "colour": "red"}, "body", "unknown field `colour`"),
            (None, "body", "truncated"),
        ):
            status, found = await self.ask("POST", "/users", body)
            (problem,) = found["validations"]
            self.assertEqual((status, problem["field"]), (400, field))
            self.assertIn(detail, problem["detail"])
            self.assertIn(problem["detail"], found["message"])

    async def test_owners_cannot_lock_themselves_out(self) -> None:
        for method, body in (
            ("PATCH", {"disabled": True}), ("PATCH", {"roles": ["member"]}), ("DELETE", None),
        ):  # fmt: skip
            status, found = await self.ask(method, "/users/bob", body)
            self.assertEqual(status, 400)
            self.assertIn("nobody might be left", found["message"])
        self.assertEqual(self.changes(), [])

    async def test_members_see_themselves_and_auditors_everybody(self) -> None:
        for token, names in (
            ("aib_alice", ["alice"]), ("aib_auditor", ["alice", "bob", "eve"]),
        ):  # fmt: skip
            _, found = await self.ask("GET", "/users", token=token)
            self.assertEqual([each["username"] for each in found["users"]], names)
        self.assertEqual((await self.ask("GET", "/users/alice", token="aib_alice"))[0], 200)
        self.assertEqual((await self.ask("GET", "/users/eve", token="aib_alice"))[0], 404)
        self.assertEqual((await self.ask("GET", "/users/eve", token="aib_auditor"))[0], 200)

    async def test_only_owners_change_users(self) -> None:
        for token in ("aib_alice", "aib_auditor", "aib_agent"):
            for method, path, body in (
                ("POST", "/users", {"username": "zoe"}),
                ("PATCH", "/users/eve", {"disabled": True}),
                ("DELETE", "/users/eve", None),
            ):
                status, _ = await self.ask(method, path, body, token)
                self.assertEqual(status, 403, (token, method))
        self.assertEqual(self.changes(), [])
        refused = self.rows(lambda row: row.action == "refusal" and row.actor_name == "bob")
        self.assertEqual(
            [(row.target, row.status, row.reason) for row in refused],
            [
                (f"{API}{path}", 403, "This is for users with the role owner.")
                for path in ("/users", "/users/eve")
            ],
        )

    async def test_pages_follow_each_other(self) -> None:
        _, first = await self.ask("GET", "/users?limit=2")
        _, second = await self.ask("GET", f"/users?limit=2&after_id={first['next_after_id']}")

        names = [each["username"] for page in (first, second) for each in page["users"]]
        self.assertEqual((names, second["next_after_id"]), (["alice", "bob", "eve"], None))
        status, found = await self.ask("GET", f"/users?after_id={BOB}", token="aib_alice")
        self.assertEqual((status, found["validations"][0]["field"]), (400, "after_id"))

    async def test_deleted_ones_are_shown_when_asked_for(self) -> None:
        await self.ask("DELETE", "/users/eve")

        _, without = await self.ask("GET", "/users")
        _, all_of_them = await self.ask("GET", "/users?deleted=true")

        self.assertEqual((len(without["users"]), len(all_of_them["users"])), (2, 3))
        self.assertEqual((await self.ask("GET", "/users?deleted=perhaps"))[0], 400)

    async def test_what_cannot_be_recorded_is_not_done(self) -> None:
        self.journal_full = True

        self.assertEqual((await self.ask("POST", "/users", {"username": "zoe"}))[0], 503)
        self.assertEqual((await self.ask("GET", "/users/zoe"))[0], 404)


class TokenTests(AccountsCase):
    async def test_a_value_is_told_once_and_written_nowhere(self) -> None:
        status, made = await self.ask(
            "POST", "/tokens",
            {"username": "alice", "scope": "manage", "name": "ci", "lifetime_seconds": 3600},
        )  # fmt: skip

        self.assertEqual((status, made["state"], made["username"]), (201, "good", "alice"))
        ((digest,),) = await self.fetch("SELECT digest FROM api_tokens")
        self.assertEqual(bytes(digest), digest_of(made["value"]))
        secret = made["value"][17:]
        _, listed = await self.ask("GET", "/tokens?ended=true")
        _, one = await self.ask("GET", f"/tokens/{made['id']}")
        self.assertEqual(listed["tokens"], [one])
        self.assertNotIn("value", one)
        self.assertNotIn(secret, json.dumps([listed, one]))
        self.assertNotIn(secret, repr(self.audited))
        self.assertEqual(self.changes(), [("token.create", made["id"], "bob")])

    async def test_a_key_in_a_tokens_name_is_not_written_down(self) -> None:
        key = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"

        status, _ = await self.ask("POST", "/tokens", {"username": "alice", "name": key})

        self.assertEqual(status, 201)
        self.assertEqual([change[0] for change in self.changes()], ["token.create"])
        self.assertNotIn(key, str(self.audited))

    async def test_a_member_makes_and_revokes_their_own_only(self) -> None:
        his = await self.token("b" * 12, BOB, "bob")
        status, made = await self.ask("POST", "/tokens", {}, "aib_alice")
        self.assertEqual((status, made["username"], made["scope"]), (201, "alice", "inference"))

        _, listed = await self.ask("GET", "/tokens", token="aib_alice")
        self.assertEqual([each["id"] for each in listed["tokens"]], [made["id"]])
        for method, path, body in (
            ("GET", f"/tokens/{his}", None),
            ("DELETE", f"/tokens/{his}", None),
            ("POST", "/tokens", {"username": "bob"}),
            ("DELETE", "/users/bob/tokens", None),
        ):
            self.assertEqual((await self.ask(method, path, body, "aib_alice"))[0], 404, path)
        _, others = await self.ask("GET", "/tokens?username=bob", token="aib_alice")
        self.assertEqual(others["tokens"], [])
        self.assertEqual((await self.ask("GET", f"/tokens?after_id={his}", token="aib_alice"))[0],
                         400)  # fmt: skip

        status, done = await self.ask("DELETE", f"/tokens/{made['id']}", token="aib_alice")
        self.assertEqual((status, done), (200, {"revoked": [made["id"]]}))
        _, again = await self.ask("DELETE", f"/tokens/{made['id']}", token="aib_alice")
        self.assertEqual(again, {"revoked": []})
        self.assertEqual([change[0] for change in self.changes()], ["token.create", "token.revoke"])

    async def test_an_auditor_sees_others_tokens_and_changes_none(self) -> None:
        hers = await self.token("a" * 12, ALICE, "alice")

        self.assertEqual((await self.ask("GET", f"/tokens/{hers}", token="aib_auditor"))[0], 200)
        for method, path, body in (
            ("DELETE", f"/tokens/{hers}", None),
            ("POST", "/tokens", {"username": "alice"}),
            ("DELETE", "/users/alice/tokens", None),
        ):
            self.assertEqual((await self.ask(method, path, body, "aib_auditor"))[0], 403, path)
        self.assertEqual(self.changes(), [])
        refused = self.rows(lambda row: row.action == "refusal")
        self.assertEqual({row.reason for row in refused},
                         {"Auditors see others' tokens; owners change them."})  # fmt: skip

    async def test_an_agents_token_reaches_none_of_it(self) -> None:
        for method, path in (("GET", "/tokens"), ("POST", "/tokens"), ("GET", "/users")):
            self.assertEqual((await self.ask(method, path, {}, "aib_agent"))[0], 403)

    async def test_an_owner_revokes_all_of_somebodys(self) -> None:
        ids = [await self.token(n * 12, ALICE, "alice", minutes=int(n)) for n in "12"]
        await self.token("3" * 12, BOB, "bob")

        status, done = await self.ask("DELETE", "/users/alice/tokens")

        self.assertEqual((status, done), (200, {"revoked": ids}))
        self.assertEqual(self.changes(), [("token.revoke", each, "bob") for each in ids])

    async def test_pages_follow_each_other(self) -> None:
        ids = [await self.token(n * 12, ALICE, "alice", minutes=int(n)) for n in "123"]
        _, first = await self.ask("GET", "/tokens?limit=2")
        _, second = await self.ask("GET", f"/tokens?limit=2&after_id={first['next_after_id']}")

        self.assertEqual([each["id"] for page in (first, second) for each in page["tokens"]], ids)
        self.assertIsNone(second["next_after_id"])

    async def test_what_makes_no_token_is_refused(self) -> None:
        for body in (
            {"scope": "all"}, {"name": "x" * 65}, {"name": "a\u202eb"}, {"lifetime_seconds": 0},
            {"lifetime_seconds": 366 * 86400}, {"lifetime_seconds": 1.5}, {"colour": "red"},
        ):  # fmt: skip
            self.assertEqual((await self.ask("POST", "/tokens", body))[0], 400, body)
        self.assertEqual((await self.ask("POST", "/tokens", {"username": "nobody"}))[0], 404)
        await self.ask("PATCH", "/users/eve", {"disabled": True})
        status, found = await self.ask("POST", "/tokens", {"username": "eve"})
        self.assertEqual((status, found["message"].partition(",")[0]), (400, "eve is disabled"))
        self.assertEqual(await self.fetch("SELECT count(*) FROM api_tokens"), [(0,)])

    async def test_what_is_no_id_is_not_there(self) -> None:
        for identifier in ("nonsense", "0" * 12, "%00"):
            for method in ("GET", "DELETE"):
                status, _ = await self.ask(method, f"/tokens/{identifier}")
                self.assertEqual(status, 404, identifier)
