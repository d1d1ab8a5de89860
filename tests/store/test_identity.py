"""Users and tokens in the database, and how a change of them is told."""

from __future__ import annotations

from datetime import timedelta

from twisted.internet.defer import Deferred, gatherResults

from bridge.auth.token import new_token
from bridge.domain.clock import utc
from bridge.domain.identity import Role, Scope
from bridge.domain.ids import uuid7
from bridge.domain.tokens import Token, User
from bridge.store import identity
from tests.support.postgres import StoreTestCase

_NOW = utc(1_790_000_000.0)


class IdentityTests(StoreTestCase):
    """Every function of the module, on real tables."""

    async def test_user_comes_back_as_it_was_created(self) -> None:
        user = _user("alice", Role.OWNER, Role.AUDITOR)

        created = await self.pool.transaction(lambda c: identity.create_user(c, user))

        found = await self.pool.transaction(lambda c: identity.user_named(c, "alice"))
        self.assertTrue(created)
        self.assertEqual(found, user)

    async def test_name_is_taken_until_its_user_is_deleted(self) -> None:
        await self.create(_user("alice"))

        self.assertFalse(await self.create(_user("alice")))
        await self.pool.transaction(lambda c: identity.delete_user(c, "alice", _NOW))

        self.assertTrue(await self.create(_user("alice")))
        everybody = await self.pool.transaction(lambda c: identity.users(c, deleted_too=True))
        self.assertEqual([user.username for user in everybody], ["alice", "alice"])

    async def test_issued_tokens_are_given_once_for_each_change(self) -> None:
        user = _user("alice")
        token = _token(user)
        await self.create(user, token)

        issued = await self.issued(-1)
        assert issued is not None
        self.assertEqual([each.id for each in issued.tokens], [token.id])
        self.assertEqual(issued.tokens[0].digest, token.digest)
        self.assertEqual(issued.tokens[0].user_id, user.id)
        self.assertIsNone(await self.issued(issued.version))

        await self.pool.transaction(lambda c: identity.disable_user(c, "alice", _NOW))
        changed = await self.issued(issued.version)
        assert changed is not None
        self.assertEqual(changed.tokens[0].disabled_at, _NOW.timestamp())

    async def test_revoking_says_what_it_found(self) -> None:
        user = _user("alice")
        token = _token(user)
        await self.create(user, token)

        def revoke(identifier: str) -> Deferred:
            work = self.pool.transaction(lambda c: identity.revoke_token(c, identifier, _NOW))
            return Deferred.fromCoroutine(work)

        self.assertIs(await revoke(token.id), True)
        self.assertIs(await revoke(token.id), False)
        self.assertIsNone(await revoke("zzzzzzzzzzzz"))
        good = await self.pool.transaction(lambda c: identity.tokens_of(c, "alice", now=_NOW))
        self.assertEqual(good, ())

    async def test_deleting_a_user_revokes_its_tokens(self) -> None:
        user = _user("alice")
        await self.create(user, _token(user), _token(user))

        await self.pool.transaction(lambda c: identity.delete_user(c, "alice", _NOW))

        tokens = await self.pool.transaction(
            lambda c: identity.tokens_of(c, "alice", now=_NOW, ended_too=True)
        )
        self.assertEqual([token.revoked_at for token in tokens], [_NOW, _NOW])

    async def test_roles_are_replaced(self) -> None:
        await self.create(_user("alice"))
        roles = frozenset({Role.AUDITOR})

        await self.pool.transaction(lambda c: identity.set_roles(c, "alice", roles))

        found = await self.pool.transaction(lambda c: identity.user_named(c, "alice"))
        assert found is not None
        self.assertEqual(found.roles, roles)

    async def test_first_user_is_made_by_one_of_several_bridges(self) -> None:
        def bootstrap() -> Deferred:
            user = _user("admin", Role.OWNER)
            tokens = (_token(user),)
            work = self.pool.transaction(
                lambda c: identity.create_first(c, user, tokens, lambda: None)
            )
            return Deferred.fromCoroutine(work)

        done = await gatherResults([bootstrap() for _ in range(3)])

        self.assertEqual(sorted(done), [False, False, True])
        self.assertEqual(await self.fetch("SELECT count(*) FROM api_tokens"), [(1,)])

    async def test_failing_last_step_undoes_the_first_user(self) -> None:
        def fail() -> None:
            raise OSError("disk full")

        user = _user("admin", Role.OWNER)
        failing = self.pool.transaction(lambda c: identity.create_first(c, user, (), fail))

        await self.assertFailure(Deferred.fromCoroutine(failing), OSError)
        self.assertEqual(await self.fetch("SELECT count(*) FROM users"), [(0,)])

    async def test_change_is_told_at_once(self) -> None:
        listening: Deferred[None] = Deferred()
        told: Deferred[None] = Deferred()
        expected = [listening, told]
        self.pool.listen(identity.CHANNEL, lambda: expected.pop(0).callback(None))
        await listening

        await self.create(_user("alice"))

        await told

    async def create(self, user: User, *tokens: Token) -> bool:
        async def work(cursor: identity.Cursor) -> bool:
            created = await identity.create_user(cursor, user)
            for token in tokens:
                await identity.create_token(cursor, token)
            return created

        return await self.pool.transaction(work)

    async def issued(self, version: int) -> identity.IssuedTokens | None:
        since = _NOW - timedelta(days=1)
        return await self.pool.transaction(
            lambda c: identity.issued_tokens(c, version, since), read_only=True
        )


def _user(name: str, *roles: Role) -> User:
    return User(
        id=uuid7(_NOW.timestamp()),
        username=name,
        roles=frozenset(roles or {Role.MEMBER}),
        created_at=_NOW,
    )


def _token(user: User) -> Token:
    made = new_token()
    return Token(
        id=made.id,
        digest=made.digest,
        user_id=user.id,
        username=user.username,
        name="laptop",
        scope=Scope.INFERENCE,
        created_at=_NOW,
        expires_at=_NOW + timedelta(days=90),
    )
