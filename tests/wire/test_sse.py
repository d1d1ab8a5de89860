"""Server-sent events come out of any cut, by the standard's rules."""

from __future__ import annotations

import itertools
import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.wire.sse import Event, SseDecoder, skip_everything
from tests.support.cases import BridgeTestCase

LINES = st.sampled_from(
    [b"data: x", b"data:y", b"data", b"event: e", b": c", b"id: 1", b"other", b"", b"", b"\xc3\xa9"]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


def events_of(*chunks: bytes, limit: int = 10_000) -> list[Event]:
    decoder = SseDecoder(max_event_bytes=limit)
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return [*events, *decoder.finish()]


class EventTests(BridgeTestCase):
    """What is an event, and what is in it."""

    def test_name_and_data_are_taken(self) -> None:
        self.assertEqual(events_of(b"event: a\ndata: 1\n\n"), [(b"a", b"1")])

    def test_event_without_name_has_none(self) -> None:
        self.assertEqual(events_of(b"data: 1\n\n"), [(b"", b"1")])

    def test_one_space_after_the_colon_is_dropped(self) -> None:
        self.assertEqual(events_of(b"event:a\ndata:  1\n\n"), [(b"a", b" 1")])

    def test_data_lines_are_joined(self) -> None:
        self.assertEqual(events_of(b"data: 1\ndata\ndata: 3\n\n"), [(b"", b"1\n\n3")])

    def test_last_name_wins(self) -> None:
        self.assertEqual(events_of(b"event: a\nevent: b\ndata: 1\n\n"), [(b"b", b"1")])

    def test_event_without_data_is_none(self) -> None:
        self.assertEqual(events_of(b"event: a\n\ndata: 1\n\n"), [(b"", b"1")])

    def test_comments_ids_and_retries_are_ignored(self) -> None:
        self.assertEqual(events_of(b": x\n\nid: 4\nretry: 5\ndata: 1\n: y\n\n"), [(b"", b"1")])

    def test_carriage_returns_end_lines(self) -> None:
        self.assertEqual(
            events_of(b"event: a\rdata: 1\r\rdata: 2\r\r"), [(b"a", b"1"), (b"", b"2")]
        )

    def test_mixed_line_ends_are_read(self) -> None:
        self.assertEqual(events_of(b"event: a\r\ndata: 1\n\r\n"), [(b"a", b"1")])

    def test_byte_order_mark_is_dropped_at_the_start_only(self) -> None:
        mark = b"\xef\xbb\xbf"

        events = events_of(mark[:1], mark[1:2], mark[2:] + b"data: 1\n\n" + mark + b"data: 2\n\n")

        self.assertEqual(events, [(b"", b"1")])

    def test_many_blank_lines_are_nothing(self) -> None:
        self.assertEqual(
            events_of(b"\n\n\n\ndata: 1\n\n\n\n\ndata: 2\n\n"), [(b"", b"1"), (b"", b"2")]
        )

    def test_what_no_blank_line_ended_comes_at_the_end(self) -> None:
        self.assertEqual(events_of(b"data: 1\n\nevent: b\ndata: 2\n"), [(b"", b"1"), (b"b", b"2")])

    def test_line_separators_of_unicode_end_no_line(self) -> None:
        line = "data: a\u2028b\x85c\x0bd".encode()

        self.assertEqual(events_of(line + b"\n\n"), [(b"", line[6:])])

    @given(st.lists(st.tuples(LINES, ENDS), max_size=14), st.lists(st.integers(0, 80), max_size=6))
    @settings(max_examples=400, deadline=None, derandomize=True)
    def test_cuts_change_nothing(self, lines: list[tuple[bytes, bytes]], places: list[int]) -> None:
        body = b"".join(line + end for line, end in lines)
        at = sorted({0, len(body), *(place for place in places if place < len(body))})
        pieces = [body[a:b] for a, b in itertools.pairwise(at)]

        self.assertEqual(events_of(*pieces), events_of(body))


class BoundaryTests(BridgeTestCase):
    """We may write an event of our own only between two of the provider's."""

    def boundary_after(self, *chunks: bytes) -> bool:
        decoder = SseDecoder(max_event_bytes=1000, skips=skip_everything)
        for chunk in chunks:
            decoder.feed(chunk)
        return decoder.at_boundary

    def test_before_the_first_byte(self) -> None:
        self.assertTrue(self.boundary_after())

    def test_after_a_whole_event(self) -> None:
        self.assertTrue(self.boundary_after(b"data: 1\n", b"\n"))

    def test_not_within_a_line(self) -> None:
        self.assertFalse(self.boundary_after(b"data: 1\n\nda"))

    def test_not_between_lines_of_one_event(self) -> None:
        self.assertFalse(self.boundary_after(b"event: a\n"))

    def test_not_after_a_comment_that_no_blank_line_follows(self) -> None:
        self.assertFalse(self.boundary_after(b": x\n"))

    def test_not_within_a_line_end(self) -> None:
        self.assertFalse(self.boundary_after(b"data: 1\r\n\r"))

    def test_after_an_event_with_carriage_returns_and_line_feeds(self) -> None:
        self.assertTrue(self.boundary_after(b"data: 1\r\n\r", b"\n"))

    def test_not_within_an_event_that_is_too_large(self) -> None:
        self.assertFalse(self.boundary_after(b"data: " + b"x" * 3000))

    def test_after_an_event_that_was_too_large(self) -> None:
        self.assertTrue(self.boundary_after(b"data: " + b"x" * 3000, b"\n", b"\n"))


class LimitTests(BridgeTestCase):
    """A provider cannot make us hold more than the limit."""

    def test_event_at_the_limit_is_read(self) -> None:
        event = b"data: " + b"x" * 94

        self.assertEqual(events_of(event + b"\n\n", limit=100), [(b"", b"x" * 94)])

    def test_of_an_event_over_the_limit_the_beginning_is_told_at_every_cut(self) -> None:
        body = b"data: 1\n\ndata: " + b"x" * 95 + b"\n\ndata: 2\n\n"

        for at in range(len(body)):
            decoder = SseDecoder(max_event_bytes=100)
            events = [*decoder.feed(body[:at]), *decoder.feed(body[at:])]

            told = [(b"", b"1"), (b"", b"x" * 94), (b"", b"2")]
            self.assertEqual(events, told, f"cut at {at}")
            self.assertEqual(decoder.left_out, 1)

    def test_of_a_large_event_the_name_and_little_data_are_told_once_it_has_ended(self) -> None:
        event = b"event: response.completed\ndata: " + b"x" * 3000
        for size in (1, 7, 256, 1000, 5000):
            decoder = SseDecoder(max_event_bytes=1000)
            pieces = [event[at : at + size] for at in range(0, len(event), size)]

            begun = [each for piece in pieces for each in decoder.feed(piece)]
            ((name, data),) = decoder.feed(b"\n\n")

            self.assertEqual((begun, name), ([], b"response.completed"))
            self.assertEqual(data, b"x" * (256 - len(event) + 3000))

    def test_large_event_that_nobody_wants_is_not_told(self) -> None:
        decoder = SseDecoder(max_event_bytes=100, skips=lambda block: block.startswith(b"event: a"))

        self.assertEqual(decoder.feed(b"event: a\ndata: " + b"x" * 200 + b"\n\n"), [])
        self.assertEqual(decoder.left_out, 1)

    def test_large_event_that_no_blank_line_ended_is_not_told(self) -> None:
        self.assertEqual(events_of(b"event: a\ndata: " + b"x" * 200, limit=100), [])

    def test_events_around_a_large_one_keep_their_order(self) -> None:
        large = b"event: b\ndata: " + b"x" * 200 + b"\n\n"

        body = b"event: a\ndata: 1\n\n" + large + b"event: c\ndata: 2\n\n"

        self.assertEqual([name for name, _ in events_of(body, limit=100)], [b"a", b"b", b"c"])

    def test_endless_event_is_not_held(self) -> None:
        decoder = SseDecoder(max_event_bytes=1000)

        for _ in range(2000):
            decoder.feed(b"x" * 1000)

        held = sum(sys.getsizeof(getattr(decoder, name)) for name in decoder.__slots__)
        self.assertLess(held, 10_000)
        self.assertEqual((decoder.left_out, decoder.finish()), (1, ()))

    def test_event_in_crumbs_takes_no_more_room_than_its_bytes(self) -> None:
        decoder = SseDecoder(max_event_bytes=1_000_000)

        for _ in range(100_000):
            decoder.feed(b"xy")

        held = sum(sys.getsizeof(getattr(decoder, name)) for name in decoder.__slots__)
        self.assertLess(held, 300_000)
