"""Users and tokens in a real database, and the directory that follows them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import structlog
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from bridge.auth.directory import TokenDirectory
from bridge.auth.token import NewToken, new_token
from bridge.deferreds import limited
from bridge.domain.clock import utc
from bridge.domain.errors import Unauthenticated
from bridge.domain.identity import Role, Scope
from bridge.domain.ids import uuid7
from bridge.domain.tokens import IssuedTokens, Token, User
from bridge.store import identity
from bridge.store.errors import StoreError
from bridge.store.pool import Cursor, Pool
from tests.support.postgres import StoreTestCase

T = TypeVar("T")

NOW = 1_790_000_000.0
LONG_AGO = utc(0)


def user(username: str = "alice", *roles: Role) -> User:
    return User(
        id=uuid7(NOW),
        username=username,
        roles=frozenset(roles or (Role.MEMBER,)),
        created_at=utc(NOW),
    )


def token(
    owner: User, new: NewToken, *, created: datetime | None = None, days: float = 90
) -> Token:
    created = created or utc(NOW)
    return Token(
        id=new.id,
        digest=new.digest,
        user_id=owner.id,
        username=owner.username,
        name="laptop",
        scope=Scope.INFERENCE,
        created_at=created,
        expires_at=created + timedelta(days=days),
    )


class IdentityCase(StoreTestCase):
    async def do(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call one of the module's functions in a transaction of its own."""
        return await self.pool.transaction(lambda cursor: function(cursor, *args, **options))

    async def created(self, owner: User, *new: NewToken) -> None:
        await self.do(identity.create_user, owner)
        for each in new:
            await self.do(identity.create_token, token(owner, each))


class UserTests(IdentityCase):
    async def test_a_user_is_read_back_as_created(self) -> None:
        """Every field."""
        alice = user("alice", Role.OWNER, Role.AUDITOR)
        await self.created(alice)

        self.assertEqual(await self.do(identity.user_named, "alice"), alice)
        self.assertEqual(await self.do(identity.users), (alice,))

    async def test_a_name_is_given_once(self) -> None:
        """The second is not created, and nothing is changed."""
        await self.created(user())

        self.assertFalse(await self.do(identity.create_user, user()))
        self.assertEqual(len(await self.do(identity.users)), 1)

    async def test_a_deleted_user_frees_the_name_and_keeps_its_row(self) -> None:
        """Records name its id for ever."""
        first, second, new = user(), user(), new_token()
        await self.created(first, new)

        self.assertTrue(await self.do(identity.delete_user, "alice", utc(NOW + 1)))
        await self.created(second)

        self.assertEqual((await self.do(identity.user_named, "alice")).id, second.id)
        every = await self.do(identity.users, deleted_too=True)
        self.assertEqual({each.id for each in every}, {first.id, second.id})
        (revoked,) = await self.fetch("SELECT revoked_at FROM api_tokens WHERE id = %s", new.id)
        self.assertEqual(revoked[0], utc(NOW + 1))

    async def test_disabling_twice_keeps_the_first_time(self) -> None:
        """The answer says since when."""
        await self.created(user())
        await self.do(identity.disable_user, "alice", utc(NOW + 1))
        await self.do(identity.disable_user, "alice", utc(NOW + 2))

        self.assertEqual((await self.do(identity.user_named, "alice")).disabled_at, utc(NOW + 1))

        await self.do(identity.enable_user, "alice")

        self.assertIsNone((await self.do(identity.user_named, "alice")).disabled_at)

    async def test_roles_are_replaced(self) -> None:
        """Exactly those."""
        await self.created(user("alice", Role.OWNER))

        await self.do(identity.set_roles, "alice", frozenset({Role.AUDITOR}))

        self.assertEqual((await self.do(identity.user_named, "alice")).roles, {Role.AUDITOR})

    async def test_nobody_can_be_changed(self) -> None:
        """Each change says that there is nobody."""
        at = utc(NOW)

        self.assertFalse(await self.do(identity.disable_user, "nobody", at))
        self.assertFalse(await self.do(identity.enable_user, "nobody"))
        self.assertFalse(await self.do(identity.delete_user, "nobody", at))
        self.assertFalse(await self.do(identity.set_roles, "nobody", frozenset({Role.OWNER})))

    async def test_a_name_against_the_rule_does_not_get_in(self) -> None:
        """The database is the last to look."""
        with self.assertRaises(StoreError):
            await self.do(identity.create_user, user("Alice!"))


class TokenTests(IdentityCase):
    async def test_the_value_of_a_token_meets_no_table(self) -> None:
        """Its digest does."""
        new = new_token()
        await self.created(user(), new)

        rows = await self.fetch("SELECT t::text, encode(t.digest, 'hex') FROM api_tokens t")

        self.assertNotIn(new.value.reveal()[17:], str(rows))
        self.assertIn(new.digest.hex(), str(rows))

    async def test_tokens_are_listed_by_user_and_age(self) -> None:
        """Those that are good, unless all are asked for."""
        alice, good, old = user(), new_token(), new_token()
        await self.created(alice, good)
        await self.do(
            identity.create_token, token(alice, old, created=utc(NOW - 86400 * 100), days=1)
        )

        listed = await self.do(identity.tokens_of, None, now=utc(NOW + 1))
        every = await self.do(identity.tokens_of, "alice", now=utc(NOW + 1), ended_too=True)

        self.assertEqual([each.id for each in listed], [good.id])
        self.assertEqual([each.id for each in every], [old.id, good.id])
        self.assertEqual(listed[0], token(alice, good))

    async def test_a_token_is_revoked_once(self) -> None:
        """The second time says so, and keeps the first time; an unknown one is told apart."""
        new = new_token()
        await self.created(user(), new)

        first = await self.do(identity.revoke_token, new.id, utc(NOW + 1))
        second = await self.do(identity.revoke_token, new.id, utc(NOW + 2))
        unknown = await self.do(identity.revoke_token, "0" * 12, utc(NOW + 2))

        self.assertEqual((first, second, unknown), (True, False, None))
        (listed,) = await self.do(identity.tokens_of, None, now=utc(NOW), ended_too=True)
        self.assertEqual(listed.revoked_at, utc(NOW + 1))

    async def test_all_tokens_of_a_user_are_revoked(self) -> None:
        """And nobody else's."""
        mine, also_mine, others = new_token(), new_token(), new_token()
        await self.created(user("alice"), mine, also_mine)
        await self.created(user("bob"), others)

        revoked = await self.do(identity.revoke_tokens_of, "alice", utc(NOW + 1))

        self.assertEqual(revoked, tuple(sorted((mine.id, also_mine.id))))
        left = await self.do(identity.tokens_of, None, now=utc(NOW + 1))
        self.assertEqual([each.id for each in left], [others.id])

    async def test_a_digest_of_another_length_does_not_get_in(self) -> None:
        """The database is the last to look."""
        await self.created(alice := user())
        broken = NewToken(id="0" * 12, value=new_token().value, digest=b"short")

        with self.assertRaises(StoreError):
            await self.do(identity.create_token, token(alice, broken))


class IssuedTests(IdentityCase):
    async def issued(self, known_version: int = -1) -> IssuedTokens | None:
        found: IssuedTokens | None = await self.do(identity.issued_tokens, known_version, LONG_AGO)
        return found

    async def version(self) -> int:
        found = await self.issued()
        assert found is not None
        return found.version

    async def test_nothing_is_read_while_nothing_changed(self) -> None:
        """The poll is one small question."""
        await self.created(user(), new_token())

        self.assertIsNone(await self.issued(await self.version()))

    async def test_every_change_is_a_new_version(self) -> None:
        """Roles, disabling, revoking: each is seen."""
        new = new_token()
        versions = [await self.version()]
        for change in (
            lambda: self.created(user(), new),
            lambda: self.do(identity.set_roles, "alice", frozenset({Role.OWNER})),
            lambda: self.do(identity.disable_user, "alice", utc(NOW)),
            lambda: self.do(identity.revoke_token, new.id, utc(NOW)),
            lambda: self.do(identity.delete_user, "alice", utc(NOW)),
        ):
            await change()
            versions.append(await self.version())

        self.assertEqual(versions, sorted(set(versions)))

    async def test_a_change_that_is_undone_is_none(self) -> None:
        """A failed transaction tells nobody."""
        before = await self.version()

        async def work(cursor: Cursor) -> None:
            await identity.create_user(cursor, user())
            raise ZeroDivisionError

        with self.assertRaises(ZeroDivisionError):
            await self.pool.transaction(work)

        self.assertEqual(await self.version(), before)

    async def test_a_token_comes_with_all_that_checking_needs(self) -> None:
        """Its user's roles and ends too."""
        alice, new = user("alice", Role.OWNER, Role.MEMBER), new_token()
        await self.created(alice, new)
        await self.do(identity.disable_user, "alice", utc(NOW + 5))

        found = await self.issued()

        assert found is not None
        (issued,) = found.tokens
        self.assertEqual((issued.id, issued.digest, issued.user_id), (new.id, new.digest, alice.id))
        self.assertEqual(issued.roles, (Role.MEMBER, Role.OWNER))
        self.assertEqual((issued.disabled_at, issued.revoked_at), (NOW + 5, None))
        self.assertEqual(issued.expires_at, NOW + 90 * 86400)

    async def test_tokens_that_ended_long_ago_are_left_out(self) -> None:
        """Memory does not grow with every token there ever was."""
        await self.created(user(), new_token())

        found = await self.do(identity.issued_tokens, -1, utc(NOW + 91 * 86400))

        self.assertEqual(found.tokens, ())


class FirstStartTests(IdentityCase):
    async def first(self, pool: Pool, called: list[str]) -> bool:
        admin, new = user("admin", Role.OWNER), new_token()
        return await pool.transaction(
            lambda cursor: identity.create_first(
                cursor, admin, [token(admin, new)], lambda: called.append(new.id)
            )
        )

    async def test_of_bridges_that_start_together_one_is_first(self) -> None:
        """The others find somebody."""
        called: list[str] = []
        starting = [
            Deferred.fromCoroutine(self.first(self.new_pool_started(), called)) for _ in range(3)
        ]

        done = [await each for each in starting]

        self.assertEqual(sorted(done), [False, False, True])
        rows = await self.fetch("SELECT id FROM api_tokens")
        self.assertEqual([row[0] for row in rows], called)

    async def test_files_that_cannot_be_written_undo_it(self) -> None:
        """Tokens whose values nobody has are of no use."""

        def full() -> None:
            raise OSError(28, "No space left on device")

        with self.assertRaises(OSError):
            await self.do(identity.create_first, user("admin"), [], full)

        self.assertEqual(await self.do(identity.users), ())

    async def test_after_everybody_was_deleted_it_is_not_the_first_start(self) -> None:
        """Deleting the last user does not make a new administrator."""
        await self.created(user())
        await self.do(identity.delete_user, "alice", utc(NOW))

        self.assertFalse(await self.first(self.pool, []))

    def new_pool_started(self) -> Pool:
        pool = self.new_pool()
        pool._started = True
        return pool


class DirectoryTests(IdentityCase):
    """The directory on a real database."""

    async def setUp(self) -> None:
        await super().setUp()
        holder = tempfile.TemporaryDirectory(prefix="aibridge-test-")
        self.addCleanup(holder.cleanup)
        self.snapshot = Path(holder.name) / "tokens.snapshot"
        self.new = new_token()
        now = utc(float(reactor.seconds()))
        self.alice = user()
        await self.do(identity.create_user, self.alice)
        await self.do(identity.create_token, token(self.alice, self.new, created=now))
        self.value = self.new.value.reveal()

    async def directory(self, pool: Pool) -> TokenDirectory:
        async def load(known_version: int) -> IssuedTokens | None:
            return await pool.transaction(
                lambda cursor: identity.issued_tokens(cursor, known_version, LONG_AGO)
            )

        async def at_once(work: Callable[[], None]) -> None:
            work()

        directory = TokenDirectory(
            snapshot=self.snapshot,
            loader=load,
            reactor=reactor,
            log=structlog.get_logger("test"),
            offline_grace=86400.0,
            in_thread=at_once,
            subscribe=lambda callback: pool.listen(identity.CHANNEL, callback),
        )
        await directory.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(directory.stop()))
        return directory

    def next_change(self, directory: TokenDirectory) -> Deferred[None]:
        told: Deferred[None] = Deferred()

        def once() -> None:
            directory.changed.remove(once)
            told.callback(None)

        directory.changed.append(once)
        return limited(told, 5.0, reactor, AssertionError)

    async def test_a_token_revoked_under_load_is_refused_within_a_second(self) -> None:
        """While requests come all the time, and every one before it was let in."""
        directory = await self.directory(self.pool)
        actor = directory.identify(self.value)
        answers: list[str] = []

        def ask() -> None:
            try:
                answers.append(directory.identify(self.value).username)
            except Unauthenticated as refusal:
                answers.append(refusal.message)

        load = LoopingCall(ask)
        load.clock = reactor
        running = load.start(0.002)
        told = self.next_change(directory)
        revoked_at = float(reactor.seconds())
        await self.do(identity.revoke_token, self.new.id, utc(revoked_at))
        await told
        took = float(reactor.seconds()) - revoked_at
        ask()
        load.stop()
        await running

        self.assertLess(took, 1.0)
        self.assertIn(f"The AI Bridge token {self.new.id} was revoked on", answers[-1])
        self.assertEqual(len(set(answers)), 2)
        self.assertFalse(directory.valid(actor, float(reactor.seconds())))

    async def test_a_token_made_while_running_is_known_within_a_second(self) -> None:
        """Who just got a token can use it."""
        directory = await self.directory(self.pool)
        another = new_token()
        told = self.next_change(directory)
        made_at = float(reactor.seconds())

        await self.do(identity.create_token, token(self.alice, another, created=utc(made_at)))
        await told

        self.assertEqual(directory.identify(another.value.reveal()).username, "alice")
        self.assertLess(float(reactor.seconds()) - made_at, 1.0)

    async def test_a_restart_while_the_database_is_away_still_knows_everybody(self) -> None:
        """The snapshot is enough."""
        await (await self.directory(self.pool)).stop()
        away = self.new_pool(dsn="postgresql://nobody@127.0.0.1:1/nowhere")

        restarted = await self.directory(away)

        self.assertEqual(restarted.identify(self.value).username, "alice")
        self.assertTrue(restarted.ready)
