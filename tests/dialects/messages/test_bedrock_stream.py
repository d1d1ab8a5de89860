"""What Bedrock streams is a Messages stream to its client, whatever goes wrong."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.dialects.messages.bedrock_stream import BedrockFrames
from bridge.dialects.messages.response import MessagesReader
from bridge.wire.aws_stream import Fault, encoded
from bridge.wire.sse import SseDecoder
from tests.support.bedrock import (
    EVENTS,
    EXCEPTIONS,
    chunk_of,
    compact,
    error_of,
    events_of,
    exception_of,
    message,
    stream_of,
)
from tests.support.cases import BridgeTestCase

TYPES = {
    "internalServerException": "api_error",
    "modelStreamErrorException": "api_error",
    "modelTimeoutException": "timeout_error",
    "serviceUnavailableException": "overloaded_error",
    "throttlingException": "rate_limit_error",
    "validationException": "invalid_request_error",
}
BEGUN = stream_of(EVENTS[:3])


def reframed(*chunks: bytes) -> bytes:
    frames = BedrockFrames(for_client=True)
    return b"".join((*(frames.feed(chunk) for chunk in chunks), frames.finish()))


def error_in(events: bytes) -> tuple[str, str]:
    """Return type and message of the error event that stands at the end of `events`."""
    before, _, last = events.rpartition(b"event: error\ndata: ")
    assert b"event: error" not in before
    document = json.loads(last)
    assert document["type"] == "error"
    return document["error"]["type"], document["error"]["message"]


STREAMS = {
    "whole": stream_of(),
    "spaced": b"".join(chunk_of(json.dumps(each).encode()) for each in EVENTS),
    "padded": b"".join(chunk_of(compact(each), padding="p" * 500) for each in EVENTS),
    "with_exception": BEGUN + exception_of("throttlingException") + stream_of(),
    "with_error": BEGUN + error_of("InternalError", "Sorry."),
    "with_other_messages": message("initial-response", b"{}") + stream_of() + message("ping", b""),
    "damaged": BEGUN + BEGUN[:-1] + b"!" + stream_of(),
    "cut_short": BEGUN + stream_of()[:-5],
    "no_base64": BEGUN + message("chunk", b'{"bytes":"?"}') + stream_of(),
    "no_json": BEGUN + message("chunk", b"bytes") + stream_of(),
    "no_sse": b"HTTP/1.1 500 Internal Server Error\r\n\r\n",
}


class CutTests(BridgeTestCase):
    """However the network cuts a stream, the client gets the same events."""


def _cut_test(stream: bytes) -> Callable[[CutTests], None]:
    def test(self: CutTests) -> None:
        expected = reframed(stream)

        for at in range(len(stream) + 1):
            self.assertEqual(reframed(stream[:at], stream[at:]), expected, f"cut at {at}")
        self.assertEqual(reframed(*(stream[at : at + 1] for at in range(len(stream)))), expected)

    return test


for _name, _stream in STREAMS.items():
    setattr(CutTests, f"test_{_name}", _cut_test(_stream))


class EventTests(BridgeTestCase):
    def test_each_event_keeps_its_json_byte_for_byte(self) -> None:
        self.assertEqual(reframed(STREAMS["whole"]), events_of())
        self.assertEqual(reframed(STREAMS["padded"]), events_of())
        self.assertEqual(reframed(STREAMS["with_other_messages"]), events_of())

    def test_an_event_is_told_in_the_call_that_completes_it(self) -> None:
        frames = BedrockFrames(for_client=True)
        stream = stream_of()
        first = len(chunk_of(compact(EVENTS[0])))

        self.assertEqual(frames.feed(stream[: first - 1]), b"")
        self.assertEqual(frames.feed(stream[first - 1 : first]), events_of(EVENTS[:1]))
        self.assertEqual(frames.feed(stream[first:]), events_of(EVENTS[1:]))
        self.assertEqual(frames.finish(), b"")

    def test_a_type_that_stands_further_back_is_found(self) -> None:
        for data in (
            b'{"index":0,"type":"content_block_stop"}',
            b'{ "type" : "content_block_stop"}',
        ):
            self.assertEqual(
                reframed(chunk_of(data)), b"event: content_block_stop\ndata: " + data + b"\n\n"
            )

    def test_json_that_the_fast_decoder_refuses_is_read_slowly(self) -> None:
        data = b'{"x":"\\ud83d","type":"y"}'

        self.assertEqual(reframed(chunk_of(data)), b"event: y\ndata: " + data + b"\n\n")

    def test_what_has_no_type_has_no_name(self) -> None:
        """Other models answer in other shapes on Bedrock's own paths."""
        for data in (b'{"outputText":"Hi"}', b"Hi", b'{"type":7}', b'{"type":"a\\nb"}', b"[1]"):
            self.assertEqual(reframed(chunk_of(data)), b"data: " + data + b"\n\n")

    def test_line_ends_in_json_do_not_end_an_event(self) -> None:
        data = b'{\n"type":"ping",\r\n"x":1\r}'
        events = reframed(chunk_of(data))

        decoder = SseDecoder(max_event_bytes=1000)
        ((name, read),) = decoder.feed(events)

        self.assertEqual((name, json.loads(read)), (b"ping", {"type": "ping", "x": 1}))

    def test_the_reader_sees_what_it_sees_at_anthropic(self) -> None:
        reader = MessagesReader()
        decoder = SseDecoder(max_event_bytes=1_000_000, skips=reader.skips)
        for name, data in decoder.feed(reframed(stream_of())):
            reader.event(name, data)

        reading = reader.reading()

        self.assertTrue(reader.terminal)
        self.assertEqual((reading.response_id, reading.stop_reason), ("msg_bdrk_01", "end_turn"))
        self.assertEqual((reading.usage.input_tokens, reading.usage.output_tokens), (12, 6))
        self.assertFalse(reading.partially_observed)


class ErrorTests(BridgeTestCase):
    def test_every_exception_is_an_error_of_the_messages_api(self) -> None:
        self.assertEqual(set(TYPES), set(EXCEPTIONS))
        for kind, type_ in TYPES.items():
            events = reframed(BEGUN + exception_of(kind, 'Say "é"') + stream_of())

            self.assertTrue(events.startswith(events_of(EVENTS[:3])))
            self.assertEqual(error_in(events), (type_, 'Say "é"'))

    def test_an_unknown_exception_is_an_error_too(self) -> None:
        self.assertEqual(
            error_in(reframed(exception_of("moonPhaseException"))),
            ("api_error", "Something went wrong."),
        )

    def test_what_an_exception_does_not_say_is_its_name(self) -> None:
        headers = {":message-type": "exception", ":exception-type": "throttlingException"}
        events = reframed(encoded({**headers}, b"{}"))

        self.assertEqual(error_in(events), ("rate_limit_error", "throttlingException"))

    def test_an_exception_without_anything_is_an_error(self) -> None:
        events = reframed(encoded({":message-type": "exception"}, b""))

        self.assertEqual(error_in(events), ("api_error", "Amazon Bedrock broke off its answer."))

    def test_an_error_outside_the_model_is_told(self) -> None:
        self.assertEqual(error_in(reframed(STREAMS["with_error"])), ("api_error", "Sorry."))

    def test_a_damaged_stream_ends_in_an_error(self) -> None:
        for name in ("damaged", "no_base64", "no_json", "no_sse"):
            kind, said = error_in(reframed(STREAMS[name]))

            self.assertEqual(kind, "api_error")
            self.assertIn("damaged", said)

    def test_an_end_inside_a_message_is_an_error(self) -> None:
        frames = BedrockFrames(for_client=False)
        frames.feed(STREAMS["cut_short"])

        self.assertIn("broke off", error_in(frames.finish())[1])
        self.assertEqual(frames.fault, Fault.CUT_SHORT)
        self.assertEqual(frames.finish(), b"")

    def test_nothing_follows_an_error(self) -> None:
        for name in ("with_exception", "damaged", "no_json"):
            frames = BedrockFrames(for_client=True)
            error_in(frames.feed(STREAMS[name]))

            self.assertEqual(frames.feed(stream_of()) + frames.finish(), b"")

    @given(
        st.lists(
            st.binary(max_size=40)
            | st.binary(max_size=40).map(lambda data: message("chunk", data))
            | st.binary(max_size=40).map(chunk_of)
            | st.text(max_size=20).map(lambda text: chunk_of(compact({"type": text})))
            | st.sampled_from([BEGUN, BEGUN[:30], exception_of("throttlingException")])
            | st.binary(max_size=20).map(
                lambda data: message(
                    "chunk", b'{"bytes":"%b"}' % base64.b64encode(data.replace(b"a", b"{"))
                )
            ),
            max_size=6,
        )
    )
    @settings(max_examples=300, deadline=None, derandomize=True)
    def test_any_bytes_are_survived(self, chunks: list[bytes]) -> None:
        events = reframed(*chunks)

        self.assertTrue(events == b"" or events.endswith(b"\n\n"))
        self.assertLessEqual(events.count(b"event: error\n"), 1)
