"""Tokens are known without the database, and their changes take effect."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog
from structlog.testing import CapturingLogger
from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred

from bridge.auth.authentication import NOT_VALID
from bridge.auth.directory import POLL_SECONDS, TokenDirectory
from bridge.auth.token import new_token
from bridge.domain.errors import Unauthenticated, Unavailable
from bridge.domain.identity import Holder, Role, Scope
from tests.auth.issued import NOW, FakeDatabase, issue
from tests.support.cases import BridgeTestCase

GRACE = 86400.0


async def at_once(work: Callable[[], None]) -> None:
    work()


class DirectoryCase(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = self.temporary_directory() / "tokens.snapshot"
        self.log = CapturingLogger()
        self.new, self.issued = issue()
        self.value = self.new.value.reveal()
        self.database = FakeDatabase(self.issued)

    def build(
        self,
        database: FakeDatabase | None = None,
        *,
        grace: float = GRACE,
        in_thread: Callable[[Callable[[], None]], object] = at_once,
    ) -> TokenDirectory:
        database = database or self.database
        bound: FilteringBoundLogger = structlog.wrap_logger(
            self.log,
            processors=[lambda _, __, event: event],
            wrapper_class=structlog.make_filtering_bound_logger(0),
        )
        return TokenDirectory(
            snapshot=self.path,
            loader=database.load,
            reactor=self.clock,
            log=bound,
            offline_grace=grace,
            in_thread=in_thread,  # type: ignore[arg-type]  # one test needs a bad one
            subscribe=database.subscribe,
        )

    def started(
        self, database: FakeDatabase | None = None, *, grace: float = GRACE
    ) -> TokenDirectory:
        directory = self.build(database, grace=grace)
        self.result_of(directory.start())
        self.addCleanup(lambda: self.result_of(directory.stop()))
        return directory

    def away(self) -> FakeDatabase:
        database = FakeDatabase()
        database.away = True
        return database

    def refusal(self, directory: TokenDirectory, value: str | None = None) -> str:
        sent = self.value if value is None else value
        return self.assertRaises(Unauthenticated, directory.identify, sent).message


class IdentifyTests(DirectoryCase):
    def test_a_good_token_names_its_user(self) -> None:
        """Whoever sends a good token is its user, with roles, scope and end."""
        actor = self.started().identify(self.value)

        self.assertEqual(
            (actor.id, actor.username, actor.token_id, actor.scope, actor.expires_at),
            (self.issued.user_id, "alice", self.new.id, Scope.INFERENCE, self.issued.expires_at),
        )
        self.assertEqual(actor.roles, {Role.AUDITOR, Role.MEMBER})

    def test_unknown_wrong_and_malformed_are_told_the_same(self) -> None:
        """The answer does not say which ids exist."""
        directory = self.started()
        other = new_token().value.reveal()
        forged = new_token()
        same_id = self.forge(self.new.id)

        answers = {
            self.refusal(directory, value)
            for value in (other, same_id, forged.value.reveal()[:-1], "x" * 70, "")
        }

        self.assertEqual(answers, {NOT_VALID})

    def test_a_wrong_secret_learns_nothing_of_an_ended_token(self) -> None:
        """That a token was revoked is told only to who has its secret."""
        ended = msgspec.structs.replace(self.issued, revoked_at=NOW - 60)
        directory = self.started(FakeDatabase(ended))

        self.assertEqual(self.refusal(directory, self.forge(self.new.id)), NOT_VALID)

    def test_no_question_is_asked_for_unknown_tokens(self) -> None:
        """A flood of made-up tokens does not reach the database."""
        directory = self.started()
        before = self.database.asked

        for _ in range(10):
            self.refusal(directory, new_token().value.reveal())

        self.assertEqual(self.database.asked, before)

    def test_an_expired_token_is_told_since_when_and_what_to_do(self) -> None:
        """Expiry is checked at each request, without a reload."""
        directory = self.started()
        directory.identify(self.value)

        self.clock.rightNow = NOW + 86400

        message = self.refusal(directory)
        self.assertIn("expired on 2026-09-22 14:13 UTC", message)
        self.assertIn("aibridge token create --user alice", message)
        self.assertIn(self.new.id, message)

    def test_a_revoked_token_is_told_since_when_and_what_to_do(self) -> None:
        """Whoever has the secret of a revoked token is told."""
        self.database.tokens = (msgspec.structs.replace(self.issued, revoked_at=NOW - 60),)

        message = self.refusal(self.started())

        self.assertIn("revoked on 2026-09-21 14:12 UTC", message)
        self.assertIn("ask an administrator", message)

    def test_a_disabled_user_is_told_since_when_and_what_to_do(self) -> None:
        """Whoever has a token of a disabled user is told."""
        self.database.tokens = (msgspec.structs.replace(self.issued, disabled_at=NOW - 60),)

        message = self.refusal(self.started())

        self.assertIn("alice was disabled on 2026-09-21 14:12 UTC", message)
        self.assertIn("enable", message)

    def test_a_deleted_user_is_told(self) -> None:
        """Whoever has a token of a deleted user is told that, not that it was revoked."""
        deleted = msgspec.structs.replace(self.issued, deleted_at=NOW - 60, revoked_at=NOW - 60)
        self.database.tokens = (deleted,)

        self.assertIn("alice was deleted on", self.refusal(self.started()))

    def test_of_a_token_that_was_good_once_the_audit_log_is_told_whose_it_is(self) -> None:
        """Of one that was never good nothing is known."""
        directory = self.started()
        never = self.assertRaises(Unauthenticated, directory.identify, new_token().value.reveal())
        self.clock.rightNow = NOW + 86400

        once = self.assertRaises(Unauthenticated, directory.identify, self.value)

        self.assertIsNone(never.holder)
        self.assertEqual(once.holder, Holder(user_id=self.issued.user_id, username="alice"))

    def forge(self, identifier: str) -> str:
        """Return a well-formed token with another's id and a secret of its own."""
        made = new_token(bytes).value.reveal()
        forged = f"aib_{identifier}_{made[17:-6]}"
        checksum = new_checksum(forged)
        return forged + checksum


def new_checksum(body: str) -> str:
    import zlib

    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number = zlib.crc32(body.encode())
    return "".join(digits[number // 62**n % 62] for n in reversed(range(6)))


class ChangeTests(DirectoryCase):
    def test_a_revocation_takes_effect_at_its_notification(self) -> None:
        """A revoked token is refused as soon as the database has told us."""
        directory = self.started()

        self.database.change(msgspec.structs.replace(self.issued, revoked_at=NOW))

        self.assertIn("revoked", self.refusal(directory))

    def test_a_revocation_whose_notification_got_lost_takes_effect_by_polling(self) -> None:
        """At most 30 seconds later it is refused all the same."""
        directory = self.started()
        self.database.change(msgspec.structs.replace(self.issued, revoked_at=NOW), notify=False)

        self.clock.advance(POLL_SECONDS)

        self.assertIn("revoked", self.refusal(directory))

    def test_a_new_token_works_at_its_notification(self) -> None:
        """A token just made can be used."""
        directory = self.started()
        new, issued = issue("bob")

        self.database.change(self.issued, issued)

        self.assertEqual(directory.identify(new.value.reveal()).username, "bob")

    def test_polling_without_a_change_reads_no_tokens(self) -> None:
        """With many tokens and no changes, the poll is one small question."""
        self.started()

        self.clock.pump([POLL_SECONDS] * 5)

        self.assertEqual((self.database.asked, self.database.full_answers), (6, 1))

    def test_a_change_during_a_reload_is_not_missed(self) -> None:
        """A notification that comes while an older answer is under way leads to a new question."""
        directory = self.started()
        self.database.slow = slow = Deferred()
        self.database.change(self.issued)
        self.database.change(msgspec.structs.replace(self.issued, revoked_at=NOW))
        directory.identify(self.value)

        self.database.slow = None
        slow.callback(None)

        self.assertIn("revoked", self.refusal(directory))

    def test_a_revocation_under_load_is_told_to_live_streams_at_once(self) -> None:
        """Of many who ask all the time, only the revoked one is refused and loses its answers."""
        others = [issue(f"user-{n}") for n in range(50)]
        self.database.tokens = (self.issued, *(issued for _, issued in others))
        directory = self.started()
        everybody = [self.value, *(new.value.reveal() for new, _ in others)]
        live = [directory.identify(value) for value in everybody]
        ended: list[str] = []
        directory.changed.append(
            lambda: ended.extend(
                actor.username for actor in live if not directory.valid(actor, self.clock.seconds())
            )
        )

        self.database.change(
            msgspec.structs.replace(self.issued, revoked_at=NOW), *self.database.tokens[1:]
        )

        self.assertEqual(ended, ["alice"])
        self.assertIn("revoked", self.refusal(directory))
        self.assertEqual(len([directory.identify(value) for value in everybody[1:]]), 50)

    def test_a_revocation_whose_notification_got_lost_ends_live_streams_within_a_minute(
        self,
    ) -> None:
        """The poll tells them."""
        directory = self.started()
        actor = directory.identify(self.value)
        ended: list[float] = []
        directory.changed.append(
            lambda: ended.extend(
                [] if directory.valid(actor, self.clock.seconds()) else [self.clock.seconds()]
            )
        )
        self.database.change(msgspec.structs.replace(self.issued, revoked_at=NOW), notify=False)

        self.clock.pump([1.0] * 60)

        self.assertEqual(len(ended), 1)
        self.assertLessEqual(ended[0] - NOW, 60)

    def test_listeners_are_told_of_changes_only(self) -> None:
        """Live streams are looked at again after a change, not after every poll."""
        directory = self.started()
        told: list[int] = []
        directory.changed.append(lambda: told.append(directory.count))

        self.clock.advance(POLL_SECONDS)
        self.database.change(self.issued, issue()[1])

        self.assertEqual(told, [2])

    def test_what_is_known_stays_while_the_database_is_away(self) -> None:
        """An outage changes nothing for those who are known, however long it lasts."""
        directory = self.started()
        new, issued = issue(lifetime=40 * 86400)
        self.database.change(issued)
        self.database.away = True

        self.clock.pump([POLL_SECONDS, 10 * GRACE])

        self.assertEqual(directory.identify(new.value.reveal()).username, "alice")
        self.assertTrue(directory.ready)

    def test_an_outage_is_logged_without_stopping_the_poll(self) -> None:
        """An operator sees it, and the end of the outage is noticed."""
        directory = self.started()
        self.database.away = True
        self.clock.advance(POLL_SECONDS)
        self.database.away = False
        self.database.change(notify=False)

        self.clock.advance(POLL_SECONDS)

        self.assertIn("tokens not refreshed", [call.kwargs.get("event") for call in self.log.calls])
        self.assertEqual(self.refusal(directory), NOT_VALID)


class ValidTests(DirectoryCase):
    def test_an_actor_whose_token_is_good_is_valid(self) -> None:
        """A running stream of a good token goes on."""
        directory = self.started()

        self.assertTrue(directory.valid(directory.identify(self.value), NOW + 1))

    def test_an_actor_whose_token_was_revoked_is_not(self) -> None:
        """A running stream of a revoked token is to be closed."""
        directory = self.started()
        actor = directory.identify(self.value)

        self.database.change(msgspec.structs.replace(self.issued, revoked_at=NOW))

        self.assertFalse(directory.valid(actor, NOW + 1))

    def test_an_actor_whose_user_was_disabled_is_not(self) -> None:
        """Disabling a user ends what runs."""
        directory = self.started()
        actor = directory.identify(self.value)

        self.database.change(msgspec.structs.replace(self.issued, disabled_at=NOW))

        self.assertFalse(directory.valid(actor, NOW + 1))

    def test_an_actor_whose_token_expired_is_not(self) -> None:
        """A stream does not outlive its token."""
        directory = self.started()
        actor = directory.identify(self.value)

        self.assertFalse(directory.valid(actor, NOW + 86400))

    def test_an_actor_whose_token_is_gone_is_not(self) -> None:
        """A token that was erased from the database is as good as revoked."""
        directory = self.started()
        actor = directory.identify(self.value)

        self.database.change()

        self.assertFalse(directory.valid(actor, NOW + 1))


class UndiminishedTests(DirectoryCase):
    def undiminished_after(self, **changes: object) -> bool:
        """Say whether somebody may still do all that they might, after a change of their token."""
        directory = self.started()
        actor = directory.identify(self.value)
        self.database.change(msgspec.structs.replace(self.issued, **changes))
        return directory.undiminished(actor, NOW + 1)

    def test_who_keeps_what_they_had_is(self) -> None:
        self.assertTrue(self.undiminished_after(roles=(*self.issued.roles, Role.OWNER)))

    def test_who_lost_a_role_is_not(self) -> None:
        """An export of everybody's records ends when its reader is no auditor any more."""
        self.assertFalse(self.undiminished_after(roles=()))

    def test_whose_token_was_revoked_is_not(self) -> None:
        self.assertFalse(self.undiminished_after(revoked_at=NOW))

    def test_while_nobody_can_be_known_everybody_is(self) -> None:
        """What runs is ended by a revocation, not by doubt."""
        directory = self.started()
        actor = directory.identify(self.value)
        unsure = self.build()

        self.assertFalse(unsure.ready)
        self.assertTrue(unsure.undiminished(actor, NOW + 1))


class SnapshotTests(DirectoryCase):
    def test_a_restart_while_the_database_is_away_still_knows_everybody(self) -> None:
        """The token works after a restart without Postgres."""
        self.started()
        self.clock.advance(GRACE / 2)
        self.database.away = True

        again = self.started(self.away())

        self.assertEqual(again.identify(self.value).username, "alice")
        self.assertTrue(again.ready)

    def test_the_snapshot_counts_before_the_database_answers(self) -> None:
        """A start does not wait for a slow database."""
        self.started()
        slow = FakeDatabase(self.issued)
        slow.slow = Deferred()
        directory = self.build(slow)

        starting = Deferred.fromCoroutine(directory.start())

        self.assertEqual(directory.identify(self.value).username, "alice")
        slow.slow.callback(None)
        self.successResultOf(starting)
        self.result_of(directory.stop())

    def test_a_revocation_known_before_the_restart_still_counts(self) -> None:
        """The snapshot follows every change."""
        self.started()
        self.database.change(msgspec.structs.replace(self.issued, revoked_at=NOW))

        self.assertIn("revoked", self.refusal(self.started(self.away())))

    def test_the_grace_ends(self) -> None:
        """After a day without the database a restarted bridge trusts its snapshot no longer."""
        self.started()
        self.clock.advance(1)
        again = self.started(self.away(), grace=GRACE)

        self.clock.advance(GRACE)

        error = self.assertRaises(Unavailable, again.identify, self.value)
        self.assertEqual((error.status, error.retry_after), (503, 10.0))
        self.assertFalse(again.ready)

    def test_restarts_do_not_prolong_the_grace(self) -> None:
        """It counts from the last word of the database, not from the last start."""
        self.result_of(self.build().start())
        self.clock.advance(0)
        for _ in range(3):
            self.clock.rightNow += GRACE / 2
            last = self.build(self.away())
            last.load_snapshot()

        self.assertRaises(Unavailable, last.identify, self.value)

    def test_the_database_ends_a_grace_that_ran_out(self) -> None:
        """As soon as the database is back, so is everybody."""
        self.started()
        self.clock.rightNow += 2 * GRACE
        back = FakeDatabase(msgspec.structs.replace(self.issued, expires_at=NOW + 9 * GRACE))
        back.away = True
        again = self.started(back)
        self.assertFalse(again.ready)

        back.away = False
        self.clock.advance(POLL_SECONDS)

        self.assertEqual(again.identify(self.value).username, "alice")

    def test_a_long_uptime_without_changes_keeps_the_snapshot_young(self) -> None:
        """The grace counts from the last poll, within ten minutes, not from the last change."""
        self.result_of(self.build().refresh())
        directory = self.started()
        self.database.tokens = ()
        self.clock.pump([600.0] * 10)
        self.result_of(directory.stop())

        again = self.build(self.away(), grace=1200.0)
        again.load_snapshot()

        self.assertTrue(again.ready)

    def test_a_stream_is_not_ended_by_a_grace_that_runs_out(self) -> None:
        """What runs goes on; only new requests are refused."""
        self.started()
        again = self.started(self.away())
        actor = again.identify(self.value)

        self.clock.advance(GRACE + 1)

        self.assertTrue(again.valid(actor, self.clock.seconds()))

    def test_nothing_known_at_all_is_not_ready(self) -> None:
        """A first start without a database refuses everybody with 503, not with 401."""
        directory = self.started(self.away())

        self.assertFalse(directory.ready)
        self.assertRaises(Unavailable, directory.identify, self.value)

    def test_the_file_is_private_whatever_the_umask(self) -> None:
        """Nobody else reads it."""
        self.started()

        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_no_token_is_in_the_file(self) -> None:
        """It holds digests, neither token nor secret."""
        self.started()

        content = self.path.read_bytes()
        self.assertIn(self.new.id.encode(), content)
        self.assertNotIn(self.value[17:60].encode(), content)

    def test_no_unfinished_file_is_left(self) -> None:
        """Writing leaves the snapshot and nothing else."""
        self.started()

        self.assertEqual(list(self.path.parent.iterdir()), [self.path])

    def test_a_cut_snapshot_is_not_trusted(self) -> None:
        """Half a file is as good as none, and somebody is told."""
        self.started()
        self.path.write_bytes(self.path.read_bytes()[:-20])

        self.assert_untrusted(self.path)

    def test_an_altered_snapshot_is_not_trusted(self) -> None:
        """Bits that fell over do not make a user an owner."""
        self.started()
        self.path.write_bytes(self.path.read_bytes().replace(b"auditor", b"ownerrr"))

        self.assert_untrusted(self.path)

    def test_a_snapshot_of_another_version_is_not_trusted(self) -> None:
        """A newer program's file does not stop an older one."""
        self.started()
        self.path.write_bytes(self.path.read_bytes().replace(b"tokens-1", b"tokens-2", 1))

        self.assert_untrusted(self.path)

    def assert_untrusted(self, path: Path) -> None:
        directory = self.started(self.away())

        self.assertFalse(directory.ready)
        events = [call.kwargs.get("event") for call in self.log.calls]
        self.assertIn("token snapshot not usable", events)

    def test_a_disk_that_takes_no_snapshot_stops_nobody(self) -> None:
        """The tokens count all the same, and somebody is told."""

        async def full(work: Callable[[], None]) -> None:
            raise OSError(28, "No space left on device")

        directory = self.build(in_thread=full)
        self.result_of(directory.start())
        self.addCleanup(lambda: self.result_of(directory.stop()))

        self.assertEqual(directory.identify(self.value).username, "alice")
        events = [call.kwargs.get("event") for call in self.log.calls]
        self.assertIn("token snapshot not written", events)
