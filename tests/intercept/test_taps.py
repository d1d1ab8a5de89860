"""The tap that was made for the expected answer is used for that one only."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from bridge.dialects.messages.dialect import Messages
from bridge.domain.observations import Observation, TokenUsage
from bridge.intercept.exchange import ReadingLimits
from bridge.intercept.taps import Taps
from bridge.upstream.client import Response
from tests.support.cases import BridgeTestCase

_JSON, _STREAM = b"application/json", b"text/event-stream"
_DOCUMENT = b'{"type":"message","id":"m","content":[],"usage":{"input_tokens":3,"output_tokens":2}}'
_ERROR = b'{"message":"of whoever stands before the provider"}'
_EVENTS = b'event: message_start\ndata: {"type":"message_start","message":%b}\n\n' % _DOCUMENT


class TapsTests(BridgeTestCase):
    def read(
        self, kind: bytes, body: bytes, *, asked: bool, status: int = 200, ready: bool = True
    ) -> tuple[list[Observation], bool]:
        """Return what is seen in an answer, and whether it says that it failed.

        Args:
            kind: its content type.
            body: all of it.
            asked: whether a stream was asked for.
            status: the answer's.
            ready: whether the tap of the expected answer is made before.
        """
        told: list[Observation] = []
        exchange: Any = SimpleNamespace(dialect=Messages(), streaming=asked, request_id="an-id")
        limits = ReadingLimits(max_event=1 << 20, max_document=1 << 20)
        taps = Taps(exchange, limits, told.extend)
        if ready:
            taps.get_ready()
            taps.get_ready()
        answer = Response(
            status=status,
            phrase=b"",
            headers=[(b"content-type", kind)],
            length=None,
            deliver=lambda _: None,
        )
        tap = taps.tap_for(answer, framed=False)
        assert tap is not None
        tap.data(body)
        self.assertEqual(taps.streaming, kind == _STREAM)
        return told, tap.finish().error is not None

    def test_each_answer_is_read_for_what_it_is_whatever_was_expected(self) -> None:
        for kind, body, status, counts, failed in (
            (_JSON, _DOCUMENT, 200, 1, False),
            (_STREAM, _EVENTS, 200, 1, False),
            (_JSON, _ERROR, 529, 0, True),
        ):
            for asked in (False, True):
                for ready in (False, True):
                    told, error = self.read(kind, body, asked=asked, status=status, ready=ready)
                    usages = [each for each in told if isinstance(each, TokenUsage)]
                    case = (kind, status, asked, ready)
                    self.assertEqual((bool(usages), error), (bool(counts), failed), case)
