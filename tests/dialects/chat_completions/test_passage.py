"""A client that did not ask for token counts gets its stream without them, byte for byte."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.dialects.chat_completions.dialect import ChatCompletions
from bridge.dialects.chat_completions.passage import UsagePassage
from bridge.wire.sse import Event, SseDecoder
from tests.fixtures.chat import STREAMS, cuts
from tests.support.cases import BridgeTestCase

TEXT = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hi"}}],"usage":null}\n\n'
USAGE = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":1}}\n\n'
DONE = b"data: [DONE]\n\n"
PING = ChatCompletions.ping
FRAME = {
    *("id", "object", "created", "model", "choices", "usage", "service_tier", "provider"),
    *("system_fingerprint", "obfuscation"),
}
LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")


def through(*chunks: bytes) -> bytes:
    passage = UsagePassage()
    return b"".join([*(passage.feed(chunk) for chunk in chunks), passage.finish()])


def events(body: bytes) -> list[Event]:
    decoder = SseDecoder(max_event_bytes=1 << 20)
    return [*decoder.feed(body), *decoder.finish()]


def without_usage_chunks(body: bytes) -> bytes:
    """Return what must be left of a whole stream, line by line."""
    kept: list[bytes] = []
    event: list[bytes] = []
    dropping = False
    for line in LINE.findall(body):
        blank = not line.strip(b"\r\n")
        if event or not (blank or line.startswith(b":")):
            event.append(line)
            if blank:
                dropping = usage_only(event)
                kept += [] if dropping else event
                event = []
            else:
                dropping = False
        elif not (blank and dropping):
            dropping = False
            kept.append(line)
    return b"".join(kept + ([] if usage_only(event) else event))


def usage_only(lines: Sequence[bytes]) -> bool:
    lines = [line.strip(b"\r\n").removeprefix(b"\xef\xbb\xbf") for line in lines]
    data = b"\n".join(line[5:] for line in lines if line.startswith(b"data:"))
    try:
        chunk: Any = json.loads(data)
    except ValueError:
        return False
    return (
        isinstance(chunk, dict)
        and chunk.get("choices") == []
        and isinstance(chunk.get("usage"), dict)
        and not any(value for name, value in chunk.items() if name not in FRAME)
    )


class PassageTests(BridgeTestCase):
    """What is kept back, and what is not."""

    def passes(self, body: bytes) -> None:
        for chunks in cuts(body):
            self.assertEqual(through(*chunks), body, chunks)

    def leaves(self, body: bytes, rest: bytes) -> None:
        for chunks in cuts(body):
            self.assertEqual(through(*chunks), rest, chunks)

    def test_usage_chunk_is_kept_back_with_its_blank_line(self) -> None:
        self.leaves(TEXT + USAGE + DONE, TEXT + DONE)

    def test_blank_lines_behind_it_go_with_it(self) -> None:
        self.leaves(TEXT + USAGE + b"\n\n" + DONE, TEXT + DONE)

    def test_carriage_returns_and_line_feeds(self) -> None:
        body, rest = TEXT + USAGE + DONE, TEXT + DONE

        self.leaves(body.replace(b"\n", b"\r\n"), rest.replace(b"\n", b"\r\n"))

    def test_carriage_returns_alone(self) -> None:
        body, rest = TEXT + USAGE + DONE, TEXT + DONE

        self.leaves(body.replace(b"\n", b"\r"), rest.replace(b"\n", b"\r"))

    def test_data_without_a_space(self) -> None:
        self.leaves(TEXT + USAGE.replace(b"data: ", b"data:") + DONE, TEXT + DONE)

    def test_data_in_several_lines(self) -> None:
        usage = USAGE.replace(b',"choices', b'\ndata: ,"choices').replace(
            b"data", b"id: 4\ndata", 1
        )

        self.leaves(TEXT + usage + DONE, TEXT + DONE)

    def test_spaced_and_reordered_chunk(self) -> None:
        usage = b'data: { "usage" : {"prompt_tokens": 5} , "choices" : [ ] }\n\n'

        self.leaves(usage + DONE, DONE)

    def test_last_chunk_without_a_blank_line(self) -> None:
        self.leaves(TEXT + USAGE[:-1], TEXT)
        self.leaves(TEXT + USAGE[:-2], TEXT)

    def test_byte_order_mark_before_a_usage_chunk(self) -> None:
        self.leaves(b"\xef\xbb\xbf" + USAGE + DONE, DONE)

    def test_lone_surrogates_in_a_usage_chunk(self) -> None:
        self.leaves(USAGE.replace(b'"c"', b'"\\ud83d"') + DONE, DONE)

    def test_comment_before_a_usage_chunk_passes(self) -> None:
        self.leaves(TEXT + PING + USAGE + DONE, TEXT + PING + DONE)

    def test_usage_with_choices_passes(self) -> None:
        self.passes(TEXT.replace(b"null", b'{"prompt_tokens":5}') + DONE)

    def test_null_usage_without_choices_passes(self) -> None:
        self.passes(b'data: {"choices":[],"usage":null,"prompt_filter_results":[]}\n\n' + DONE)

    def test_no_usage_without_choices_passes(self) -> None:
        self.passes(b'data: {"choices":[],"prompt_filter_results":[{"usage":{}}]}\n\n' + DONE)

    def test_no_choices_at_all_pass(self) -> None:
        self.passes(b'data: {"usage":{"prompt_tokens":5}}\n\n' + DONE)

    def test_error_beside_usage_passes(self) -> None:
        self.passes(USAGE.replace(b'"id"', b'"error":{"message":"x"},"id"') + DONE)

    def test_anything_else_beside_usage_passes(self) -> None:
        for more in (
            b'"citations":["https://example.org"]',
            b'"prompt_filter_results":[{"prompt_index":0}]',
            b'"x_groq":{"id":"r","error":"over_capacity"}',
            b'"later":true',
        ):
            self.passes(USAGE.replace(b'"id"', more + b',"id"') + DONE)

    def test_frame_and_empty_members_beside_usage_do_not_matter(self) -> None:
        more = (
            b'"object":"chat.completion.chunk","created":1,"model":"m","service_tier":"default",'
            b'"system_fingerprint":"fp","provider":"X","obfuscation":"aB","p":"abc",'
            b'"x_groq":{"id":"r","usage":{"prompt_tokens":5}},"timings":{"predicted_n":1},'
            b'"citations":[],"search_results":null,"prompt_filter_results":[],"note":"",'
        )

        self.leaves(USAGE.replace(b'"id"', more + b'"id"') + DONE, DONE)

    def test_cut_usage_chunk_passes_in_the_end(self) -> None:
        self.passes(TEXT + USAGE[:-10])

    def test_comments_and_blank_lines_pass(self) -> None:
        self.passes(b"\n\n: PROCESSING\n\n" + PING + TEXT + b"\r\n\r: x\r\n\n" + DONE + b": bye")

    def test_no_json_passes(self) -> None:
        self.passes(b'data: {"usage":{},"choices":[]\n\ndata: "usage"\n\n' + DONE)

    def test_deep_nesting_passes(self) -> None:
        self.passes(b'data: {"usage":{},"choices":' + b"[" * 2000 + b"]" * 2000 + b"}\n\n" + DONE)


class TimingTests(BridgeTestCase):
    """What passes is not kept waiting without need."""

    def setUp(self) -> None:
        super().setUp()
        self.passage = UsagePassage()

    def test_whole_events_pass_as_the_same_object(self) -> None:
        chunk = TEXT + TEXT

        self.assertIs(self.passage.feed(chunk), chunk)

    def test_chunk_passes_in_the_call_in_which_it_became_whole(self) -> None:
        self.assertEqual(self.passage.feed(TEXT + TEXT[:9]), TEXT)
        self.assertEqual(self.passage.feed(TEXT[9:]), TEXT)

    def test_comment_passes_before_its_line_has_ended(self) -> None:
        self.assertEqual(self.passage.feed(b": wai"), b": wai")
        self.assertEqual(self.passage.feed(b"t\n"), b"t\n")

    def test_event_over_the_limit_passes_as_it_comes(self) -> None:
        start = b'data: {"choices":[{"delta":{"content":"' + b"x" * 70_000
        end = b'"}}]}\n\n'

        self.assertEqual(self.passage.feed(start), start)
        self.assertEqual(self.passage.feed(b"more"), b"more")
        self.assertEqual(self.passage.feed(end + USAGE + DONE), end + DONE)

    def test_end_of_a_large_event_is_found_at_any_cut(self) -> None:
        large = b"data: " + b"x" * 70_000
        for end in (b"\n\n", b"\r\n\r\n", b"\r\r"):
            for at in range(len(end) + 1):
                cut = through(large + end[:at], end[at:] + USAGE + DONE)
                byte_by_byte = through(large, *(end[i : i + 1] for i in range(len(end))), USAGE)

                self.assertEqual(cut, large + end + DONE)
                self.assertEqual(byte_by_byte, large + end)

    def test_large_usage_chunk_passes_at_any_cut(self) -> None:
        large = USAGE.replace(b'"c"', b'"' + b"c" * 70_000 + b'"')

        self.assertEqual(through(large), large)
        self.assertEqual(through(large[:60_000], large[60_000:]), large)
        self.assertEqual(through(large[:69_000], large[69_000:]), large)


class FixtureTests(BridgeTestCase):
    """Every stream of the fixtures loses its usage chunks, and nothing else, at every cut."""

    def test_every_stream_at_every_cut(self) -> None:
        for fixture in STREAMS:
            expected = without_usage_chunks(fixture.body)
            for chunks in cuts(fixture.body):
                self.assertEqual(through(*chunks), expected, fixture.name)

    def test_those_with_a_usage_chunk_lose_exactly_it(self) -> None:
        changed = {each.name for each in STREAMS if through(each.body) != each.body}

        self.assertEqual(
            changed,
            {
                *("text", "tool_call", "parallel_tools", "interleaved_tools", "custom_tool"),
                *("finish_in_last_tool_delta", "two_choices", "refusal", "predicted_audio"),
                *("azure_filter_results", "openrouter_details_only", "vllm_running_totals"),
                *("cached_more_than_prompt", "missing_done", "spaced_json", "blank_events"),
                *("crlf", "cr", "bom", "no_final_blank_line", "no_final_line_end"),
                "huge_argument",
            },
        )

    def test_ping_at_any_boundary_of_upstreams_changes_no_event(self) -> None:
        for fixture in STREAMS:
            if len(fixture.body) > 5000:
                continue
            expected = events(without_usage_chunks(fixture.body))
            for at in range(0, len(fixture.body), 3):
                passage = UsagePassage()
                first = passage.feed(fixture.body[:at])
                upstream = SseDecoder(max_event_bytes=1 << 20)
                upstream.feed(fixture.body[:at])
                ping = PING if upstream.at_boundary and first else b""
                rest = passage.feed(fixture.body[at:]) + passage.finish()

                self.assertEqual(events(first + ping + rest), expected, fixture.name)

    @given(
        st.lists(
            st.sampled_from(
                [
                    TEXT,
                    USAGE,
                    USAGE.replace(b"\n", b"\r\n"),
                    USAGE.replace(b"\n", b"\r"),
                    TEXT.replace(b"\n", b"\r\n"),
                    USAGE[:-1] + b": in it\n\n",
                    USAGE[:30],
                    PING,
                    *(b"\n", b"\r", b"\r\n", b": x\r", b"data:\n", b"event: e\n", b"[DONE]"),
                ]
            ),
            max_size=8,
        ),
        st.data(),
    )
    @settings(max_examples=500, deadline=None, derandomize=True)
    def test_any_stream_at_any_cuts(self, pieces: list[bytes], data: st.DataObject) -> None:
        body = b"".join(pieces)
        places = data.draw(st.lists(st.integers(0, len(body)), max_size=6).map(sorted))
        bounds = [0, *places, len(body)]

        seen = through(*(body[a:b] for a, b in pairwise(bounds)))

        self.assertEqual(seen, without_usage_chunks(body))
