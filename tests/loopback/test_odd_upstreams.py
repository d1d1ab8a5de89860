"""An upstream that is odd in ways no provider should be: what the client sees, what is kept."""

from __future__ import annotations

import json

from twisted.internet.task import deferLater

from bridge.domain.observations import UsageSource
from tests.loopback.speaking import SpeakingTestCase
from tests.loopback.speech import MESSAGES, RESPONSES
from tests.support.fakes import LAST_CHUNK, Close, Hold, Send, answer, chunk, stream_head

ECHOED = "sk-proj-" + "s3cret" * 8


class OddStatusTests(SpeakingTestCase):
    """A status that HTTP does not have is no answer: nothing of it is passed on."""

    speech = RESPONSES
    first_byte_seconds = 1.0

    async def refused(self, status: bytes) -> None:
        line = b"HTTP/1.1 %b Odd\r\nContent-Length: 3\r\n\r\nodd" % status
        await self.start([Send(line)])

        response = await self.ask()

        message = self.assert_error(response, 502, "upstream_unreachable")
        self.assertIn("not HTTP", message)
        self.assertEqual(self.journal.ended.status, "upstream_error")
        self.assertEqual(self.journal.ended.http_status, 502)
        await self.upstream.left()

    async def test_nothing(self) -> None:
        await self.refused(b"000")

    async def test_below_every_status(self) -> None:
        await self.refused(b"099")

    async def test_above_every_status(self) -> None:
        await self.refused(b"600")

    async def test_more_than_a_column_holds(self) -> None:
        await self.refused(b"99999999999")

    async def test_below_zero(self) -> None:
        await self.refused(b"-5")

    async def test_the_last_status_passes(self) -> None:
        await self.start([Send(answer(self.speech.document, status=599))])

        response = await self.ask()

        self.assertEqual((response.status, response.body), (599, self.speech.document))

    async def test_switched_protocols_are_no_answer(self) -> None:
        await self.start([Send(b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x05Hello"), Close()])

        response = await self.ask()

        self.assert_error(response, 502, "upstream_unreachable")
        self.assertNotIn(b"Hello", response.body)
        self.assertEqual(self.journal.ended.http_status, 502)

    async def test_switched_protocols_and_silence_are_no_answer(self) -> None:
        await self.start([Send(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), Hold()])

        response = await self.ask()

        self.assert_error(response, 504, "upstream_timeout")
        self.assertEqual(self.journal.ended.http_status, 504)


class OddPhraseTests(SpeakingTestCase):
    """The words beside a status come as they are if they are words."""

    speech = RESPONSES

    async def phrase_for(self, phrase: bytes) -> bytes:
        """Return the status line that the client got, and all else up to the first line end."""
        body = self.speech.document
        await self.start(
            [Send(b"HTTP/1.1 200 %b\r\nContent-Length: %d\r\n\r\n%b" % (phrase, len(body), body))]
        )
        client = await self.connect()
        client.send(self.request())
        response = await client.response()
        self.assertEqual((response.status, response.body), (200, body))
        self.assertIsNone(response.header(b"set-cookie"))
        return bytes(response.head.partition(b"\r\n")[0].removeprefix(b"HTTP/1.1 200 "))

    async def test_words_pass(self) -> None:
        self.assertEqual(await self.phrase_for(b"Fine, ~thanks"), b"Fine, ~thanks")

    async def test_no_words_pass(self) -> None:
        self.assertEqual(await self.phrase_for(b""), b"")

    async def test_bare_carriage_return_is_replaced(self) -> None:
        self.assertEqual(await self.phrase_for(b"OK\rSet-Cookie: z=1"), b"OK")

    async def test_nul_is_replaced(self) -> None:
        self.assertEqual(await self.phrase_for(b"Fi\x00ne"), b"OK")

    async def test_escape_is_replaced(self) -> None:
        self.assertEqual(await self.phrase_for(b"\x1b[31mFine"), b"OK")

    async def test_other_letters_are_replaced(self) -> None:
        self.assertEqual(await self.phrase_for("Schön".encode()), b"OK")


class EchoedKeyTests(SpeakingTestCase):
    """What a provider says of a key reaches the client as it came, and the record masked."""

    speech = RESPONSES

    async def test_error_document(self) -> None:
        error = {"message": f"bad key {ECHOED}", "type": "invalid_request_error"}
        body = json.dumps({"error": error}).encode()
        await self.start([Send(answer(body, status=401))])

        response = await self.ask()

        self.assertEqual((response.status, response.body), (401, body))
        self.assertEqual(self.journal.ended.error_message, "bad key sk-...")
        self.assertNotIn("s3cret", repr(self.journal.records))

    async def test_error_without_a_message(self) -> None:
        body = json.dumps({"error": {"type": ECHOED}}).encode()
        await self.start([Send(answer(body, status=401))])

        await self.ask()

        self.assertNotIn("s3cret", repr(self.journal.records))

    async def test_error_within_a_stream(self) -> None:
        failure = self.speech.failure.replace(b"The server had", b"%b had" % ECHOED.encode())
        await self.start([Send(stream_head() + chunk(self.speech.start + failure) + LAST_CHUNK)])

        response = await self.ask_stream()

        self.assertIn(ECHOED.encode(), response.body)
        self.assertEqual(self.journal.ended.error_message, "sk-... had an error.")
        self.assertNotIn("s3cret", repr(self.journal.records))


class UnfinishedTests(SpeakingTestCase):
    """A response that its provider has only begun is not wholly seen."""

    speech = RESPONSES

    async def test_document_in_the_background_is_marked(self) -> None:
        queued = b'{"id":"resp_7","object":"response","status":"queued","background":true}'
        await self.start([Send(answer(queued))])

        response = await self.ask(self.speech.ask[:-1] + b',"background":true}')

        ended = self.journal.ended
        self.assertEqual(response.body, queued)
        self.assertEqual((ended.status, ended.stop_reason), ("completed", "queued"))
        self.assertTrue(ended.partially_observed)


class LargeEndCases(SpeakingTestCase):
    """An end that is too large to be read is recorded before it is seen, all the same."""

    max_event_bytes = 4_000
    large_end: bytes

    async def test_it_waits_for_its_record(self) -> None:
        begun = self.speech.start + self.speech.text
        at = len(self.large_end) - 1
        await self.start(
            [
                Send(stream_head() + chunk(begun) + chunk(self.large_end[:at])),
                Hold(),
                Send(chunk(self.large_end[at:])),
                Hold(),
            ]
        )
        self.journal.slow = True
        client = await self.connect()
        client.send(self.request(self.speech.ask_stream))
        response = await client.begun(begun + self.large_end[:at])
        self.upstream.release()
        while not self.journal.waiting:
            await deferLater(self.reactor, 0.001)

        self.assertEqual(response.body, begun + self.large_end[:at])
        self.assertEqual(self.journal.ended.status, "completed")
        self.assertTrue(self.journal.ended.partially_observed)

        self.journal.release()
        await client.until(lambda: response.body.endswith(self.large_end))
        self.assertEqual(response.body, begun + self.large_end)


class LargeMessageStopTests(LargeEndCases):
    speech = MESSAGES
    large_end = MESSAGES.end[:-3] + b',"x":"' + b"x" * 8_000 + b'"}\n\n'


class LargeResponseCompletedTests(LargeEndCases):
    speech = RESPONSES
    large_end = RESPONSES.end.replace(b'"output":[]', b'"x":"%b","output":[]' % (b"x" * 8_000))

    async def test_counts_of_the_beginning_are_not_final(self) -> None:
        begun = self.speech.start.replace(
            b'"usage":null', b'"usage":{"input_tokens":7,"output_tokens":0}'
        )
        await self.start([Send(stream_head() + chunk(begun + self.large_end) + LAST_CHUNK)])

        response = await self.ask_stream()

        self.assertEqual((response.body, response.end), (begun + self.large_end, "clean"))
        self.assertEqual(self.journal.usage.usage_source, UsageSource.PROVIDER_PARTIAL.value)
        self.assertEqual(self.journal.ended.stop_reason, "completed")


class LargeUnnamedCompletedTests(LargeEndCases):
    speech = RESPONSES
    large_end = LargeResponseCompletedTests.large_end.replace(b"event: response.completed\n", b"")


del LargeEndCases
