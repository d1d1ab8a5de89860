"""Tests for bridge.workers.together and what goes through the pipes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from bridge.journal.appender import JournalStatus
from bridge.telemetry.counts import Counts
from bridge.workers.messages import (
    MAX_LINE,
    Lines,
    Ping,
    Pulse,
    Reloaded,
    from_parent,
    from_worker,
    line_of,
)
from bridge.workers.together import together
from tests.support.cases import BridgeTestCase

JOURNAL = JournalStatus(
    bytes=10, max_bytes=100, unsent_bytes=1, oldest_unsent_at=None, accepting=True, problem=None
)


def details(**changed: Any) -> dict[str, Any]:
    """Return what a process says of itself."""
    return {
        "gateway": {"enabled": True, "requests_running": 2, "request_body_bytes": 5},
        "logs": {"lines_lost": 1},
        "journal": {"unsent_bytes": 3, "accepting": True, "problem": None},
        "providers": [{"name": "p", "keys": [{"hint": "a", "state": "ok"}]}],
        "circuit_breakers": [],
        **changed,
    }


class TogetherTests(BridgeTestCase):
    def test_what_is_counted_is_added_up(self) -> None:
        own = details(journal=JOURNAL)

        found = together(own, [details(), details()])

        self.assertEqual(
            found["gateway"], {"enabled": True, "requests_running": 6, "request_body_bytes": 15}
        )
        self.assertEqual(found["logs"], {"lines_lost": 3})
        self.assertEqual(found["journal"].unsent_bytes, 7)
        self.assertTrue(found["journal"].accepting)

    def test_one_full_journal_is_told(self) -> None:
        full = {"unsent_bytes": 3, "accepting": False, "problem": "it is full"}

        found = together(details(journal=JOURNAL), [details(), details(journal=full)])

        self.assertFalse(found["journal"].accepting)
        self.assertEqual(found["journal"].problem, "it is full")

    def test_the_worst_of_a_key_and_of_a_breaker_is_shown(self) -> None:
        out = [{"name": "p", "keys": [{"hint": "a", "state": "out"}]}]
        place = {"provider": "p", "endpoint": "/v1", "model": "m"}
        closed, half = {**place, "state": "closed"}, {**place, "state": "half_open"}

        found = together(
            details(journal=JOURNAL),
            [
                details(circuit_breakers=[half]),
                details(providers=out, circuit_breakers=[closed]),
            ],
        )

        self.assertEqual(found["providers"], out)
        self.assertEqual(found["circuit_breakers"], [half])

    def test_without_a_worker_the_parent_speaks_for_itself(self) -> None:
        own = details(journal=JOURNAL)

        self.assertEqual(together(own, []), own)


class MessagesTests(BridgeTestCase):
    def test_messages_come_out_as_they_went_in_whatever_the_cuts(self) -> None:
        pulse = Pulse(
            number=3,
            not_ready=None,
            details={"a": [1, "\n"]},
            counts=Counts(families=[], inflight=[(("p", "m", "r"), 1.0)], streams=[]),
        )
        sent = [pulse, Reloaded(problems=["x: y"]), pulse]
        data = b"".join(map(line_of, sent))
        for cut in range(1, len(data)):
            heard: list[Any] = []
            lines = Lines(lambda line, heard=heard: heard.append(from_worker(line)))
            lines.feed(data[:cut])
            lines.feed(data[cut:])
            self.assertEqual(heard, sent)

    def test_times_are_kept(self) -> None:
        ping = Ping(number=1, cutoff=datetime(2026, 1, 2, tzinfo=UTC))

        self.assertEqual(from_parent(line_of(ping).rstrip()), ping)

    def test_a_line_without_an_end_is_refused(self) -> None:
        lines = Lines(self.fail)
        piece = b"x" * (1 << 20)

        with self.assertRaises(ValueError):
            for _ in range(MAX_LINE // len(piece) + 1):
                lines.feed(piece)

    def test_nonsense_is_refused(self) -> None:
        self.assertRaises(msgspec.MsgspecError, from_worker, b'{"type":"Stop"}')
