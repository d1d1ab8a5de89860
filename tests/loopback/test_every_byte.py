"""The bytes are the provider's: every fixture arrives as it was sent, however it was cut."""

from __future__ import annotations

import hashlib

from tests.fixtures.messages import DOCUMENTS, STREAMS, DocumentFixture, StreamFixture
from tests.support.fakes import LAST_CHUNK, Received, Send, answer, chunk, stream_head
from tests.support.gateway import ASK, ASK_STREAM, GatewayTestCase
from tests.support.rawclient import RawResponse

_LONG = 4096
# A longer body is not sent byte by byte: that takes seconds and shows nothing more.


def pieces(body: bytes) -> list[Send]:
    """Return the body a byte at a time, each its own chunk, written in a turn of its own."""
    size = 1 if len(body) <= _LONG else 997
    return [Send(chunk(body[at : at + size])) for at in range(0, len(body), size)]


def digests(fixture: StreamFixture | DocumentFixture) -> set[str | None]:
    """Return what the digest may be: of all bytes, or of those up to the stream's own end."""
    body = fixture.body
    end = body.find(b"message_stop")
    if not body:
        return {None}
    if not isinstance(fixture, StreamFixture) or end < 0:
        return {hashlib.sha256(body).hexdigest()}
    return {hashlib.sha256(body[:at]).hexdigest() for at in range(end, len(body) + 1)}


class EveryByteTests(GatewayTestCase):
    timeout = 120

    def assert_relayed(
        self, response: RawResponse, fixture: StreamFixture | DocumentFixture
    ) -> None:
        ended = self.journal.ended
        ours = response.body[len(fixture.body) :]

        self.assertEqual(response.body[: len(fixture.body)], fixture.body, fixture.name)
        self.assertIn(ended.response_sha256, digests(fixture), fixture.name)
        if ours:
            self.assertTrue(ours.startswith(b"event: error\n"), fixture.name)
            self.assertNotEqual(response.end, "clean", fixture.name)
            self.assertEqual(ended.status, "upstream_error", fixture.name)
        self.assertEqual(ended.partially_observed, fixture.partially_observed, fixture.name)

    async def test_streams_in_one_piece(self) -> None:
        self.assertGreaterEqual(len(STREAMS), 25)
        bodies = iter(STREAMS)
        await self.start(lambda _: [Send(stream_head() + _whole(next(bodies).body) + LAST_CHUNK)])

        for fixture in STREAMS:
            self.journal.records.clear()
            response = await self.ask(ASK_STREAM)

            self.assert_relayed(response, fixture)

    async def test_streams_byte_by_byte(self) -> None:
        bodies = iter(STREAMS)
        await self.start(
            lambda _: [Send(stream_head()), *pieces(next(bodies).body), Send(LAST_CHUNK)]
        )

        for fixture in STREAMS:
            self.journal.records.clear()
            response = await self.ask(ASK_STREAM)

            self.assert_relayed(response, fixture)

    async def test_documents_with_a_length(self) -> None:
        self.assertGreaterEqual(len(DOCUMENTS), 15)
        bodies = iter(DOCUMENTS)

        def script(_: Received) -> list[Send]:
            fixture = next(bodies)
            return [Send(answer(fixture.body, status=fixture.status))]

        await self.start(script)

        for fixture in DOCUMENTS:
            self.journal.records.clear()
            response = await self.ask(ASK)

            self.assert_relayed(response, fixture)
            self.assertEqual(response.end, "clean")

    async def test_documents_byte_by_byte_in_chunks(self) -> None:
        bodies = iter(DOCUMENTS)
        head = stream_head().replace(b"text/event-stream", b"application/json")

        def script(_: Received) -> list[Send]:
            fixture = next(bodies)
            status = head.replace(b" 200 ", b" %d " % fixture.status)
            return [Send(status), *pieces(fixture.body), Send(LAST_CHUNK)]

        await self.start(script)

        for fixture in DOCUMENTS:
            self.journal.records.clear()
            response = await self.ask(ASK)

            self.assert_relayed(response, fixture)
            self.assertEqual(response.end, "clean")


def _whole(body: bytes) -> bytes:
    return chunk(body) if body else b""
