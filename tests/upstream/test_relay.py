"""The relay in memory: every cut of every fixture, back-pressure, and each way to end."""

from __future__ import annotations

import tracemalloc
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone

from bridge.dialects.chat_completions.passage import UsagePassage
from bridge.domain.errors import Unavailable
from bridge.upstream.interface import Passage
from bridge.upstream.relay import AFTER_END_SECONDS, Finish, Relay, RelayLimits
from tests.fixtures.messages import DOCUMENTS, STREAMS, cuts
from tests.support.cases import BridgeTestCase

PING = b"event: ping\ndata: {}\n\n"


class MemoryClient:
    """The client's side: keeps what was written and the producer that it may pause."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.producer: Any = None

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def register(self, producer: Any) -> None:
        self.producer = producer

    def unregister(self) -> None:
        self.producer = None

    @property
    def body(self) -> bytes:
        return b"".join(self.written)


class MemoryUpstream:
    """Upstream's side: the transport of a body protocol."""

    def __init__(self) -> None:
        self.paused = False
        self.dropped = False

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def stopProducing(self) -> None:
        self.dropped = True

    def loseConnection(self) -> None:
        self.dropped = True


class RelayTestCase(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.client = MemoryClient()
        self.upstream = MemoryUpstream()
        self.last = b"\0never"
        self.seen: list[tuple[bytes, bool]] = []
        """What was looked at, and whether the client had it by then."""
        self.durable: Deferred[None] = succeed(None)
        self.endings = 0
        self.boundary = True

    def relay(
        self,
        *,
        length: int | None = None,
        ping: float = 0.0,
        exchange: float = 100.0,
        passage: Passage | None = None,
    ) -> Relay:
        def ending() -> Deferred[None]:
            self.endings += 1
            return self.durable

        relay = Relay(
            downstream=self.client,
            length=length,
            look=self.look,
            ending=ending,
            between=lambda: PING if self.boundary else b"",
            clock=self.clock,
            started=self.clock.seconds(),
            limits=RelayLimits(upstream_idle=30, client_stall=20, exchange=exchange, ping=ping),
            passage=passage,
        )
        relay.makeConnection(self.upstream)  # type: ignore[arg-type]
        relay.watch()
        return relay

    def look(self, data: bytes) -> bool:
        self.seen.append((data, self.client.body.endswith(data)))
        return self.last in data

    def done(self, relay: Relay) -> Finish:
        return self.successResultOf(relay.done)


class LookTests(RelayTestCase):
    def test_no_byte_reaches_the_client_before_it_was_looked_at(self) -> None:
        """What is recorded of it is then in the journal, whenever the process is killed."""
        self.last = b"stop"
        relay = self.relay()
        for chunk in (b"start", b"text", b"stop"):
            relay.dataReceived(chunk)
        self.assertEqual(self.seen, [(b"start", False), (b"text", False), (b"stop", False)])
        self.assertEqual(self.client.body, b"starttextstop")


class EveryCutTests(RelayTestCase):
    def relayed(self, pieces: tuple[bytes, ...], length: int | None) -> bytes:
        self.client = MemoryClient()
        relay = self.relay(length=length)
        for piece in pieces:
            relay.dataReceived(piece)
        relay.connectionLost(Failure(ResponseDone()))
        self.assertIs(self.done(relay), Finish.COMPLETE)
        return self.client.body

    def test_streams_are_the_same_at_every_cut(self) -> None:
        self.last = b"message_stop"

        for fixture in STREAMS:
            for pieces in cuts(fixture.body):
                self.assertEqual(self.relayed(pieces, None), fixture.body)

    def test_documents_are_the_same_at_every_cut(self) -> None:
        for fixture in DOCUMENTS:
            for pieces in cuts(fixture.body):
                length = len(fixture.body)
                self.assertEqual(self.relayed(pieces, length), fixture.body)


class WritingTests(RelayTestCase):
    def test_a_chunk_is_written_in_the_turn_in_which_it_came(self) -> None:
        relay = self.relay()

        relay.dataReceived(b"one")
        relay.dataReceived(b"two")

        self.assertEqual(self.client.written, [b"one", b"two"])

    def test_the_last_chunk_waits_for_its_record(self) -> None:
        self.last, self.durable = b"stop", Deferred()
        relay = self.relay()

        relay.dataReceived(b"one")
        relay.dataReceived(b"stop")
        self.assertEqual(self.client.written, [b"one"])

        self.durable.callback(None)
        self.assertEqual(self.client.written, [b"one", b"stop"])
        self.assertEqual(self.endings, 1)

    def test_the_chunk_that_completes_the_length_waits_likewise(self) -> None:
        self.durable = Deferred()
        relay = self.relay(length=6)

        relay.dataReceived(b"one")
        relay.dataReceived(b"two")
        relay.connectionLost(Failure(ResponseDone()))
        self.assertEqual(self.client.written, [b"one"])
        self.assertNoResult(relay.done)

        self.durable.callback(None)
        self.assertEqual(self.client.body, b"onetwo")
        self.assertIs(self.done(relay), Finish.COMPLETE)

    def test_an_end_that_cannot_be_written_down_is_withheld(self) -> None:
        self.last, self.durable = b"stop", Deferred()
        relay = self.relay()
        relay.dataReceived(b"one")
        relay.dataReceived(b"stop")

        self.durable.errback(Unavailable("The journal is full."))

        self.assertIs(self.done(relay), Finish.WITHHELD)
        self.assertEqual(self.client.body, b"one")
        self.assertTrue(self.upstream.dropped)

    def test_nobody_waits_for_an_upstream_that_stays_after_its_end(self) -> None:
        self.last = b"stop"
        relay = self.relay()
        relay.dataReceived(b"stop")

        self.clock.advance(AFTER_END_SECONDS + 1)

        self.assertIs(self.done(relay), Finish.COMPLETE)
        self.assertEqual(self.client.body, b"stop")

    def test_a_slow_disk_is_waited_for_longer_than_an_upstream_that_has_said_its_end(self) -> None:
        self.last, self.durable = b"stop", Deferred()
        relay = self.relay(ping=1.0)  # which looks at the clock
        relay.dataReceived(b"one")
        relay.dataReceived(b"stop")

        for _ in range(round(AFTER_END_SECONDS) + 5):
            self.clock.advance(1)
        self.assertNoResult(relay.done)
        self.durable.callback(None)
        self.clock.advance(AFTER_END_SECONDS / 2)

        self.assertEqual(self.client.body, b"onestop")
        self.assertNoResult(relay.done)  # upstream's own end is still to come
        relay.connectionLost(Failure(ResponseDone()))
        self.assertIs(self.done(relay), Finish.COMPLETE)
        self.assertFalse(self.upstream.dropped)

    def test_an_end_that_the_disk_is_slow_to_take_is_withheld_not_skipped(self) -> None:
        self.last, self.durable = b"stop", Deferred()
        relay = self.relay()
        relay.dataReceived(b"one")
        relay.dataReceived(b"stop")

        for _ in range(60):
            self.clock.advance(1)

        self.assertIs(self.done(relay), Finish.WITHHELD)
        self.assertEqual(self.client.body, b"one")


class PressureTests(RelayTestCase):
    def test_a_client_that_does_not_read_pauses_upstream(self) -> None:
        relay = self.relay()
        relay.dataReceived(b"one")

        self.client.producer.pauseProducing()
        self.assertTrue(self.upstream.paused)

        self.client.producer.resumeProducing()
        self.assertFalse(self.upstream.paused)
        self.assertNoResult(relay.done)

    def test_a_paused_upstream_is_not_idle(self) -> None:
        relay = self.relay()
        self.client.producer.pauseProducing()
        self.clock.advance(15)
        self.client.producer.resumeProducing()
        self.clock.advance(20)

        self.assertNoResult(relay.done)

    def test_a_client_that_does_not_read_for_long_is_let_go(self) -> None:
        relay = self.relay()
        self.client.producer.pauseProducing()

        for _ in range(21):
            self.clock.advance(1)

        self.assertIs(self.done(relay), Finish.STALLED)
        self.assertTrue(self.upstream.dropped)


class EndingTests(RelayTestCase):
    def test_an_upstream_that_breaks_off(self) -> None:
        relay = self.relay()
        relay.dataReceived(b"one")

        relay.connectionLost(Failure(ConnectionLost()))

        self.assertIs(self.done(relay), Finish.BROKE)
        self.assertEqual(self.endings, 0)

    def test_an_upstream_that_falls_silent(self) -> None:
        relay = self.relay()

        for _ in range(31):
            self.clock.advance(1)

        self.assertIs(self.done(relay), Finish.IDLE)
        self.assertTrue(self.upstream.dropped)

    def test_an_exchange_that_takes_too_long(self) -> None:
        relay = self.relay()

        for _ in range(101):
            self.clock.advance(1)
            if not relay.done.called:
                relay.dataReceived(b".")

        self.assertIs(self.done(relay), Finish.OVERTIME)

    def test_a_stop(self) -> None:
        relay = self.relay()

        relay.stop()

        self.assertIs(self.done(relay), Finish.STOPPED)
        self.assertTrue(self.upstream.dropped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_pings_come_only_at_a_boundary_and_only_when_it_is_quiet(self) -> None:
        relay = self.relay(ping=10)
        relay.dataReceived(b"one")
        self.boundary = False
        for _ in range(11):
            self.clock.advance(1)
        self.assertEqual(self.client.written, [b"one"])

        self.boundary = True
        for _ in range(11):
            self.clock.advance(1)
        self.assertIn(PING, self.client.written)
        self.assertNotEqual(relay.client_sha256, relay.response_sha256)


HALF = b'data: {"choices":['
COUNTS = b'data: {"choices":[],"usage":{"prompt_tokens":7}}\n\n'


class PassageTests(RelayTestCase):
    """Bytes that go through something which keeps some of them back."""

    def held_with_a_rest(self) -> Relay:
        """Return a relay whose end waits for its record, with half an event behind it."""
        self.last, self.durable = b"[DONE]", Deferred()
        relay = self.relay(exchange=5.0, passage=UsagePassage())
        relay.dataReceived(b"data: one\n\n")
        relay.dataReceived(b"data: [DONE]\n\n" + HALF)
        return relay

    def test_half_an_event_comes_with_the_end_it_stands_behind(self) -> None:
        relay = self.held_with_a_rest()
        relay.connectionLost(Failure(ResponseDone()))

        self.durable.callback(None)

        self.assertIs(self.done(relay), Finish.COMPLETE)
        self.assertEqual(self.client.body, b"data: one\n\ndata: [DONE]\n\n" + HALF)
        self.assertEqual(relay.take_rest(), b"")

    def test_half_an_event_is_left_when_nothing_waits_before_it(self) -> None:
        relay = self.relay(passage=UsagePassage())
        relay.dataReceived(b"data: one\n\n" + HALF)

        relay.connectionLost(Failure(ConnectionLost()))

        self.assertIs(self.done(relay), Finish.BROKE)
        self.assertEqual((self.client.body, relay.take_rest()), (b"data: one\n\n", HALF))

    def test_a_stop_leaves_nothing_to_be_written_behind_an_end_that_was_not(self) -> None:
        relay = self.held_with_a_rest()
        relay.connectionLost(Failure(ResponseDone()))

        relay.stop()

        self.assertIs(self.done(relay), Finish.STOPPED)
        self.assertEqual((self.client.body, relay.take_rest()), (b"data: one\n\n", b""))

    def test_neither_does_the_limit_of_the_exchange(self) -> None:
        relay = self.held_with_a_rest()

        self.clock.advance(6)

        self.assertIs(self.done(relay), Finish.OVERTIME)
        self.assertEqual((self.client.body, relay.take_rest()), (b"data: one\n\n", b""))

    def test_what_is_left_out_without_end_is_not_kept(self) -> None:
        """Blank lines behind counts that the client did not ask for are not passed on either."""
        relay = self.relay(passage=UsagePassage())
        relay.dataReceived(b"data: one\n\n" + COUNTS)
        blank = b"\n" * 65_536
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(100):
                relay.dataReceived(blank)
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()

        self.assertEqual(self.client.body, b"data: one\n\n")
        self.assertLess(grown, 1 << 20)
        self.assertIsNotNone(relay.client_sha256)
