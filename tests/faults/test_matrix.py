"""Every fault of a provider, for each API and kind of answer: the client, record and rest agree.

Needs the real reactor: it is about the ends of connections.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tests.faults.before import BEFORE
from tests.faults.documents import DOCUMENTS
from tests.faults.fault import Fault, Mode
from tests.faults.observing import FaultCase
from tests.faults.statuses import STATUSES
from tests.faults.streams import STREAMS
from tests.loopback.speech import CHAT, MESSAGES, RESPONSES
from tests.support.cases import BridgeTestCase

FAULTS = (*BEFORE, *STATUSES, *DOCUMENTS, *STREAMS)

C = TypeVar("C", bound=type[FaultCase])
Test = Callable[[FaultCase], Coroutine[Any, Any, None]]


def with_faults(case: C) -> C:
    """Give `case` a test for each fault that its answers can have."""
    for fault in FAULTS:
        if case.mode in fault.modes and case.dialect in fault.dialects:
            setattr(case, f"test_{fault.slug}", _test(fault))
    return case


def _test(fault: Fault) -> Test:
    async def test(self: FaultCase) -> None:
        seen = await self.observe(fault)

        wrong = seen.unlike(fault.expected(self.speech, self.mode).seen(self.speech))
        if wrong:
            self.fail("; ".join(wrong))

    return test


@with_faults
class MessagesBlockingTests(FaultCase):
    speech, dialect, mode = MESSAGES, "messages", Mode.BLOCKING


@with_faults
class MessagesStreamingTests(FaultCase):
    speech, dialect, mode = MESSAGES, "messages", Mode.STREAMING


@with_faults
class ChatBlockingTests(FaultCase):
    speech, dialect, mode = CHAT, "chat_completions", Mode.BLOCKING


@with_faults
class ChatStreamingTests(FaultCase):
    speech, dialect, mode = CHAT, "chat_completions", Mode.STREAMING


@with_faults
class ResponsesBlockingTests(FaultCase):
    speech, dialect, mode = RESPONSES, "responses", Mode.BLOCKING


@with_faults
class ResponsesStreamingTests(FaultCase):
    speech, dialect, mode = RESPONSES, "responses", Mode.STREAMING


class SlugTests(BridgeTestCase):
    """The names of faults make names of tests."""

    def test_every_fault_has_a_test_of_its_own(self) -> None:
        self.assertEqual(len({fault.slug for fault in FAULTS}), len(FAULTS))
