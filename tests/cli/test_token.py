"""Tokens are made, listed and revoked; a value is seen once, by whoever asked for it."""

from __future__ import annotations

from datetime import timedelta

from twisted.internet import reactor

from bridge.auth.token import digest_of, new_token, token_id
from bridge.cli.token import (
    creating,
    listing,
    revoking_all_of,
    revoking_one,
    token_id_from,
)
from bridge.cli.user import changing, deleting
from bridge.cli.user import creating as creating_user
from bridge.domain.errors import BadRequest, NotFound, Unavailable
from bridge.domain.identity import Role, Scope
from bridge.store.accounts import MadeToken
from tests.cli.running import CommandCase, RecordingSession
from tests.support.cases import BridgeTestCase
from tests.support.postgres import StoreTestCase

DAY = 86400.0


class TokenTests(StoreTestCase):
    """Needs the real reactor, because a real database is asked."""

    async def setUp(self) -> None:
        await super().setUp()
        self.session = RecordingSession(reactor=reactor, pool=self.pool)
        await self.create_user("alice")

    async def create_user(self, name: str) -> None:
        await creating_user(name, frozenset({Role.MEMBER})).direct(self.session)

    async def create(self, username: str = "alice", name: str = "") -> MadeToken:
        question = creating(username, scope=Scope.INFERENCE, name=name, lifetime=30 * DAY)
        return await question.direct(self.session)

    async def revoke(self, identifier: str) -> list[str]:
        return list((await revoking_one(identifier).direct(self.session)).revoked)

    async def states(self, *, ended_too: bool = True) -> dict[str, str]:
        found = await listing(None, ended_too=ended_too).direct(self.session)
        return {listed.id: listed.state for listed in found.tokens}

    async def test_a_token_is_made(self) -> None:
        """Its value belongs to its id and digest, and lives for as long as asked."""
        token = await self.create(name="laptop")

        self.assertEqual(token_id(token.value), token.id)
        (row,) = await self.fetch("SELECT digest, name, scope FROM api_tokens")
        self.assertEqual((bytes(row[0]), *row[1:]), (digest_of(token.value), "laptop", "inference"))
        self.assertEqual(token.expires_at - token.created_at, timedelta(days=30))

    async def test_a_token_is_audited_without_its_value(self) -> None:
        """Whose, what for, how long."""
        token = await self.create(name="laptop")

        record = self.session.audited[-1]
        self.assertEqual((record.action, record.target), ("token.create", token.id))
        self.assertEqual(record.detail["user"], "alice")
        self.assertNotIn(token.value[17:], repr(record))

    async def test_a_token_for_nobody_is_refused(self) -> None:
        """The sentence says how to make somebody."""
        with self.assertRaises(NotFound) as refused:
            await self.create("nobody")

        self.assertIn("aibridge user create", refused.exception.message)

    async def test_what_cannot_be_recorded_is_not_made(self) -> None:
        """No token without its record."""
        self.session.full = True

        with self.assertRaises(Unavailable):
            await self.create()

        self.assertEqual(await self.states(), {})

    async def test_a_list_says_why_a_token_is_no_good(self) -> None:
        """Revoked, or its user disabled or deleted."""
        await self.create_user("bob")
        await self.create_user("eve")
        good = await self.create()
        revoked = await self.create()
        disabled = await self.create("bob")
        deleted = await self.create("eve")
        await self.revoke(revoked.id)
        await changing("bob", disabled=True).direct(self.session)
        await deleting("eve").direct(self.session)

        self.assertEqual(
            await self.states(),
            {
                good.id: "good",
                revoked.id: "revoked",
                disabled.id: "user disabled",
                deleted.id: "revoked",
            },
        )
        self.assertEqual(await self.states(ended_too=False), {good.id: "good"})

    async def test_a_token_is_revoked_and_audited_once(self) -> None:
        """A second time changes nothing."""
        token = await self.create()

        self.assertEqual(await self.revoke(token.id), [token.id])
        self.assertEqual(await self.revoke(token.id), [])

        actions = [(each.action, each.target) for each in self.session.audited]
        self.assertEqual(actions.count(("token.revoke", token.id)), 1)

    async def test_an_unknown_token_is_not_revoked(self) -> None:
        """A typo is told."""
        with self.assertRaises(NotFound):
            await self.revoke("0" * 12)

    async def test_all_tokens_of_a_user_are_revoked_and_audited(self) -> None:
        """A record for each."""
        tokens = {(await self.create()).id for _ in range(2)}

        done = await revoking_all_of("alice").direct(self.session)
        self.assertEqual(set(done.revoked), tokens)

        revoked = {each.target for each in self.session.audited if each.action == "token.revoke"}
        self.assertEqual(revoked, tokens)

    async def test_tokens_of_nobody_are_not_revoked(self) -> None:
        """A typo is told."""
        with self.assertRaises(NotFound):
            await revoking_all_of("nobody").direct(self.session)


class ArgumentTests(CommandCase):
    def test_too_long_a_lifetime_is_refused(self) -> None:
        """With the limit and its option."""
        answer = self.call("token", "create", "--user", "alice", "--lifetime", "500d")

        self.assertEqual(answer.exit_code, 2)
        self.assertIn("at most 365d (tokens.max_lifetime)", answer.stderr)

    def test_a_lifetime_that_is_none_is_refused(self) -> None:
        """With an example."""
        answer = self.call("token", "create", "--user", "alice", "--lifetime", "soon")

        self.assertIn("--lifetime: 'soon' is not a duration", answer.stderr)
        self.assertEqual((answer.exit_code, answer.stdout), (2, ""))

    def test_revoking_nothing_is_refused(self) -> None:
        """An id or a user."""
        self.assertEqual(self.call("token", "revoke").exit_code, 2)

    def test_revoking_an_id_and_a_user_is_refused(self) -> None:
        """Not both."""
        self.assertEqual(self.call("token", "revoke", "0" * 12, "--user", "a").exit_code, 2)


class IdTests(BridgeTestCase):
    def test_an_id_is_one(self) -> None:
        """As listed."""
        self.assertEqual(token_id_from("0" * 12), "0" * 12)

    def test_a_whole_token_is_known_by_its_id(self) -> None:
        """Whoever found one can revoke it."""
        made = new_token()

        self.assertEqual(token_id_from(made.value.reveal()), made.id)

    def test_a_token_cut_short_is_not_repeated(self) -> None:
        """Most of a secret is a secret."""
        value = new_token().value.reveal()[:-5]

        refused = self.assertRaises(BadRequest, token_id_from, value)

        self.assertNotIn(value[17:], refused.message)
        self.assertIn("cut or mistyped", refused.message)
