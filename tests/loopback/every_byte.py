"""The bytes are the provider's, in any API: every fixture arrives as it was sent, however cut."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import ClassVar

from bridge.domain.records import TokenUsageRecorded
from tests.fixtures.shapes import DocumentFixture, StreamFixture
from tests.loopback.speaking import SpeakingTestCase
from tests.support.fakes import LAST_CHUNK, Received, Send, answer, chunk, stream_head
from tests.support.rawclient import RawResponse

Fixture = StreamFixture | DocumentFixture

_LONG = 4096
_SHORT = 1024
# A longer body is not sent byte by byte: that takes seconds and shows nothing more.


def pieces(body: bytes, whole_bytes: int) -> list[Send]:
    """Return the body in small pieces, each its own chunk, written in a turn of its own.

    One of up to `whole_bytes` comes a byte at a time.
    """
    size = 1 if len(body) <= whole_bytes else 7 if len(body) <= _LONG else 997
    return [Send(chunk(body[at : at + size])) for at in range(0, len(body), size)]


class EveryByteCases(SpeakingTestCase):
    timeout = 120
    byte_by_byte_up_to = _SHORT

    streams: ClassVar[Sequence[StreamFixture]]
    documents: ClassVar[Sequence[DocumentFixture]]
    end_markers: ClassVar[Sequence[bytes]]
    """What only the events hold that end a stream for its client; after these, bytes count or not:
    the digest is taken when the end is written down."""

    def seen(self, body: bytes) -> bytes:
        """Return what the client gets of a stream."""
        return body

    def assert_asked(self, received: Received) -> None:
        """Check what upstream got for a request for a stream."""
        self.assertEqual(received.body, self.speech.ask_stream)

    def digests(self, body: bytes, *, streaming: bool) -> set[str | None]:
        """Return what the digest may be: of all bytes, or of those up to the stream's own end."""
        ends = [at for each in self.end_markers if (at := body.find(each)) >= 0]
        if not body:
            return {None}
        if not streaming or not ends:
            return {hashlib.sha256(body).hexdigest()}
        digest = hashlib.sha256(body[: min(ends)])
        found: set[str | None] = set()
        for at in range(min(ends), len(body)):
            digest.update(body[at : at + 1])
            found.add(digest.hexdigest())
        return found

    def assert_relayed(self, response: RawResponse, fixture: Fixture) -> None:
        streaming = isinstance(fixture, StreamFixture)
        seen = self.seen(fixture.body) if streaming else fixture.body
        ended = self.journal.ended
        ours = response.body[len(seen) :]

        self.assertEqual(response.body[: len(seen)], seen, fixture.name)
        self.assertIn(
            ended.response_sha256, self.digests(fixture.body, streaming=streaming), fixture.name
        )
        if ours:
            self.assert_error_event(ours, "upstream_broke")
            self.assertNotEqual(response.end, "clean", fixture.name)
            self.assertEqual(ended.status, "upstream_error", fixture.name)
        elif seen == fixture.body:
            self.assertIsNone(ended.client_sha256, fixture.name)
        else:
            self.assertIn(
                ended.client_sha256, self.digests(seen, streaming=streaming), fixture.name
            )
        self.assertEqual(ended.partially_observed, fixture.partially_observed, fixture.name)
        self.assert_counted(fixture)

    def assert_counted(self, fixture: Fixture) -> None:
        told = self.journal.of(TokenUsageRecorded)[-1:]
        expected = fixture.usage
        if expected is None:
            self.assertEqual(told, [], fixture.name)
            return
        self.assertEqual(len(told), 1, fixture.name)
        (usage,) = told
        self.assertEqual(
            (usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens),
            (expected.input_tokens, expected.output_tokens, expected.cache_read_input_tokens),
            fixture.name,
        )
        self.assertEqual(usage.usage_source, expected.source, fixture.name)

    async def relay_streams(self, bodies: Iterator[list[Send]]) -> None:
        await self.start(lambda _: [Send(stream_head()), *next(bodies), Send(LAST_CHUNK)])
        client = await self.connect()
        for fixture in self.streams:
            self.journal.records.clear()
            self.upstream.requests.clear()
            if client.gone is not None:
                client = await self.connect()

            client.send(self.request(self.speech.ask_stream))
            response = await client.response()
            await self.settled()

            self.assert_relayed(response, fixture)
            self.assert_asked(self.upstream.requests[0])

    async def test_streams_in_one_piece(self) -> None:
        self.assertGreaterEqual(len(self.streams), 25)
        await self.relay_streams(iter([[Send(_whole(each.body))] for each in self.streams]))

    async def test_streams_byte_by_byte(self) -> None:
        await self.relay_streams(
            pieces(each.body, self.byte_by_byte_up_to) for each in self.streams
        )


class EveryDocumentCases(EveryByteCases):
    async def test_documents_with_a_length(self) -> None:
        self.assertGreaterEqual(len(self.documents), 15)
        fixtures = iter(self.documents)

        def script(_: Received) -> list[Send]:
            fixture = next(fixtures)
            return [Send(answer(fixture.body, status=fixture.status))]

        await self.start(script)

        for fixture in self.documents:
            self.journal.records.clear()
            response = await self.ask()

            self.assert_relayed(response, fixture)
            self.assertEqual(response.end, "clean")
            self.assertEqual(response.header(b"content-length"), b"%d" % len(fixture.body))

    async def test_documents_byte_by_byte_in_chunks(self) -> None:
        fixtures = iter(self.documents)
        head = stream_head().replace(b"text/event-stream", b"application/json")

        def script(_: Received) -> list[Send]:
            fixture = next(fixtures)
            status = head.replace(b" 200 ", b" %d " % fixture.status)
            return [Send(status), *pieces(fixture.body, self.byte_by_byte_up_to), Send(LAST_CHUNK)]

        await self.start(script)

        for fixture in self.documents:
            self.journal.records.clear()
            response = await self.ask()

            self.assert_relayed(response, fixture)
            self.assertEqual(response.end, "clean")


def _whole(body: bytes) -> bytes:
    return chunk(body) if body else b""
