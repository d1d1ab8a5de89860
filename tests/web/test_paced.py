"""An answer goes no faster than its reader, waits for none for ever, and ends when it must."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from twisted.internet.defer import CancelledError, Deferred

from bridge.auth.directory import POLL_SECONDS
from bridge.domain.errors import Unauthenticated
from bridge.domain.identity import Actor, Scope
from bridge.web.paced import CHECK_SECONDS, SLICE_BYTES, NotRead, PacedAnswer, Pacing
from tests.support.cases import BridgeTestCase

STALL = 120.0
WHO = Actor(
    id=UUID(int=1), username="bob", roles=frozenset(), token_id="bobbob", scope=Scope.MANAGE
)


class Connection:
    """A request whose client reads as it is told; as Twisted does, it goes on when all is read."""

    over = False
    channel: Any = True

    def __init__(self, room: int) -> None:
        self.room = room
        self.unread = 0
        self.written = 0
        self.producer: PacedAnswer | None = None

    def registerProducer(self, producer: PacedAnswer, streaming: bool) -> None:
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes) -> None:
        self.unread += len(data)
        self.written += len(data)
        if self.unread > self.room and self.producer is not None:
            self.producer.pauseProducing()

    def read(self, count: int) -> None:
        self.unread = max(0, self.unread - count)
        if not self.unread and self.producer is not None:
            self.producer.resumeProducing()


class PacedTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ended: set[Actor] = set()
        self.connection = Connection(room=0)
        pacing = Pacing(check=self._check, clock=self.clock, client_stall=STALL)
        self.answer = pacing.begin(self.connection, WHO)  # type: ignore[arg-type]

    def _check(self, actor: Actor) -> None:
        if actor in self.ended:
            raise Unauthenticated("No longer.")

    def write(self, slices: int) -> Deferred[None]:
        return Deferred.fromCoroutine(self.answer.write(bytes(slices * SLICE_BYTES)))

    def test_a_large_piece_is_waited_for_while_some_of_it_is_read(self) -> None:
        """A slow reader is none that has stalled."""
        writing = self.write(slices=10)
        for _ in range(10):
            self.assertNoResult(writing)
            self.clock.advance(STALL - 1)
            self.connection.read(SLICE_BYTES)

        self.successResultOf(writing)
        self.assertEqual(self.connection.written, 10 * SLICE_BYTES)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_reader_that_takes_nothing_is_given_up_and_told_the_limit(self) -> None:
        writing = self.write(slices=10)
        self.clock.pump([1.0] * (int(STALL) - 1))
        self.assertNoResult(writing)

        self.clock.advance(1)

        error = self.failureResultOf(writing, NotRead).value
        self.assertIn("limits.client_stall", error.message)
        self.assertEqual(self.connection.written, SLICE_BYTES)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_revocation_ends_the_waiting_within_a_minute(self) -> None:
        """However late it is heard of."""
        writing = self.write(slices=10)
        self.clock.pump([1.0] * 40)
        self.ended.add(WHO)

        self.clock.pump([1.0] * int(CHECK_SECONDS))

        self.failureResultOf(writing, Unauthenticated)
        self.assertLess(CHECK_SECONDS + POLL_SECONDS, 60.0)
        self.assertEqual(self.connection.written, SLICE_BYTES)

    def test_a_revocation_ends_what_is_read_at_the_next_slice(self) -> None:
        writing = self.write(slices=10)
        self.ended.add(WHO)

        self.connection.read(SLICE_BYTES)

        self.failureResultOf(writing, Unauthenticated)
        self.assertEqual(self.connection.written, SLICE_BYTES)

    def test_a_revocation_during_the_last_slice_lets_nobody_fetch_more(self) -> None:
        writing = self.write(slices=1)
        self.ended.add(WHO)

        self.connection.read(SLICE_BYTES)

        self.failureResultOf(writing, Unauthenticated)

    def test_who_leaves_leaves_no_timer(self) -> None:
        writing = self.write(slices=10)

        writing.cancel()

        self.failureResultOf(writing, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.connection.read(SLICE_BYTES)
