"""Users are made and changed, and every change is audited."""

from __future__ import annotations

from twisted.internet import reactor

from bridge.cli.user import (
    create_user,
    delete_user,
    disable_user,
    enable_user,
    list_users,
    roles_from,
    set_roles,
)
from bridge.domain.errors import BadRequest, NotFound, Unavailable
from bridge.domain.identity import Role
from tests.cli.running import CommandCase, RecordingSession
from tests.support.postgres import StoreTestCase

MEMBER = frozenset({Role.MEMBER})


class UserTests(StoreTestCase):
    """Needs the real reactor, because a real database is asked."""

    async def setUp(self) -> None:
        await super().setUp()
        self.session = RecordingSession(reactor=reactor, pool=self.pool)

    def audited(self) -> list[tuple[str, str]]:
        return [(record.action, record.target) for record in self.session.audited]

    async def names(self, *, deleted_too: bool = False) -> list[str]:
        found = await list_users(self.session, deleted_too=deleted_too)
        return [user.username for user in found]

    async def test_a_user_is_created_and_listed(self) -> None:
        """With its roles."""
        await create_user(self.session, "alice", frozenset({Role.OWNER, Role.AUDITOR}))

        (user,) = await list_users(self.session, deleted_too=False)

        self.assertEqual((user.username, user.roles), ("alice", {Role.OWNER, Role.AUDITOR}))
        (record,) = self.session.audited
        self.assertEqual((record.action, record.target), ("user.create", "alice"))
        self.assertEqual(record.detail, {"roles": ["auditor", "owner"]})
        self.assertEqual(record.source, "command line")

    async def test_a_name_is_taken_once(self) -> None:
        """And nothing is audited the second time."""
        await create_user(self.session, "alice", MEMBER)

        with self.assertRaises(BadRequest):
            await create_user(self.session, "alice", MEMBER)

        self.assertEqual(self.audited(), [("user.create", "alice")])

    async def test_a_name_against_the_rule_is_refused(self) -> None:
        """Before anything is asked."""
        with self.assertRaises(BadRequest) as refused:
            await create_user(self.session, "Alice", MEMBER)

        self.assertIn("a-z", refused.exception.message)

    async def test_a_user_is_disabled_enabled_and_deleted(self) -> None:
        """Each is audited."""
        await create_user(self.session, "alice", MEMBER)

        await disable_user(self.session, "alice")
        (disabled,) = await list_users(self.session, deleted_too=False)
        await enable_user(self.session, "alice")
        (enabled,) = await list_users(self.session, deleted_too=False)
        await delete_user(self.session, "alice")

        self.assertIsNotNone(disabled.disabled_at)
        self.assertIsNone(enabled.disabled_at)
        self.assertEqual(await self.names(), [])
        self.assertEqual(await self.names(deleted_too=True), ["alice"])
        self.assertEqual(
            [action for action, _ in self.audited()],
            ["user.create", "user.disable", "user.enable", "user.delete"],
        )

    async def test_roles_are_replaced(self) -> None:
        """And the record says by what."""
        await create_user(self.session, "alice", MEMBER)

        await set_roles(self.session, "alice", frozenset({Role.AUDITOR}))

        (user,) = await list_users(self.session, deleted_too=False)
        self.assertEqual(user.roles, {Role.AUDITOR})
        self.assertEqual(self.session.audited[-1].detail, {"roles": ["auditor"]})

    async def test_nobody_cannot_be_changed(self) -> None:
        """And nothing is audited."""
        with self.assertRaises(NotFound):
            await disable_user(self.session, "nobody")
        with self.assertRaises(NotFound):
            await enable_user(self.session, "nobody")
        with self.assertRaises(NotFound):
            await delete_user(self.session, "nobody")
        with self.assertRaises(NotFound):
            await set_roles(self.session, "nobody", MEMBER)

        self.assertEqual(self.audited(), [])

    async def test_what_cannot_be_recorded_is_not_done(self) -> None:
        """No change without its record."""
        self.session.full = True

        with self.assertRaises(Unavailable):
            await create_user(self.session, "alice", MEMBER)

        self.assertEqual(await self.names(), [])


class ArgumentTests(CommandCase):
    def test_an_unknown_role_is_refused(self) -> None:
        """With the known ones."""
        answer = self.call("user", "create", "alice", "--role", "boss")

        self.assertEqual(answer.exit_code, 2)
        self.assertIn("'owner', 'auditor', 'member'", answer.stderr)

    def test_a_user_has_at_least_one_role(self) -> None:
        """`set-role alice` alone is no change."""
        self.assertEqual(self.call("user", "set-role", "alice").exit_code, 2)

    def test_several_roles_are_a_set(self) -> None:
        """Twice the same is once."""
        self.assertEqual(roles_from(("owner", "owner")), {Role.OWNER})
