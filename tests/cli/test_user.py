"""Users are made and changed, and every change is audited."""

from __future__ import annotations

from twisted.internet import reactor

from bridge.cli.user import changing, creating, deleting, listing, roles_from
from bridge.domain.errors import BadRequest, Conflict, NotFound, Unavailable
from bridge.domain.identity import Role
from bridge.domain.tokens import ListedUser
from tests.cli.running import CommandCase, RecordingSession
from tests.support.postgres import StoreTestCase

MEMBER = frozenset({Role.MEMBER})


class UserTests(StoreTestCase):
    """Needs the real reactor, because a real database is asked."""

    async def setUp(self) -> None:
        await super().setUp()
        self.session = RecordingSession(reactor=reactor, pool=self.pool)

    async def create(self, name: str, roles: frozenset[Role] = MEMBER) -> None:
        await creating(name, roles).direct(self.session)

    async def users(self, *, deleted_too: bool = False) -> tuple[ListedUser, ...]:
        return tuple((await listing(deleted_too=deleted_too).direct(self.session)).users)

    def audited(self) -> list[tuple[str, str]]:
        return [(record.action, record.target) for record in self.session.audited]

    async def names(self, *, deleted_too: bool = False) -> list[str]:
        found = await self.users(deleted_too=deleted_too)
        return [user.username for user in found]

    async def test_a_user_is_created_and_listed(self) -> None:
        """With its roles."""
        await self.create("alice", frozenset({Role.OWNER, Role.AUDITOR}))

        (user,) = await self.users()

        self.assertEqual((user.username, user.roles), ("alice", (Role.AUDITOR, Role.OWNER)))
        (record,) = self.session.audited
        self.assertEqual((record.action, record.target), ("user.create", "alice"))
        self.assertEqual(record.detail, {"roles": ["auditor", "owner"], "user_id": str(user.id)})
        self.assertEqual(record.source, "command line")

    async def test_a_name_is_taken_once(self) -> None:
        """And nothing is audited the second time."""
        await self.create("alice", MEMBER)

        with self.assertRaises(Conflict):
            await self.create("alice", MEMBER)

        self.assertEqual(self.audited(), [("user.create", "alice")])

    async def test_a_name_against_the_rule_is_refused(self) -> None:
        """Before anything is asked."""
        with self.assertRaises(BadRequest) as refused:
            await self.create("Alice", MEMBER)

        self.assertIn("a-z", refused.exception.message)

    async def test_a_user_is_disabled_enabled_and_deleted(self) -> None:
        """Each is audited."""
        await self.create("alice", MEMBER)

        await changing("alice", disabled=True).direct(self.session)
        (disabled,) = await self.users()
        await changing("alice", disabled=False).direct(self.session)
        (enabled,) = await self.users()
        await deleting("alice").direct(self.session)

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
        await self.create("alice", MEMBER)

        await changing("alice", roles=frozenset({Role.AUDITOR})).direct(self.session)

        (user,) = await self.users()
        self.assertEqual(user.roles, (Role.AUDITOR,))
        self.assertEqual(
            self.session.audited[-1].detail, {"roles": ["auditor"], "user_id": str(user.id)}
        )

    async def test_nobody_cannot_be_changed(self) -> None:
        """And nothing is audited."""
        with self.assertRaises(NotFound):
            await changing("nobody", disabled=True).direct(self.session)
        with self.assertRaises(NotFound):
            await changing("nobody", disabled=False).direct(self.session)
        with self.assertRaises(NotFound):
            await deleting("nobody").direct(self.session)
        with self.assertRaises(NotFound):
            await changing("nobody", roles=MEMBER).direct(self.session)

        self.assertEqual(self.audited(), [])

    async def test_what_cannot_be_recorded_is_not_done(self) -> None:
        """No change without its record."""
        self.session.full = True

        with self.assertRaises(Unavailable):
            await self.create("alice", MEMBER)

        self.assertEqual(await self.names(), [])


class ArgumentTests(CommandCase):
    def test_an_unknown_role_is_refused(self) -> None:
        """With the known ones."""
        answer = self.call("user", "create", "alice", "--role", "boss")

        self.assertEqual(answer.exit_code, 2)
        self.assertIn("'owner', 'auditor', 'member'", answer.stderr)

    def test_a_name_that_nobody_may_have_is_wrong_usage(self) -> None:
        """Nothing was tried."""
        answer = self.call("user", "create", "Eve X")

        self.assertEqual((answer.exit_code, answer.stdout), (2, ""))
        self.assertIn("Error: ", answer.stderr)

    def test_a_user_has_at_least_one_role(self) -> None:
        """`set-role alice` alone is no change."""
        self.assertEqual(self.call("user", "set-role", "alice").exit_code, 2)

    def test_several_roles_are_a_set(self) -> None:
        """Twice the same is once."""
        self.assertEqual(roles_from(("owner", "owner")), {Role.OWNER})
